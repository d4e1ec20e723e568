"""Formulas as MathML: LaTeX in, an element that browsers draw, print and read aloud without a script or a font.

What the library writes is brought to the part of MathML that all browsers know: script letters are characters of their
own, relations are operators.
"""

from __future__ import annotations

import functools
import re
from html import escape

from latex2mathml.converter import convert
from markupsafe import Markup

_SCRIPT = {letter: chr(0x1D49C + k) for k, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_SCRIPT |= {"B": "ℬ", "E": "ℰ", "F": "ℱ", "H": "ℋ", "I": "ℐ", "L": "ℒ", "M": "ℳ", "R": "ℛ"}
_POWER = re.compile(r"\^(?:\(([\w\s.+−/-]{1,20})\)|([−-]?[^\W_][^\W_.]*(?:\.\d+)?(?:/[^\W_]+)?))")
_SIGNS = {"&lt;=": "≤", "&gt;=": "≥", "-&gt;": "→"}
_UPRIGHT = re.compile(r'(?:<mi mathvariant="normal">[A-Za-z]</mi>){2,}')
_LETTER = re.compile(r'<mi mathvariant="normal">([A-Za-z])</mi>')


@functools.cache
def mathml(latex: str, display: str = "block") -> Markup:
    """`latex` as a `<math>` element; its source is the text that a reader without MathML gets.

    Arguments:
        latex: one formula in LaTeX mathematics, without dollar signs; empty gives nothing.
        display: `block` or `inline`.

    Whatever the library cannot read is shown as its source. Cost: a millisecond, once a formula.
    """
    if not latex.strip():
        return Markup("")
    try:
        text = convert(latex, display=display)
    except Exception:  # a formula that cannot be read must not cost the page
        return Markup("<code>{}</code>").format(latex)
    text = text.replace('xmlns="http://www.w3.org/1998/Math/MathML" ', f'alttext="{escape(latex)}" ', 1)
    text = re.sub(r'<mi mathvariant="script">([A-Z])</mi>', lambda m: f"<mi>{_SCRIPT[m[1]]}</mi>", text)
    text = _UPRIGHT.sub(lambda m: f"<mi>{''.join(_LETTER.findall(m[0]))}</mi>", text)
    text = text.replace("<mi>&#x0007E;</mi>", "<mo>∼</mo>")
    return Markup(re.sub(r"&#x0([0-9A-F]{4});", lambda m: escape(chr(int(m[1], 16))), text))


def powers(text: str) -> Markup:
    """Plain text with what follows a caret raised: `n^-1/2`, `l^2`, `e^(2t)`; `<=`, `>=` and `->` become one sign.

    Everything is escaped first.
    """
    found = escape(text)
    for typed, sign in _SIGNS.items():
        found = found.replace(typed, sign)
    return Markup(_POWER.sub(lambda m: f"<sup>{(m[1] or m[2]).replace('-', '−')}</sup>", found))
