"""The colours that a figure is drawn in: placeholders on a page, which has light and dark, real ones in a notebook.

Every drawing function takes an `Ink`, so that page and notebook share one drawing code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from matplotlib.axes import Axes

from limitbench.report.style import INK, LINE, MUTED, N_THEORY_COLOURS, NETWORK, TheoryStyle, house_style, theory_style


@dataclass(frozen=True)
class Ink:
    """Colours of text, axes and marks.

    Attributes:
        ink, muted, line, network: text; axes and references; grid lines; networks.
        theories: one colour for each theory in report order, used again from the first when they are spent.
        page: whether the house style of the page applies; else the settings of the caller's axes do.
    """

    ink: str
    muted: str
    line: str
    network: str
    theories: tuple[str, ...]
    page: bool = False

    def theory(self, index: int) -> TheoryStyle:
        """Look of the theory at position `index` of the study's list."""
        return replace(theory_style(index), colour=self.theories[index % len(self.theories)])

    def of(self, look: TheoryStyle) -> TheoryStyle:
        """`look` in these colours; it is found by its CSS name."""
        known = {"tn": self.network, "tm": self.muted} | {f"t{k}": colour for k, colour in enumerate(self.theories)}
        return replace(look, colour=known[look.css])

    @contextmanager
    def style(self) -> Iterator[None]:
        """Matplotlib settings to draw under."""
        if self.page:
            with house_style():
                yield
        else:
            yield


PAGE = Ink(INK, MUTED, LINE, NETWORK, tuple(theory_style(k).colour for k in range(N_THEORY_COLOURS)), page=True)


@lru_cache(maxsize=1)
def light() -> Ink:
    """The colours that a light page has: the first values in its style sheet."""
    css = files("limitbench.report").joinpath("templates/style.css").read_text(encoding="utf-8")

    def colour(name: str) -> str:
        found = re.search(rf"--{name}:(#[0-9a-fA-F]{{3,6}})", css)
        assert found is not None, name
        return found[1]

    theories = tuple(colour(f"t{k}") for k in range(N_THEORY_COLOURS))
    return Ink(colour("ink"), colour("muted"), colour("line"), colour("network"), theories)


def place_label(axes: Axes, ink: Ink, label: str, points: float, size: float) -> None:
    """The label of the y-axis, on a page `points` left of axes that are `size` wide: labels of all figures line up."""
    axes.set_ylabel(label)
    if ink.page:
        axes.yaxis.set_label_coords(-points / size, 0.5)
