"""The sub-command: what it prints, JSON that is JSON, and refusals in one line that names the option."""

import json
import math
import re
from typing import Any

import pytest

from limitbench.cli import BAD_INPUT, COMPLETE, main

SMALL = ("predict", "mlp", "--depth", "8", "--width", "64")
RESNET = ("predict", "resnet", "--depth", "8", "--width", "64")
RESIDUAL = ("predict", "residual", "--depth", "12", "--width", "256")
BUDGET = (*SMALL, "--no-confirm", "--budget")
RESIDUAL_BUDGET = (*RESIDUAL, "--no-confirm", "--budget")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == COMPLETE
    return " ".join(capsys.readouterr().out.split())


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == COMPLETE
    return json.loads(capsys.readouterr().out)


def test_every_theory_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SMALL)
    for name in ("infinite-width", "infinite-width-clt", "covariance-sde", "q-sde", "finite-width"):
        assert name in text
    assert "relu MLP, depth 8, width 64: t = 0.125, ρ0 = 0.3" in text
    assert "indistinguishable in bfloat16" in text
    assert "Infinite width has no fluctuations: it gives log norm 0 against -0.3209 ± 0.81" in text


def test_advice_names_the_budget_to_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "predict", "mlp", "--depth", "50", "--width", "64", "--gain", "0.408")
    assert "Ask --budget sd-log-norm=0.5 --vary width for" in text
    assert "Ask --budget gap=0.05 --vary slope to" in text
    assert "Ask --budget log-norm=0 --vary gain" in text


def test_gap_of_a_resnet_is_said_to_be_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESNET)
    assert re.search(r"median 1 - ρ of 0\.\d+ \(\S+, which overestimates it\)", text)
    assert "at the latest. That is infinite width, the only theory of a ResNet's correlation" in text
    budget = printed(capsys, *RESNET, "--no-confirm", "--budget", "gap=0.5", "--vary", "branch")
    assert "by infinite width, which overestimates it; it is" in budget
    without = printed(capsys, *RESNET[:2], "--residual-weight", "0", "--depth", "64", "--width", "64")
    assert "at layer 50, within this network (median at this width)" in without
    assert "overestimates" not in without


def test_narrow_smooth_network_explodes_less(capsys: pytest.CaptureFixture[str]) -> None:
    silu = ("predict", "mlp", "--activation", "silu", "--depth", "1", "--width")
    assert "explodes with probability 0.0986 at large width, less at width 1" in printed(capsys, *silu, "1")
    assert "explodes with probability 0.0986 at large width, less at width 64" in printed(
        capsys, *silu[:-2], "64", "--width", "64"
    )
    assert re.search(r"explodes with probability \S+; laws", printed(capsys, *silu[:-2], "256", "--width", "1024"))


def test_theories_of_q_say_why_they_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "predict", "mlp", "--depth", "1", "--width", "1")
    assert re.search(r"q-sde: correlation: needs about \d+ layers or more at t = 1", text)
    rows = json_of(capsys, "predict", "mlp", "--depth", "1", "--width", "1")["theories"]
    assert max(row["median_gap"] or 0 for row in rows) < 2
    even = ("predict", "mlp", "--activation", "leaky", "--slope-minus", "-1", "--depth", "4", "--width", "8")
    assert "matched-discrete: slope_minus: needs a number in (-1, 1)" in printed(capsys, *even)


def test_narrow_network_may_die(capsys: pytest.CaptureFixture[str]) -> None:
    assert "some layer is off" in printed(capsys, "predict", "mlp", "--depth", "8", "--width", "8")


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json", "--rho0", "0", "--activation", "linear"]) == COMPLETE
    found = json.loads(capsys.readouterr().out)
    assert found["network"]["widths"] == [64] * 8
    assert found["indistinguishable"]["layer"] is None
    assert found["theories"][-1]["theory"] == "finite-width"
    assert found["theories"][-1]["log_norm"]["std"] == pytest.approx(0.5, abs=0.01)
    assert main([*BUDGET, "sd-log-norm=0.5", "--vary", "width", "--json"]) == COMPLETE
    budget = json.loads(capsys.readouterr().out)["budget"]
    assert budget["met"] is True
    assert budget["confirmation"] is None
    assert budget["predicted"] <= 0.5


def test_budget_is_answered_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SMALL, "--budget", "sd-log-norm=0.5", "--vary", "width")
    assert re.search(r"width = \d+ gives sd\(log-norm\) at most 0.5: predicted 0\.\d+; it is 0\.\d+ for", text)
    assert "One exact run of 4096 networks there measures" in text
    text = printed(capsys, *BUDGET, "sd-log-norm=0.1", "--vary", "slope")
    assert "No slope gives sd(log-norm) at most 0.1 at this depth: the best is" in text
    assert "exact run" not in text
    text = printed(capsys, *RESNET, "--no-confirm", "--budget", "gap=0.5", "--vary", "branch")
    assert "branch weight lambda² = 0." in text


def test_prediction_that_misses_the_run_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    # correlations of a ResNet are predicted at infinite width only
    deep = ("predict", "resnet", "--depth", "48", "--width", "64", "--budget", "gap=0.05", "--vary", "branch")
    assert "trust the run" in printed(capsys, *deep)
    assert "trust the run" not in printed(capsys, *SMALL, "--budget", "log-norm=0", "--vary", "gain")


def test_gradient_of_an_mlp_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *SMALL)
    assert re.search(r"hidden layer against the output: on average 1, typically 0\.\d+, in 95 % of networks", text)
    assert "(exact: the law of the norm, though not jointly with it)" in text
    assert json_of(capsys, *SMALL)["blocks"] is None
    assert "no theory: the masks of a vanilla ResNet depend on z" in printed(capsys, *RESNET)
    assert "Squared gradient" not in printed(capsys, *SMALL, "--activation", "silu")


def test_residual_network_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESIDUAL)
    assert (
        "tanh full residual network (variances w 1.69, b 0.49, v 1.5, a 0.5), depth 12, width 256: t = 0.04688" in text
    )
    assert "recurrences" in text
    assert "P(on)" not in text
    found = json_of(capsys, *RESIDUAL)
    mean, high = found["gradient"]["log_mean"], found["blocks"]["sigma_w2"][1]
    assert f"Squared gradient of x_0 against x_L: on average {math.exp(mean):.3g}, typically" in text
    assert f"sigma_w2 up to {high:.4g} keeps the mean gradient ratio within a factor of 10" in text
    assert f"by ± 1 at depth {found['blocks']['large_spread_depth']}; from width" in text
    assert "on its standard deviation is at most ln 1.5" in text
    assert set(found["gradient"]["parameters"]) == {"w", "b", "v", "a"}
    assert "Ask --budget gradient=10 --vary sigma-w2" in text
    small = printed(capsys, *RESIDUAL, "--sigma-w2", "0.1", "--gradient-budget", "30")
    assert "within a factor of 30" in small
    assert "Ask --budget gradient" not in small


def test_plain_network_has_a_window(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESIDUAL, "--block", "plain", "--activation", "relu", "--sigma-b2", "0")
    assert re.search(r"sigma_w2 from 1\.\d+ to 2\.\d+ keeps the mean gradient ratio .*: below, gradients vanish", text)


def test_gradients_that_do_not_average_out_are_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESIDUAL, "--activation", "relu-0.6")
    assert "Gradients do not average out over units here: phi' of relu-0.6 has no fourth moment" in text
    assert "typically" not in text
    assert json_of(capsys, *RESIDUAL, "--activation", "relu-0.6")["gradient"]["median"] is None
    reduced = printed(capsys, *RESIDUAL, "--block", "reduced", "--activation", "relu", "--depth", "30")
    assert "x_0 against x_L: nothing is known at this width, as along the mean of x gradients exceed" in reduced
    assert re.search(r"it holds within 2 % from width [\d,]+ on\.", reduced)
    assert "Mean squared gradients" not in reduced
    assert "sigma_w2" not in reduced
    shallow = (*RESIDUAL, "--block", "reduced", "--activation", "relu", "--depth", "6", "--width", "48")
    found = printed(capsys, *shallow, "--no-confirm", "--budget", "sd-log-gradient=0.5", "--vary", "width")
    assert "nothing is known at the width as given" in found
    deep = printed(capsys, *shallow[:-4], "--depth", "60", *BUDGET[-2:], "sd-log-gradient=0.5", "--vary", "width")
    assert "No width is known to give sd(log gradient ratio) at most 0.5" in deep


def test_far_exponents_are_powers_of_ten(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESIDUAL, "--activation", "relu", "--depth", "2000")
    assert re.search(r"x_0 against x_L: on average 10\^\d+\.\d, typically 10\^\d+\.\d", text)


def test_budget_of_a_gradient_is_answered_and_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *RESIDUAL, "--budget", "gradient=3", "--vary", "sigma-w2")
    assert re.search(r"sigma-w2 = 0\.\d+ gives a mean gradient ratio, or its inverse, of at most 3: predicted 3;", text)
    assert re.search(r"One exact run of 4096 networks there measures (2\.9|3\.0)", text)
    text = printed(capsys, *RESIDUAL_BUDGET, "sd-log-gradient=0.2", "--vary", "width")
    assert "gives sd(log gradient ratio) at most 0.2" in text


LINES = {
    "no depth": (("predict", "mlp"), ("--depth: got nothing", "layers")),
    "no width": (("predict", "mlp", "--depth", "8"), ("--width: got nothing", "widths")),
    "unknown architecture": (("predict", "cnn", "--depth", "8"), ("architecture: got 'cnn'", "mlp or resnet")),
    "depth zero": (("predict", "mlp", "--depth", "0", "--width", "4"), ("--depth: got 0", "at least 1")),
    "depth no integer": (("predict", "mlp", "--depth", "3.5", "--width", "4"), ("--depth: got 3.5", "integer")),
    "too deep": (("predict", "mlp", "--depth", "200000", "--width", "4"), ("--depth", "100,000")),
    "too wide": (("predict", "mlp", "--depth", "8", "--width", "2000000"), ("--width", "1,048,576")),
    "width in words": (("predict", "mlp", "--depth", "8", "--width", "wide"), ("--width: got 'wide'", "integer")),
    "digits with underscore": (("predict", "mlp", "--depth", "8", "--width", "1_6"), ("--width: got '1_6'",)),
    "both widths": ((*SMALL, "--widths", "4,4"), ("--width: got 'both'",)),
    "too few widths": (("predict", "mlp", "--depth", "8", "--widths", "4,4"), ("--widths", "depth = 8")),
    "unknown activation": ((*SMALL, "--activation", "gelu"), ("--activation: got 'gelu'", "relu, leaky")),
    "slope of ReLU": ((*SMALL, "--slope-minus", "0.1"), ("--slope-minus", "leaky")),
    "rate of ReLU": ((*SMALL, "--rate", "0.5"), ("--rate", "shaped")),
    "scale of ReLU": ((*SMALL, "--scale", "1"), ("--scale", "smooth")),
    "slope above one": ((*SMALL, "--activation", "leaky", "--slope-minus", "2"), ("--slope-minus", "[-1, 1]")),
    "two dead slopes": (
        ("predict", "mlp", "--activation", "shaped-relu", "--depth", "3", "--width", "1", "--c-plus", "-1"),
        ("--c-minus", "not both 0"),
    ),
    "correlation above one": ((*SMALL, "--rho0", "1.2"), ("--rho0", "[-1, 1]")),
    "correlation NaN": ((*SMALL, "--rho0", "nan"), ("--rho0", "nan")),
    "gain zero": ((*SMALL, "--gain", "0"), ("--gain: got 0", "positive")),
    "gain of a ResNet": ((*RESNET, "--gain", "2"), ("--gain: got 2", "piecewise linear")),
    "gain of tanh": ((*SMALL, "--activation", "tanh", "--gain", "2"), ("--gain: got 2",)),
    "residual weight one": ((*RESNET, "--residual-weight", "1"), ("--residual-weight", "[0, 1)")),
    "two branch weights": ((*RESNET, "--residual-weight", "0.5", "--branch-per-depth"), ("--residual-weight",)),
    "leaky ResNet": ((*RESNET, "--activation", "leaky"), ("--activation", "relu")),
    "balanced MLP": ((*SMALL, "--balanced"), ("--balanced", "nothing but for a resnet")),
    "gain out of range": ((*SMALL, "--gain", "1e-300"), ("--gain: got 1e-300", "above 1e-100 and below 1e100")),
    "unknown precision": ((*SMALL, "--precision", "int8"), ("--precision: got 'int8'", "bfloat16")),
    "unknown quantity": ((*BUDGET, "sd=1", "--vary", "width"), ("--budget: got 'sd'", "sd-log-norm=VALUE")),
    "budget without value": ((*BUDGET, "gap", "--vary", "width"), ("--budget: got 'gap'", "QUANTITY=VALUE")),
    "negative budget": ((*BUDGET, "gap=-1", "--vary", "width"), ("--budget gap: got -1", "positive")),
    "budget in words": ((*BUDGET, "gap=small", "--vary", "width"), ("--budget gap: got 'small'", "number")),
    "budget alone": ((*BUDGET, "gap=0.1"), ("--vary: got nothing", "slope or width")),
    "knob alone": ((*SMALL, "--vary", "width"), ("--budget: got nothing",)),
    "unknown knob": ((*BUDGET, "gap=0.1", "--vary", "depth"), ("--vary: got 'depth'", "slope or width")),
    "unknown block": ((*RESIDUAL, "--block", "dense"), ("--block: got 'dense'", "full or reduced or plain")),
    "block of an MLP": ((*SMALL, "--block", "full"), ("--block: got 'full'", "nothing but for residual")),
    "activation of residual": ((*RESIDUAL, "--activation", "silu"), ("--activation: got 'silu'", "tanh, erf, relu")),
    "power of a half": ((*RESIDUAL, "--activation", "relu-0.5"), ("--activation: got 'relu-0.5'", "1/2 < A")),
    "no variance of w": ((*RESIDUAL, "--sigma-w2", "0"), ("--sigma-w2: got 0", "[1e-12, 1e+12]")),
    "negative variance": ((*RESIDUAL, "--sigma-b2", "-1"), ("--sigma-b2: got -1", "[0, 1e+12]")),
    "variance in words": ((*RESIDUAL, "--sigma-a2", "small"), ("--sigma-a2: got 'small'", "number")),
    "v of a plain block": ((*RESIDUAL, "--block", "plain", "--sigma-v2", "1"), ("--sigma-v2: got 1", "full blocks")),
    "variance of an MLP": ((*SMALL, "--sigma-w2", "2"), ("--sigma-w2: got 2", "residual")),
    "gain of residual": ((*RESIDUAL, "--gain", "2"), ("--gain: got 2", "piecewise linear")),
    "widths of residual": (("predict", "residual", "--depth", "2", "--widths", "4,4"), ("--widths", "one width")),
    "balanced residual": ((*RESIDUAL, "--balanced"), ("--balanced", "nothing but for a resnet")),
    "lengths that vanish": (
        (*RESIDUAL, "--block", "plain", "--sigma-b2", "0", "--sigma-w2", "0.01", "--depth", "300"),
        ("--depth: got 300", "lengths leave the range of floats"),
    ),
    "length zero": ((*RESIDUAL, "--norm0", "0"), ("--norm0: got 0", "[1e-12, 1e+12]")),
    "gradients that may not move": ((*RESIDUAL, "--gradient-budget", "0.5"), ("--gradient-budget", "at least 1")),
    "gradient budget in words": ((*RESIDUAL, "--gradient-budget", "ten"), ("--gradient-budget: got 'ten'", "number")),
    "gradient budget of an MLP": ((*SMALL, "--gradient-budget", "10"), ("--gradient-budget: got 10", "residual")),
    "gap of residual": (
        (*RESIDUAL_BUDGET, "gap=0.1", "--vary", "width"),
        ("--budget: got 'gap'", "sd-log-norm or gradient"),
    ),
    "gradient below one": ((*RESIDUAL_BUDGET, "gradient=0.5", "--vary", "sigma-w2"), ("--budget gradient: got 0.5",)),
    "gradient of an MLP": (
        (*BUDGET, "gradient=5", "--vary", "sigma-w2"),
        ("--budget: got 'gradient'", "sd-log-norm or gap"),
    ),
    "knob of residual": ((*RESIDUAL_BUDGET, "gradient=5", "--vary", "slope"), ("--vary: got 'slope'", "sigma-w2")),
    "knob of another network": ((*BUDGET, "gap=0.1", "--vary", "branch"), ("--vary: got 'branch'", "slope or width")),
}


@pytest.mark.parametrize("case", LINES)
def test_refusal_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = LINES[case]
    assert main(arguments) == BAD_INPUT
    out, line = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .+: got .+, expected .+\n", line), line
    assert all(word in line for word in words), line
