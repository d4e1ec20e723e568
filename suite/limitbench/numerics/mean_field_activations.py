"""The activations of mean-field networks and their derivatives, on tensors: tanh, erf, and powers of ReLU.

tanh; erf(x) = (2/sqrt(pi)) int_0^x exp(-t^2) dt; psi_A(x) = max(x, 0)^A with 1/2 < A <= 1 (arXiv 1712.08969). A layer
sees V phi(q) = E[phi(z)^2] and V phi'(q) = E[phi'(z)^2], z ~ N(0, q); V psi_A' = A^2 E[max(z, 0)^(2A - 2)] is finite
where A > 1/2 only, so that there are no smaller powers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.mean_field_names import canonical_name

Elementwise: TypeAlias = Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]


@dataclass(frozen=True)
class MeanFieldActivation:
    """phi and phi', elementwise on float64 tensors.

    Attributes:
        name: canonical name, the same for every spelling of one function.
        function: phi, which autograd differentiates to `derivative`.
        derivative: phi' to a few units in the last place everywhere; 0 at the corner of a power of ReLU.
        odd: phi(-x) = -phi(x).
        exponent: A where phi(x) = max(x, 0)^A; None where phi is bounded.
    """

    name: str
    function: Elementwise
    derivative: Elementwise
    odd: bool
    exponent: float | None


def mean_field_activation(name: object) -> MeanFieldActivation:
    """The activation called `name`: `tanh`, `erf`, `relu` or `relu-A`, 1/2 < A <= 1. Raises `InputError`."""
    canonical, exponent = canonical_name(name)
    if exponent is None or exponent == 1.0:
        return _BUILT_IN[canonical]
    function, derivative = partial(_power, exponent=exponent), partial(_power_slope, exponent=exponent)
    return MeanFieldActivation(canonical, function, derivative, False, exponent)


def _tanh_slope(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """sech^2 x: 1 - tanh^2 x would cancel."""
    return torch.cosh(x).reciprocal().square()


def _erf_slope(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """(2/sqrt(pi)) exp(-x^2)."""
    return torch.exp(-x * x) * (2.0 / math.sqrt(math.pi))


def _step(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return (x > 0.0).to(x.dtype)


def _power(x: Float[Tensor, "*shape"], *, exponent: float) -> Float[Tensor, "*shape"]:
    """max(x, 0)^A, whose infinite slope at 0 autograd never meets."""
    positive = x > 0.0
    return torch.where(positive, torch.where(positive, x, 1.0) ** exponent, 0.0)


def _power_slope(x: Float[Tensor, "*shape"], *, exponent: float) -> Float[Tensor, "*shape"]:
    """A max(x, 0)^(A - 1)."""
    positive = x > 0.0
    return torch.where(positive, exponent * torch.where(positive, x, 1.0) ** (exponent - 1.0), 0.0)


_BUILT_IN = {
    activation.name: activation
    for activation in (
        MeanFieldActivation("tanh", torch.tanh, _tanh_slope, True, None),
        MeanFieldActivation("erf", torch.erf, _erf_slope, True, None),
        MeanFieldActivation("relu", torch.relu, _step, False, 1.0),
    )
}
