"""What a study wants drawn: curves and points with their words, as numbers; the report gives them their looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Series:
    """One curve or set of points of a figure.

    Attributes:
        label: words in the legend.
        x, y: the points, in order of x; a NaN in y parts the curve.
        kind: `network` (measured: points, with bars of +-2 `se`), `theory` (a line), `reference` (a thin grey line),
            `path` (one network along depth: a thin line), `band` (the area between `low` and `high` around y).
        se: standard errors of y.
        low, high: ends of a band.
        theory: name of the study's theory whose colour and dashes a `theory` line has; in order of use if empty.
    """

    label: str
    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    kind: Literal["network", "theory", "reference", "path", "band"] = "network"
    se: Float[np.ndarray, " points"] | None = None
    low: Float[np.ndarray, " points"] | None = None
    high: Float[np.ndarray, " points"] | None = None
    theory: str = ""


@dataclass(frozen=True, eq=False)
class Heat:
    """Values on a grid of two axes, drawn as shades with their numbers below the series of a figure.

    Attributes:
        label: what the values are.
        x, y: grid values, increasing; positive on logarithmic axes.
        values: one for each cell; NaN cells stay empty.
    """

    label: str
    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    values: Float[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class FigureTable:
    """Numbers of a figure that are read one by one: a heading, column heads, and rows of numbers and words."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, eq=False)
class StudyFigure:
    """One figure.

    Attributes:
        name: identifier, lower-case words with hyphens, unique in the study.
        title: heading.
        x_label, y_label: axis labels with symbols.
        series: what is drawn.
        caption: what is seen, with numbers from the data.
        x_log, y_log: logarithmic axes.
        heat: shades below the series; the axes then end with its cells.
        table: the numbers behind it where readers want them one by one, as exponents.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    caption: str
    x_log: bool = False
    y_log: bool = False
    heat: Heat | None = None
    table: FigureTable | None = None
