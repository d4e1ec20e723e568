"""Perceptrons: with two slopes and no biases, whose laws are exact at finite width, and all others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from limitbench.advice import piecewise
from limitbench.advice.architecture import PiecewiseMLP
from limitbench.advice.check import kernel
from limitbench.advice.check.case import OFFSETS, Case, equal, fluctuations, nngp, shape, with_gradient
from limitbench.advice.check.kernel import Variances
from limitbench.advice.check.measure import Measured
from limitbench.advice.check.read import Reading
from limitbench.advice.check.values import Function
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import Opinion
from limitbench.advice.skewed_law import SkewedLaw
from limitbench.errors import InputError
from limitbench.numerics.layer_norm_cumulants import layer_norm_cumulants
from limitbench.numerics.shaping import log_norm_variance
from limitbench.statistics.laws import Law, Normal
from limitbench.theories.ensembles import EnsemblePerceptron

#: Ratio of slopes from which on a leaky ReLU is also read as one shaped at rate 1/2.
_SHAPED = 0.3


@dataclass(frozen=True, eq=False)
class SlopedCase(Case):
    """An MLP without biases whose activations have two slopes each: layers are independent factors."""

    def offset(self, observable: str, layer: int) -> float:
        """Sum of the logs of sigma_w^2 h, h = (s_+^2 + s_-^2)/2: 0 for He's initialisation.

        Backward, layer l - 1 contributes its h and layer l its sigma_w^2.
        """
        if observable not in OFFSETS:
            return 0.0
        logs = [2 * math.log(gain) for gain in self.gains[:layer]]
        if observable == "log_norm":
            return math.fsum(logs)
        return math.fsum(logs[1:]) + math.log(self.halves[0] / self.halves[layer - 1])

    def start(self, measured: Measured) -> float:
        """The input's."""
        return self.path.log_square(0)

    def gradient_nodes(self, layer: int) -> tuple[int, int]:
        """Pre-activations."""
        return self.reading.layers[0].node, self.reading.layers[layer - 1].node

    def log_gradient(self, layer: int) -> float:
        """That of the gains."""
        return self.offset("log_gradient", layer)

    @property
    def slopes_by_layer(self) -> tuple[tuple[float, float], ...]:
        """(s_+, s_-) of every hidden layer."""
        return tuple(f.slopes for f in self.reading.activations if f.slopes is not None)

    @property
    def halves(self) -> tuple[float, ...]:
        """h of every hidden layer."""
        return tuple((plus**2 + minus**2) / 2 for plus, minus in self.slopes_by_layer)

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """sigma_w sqrt(h) of every hidden layer: 1 keeps the mean squared norm."""
        hidden = self.reading.layers[: self.depth]
        return tuple(math.sqrt(self.variances[m.node].w * h) for m, h in zip(hidden, self.halves, strict=True))

    def widths(self, layer: int) -> tuple[int, ...]:
        """Units of the first hidden layers."""
        return tuple(m.fan_out for m in self.reading.layers[:layer])

    @property
    def variance(self) -> float:
        """Of the log-Gaussian limit: sum over layers of v/n, v = 5 for ReLU and 2 for a linear layer."""
        rates = [log_norm_variance(*slopes) for slopes in self.slopes_by_layer]
        return math.fsum(v / n for v, n in zip(rates, self.widths(self.depth), strict=True))


@final
@dataclass(frozen=True, eq=False)
class MixedCase(SlopedCase):
    """Slopes that differ between layers, as where a linear layer comes first."""

    @property
    def words(self) -> str:
        """Activations, depth, widths."""
        return f"{_mlp(self.reading)} without biases, {shape(self.reading)}"

    def network(self, layer: int) -> None:
        """None: the package's descriptions have one activation."""
        return

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Infinite width, the log-Gaussian limit, and the law with the layers' exact cumulants."""
        limit: dict[str, Law] = {"log_norm": self._normal(layer)}
        exact: dict[str, Law] = {"log_norm": self._skewed(layer)}
        if layer > 1:
            # backward, every layer but the last has a factor with the law of the norm's
            limit["log_gradient"], exact["log_gradient"] = self._normal(layer - 1), self._skewed(layer - 1)
        return (
            self.infinite_width(layer),
            Opinion("log-gaussian-perceptron", "log-Gaussian", limit, "every width large"),
            Opinion("finite-width", "finite width, layer by layer", exact, "moments exact for Gaussian weights"),
        )

    def _normal(self, layer: int) -> Law:
        pairs = zip(self.slopes_by_layer[:layer], self.widths(layer), strict=True)
        variance = math.fsum(log_norm_variance(*slopes) / n for slopes, n in pairs)
        return Normal(-variance / 2, math.sqrt(variance))

    def _skewed(self, layer: int) -> Law:
        pairs = zip(self.slopes_by_layer[:layer], self.widths(layer), strict=True)
        parts = [layer_norm_cumulants(n, *slopes) for slopes, n in pairs]
        mean, variance, third = (math.fsum(part[k] for part in parts) for k in range(3))
        return SkewedLaw(mean, math.sqrt(variance), third / variance**1.5)


@final
@dataclass(frozen=True, eq=False)
class PiecewiseCase(SlopedCase):
    """The same slopes in every layer: every theory of `predict`, exact at finite width for Gaussian weights."""

    slopes: tuple[float, float]
    ensemble: str

    @property
    def words(self) -> str:
        """Activation, depth, widths."""
        return f"{_mlp(self.reading)} without biases, {shape(self.reading)}"

    def network(self, layer: int) -> PiecewiseMLP:
        """With gain 1: gains are offsets."""
        return self._mlp(self.widths(layer), self._gain)

    def opinions(self, layer: int) -> tuple[Opinion, ...]:
        """Those of `predict`, the gradient by the law of the norm, and what the ensemble changes."""
        widths = self.widths(layer)
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
        opinions = [with_gradient(opinion, before.get(name)) for name, opinion in found.items()]
        opinions[0] = nngp(opinions[0])
        opinions.append(
            with_gradient(finest, before.get("finite-width") or self._gradient_laws(layer).get("finite-width"))
        )
        if (own := self._own_ensemble(widths)) is not None:
            opinions.append(own)
        return tuple(opinions)

    @property
    def _gain(self) -> float:
        return math.exp(float(np.mean(np.log(self.gains))))

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
        back = self._mlp(self.widths(layer - 1), 1.0, 1.0)
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
        return f"{_mlp(self.reading)} {'with' if biased else 'without'} biases, {shape(self.reading)}"

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
        if len(widths) > 1 or not equal([v.w for v in inside]) or not equal([v.b for v in inside]):
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
            found += fluctuations(network, add, first_gradient=2)
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


def _mlp(reading: Reading) -> str:
    """`relu MLP`, or what its activations are."""
    kinds = list(dict.fromkeys(f.words for f in reading.activations))
    if len(kinds) == 1 and kinds[0].isalpha():
        return f"{kinds[0]} MLP"
    return f"MLP with phi = {' and '.join(kinds)}"
