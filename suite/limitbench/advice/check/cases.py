"""What was read as a case that theories know: its laws at every layer, and the measured numbers in the same units.

A case gives, at layer l, the opinions of its theories and what they are about: `log_norm`, the log mean square of the
features against the start; `correlation` and `log_gap` of the first two inputs; `log_gradient`, the log squared
gradient at the first layer against that at layer l. Growth that all networks share is an offset, apart from the laws.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float

from limitbench.advice import blocks as mean_field_blocks
from limitbench.advice import piecewise, residual
from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet
from limitbench.advice.check import kernel
from limitbench.advice.check.kernel import Path, Variances
from limitbench.advice.check.measure import Measured
from limitbench.advice.check.read import Reading
from limitbench.advice.check.values import Function
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import Opinion
from limitbench.errors import InputError
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.ensembles import EnsemblePerceptron
from limitbench.theories.mean_field import GaussianFluctuations, Recurrences

OBSERVABLES = ("log_norm", "correlation", "log_gap", "log_gradient")
#: Standard errors within which an estimated variance is that of an initialiser.
_SNAP = 4.5
#: Gaps below this are rounding noise.
SMALLEST_GAP = {"float64": 1e-13, "float32": 1e-5}
#: Ratio of slopes from which on a leaky ReLU is also read as one shaped at rate 1/2.
_SHAPED = 0.3


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


@final
@dataclass(frozen=True, eq=False)
class PiecewiseCase(Case):
    """An MLP without biases whose activation has two slopes: exact laws at finite width for Gaussian weights."""

    slopes: tuple[float, float]
    ensemble: str

    @property
    def words(self) -> str:
        """Activation, depth, widths."""
        return f"{_mlp(self.reading)} without biases, {_shape(self.reading)}"

    def network(self, layer: int) -> PiecewiseMLP:
        """With gain 1: gains are offsets."""
        return self._mlp(self._widths(layer), self._gain)

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Those of `predict`, the gradient by the law of the norm, and what the ensemble changes."""
        widths = self._widths(layer)
        rho0 = self.path.rho(0)
        found: dict[str, Opinion] = {}
        readings = [self._mlp(widths, 1.0, rho0)]
        small, large = sorted(map(abs, self.slopes))
        if large > small >= _SHAPED * large and len(set(widths)) == 1:
            root = math.sqrt(widths[0])
            c = [(s / large - 1) * root for s in self.slopes]
            readings.insert(0, PiecewiseMLP(layer, widths, c[0], c[1], 0.5, rho0))
        for network in readings:
            for opinion in piecewise.opinions(network)[0]:
                if opinion.laws:
                    found.setdefault(opinion.theory, opinion)
        before = {name: law for name, law in self._gradient_laws(layer).items() if name in found}
        finest = found.pop("finite-width")
        opinions = [_with(opinion, before.get(name)) for name, opinion in found.items()]
        opinions[0] = _renamed(opinions[0], "infinite width (NNGP)")
        opinions.append(_with(finest, before.get("finite-width") or self._gradient_laws(layer).get("finite-width")))
        if (own := self._own_ensemble(widths)) is not None:
            opinions.append(own)
        return tuple(opinions)

    def offset(self, observable: str, layer: int) -> float:
        """Sum of the logs of sigma_w^2 h, h = (s_+^2 + s_-^2)/2: 0 for He's initialisation."""
        growth = [math.log(self.variances[m.node].w * self.half) for m in self.reading.layers[:layer]]
        return math.fsum(growth if observable == "log_norm" else growth[1:]) if observable in _OFFSETS else 0.0

    def start(self, measured: Measured) -> float:
        """The input's."""
        return self.path.log_square(0)

    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """Pre-activations."""
        return self.reading.layers[0].node, self.reading.layers[layer - 1].node

    def log_gradient(self, layer: int) -> float:
        """0 but for the gain."""
        return self.offset("log_gradient", layer)

    @property
    def half(self) -> float:
        """h."""
        return (self.slopes[0] ** 2 + self.slopes[1] ** 2) / 2

    @property
    def gains(self) -> tuple[float, ...]:
        """sigma_w sqrt(h) of every hidden layer: 1 keeps the mean squared norm."""
        hidden = self.reading.layers[: self.depth]
        return tuple(math.sqrt(self.variances[m.node].w * self.half) for m in hidden)

    @property
    def _gain(self) -> float:
        return math.exp(float(np.mean(np.log(self.gains))))

    def _widths(self, layer: int) -> tuple[int, ...]:
        return tuple(m.fan_out for m in self.reading.layers[:layer])

    def _mlp(self, widths: tuple[int, ...], gain: float, rho0: float | None = None) -> PiecewiseMLP:
        large = max(self.slopes, key=abs)
        c = [s / large - 1 for s in self.slopes]
        rho = self.path.rho(0) if rho0 is None else rho0
        name = self.reading.activations[0].name
        return PiecewiseMLP(len(widths), widths, c[0], c[1], 0.0, rho, gain, name)

    def _gradient_laws(self, layer: int) -> dict[str, Law]:
        """Backward, every layer but the last has a factor with the law of the norm's, at its width."""
        if layer < 2:
            return {}
        back = self._mlp(self._widths(layer - 1), 1.0, 1.0)
        named = {o.theory: o.laws["log_norm"] for o in piecewise.opinions(back)[0] if "log_norm" in o.laws}
        return named

    def _own_ensemble(self, widths: tuple[int, ...]) -> Opinion | None:
        name = {"uniform": "uniform", "Rademacher": "rademacher", "orthogonal": "orthogonal"}.get(self.ensemble)
        if name is None or len(set(widths)) > 1:
            return None
        try:
            theory = EnsemblePerceptron(len(widths), widths[0], name, *self.slopes)
        except InputError:
            return None
        return Opinion(theory.name, theory.title, {"log_norm": theory.law("log_norm")}, theory.validity)


@final
@dataclass(frozen=True, eq=False)
class PlainCase(Case):
    """Any other MLP: infinite width always, and mean-field fluctuations for relu, tanh and erf at equal widths."""

    @property
    def words(self) -> str:
        """Activation, biases, depth, widths."""
        biased = any(self.variances[m.node].b for m in self.reading.layers[: self.depth])
        return f"{_mlp(self.reading)} {'with' if biased else 'without'} biases, {_shape(self.reading)}"

    @cached_property
    def activation(self) -> Function | None:
        """The one activation of all layers."""
        first, *others = self.reading.activations
        return first if all(first.same(other) for other in others) else None

    def network(self, layer: int) -> MeanFieldNetwork | None:
        """A plain mean-field network, where the activation, the widths and the variances allow."""
        layers, phi = self.reading.layers[: self.depth], self.activation
        if phi is None or phi.name not in ("relu", "scaled relu", "tanh", "erf"):
            return None
        inside = [self.variances[m.node] for m in layers[1:]] or [self.variances[layers[0].node]]
        widths = {m.fan_out for m in layers}
        if len(widths) > 1 or not _equal([v.w for v in inside]) or not _equal([v.b for v in inside]):
            return None
        inner, outer = (phi.inner, phi.outer) if phi.slopes is None else (1.0, phi.slopes[0])
        w, b, first = inside[0].w, inside[0].b, self.variances[layers[0].node]
        norm0 = (first.w * self.path.features[0][0, 0] + first.b - b) / (w * outer**2)
        if not 1e-12 < norm0 < 1e12 or not 1e-12 < w < 1e12:
            return None
        name = "relu" if phi.slopes is not None else phi.name
        sizes = {"sigma_w2": w * (inner * outer) ** 2, "sigma_b2": b * inner**2, "norm0": norm0}
        rho0 = self._start_correlation(first, b, w)
        return MeanFieldNetwork(layer, widths.pop(), "plain", name, rho0=rho0, **sizes)

    def _start_correlation(self, first: Variances, b: float, w: float) -> float:
        """That which the first layer's own variances make of the inputs'."""
        q = (first.w * self.path.features[0] + first.b - b) / w
        return float(kernel.correlation(q)[0, 1])

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Infinite width, and the normal law around it."""
        found = [self.infinite_width(layer)]
        network = self.network(layer)
        if network is not None:
            outer = 1.0 if self.activation is None or self.activation.slopes is None else self.activation.slopes[0]
            outer = self.activation.outer if self.activation is not None and outer == 1 else outer
            add = 2 * math.log(outer) - self.path.log_square(0)
            found += _fluctuations(network, add, first_gradient=2)
        return tuple(found)

    def offset(self, observable: str, layer: int) -> float:
        """None: biases leave no common factor."""
        return 0.0

    def start(self, measured: Measured) -> float:
        """The input's."""
        return self.path.log_square(0)

    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """Features, of the first hidden layer and of this one."""
        return self.reading.features[0], self.reading.features[layer - 1]

    mean_square_gradient = True

    def log_gradient(self, layer: int) -> float:
        """Sum of ln(sigma_w^2 E phi'^2) over the layers in between; the mean square is that of equal widths."""
        found = 0.0
        for k in range(2, layer + 1):
            matrix = self.reading.layers[k - 1]
            slope = kernel.slope_square(self.reading.activations[k - 1], float(self.path.preactivations[k][0, 0]))
            found += math.log(max(self.variances[matrix.node].w * slope * matrix.fan_out / matrix.fan_in, 1e-300))
        return found


@final
@dataclass(frozen=True, eq=False)
class VanillaCase(Case):
    """Residual blocks skip x + branch W relu(x) without biases: the log-Gaussian theories of ResNets."""

    def __post_init__(self) -> None:
        self.network(1)

    @property
    def words(self) -> str:
        """Weights, depth, width."""
        n = self.network(self.depth)
        return f"ReLU ResNet, x' = {n.skip:.4g} x + {n.branch:.4g} n^-1/2 W relu(x), {_shape(self.reading)}"

    def network(self, layer: int) -> ReluResNet:
        """By the share of the skip."""
        block = self.reading.blocks[0]
        slopes = block.activation.slopes
        assert slopes is not None
        w = self.variances[block.layers[0].node].w
        lambda2 = block.branch**2 * w * slopes[0] ** 2 / 2
        growth = block.skip**2 + lambda2
        width = block.layers[0].fan_out
        return ReluResNet(layer, width, block.skip**2 / growth, growth=growth, rho0=self.path.rho(0))

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Those of `predict`."""
        found = [o for o in residual.opinions(self.network(layer))[0] if o.laws]
        return (_renamed(found[0], "infinite width (NNGP)"), *found[1:])

    def offset(self, observable: str, layer: int) -> float:
        """l ln s."""
        return layer * math.log(self.network(layer).growth) if observable == "log_norm" else 0.0

    def start(self, measured: Measured) -> Float[np.ndarray, " networks"]:
        """Each network's own stream before the first block."""
        return measured.at("log_square", self.reading.start)

    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """The stream."""
        return self.reading.start, self.reading.features[layer - 1]


@final
@dataclass(frozen=True, eq=False)
class BlocksCase(Case):
    """Other residual blocks: infinite width, and mean-field theory where the blocks are those of arXiv 1712.08969."""

    @property
    def words(self) -> str:
        """Kind of block, activation, depth, width."""
        formula = {
            "vanilla": "W phi(x)",
            "full": "V phi(W x)",
            "reduced": "phi(W x)",
            "pre-activation": "V phi(W phi(x))",
        }[self.reading.blocks[0].kind]
        block = self.reading.blocks[0]
        skip = "" if block.skip == 1 else f"{block.skip:.4g} "
        branch = "" if block.branch == 1 else f"{block.branch:.4g} "
        return (
            f"residual network x' = {skip}x + {branch}{formula}, phi = {block.activation.words}, {_shape(self.reading)}"
        )

    def network(self, layer: int) -> MeanFieldNetwork | None:
        """A mean-field residual network, where skips are 1 (or phi is a ReLU without biases) and variances equal."""
        first = self.reading.blocks[0]
        phi = first.activation
        if first.kind not in ("full", "reduced") or phi.name not in ("relu", "scaled relu", "tanh", "erf"):
            return None
        inner, outer = (phi.inner, phi.outer) if phi.slopes is None else (1.0, phi.slopes[0])
        sets = [[self.variances[m.node] for m in block.layers] for block in self.reading.blocks]
        same = all(_equal([s[k].w for s in sets]) and _equal([s[k].b for s in sets]) for k in range(len(sets[0])))
        widths = {m.fan_out for block in self.reading.blocks for m in block.layers}
        biased = any(v.b for s in sets for v in s)
        free = first.skip == 1 or (phi.slopes is not None and not biased)
        if not same or len(widths) > 1 or not free or (first.kind == "reduced" and (outer != 1 or first.skip != 1)):
            return None
        w, last = sets[0][0], sets[0][-1]
        branch = (first.branch / first.skip) ** 2
        sizes = {"sigma_w2": w.w * inner**2, "sigma_b2": w.b * inner**2, "norm0": float(self.path.features[0][0, 0])}
        if first.kind == "full":
            sizes |= {"sigma_v2": branch * last.w * outer**2, "sigma_a2": branch * last.b}
        if not all(value == 0 or 1e-12 < value < 1e12 for value in sizes.values()) or not sizes["sigma_w2"]:
            return None
        name = "relu" if phi.slopes is not None else phi.name
        try:
            return MeanFieldNetwork(layer, widths.pop(), first.kind, name, rho0=self.path.rho(0), **sizes)
        except InputError:
            return None

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Infinite width, and the normal law around it."""
        network = self.network(layer)
        if network is None:
            return (self.infinite_width(layer),)
        return (self.infinite_width(layer), *_fluctuations(network, -self.path.log_square(0), first_gradient=1))

    def offset(self, observable: str, layer: int) -> float:
        """That of the skip, l ln skip^2."""
        skip = self.reading.blocks[0].skip
        return 2 * layer * math.log(abs(skip)) if observable in _OFFSETS and skip != 1 else 0.0

    def start(self, measured: Measured) -> float:
        """That which is expected of the stream before the first block."""
        return self.path.log_square(0)

    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """The stream."""
        return self.reading.start, self.reading.features[layer - 1]

    def log_gradient(self, layer: int) -> float | None:
        """The recurrence's, of a network whose blocks it knows."""
        network = self.network(layer)
        if network is None:
            return None
        theory = Recurrences(**_mean_field(network), layer=1)
        if "log_chi" not in theory.observables or not mean_field_blocks.follows_recurrence(network):
            return None
        return theory.law("log_chi").mean + self.offset("log_gradient", layer)


_OFFSETS = ("log_norm", "log_gradient")


def _fluctuations(network: MeanFieldNetwork, add: float, *, first_gradient: int) -> list[Opinion]:
    """The normal law of the log length and of the log gradient; `add` turns ln p into the case's log norm."""
    try:
        theory = GaussianFluctuations(**_mean_field(network), width=network.width)
    except InputError:
        return []
    laws: dict[str, Law] = {}
    if "log_length" in theory.observables:
        laws["log_norm"] = _moved(theory.law("log_length"), add)
    if network.depth > first_gradient - 1:
        back = GaussianFluctuations(**_mean_field(network), width=network.width, layer=first_gradient)
        if "log_chi" in back.observables:
            laws["log_gradient"] = back.law("log_chi")
    return [Opinion(theory.name, theory.title, laws, theory.validity)] if laws else []


def _mean_field(network: MeanFieldNetwork) -> dict[str, Any]:
    shape: dict[str, Any] = {"depth": network.depth, "network": network.block, "activation": network.activation}
    return shape | network.variances | {"norm0": network.norm0, "rho0": network.rho0}


def _moved(law: Law, add: float) -> Law:
    from limitbench.statistics.laws import Normal

    return Normal(law.mean + add, law.std)


def _with(opinion: Opinion, gradient: Law | None) -> Opinion:
    if gradient is None:
        return opinion
    laws = {**opinion.laws, "log_gradient": gradient}
    return Opinion(opinion.theory, opinion.title, laws, opinion.error_order, opinion.note, opinion.active_fraction)


def _renamed(opinion: Opinion, title: str) -> Opinion:
    return Opinion(opinion.theory, title, opinion.laws, opinion.error_order, opinion.note, opinion.active_fraction)


def _equal(values: list[float]) -> bool:
    """Whether estimates differ by no more than they may: variances that are equal have been given one value."""
    return max(values) - min(values) <= 1e-9 * max(abs(max(values)), 1e-300)


def _mlp(reading: Reading) -> str:
    """`relu MLP`, or what its activations are."""
    kinds = list(dict.fromkeys(f.words for f in reading.activations))
    if len(kinds) == 1 and kinds[0].isalpha():
        return f"{kinds[0]} MLP"
    return f"MLP with phi = {' and '.join(kinds)}"


def _shape(reading: Reading) -> str:
    widths = sorted({m.fan_out for m in reading.layers[: max(len(reading.layers) - reading.head, 1)]})
    units = f"{widths[0]} units" if len(widths) == 1 else f"{widths[0]} to {widths[-1]} units"
    kind = "hidden layer" if reading.family == "mlp" else "block"
    return f"{reading.depth} {kind}{'' if reading.depth == 1 else 's'} of {units}"
