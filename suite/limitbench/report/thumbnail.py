"""A validity map the size of a thumb: which theory is nearest where, without axes or numbers."""

from __future__ import annotations

from html import escape

from limitbench.report.results import Results
from limitbench.report.selectors import Choice, choose
from limitbench.report.style import theory_style
from limitbench.report.validity import Validity

_CELL_WIDTH, _CELL_HEIGHT, _MOST = 18, 12, 12


def thumbnail(results: Results, ident: str) -> str:
    """The map of the first observable at the leading slice as an `<svg role="img">` element; empty without one.

    A cell is full where its theory holds and pale where it does not; width to the right, depth upwards.
    """
    chosen = choose(results, ident, 1).panels if results.observables else []
    if not chosen:
        return ""
    validity = Validity(results, chosen[0].at, chosen[0].observable)
    if not validity.exists or max(validity.chosen.shape) > _MOST:
        return ""
    rows, columns = validity.chosen.shape
    parts = []
    for i in range(rows):
        for j in range(columns):
            theory = int(validity.chosen[i, j])
            if theory >= 0:
                css = theory_style(results.theories.index(validity.theories[theory])).css
                pale = "" if validity.verdict[i, j] == "holds" else ' opacity=".3"'
                x, y = j * _CELL_WIDTH, (rows - 1 - i) * _CELL_HEIGHT
                parts.append(
                    f'<rect class="{css}" x="{x}" y="{y}" width="{_CELL_WIDTH - 1}" height="{_CELL_HEIGHT - 1}"{pale}/>'
                )
    width, height = columns * _CELL_WIDTH, rows * _CELL_HEIGHT
    words = f"{_place(results, chosen[0])} {validity.caption()}"
    return (
        f'<svg class="thumb" role="img" aria-labelledby="{ident}m" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><desc id="{ident}m">{escape(words)}</desc>{"".join(parts)}</svg>'
    )


def _place(results: Results, choice: Choice) -> str:
    """The observable and the slice, in words."""
    where = f" at {choice.at.label}" if choice.at.label else ""
    return f"{results.observable_title(choice.observable)}{where}, by {results.depth_axis} and width."
