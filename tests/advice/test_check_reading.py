"""What a module computes, read from its own forward pass: families, activations by their values, what is outside."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limitbench.advice.check.factory import Factory, load
from limitbench.advice.check.inputs import find
from limitbench.advice.check.measure import Cell, survey
from limitbench.advice.check.values import recognise

MODULES = Path(__file__).with_name("checked_modules.py")


def factory(name: str) -> Factory:
    return load(f"{MODULES}:{name}")


def cell(name: str, depth: int = 3, width: int = 8) -> Cell:
    made = factory(name)
    x = find(made.draw(depth, width, 0, 0), 9, 0.3, 0)
    return survey(made, depth, width, x, seed=0)


@pytest.mark.parametrize(
    ("name", "family", "depth"),
    [
        ("he", "mlp", 3),
        ("linear_first", "mlp", 4),
        ("default", "mlp", 3),
        ("shaped", "mlp", 3),
        ("resnet", "residual", 3),
        ("vanilla", "residual", 3),
        ("encoder", "outside", 0),
        ("convolutions", "outside", 0),
        ("normalised", "outside", 0),
        ("post_activation", "outside", 0),
        ("recurrent", "outside", 0),
    ],
)
def test_the_family_is_read_from_what_is_computed(name: str, family: str, depth: int) -> None:
    reading = cell(name).reading
    assert (reading.family, reading.depth) == (family, depth)
    assert bool(reading.reasons) == (family == "outside")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("encoder", "attention"),
        ("encoder", "layer_norm"),
        ("convolutions", "3 convolutions"),
        ("normalised", "normalises its features 3 times (batch_norm)"),
        ("post_activation", "post-activation"),
        ("recurrent", "share one weight matrix"),
    ],
)
def test_what_is_outside_says_why(name: str, reason: str) -> None:
    assert reason in "; ".join(cell(name).reading.reasons)


def test_blocks_are_told_apart_with_the_weights_of_both_paths() -> None:
    full, vanilla = (cell(name).reading.blocks[1] for name in ("resnet", "vanilla"))
    assert (full.kind, full.skip, full.branch, full.activation.name) == ("full", 1.0, 1.0, "relu")
    assert vanilla.kind == "vanilla"
    assert (vanilla.skip, vanilla.branch) == pytest.approx((0.8, 0.6))


def test_a_hand_written_activation_is_known_by_its_slopes() -> None:
    found = cell("shaped", width=16).reading.activations[0]
    assert found.slopes == pytest.approx((1 + 0.5 / 4, 1 - 1 / 4))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.ReLU(), "relu"),
        (nn.LeakyReLU(0.2), "leaky relu"),
        (nn.Identity(), "linear"),
        (nn.Tanh(), "tanh"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.PReLU(), "leaky relu"),
        (nn.Hardtanh(), "hardtanh"),
    ],
)
def test_activations_are_named_by_their_values(module: nn.Module, name: str) -> None:
    def evaluate(x: Any) -> Any:
        with torch.no_grad():
            return module.double()(torch.from_numpy(np.asarray(x))).numpy()

    assert recognise(evaluate, "hardtanh").name == name


@pytest.mark.parametrize(("inner", "outer"), [(1.0, 1.0), (0.05, 20.0), (2.0, 0.7)])
def test_a_scaled_tanh_is_a_tanh(inner: float, outer: float) -> None:
    found = recognise(lambda x: outer * np.tanh(inner * x), "?")
    assert found.name == "tanh"
    assert (found.inner, found.outer) == pytest.approx((inner, outer))


def test_a_tanh_with_another_tail_is_none() -> None:
    assert recognise(lambda x: np.tanh(x) + 1e-3 * x, "mine").name == "mine"


def test_dropout_is_off_and_batch_norm_takes_the_batch() -> None:
    notes = " ".join(cell("normalised").notes)
    assert "dropout is switched off (3 layers)" in notes
    assert "statistics of this batch" in notes


def test_a_network_of_given_seed_is_the_same_again_and_leaves_global_generators_alone() -> None:
    made = factory("he")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (made.draw(2, 4, 0, k) for k in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    weights = [next(module.parameters()) for module in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_gaussian_inputs_have_the_correlation_asked_for() -> None:
    x = find(factory("he").draw(1, 8, 0, 0), 8, -0.4, 1).numpy()
    assert x.shape == (8, 8)
    assert (x**2).mean(axis=1) == pytest.approx(1.0)
    assert float(x[0] @ x[1]) / 8 == pytest.approx(-0.4)


def test_statistics_are_those_of_the_module_itself() -> None:
    """Against a forward and a backward pass by hand, of the network with the same seed."""
    from limitbench.advice.check.measure import Sampler

    found = cell("he", 2, 8)
    sampler = Sampler(factory("he"), found, seed=0)
    sampler.draw(0)
    measured = sampler.measured
    module = factory("he").draw(2, 8, 0, 0).double()
    x = found.inputs
    hidden = [x]
    for linear in (module[0], module[2]):  # type: ignore[index]
        hidden.append(torch.relu(hidden[-1] @ linear.weight.detach().t()))
    for node, value in zip(found.reading.features, hidden[1:], strict=True):
        square = value.square().mean(dim=1)
        rho = (value[0] @ value[1]) / (value[0].norm() * value[1].norm())
        assert measured.at("log_square", node)[0] == pytest.approx(math.log(float(square[0])))
        assert measured.at("correlation", node)[0] == pytest.approx(float(rho))
        assert math.exp(measured.at("log_gap", node)[0]) == pytest.approx(1 - float(rho))
        assert measured.at("positive", node)[0] == pytest.approx(float((value[0] > 0).double().mean()))
    last = hidden[-1]
    gram = last @ last.t()
    eigenvalues = torch.linalg.eigvalsh(gram / gram.trace()).numpy()
    at = found.points.index(found.reading.features[-1])
    assert measured.spectra[0, at] == pytest.approx(eigenvalues, abs=1e-12)
    # both weights' gradients hang together by the layer between: |dW2| from the features and the gradient at layer 2
    back = measured.at("log_gradient", found.reading.layers[1].node)[0]
    matrix = measured.parameter_gradients[found.reading.layers[1].node][0]
    expected = back + math.log(float(hidden[1][0].square().sum()) / 64)
    assert matrix == pytest.approx(expected)
