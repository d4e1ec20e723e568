"""Residual networks: x' = skip x + branch W relu(x) without biases, and all others whose blocks were recognised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from limitbench.advice import blocks as mean_field_blocks
from limitbench.advice import residual
from limitbench.advice.architecture import ReluResNet
from limitbench.advice.check.case import OFFSETS, Case, equal, fluctuations, mean_field, nngp, shape
from limitbench.advice.check.measure import Measured
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import Opinion
from limitbench.errors import InputError
from limitbench.theories.mean_field import Recurrences


@final
@dataclass(frozen=True, eq=False)
class VanillaCase(Case):
    """Residual blocks skip x + branch W relu(x) without biases: the log-Gaussian theories of ResNets."""

    @property
    def words(self) -> str:
        """Weights, depth, width."""
        n = self.network(self.depth)
        return f"ReLU ResNet, x' = {n.skip:.4g} x + {n.branch:.4g} n^-1/2 W relu(x), {shape(self.reading)}"

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
        return (nngp(found[0]), *found[1:])

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
            f"residual network x' = {skip}x + {branch}{formula}, phi = {block.activation.words}, {shape(self.reading)}"
        )

    def network(self, layer: int) -> MeanFieldNetwork | None:
        """A mean-field residual network, where skips are 1 (or phi is a ReLU without biases) and variances equal."""
        first = self.reading.blocks[0]
        phi = first.activation
        if first.kind not in ("full", "reduced") or phi.name not in ("relu", "scaled relu", "tanh", "erf"):
            return None
        inner, outer = (phi.inner, phi.outer) if phi.slopes is None else (1.0, phi.slopes[0])
        sets = [[self.variances[m.node] for m in block.layers] for block in self.reading.blocks]
        same = all(equal([s[k].w for s in sets]) and equal([s[k].b for s in sets]) for k in range(len(sets[0])))
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
        return (self.infinite_width(layer), *fluctuations(network, -self.path.log_square(0), first_gradient=1))

    def offset(self, observable: str, layer: int) -> float:
        """That of the skip, l ln skip^2."""
        skip = self.reading.blocks[0].skip
        return 2 * layer * math.log(abs(skip)) if observable in OFFSETS and skip != 1 else 0.0

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
        theory = Recurrences(**mean_field(network), layer=1)
        if "log_chi" not in theory.observables or not mean_field_blocks.follows_recurrence(network):
            return None
        return theory.law("log_chi").mean + self.offset("log_gradient", layer)
