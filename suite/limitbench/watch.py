"""What `limitbench status` prints: tables for people, one line a study where there is no terminal, JSON for machines.

Whatever comes out of a store is printed as plain text: markup and control characters in it do nothing.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from limitbench.errors import one_line
from limitbench.sweep.status import StudyStatus, Watcher, status

STYLES = {
    "complete": "green",
    "running": "bold cyan",
    "waiting": "yellow",
    "failed": "red",
    "stopped": "yellow",
    "unknown": "dim",
}
#: Rows of a table of hosts, of units under way and of reasons; the rest is in `--json`.
MOST_HOSTS, MOST_UNITS, MOST_REASONS = 20, 5, 10


def show(directory: str, *, every: float | None = None, as_json: bool = False) -> bool:
    """Print the state of every store in `directory`, again every `every` seconds until no run goes on.

    Returns whether every study is complete. Raises as `limitbench.status`.
    """
    console = Console()
    if every is None:
        states = status(directory)
        _print(console, states, directory, as_json)
    elif as_json or not console.is_terminal:
        for states in _looks(directory, every):
            _print(console, states, directory, as_json, lines=True)
    else:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            for states in _looks(directory, every):
                live.update(Group(*tables(states, directory)), refresh=True)
    return all(state.state == "complete" for state in states)


def _looks(directory: str, every: float) -> Iterator[list[StudyStatus]]:
    """Looks, until two in a row show no run that goes on: one study of a run may end just before the next begins."""
    watcher, quiet = Watcher(directory), 0
    while quiet < 2:
        began = time.monotonic()
        states = watcher.look()
        going = any(state.goes_on or state.state == "unknown" for state in states)
        over = not going and all(state.state == "complete" for state in states)
        quiet = 0 if going else 2 if over and len(states) == 1 else quiet + 1
        yield states
        if quiet < 2:
            time.sleep(max(0.0, every - (time.monotonic() - began)))


def _print(
    console: Console, states: Sequence[StudyStatus], directory: str, as_json: bool, *, lines: bool = False
) -> None:
    if as_json:
        text = json.dumps(document(states), indent=None if lines else 2, allow_nan=False)
        console.file.write(f"{text}\n")
        console.file.flush()
        return
    if not lines:
        console.print(Group(*tables(states, directory)))
        return
    for state in states:
        console.print(Text(f"{datetime.now():%H:%M:%S} {line(state)}"), soft_wrap=True)


def document(states: Sequence[StudyStatus]) -> dict[str, Any]:
    """The states for machines: `time` (UTC) and `studies`, each with the fields of `StudyStatus` by their names.

    Times are ISO 8601 with their offset from UTC, durations seconds; what is not known is null, never NaN.
    """
    return {"time": datetime.now(UTC).isoformat(timespec="seconds"), "studies": [_plain(state) for state in states]}


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case datetime():
            return value.isoformat()
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in asdict(value)}
    return value


def line(state: StudyStatus) -> str:
    """One study in one line."""
    parts = [
        state.state,
        f"{state.blocks_done:,} of {state.blocks_total:,} blocks",
        f"{state.samples:,} of {state.samples_total:,} networks",
    ]
    if state.blocks_failed:
        parts.append(f"{state.blocks_failed:,} set aside")
    parts += _pace(state) if state.goes_on else [one_line(state.reason, 200)] if state.reason else []
    return f"{state.study}: {', '.join(parts)}"


def tables(states: Sequence[StudyStatus], directory: str) -> list[RenderableType]:
    """All studies in a table, then what there is to say of those that are not complete; of a single one always."""
    table = _table("study", "state", "blocks", "set aside", "networks", "last activity")
    for state in states:
        table.add_row(
            Text(state.study),
            Text(state.state, STYLES[state.state]),
            f"{state.blocks_done:,} of {state.blocks_total:,}",
            Text(f"{state.blocks_failed:,}", "red" if state.blocks_failed else ""),
            f"{state.samples:,} of {state.samples_total:,}",
            f"{state.last_activity.astimezone():%Y-%m-%d %H:%M}" if state.last_activity else "never",
        )
    parts: list[RenderableType] = [table]
    for state in states:
        if state.state != "complete" or len(states) == 1:
            parts += _details(state, directory)
    return parts


def _details(state: StudyStatus, directory: str) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if state.state != "complete":
        parts.append(_driver(state))
        if state.goes_on:
            parts.append(Text("  " + ", ".join(_pace(state))))
        else:
            parts.append(Text("  the command that began it goes on with it"))
    if not state.exact:
        parts.append(Text("  a large store: blocks are counted from a listing, without a look at their chunks", "dim"))
    if state.hosts:
        parts.append(_hosts(state))
    if state.in_flight:
        parts.append(_units(state))
    if state.failures:
        parts.append(_failures(state))
        parts.append(Text(f"  to do these alone again:\n  {_retry(state, directory)}"))
    return [*parts, ""]


def _driver(state: StudyStatus) -> Text:
    text, beat = Text(state.study, "bold"), state.driver
    text.append(f": {state.state}", STYLES[state.state])
    if beat is not None:
        text.append(f" on {one_line(beat.host, 80)}, pid {beat.pid}, {one_line(beat.executor, 20)}")
        text.append(f", since {beat.started.astimezone():%Y-%m-%d %H:%M:%S}" if state.goes_on else "")
    if state.reason:
        text.append(f"\n  {one_line(state.reason, 400)}")
    if state.told_by and beat is not None and beat.state == "running":
        text.append(f"\n  told by {state.told_by}", "dim")
    return text


def _pace(state: StudyStatus) -> list[str]:
    beat = state.driver
    if beat is None:
        return []
    plural = "" if beat.workers == 1 else "s"
    parts = [f"{beat.workers:,} worker{plural}", f"{beat.in_flight:,} in flight"]
    if state.networks_per_second is not None and state.blocks_per_minute is not None:
        parts.append(f"{state.networks_per_second:,.3g} networks/s")
        parts.append(f"{state.blocks_per_minute:,.3g} blocks/min over {duration(beat.rate_seconds)}")
    parts += [f"{count:,} {word}" for count, word in _troubles(state) if count]
    parts.append("time left not known yet" if state.seconds_left is None else f"{duration(state.seconds_left)} left")
    return parts


def _troubles(state: StudyStatus) -> list[tuple[int, str]]:
    beat = state.driver
    return [(beat.blocks_retried, "retried"), (beat.workers_lost, "workers lost")] if beat else []


def _hosts(state: StudyStatus) -> Table:
    live = state.goes_on
    table = _table(
        "host", *(("workers", "in flight") if live else ()), "blocks", "busy", "networks", "networks/s a worker"
    )
    for host in sorted(state.hosts, key=lambda host: (-host.workers, -host.blocks))[:MOST_HOSTS]:
        rate = "" if host.networks_per_second is None else f"{host.networks_per_second:,.4g}"
        now = (f"{host.workers:,}", f"{host.in_flight:,}") if live else ()
        name = one_line(host.host, 40)
        table.add_row(Text(name), *now, f"{host.blocks:,}", duration(host.busy_seconds), f"{host.networks:,}", rate)
    if len(state.hosts) > MOST_HOSTS:
        table.add_row(Text(f"and {len(state.hosts) - MOST_HOSTS:,} more", "dim"))
    return table


def _units(state: StudyStatus) -> Table:
    table = _table("longest in flight", "for", "attempt", "host")
    for unit in state.in_flight[:MOST_UNITS]:
        host = one_line(unit.host or unit.node[:12], 40)
        table.add_row(Text(one_line(unit.unit, 120)), duration(unit.seconds), str(unit.attempt), Text(host))
    return table


def _failures(state: StudyStatus) -> Table:
    table = _table("set aside because", "blocks", "attempts", "for example")
    for failure in state.failures[:MOST_REASONS]:
        reason, example = one_line(failure.reason, 400), one_line(failure.blocks[0], 120)
        table.add_row(Text(reason, "red"), f"{len(failure.blocks):,}", f"{failure.attempts:,}", Text(example))
    if len(state.failures) > MOST_REASONS:
        table.add_row(Text(f"and {len(state.failures) - MOST_REASONS:,} more reasons", "dim"))
    return table


def _retry(state: StudyStatus, directory: str) -> str:
    return f"limitbench run {shlex.quote(state.study)} --out {shlex.quote(one_line(directory))} --retry-failed"


def duration(seconds: float) -> str:
    """A length of time in the largest unit of which there are two."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.3g} {unit}" if seconds < 1e3 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        text = not number or column in ("state", "last activity", "for example", "host")
        table.add_column(column, overflow="fold", justify="left" if text else "right")
    return table
