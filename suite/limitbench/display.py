"""How values look in a notebook: small tables of text and one curve, in the notebook's own colours, all escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float


def facts(heading: str, rows: Iterable[tuple[str, object]], drawing: str = "") -> str:
    """A heading, a drawing (SVG) and a table of names and values; rows whose value is empty are left out."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{shown(value)}</td></tr>'
        for name, value in rows
        if value not in (None, "", ())
    )
    return f"<div><strong>{escape(heading)}</strong>{drawing}<table>{cells}</table></div>"


def table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A heading and a table with a line of column names."""
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{shown(value)}</td>' for value in row) + "</tr>" for row in rows
    )
    return (
        f"<div><strong>{escape(heading)}</strong>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def shown(value: object) -> str:
    """A value as escaped text: numbers to four digits, sequences joined by commas, NaN as nothing."""
    if isinstance(value, tuple | list):
        return ", ".join(shown(part) for part in value)
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{float(value):.4g}"
    return escape(str(value))


def curve(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], title: str) -> str:
    """One curve without axes, as SVG in the colour of the text; nothing where a point is not finite."""
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.ptp(x) > 0 and y.max() > 0):
        return ""
    points = zip(2 + 196 * (x - x[0]) / np.ptp(x), 46 - 42 * y / y.max(), strict=True)
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return (
        f'<svg role="img" viewBox="0 0 200 48" width="200" height="48" style="display:block"><title>{escape(title)}'
        f'</title><polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
