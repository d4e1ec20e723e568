"""Progress of a run: what happened, how fast, how long to go. The sweep tells; implementations show."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from limitbench.errors import one_line


@runtime_checkable
class Reporter(Protocol):
    """What the sweep tells while it runs. Counts are networks."""

    def start(self, title: str, total: int, done: int, seconds: float, at_most: bool = False) -> None:
        """A run of `total` networks begins, `done` of which are in the store already.

        `seconds` is what the cost model expects of one worker; only its proportions matter. With `at_most` cells stop
        as soon as their verdicts are clear, so that both are bounds.
        """

    def advance(self, networks: int, seconds: float) -> None:
        """A unit of `networks` (0 for scores) that was estimated at `seconds` is finished."""

    def fail(self, name: str, error: str) -> None:
        """A unit is set aside."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def finish(self, text: str) -> None:
        """The run is over; `text` sums it up."""


class Silent:
    """Shows nothing."""

    def start(self, title: str, total: int, done: int, seconds: float, at_most: bool = False) -> None:
        """Nothing."""

    def advance(self, networks: int, seconds: float) -> None:
        """Nothing."""

    def fail(self, name: str, error: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def finish(self, text: str) -> None:
        """Nothing."""


class Terminal:
    """A bar with rate and time left on a terminal, plain lines elsewhere (at most one in `every` seconds).

    Use as a context manager around one or more runs.
    """

    def __init__(self, console: Console | None = None, every: float = 10.0) -> None:
        self._console = console or Console(stderr=True)
        self._every = every
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._title, self._total, self._done, self._first = "", 0, 0, 0
        self._bound = ""
        self._work = self._worked = self._began = self._told = 0.0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def start(self, title: str, total: int, done: int, seconds: float, at_most: bool = False) -> None:
        """Begin a bar, or say how much there is to do."""
        self._stop()
        self._bound = "at most " if at_most else ""
        self._title, self._total, self._done, self._first = title, total, done, done
        self._work, self._worked = seconds, 0.0
        self._began = self._told = time.monotonic()
        if not self._console.is_terminal:
            self._print(f"{title}: {self._bound}{total - done:,} of {total:,} networks to draw")
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[counted]}"),
            TextColumn("left"),
        )
        self._bar = Progress(*columns, TimeRemainingColumn(compact=True), console=self._console)
        self._bar.start()
        self._task = self._bar.add_task(title, total=max(seconds, 1e-9), counted=self._counted())

    def advance(self, networks: int, seconds: float) -> None:
        """Move the bar, or print a line now and then."""
        self._done += networks
        self._worked += seconds
        if self._bar is not None:
            self._bar.update(self._task, advance=seconds, counted=self._counted())
            return
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            left = (self._work / max(self._worked, 1e-9) - 1) * (now - self._began)
            self._print(f"{self._title}: {self._counted()}, {self._bound}{max(left, 0.0):.0f} s left")

    def _counted(self) -> str:
        rate = (self._done - self._first) / max(time.monotonic() - self._began, 1e-9)
        return f"{self._done:,} of {self._total:,} networks, {rate:,.0f} networks/s"

    def fail(self, name: str, error: str) -> None:
        """Say which unit is set aside and why."""
        self._print(f"set aside {name}: {error}", style="red")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def finish(self, text: str) -> None:
        """End the bar and print the summary."""
        self._stop()
        self._print(f"{self._title}: {text}")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(one_line(text), style=style, highlight=False, markup=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
