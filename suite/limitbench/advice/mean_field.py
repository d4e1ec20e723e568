"""Descriptions of mean-field residual networks, h = w x + b, x' = x + v phi(h) + a, and their plain control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, final, get_args

from limitbench.advice.architecture import Architecture, checked_shape
from limitbench.errors import InputError
from limitbench.networks.checks import number

if TYPE_CHECKING:
    from limitbench.networks.base import Network
    from limitbench.theories.mean_field import MeanField

Block = Literal["full", "reduced", "plain"]


@final
@dataclass(frozen=True)
class MeanFieldNetwork(Architecture):
    """h_l = w_l x_{l-1} + b_l and x_l = x_{l-1} + v_l phi(h_l) + a_l (arXiv 1712.08969), entries of variance sigma^2/N.

    Reduced blocks have x_l = x_{l-1} + phi(h_l), plain ones x_l = phi(h_l). Biases have variances sigma_b2, sigma_a2.

    Arguments:
        depth: number of blocks L, at most 100,000.
        width: N, at most 2^20.
        block: full, reduced or plain.
        activation: tanh, erf, relu, or relu-A for max(x, 0)^A with 1/2 < A < 1.
        sigma_w2, sigma_v2, sigma_a2, sigma_b2: variances; v and a are those of full blocks.
        norm0: p_0 = |x_0|^2/N of both inputs.
        rho0: their correlation.

    Raises `InputError` where a value cannot be accepted.
    """

    depth: int
    width: int
    block: str = "full"
    activation: str = "tanh"
    sigma_w2: float = 1.69
    sigma_v2: float = 1.5
    sigma_a2: float = 0.5
    sigma_b2: float = 0.49
    norm0: float = 1.0
    rho0: float = 0.3

    kind: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        depth, widths = checked_shape(self.depth, self.width, None)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "width", widths[0])
        if self.block not in get_args(Block):
            raise InputError("block", self.block, " or ".join(get_args(Block)))
        for name in ("sigma_w2", "sigma_v2"):
            object.__setattr__(self, name, number(name, getattr(self, name), 1e-12, 1e12))
        for name in ("sigma_a2", "sigma_b2"):
            object.__setattr__(self, name, number(name, getattr(self, name), 0.0, 1e12))
        object.__setattr__(self, "norm0", number("norm0", self.norm0, 1e-12, 1e12))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1.0, 1.0))
        object.__setattr__(self, "activation", self.recurrence.activation)

    @property
    def recurrence(self) -> MeanField:
        """The theory at these variances."""
        from limitbench.theories.mean_field import MeanField

        return MeanField(cast("Block", self.block), self.activation, **self.variances)

    @property
    def variances(self) -> dict[str, float]:
        """The four variances by name."""
        return {name: getattr(self, name) for name in ("sigma_w2", "sigma_b2", "sigma_v2", "sigma_a2")}

    @property
    def exponent(self) -> float | None:
        """A of a power of ReLU; None for bounded activations."""
        name, _, power = self.activation.partition("-")
        return None if name != "relu" else float(power or 1)

    @property
    def self_averaging(self) -> bool:
        """Whether E phi'^4 is finite, as it is for all but powers of ReLU of at most 3/4."""
        return self.exponent is None or self.exponent > 0.75

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each block."""
        return (self.width,) * self.depth

    @property
    def words(self) -> str:
        """Block, activation, variances, depth, width."""
        names = ("sigma_w2", "sigma_b2", *(("sigma_v2", "sigma_a2") if self.block == "full" else ()))
        sizes = ", ".join(f"{name[-2]} {getattr(self, name):g}" for name in names)
        sort = "plain network" if self.block == "plain" else f"{self.block} residual network"
        return f"{self.activation} {sort} (variances {sizes}), depth {self.depth}, width {self.width}"

    def network(self, inputs: int) -> Network:
        """`MeanFieldNet`, with an output gradient that is independent of the weights."""
        from limitbench.networks.mean_field import MeanFieldNet

        rho0 = None if inputs == 1 else self.rho0
        options: dict[str, Any] = {"network": self.block, "activation": self.activation, **self.variances}
        return MeanFieldNet(self.depth, self.width, norm0=self.norm0, rho0=rho0, **options)
