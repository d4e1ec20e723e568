"""What the mean-field theories share: a network's parameters, and one value or none for every observable of a layer."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from limitbench.errors import InputError
from limitbench.theories.base import Theory
from limitbench.theories.mean_field import parameters
from limitbench.theories.mean_field.recurrence import MeanField, Trajectory

#: Observables of one input: `log_length`, `log_preactivation`, then gradients.
LENGTHS = ("log_length", "log_preactivation")
GRADIENTS = ("log_chi", "log_chi_b", "log_chi_w", "log_chi_v", "log_chi_a")
#: Observables of two inputs.
PAIRS = ("cosine", "covariance_12", "log_distance")


@dataclass(frozen=True)
class MeanFieldTheory(Theory):
    """A theory of a network of `depth` blocks at `layer`, for inputs of one length norm0 with cosine rho0.

    `log_length` = ln p_l, `log_preactivation` = ln q_l, `cosine` = e_l, `covariance_12` = gamma_l, `log_distance` =
    ln s_l; `log_chi` = ln(chi_{l-1}/chi_L), of the input of block l, and `log_chi_b`, `log_chi_w`, `log_chi_v`,
    `log_chi_a` of block l's parameters over chi_L.

    Arguments:
        depth: number of blocks L.
        layer: block l, L where left out.
        network, activation, sigma_w2, sigma_b2, sigma_v2, sigma_a2: as those of `MeanField`.
        norm0: p_0.
        rho0: cosine of the two inputs.

    Raises `InputError` where a value cannot be accepted.
    """

    depth: int
    layer: int | None = None
    network: str = "full"
    activation: str = "tanh"
    sigma_w2: float = field(default=1.69, kw_only=True)
    sigma_b2: float = field(default=0.49, kw_only=True)
    sigma_v2: float = field(default=1.5, kw_only=True)
    sigma_a2: float = field(default=0.5, kw_only=True)
    norm0: float = field(default=1.0, kw_only=True)
    rho0: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", parameters.count("depth", self.depth))
        layer = self.depth if self.layer is None else parameters.count("layer", self.layer)
        if layer > self.depth:
            raise InputError("layer", layer, f"a layer from 1 to depth = {self.depth}")
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "norm0", parameters.variance("norm0", self.norm0, positive=True))
        object.__setattr__(self, "rho0", parameters.cosine("rho0", self.rho0))
        for name in ("activation", "sigma_w2", "sigma_b2", "sigma_v2", "sigma_a2"):
            object.__setattr__(self, name, getattr(self.recurrence, name))

    @property
    def recurrence(self) -> MeanField:
        """The recurrences of this network."""
        sigmas = {name: getattr(self, name) for name in ("sigma_w2", "sigma_b2", "sigma_v2", "sigma_a2")}
        return MeanField(self.network, self.activation, **sigmas)

    @property
    def observables(self) -> tuple[str, ...]:
        """Those that this theory says something about at this layer."""
        return tuple(self._values)

    @cached_property
    def _values(self) -> dict[str, float]:
        """Every observable's value, those without one left out."""
        return {name: value for name, value in self._evaluate().items() if value is not None}

    @abc.abstractmethod
    def _evaluate(self) -> dict[str, float | None]: ...


@lru_cache(maxsize=256)
def trajectory(recurrence: MeanField, depth: int, norm0: float, rho0: float) -> Trajectory:
    """`recurrence.run`, cached: the layers of one network share it."""
    return recurrence.run(depth, norm0=norm0, rho0=rho0)
