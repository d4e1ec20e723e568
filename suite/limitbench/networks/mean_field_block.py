"""What one block of a mean-field network does, for both samplers: its kind, its constants, its activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from jaxtyping import Float
from torch import Tensor

from limitbench.numerics.mean_field_activations import MeanFieldActivation

Kind = Literal["full", "reduced", "plain"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Values of every observable: one row a network, one column a recorded layer.
Observed: TypeAlias = dict[str, Float[Tensor, "batch layers"]]


@dataclass(frozen=True)
class MeanFieldBlock:
    """h = w x + b and x -> x + v phi(h) + a (`full`), x + phi(h) (`reduced`) or phi(h) (`plain`).

    Entries of w are N(0, sigma_w^2/N), of v N(0, sigma_v^2/N), of b N(0, sigma_b^2), of a N(0, sigma_a^2).
    """

    kind: Kind
    width: int
    activation: MeanFieldActivation
    sigma_w: float
    sigma_b: float
    sigma_v: float
    sigma_a: float


def observables(kind: Kind, inputs: int) -> tuple[str, ...]:
    """Names of what is observed at a layer."""
    branch = ("log_chi_a", "log_chi_v") if kind == "full" else ()
    pair = ("cosine", "covariance_12", "log_distance") if inputs > 1 else ()
    return ("log_length", "log_preactivation", "log_chi", *branch, "log_chi_b", "log_chi_w", *pair)


def target(index: int) -> float:
    """Target of every output for input number `index` (from 0) in the squared loss: 1, -1, 1, ..."""
    return 1.0 - 2.0 * (index % 2)
