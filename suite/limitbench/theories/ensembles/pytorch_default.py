"""The squared norm under the default initialisation of `torch.nn.Linear`, weights and biases uniform on +-n^-1/2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from limitbench.errors import InputError
from limitbench.statistics.laws import Law, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian.parameters import count, number


@final
@dataclass(frozen=True)
class PytorchDefault(Theory):
    """Entries of W and b have variance 1/(3n): a layer shrinks squared norms and adds 1/(3n), so that

        MLP:      v_{l+1} = h v_l/3 + 1/(3n),                              v_1 = 1/3 + 1/(3n),
        residual: v_{l+1} = (skip^2 + branch^2 h/3) v_l + branch^2/(3n),   v_0 = 1/3 + 1/(3n)

    for z' = W phi(z) + b and z' = skip z + branch (W phi(z) + b), h = (s_+^2 + s_-^2)/2, inputs with |x|^2 = n_in = n
    and V_l = |phi(z_l)|^2/(h n) or |z_l|^2/n. A linear MLP loses a factor 3 a layer, ReLU a factor 6, down to the
    floor that biases hold, 1/(2n) and 2/(5n). The mean of V_d of an MLP is v_d exactly, at every width, as the
    distribution of the weights is symmetric.

    `log_norm` is a point mass at ln v_d/v_0 - d ln s, with s = skip^2 + branch^2 h taken off for residual networks
    (V_0 = 1 and s = 1 for MLPs).

    Arguments:
        depth, width: d layers of n units.
        skip, branch: sizes of the two paths; skip = 0 is the MLP, whatever the branch.
        slope_plus, slope_minus: slopes of the activation.

    Raises `InputError` where a value cannot be accepted. Cost: microseconds a layer.
    """

    depth: int
    width: int
    skip: float = 0.0
    branch: float = 1.0
    slope_plus: float = 1.0
    slope_minus: float = 0.0

    name: ClassVar[str] = "pytorch-default"
    title: ClassVar[str] = "infinite width, PyTorch's default"
    reference: ClassVar[str] = "torch.nn.Linear.reset_parameters: U(-n^-1/2, n^-1/2); recursion as arXiv 1711.00165"
    time_variable: ClassVar[str] = "layer l"
    validity: ClassVar[str] = "the mean of V_d, exactly for MLPs; fluctuations of order sqrt(d/n) are left out"

    def __post_init__(self) -> None:
        for field in ("depth", "width"):
            object.__setattr__(self, field, count(field, getattr(self, field)))
        for field in ("skip", "branch", "slope_plus", "slope_minus"):
            object.__setattr__(self, field, number(field, getattr(self, field), "a finite number"))
        if not self.slope_plus and not self.slope_minus:
            raise InputError("slope_plus, slope_minus", (0.0, 0.0), "slopes that are not both zero")

    @property
    def floor(self) -> float:
        """The squared norm that biases hold however deep an MLP is."""
        return 1 / (3 * self.width) / (1 - self._half / 3)

    @property
    def mean_square(self) -> float:
        """v_d."""
        bias = 1 / (3 * self.width)
        square = 1 / 3 + bias
        if not self.skip:
            for _ in range(self.depth - 1):
                square = self._half / 3 * square + bias
            return square
        factor = self.skip**2 + self.branch**2 * self._half / 3
        for _ in range(self.depth):
            square = factor * square + self.branch**2 * bias
        return square

    @property
    def observables(self) -> tuple[str, ...]:
        """`log_norm`."""
        return ("log_norm",)

    @property
    def _half(self) -> float:
        return (self.slope_plus**2 + self.slope_minus**2) / 2

    def _law(self, observable: str) -> Law:
        if not self.skip:
            return PointMass(math.log(self.mean_square))
        growth = self.skip**2 + self.branch**2 * self._half
        first = 1 / 3 + 1 / (3 * self.width)
        return PointMass(math.log(self.mean_square / first) - self.depth * math.log(growth))
