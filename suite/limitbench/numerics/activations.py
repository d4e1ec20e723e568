"""Smooth activations and their shaping, phi_s(x) = s phi(x/s), which approaches the identity as s = a n^p grows.

Everything that a limit sees of an activation is its second and third derivative at 0 (arXiv 2206.02768).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError

#: Gaussian integrals stop at this many standard deviations: 1e-20 of a fourth moment lies beyond.
_REACH = 10.0
#: Nodes of the trapezoid rule lie this close, and this close in units of the distance of a singularity at i s.
#: The rule converges like exp(-2 pi^2/h^2) and exp(-2 pi s/h): below 1e-15 for both.
_STEP, _STEP_PER_SCALE = 0.5, 0.17
#: Step of `turning_nodes` in its own variable, in which a turn of any sharpness lies pi/2 away: below 1e-15.
_TURNING_STEP = 0.2


@dataclass(frozen=True)
class SmoothActivation:
    """An activation phi with phi(0) = 0 and phi'(0) = 1, four times differentiable.

    Arguments:
        name: names the activation in seeds, stores and reports; give each function its own.
        function: phi on float64 tensors, elementwise. It should keep its relative accuracy near 0.
        second, third: phi''(0) and phi'''(0), by automatic differentiation where left out.

    Raises `InputError` where phi(0) is not 0, phi'(0) not 1, or a derivative is not finite.
    """

    name: str
    function: Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]
    second: float = math.nan
    third: float = math.nan

    def __post_init__(self) -> None:
        h = 1e-5
        below, value, above = self.function(torch.tensor([-h, 0.0, h], dtype=torch.float64)).tolist()
        slope = (above - below) / (2 * h)
        if not (abs(value) < 1e-9 and abs(slope - 1) < 1e-6):
            raise InputError("activation", f"{self.name}: phi(0) = {value:g}, phi'(0) = {slope:g}", "0 and 1")
        given = (float(self.second), float(self.third))
        # only where needed: higher derivatives make torch load its compiler, which takes seconds
        found = _derivatives(self.function) if any(map(math.isnan, given)) else given
        for field, known, derivative in zip(("second", "third"), given, found, strict=True):
            object.__setattr__(self, field, derivative if math.isnan(known) else known)
            if not math.isfinite(getattr(self, field)):
                raise InputError(field, getattr(self, field), "a finite derivative at 0")

    def shaped(self, x: Float[Tensor, "*shape"], s: float) -> Float[Tensor, "*shape"]:
        """phi_s(x) = s phi(x/s)."""
        return self.function(x / s) * s

    def norm_drift(self, scale: float) -> float:
        """beta = (3/4 phi''^2 + phi''')/a^2, a = `scale`: dV = beta V (V - 1) dt + sqrt2 V dB at rate 1/2."""
        return (0.75 * self.second**2 + self.third) / scale**2

    def normaliser(self, s: float) -> float:
        """c = 1/E[phi_s(g)^2] for g ~ N(0, 1), to 1e-14 relative for phi analytic in |Im x| < 1 (cached)."""
        return _normaliser(self, s)


def gaussian_nodes(s: float, spread: float = 1.0) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes and weights of E f(g) for g ~ N(0, 1) and f(g) a product of phi_s(spread g) with phi analytic in |Im| < 1.

    The trapezoid rule, whose error is exponentially small for analytic integrands; a small s needs a fine mesh.
    """
    step = min(_STEP, _STEP_PER_SCALE * s / spread)
    count = math.ceil(_REACH / step)
    x = np.arange(-count, count + 1) * step
    weights = np.exp(-x * x / 2)
    return x, weights / weights.sum()


def turning_nodes(
    sharpness: float, reach: float = _REACH
) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Nodes y and weights of int f dy over [-reach, reach] for f that turns at 0 within `sharpness`, however sharply.

    The trapezoid rule in w = asinh(y/sharpness) + y: nodes as close as the distance to the turn allows, of order
    ln(1/sharpness) in all. For phi whose singularities lie around the imaginary axis, as those of all built-in ones.
    """
    top = math.asinh(reach / sharpness) + reach
    w = np.arange(math.ceil(top / _TURNING_STEP) + 1) * _TURNING_STEP
    guess = sharpness * np.sinh(np.linspace(0.0, math.asinh(reach / sharpness) + 1.0, 4000))
    y = np.interp(w, np.arcsinh(guess / sharpness) + guess, guess)
    for _ in range(6):  # Newton from an interpolated guess: quadratic, to rounding
        y -= (np.arcsinh(y / sharpness) + y - w) / (1 / np.hypot(y, sharpness) + 1)
    weights = _TURNING_STEP / (1 / np.hypot(y, sharpness) + 1)
    return np.concatenate([-y[:0:-1], y]), np.concatenate([weights[:0:-1], weights])


@lru_cache(maxsize=1024)
def _normaliser(activation: SmoothActivation, s: float) -> float:
    x, weights = gaussian_nodes(s)
    values = activation.shaped(torch.from_numpy(x), s).numpy()
    return 1.0 / float(weights @ values**2)


def _derivatives(function: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """phi'' and phi''' at 0 by automatic differentiation; what does not depend on x has derivative 0."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        y = function(x)
        found = []
        for _ in range(3):
            if y.requires_grad:
                (y,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True)
            else:
                y = torch.zeros_like(x)
            found.append(float(y.detach()))
    return found[1], found[2]


def _shifted_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """(tanh(x + b) - tanh b)/sech^2 b at b = 0.4, by the addition formula: no cancellation near 0."""
    t = torch.tanh(x)
    return t / (1.0 + math.tanh(0.4) * t)


def _softplus(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """2 ln((1 + e^x)/2) = x + 2 ln cosh(x/2), without overflow and without cancellation near 0."""
    size = x.abs()
    return x + (size + 2.0 * torch.log1p(torch.expm1(-size) / 2.0))


def _root(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x + sqrt(1 + x^2) - 1, the root's part as x^2/(1 + sqrt(1 + x^2)): no cancellation near 0."""
    return x + x * (x / (1.0 + torch.sqrt(1.0 + x * x)))


def _silu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """2 x sigmoid(x)."""
    return 2.0 * x * torch.sigmoid(x)


_TANH = math.tanh(0.4)
#: The built-in activations: beta a^2 = -2, -0.70, 0.75, 3/16, -1, 3/4.
ACTIVATIONS: dict[str, SmoothActivation] = {
    activation.name: activation
    for activation in (
        SmoothActivation("tanh", torch.tanh, 0.0, -2.0),
        SmoothActivation("shifted-tanh", _shifted_tanh, -2.0 * _TANH, 6.0 * _TANH**2 - 2.0),
        SmoothActivation("softplus", _softplus, 0.5, 0.0),
        SmoothActivation("arcsinh", torch.asinh, 0.0, -1.0),
        SmoothActivation("silu", _silu, 1.0, 0.0),
        SmoothActivation("root", _root, 1.0, 0.0),
    )
}


def activation_of(value: Any) -> SmoothActivation:
    """The activation called `value`, a built-in name or `module:name`; an object as it is. Raises `InputError`."""
    if isinstance(value, SmoothActivation):
        return value
    if isinstance(value, str) and value in ACTIVATIONS:
        return ACTIVATIONS[value]
    accepted = "one of " + ", ".join(ACTIVATIONS) + ", or module:name of a SmoothActivation"
    if not isinstance(value, str):
        raise InputError("activation", value, accepted)
    module, colon, name = value.partition(":")
    try:
        found = getattr(importlib.import_module(module), name) if colon else None
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError("activation", value, f"{accepted} ({error})") from None
    if not isinstance(found, SmoothActivation):
        raise InputError("activation", value, accepted)
    return found
