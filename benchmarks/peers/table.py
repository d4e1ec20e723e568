"""The table of a run: on the terminal, and as Markdown between two markers of README.md."""

from __future__ import annotations

import math

from rich.table import Table

from benchmarks.peers.results import SAME_LAW, Measured, Result, Run, distance, speedup

BEGIN, END = "<!-- peers: begin (make peers) -->", "<!-- peers: end -->"
HEAD = ("what is drawn", "by", "seconds", "limitbench, torch", "limitbench, vsl", "same law")


def seconds(value: float) -> str:
    """Three significant digits with a unit."""
    if math.isnan(value):
        return "–"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"), (0.0, "ns")):
        if value >= scale:
            return f"{float(f'{value / (scale or 1e-9):.3g}'):g} {unit}"
    raise ValueError(f"seconds: got {value}, expected none below 0")


def times(value: float) -> str:
    """A ratio: whole from 10 on."""
    return "–" if math.isnan(value) else f"{value:.0f} ×" if value >= 9.95 else f"{value:.1f} ×"


def law(peer: Measured, ours: Measured) -> str:
    """Whether moments agree, with the largest difference in standard errors."""
    reason = peer.law_error or ours.law_error
    if reason is not None:
        return f"not compared: {reason}"
    z = distance(peer, ours)
    return "–" if math.isnan(z) else f"{'yes' if z < SAME_LAW else 'NO'} ({z:.1f} se)"


def rows(result: Result) -> list[tuple[str, ...]]:
    """One row a peer: its seconds, and how many times as long as ours each time."""
    torch, vsl = result.ours
    table = [
        (
            f"{result.title}; seconds a {result.unit}",
            "limitbench",
            "",
            *(seconds(m.median) if m.error is None else m.error for m in (torch, vsl)),
            "",
        )
    ]
    for peer in result.peers:
        if peer.error is not None:
            table.append(("", peer.label, peer.error, "–", "–", "–"))
            continue
        ratios = (times(speedup(peer, ours)) for ours in (torch, vsl))
        table.append(("", peer.label, seconds(peer.median), *ratios, law(peer, torch)))
    return table


def terminal(run: Run) -> Table:
    """For a terminal."""
    table = Table(title=caption(run), title_justify="left", caption=versions(run), caption_justify="left")
    for name in HEAD:
        table.add_column(name, overflow="fold")
    for result in run.results:
        for row in rows(result):
            table.add_row(*row)
        table.add_section()
    return table


def caption(run: Run) -> str:
    """How and where it was measured."""
    wall = max((m.wall for result in run.results for m in result.measured if m.seconds), default=1.0)
    busy = f" (the machine was busy: up to {wall:.1f} s of wall time for one of CPU time)" if wall > 1.2 else ""
    return (
        f"{run.machine}, {run.date}: CPU seconds on one core, medians of {run.rounds} turns each, "
        f"compilation left out{busy}"
    )


def versions(run: Run) -> str:
    """Python and the packages that did the work."""
    found: dict[str, set[str]] = {}
    for packages in run.versions().values():
        for name, version in packages.items():
            found.setdefault(name, set()).add(version.partition("+")[0])
    listed = "; ".join(f"{name} {' and '.join(sorted(found[name]))}" for name in sorted(found))
    return f"Python {run.python}; {listed}"


def markdown(run: Run) -> str:
    """For README.md."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---|---:|---:|---:|---|"]
    for result in run.results:
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows(result)]
    return "\n".join([*lines, "", f"{caption(run)}. {versions(run)}."])


def insert(text: str, table: str) -> str:
    """`text` with `table` between its two markers; raises ValueError where they are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: expected {BEGIN} and then {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
