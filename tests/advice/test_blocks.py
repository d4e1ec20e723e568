"""Mean-field residual networks: predictions against networks with real weights and autograd, and against recurrences.

A comparison is within 4.5 standard errors (7e-6 by chance) and the O(1/N) that the theory leaves out where it is named;
what breaks the formula is at least 9 standard errors off.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.advice import blocks
from limitbench.advice.budget import Budget, confirmation, knobs, predicted, within_budget
from limitbench.advice.describe import describe
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.merging import merging
from limitbench.advice.predict import predict
from limitbench.errors import InputError
from limitbench.theories.mean_field import GaussianFluctuations
from limitbench.theories.mean_field.gradient_excess import gradient_excess

Z = 4.5
Activation = Callable[[Tensor], Tensor]


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator).double()


def ratio(loss: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """|d loss/d first|^2/|d loss/d last|^2."""
    before, after = torch.autograd.grad(loss, (first, last))
    return before.square().sum(1) / after.square().sum(1)


def mean_field(
    networks: int, depth: int, width: int, block: str, act: Activation, variances: dict[str, float], seed: int
) -> dict[str, Tensor]:
    """`ratio` of x_0 against x_L, and mean squares: p_L and s_L of inputs of cosine 0.3, of the parameters' gradients.

    Gradients of w, b, v, a are tensors (networks, 2): of the first block and of the last.
    """
    g = torch.Generator().manual_seed(seed)
    first = normal(networks, width, generator=g).requires_grad_()
    x = first
    other = (0.3 * first + math.sqrt(1 - 0.09) * normal(networks, width, generator=g)).detach()
    deviations = {name[-2]: math.sqrt(value) for name, value in variances.items()}
    named: list[dict[str, Tensor]] = []
    for _ in range(depth):
        w = deviations["w"] / math.sqrt(width) * normal(networks, width, width, generator=g)
        b = deviations["b"] * normal(networks, width, generator=g)
        drawn = {"w": w, "b": b}
        if block == "full":
            drawn["v"] = deviations["v"] / math.sqrt(width) * normal(networks, width, width, generator=g)
            drawn["a"] = deviations["a"] * normal(networks, width, generator=g)
        named.append({name: tensor.requires_grad_() for name, tensor in drawn.items()})

        def branch(x: Tensor, of: dict[str, Tensor] = named[-1]) -> Tensor:
            u = act(torch.einsum("boi,bi->bo", of["w"], x) + of["b"])
            return torch.einsum("boi,bi->bo", of["v"], u) + of["a"] if block == "full" else u

        x, other = (branch(v) + (0.0 if block == "plain" else v) for v in (x, other))
    ends = [tensor for block_ in (named[0], named[-1]) for tensor in block_.values()]
    before, after, *rest = torch.autograd.grad((x * normal(networks, width, generator=g)).sum(), (first, x, *ends))
    squares = [gradient.flatten(1).square().mean(1) for gradient in rest]
    half = len(squares) // 2
    found = {name: torch.stack([squares[k], squares[k + half]], 1) for k, name in enumerate(named[0])}
    return found | {
        "ratio": before.square().sum(1) / after.square().sum(1),
        "p": x.square().mean(1),
        "s": (x - other).square().mean(1),
    }


WIDTH = 40
NETWORKS = {
    "full tanh": MeanFieldNetwork(12, WIDTH),
    "full relu-0.85": MeanFieldNetwork(10, WIDTH, activation="relu-0.85", sigma_w2=1.0, sigma_v2=0.7),
    "reduced erf": MeanFieldNetwork(12, WIDTH, "reduced", "erf"),
    "plain tanh": MeanFieldNetwork(8, 64, "plain", "tanh", sigma_w2=2.5, sigma_b2=0.1),
}
ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh,
    "erf": torch.erf,
    "relu-0.85": lambda x: torch.where(x > 0, torch.where(x > 0, x, 1.0) ** 0.85, 0.0),
}


@pytest.fixture(scope="module", params=NETWORKS)
def drawn(request: pytest.FixtureRequest) -> tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]]:
    network = NETWORKS[request.param]
    act = ACTIVATIONS[network.activation]
    runs = [
        mean_field(100, network.depth, network.width, network.block, act, network.variances, seed) for seed in range(20)
    ]
    return network, {name: np.concatenate([run[name].detach().numpy() for run in runs]) for name in runs[0]}


def z_of_mean(values: Float[np.ndarray, " networks"], expected: float, left_out: float = 0.0) -> float:
    """Standard errors beyond what is left out, relative to the expected value."""
    excess = abs(values.mean() - expected) - left_out * abs(expected)
    return float(excess / (values.std() / math.sqrt(values.size)))


def z_of_share(inside: Float[np.ndarray, " networks"], share: float) -> float:
    return float(abs(inside.mean() - share) / math.sqrt(share * (1 - share) / inside.size))


def test_lengths_distances_and_gradients_are_those_of_networks(
    drawn: tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]],
) -> None:
    network, found = drawn
    said, back = blocks.blocks(network), blocks.gradient(network)
    assert z_of_mean(found["p"], math.exp(said.log_length), 0.01) < Z
    assert z_of_mean(found["s"], math.exp(said.log_distance), 0.02) < Z
    assert z_of_mean(found["ratio"], math.exp(back.log_mean), 0.02) < Z
    assert set(back.parameters) == set(found) - {"p", "s", "ratio"}
    for name, log in back.parameters.items():
        first, last = found[name].T
        expected = math.exp(log)
        assert z_of_mean(first / last.mean(), expected, 0.05) < Z
        assert z_of_mean(first / last.mean(), 1.5 * expected) > 2 * Z


def test_spread_is_that_of_networks(drawn: tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]]) -> None:
    network, found = drawn
    back = blocks.gradient(network)
    logs = np.log(found["ratio"])
    # the variance to leading order in depth/width: 8 % off at these
    assert abs(float(logs.var()) / back.std**2 - 1) < 0.08 + Z * math.sqrt(2 / logs.size)
    assert z_of_mean(logs, back.median) < Z + 1.0
    assert z_of_mean(logs, back.log_mean) > 2 * Z  # a typical network is below the mean
    assert z_of_share((logs > back.low) & (logs < back.high), 0.95) < Z
    lengths = np.log(found["p"])
    law = blocks.length_law(network)
    assert abs(float(lengths.var()) / law.std**2 - 1) < 0.08 + Z * math.sqrt(2 / logs.size)


def test_broken_recurrences_are_far_off(
    drawn: tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]],
) -> None:
    network, found = drawn
    wrong = replace(network, sigma_w2=0.5 * network.sigma_w2, sigma_v2=0.8 * network.sigma_v2)
    assert z_of_mean(found["ratio"], math.exp(blocks.gradient(wrong).log_mean), 0.02) > 2 * Z
    assert z_of_mean(found["p"], math.exp(blocks.blocks(wrong).log_length), 0.01) > 2 * Z


def test_window_of_variances_in_closed_form() -> None:
    """ReLU: (1 + sv2 sw2/2)^L with a skip, (sw2/2)^L without."""
    full = MeanFieldNetwork(40, 64, activation="relu")
    low, high = blocks.sigma_window(full, 7.0)
    assert low == 0.0
    assert high == pytest.approx((7 ** (1 / 40) - 1) * 2 / 1.5, rel=1e-8)
    plain = MeanFieldNetwork(40, 64, "plain", "relu", sigma_b2=0.0)
    assert blocks.sigma_window(plain, 7.0) == pytest.approx((2 * 7 ** (-1 / 40), 2 * 7 ** (1 / 40)), rel=1e-8)
    assert blocks.sigma_window(full, 1.0) == (
        pytest.approx(math.nan, nan_ok=True),
        pytest.approx(math.nan, nan_ok=True),
    )


@pytest.mark.parametrize("block", ["full", "reduced", "plain"])
@pytest.mark.parametrize("activation", ["tanh", "erf", "relu", "relu-0.6"])
def test_log_ratio_grows_with_the_variance_so_that_the_window_is_all_there_is(block: str, activation: str) -> None:
    network = MeanFieldNetwork(30, 64, block, activation)  # type: ignore[arg-type]
    sizes = np.geomspace(1e-4, 1e4, 33)
    logs = np.array([blocks.log_ratio(network, float(size)) for size in sizes])
    assert (np.diff(logs) > 0).all()
    low, high = blocks.sigma_window(network, 5.0)
    inside = (sizes > low) & (sizes < high)
    assert (inside == (np.abs(logs) <= math.log(5))).all()


def test_window_of_tanh_by_a_recurrence_of_its_own() -> None:
    """E tanh^2 and E sech^4 on a grid, layer by layer, at the answer."""
    network = MeanFieldNetwork(25, 64)
    sigma = blocks.sigma_window(network, 10.0)[1]
    z = np.linspace(-10, 10, 20_001)
    weights = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    p, log = 1.0, 0.0
    for _ in range(25):
        h = math.sqrt(sigma * p + 0.49) * z
        p += 1.5 * float(weights @ np.tanh(h) ** 2) + 0.5
        log += math.log1p(1.5 * sigma * float(weights @ np.cosh(h) ** -4.0))
    assert math.exp(log) == pytest.approx(10.0, rel=1e-6)


@pytest.mark.parametrize(
    "network",
    [
        MeanFieldNetwork(20, 48),
        MeanFieldNetwork(20, 48, "plain", "relu", sigma_w2=2.0),
        MeanFieldNetwork(3, 64, "full", "relu"),
    ],
)
def test_depth_and_width_are_where_the_spread_crosses(network: MeanFieldNetwork) -> None:
    depth, width = blocks.large_spread_depth(network), blocks.small_spread_width(network)
    assert blocks.log_variance(network, int(depth)) > 1 >= blocks.log_variance(network, int(depth) - 1)
    wide, narrow = (replace(network, width=int(width) - k) for k in (0, 1))
    assert blocks.log_variance(wide, network.depth) <= math.log(1.5) ** 2 < blocks.log_variance(narrow, network.depth)


def test_depth_of_large_spread_in_an_exact_run() -> None:
    network = MeanFieldNetwork(20, 32, activation="erf", sigma_w2=0.7)
    deep = replace(network, depth=int(blocks.large_spread_depth(network)))
    logs = deep.network(1).sample(1024, seed=4, depths=[1])["log_chi"].to_numpy()[:, 0]
    # the next order of depth/width takes a part of it
    assert logs.std() == pytest.approx(1.0, abs=0.12)


def test_wide_networks_have_no_such_depth_within_reach() -> None:
    assert math.isinf(blocks.large_spread_depth(MeanFieldNetwork(4, 2**20)))


def test_gradients_that_do_not_average_out_have_no_law() -> None:
    network = MeanFieldNetwork(20, 100, activation="relu-0.6")
    back, said = blocks.gradient(network), blocks.blocks(network)
    assert not back.known
    assert not said.self_averaging
    assert math.isnan(said.large_spread_depth)
    ratios = np.exp(network.network(1).sample(512, seed=0, depths=[1])["log_chi"].to_numpy()[:, 0] - back.log_mean)
    assert np.median(ratios) < 0.5
    assert blocks.gradient(replace(network, activation="relu-0.85")).known


def test_spread_near_the_diverging_moment_is_said_to_be_too_large() -> None:
    network = MeanFieldNetwork(8, 48, activation="relu-0.8")
    back = blocks.gradient(network)
    logs = network.network(1).sample(8192, seed=2, depths=[1])["log_chi"].to_numpy()[:, 0]
    assert back.std / logs.std() == pytest.approx(1.12, abs=0.05)
    assert "too large" in back.basis
    assert "relu-0.8 at N = 48" in GaussianFluctuations.validity
    assert "too large" not in blocks.gradient(replace(network, activation="relu-0.85")).basis


@pytest.fixture(scope="module")
def reduced_relu() -> tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]]:
    network = MeanFieldNetwork(6, 48, "reduced", "relu")
    runs = [mean_field(200, 6, 48, "reduced", torch.relu, network.variances, seed) for seed in range(40)]
    return network, {name: np.concatenate([run[name].detach().numpy() for run in runs]) for name in runs[0]}


def test_gradients_of_reduced_relu_exceed_the_recurrence(
    reduced_relu: tuple[MeanFieldNetwork, dict[str, Float[np.ndarray, "..."]]],
) -> None:
    network, found = reduced_relu
    recurrence = math.exp(blocks.log_ratio(network, network.sigma_w2))
    excess = gradient_excess(network.recurrence, network.depth) / network.width
    # the next order takes a tenth of the excess
    assert z_of_mean(found["ratio"], recurrence * (1 + excess), 0.1 * excess) < Z
    assert z_of_mean(found["ratio"], recurrence) > 2.5 * Z
    first, last = found["w"].T
    assert z_of_mean(first / last.mean(), math.exp(float(np.diff(logs_of_w(network))[0])), 0.05) > 2 * Z


def logs_of_w(network: MeanFieldNetwork) -> list[float]:
    """ln chi_w of the last and of the first block by the recurrence."""
    logs = blocks.trajectory(network).log_chi_w
    return [float(logs[-1]), float(logs[1])]


@pytest.mark.parametrize(
    "network",
    [
        MeanFieldNetwork(8, 117, "reduced", "relu"),
        MeanFieldNetwork(9, 150, "reduced", "relu-0.85"),
        MeanFieldNetwork(12, 400, "reduced", "relu", sigma_w2=0.3, sigma_b2=0.0),
        MeanFieldNetwork(6, 100, "reduced", "relu", sigma_b2=4.0),
    ],
)
def test_excess_is_that_of_exact_runs(network: MeanFieldNetwork) -> None:
    recurrence = blocks.log_ratio(network, network.sigma_w2)
    ratios = np.exp(network.network(1).sample(4096, seed=3, depths=[1])["log_chi"].to_numpy()[:, 0] - recurrence)
    excess = gradient_excess(network.recurrence, network.depth) / network.width
    assert z_of_mean(ratios, 1 + excess, 0.1 * excess) < Z
    assert min(z_of_mean(ratios, 1 + factor * excess) for factor in (0, 2)) > 2 * Z
    assert blocks.mean_width(network) == max(math.ceil(50 * excess * network.width), 1)


@pytest.mark.parametrize("activation", ["relu", "relu-0.9"])
def test_nothing_is_said_of_gradients_that_exceed_the_recurrence(activation: str) -> None:
    network = MeanFieldNetwork(6, 48, "reduced", activation)
    width = int(blocks.mean_width(network))
    for narrow in (network, replace(network, width=width - 1)):
        back, said = blocks.gradient(narrow), blocks.blocks(narrow)
        assert math.isnan(back.log_mean)
        assert not back.known
        assert not back.parameters
        assert f"from width {width:,} on" in back.basis
        assert all(math.isnan(value) for value in (*said.sigma_w2, said.second_half, said.second_half_asymptotic))
        assert said.mean_width == width <= said.small_spread_width
        assert said.large_spread_depth <= network.depth
        assert math.isinf(predicted(narrow, "sd-log-gradient"))
        with pytest.raises(InputError, match=rf"width: got {narrow.width}, expected at least {width:,} for"):
            within_budget(narrow, Budget("gradient", 10.0), "sigma-w2")
    wide = replace(network, width=width)
    assert blocks.gradient(wide).known
    assert set(blocks.gradient(wide).parameters) == {"w", "b"}
    assert within_budget(network, Budget("sd-log-gradient", 0.9), "width", confirm=False).value == width
    # gradients leave the recurrence before they vary by 1
    deep = replace(network, width=4 * width)
    depth = int(blocks.large_spread_depth(deep))
    assert (
        blocks.mean_width(replace(deep, depth=depth - 1)) <= deep.width < blocks.mean_width(replace(deep, depth=depth))
    )


def test_mean_is_within_two_per_cent_at_its_width() -> None:
    network = MeanFieldNetwork(4, 64, "reduced", "relu")
    at = replace(network, width=int(blocks.mean_width(network)))
    logs = at.network(1).sample(4096, seed=5, depths=[1])["log_chi"].to_numpy()[:, 0]
    assert z_of_mean(np.exp(logs - blocks.gradient(at).log_mean), 1.0, 0.02) < Z


def test_second_half_is_that_of_the_closed_form() -> None:
    relu = blocks.blocks(MeanFieldNetwork(41, 64, activation="relu"))
    assert relu.second_half == pytest.approx(21 * math.log1p(1.5 * 1.69 / 2))
    assert relu.second_half_asymptotic == pytest.approx(relu.second_half)
    tanh = blocks.blocks(MeanFieldNetwork(400, 64))
    slope = 4 / 3 * math.sqrt(2 / math.pi) * 1.5 * 1.3 / math.sqrt(2)
    correction = 4 * 1.5**2 / (9 * math.pi * 2) * (3 / 2 - 1.69)
    law = slope * (20 - math.sqrt(200)) + correction * math.log(2)
    assert tanh.second_half_asymptotic == pytest.approx(law)
    assert tanh.second_half == pytest.approx(law, rel=0.01)
    assert math.isnan(blocks.blocks(MeanFieldNetwork(9, 64, "plain", "relu", sigma_b2=0.0)).second_half_asymptotic)


def test_rows_are_the_theories_and_the_norm_is_that_over_its_start() -> None:
    one, other = (predict("residual", depth=10, width=128, norm0=norm0) for norm0 in (1.0, 4.0))
    assert [row.theory for row in one.rows] == ["asymptotics", "recurrences", "gaussian-fluctuations"]
    found = {row.theory: row for row in other.rows}
    assert other.blocks is not None
    assert found["recurrences"].log_norm.mean == pytest.approx(other.blocks.log_length - math.log(4))
    assert found["recurrences"].correlation.mean == pytest.approx(other.blocks.cosine)
    assert found["recurrences"].median_gap == pytest.approx(1 - other.blocks.cosine)
    assert found["gaussian-fluctuations"].log_norm.std > 0


def test_inputs_merge_where_the_recurrence_says() -> None:
    relu = MeanFieldNetwork(20, 64, activation="relu")
    found = merging(relu, "bfloat16")
    assert found is not None
    gaps = [blocks.trajectory(replace(relu, depth=int(found.layer) - k)).cosine[-1] for k in (0, 1)]
    assert 1 - gaps[0] < 2**-8 <= 1 - gaps[1]
    assert merging(MeanFieldNetwork(20, 64), "bfloat16") is None  # cosines go to 1/2
    same = merging(MeanFieldNetwork(20, 64, rho0=1.0), "bfloat16")
    assert same is not None
    assert same.layer == 0


def test_largest_variance_for_a_gradient_is_confirmed() -> None:
    network = MeanFieldNetwork(20, 96)
    found = within_budget(network, Budget("gradient", 4.0), "sigma-w2")
    assert found.met
    assert found.predicted == pytest.approx(4.0)
    assert isinstance(found.network, MeanFieldNetwork)
    assert found.network.sigma_w2 == found.value == blocks.sigma_window(network, 4.0)[1]
    run = found.confirmation
    assert run is not None
    assert abs(run.measured - 4.0) < Z * run.se + 0.04
    assert abs(run.measured - found.present) > 2 * Z * run.se
    never = within_budget(network, Budget("gradient", 1.0 + 1e-12), "sigma-w2")
    assert (never.met, never.confirmation) == (False, None)


def test_gradients_that_shrink_are_measured_by_their_inverse() -> None:
    plain = MeanFieldNetwork(10, 96, "plain", sigma_w2=1.2, sigma_b2=0.1)
    assert predicted(plain, "gradient") == pytest.approx(math.exp(-blocks.log_ratio(plain, 1.2)))
    run = confirmation(plain, "gradient")
    assert run is not None
    assert abs(run.measured / predicted(plain, "gradient") - 1) < Z * run.se / run.measured + 0.02


@pytest.mark.parametrize("quantity", ["sd-log-gradient", "sd-log-norm"])
def test_width_for_a_spread_is_the_smallest_and_confirmed(quantity: str) -> None:
    network = MeanFieldNetwork(12, 20)
    found = within_budget(network, Budget(quantity, 0.25), "width")
    assert isinstance(found.network, MeanFieldNetwork)
    assert found.predicted <= 0.25 < predicted(replace(found.network, width=found.network.width - 1), quantity)
    run = found.confirmation
    assert run is not None
    # the spread is that to leading order in depth/width
    assert abs(run.measured - found.predicted) < Z * run.se + 0.04 * found.predicted


def test_knobs_of_a_residual_network() -> None:
    network = MeanFieldNetwork(12, 20)
    assert knobs(network, "gap") == knobs(network, "log-norm") == ()
    assert knobs(replace(network, activation="relu-0.6"), "sd-log-gradient") == ()
    assert knobs(describe("mlp", depth=3, width=4), "gradient") == ()
    with pytest.raises(InputError, match=r"budget gradient: got 0\.5, expected a number above 1"):
        Budget("gradient", 0.5)
