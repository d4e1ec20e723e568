"""Cells of `deep-linear`: the widths of every hidden layer and their natural variable, alpha = sum_l 1/N_l."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from limitbench.studies.base import Cell

#: Patterns of the axis `widths`, as multiples of `width` that repeat from layer to layer.
PATTERNS = {"alternating": (1, 3), "equal": (1,)}


def layer_widths(cell: Cell) -> tuple[int, ...]:
    """Width of every hidden layer; that of layer l does not depend on the final depth."""
    pattern, width = PATTERNS[str(cell["widths"])], int(cell["width"])
    return tuple(width * pattern[layer % len(pattern)] for layer in range(int(cell["depth"])))


def inverse_widths(cell: Cell) -> float:
    """alpha = sum_l 1/N_l: depth/width where all layers are equally wide."""
    # exact, so that equal values of alpha are equal floats and share their tabulated laws
    return float(sum(Fraction(count, width) for width, count in Counter(layer_widths(cell)).items()))


def mean_width(cell: Cell) -> float:
    """Arithmetic mean of the widths, which is not what decides the law."""
    return sum(layer_widths(cell)) / int(cell["depth"])
