"""What a stochastic differential equation is to a stepper: dX = a(X) dt + sum_j b_j(X) dB_j in Ito's sense.

States of a batch of paths are one tensor with the paths last, so that every component of all paths is contiguous.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

#: additive: b does not depend on X; scalar: one noise that does; general: several, which need not commute.
Noise = Literal["additive", "scalar", "general"]
#: Moves states in place over one step on standard normals (noises first), which it may overwrite.
Advance = Callable[[Float[Tensor, "*state"], Float[Tensor, "normals paths"]], None]


class Problem(abc.ABC):
    """dX = a(X) dt + sum_j b_j(X) dB_j with independent Brownian motions B_j.

    Functions must be pure; a state has the shape (*components, paths).
    """

    #: Kind of noise, on which the orders of steppers depend.
    noise: ClassVar[Noise]

    @property
    def components(self) -> tuple[int, ...]:
        """Shape of the state of one path: () for a scalar."""
        return ()

    @property
    def noises(self) -> int:
        """Number of Brownian motions."""
        return 1

    @abc.abstractmethod
    def drift(self, x: Float[Tensor, "*state"]) -> Float[Tensor, "*state"]:
        """a(x)."""

    @abc.abstractmethod
    def diffusion(self, x: Float[Tensor, "*state"], j: int = 0) -> Float[Tensor, "*state"]:
        """b_j(x)."""

    def diffusion_derivative(self, x: Float[Tensor, " paths"]) -> Float[Tensor, " paths"]:
        """db/dx of a scalar problem, which Milstein's scheme needs."""
        raise NotImplementedError(f"{type(self).__name__} does not say its diffusion's derivative")

    def euler(self, h: float, like: Float[Tensor, "*state"]) -> Advance | None:
        """An Euler-Maruyama step of its own, the same algebra in fewer passes over memory; None where there is none."""
        return None

    def project(self, x: Float[Tensor, "*state"]) -> None:
        """Bring states that a step has carried out of the domain back to its edge, in place."""
        return
