"""A benchmark over commits as a small drawing: one line a case, steps marked, without axes."""

from __future__ import annotations

import math
from html import escape

from limitbench.report.style import number
from limitbench.report.tracking import Line, Track

_WIDTH, _HEIGHT, _EDGE = 220, 44, 7


def sparkline(track: Track, ident: str) -> str:
    """The track as an `<svg role="img">` element; values of a case over their first one, on a logarithmic scale.

    A triangle that points up is a step for the worse, one that points down a step for the better.
    """
    curves = [_relative(line) for line in track.lines]
    known = [y for curve in curves for y in curve if math.isfinite(y)]
    reach = max([math.log(2), *(abs(y) for y in known)])
    last = max(len(track.commits) - 1, 1)

    def place(k: int, y: float) -> tuple[float, float]:
        across = _EDGE + (_WIDTH - 2 * _EDGE) * (k / last if len(track.commits) > 1 else 0.5)
        return round(across, 1), round(_HEIGHT / 2 - (_HEIGHT / 2 - _EDGE) * y / reach, 1)

    parts = [f'<line class="base" x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{_HEIGHT / 2:g}" y2="{_HEIGHT / 2:g}"/>']
    for curve in curves:
        points = [place(k, y) for k, y in enumerate(curve) if math.isfinite(y)]
        if len(points) > 1:
            parts.append(f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"/>')
        elif points:
            parts.append(f'<circle cx="{points[0][0]:g}" cy="{points[0][1]:g}" r="1.8"/>')
    for line, step in track.steps:
        y = _relative(line)[step.position]
        x, y = place(step.position, y if math.isfinite(y) else reach)
        tip = -5 if step.worse else 5
        kind = "worse" if step.worse else "better"
        parts.append(f'<path class="{kind}" d="M{x:g} {y + tip:g}l5 {-1.6 * tip:g}h-10z"/>')
    return (
        f'<svg class="spark" role="img" aria-labelledby="{ident}d" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><desc id="{ident}d">{escape(describe(track))}</desc>{"".join(parts)}</svg>'
    )


def describe(track: Track) -> str:
    """The drawing in words."""
    cases = f"{len(track.lines)} cases" if len(track.lines) > 1 else "one case"
    worse = sum(step.worse for _, step in track.steps)
    better = len(track.steps) - worse
    line = furthest(track)
    change = f"; most changed: {number(line.first, 3)} to {number(line.latest, 3)}" if line is not None else ""
    return f"{track.title}, {cases} over {len(track.commits)} commits: steps up {worse}, down {better}{change}."


def furthest(track: Track) -> Line | None:
    """The case whose latest value is the largest multiple of its first; None where nothing was measured."""
    known = [line for line in track.lines if math.isfinite(line.latest) and math.isfinite(line.first)]
    return max(known, key=lambda line: line.latest / line.first if line.first > 0 else 0.0, default=None)


def _relative(line: Line) -> list[float]:
    """ln(value / first value of the same version), NaN where either is no positive number."""
    first: dict[str, float] = {}
    found = []
    for value, version in zip(line.values, line.versions, strict=True):
        usable = math.isfinite(value) and value > 0
        base = first.setdefault(version, value) if usable else math.nan
        found.append(math.log(value / base) if usable else math.nan)
    return found
