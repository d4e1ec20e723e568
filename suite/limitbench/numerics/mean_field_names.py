"""Names of the activations of mean-field networks: `tanh`, `erf`, `relu`, and `relu-A`, max(x, 0)^A, 1/2 < A <= 1."""

from __future__ import annotations

import math
import re

from limitbench.errors import InputError

_ACCEPTED = "tanh, erf, relu, or relu-A for max(x, 0)^A with 1/2 < A <= 1 in decimals, such as relu-0.85"


def canonical_name(name: object) -> tuple[str, float | None]:
    """The one name of all spellings of an activation, and A where it is max(x, 0)^A. Raises `InputError`."""
    if isinstance(name, str):
        if name in ("tanh", "erf"):
            return name, None
        power = re.fullmatch(r"relu-([0-9]*\.?[0-9]+)", name, re.ASCII)
        exponent = 1.0 if name == "relu" else float(power[1]) if power else math.nan
        if 0.5 < exponent <= 1.0:
            return ("relu" if exponent == 1.0 else f"relu-{exponent!r}"), exponent
    raise InputError("activation", name, _ACCEPTED)
