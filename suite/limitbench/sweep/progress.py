"""Progress of a run: what happened, how fast, how long to go. The sweep tells; implementations show."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


@runtime_checkable
class Reporter(Protocol):
    """What the sweep tells while it runs. Counts are networks."""

    def start(self, title: str, total: int, done: int) -> None:
        """A run of `total` networks begins, `done` of which are in the store already."""

    def advance(self, networks: int) -> None:
        """A block of `networks` is finished."""

    def fail(self, name: str, error: str) -> None:
        """A unit is quarantined."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def finish(self, text: str) -> None:
        """The run is over; `text` sums it up."""


class Silent:
    """Shows nothing."""

    def start(self, title: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, networks: int) -> None:
        """Nothing."""

    def fail(self, name: str, error: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def finish(self, text: str) -> None:
        """Nothing."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Networks a second."""
        return Text("" if task.speed is None else f"{task.speed:,.0f} networks/s", style="cyan")


class Terminal:
    """A bar with rate and time left on a terminal, plain lines elsewhere (at most one in `every` seconds).

    Use as a context manager around one or more runs.
    """

    def __init__(self, console: Console | None = None, every: float = 10.0) -> None:
        self._console = console or Console(stderr=True)
        self._every = every
        self._bar: Progress | None = None
        self._task: Task | None = None
        self._title, self._total, self._done, self._first = "", 0, 0, 0
        self._began = self._told = 0.0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def start(self, title: str, total: int, done: int) -> None:
        """Begin a bar, or say how much there is to do."""
        self._stop()
        self._title, self._total, self._done, self._first = title, total, done, done
        self._began = self._told = time.monotonic()
        if not self._console.is_terminal:
            self._print(f"{title}: {total - done:,} of {total:,} networks to draw")
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
        )  # fmt: skip
        self._bar = Progress(*columns, console=self._console)
        self._bar.start()
        task = self._bar.add_task(title, total=total, completed=done)
        self._task = self._bar.tasks[self._bar.task_ids.index(task)]

    def advance(self, networks: int) -> None:
        """Move the bar, or print a line now and then."""
        self._done += networks
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task.id, networks)
            return
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            rate = (self._done - self._first) / max(now - self._began, 1e-9)
            left = (self._total - self._done) / max(rate, 1e-9)
            self._print(
                f"{self._title}: {self._done:,} of {self._total:,} networks, {rate:,.0f} networks/s, {left:.0f} s left"
            )

    def fail(self, name: str, error: str) -> None:
        """Say which unit is quarantined and why."""
        self._print(f"quarantined {name}: {error}", style="red")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def finish(self, text: str) -> None:
        """End the bar and print the summary."""
        self._stop()
        self._print(f"{self._title}: {text}")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
