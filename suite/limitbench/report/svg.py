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

from limitbench.report.style import CSS_VARIABLES, PLACEHOLDER

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+e-\d+")
_GEOMETRY = ("d", "x", "y", "width", "height", "transform", "points")
_COLOUR = re.compile(PLACEHOLDER + r"([0-9a-f]{2})")
_IGNORED_STYLES = ("font-family", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit")


class StyleClasses:
    """The inline styles of all figures of a page as classes `s0`, `s1`, ... in order of first use."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, style: str) -> str:
        """Class of a declaration block."""
        return self._names.setdefault(style, f"s{len(self._names)}")

    def css(self) -> str:
        """The rules."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self._names.items())


def inline_svg(figure: Figure, *, ident: str, title: str, desc: str, classes: StyleClasses) -> str:
    """`figure` as an `<svg role="img">` element with title and description.

    Arguments:
        figure: the figure; one point of it becomes one CSS pixel.
        ident: unique on the page; prefix of every id inside.
        title, desc: plain text, escaped here.
        classes: collects the inline styles.
    """
    stream = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=metadata)  # type: ignore[arg-type]
    root = ET.fromstring(stream.getvalue())
    _, _, width, height = (float(v) for v in root.attrib["viewBox"].split())
    body = "".join(_write(child, ident, classes) for child in root)
    return (
        f'<svg role="img" aria-labelledby="{ident}-t {ident}-d" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}"><title id="{ident}-t">{escape(title)}</title>'
        f'<desc id="{ident}-d">{escape(desc)}</desc>{body}</svg>'
    )


def _write(element: ET.Element, ident: str, classes: StyleClasses) -> str:
    tag = element.tag.removeprefix(_SVG)
    if tag in ("metadata", "style"):
        return ""
    attributes = _attributes(element, tag, ident, classes)
    inner = escape(element.text.strip(), quote=False) if element.text else ""
    inner += "".join(_write(child, ident, classes) for child in element)
    if tag in ("g", "defs") and not inner:
        return ""
    if tag == "g" and not attributes:
        return inner
    opening = " ".join([tag, *(f'{name}="{escape(value)}"' for name, value in attributes.items())])
    return f"<{opening}>{inner}</{tag}>" if inner else f"<{opening}/>"


def _attributes(element: ET.Element, tag: str, ident: str, classes: StyleClasses) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in element.attrib.items():
        if name == "id":
            if tag in ("clipPath", "path"):  # only these are referred to
                kept["id"] = f"{ident}{value}"
        elif name == _HREF:
            kept["href"] = f"#{ident}{value.removeprefix('#')}"
        elif name == "clip-path":
            kept[name] = value.replace("url(#", f"url(#{ident}")
        elif name == "style":
            style = _style(value)
            if style:
                kept["class"] = classes.name(style)
        elif name in _GEOMETRY:
            rounded = _geometry(value)
            if not (name == "transform" and rounded.startswith("rotate(0 ")):
                kept[name] = rounded
        elif "}" not in name:
            kept[name] = value
    return kept


def _style(value: str) -> str:
    parts = (part.partition(":") for part in value.split(";") if part.strip())
    kept = [f"{name.strip()}:{text.strip()}" for name, _, text in parts if name.strip() not in _IGNORED_STYLES]
    return _COLOUR.sub(lambda match: f"var(--{CSS_VARIABLES[match[1]]})", ";".join(kept))


def _geometry(value: str) -> str:
    text = _NUMBER.sub(lambda match: f"{round(float(match[0]), 1) + 0:g}", " ".join(value.split()))
    if not text.startswith("M"):
        return text
    if not re.search("[CQ]", text):  # after a moveto, a further pair means a line
        text = text.replace(" L ", " ")
    return re.sub(" ?([A-Za-z]) ?", r"\1", text)
