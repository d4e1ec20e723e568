"""Descriptions of the networks that advice is about, checked once, and the finite networks that they stand for."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, final

from limitbench.errors import InputError
from limitbench.networks.checks import layer_widths, number, whole

if TYPE_CHECKING:
    from limitbench.networks.base import Network

#: Deepest and widest network that is answered for.
DEEPEST, WIDEST = 100_000, 2**20


class Architecture(abc.ABC):
    """One network at initialisation, with two inputs of equal norm whose correlation is `rho0`."""

    #: Words for headings.
    kind: ClassVar[str]

    depth: int
    rho0: float

    @property
    @abc.abstractmethod
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each layer."""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """The network in a few words, for headings."""

    @abc.abstractmethod
    def network(self, inputs: int) -> Network:
        """The finite network, with one input or two; imports torch."""

    @property
    def log_norm_shift(self) -> float:
        """What is added to the log norm of every network: the effect of a gain."""
        return 0.0

    @property
    def time(self) -> float:
        """t = sum over layers of 1/width."""
        return math.fsum(1 / n for n in self.hidden_widths)

    @property
    def equal_width(self) -> int | None:
        """The width, where all layers have the same."""
        widths = set(self.hidden_widths)
        return widths.pop() if len(widths) == 1 else None


@final
@dataclass(frozen=True)
class PiecewiseMLP(Architecture):
    """A multilayer perceptron with slopes s_pm = 1 + c_pm n_l^-rate and weights of variance gain^2 c_l/n_l.

    c_l = 2/(s_+^2 + s_-^2): at gain 1 (He's initialisation for ReLU) the mean squared norm is kept.

    Arguments:
        depth: number of hidden layers, at most 100,000.
        widths: units of each layer, at most 2^20.
        c_plus, c_minus, rate: slopes; rate 0 is an unshaped network.
        rho0: correlation of two inputs.
        gain: factor of every layer's weights.
        activation: its name, for headings.

    Raises `InputError` where a value cannot be accepted.
    """

    depth: int
    widths: tuple[int, ...]
    c_plus: float = 0.0
    c_minus: float = -1.0
    rate: float = 0.0
    rho0: float = 0.3
    gain: float = 1.0
    activation: str = field(default="relu", compare=False)

    kind: ClassVar[str] = "MLP"

    def __post_init__(self) -> None:
        depth, widths = checked_shape(self.depth, None, self.widths)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "widths", widths)
        for name in ("c_plus", "c_minus"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        object.__setattr__(self, "rate", number("rate", self.rate, 0.0))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1.0, 1.0))
        object.__setattr__(self, "gain", checked_gain(self.gain))
        for width in set(widths):
            if not any(self.slopes(width)):
                raise InputError("c_minus", self.c_minus, f"slopes that are not both 0, as they are at width {width}")

    def slopes(self, width: int) -> tuple[float, float]:
        """(s_+, s_-) of a layer of this width."""
        return 1 + self.c_plus * width**-self.rate, 1 + self.c_minus * width**-self.rate

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return self.widths

    @property
    def log_norm_shift(self) -> float:
        """2 d ln gain."""
        return 2 * self.depth * math.log(self.gain)

    @property
    def unshaped(self) -> bool:
        """Whether the slopes do not depend on the width."""
        return self.rate == 0

    @property
    def linear(self) -> bool:
        """Whether both slopes are the same in every layer."""
        return self.c_plus == self.c_minus

    @property
    def words(self) -> str:
        """Activation, depth, width."""
        width = self.equal_width
        shape = f"width {width}" if width else f"widths {min(self.widths)} to {max(self.widths)}"
        return f"{self.activation} MLP, depth {self.depth}, {shape}"

    def network(self, inputs: int) -> Network:
        """`ShapedMLP`, whose weights have gain 1."""
        from limitbench.networks.shaped_mlp import ShapedMLP

        gram = ((1.0,),) if inputs == 1 else None
        return ShapedMLP(
            self.depth,
            widths=self.widths,
            c_plus=self.c_plus,
            c_minus=self.c_minus,
            rate=self.rate,
            rho0=self.rho0,
            gram=gram,
        )


@final
@dataclass(frozen=True)
class SmoothMLP(Architecture):
    """A multilayer perceptron with activation s phi(x/s), s = scale n^rate, phi smooth with phi(0) = 0, phi'(0) = 1.

    Arguments:
        activation: name of phi (`limitbench.numerics.activations`).
        depth, width: hidden layers and their units.
        scale, rate: s = scale n^rate; rate 1/2 is critical, rate 0 an unshaped network.
        rho0: correlation of two inputs.

    Raises `InputError` where a value cannot be accepted.
    """

    activation: str
    depth: int
    width: int
    scale: float = 1.0
    rate: float = 0.5
    rho0: float = 0.3

    kind: ClassVar[str] = "MLP"

    def __post_init__(self) -> None:
        depth, widths = checked_shape(self.depth, self.width, None)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "width", widths[0])
        object.__setattr__(self, "scale", number("scale", self.scale, 1e-6, 1e6))
        object.__setattr__(self, "rate", number("rate", self.rate, 0.0))
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1.0, 1.0))

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.width,) * self.depth

    @property
    def words(self) -> str:
        """Activation, depth, width."""
        return f"{self.activation} MLP, scale {self.scale:g} n^{self.rate:g}, depth {self.depth}, width {self.width}"

    def network(self, inputs: int) -> Network:
        """`SmoothMLP` of the networks."""
        from limitbench.networks.smooth_mlp import SmoothMLP as Network

        rho0 = None if inputs == 1 else self.rho0
        return Network(self.depth, self.width, activation=self.activation, scale=self.scale, rate=self.rate, rho0=rho0)


@final
@dataclass(frozen=True)
class ReluResNet(Architecture):
    """z_{l+1} = alpha z_l + lambda sqrt(2/n) W phi(z_l), phi = ReLU, by the share of the skip c^2 = alpha^2/s.

    s = alpha^2 + lambda^2 is the growth of the mean squared norm a layer; log norms are given with d ln s taken off.

    Arguments:
        depth: number of residual layers, at most 100,000.
        width: n, at most 2^20.
        residual_weight: c^2, in [0, 1); 0 is a ReLU MLP.
        balanced: whether each neuron and layer reflects its ReLU by a random sign.
        growth: s.
        rho0: correlation of two inputs.
        per_depth: whether the weights are those of this depth, and others at another one.

    Raises `InputError` where a value cannot be accepted.
    """

    depth: int
    width: int
    residual_weight: float = 0.5
    balanced: bool = False
    growth: float = 1.0
    rho0: float = 0.3
    per_depth: bool = False

    kind: ClassVar[str] = "ResNet"

    def __post_init__(self) -> None:
        depth, widths = checked_shape(self.depth, self.width, None)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "width", widths[0])
        weight = number("residual_weight", self.residual_weight, 0.0, 1.0)
        if weight == 1:
            raise InputError("residual_weight", self.residual_weight, "a number in [0, 1)")
        object.__setattr__(self, "residual_weight", weight)
        object.__setattr__(self, "rho0", number("rho0", self.rho0, -1.0, 1.0))

    @property
    def branch_weight(self) -> float:
        """b = lambda^2/(alpha^2 + lambda^2)."""
        return 1 - self.residual_weight

    @property
    def skip(self) -> float:
        """alpha."""
        return math.sqrt(self.growth * self.residual_weight)

    @property
    def branch(self) -> float:
        """lambda sqrt(2), the factor of n^-1/2 W phi(z)."""
        return math.sqrt(2 * self.growth * self.branch_weight)

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units of each layer."""
        return (self.width,) * self.depth

    @property
    def words(self) -> str:
        """Weights, depth, width."""
        sort = "Balanced ResNet" if self.balanced else "ReLU ResNet"
        return f"{sort}, alpha² share {self.residual_weight:.6g}, depth {self.depth}, width {self.width}"

    @property
    def perceptron(self) -> PiecewiseMLP | None:
        """The ReLU MLP that this network is without its skip, up to where a layer starts; None with one."""
        return PiecewiseMLP(self.depth, self.hidden_widths, rho0=self.rho0) if self.residual_weight == 0 else None

    def network(self, inputs: int) -> Network:
        """`ResNet` with skip alpha and branch lambda sqrt(2)."""
        from limitbench.networks.resnet import ResNet

        return ResNet(
            self.depth,
            self.width,
            skip=self.skip,
            branch=self.branch,
            balanced=self.balanced,
            rho0=None if inputs == 1 else self.rho0,
        )


def checked_shape(depth: object, width: object, widths: object) -> tuple[int, tuple[int, ...]]:
    """Depth and the units of each layer, from one width or a sequence of them; raises `InputError`."""
    layers = whole("depth", depth)
    if layers > DEEPEST:
        raise InputError("depth", layers, f"an integer from 1 to {DEEPEST:,}")
    units = layer_widths(layers, width, widths)
    if max(units) > WIDEST:
        raise InputError("width", max(units), f"an integer from 1 to {WIDEST:,}")
    return layers, units


def checked_gain(value: object) -> float:
    """A positive gain; raises `InputError`."""
    gain = number("gain", value)
    if not 1e-100 < gain < 1e100:
        raise InputError("gain", value, "a positive number above 1e-100 and below 1e100")
    return gain
