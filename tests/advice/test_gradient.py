"""Gradients of MLPs and ReLU ResNets against real weights and autograd: 4.5 standard errors, 7e-6 each by chance.

What breaks the law (another activation's, another arrangement's, the forward law of a vanilla ResNet) is at least 9
standard errors off.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.advice.architecture import PiecewiseMLP, ReluResNet
from limitbench.advice.describe import describe
from limitbench.advice.gradient import Gradient, piecewise_gradient
from limitbench.advice.predict import predict, predict_network

Z = 4.5
Activation = Callable[[Tensor], Tensor]


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator).double()


def ratio(loss: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """|d loss/d first|^2/|d loss/d last|^2."""
    before, after = torch.autograd.grad(loss, (first, last))
    return before.square().sum(1) / after.square().sum(1)


def perceptron(networks: int, widths: tuple[int, ...], factors: list[float], act: Activation, seed: int) -> Tensor:
    """z_1 ~ N(0, I), z_{l+1} = sqrt(factor_l/n_l) W act(z_l), one output layer of 7 units: z_1 against the output."""
    g = torch.Generator().manual_seed(seed)
    first = normal(networks, widths[0], generator=g).requires_grad_()
    z = first
    for n, after, factor in zip(widths, [*widths[1:], 7], factors, strict=True):
        w = normal(networks, after, n, generator=g)
        z = math.sqrt(factor / n) * torch.einsum("boi,bi->bo", w, act(z))
    return ratio((z * normal(networks, 7, generator=g)).sum(), first, z)


def resnet(networks: int, depth: int, width: int, *, balanced: bool, seed: int) -> Tensor:
    """z' = (z + sqrt(2/n) W max(+-z, 0))/sqrt2 from z_0 ~ N(0, I): z_0 against z_d."""
    g = torch.Generator().manual_seed(seed)
    first = normal(networks, width, generator=g).requires_grad_()
    z = first
    for _ in range(depth):
        sign = normal(networks, width, generator=g).sign() if balanced else 1.0
        w = normal(networks, width, width, generator=g)
        z = (z + math.sqrt(2 / width) * torch.einsum("boi,bi->bo", w, torch.relu(sign * z))) / math.sqrt(2)
    return ratio((z * normal(networks, width, generator=g)).sum(), first, z)


def gradient_of(*arguments: str, **options: object) -> Gradient:
    found = predict(*arguments, **options).gradient  # type: ignore[arg-type]
    assert found is not None
    return found


def z_of_spread(logs: Float[np.ndarray, " networks"], std: float) -> float:
    centred = (logs - logs.mean()) ** 2
    return float(abs(centred.mean() - std**2) / (centred.std() / math.sqrt(logs.size)))


def z_of_share(inside: Float[np.ndarray, " networks"], share: float) -> float:
    return float(abs(inside.mean() - share) / math.sqrt(share * (1 - share) / inside.size))


def z_of_mean(values: Float[np.ndarray, " networks"], expected: float) -> float:
    return float(abs(values.mean() - expected) / (values.std() / math.sqrt(values.size)))


def deviations(ratios: Float[np.ndarray, " networks"], law: Gradient) -> list[float]:
    """Of the spread, the median, the ends of the 95 % range and the arithmetic mean, in standard errors."""
    logs = np.log(ratios)
    shares = [z_of_share(logs < end, share) for end, share in ((law.median, 0.5), (law.low, 0.025), (law.high, 0.975))]
    return [z_of_spread(logs, law.std), *shares, z_of_mean(ratios, math.exp(law.log_mean))]


WIDTHS = (24, 40, 16, 64, 32)


@pytest.fixture(scope="module")
def leaky() -> Float[np.ndarray, " networks"]:
    """Leaky networks of unequal widths at gain 1.1."""
    c = 2 / (1 + 0.2**2) * 1.1**2
    act = torch.nn.LeakyReLU(0.2)
    return np.concatenate([perceptron(2048, WIDTHS, [c] * 5, act, seed).numpy() for seed in range(4)])


def test_gradient_of_an_mlp_has_the_exact_law_of_its_norm(leaky: Float[np.ndarray, " networks"]) -> None:
    law = gradient_of("mlp", activation="leaky", slope_minus=0.2, depth=5, widths=WIDTHS, gain=1.1)
    assert max(deviations(leaky, law)) < Z
    assert law.log_mean == pytest.approx(10 * math.log(1.1))
    assert law.basis.startswith("exact")


@pytest.mark.parametrize(
    "wrong",
    [
        {"activation": "linear", "widths": WIDTHS, "gain": 1.1},
        {"activation": "leaky", "slope_minus": 0.2, "widths": (35,) * 5, "gain": 1.1},  # mean width, not sum of 1/n
        {"activation": "leaky", "slope_minus": 0.2, "widths": WIDTHS, "gain": 1.0},
    ],
)
def test_other_laws_are_far_from_it(leaky: Float[np.ndarray, " networks"], wrong: dict[str, object]) -> None:
    assert max(deviations(leaky, gradient_of("mlp", depth=5, **wrong))) > 2 * Z


def test_gradient_of_a_narrow_relu_network_is_that_of_the_living() -> None:
    """At width 3 half of the networks of depth 5 are dead; the mean ratio of the others is 1 over their share."""
    ratios = perceptron(120_000, (3,) * 5, [2.0] * 5, torch.relu, 7).numpy()
    law = gradient_of("mlp", depth=5, width=3)
    share = (1 - 2**-3) ** 5
    alive = ratios[ratios > 0]
    assert z_of_share(ratios > 0, share) < Z
    assert law.log_mean == pytest.approx(-math.log(share))
    assert z_of_mean(alive, 1 / share) < Z
    assert z_of_mean(alive, 1.0) > 2 * Z
    assert z_of_spread(np.log(alive), law.std) < Z


def test_gradient_of_a_balanced_resnet_shares_its_forward_law_and_a_vanilla_one_does_not() -> None:
    balanced, vanilla = (
        np.concatenate([resnet(2048, 8, 32, balanced=sort, seed=seed).numpy() for seed in range(2)])
        for sort in (True, False)
    )
    law = gradient_of("resnet", depth=8, width=32, balanced=True)
    assert law.std**2 == pytest.approx(2.25 / 4)
    assert law.log_mean == 0.0
    assert max(deviations(balanced, law)) < Z
    unknown = gradient_of("resnet", depth=8, width=32)
    assert not unknown.known
    assert "no theory" in unknown.basis
    forward = predict("resnet", depth=8, width=32).best("log_norm")
    assert forward is not None
    assert z_of_spread(np.log(vanilla), forward.log_norm.std) > 2 * Z
    assert z_of_spread(np.log(vanilla), law.std) > 2 * Z


def test_gradient_without_a_skip_is_that_of_the_mlp() -> None:
    network = describe("resnet", residual_weight=0.0, depth=20, width=64)
    assert isinstance(network, ReluResNet)
    assert predict_network(network).gradient == gradient_of("mlp", depth=20, width=64)


def test_gradient_of_a_tanh_network_is_that_of_the_plain_network_it_is() -> None:
    width, depth = 96, 5
    law = gradient_of("mlp", activation="tanh", scale=1.0, rate=0.0, depth=depth, width=width)
    x = np.linspace(-12, 12, 4001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    c = 1 / float(weights @ np.tanh(x) ** 2)
    ratios = np.concatenate(
        [perceptron(1024, (width,) * depth, [c] * depth, torch.tanh, seed).numpy() for seed in range(4)]
    )
    # leading orders in depth/width: 2 % of the spread, 1 % of a mean of about 2.6
    assert abs(float(np.log(ratios).std()) / law.std - 1) < 0.02 + Z / math.sqrt(2 * 4096)
    assert abs(float(ratios.mean()) / math.exp(law.log_mean) - 1) < 0.01 + Z * float(ratios.std() / ratios.mean()) / 64
    assert z_of_mean(ratios, 1.0) > 2 * Z
    assert predict("mlp", activation="silu", depth=4, width=64).gradient is None


def test_gradient_of_a_deep_tanh_network_is_left_out() -> None:
    deep = gradient_of("mlp", activation="tanh", depth=64, width=64)
    assert not deep.known
    assert "left out" in deep.basis


def test_mean_gradient_of_networks_that_survive_by_a_miracle() -> None:
    found = piecewise_gradient(PiecewiseMLP(5000, (2,) * 5000))
    assert found.log_mean == pytest.approx(-5000 * math.log1p(-0.25))
