"""What is said of real modules: the theory that describes them holds, the others fail, and limits are where they are.

Statistical tests compare means with 6.5 standard errors (false alarms below 1e-9 each) and have a companion that breaks
the prediction by more than 11.16 of them.
"""

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from limitbench.advice.check.limits import growth
from limitbench.advice.check.recommend import recommendations
from limitbench.advice.check.result import CellResult, Line
from limitbench.advice.check.run import check
from limitbench.advice.check.words import behaviour, headline, theories, what_it_is
from limitbench.testing.networks import CRITICAL, POWERFUL

MODULES = Path(__file__).with_name("checked_modules.py")


@cache
def found(name: str, depth: int, width: int, seeds: int, inputs: int = 8) -> CellResult:
    path = f"{MODULES}:{name}"
    return check(path, depth=depth, width=width, seeds=seeds, inputs=inputs, seconds=1e6).cells[0]


def line(cell: CellResult, observable: str, theory: str) -> Line:
    one = cell.line(observable, theory)
    assert one is not None
    return one


def deviation(one: Line) -> float:
    """Of the mean, in standard errors."""
    return abs(one.measured[0] - one.predicted[0]) / one.mean_se


def test_he_relu_is_log_gaussian_and_not_infinite_width() -> None:
    cell = found("he", 16, 32, 100)
    limit, exact = (line(cell, "log_norm", name) for name in ("log-gaussian-perceptron", "finite-width"))
    assert limit.predicted == pytest.approx((-5 * 16 / 64, math.sqrt(5 * 16 / 32)))
    assert deviation(exact) < CRITICAL
    assert abs(exact.measured[1] / exact.predicted[1] - 1) < CRITICAL * 0.08
    assert limit.score.verdict != "fails"
    # without fluctuations, and with fluctuations but without the drift
    for name in ("infinite-width", "infinite-width-clt"):
        assert line(cell, "log_norm", name).score.verdict == "fails"
    assert cell.best["log_norm"][0] in ("finite-width", "log-gaussian-perceptron")
    assert "He's initialisation" in " ".join(what_it_is(cell))


def test_a_linear_layer_before_the_relus_adds_two_over_n() -> None:
    cell = found("linear_first", 6, 16, 100)
    mean, std = line(cell, "log_norm", "log-gaussian-perceptron").predicted
    assert (mean, std) == pytest.approx((-(5 * 6 + 2) / 32, math.sqrt((5 * 6 + 2) / 16)))
    exact = line(cell, "log_norm", "finite-width")
    assert deviation(exact) < CRITICAL
    assert "1 of them linear" in " ".join(what_it_is(cell))
    # without the factor of the linear layer, which all networks' first values show by themselves
    first = cell.measured.at("log_square", cell.measured.cell.reading.features[0])
    assert float(first.var()) == pytest.approx(2 / 16, rel=CRITICAL * 0.15)


def test_pytorch_default_is_named_with_its_decay() -> None:
    cell = found("default", 5, 16, 80)
    text = " ".join(what_it_is(cell))
    assert "not He's" in text
    assert "0.1667 (1/6)" in text
    square = 1.0
    for _ in range(5):
        square = (square / 3 + 1 / 48) / 2
    assert cell.case is not None
    assert math.exp(cell.case.path.log_square(5)) == pytest.approx(square)
    values = np.exp(cell.measured.at("log_square", cell.measured.cell.reading.features[-1]))
    se = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - square) < CRITICAL * se
    assert abs(values.mean() - 6.0**-5) > POWERFUL * se  # the decay without the biases' floor
    assert "2.449 times" in " ".join(recommendations(cell))


def test_a_pre_activation_resnet_matches_its_own_theory() -> None:
    cell = found("resnet", 6, 32, 100)
    for name in ("log_norm", "log_gradient"):
        own = line(cell, name, "gaussian-fluctuations")
        assert deviation(own) < CRITICAL
        assert abs(own.measured[1] / own.predicted[1] - 1) < CRITICAL * 0.08
        assert own.score.distance < 0.3 < line(cell, name, "infinite-width").score.distance
    # each block multiplies the mean square by 1 + sigma_v^2 sigma_w^2/2
    assert cell.case is not None
    assert cell.case.path.log_square(6) - cell.case.path.log_square(0) == pytest.approx(6 * math.log(1.25), rel=0.02)


def test_a_vanilla_resnet_is_described_by_finite_depth_sums() -> None:
    cell = found("vanilla", 6, 32, 80)
    own = line(cell, "log_norm", "log-gaussian-finite-depth")
    assert deviation(own) < CRITICAL
    assert own.score.distance < 0.3 < line(cell, "log_norm", "infinite-width").score.distance


def test_a_shaped_relu_is_also_read_as_one() -> None:
    cell = found("shaped", 8, 16, 40)
    assert cell.case is not None
    mean, std = line(cell, "log_norm", "covariance-sde").predicted
    # N(-t, 2t) at t = 1/2, and the weights' variance 1 times h = ((1 + 1/8)^2 + (1 - 1/4)^2)/2 a layer
    assert cell.case.offset("log_norm", 8) == pytest.approx(8 * math.log((1.125**2 + 0.75**2) / 2), abs=0.2)
    assert (mean - cell.case.offset("log_norm", 8), std) == pytest.approx((-0.5, 1.0))
    assert line(cell, "log_norm", "finite-width").score.verdict != "fails"


def test_gain_and_the_overflow_of_a_real_deep_network() -> None:
    """The layer in which float32 overflows, extrapolated from 12 layers, against deep dense networks."""
    cell = found("louder", 12, 24, 100)
    assert cell.initial is not None
    assert cell.initial.gain == pytest.approx(1.1, rel=0.01)
    assert not cell.initial.he
    assert "times He's standard deviation, not He's" in " ".join(what_it_is(cell))
    limit = next(one for one in cell.limits if (one.what, one.format) == ("overflow", "float32"))
    assert limit.extrapolated
    generator = torch.Generator().manual_seed(3)
    layers = sorted(_overflow(24, 1.1, generator) for _ in range(9))
    assert limit.layer == pytest.approx(layers[4], rel=0.1)
    assert "(extrapolated)" in " ".join(behaviour(cell))
    assert re.search(r"Multiply the weights by 0\.9[01]", " ".join(recommendations(cell)))
    # growth a layer: 2 ln 1.1 less 5/2n, without which the layer would be nearly halved
    assert cell.case is not None
    assert growth(cell.case) == pytest.approx(2 * math.log(1.1) - 2.5 / 24, rel=0.1)


def _overflow(width: int, gain: float, generator: torch.Generator) -> int:
    x = torch.randn(width, generator=generator)
    for layer in range(1, 100_000):
        h = torch.randn(width, width, generator=generator) @ x * (gain * math.sqrt(2 / width))
        if torch.isinf(h).any():
            return layer
        x = torch.relu(h)
    raise AssertionError


def test_a_transformer_is_measured_and_outside_all_theories() -> None:
    result = check(f"{MODULES}:encoder", depth=2, width=8, seeds=12, inputs=8, seconds=1e6)
    cell = result.cells[0]
    assert cell.case is None
    assert not cell.lines
    assert "outside all theories" in headline(result)
    assert theories(cell) == []
    assert recommendations(cell) == ()
    assert np.isfinite(cell.measured.statistics["log_gradient"][:, 1:]).all()


def test_what_is_said_of_convolutions_is_true() -> None:
    """With circular padding every convolution keeps sigma_w^2 times the mean square on average over networks."""
    cell = found("convolutions", 2, 16, 100)
    assert cell.case is None
    assert "mean square 2" in " ".join(what_it_is(cell))
    nodes = cell.measured.cell.nodes
    first = next(p for p in cell.measured.cell.points if nodes[p].kind == "convolution")
    values = np.exp(cell.measured.at("log_square", first))
    se = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - 2.0) < CRITICAL * se
    assert abs(values.mean() - 1.0) > POWERFUL * se


def test_the_numbers_of_a_pair_do_not_depend_on_the_other_pairs() -> None:
    path = f"{MODULES}:default"
    alone = check(path, depth=2, width=6, seeds=8, inputs=8, seconds=1e6).cells[0]
    beside = check(path, depth=[3, 2], width=6, seeds=8, inputs=8, seconds=1e6).cells[1]
    assert np.array_equal(alone.measured.statistics["log_square"], beside.measured.statistics["log_square"])
