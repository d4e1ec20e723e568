"""The covariance of two or three inputs through a piecewise linear MLP: every entry of V_d, norms included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.networks import shaped_dense, shaped_gram
from limitbench.networks.base import Network, Sampler, check_depths
from limitbench.networks.checks import gram_matrix, number, power_of_two_below, whole
from limitbench.networks.gram import correlation_root
from limitbench.networks.shaping import ShapedLayer
from limitbench.numerics.random import Stream


@dataclass(frozen=True)
class CovarianceMLP(Network):
    """A multilayer perceptron without biases, weights N(0, 1), the same two slopes in every layer.

        z_1 ~ rows N(0, V_0),   z_{l+1} = (c/n)^{1/2} W_l phi(z_l),   V_l = (c/n) phi(z_l)' phi(z_l),
        phi(x) = s_+ max(x, 0) + s_- min(x, 0),   c = 2 / (s_+^2 + s_-^2)

    (arXiv 2310.12079). Observables: `correlation` of inputs 1 and 2, `log_norm` = ln V_d^11/V_0^11 and every entry
    `covariance_ab` = V_d^ab. Where every unit of an input is off in some layer (only with a zero slope) its entries
    are 0, its log norm is -inf and its correlation NaN. Slopes 1 + c_pm d^-1/2 are the shaping of d layers.

    Arguments:
        depth: number of hidden layers.
        width: units n of every hidden layer.
        slope_plus, slope_minus: s_+ and s_-.
        gram: V_0 of two or three inputs.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    slope_plus: float = field(default=1.0, kw_only=True)
    slope_minus: float = field(default=0.0, kw_only=True)
    gram: tuple[tuple[float, ...], ...] = field(default=((1.0, 0.3), (0.3, 1.0)), kw_only=True)

    family: ClassVar[str] = "covariance-mlp"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        values: dict[str, object] = {name: whole(name, getattr(self, name)) for name in ("depth", "width")}
        values |= {name: number(name, getattr(self, name)) for name in ("slope_plus", "slope_minus")}
        gram = values["gram"] = gram_matrix(self.gram)
        if len(gram) not in (2, 3):
            raise InputError("gram", self.gram, "two or three inputs")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.slope_plus == 0.0 and self.slope_minus == 0.0:
            raise InputError("slope_minus", self.slope_minus, "slopes that are not both 0")

    @property
    def observables(self) -> tuple[str, ...]:
        """`correlation`, `log_norm`, `covariance_ab` for a <= b."""
        return ("correlation", "log_norm", *(f"covariance_{a + 1}{b + 1}" for a, b in self._pairs))

    @property
    def parameters(self) -> Mapping[str, object]:
        """Width, slopes and the Gram matrix of the inputs."""
        slopes = {"slope_plus": self.slope_plus, "slope_minus": self.slope_minus}
        return {"width": self.width, **slopes, "gram": [list(row) for row in self.gram]}

    def batch_size(self, sampler: Sampler) -> int:
        """exact: about 2^17 pre-activations; dense: 2^20 weights."""
        if sampler == "exact":
            return min(max(power_of_two_below(2**17 // (self.width * len(self.gram))), 16), 2048)
        return min(power_of_two_below(2**20 // self.width**2), 256)

    def cost(self, sampler: Sampler) -> float:
        """16 ns a unit and input if exact (with the QR), 6.5 ns a weight if dense, and 0.5 µs a layer."""
        numbers = 1.6e-8 * self.width * len(self.gram) if sampler == "exact" else 6.5e-9 * self.width**2
        return (numbers + 5e-7) * self.depth

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch: O(n m) variates a layer and network if exact, n^2 if dense."""
        at = check_depths(depths, self.depth)
        draw = shaped_gram.sample_gram if sampler == "exact" else shaped_dense.sample_gram
        scale = np.sqrt(np.diag(np.array(self.gram)))
        norms, correlations = draw(
            (ShapedLayer(self.width, self.slope_plus, self.slope_minus),) * self.depth,
            correlation_root(self.gram),
            depths=at,
            batch=self.batch_size(sampler),
            stream=Stream(seed, device, generator),
        )
        log_norm, rho = norms.cpu().numpy(), correlations.cpu().numpy()
        values = {"correlation": rho[:, :, 0, 1], "log_norm": log_norm[:, :, 0]}
        for a, b in self._pairs:
            size = np.exp((log_norm[:, :, a] + log_norm[:, :, b]) / 2) * (scale[a] * scale[b])
            values[f"covariance_{a + 1}{b + 1}"] = np.where(size > 0.0, size * rho[:, :, a, b], 0.0)
        return {name: np.ascontiguousarray(value) for name, value in values.items()}

    @property
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        inputs = range(len(self.gram))
        return tuple((a, b) for a in inputs for b in inputs if a <= b)
