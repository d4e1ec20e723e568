"""Modules that the tests of `limitbench check` look at: factories as a user would write them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def he(depth: int, width: int, gain: float = 1.0) -> nn.Module:
    """ReLU, He weights times a gain, zero biases, and a head."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(width, width)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        linear.weight.data *= gain
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(width, 3))


def louder(depth: int, width: int) -> nn.Module:
    """He gain times 1.1."""
    return he(depth, width, 1.1)


def linear_first(depth: int, width: int) -> nn.Module:
    """A linear layer, then ReLU layers."""
    first = nn.Linear(width, width, bias=False)
    nn.init.normal_(first.weight, std=width**-0.5)
    return nn.Sequential(first, *list(he(depth, width).children())[: 2 * depth])


def default(depth: int, width: int) -> nn.Module:
    """PyTorch's own initialisation."""
    return nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())])


class PreActivation(nn.Module):
    """X + W2 relu(W1 x), functional calls."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, width), nn.Linear(width, width)
        for linear, variance in ((self.w1, 1.0), (self.w2, 0.5)):
            nn.init.normal_(linear.weight, std=math.sqrt(variance / width))
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.w2(functional.relu(self.w1(x)))
        return y


def resnet(depth: int, width: int) -> nn.Module:
    """A stem, pre-activation blocks, a head."""
    return nn.Sequential(nn.Linear(width, width), *[PreActivation(width) for _ in range(depth)], nn.Linear(width, 2))


class Vanilla(nn.Module):
    """0.8 x + 0.6 W relu(x), written with operators and a bare parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(width, width) * math.sqrt(2 / width))

    def forward(self, x: Tensor) -> Tensor:
        y = 0.6 * (x.clamp(min=0) @ self.w.t())
        y += 0.8 * x
        return y


def vanilla(depth: int, width: int) -> nn.Module:
    """Vanilla blocks after a stem without bias."""
    return nn.Sequential(nn.Linear(width, width, bias=False), *[Vanilla(width) for _ in range(depth)])


class Shaped(nn.Module):
    """A shaped ReLU by hand."""

    def forward(self, h: Tensor) -> Tensor:
        s = h.shape[-1] ** -0.5
        return torch.where(h > 0, (1 + 0.5 * s) * h, (1 - s) * h)


def shaped(depth: int, width: int) -> nn.Module:
    """Shaped ReLU, weights of variance 1/n."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=False)
        nn.init.normal_(linear.weight, std=width**-0.5)
        layers += [linear, Shaped()]
    return nn.Sequential(*layers)


def encoder(depth: int, width: int) -> nn.Module:
    """Transformer blocks with dropout."""
    layer = nn.TransformerEncoderLayer(width, 2, 2 * width, batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


def convolutions(depth: int, width: int) -> nn.Module:
    """He convolutions."""
    layers: list[nn.Module] = []
    for k in range(depth):
        conv = nn.Conv2d(width if k else 3, width, 3, padding=1, padding_mode="circular")
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        conv.bias = nn.Parameter(torch.zeros(width))
        layers += [conv, nn.ReLU()]
    return nn.Sequential(*layers)


def normalised(depth: int, width: int) -> nn.Module:
    """Batch normalisation and dropout, in train mode."""
    parts = [(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)) for _ in range(depth)]
    return nn.Sequential(*[part for block in parts for part in block])


class PostActivation(nn.Module):
    """Relu(x + W x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.w(x))


def post_activation(depth: int, width: int) -> nn.Module:
    """Blocks whose stream passes a ReLU."""
    return nn.Sequential(nn.Linear(width, width), *[PostActivation(width) for _ in range(depth)])


def recurrent(depth: int, width: int) -> nn.Module:
    """One matrix, used again."""
    linear = nn.Linear(width, width)
    return nn.Sequential(*[part for _ in range(depth) for part in (linear, nn.ReLU())])


def lazy(depth: int, width: int) -> nn.Module:
    """Layers that take their shape from the first input."""
    return nn.Sequential(*[part for _ in range(depth) for part in (nn.LazyLinear(width), nn.Tanh())])


def alone() -> nn.Module:
    """Takes neither depth nor width."""
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh())


def one_matrix_too_many(layers: int) -> nn.Module:
    """Has a parameter of another name."""
    return nn.Linear(layers, layers)


def broken(depth: int, width: int) -> nn.Module:
    """Raises."""
    raise RuntimeError("no weights\ntoday")


def not_finite(depth: int, width: int) -> nn.Module:
    """NaN at initialisation."""
    found = he(depth, width)
    next(found.parameters()).data.fill_(math.nan)
    return found


def fixed(depth: int, width: int) -> nn.Module:
    """The same weights at every call."""
    torch.manual_seed(0)
    return he(depth, width)


def empty(depth: int, width: int) -> nn.Module:
    """Without parameters."""
    return nn.ReLU()


def number(depth: int, width: int) -> int:
    """No module."""
    return depth


def hostile(depth: int, width: int) -> nn.Module:
    """A name with markup in it."""
    found = nn.Module()
    found.register_module("<b>x", nn.Linear(width, width))
    found.forward = lambda x: torch.relu(found.get_submodule("<b>x")(x))
    return found


instance = nn.Linear(2, 2)
