"""Trained networks: gradients against automatic differentiation, steps against their formulas, streams, divergence.

Gradients are float32 numbers of one draw with a fixed seed: a relative error of 2e-4 is the largest allowed, the
planted defects are off by 10 % and more.
"""

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import trained
from limitbench.networks.trained import TrainedNet
from limitbench.networks.trained_stack import Shape, Stack, cross_entropy
from limitbench.numerics.random import Stream
from limitbench.testing.networks import NetworkContract

TINY = {"depth": 3, "width": 6, "epochs": 1, "images": 300}


class TestTrainedContract(NetworkContract):
    @pytest.fixture
    def network(self):
        return TrainedNet(**TINY)


CASES = [(kind, exponent) for kind in ("full", "reduced", "plain") for exponent in (None, 1.0, 0.85)]


def stack_of(kind, exponent, *, seed=0):
    shape = Shape(kind, exponent, depth=4, width=7, classes=5, stds=(1.3, 0.4, 0.9, 0.5))
    return Stack(shape, 3, 16, Stream(seed))


def batch(count=16, width=7, classes=5):
    random = torch.Generator().manual_seed(1)
    return torch.randn(3, count, width, generator=random), torch.randint(classes, (3, count), generator=random)


def by_autograd(stack, kind, exponent, x, labels):
    """Loss summed over images, and its gradients at the parameters, x_L and x_0, from torch's own operations."""
    parameters = stack.parameters.clone().requires_grad_()
    sizes = [part.shape for part in stack._parts]
    w, b, *branch, readout, offset = (
        p.view(s) for p, s in zip(parameters.split([s.numel() for s in sizes]), sizes, strict=True)
    )
    start = x.clone().requires_grad_()
    now = start
    for layer in range(stack.shape.depth):
        h = now @ w[layer] + b[layer]
        u = torch.tanh(h) if exponent is None else torch.relu(h).clamp_min(1e-30) ** exponent * (h > 0)
        y = u @ branch[0][layer] + branch[1][layer] if kind == "full" else u
        now = y if kind == "plain" else now + y
    outputs = now @ readout + offset
    loss = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="sum")
    return outputs.detach(), *torch.autograd.grad(loss, (parameters, now, start))


def off(measured, wanted):
    return float((measured - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("kind", "exponent"), CASES)
def test_gradients_are_those_of_automatic_differentiation(kind, exponent):
    stack, (x, labels) = stack_of(kind, exponent), batch()
    wanted = by_autograd(stack, kind, exponent, x, labels)
    outputs = stack.forward(x)
    outside, inside = stack.backward(cross_entropy(outputs, labels)[1])
    for measured, right in zip((outputs, stack.gradients, outside, inside), wanted, strict=True):
        assert off(measured, right) < 2e-4


@pytest.mark.parametrize(("kind", "exponent"), CASES)
def test_a_slope_or_skip_that_is_left_out_is_noticed(kind, exponent, monkeypatch):
    """The companion: phi' = 1, or the backward pass of another kind."""
    x, labels = batch()
    stack = stack_of(kind, exponent)
    wanted = by_autograd(stack, kind, exponent, x, labels)
    monkeypatch.setattr(Stack, "_times_slope", lambda self, h, u, scratch: None)
    stack.backward(cross_entropy(stack.forward(x), labels)[1])
    assert off(stack.gradients, wanted[1]) > 0.1
    monkeypatch.undo()
    outer = cross_entropy(stack.forward(x), labels)[1]
    other = "plain" if kind != "plain" else "reduced"
    object.__setattr__(stack.shape, "kind", other)
    stack.backward(outer)
    assert off(stack.gradients, wanted[1]) > 0.1


def test_fewer_images_than_the_buffers_hold_give_the_same_numbers():
    stack, (x, labels) = stack_of("full", None), batch()
    every = stack.forward(x)
    np.testing.assert_allclose(stack.forward(x[:, :5]), every[:, :5], rtol=1e-4, atol=1e-5)
    stack.backward(cross_entropy(stack.forward(x[:, :5]), labels[:, :5])[1])
    wanted = by_autograd(stack, "full", None, x[:, :5], labels[:, :5])[1]
    assert off(stack.gradients, wanted) < 2e-4


def test_steps_follow_the_formulas_of_the_optimisers():
    stack = stack_of("reduced", None)
    theta = stack.parameters.double().numpy()
    first = second = np.zeros_like(theta)
    for step in (1, 2, 3):
        gradient = torch.randn(len(theta), generator=torch.Generator().manual_seed(step))
        stack.gradients.copy_(gradient)
        stack.adam_step(0.01)
        g = gradient.double().numpy()
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        theta = theta - 0.01 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(stack.parameters, theta, rtol=1e-4, atol=1e-6)
    stack.gradients.copy_(gradient)
    stack.sgd_step(0.5)
    np.testing.assert_allclose(stack.parameters, theta - 0.5 * g, rtol=1e-4, atol=1e-6)


def test_initial_entries_have_the_variances_of_the_mean_field_parametrisation():
    """Each within 4.5 standard errors of a variance, sqrt(2/entries)."""
    shape = Shape("full", None, depth=6, width=40, classes=10, stds=(1.3, 0.4, 0.9, 0.5))
    parts = Stack(shape, 2, 1, Stream(3))._parts
    for part, variance in zip(parts, (1.69 / 40, 0.16, 0.81 / 40, 0.25, 1 / 40), strict=False):
        assert abs(float(part.square().mean()) / variance - 1) < 4.5 * (2 / part.numel()) ** 0.5
    assert not parts[-1].any()


def test_training_learns_and_is_the_same_again():
    """Digits are learnt by shallow networks; every number of the first draw is found again bit for bit."""
    net = TrainedNet(2, 48, sigma_w2=1.0, epochs=8)
    drawn, again = net.sample(4), net.sample(4)
    assert (drawn["test_accuracy"] > 0.6).all()
    assert (drawn["train_loss"] < 1.6).all()
    assert not drawn["diverged"].any()
    for name in net.observables:
        np.testing.assert_array_equal(drawn[name], again[name])
    assert len(np.unique(drawn["log_gradient_ratio"])) == 4


def test_a_loss_that_is_not_finite_is_a_result():
    """Huge ReLU weights with SGD: accuracy of chance, no loss, and no error."""
    net = TrainedNet(16, 8, activation="relu", optimiser="sgd", sigma_w2=1e6, epochs=1, images=96)
    drawn = net.sample(2)
    np.testing.assert_array_equal(drawn["diverged"], 1.0)
    np.testing.assert_array_equal(drawn["test_accuracy"], 0.1)
    assert drawn["train_loss"].isnull().all()


@pytest.mark.parametrize("overlap", [0.0, 0.9])
def test_images_have_the_norm_and_the_cosine_that_are_asked_for(overlap):
    net = TrainedNet(1, 200, input_norm=4.0, overlap=overlap)
    x = trained._Training(net, Stream(0)).test.double()
    np.testing.assert_allclose(x.square().mean(dim=2), 4.0, rtol=1e-5)
    unit = x / x.norm(dim=2, keepdim=True)
    total, count = unit.sum(dim=1).square().sum(dim=1), x.shape[1]
    cosine = float((total - count).mean() / (count * (count - 1)))
    assert cosine == pytest.approx(overlap + (1 - overlap) * 0.6883, abs=0.03)


def test_initial_ratio_and_distance_are_those_of_the_untrained_network(monkeypatch):
    """From autograd and from every pair of images; the seeds are one stream, so the networks are the same."""
    net = TrainedNet(3, 20, sigma_w2=2.0)
    training = trained._Training(net, Stream(5))
    ratio, distance = (v.numpy() for v in training._initial())
    stack, x = training.stack, training.test
    _, _, outside, inside = by_autograd(stack, "full", None, x, training.test_labels)
    squares = [g.double().square().mean(dim=(1, 2)) for g in (inside, outside)]
    np.testing.assert_allclose(ratio, (squares[0] / squares[1]).log(), atol=1e-4)
    last = torch.cat([stack.last(part.shape[1]).clone() for part in x.split(96, dim=1) if len(stack.forward(part))], 1)
    pairs = torch.stack([torch.pdist(features.double()) for features in last])
    np.testing.assert_allclose(distance, (pairs.square().mean(dim=1) / 20).log(), atol=1e-5)


def test_what_is_trained_and_on_what_is_part_of_the_seed(monkeypatch):
    net = TrainedNet(3, 8)
    others = [
        TrainedNet(4, 8),
        TrainedNet(3, 9),
        TrainedNet(3, 8, network="plain"),
        TrainedNet(3, 8, activation="relu"),
        TrainedNet(3, 8, optimiser="sgd"),
        TrainedNet(3, 8, input_norm=2.0),
        TrainedNet(3, 8, overlap=0.5),
    ]
    seeds = {n.batch_seed(0, 0, "exact") for n in (net, *others)}
    assert len(seeds) == 8
    monkeypatch.setattr(trained.training_data, "images", lambda name: type("Other", (), {"digest": "other"}))
    assert net.batch_seed(0, 0, "exact") not in seeds
    plain = {"network": "plain", "sigma_v2": 2.0}
    assert TrainedNet(3, 8, **plain).parameters == TrainedNet(3, 8, network="plain").parameters


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depth", 0),
        ("width", True),
        ("network", "dense"),
        ("activation", "erf"),
        ("activation", "relu-0.4"),
        ("optimiser", "rmsprop"),
        ("sigma_w2", -1.0),
        ("sigma_a2", float("nan")),
        ("input_norm", 0.0),
        ("overlap", 1.5),
        ("epochs", 0),
        ("images", True),
        ("data", "cifar"),
    ],
)
def test_a_value_that_cannot_be_accepted_is_named(field, value):
    with pytest.raises(InputError, match=rf"^{field}: got "):
        TrainedNet(**{"depth": 2, "width": 4, field: value})


def test_more_images_a_step_than_there_are_are_refused():
    with pytest.raises(InputError, match="images: got 2000, expected at most the 1347"):
        TrainedNet(2, 4, images=2000).sample(1)
