"""From a matplotlib figure to a small inline SVG that a screen reader can announce.

What matplotlib writes is parsed and written again: metadata, unused ids and empty groups go, numbers are rounded to a
tenth of a pixel, placeholder colours become CSS variables, and inline styles become classes of one style sheet that all
figures of the page share.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from html import escape

from matplotlib.figure import Figure

from limitbench.report.style import CSS_VARIABLES, PLACEHOLDER, house_style

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+e-\d+")
_GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")
_COMMAND = re.compile(r"([MLCQzZ])([^MLCQzZ]*)")
_COLOUR = re.compile(PLACEHOLDER + r"([0-9a-f]{2})")
_IGNORED_STYLES = ("font-family", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit")


class Drawings:
    """What the figures of a page share: numbered ids, and inline styles as classes `s0`, `s1`, ... in order of use."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._figures = 0

    def ident(self) -> str:
        """Prefix of the ids of the next figure, unique on the page."""
        self._figures += 1
        return f"f{self._figures}"

    def style_class(self, style: str) -> str:
        """Class of a declaration block."""
        return self._names.setdefault(style, f"s{len(self._names)}")

    def css(self) -> str:
        """The rules."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._names.items())


def inline_svg(figure: Figure, *, title: str, desc: str, drawings: Drawings) -> str:
    """`figure` as an `<svg role="img">` element with title and description.

    Arguments:
        figure: the figure; one point of it becomes one CSS pixel.
        title, desc: plain text, escaped here.
        drawings: gives ids and collects the inline styles.
    """
    stream = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    with house_style():
        figure.savefig(stream, format="svg", metadata=metadata)
    root = ET.fromstring(stream.getvalue())
    _, _, width, height = (float(v) for v in root.attrib["viewBox"].split())
    writer = _Writer(drawings)
    body, ident = "".join(writer.write(child) for child in root), writer.ident
    return (
        f'<svg role="img" aria-labelledby="{ident}t {ident}d" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}"{_axes(figure, width, height)}><title id="{ident}t">{escape(title)}</title>'
        f'<desc id="{ident}d">{escape(desc)}</desc>{body}</svg>'
    )


def _axes(figure: Figure, width: float, height: float) -> str:
    """Where every pair of linear or logarithmic axes lies and what it spans: what turns a place into a value.

    One list each: left, top, right, bottom in pixels; ends of x and whether it is logarithmic; the same of y.
    """
    found = []
    for axes in figure.axes:
        if {axes.get_xscale(), axes.get_yscale()} <= {"linear", "log"} and axes.axison:
            box = axes.get_position()
            place = (box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height)
            x, y = (*axes.get_xlim(), axes.get_xscale() == "log"), (*axes.get_ylim(), axes.get_yscale() == "log")
            found.append(f"[{','.join([*(f'{p:.1f}' for p in place), *(f'{v:.6g}' for v in (*x, *y))])}]")
    return f' data-axes="[{",".join(found)}]"' if found else ""


class _Writer:
    """Writes the elements of one figure."""

    def __init__(self, drawings: Drawings) -> None:
        self.drawings, self.ident = drawings, drawings.ident()
        self._ids: dict[str, str] = {}

    def write(self, element: ET.Element) -> str:
        """The element and all below it; nothing for metadata and empty groups."""
        tag = element.tag.removeprefix(_SVG)
        if tag in ("metadata", "style"):
            return ""
        attributes = self._attributes(element, tag)
        inner = escape(element.text.strip(), quote=False) if element.text else ""
        if tag == "g" and len(element) > 1 and len(styles := {(c.tag, c.get("style")) for c in element}) == 1:
            (kind, style), *_ = styles
            if kind == f"{_SVG}use" and style:  # markers: their style once, on the group
                attributes |= self._attributes(ET.Element("g", {"style": style}), "g")
                for child in element:
                    del child.attrib["style"]
        inner += "".join(self.write(child) for child in element)
        if tag in ("g", "defs") and not inner:
            return ""
        if tag == "g" and not attributes:
            return inner
        opening = " ".join([tag, *(f'{name}="{escape(value)}"' for name, value in attributes.items())])
        return f"<{opening}>{inner}</{tag}>" if inner else f"<{opening}/>"

    def _attributes(self, element: ET.Element, tag: str) -> dict[str, str]:
        kept: dict[str, str] = {}
        for name, value in element.attrib.items():
            if name == "id":
                if tag in ("clipPath", "path"):  # only these are referred to
                    kept["id"] = self._id(value)
            elif name == _HREF:
                kept["href"] = "#" + self._id(value.removeprefix("#"))
            elif name == "clip-path":
                kept[name] = f"url(#{self._id(value.removeprefix('url(#').removesuffix(')'))})"
            elif name == "style":
                style = _style(value)
                if style:
                    kept["class"] = self.drawings.style_class(style)
            elif name in _GEOMETRY:
                if not value.startswith("rotate(-0"):
                    kept[name] = _geometry(value)
            elif "}" not in name:
                kept[name] = value
        return kept

    def _id(self, seen: str) -> str:
        return self._ids.setdefault(seen, f"{self.ident}p{len(self._ids)}")


def _style(value: str) -> str:
    parts = (part.partition(":") for part in value.split(";") if part.strip())
    kept = [f"{name.strip()}:{text.strip()}" for name, _, text in parts if name.strip() not in _IGNORED_STYLES]
    return _COLOUR.sub(lambda match: f"var(--{CSS_VARIABLES[match[1]]})", ";".join(kept))


def _geometry(value: str) -> str:
    if value.startswith("M"):
        return _path(value)
    return _NUMBER.sub(lambda match: f"{round(float(match[0]), 1) + 0:g}", " ".join(value.split()))


def _path(value: str) -> str:
    """Path data in steps, in tenths of a pixel: half the bytes of absolute coordinates.

    Every step leads from one rounded point to the next, so that rounding never adds up along a curve.
    """
    at = start = (0, 0)
    written, before = "", ""
    for command, text in _COMMAND.findall(value):
        if command in "zZ":
            at, letter, steps = start, "z", []
        else:
            numbers = [round(10 * float(n)) for n in text.split()]
            points = list(zip(numbers[::2], numbers[1::2], strict=True))
            origin = (0, 0) if command == "M" else at
            steps = [d for x, y in points for d in (x - origin[0], y - origin[1])]
            letter, at = command if command == "M" else command.lower(), points[-1]
            if command == "M":
                start = at
            elif command == "L" and steps[0] == 0:
                letter, steps = "v", steps[1:]
            elif command == "L" and steps[1] == 0:
                letter, steps = "h", steps[:1]
        if letter != before or letter in "Mz":
            written += letter
        for step in steps:
            apart = written[-1].isdigit() and step >= 0
            written += (" " if apart else "") + _tenths(step)
        before = letter
    return written


def _tenths(step: int) -> str:
    """`step` tenths in the fewest characters: -5 is `-.5`, 20 is `2`."""
    whole, part = divmod(abs(step), 10)
    return ("-" if step < 0 else "") + (str(whole) if whole or not part else "") + (f".{part}" if part else "")
