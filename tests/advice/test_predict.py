"""Predictions against closed forms, against the theories they come from, and against exact runs.

Runs have fixed seeds; a comparison is within 4.5 standard errors, whose false alarms have probability 7e-6 each.
"""

import math
import time

import numpy as np
import pytest
from scipy.special import digamma, polygamma

import limitbench
from limitbench.advice import merging, piecewise
from limitbench.advice.architecture import PiecewiseMLP, ReluResNet
from limitbench.advice.describe import SMOOTH, describe
from limitbench.advice.predict import Prediction, predict, predict_network
from limitbench.advice.rows import Row
from limitbench.advice.skewed_law import SkewedLaw
from limitbench.errors import InputError
from limitbench.numerics.interlayer import Interlayer
from limitbench.numerics.law_distance import deterministic_wasserstein
from limitbench.numerics.shaping import next_gap
from limitbench.statistics.base import quantile_moments
from limitbench.statistics.laws import Normal
from limitbench.theories.deep_linear import FiniteWidth
from limitbench.theories.shaped_relu import FiniteWidthChain

Z = 4.5


def rows(prediction: Prediction) -> dict[str, Row]:
    return {row.theory: row for row in prediction.rows}


def z_of_mean(values: np.ndarray, expected: float) -> float:
    return float(abs(values.mean() - expected) / (values.std() / math.sqrt(values.size)))


def z_of_std(values: np.ndarray, expected: float) -> float:
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    se = math.sqrt((float(np.mean(centred**4)) - variance**2) / values.size)
    return abs(variance - expected**2) / se


def z_of_median(values: np.ndarray, expected: float) -> float:
    """Normal score of the number of values below the expected median."""
    return float(abs((values < expected).sum() - values.size / 2) / (math.sqrt(values.size) / 2))


def test_linear_network_of_unequal_widths_is_a_sum_of_log_chi_squares() -> None:
    widths = [8, 20, 500, 8]
    best = predict("mlp", activation="linear", depth=4, widths=widths, gain=1.3).best("log_norm")
    assert best is not None
    mean = sum(digamma(n / 2) - math.log(n / 2) for n in widths) + 8 * math.log(1.3)
    assert best.log_norm.mean == pytest.approx(mean, abs=1e-12)
    assert best.log_norm.std == pytest.approx(math.sqrt(sum(polygamma(1, n / 2) for n in widths)), abs=1e-12)


def test_skewed_law_has_its_cumulants_and_is_near_the_exact_law() -> None:
    exact = FiniteWidth(16, 16, outputs=1)
    mean, variance, third = (exact.cumulant("log_q11", order) for order in (1, 2, 3))
    law = SkewedLaw(mean, math.sqrt(variance), third / variance**1.5)
    assert quantile_moments(law) == pytest.approx((mean, math.sqrt(variance)), abs=1e-6)
    reference = exact.law("log_q11")
    assert deterministic_wasserstein(law, reference) / reference.std < 1e-3
    # without the third cumulant it is ten times as far
    assert deterministic_wasserstein(Normal(mean, math.sqrt(variance)), reference) / reference.std > 5e-3
    x = np.linspace(-3, 1, 9)
    assert law.quantile(law.cdf(x)) == pytest.approx(x)
    assert float(SkewedLaw(0.0, 1.0).cdf(1.0)) == pytest.approx(float(Normal(0.0, 1.0).cdf(1.0)), abs=1e-7)


def test_expected_error_is_the_distance_to_the_exact_law() -> None:
    linear = rows(predict("mlp", activation="linear", depth=64, width=64))["covariance-sde-driftless"]
    reference = FiniteWidth(64, 64, outputs=1).law("log_q11")
    direct = deterministic_wasserstein(Normal(-1.0, math.sqrt(2)), reference) / reference.std
    assert linear.error["log_norm"] == pytest.approx(direct, rel=0.02)
    assert linear.error_from["log_norm"] == "finite-width"


@pytest.mark.parametrize(
    "network",
    [
        {"activation": "relu", "depth": 50, "width": 64},
        {"activation": "shaped-relu", "depth": 64, "width": 32},
        {"activation": "leaky", "depth": 24, "widths": [48, 64, 96] * 8},
    ],
)
def test_mlp_against_an_exact_run(network: dict[str, object]) -> None:
    prediction = predict("mlp", **network)  # type: ignore[arg-type]
    drawn = prediction.network.network(2).sample(8192, seed=3)
    norms, correlations = drawn["log_norm"].to_numpy(), drawn["correlation"].to_numpy()
    norm, correlation = prediction.best("log_norm"), prediction.best("correlation")
    assert norm is not None
    assert correlation is not None
    assert z_of_mean(norms, norm.log_norm.mean) < Z
    assert z_of_std(norms, norm.log_norm.std) < Z
    assert z_of_mean(correlations, correlation.correlation.mean) < Z
    assert z_of_std(correlations, correlation.correlation.std) < Z
    assert z_of_median(1 - correlations, correlation.median_gap) < Z
    # infinite width is far outside
    wrong = rows(prediction)["infinite-width"]
    assert z_of_mean(norms, wrong.log_norm.mean) > 2 * Z
    assert z_of_median(1 - correlations, wrong.median_gap) > Z


def test_balanced_resnet_against_an_exact_run() -> None:
    prediction = predict("resnet", depth=32, width=128, balanced=True)
    best = prediction.best("log_norm")
    assert best is not None
    norms = prediction.network.network(1).sample(4096, seed=1)["log_norm"].to_numpy()
    assert best.log_norm.mean == pytest.approx(-2.25 / 2 * 0.25)
    assert z_of_mean(norms, best.log_norm.mean) < Z
    assert z_of_std(norms, best.log_norm.std) < Z
    vanilla = predict("resnet", depth=32, width=128).best("log_norm")
    assert vanilla is not None
    assert z_of_std(norms, vanilla.log_norm.std) > 2 * Z


def test_vanilla_resnet_has_its_published_constants() -> None:
    prediction = predict("resnet", depth=100, width=400)
    found = rows(prediction)
    assert found["log-gaussian"].log_norm.std ** 2 * 4 == pytest.approx(5.4425, abs=5e-5)
    assert found["log-gaussian"].log_norm.mean * 4 == pytest.approx(-1.9839, abs=5e-5)
    assert found["log-gaussian-base"].log_norm.std ** 2 * 4 == pytest.approx(2.25)
    assert found["log-gaussian"].active_fraction == pytest.approx(0.5 - 0.3350 / 400, abs=1e-6)
    finest = prediction.best("log_norm")
    assert finest is not None
    assert finest.log_norm.std**2 * 4 == pytest.approx(Interlayer(0.5, 100).variance_rate)
    assert found["infinite-width"].error["log_norm"] > 10 * found["log-gaussian"].error["log_norm"]


def test_branch_per_depth_is_skip_one_and_a_branch_that_shrinks() -> None:
    network = describe("resnet", depth=50, width=64, branch_per_depth=True)
    assert isinstance(network, ReluResNet)
    assert (network.skip, network.branch) == pytest.approx((1.0, 50**-0.5))
    assert network.growth**50 == pytest.approx(math.exp(0.5), rel=5e-3)
    found = predict("resnet", depth=50, width=64, branch_per_depth=True, rho0=0.0).best("correlation")
    assert found is not None
    assert found.correlation.mean == pytest.approx(0.1413, abs=2e-3)  # the ODE of arXiv 2310.12079 at t = 1


def test_gain_moves_the_mean_log_norm_and_nothing_else() -> None:
    one, other = (predict("mlp", depth=50, width=64, gain=gain) for gain in (1.0, 0.408))
    for before, after in zip(one.rows, other.rows, strict=True):
        assert after.log_norm.std == pytest.approx(before.log_norm.std, nan_ok=True)
        shifted = before.log_norm.mean + 100 * math.log(0.408)
        assert after.log_norm.mean == pytest.approx(shifted, nan_ok=True)
        assert after.error == before.error


def test_death_probability_is_that_of_the_network() -> None:
    prediction = predict("mlp", depth=20, width=4)
    assert prediction.death_probability == pytest.approx(1 - (1 - 2**-4) ** 20)
    norms = prediction.network.network(1).sample(4096, seed=2)["log_norm"].to_numpy()
    died = int(np.isneginf(norms).sum())
    p = prediction.death_probability
    assert abs(died - 4096 * p) < Z * math.sqrt(4096 * p * (1 - p))
    alive = norms[np.isfinite(norms)]
    best = prediction.best("log_norm")
    assert best is not None
    assert z_of_mean(alive, best.log_norm.mean) < Z
    assert z_of_std(alive, best.log_norm.std) < Z


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_merging_layer_is_where_the_median_of_the_chain_crosses(precision: str) -> None:
    found = predict("mlp", depth=50, width=64, precision=precision).merging
    assert found is not None
    layer, target = int(found.layer), math.log(found.roundoff)

    def median(at: int) -> float:
        return float(FiniteWidthChain(at, 64, 0.0, -1.0, rate=0.0, rho0=0.3).law("log_gap").quantile(0.5))

    assert median(layer + 1) < target < median(layer - 2)


def test_merging_layer_in_an_exact_run() -> None:
    found = predict("mlp", depth=50, width=64).merging
    assert found is not None
    layer = int(found.layer)
    network = PiecewiseMLP(layer + 5, (64,) * (layer + 5)).network(2)
    drawn = network.sample(8192, seed=5, depths=[layer - 5, layer, layer + 5])["correlation"].to_numpy()
    below = (1 - drawn < found.roundoff).mean(axis=0)
    se = 0.5 / math.sqrt(8192)
    assert abs(below[1] - 0.5) < Z * se + 0.5 * (below[2] - below[0]) / 10  # the layer is a whole number
    assert below[0] < 0.5 - Z * se
    assert below[2] > 0.5 + Z * se


def test_merging_layer_of_a_resnet_is_that_of_its_map() -> None:
    network = ReluResNet(100, 512, 1e-9)
    gap, layers = 0.7, 0
    while gap >= 2.0**-8:
        gap, layers = float(next_gap(gap, 1.0, 0.0)), layers + 1
    found = merging.merging(network, "bfloat16")
    assert found is not None
    assert found.layer == pytest.approx(layers, rel=0.05)
    half = merging.merging(ReluResNet(100, 512, 0.5), "bfloat16")
    assert half is not None
    assert half.layer == pytest.approx(2 * layers, rel=0.05)


@pytest.mark.parametrize(("depth", "width"), [(32, 32), (64, 64)])
def test_resnet_without_skip_has_the_correlation_of_an_mlp(depth: int, width: int) -> None:
    """Its median in an exact run is a layer further; that of infinite width is far off."""
    found = predict("resnet", depth=depth, width=width, residual_weight=0.0)
    best = found.best("log_gap")
    assert best is not None
    gaps = 1 - found.network.network(2).sample(4096, seed=1)["correlation"].to_numpy()
    assert found.merging == predict("mlp", depth=depth, width=width).merging
    assert z_of_median(gaps, found.rows[0].median_gap) > 30
    assert best.median_gap / float(np.median(gaps)) == pytest.approx(1.0, abs=0.25)


def test_infinite_width_overestimates_the_gap_of_a_resnet() -> None:
    found = predict("resnet", depth=32, width=32)
    gaps = 1 - found.network.network(2).sample(4096, seed=2)["correlation"].to_numpy()
    best = found.best("log_gap")
    assert best is not None
    assert (gaps < best.median_gap).mean() > 0.5 + Z / math.sqrt(4 * 4096)


def test_inputs_that_never_merge() -> None:
    orthogonal = predict("mlp", activation="linear", depth=8, width=64, rho0=0.0).merging
    assert orthogonal is not None
    assert math.isinf(orthogonal.layer)
    parallel = predict("mlp", depth=8, width=64, rho0=1.0)
    assert parallel.merging is not None
    assert parallel.merging.layer == 0


@pytest.mark.parametrize(("depth", "width"), [(10_000, 2**20)])
def test_deep_and_wide_networks_are_answered(depth: int, width: int) -> None:
    start = time.process_time()
    best = predict("mlp", depth=depth, width=width, precision="float64").best("log_norm")
    assert time.process_time() - start < 8  # with every shape checked; 2 s without
    assert best is not None
    assert best.log_norm.std == pytest.approx(math.sqrt(5 * depth / width), rel=0.04)


def test_theories_that_do_not_apply_say_why() -> None:
    relu = rows(predict("mlp", depth=8, width=64))
    assert not relu["covariance-sde"].applies
    assert "does not apply" in relu["covariance-sde"].note
    strong = rows(predict("mlp", activation="shaped-relu", rate=0.25, depth=8, width=64))
    assert "stronger than 1/2" in strong["covariance-sde"].note
    weak = rows(predict("mlp", activation="shaped-relu", rate=1.0, depth=8, width=64))
    assert weak["covariance-sde-driftless"].applies
    narrow = rows(predict("mlp", depth=8, width=16))["finite-width"]
    assert "needs width 32" in narrow.note
    assert math.isnan(narrow.correlation.mean)
    assert narrow.log_norm.std > 0
    balanced = rows(predict("resnet", depth=8, width=16, balanced=True))
    assert "Balanced" in balanced["kernel-fluctuation"].note


def test_harmonic_mean_width_stands_for_unequal_ones() -> None:
    network = PiecewiseMLP(30, (128, 256, 128) * 10)
    chain, note = piecewise.chain_theory(network)
    assert chain is not None
    assert chain.width == 154
    assert "154" in note


def test_smooth_network_at_the_critical_rate() -> None:
    prediction = predict("mlp", activation="tanh", depth=64, width=64)
    found = rows(prediction)
    assert found["smooth-covariance-sde"].correlation.mean == pytest.approx(0.2371, abs=0.025)
    assert found["infinite-width"].error["log_norm"] > 0.5
    assert found["norm-sde"].log_norm.std > 0
    below = rows(predict("mlp", activation="softplus", rate=0.25, depth=8, width=64))
    assert below["smooth-ode"].applies
    assert "rate 0.25" in below["norm-sde"].note
    exploding = rows(predict("mlp", activation="root", depth=32, width=32))
    assert "explodes with probability" in exploding["norm-sde"].note


def test_smooth_names_are_those_of_the_activations() -> None:
    from limitbench.numerics.activations import ACTIVATIONS

    assert set(SMOOTH) == set(ACTIVATIONS)


def test_public_name_and_best_of_nothing() -> None:
    assert limitbench.predict is predict
    prediction = predict_network(PiecewiseMLP(8, (4,) * 8, rho0=1.0))
    assert prediction.best("log_norm") is not None
    with pytest.raises(InputError, match="precision"):
        predict("mlp", depth=8, width=4, precision="int8")
