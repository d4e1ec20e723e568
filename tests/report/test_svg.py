"""Figures become small, deterministic, announced SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from limitbench.report.style import INK, house_style, theory_style
from limitbench.report.svg import Drawings, inline_svg


def _figure() -> Figure:
    with house_style():
        figure = Figure(figsize=(3, 2))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([1.0, 2.0, 3.0], [0.123456, 0.2, 0.3], color=theory_style(0).colour, marker="o")
        axes.text(2, 0.2, "a < b & c", color=INK)
    return figure


def test_svg_is_well_formed_and_announced() -> None:
    root = ET.fromstring(inline_svg(_figure(), title="D < 1", desc="<script>", drawings=Drawings()))
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    assert [ids[name].text for name in str(root.get("aria-labelledby")).split()] == ["D < 1", "<script>"]


def test_same_figure_gives_the_same_bytes() -> None:
    one, other = (inline_svg(_figure(), title="t", desc="d", drawings=Drawings()) for _ in range(2))
    assert one == other


def test_ids_of_two_figures_never_clash() -> None:
    drawings = Drawings()
    both = "".join(inline_svg(_figure(), title="t", desc="d", drawings=drawings) for _ in range(2))
    ids = re.findall(r' id="([^"]+)"', both)
    assert len(ids) == len(set(ids)) > 4
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', both)) <= set(ids)


def test_colours_become_variables_and_text_stays_text() -> None:
    drawings = Drawings()
    svg = inline_svg(_figure(), title="t", desc="d", drawings=drawings)
    assert "var(--t0)" in drawings.css()
    assert "#0a01" not in svg + drawings.css()
    assert ">a &lt; b &amp; c</text>" in svg


def test_opacity_is_not_rounded_with_the_coordinates() -> None:
    with house_style():
        figure = Figure(figsize=(2, 2))
        figure.add_axes((0, 0, 1, 1)).fill_between([0, 1], [0, 0], [1, 1.0], alpha=0.28, lw=0)
    drawings = Drawings()
    inline_svg(figure, title="t", desc="d", drawings=drawings)
    assert "0.28" in drawings.css()
