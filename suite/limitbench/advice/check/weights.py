"""What weights and biases are drawn from, estimated from the matrices of many seeds: variance, shape and biases."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

#: Fourth moments over squared variance of what initialisers draw from.
_KURTOSIS = {"Gaussian": 3.0, "uniform": 1.8, "Rademacher": 1.0}
#: Networks of which more than the mean square is looked at.
_LOOKED_AT = 16
#: Relative spread of squared row norms below which rows are normalised or orthogonal.
_FIXED_ROWS = 1e-4


@dataclass
class LayerWeights:
    """Sums over seeds of one layer's weights.

    Attributes:
        name: of the layer.
        fan_in, fan_out: inputs and outputs of a unit; for convolutions with the size of the kernel.
    """

    name: str
    fan_in: int
    fan_out: int
    _squares: list[float] = field(default_factory=list)
    _moments: list[tuple[float, float]] = field(default_factory=list)
    _bias: list[float] = field(default_factory=list)
    _row_spread: float = math.inf

    def add(self, weight: Tensor, bias: Tensor | None) -> None:
        """One more seed: the mean square of all, the other moments of the first few."""
        w = weight.detach().reshape(-1)
        self._squares.append(float(torch.linalg.vector_norm(w, dtype=torch.float64)) ** 2 / w.numel())
        if len(self._moments) < _LOOKED_AT:
            square = w.double() ** 2
            self._moments.append((float(w.double().mean()), float((square * square).mean())))
        self._bias.append(0.0 if bias is None else float(bias.detach().double().square().mean()))
        if math.isinf(self._row_spread):
            rows = weight.detach().double().reshape(weight.shape[0], -1).square().sum(dim=1)
            self._row_spread = float(rows.std(correction=0) / rows.mean()) if float(rows.mean()) > 0 else 0.0

    @property
    def sigma_w2(self) -> float:
        """fan_in times the variance of an entry."""
        return self.fan_in * float(np.mean(self._squares))

    @property
    def sigma_w2_se(self) -> float:
        """Its standard error, over seeds where there are two or more, else that of Gaussian entries."""
        squares = np.array(self._squares)
        if len(squares) > 1:
            return float(self.fan_in * squares.std(ddof=1) / math.sqrt(len(squares)))
        return self.sigma_w2 * math.sqrt(2 / (self.fan_in * self.fan_out))

    @property
    def sigma_b2(self) -> float:
        """Mean square of a bias."""
        return float(np.mean(self._bias))

    @property
    def kurtosis(self) -> float:
        """E w^4/(E w^2)^2; NaN for weights that are 0."""
        second = float(np.mean(self._squares[: len(self._moments)]))
        return float(np.mean([m[1] for m in self._moments])) / second**2 if second else math.nan

    @property
    def mean_share(self) -> float:
        """(E w)^2/E w^2: how much of the weights is a common mean; 0 within noise for all usual initialisers."""
        second = float(np.mean(self._squares[: len(self._moments)]))
        return float(np.mean([m[0] for m in self._moments])) ** 2 / second if second else 0.0

    @property
    def centred(self) -> bool:
        """Whether the common mean is within 4.5 standard errors of 0."""
        entries = self.fan_in * self.fan_out * len(self._moments)
        return self.mean_share < 4.5**2 / entries

    @property
    def ensemble(self) -> str:
        """Gaussian, uniform, Rademacher, orthogonal, zero or other."""
        if not self.sigma_w2:
            return "zero"
        if self._row_spread < _FIXED_ROWS and self.fan_out > 1 and self.kurtosis > 1.05:
            return "orthogonal"
        entries = self.fan_in * self.fan_out * len(self._moments)
        allowed = max(0.02, 5 * math.sqrt(96 / entries))
        near = [name for name, value in _KURTOSIS.items() if abs(self.kurtosis - value) < min(allowed, 0.5)]
        return near[0] if near else "other"

    @property
    def pytorch_default(self) -> bool:
        """Whether these are `torch.nn.Linear`'s or `Conv`'s own: weights and biases uniform on +-fan_in^-1/2."""
        close = math.isclose(self.sigma_w2, 1 / 3, rel_tol=0.02 + 4.5 * self.sigma_w2_se)
        biased = self.sigma_b2 == 0 or math.isclose(self.sigma_b2, 1 / (3 * self.fan_in), rel_tol=0.5)
        return self.ensemble == "uniform" and close and biased


def layer_weights(name: str, weight: Tensor) -> LayerWeights:
    """An empty record for a layer with this weight, out x in x ..."""
    return LayerWeights(name, math.prod(weight.shape[1:]), int(weight.shape[0]))
