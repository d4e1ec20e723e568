"""Mean-field residual networks at initialisation, and the plain network as their control, with their gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import mean_field_dense, mean_field_exact
from limitbench.networks.base import REAL_MATRICES, Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, number, power_of_two_below, whole
from limitbench.networks.gram import gram_root
from limitbench.networks.mean_field_block import KINDS, MeanFieldBlock, observables
from limitbench.numerics.mean_field_activations import mean_field_activation
from limitbench.numerics.random import Stream

#: Bounds of a variance: a few blocks change no length by more than the range of floats.
_SMALLEST, _LARGEST = 1e-12, 1e12
#: Inputs that observables compare.
_NAMED = 2


@dataclass(frozen=True)
class MeanFieldNet(Network):
    """A network of width N, depth L and random biases, and the gradient of a loss at its end (arXiv 1712.08969).

        h_l = w_l x_{l-1} + b_l,   full:     x_l = x_{l-1} + v_l phi(h_l) + a_l
                                   reduced:  x_l = x_{l-1} + phi(h_l)
                                   plain:    x_l = phi(h_l)

    Entries w ~ N(0, sigma_w2/N), v ~ N(0, sigma_v2/N), b ~ N(0, sigma_b2), a ~ N(0, sigma_a2), all independent; the
    rows of x_0 are N(0, gram): a random linear embedding of the inputs. Losses:

    - `independent`: E = <u, x_L^1>, u ~ N(0, I) independent of the network: the gradient of input 1 alone.
    - `squared`: E = sum_a |W x_L^a / sqrt(N) - y^a|^2 / 2, entries of W N(0, 1), `outputs` outputs, every target of the
      inputs 1, 2, 3, ... 1, -1, 1, ...; gradients of parameters are sums over all inputs.

    Observables at layer l = 1 .. L, of input 1 where nothing else is said, chi_l = |dE/dx_l|^2 / N:

        log_length         ln p_l = ln |x_l|^2 / N
        log_preactivation  ln q_l = ln |h_l|^2 / N
        log_chi            ln chi_{l-1} / chi_L: at the input of block l, so that l = 1 is the gain of all blocks
        log_chi_w, _b, _v, _a  ln of the mean square of dE/dw_l, ..., over chi_L; v and a if `full`
        cosine, covariance_12, log_distance   <x, x'> / (|x| |x'|), <x, x'> / N, ln |x - x'|^2 / N of two inputs

    The distance is that of the vectors, down to 1e-32 p_l. Logs of what is 0 are -inf: a dead layer, a ReLU branch
    whose units are all off, an activation so saturated that phi' vanishes in float64. Any depth: gradients, and lengths
    of powers of ReLU, are carried as logs (`covariance_12` is inf beyond 1e308). Lengths that vanish below 1e-308, of
    tanh and erf without biases, have log -inf. The sampler `dense` has no such logs: squares within 1e-300 .. 1e300.

    Arguments:
        depth: number of blocks L; laws of gradients depend on it.
        width: units N.
        network: `full`, `reduced` or `plain`.
        activation: `tanh`, `erf`, `relu` or `relu-A`, max(x, 0)^A with 1/2 < A < 1.
        sigma_w2, sigma_b2: variances of w (times N) and b.
        sigma_v2, sigma_a2: variances of v (times N) and a in `full`; the other two have neither and ignore them.
        norm0: mean square of an entry of x_0.
        rho0: correlation of two inputs; one input where neither this nor `gram` is given.
        gram: or the covariance matrix of x_0's rows for any number of inputs, m x m.
        loss: `independent` or `squared`.
        outputs: outputs of the squared loss.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    network: str = field(default="full", kw_only=True)
    activation: str = field(default="tanh", kw_only=True)
    sigma_w2: float = field(default=1.69, kw_only=True)
    sigma_b2: float = field(default=0.49, kw_only=True)
    sigma_v2: float = field(default=1.5, kw_only=True)
    sigma_a2: float = field(default=0.5, kw_only=True)
    norm0: float = field(default=1.0, kw_only=True)
    rho0: float | None = field(default=None, kw_only=True)
    gram: tuple[tuple[float, ...], ...] | None = field(default=None, kw_only=True)
    loss: str = field(default="independent", kw_only=True)
    outputs: int = field(default=1, kw_only=True)

    family: ClassVar[str] = "mean-field"
    version: ClassVar[int] = 2
    depends_on_final_depth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        values: dict[str, object] = {name: whole(name, getattr(self, name)) for name in ("depth", "width", "outputs")}
        if self.network not in KINDS:
            raise InputError("network", self.network, " or ".join(KINDS))
        if self.loss not in ("independent", "squared"):
            raise InputError("loss", self.loss, "independent or squared")
        values["activation"] = mean_field_activation(self.activation).name
        for name in ("sigma_w2", "sigma_v2", "norm0"):
            values[name] = number(name, getattr(self, name), _SMALLEST, _LARGEST)
        for name in ("sigma_b2", "sigma_a2"):
            values[name] = number(name, getattr(self, name), 0.0, _LARGEST)
        if self.gram is not None:
            if self.rho0 is not None:
                raise InputError("rho0", self.rho0, "None where gram is given, which holds it")
            if self.norm0 != 1.0:
                raise InputError("norm0", self.norm0, "1 where gram is given, which holds it")
            values["gram"] = gram_matrix(self.gram)
        elif self.rho0 is not None:
            values["rho0"] = number("rho0", self.rho0, -1.0, 1.0)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def block(self) -> MeanFieldBlock:
        """What every block does."""
        (kind,) = (kind for kind in KINDS if kind == self.network)
        deviations = (math.sqrt(v) for v in (self.sigma_w2, self.sigma_b2, self.sigma_v2, self.sigma_a2))
        return MeanFieldBlock(kind, self.width, mean_field_activation(self.activation), *deviations)

    @property
    def input_gram(self) -> tuple[tuple[float, ...], ...]:
        """Covariance matrix of the rows of x_0."""
        if self.gram is not None:
            return self.gram
        p, rho = self.norm0, self.rho0
        return ((p,),) if rho is None else ((p, p * rho), (p * rho, p))

    @property
    def inputs(self) -> int:
        """Number of inputs m."""
        return len(self.input_gram)

    @property
    def observables(self) -> tuple[str, ...]:
        """By the kind of the network and the number of inputs."""
        return observables(self.block.kind, self.inputs)

    @property
    def parameters(self) -> Mapping[str, object]:
        """Kind, width, activation, variances that the kind has, Gram matrix of the inputs, loss."""
        names = ["network", "width", "activation", "sigma_w2", "sigma_b2", "loss"]
        names += ["sigma_v2", "sigma_a2"] if self.network == "full" else []
        names += ["outputs"] if self.loss == "squared" else []
        return {name: getattr(self, name) for name in names} | {"gram": [list(row) for row in self.input_gram]}

    def batch_size(self, sampler: Sampler) -> int:
        """exact: about 2^16 numbers of state; dense: 2^24 weights."""
        if sampler == "dense":
            matrices = 2 if self.network == "full" else 1
            return min(power_of_two_below(2**24 // (self.depth * self.width**2 * matrices)), 256)
        return min(power_of_two_below(2**16 // (self.width * self._columns)), 2048)

    def cost(self, sampler: Sampler) -> float:
        """33 ns a unit of an input and matrix, half more for a loss of all inputs, a third more from 64 blocks on.

        Dense: 11 ns a weight. And 0.2 µs a block.
        """
        matrices = 2 if self.network == "full" else 1
        numbers = 1.1e-8 * self.width**2
        if sampler == "exact":
            numbers = 3.3e-8 * self.width * self._columns * (1.4 if self.loss == "squared" else 1.0)
            numbers *= 1.3 if self.depth > mean_field_exact.SEGMENT else 1.0
        return (matrices * numbers + 2e-7) * self.depth

    def method(self, sampler: Sampler) -> str:
        """Conditional normals, real matrices if dense."""
        return REAL_MATRICES if sampler == "dense" else "conditional normals, forward and backward, O(n) a layer"

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch forward and backward through all L blocks; `depths` are the layers that are recorded."""
        named = tuple(row[: self._columns] for row in self.input_gram[: self._columns])
        draw = mean_field_dense.sample if sampler == "dense" else mean_field_exact.sample
        drawn = draw(
            self.block,
            gram_root(named),
            outputs=self.outputs if self.loss == "squared" else None,
            depth=self.depth,
            layers=check_depths(depths, self.depth),
            batch=self.batch_size(sampler),
            stream=Stream(seed, device, generator),
        )
        return {name: drawn[name].cpu().numpy() for name in self.observables}

    @property
    def _columns(self) -> int:
        """Inputs that must be drawn: without a loss of their own, those beyond the first two alter nothing."""
        return self.inputs if self.loss == "squared" else min(self.inputs, _NAMED)
