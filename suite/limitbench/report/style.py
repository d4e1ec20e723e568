"""The house style of all figures and tables: colours, line styles, markers, verdict marks and number formats.

Figures are drawn in placeholder colours. `report.svg` turns each into a CSS variable, so one drawing serves light and
dark pages; the values of the variables stand in `templates/style.css`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Placeholder colours start with this; the last two hex digits name the CSS variable (see `CSS_VARIABLES`).
PLACEHOLDER = "#0a01"

INK = PLACEHOLDER + "00"
MUTED = PLACEHOLDER + "01"
LINE = PLACEHOLDER + "02"
NETWORK = PLACEHOLDER + "03"
N_THEORY_COLOURS = 8

CSS_VARIABLES: dict[str, str] = {
    "00": "ink",
    "01": "muted",
    "02": "line",
    "03": "network",
    **{f"{0x10 + k:02x}": f"t{k}" for k in range(N_THEORY_COLOURS)},
}


@dataclass(frozen=True)
class TheoryStyle:
    """Colour, line style and marker of one theory, the same in every figure."""

    colour: str
    css: str
    dashes: str | tuple[int, tuple[float, ...]]
    marker: str
    mark: str


_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (1, 1.4)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
    (0, (10, 3)),
    (0, (3, 3)),
)
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))


def theory_style(index: int) -> TheoryStyle:
    """Style of the theory at position `index` of the study's list."""
    k = index % N_THEORY_COLOURS
    marker, mark = _MARKERS[k]
    return TheoryStyle(f"{PLACEHOLDER}{0x10 + k:02x}", f"t{k}", _DASHES[k], marker, mark)


#: Upper ends of the colour classes of D, as multiples of the margin; the last class is open.
HEAT_EDGES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def heat_class(distance: float, margin: float) -> int:
    """Colour class of D: 0 to 2 are within the margin, 3 to 6 beyond."""
    return next((k for k, edge in enumerate(HEAT_EDGES) if distance <= edge * margin), len(HEAT_EDGES))


#: Mark and words of each verdict: never colour alone. A claim that the run lacks the cells for is `unmeasured`.
VERDICTS: dict[str, tuple[str, str]] = {
    "holds": ("✓", "holds"),
    "fails": ("✗", "fails"),
    "undecided": ("?", "undecided"),
    "unmeasured": ("–", "not measured"),
}
NO_VERDICT = ("–", "not scored")


def verdict_mark(verdict: str) -> str:
    """The one-character mark of a verdict."""
    return VERDICTS.get(verdict, NO_VERDICT)[0]


def number(value: object, digits: int = 3) -> str:
    """A number for people: `digits` significant digits, a true minus sign, an en dash where undefined."""
    try:
        x = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "–"
    if math.isnan(x):
        return "–"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    if 1e-4 <= abs(x) < 1e5:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(x))))
        text = f"{x:.{decimals}f}"
    else:
        mantissa, _, exponent = f"{x:.{digits - 1}e}".partition("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def trimmed(value: float) -> str:
    """Four significant digits without trailing zeros."""
    text = number(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: powers of ten, or 1, 2, 5 times them where those are fewer than two."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [step * 10.0**k for k in decades for step in steps if low <= step * 10.0**k <= high]
        if len(ticks) >= 2:
            break
    return ticks


def linear_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a linear axis, about five."""
    from matplotlib.ticker import MaxNLocator

    return [float(t) for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high]


def count(value: object) -> str:
    """A count for people: thousands apart up to a million, powers beyond."""
    x = float(value)  # type: ignore[arg-type]
    if not math.isfinite(x) or abs(x) >= 1e6:
        return number(x, 2)
    return f"{round(x):,}".replace(",", "\u202f")


def plain(value: object) -> str:
    """A grid value as the user typed it."""
    return f"{value:g}".replace("-", "−") if isinstance(value, float) else str(value)


def short(value: float) -> str:
    """D in the fewest digits that still say something: two, one below 0.01."""
    return number(value, 1 if abs(value) < 0.0095 else 2)


def percent(part: float, whole: float) -> str:
    """`part` of `whole` as a rounded percentage, never 0 % or 100 % where it is not exactly that."""
    if whole <= 0:
        return "–"
    share = 100 * part / whole
    if 0 < share < 1:
        return "<\u00a01\u00a0%"
    if 99 < share < 100:
        return ">\u00a099\u00a0%"
    return f"{share:.0f}\u00a0%"


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib settings of every figure: deterministic SVG, selectable text, no frame that is not needed."""
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "limitbench",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11,
        "axes.labelsize": 11,
        "axes.titlesize": 12,
        "xtick.labelsize": 10.5,
        "ytick.labelsize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "grid.color": LINE,
        "grid.linewidth": 0.7,
        "axes.linewidth": 0.8,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "path.simplify": False,
    }
    with matplotlib.rc_context(settings):
        yield
