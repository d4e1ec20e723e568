"""What was read as a case that theories know: its laws at every layer, and the measured numbers in the same units.

A case gives, at layer l, the opinions of its theories and what they are about: `log_norm`, the log mean square of the
features against the start; `correlation` and `log_gap` of the first two inputs; `log_gradient`, the log squared
gradient at the first layer against that at layer l. Growth that all networks share is an offset, apart from the laws.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from limitbench.advice.architecture import Architecture
from limitbench.advice.check.kernel import Path, Variances
from limitbench.advice.check.measure import Measured
from limitbench.advice.check.read import Reading
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import Opinion
from limitbench.errors import InputError
from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.mean_field import GaussianFluctuations

OBSERVABLES = ("log_norm", "correlation", "log_gap", "log_gradient")
#: Those to which growth that all networks share is added.
OFFSETS = ("log_norm", "log_gradient")
#: Gaps below this are rounding noise.
SMALLEST_GAP = {"float64": 1e-13, "float32": 1e-5}


@dataclass(frozen=True, eq=False)
class Case(abc.ABC):
    """A module that theories know.

    Attributes:
        reading: what it computes.
        variances: of every matrix, by node.
        path: infinite width, layer by layer.
    """

    reading: Reading
    variances: Mapping[int, Variances]
    path: Path

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What it is, in a few words."""

    @property
    def depth(self) -> int:
        """Hidden layers or blocks."""
        return self.reading.depth

    @abc.abstractmethod
    def network(self, layer: int) -> Architecture | None:
        """The description that the package's theories take, up to this layer; None where infinite width alone is."""

    @abc.abstractmethod
    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """What each theory says at this layer, from the coarsest to the finest, offsets taken off."""

    @abc.abstractmethod
    def offset(self, observable: str, layer: int) -> float:
        """What is added to the laws of `log_norm` and `log_gradient`."""

    @abc.abstractmethod
    def start(self, measured: Measured) -> Float[np.ndarray, " networks"] | float:
        """The log mean square that `log_norm` is against."""

    @abc.abstractmethod
    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """The nodes whose gradients are compared: the first layer's, and layer l's."""

    def observed(self, measured: Measured, layer: int) -> dict[str, Float[np.ndarray, " networks"]]:
        """The measured numbers at this layer, offsets left in."""
        node = self.reading.features[layer - 1]
        found = {
            "log_norm": measured.at("log_square", node) - self.start(measured),
            "correlation": measured.at("correlation", node),
        }
        smallest = math.log(SMALLEST_GAP[str(measured.cell.dtype).removeprefix("torch.")])
        gap = measured.at("log_gap", node)
        if (gap > smallest).mean() > 0.99:
            found["log_gap"] = gap
        first, last = self.gradient_nodes(layer)
        if first != last:
            with np.errstate(invalid="ignore"):  # dead networks have neither: NaN
                ratio = measured.at("log_gradient", first) - measured.at("log_gradient", last)
            sizes = [math.prod(measured.cell.nodes[n].shape[1:]) for n in (first, last)]
            found["log_gradient"] = ratio - (math.log(sizes[0] / sizes[1]) if self.mean_square_gradient else 0.0)
        return {name: values for name, values in found.items() if np.isfinite(values).mean() > 0.9}

    #: Whether gradients are compared by mean squares instead of sums of squares.
    mean_square_gradient = False

    def infinite_width(self, layer: int) -> Opinion:
        """The module's own kernel recursion."""
        log_norm = self.path.log_square(layer) - self.path.log_square(0) - self.offset("log_norm", layer)
        rho = self.path.rho(layer)
        laws: dict[str, Law] = {"log_norm": PointMass(log_norm), "correlation": PointMass(rho)}
        if 1 - rho > 1e-9:
            laws["log_gap"] = PointMass(math.log1p(-rho))
        gradient = self.log_gradient(layer)
        if gradient is not None and math.isfinite(gradient):
            laws["log_gradient"] = PointMass(gradient - self.offset("log_gradient", layer))
        order = "width to infinity at fixed depth"
        return Opinion("infinite-width", "infinite width (NNGP)", laws, order)

    def log_gradient(self, layer: int) -> float | None:
        """Infinite width's log gradient ratio, where it is known."""
        return None


def fluctuations(network: MeanFieldNetwork, add: float, *, first_gradient: int) -> list[Opinion]:
    """The normal law of the log length and of the log gradient; `add` turns ln p into the case's log norm."""
    try:
        theory = GaussianFluctuations(**mean_field(network), width=network.width)
    except InputError:
        return []
    laws: dict[str, Law] = {}
    if "log_length" in theory.observables:
        laws["log_norm"] = _moved(theory.law("log_length"), add)
    if network.depth > first_gradient - 1:
        back = GaussianFluctuations(**mean_field(network), width=network.width, layer=first_gradient)
        if "log_chi" in back.observables:
            laws["log_gradient"] = back.law("log_chi")
    return [Opinion(theory.name, theory.title, laws, theory.validity)] if laws else []


def mean_field(network: MeanFieldNetwork) -> dict[str, Any]:
    """Its fields as the mean-field theories take them."""
    shape: dict[str, Any] = {"depth": network.depth, "network": network.block, "activation": network.activation}
    return shape | network.variances | {"norm0": network.norm0, "rho0": network.rho0}


def _moved(law: Law, add: float) -> Law:
    return Normal(law.mean + add, law.std)


def with_gradient(opinion: Opinion, gradient: Law | None) -> Opinion:
    """The opinion with a law of the log gradient ratio."""
    return opinion if gradient is None else replace(opinion, laws={**opinion.laws, "log_gradient": gradient})


def nngp(opinion: Opinion) -> Opinion:
    """Infinite width under the name by which it is known."""
    return replace(opinion, title="infinite width (NNGP)")


def equal(values: list[float]) -> bool:
    """Whether estimates differ by no more than they may: variances that are equal have been given one value."""
    return max(values) - min(values) <= 1e-9 * max(abs(max(values)), 1e-300)


def shape(reading: Reading) -> str:
    """Depth and widths in words."""
    widths = sorted({m.fan_out for m in reading.layers[: max(len(reading.layers) - reading.head, 1)]})
    units = f"{widths[0]} units" if len(widths) == 1 else f"{widths[0]} to {widths[-1]} units"
    kind = "hidden layer" if reading.family == "mlp" else "block"
    return f"{reading.depth} {kind}{'' if reading.depth == 1 else 's'} of {units}"
