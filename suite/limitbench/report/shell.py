"""What every page of the project shares: the template environment, the style sheet and the script.

All of it stands inside the page. The script is allowed by its hash, so that the page's own policy forbids any other.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from limitbench.report.formulas import mathml, powers

#: Characters that stand for themselves in a data URI and in an HTML attribute.
_SAFE = "!$()*+,-./:;=?@_~[]{}|^`\\'−–·±×≤≥→∞²³√αβγδεζηθκλμνξπρσςτφχψωΓΔΘΛΞΠΣΦΨΩℓ₊₋"

#: Operators that stand in no string of the script.
_SPACED = re.compile(r" (=>|===|&&|\|\||\?\?|\?|[-+<>*/]) ")


def environment() -> jinja2.Environment:
    """Templates of the package: everything is escaped; `script` and `script_policy` are known to `base.html`."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("limitbench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.globals.update(script=Markup(script()), script_policy=script_policy())
    found.filters.update(mathml=mathml, powers=powers, csv_uri=csv_uri)
    return found


@functools.cache
def style_sheet() -> str:
    """The rules of `templates/style.css`."""
    return _source("style.css")


@functools.cache
def script() -> str:
    """The script of `templates/page.js` without its comments, indentation and the spaces around some operators."""
    lines = (line.strip() for line in _source("page.js").splitlines())
    return _SPACED.sub(r"\1", "\n".join(line for line in lines if line and not line.startswith("//")))


@functools.cache
def script_policy() -> str:
    """The source expression of a content security policy that allows `script` and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()}'"


def csv_uri(text: str) -> str:
    """`text` as the address of a download that needs no script and no second file."""
    return f"data:text/csv;charset=utf-8,{quote(text, safe=_SAFE)}"


def _source(name: str) -> str:
    loader = jinja2.PackageLoader("limitbench.report")
    return loader.get_source(jinja2.Environment(loader=loader, autoescape=True), name)[0]
