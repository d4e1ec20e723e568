"""Budgets: answers that are tight, that invert the prediction, and that an exact run confirms (4.5 standard errors)."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import polygamma

from limitbench.advice.architecture import WIDEST, Architecture, PiecewiseMLP, ReluResNet
from limitbench.advice.budget import Budget, Knob, confirmation, knobs, predicted, reachable, within_budget
from limitbench.advice.describe import describe
from limitbench.errors import InputError
from limitbench.numerics.interlayer import Interlayer
from limitbench.numerics.shaping import next_gap

RELU = describe("mlp", depth=50, width=64)
SHAPED = describe("mlp", activation="shaped-relu", depth=64, width=64)
RESNET = describe("resnet", depth=64, width=256)
Z = 4.5
_GAP = Budget("gap", 0.05)


def test_width_of_a_linear_network_inverts_trigamma() -> None:
    found = within_budget(describe("mlp", activation="linear", depth=50, width=9), Budget("sd-log-norm", 0.3), "width")
    least = next(n for n in range(1, 2000) if 50 * polygamma(1, n / 2) <= 0.09)
    assert (found.met, found.value) == (True, least)
    assert found.predicted == pytest.approx(math.sqrt(50 * polygamma(1, least / 2)))
    assert found.confirmation is not None
    assert abs(found.confirmation.measured - found.predicted) < Z * found.confirmation.se


def test_width_is_the_smallest_and_confirmed() -> None:
    found = within_budget(RELU, Budget("sd-log-norm", 0.5), "width")
    assert isinstance(found.network, PiecewiseMLP)
    width = int(found.value)
    assert found.predicted <= 0.5 < predicted(replace(found.network, widths=(width - 1,) * 50), "sd-log-norm")
    run = found.confirmation
    assert run is not None
    assert run.networks == 4096
    assert abs(run.measured - found.predicted) < Z * run.se
    # at half the width the run notices
    other = confirmation(replace(found.network, widths=(width // 2,) * 50), "sd-log-norm")
    assert other is not None
    assert abs(other.measured - found.predicted) > 2 * Z * other.se


@pytest.mark.parametrize(
    ("network", "budget", "knob", "step"),
    [
        (RELU, Budget("sd-log-norm", 1.4), "slope", -1e-3),
        (RELU, Budget("gap", 0.1), "slope", -1e-3),
        (SHAPED, Budget("gap", 0.5), "rate", -1e-3),
        (RESNET, Budget("gap", 0.1), "branch", 1e-3),
        (RESNET, Budget("sd-log-norm", 0.5), "branch", 1e-3),
    ],
)
def test_continuous_knob_meets_the_budget_just_so(
    network: PiecewiseMLP | ReluResNet, budget: Budget, knob: str, step: float
) -> None:
    found = within_budget(network, budget, knob, confirm=False)  # type: ignore[arg-type]
    assert found.met
    assert found.predicted == pytest.approx(budget.value, rel=1e-4)
    assert budget.met(found.predicted)
    turned = {"slope": "c_minus", "rate": "rate", "branch": "residual_weight"}[knob]
    change = -step if knob == "branch" else step
    assert not budget.met(
        predicted(replace(found.network, **{turned: getattr(found.network, turned) + change}), budget.quantity)
    )


def test_slope_for_a_gap_in_an_exact_run() -> None:
    found = within_budget(RELU, Budget("gap", 0.1), "slope")
    assert found.confirmation is not None
    assert abs(found.confirmation.measured - 0.1) < Z * found.confirmation.se
    assert abs(found.present - 0.1) > 10 * found.confirmation.se


def test_branch_of_a_resnet_is_the_root_of_its_variance_and_confirmed() -> None:
    found = within_budget(RESNET, Budget("sd-log-norm", 0.2), "branch")
    assert isinstance(found.network, ReluResNet)
    assert found.network.residual_weight == pytest.approx(1 - found.value)
    assert 64 / 256 * Interlayer(1 - found.value, 64).variance_rate == pytest.approx(0.04, rel=1e-4)
    run = found.confirmation
    assert run is not None
    # the theory leaves out a variance of relative order 1/n
    assert abs(run.measured - found.predicted) < Z * run.se + 0.02 * found.predicted


def test_gap_of_a_resnet_follows_its_map() -> None:
    gap = 0.7
    for _ in range(64):
        gap = float(next_gap(gap, 1.0, 0.0))
    assert predicted(ReluResNet(64, 256, 1e-9), "gap") == pytest.approx(gap, rel=0.05)


def test_gain_centres_the_log_norm() -> None:
    found = within_budget(RELU, Budget("log-norm", 0.0), "gain")
    assert found.value == pytest.approx(math.exp(-found.present / 100))
    assert found.predicted == pytest.approx(0.0, abs=1e-12)
    assert found.confirmation is not None
    assert abs(found.confirmation.measured) < Z * found.confirmation.se
    assert abs(found.present) > 10 * found.confirmation.se


def test_budgets_out_of_reach_name_the_best() -> None:
    slope = within_budget(RELU, Budget("sd-log-norm", 0.1), "slope")
    assert (slope.met, slope.value, slope.confirmation) == (False, 1.0, None)
    assert slope.predicted == pytest.approx(math.sqrt(50 * polygamma(1, 32)))
    width = within_budget(RELU, Budget("gap", 0.1), "width")
    assert (width.met, width.value) == (False, WIDEST)


def test_budgets_that_are_met_already_change_nothing_needless() -> None:
    assert within_budget(RESNET, Budget("sd-log-norm", 9.0), "branch", confirm=False).value == 1.0
    assert within_budget(RELU, Budget("gap", 1e-6), "slope", confirm=False).value == 0.0


def test_standard_error_of_a_standard_deviation_is_that_of_its_spread() -> None:
    """sd/sqrt(2N) for a nearly normal log norm, and the spread of 16 runs of one seed each."""
    wide = describe("mlp", activation="linear", depth=10, width=100)
    runs = [confirmation(wide, "sd-log-norm", seed) for seed in range(16)]
    found = [(run.measured, run.se, run.networks) for run in runs if run is not None]
    measured, se, networks = map(np.array, zip(*found, strict=True))
    assert se == pytest.approx(measured / np.sqrt(2 * networks), rel=0.1)
    # chi with 15 degrees of freedom: all but 1e-6
    assert 0.27 < measured.std(ddof=1) / se.mean() < 1.98


@pytest.mark.parametrize(
    ("network", "budget", "turn"),
    [
        (describe("mlp", depth=30, width=16), _GAP, ("slope",)),  # infinite width is below it too
        (describe("mlp", depth=10, width=4), _GAP, ("slope", "width")),
        (RELU, Budget("sd-log-norm", 0.5), ("width",)),  # a linear network of this shape has 1.25
        (describe("mlp", depth=50, width=512), Budget("sd-log-norm", 0.5), ("slope", "width")),
        (SHAPED, Budget("sd-log-norm", 0.5), ("width",)),
        (RESNET, _GAP, ("branch",)),
        (RELU, Budget("log-norm", 0.0), ("gain",)),
    ],
)
def test_knobs_are_offered_where_they_reach(network: Architecture, budget: Budget, turn: tuple[Knob, ...]) -> None:
    assert reachable(network, budget) == turn
    for knob in {*knobs(network, budget.quantity)} - {"width"}:
        assert within_budget(network, budget, knob, confirm=False).met == (knob in turn)


def test_knobs_that_do_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="vary: got 'branch', expected slope or width"):
        within_budget(RELU, Budget("sd-log-norm", 0.5), "branch")
    with pytest.raises(InputError, match="nothing: log-norm cannot be moved here"):
        within_budget(RESNET, Budget("log-norm", 0.0), "gain")
    smooth = describe("mlp", activation="tanh", depth=8, width=8)
    assert knobs(smooth, "sd-log-norm") == ("width",)
    assert knobs(smooth, "gap") == ()


def test_smooth_network_is_confirmed() -> None:
    smooth = describe("mlp", activation="tanh", depth=16, width=64)
    run = confirmation(smooth, "sd-log-norm")
    assert run is not None
    # the SDE leaves out a relative O(1/n)
    assert abs(run.measured - predicted(smooth, "sd-log-norm")) < Z * run.se + 0.02


def test_networks_that_are_too_costly_are_not_drawn() -> None:
    assert confirmation(PiecewiseMLP(1000, (WIDEST,) * 1000), "gap") is None
