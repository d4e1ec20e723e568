"""Residual networks without weights have the law of real weight matrices, and every planted defect is noticed.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`).
"""

import math
from functools import cache, partial

import numpy as np
import pytest
import torch

from limitbench.networks import gram, residual, resnet_dense, resnet_exact
from limitbench.networks.resnet import ResNet
from limitbench.numerics.random import Stream
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation

THREE = ((1.0, 0.5, -0.3), (0.5, 2.0, 0.0), (-0.3, 0.0, 1.0))
FIVE = tuple(tuple(0.6 ** abs(a - b) for b in range(5)) for a in range(5))
NORMALISED = {"skip": (1 + 0.5 / 8) ** -0.5, "branch": (8 + 0.5) ** -0.5}

NETWORKS = {
    "one-2": ResNet(4, 2, jacobian=True),
    "one-3-balanced": ResNet(6, 3, jacobian=True, balanced=True, outputs=2),
    "one-4-leaky": ResNet(6, 4, jacobian=True, slope_plus=2.0, slope_minus=-1.0),
    "one-8": ResNet(8, 8, jacobian=True),
    "one-8-balanced-leaky": ResNet(8, 8, jacobian=True, balanced=True, slope_minus=0.4),
    "one-8-no-skip": ResNet(4, 8, skip=0.0, branch=math.sqrt(2.0), jacobian=True),
    "one-8-normalised": ResNet(8, 8, jacobian=True, **NORMALISED),
    "one-64": ResNet(10, 64, jacobian=True, outputs=3),
    "one-64-balanced": ResNet(6, 64, jacobian=True, balanced=True),
    "gradient-2": ResNet(4, 2, jacobian=True, gradient=True),
    "gradient-3-balanced": ResNet(6, 3, jacobian=True, gradient=True, balanced=True),
    "gradient-4-no-skip": ResNet(4, 4, skip=0.0, branch=math.sqrt(2.0), gradient=True),
    "gradient-8": ResNet(8, 8, jacobian=True, gradient=True),
    "gradient-8-balanced-leaky": ResNet(8, 8, gradient=True, balanced=True, slope_minus=0.4),
    "gradient-64": ResNet(8, 64, gradient=True),
    "gradient-two-3-balanced": ResNet(5, 3, gradient=True, rho0=0.3, balanced=True),
    "gradient-three-2": ResNet(4, 2, gradient=True, gram=THREE),
    "two-2-balanced": ResNet(5, 2, rho0=0.3, balanced=True),
    "two-3": ResNet(5, 3, rho0=-0.6),
    "two-4-no-skip": ResNet(3, 4, skip=0.0, rho0=0.5),
    "two-8-normalised": ResNet(8, 8, rho0=0.2, slope_plus=2.0, slope_minus=-1.0, **NORMALISED),
    "two-64-balanced": ResNet(5, 64, rho0=0.2, balanced=True),
    "three-2": ResNet(4, 2, gram=THREE),
    "three-8-balanced": ResNet(6, 8, gram=THREE, balanced=True, slope_minus=-0.5),
    "three-64": ResNet(5, 64, gram=THREE),
}
#: Networks with a planted defect that shows on twice as many of them only.
FAINT = ("one-8-balanced-leaky", "one-64", "one-64-balanced")
GRAMS = {
    "five-2": ResNet(4, 2, gram=FIVE),
    "five-3-balanced": ResNet(4, 3, gram=FIVE, balanced=True),
    "five-4-no-skip": ResNet(3, 4, gram=FIVE, skip=0.0),
    "five-8-leaky": ResNet(5, 8, gram=FIVE, slope_plus=2.0, slope_minus=-1.0, balanced=True),
}


def observables(network, sampler):
    n = (2_048 if network.width > 8 else 8_192) * (2 if network in map(NETWORKS.get, FAINT) else 1)
    depths = [network.depth // 2, network.depth]
    drawn = network.sample(n, seed=3, depths=depths, sampler=sampler)
    # narrow networks have atoms, which float32 and float64 must not part
    values = {name: np.round(drawn[name].values, 4) for name in network.observables}
    # all columns share their masks and weights
    with np.errstate(invalid="ignore"):  # -inf less -inf, where a network without skip is dead
        if network.jacobian:
            values["both"] = values["log_norm"] + values["log_jacobian"]
        if network.gradient:
            norm, back = values["log_norm"], values["log_gradient"]
            values["forward and backward"] = np.concatenate([norm + back, norm - back], axis=1)
        if network.gradient and network.jacobian:
            values["tangent and back"] = values["log_jacobian"] + values["log_gradient"]
    return values


def gram_entries(network, draw):
    """Log norms and log gaps of all five inputs, at the middle and the last layer."""
    root = gram.gram_root(network.gram)
    depths = (network.depth // 2, network.depth)
    options = {"jacobian": False, "outputs": 1, "depths": depths, "batch": 8_192, "stream": Stream(8)}
    found = {}
    for layer in draw(network.block, root, **options):
        logs = residual.log_norms(layer)
        for a in range(len(root)):
            found.setdefault(f"log norm {a}", []).append(logs[a].numpy())
            for b in range(a):
                gap = (1.0 - residual.correlation(layer, a, b)).clamp_min(1e-12).log()
                found.setdefault(f"log gap {a} {b}", []).append(gap.numpy())
    return {name: np.stack(values, axis=1) for name, values in found.items()}


@cache
def dense_observables(name):
    return observables(NETWORKS[name], "dense")


@cache
def dense_gram_entries(name):
    return gram_entries(GRAMS[name], partial(resnet_dense.sample_layers, weights="gaussian"))


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


GRADIENTS = ["gradient-2", "gradient-3-balanced", "gradient-8", "gradient-64", "gradient-two-3-balanced"]


@pytest.mark.parametrize("name", GRAMS)
def test_five_inputs_have_the_law_of_dense(name):
    assert largest_deviation(gram_entries(GRAMS[name], resnet_exact.sample_layers), dense_gram_entries(name)) < CRITICAL


# Planted defects, put into a plain sampler without weights that passes without them. ---------------------------------


def plain_layers(block, root, *, jacobian, outputs, depths, batch, stream, gradient=False, defect=None):
    """The sampler without weights in its plainest form, with `defect`."""
    n, inputs = block.width, root.shape[1]
    chi = torch.randn(batch, outputs, dtype=torch.float64, generator=stream.torch).square().sum(1)
    tape = []

    def normals(columns):
        return torch.randn(batch, n, columns, dtype=torch.float64, generator=stream.torch)

    def signs(columns):
        drawn = normals(columns).sign()
        return drawn if block.balanced else torch.ones_like(drawn)

    def recorded(layer):
        columns, zero = z.permute(2, 0, 1), torch.zeros(z.shape[2], batch, dtype=torch.float64)
        out = chi.log() + (z[:, :, 0] ** 2).mean(1).log()
        return residual.Recorded(layer, columns, zero, sigma[:, :, 0], out, back() if gradient else None)

    def back():
        e = start = normals(1)
        for basis, drawn, slopes in reversed(tape):
            step = (e**2).sum(1, keepdim=True).sqrt() * normals(1)
            if defect != "fresh matrix on the way back":
                step = step + basis @ (drawn.mT @ e - basis.mT @ step)
            if defect == "gradient with a mask of its own":
                slopes = torch.where(normals(1) > 0.0, block.slope_plus, block.slope_minus) * slopes.sign().abs()
            if defect == "gradient without signs":
                slopes = slopes.abs()
            e = block.skip * e + block.branch / math.sqrt(n) * slopes * step
        return (e**2).sum((1, 2)).log() - (start**2).sum((1, 2)).log()

    z = torch.cat([normals(len(root)) @ root, normals(1)], dim=2) if jacobian else normals(len(root)) @ root
    sigma_inputs = inputs if defect == "signs of their own for each input" else 1
    sigma = signs(sigma_inputs)
    yield recorded(0)
    for layer in range(1, depths[-1] + 1):
        y = sigma * z
        features = block.slope_plus * y.clamp_min(0.0) + block.slope_minus * y.clamp_max(0.0)
        if jacobian:
            wrong = {"tangent with a mask of its own": normals(1), "tangent with a mask without signs": z}
            mask = wrong.get(defect, y)[:, :, 0]
            features[:, :, -1] = torch.where(mask > 0.0, block.slope_plus, block.slope_minus) * y[:, :, -1]
        values, vectors = torch.linalg.eigh(features.mT @ features)
        if gradient:  # features = U S V', and the columns of U that are there are a basis
            basis, sizes, rows = torch.linalg.svd(features, full_matrices=False)
            drawn = normals(sizes.shape[1])
            step = drawn @ (sizes[:, :, None] * rows)
            slopes = torch.where(y[:, :, :1] > 0.0, block.slope_plus, block.slope_minus) * sigma[:, :, :1]
            tape.append((basis, drawn, slopes))
        else:
            step = normals(z.shape[2]) @ (values.clamp_min(0.0).sqrt()[:, :, None] * vectors.mT)
        branch = block.branch * (1.1 if defect == "wrong branch constant" else 1.0) / math.sqrt(n)
        skip = 0.0 if defect == "missing skip" else block.skip
        fresh = skip * z + branch * step
        if defect == "dropped cross term z'W phi":
            norm_sq = skip**2 * (z**2).sum(1) + branch**2 * (step**2).sum(1)
            fresh = fresh * (norm_sq / (fresh**2).sum(1)).sqrt()[:, None, :]
        z, sigma = fresh, signs(sigma_inputs)
        if layer in depths:
            yield recorded(layer)


@pytest.mark.parametrize(
    "name", ["one-2", "one-8", "one-64-balanced", "two-3", "two-64-balanced", "three-8-balanced", *GRADIENTS]
)
def test_plain_sampler_without_a_defect_passes(monkeypatch, name):
    monkeypatch.setattr(resnet_exact, "sample_layers", plain_layers)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        ("dropped cross term z'W phi", "one-2"),
        ("dropped cross term z'W phi", "one-8"),
        ("dropped cross term z'W phi", "one-64-balanced"),
        ("dropped cross term z'W phi", "three-8-balanced"),
        ("signs of their own for each input", "two-2-balanced"),
        ("signs of their own for each input", "two-64-balanced"),
        ("signs of their own for each input", "three-8-balanced"),
        ("wrong branch constant", "one-8"),
        ("wrong branch constant", "one-64"),
        ("wrong branch constant", "two-8-normalised"),
        ("missing skip", "one-2"),
        ("missing skip", "one-64-balanced"),
        ("missing skip", "two-3"),
        ("tangent with a mask of its own", "one-2"),
        ("tangent with a mask of its own", "one-8"),
        ("tangent with a mask of its own", "one-64"),
        ("tangent with a mask without signs", "one-8-balanced-leaky"),
        ("fresh matrix on the way back", "gradient-2"),
        ("fresh matrix on the way back", "gradient-8"),
        ("fresh matrix on the way back", "gradient-two-3-balanced"),
        ("gradient with a mask of its own", "gradient-2"),
        ("gradient with a mask of its own", "gradient-8"),
        ("gradient with a mask of its own", "gradient-64"),
        ("gradient with a mask of its own", "gradient-3-balanced"),
        ("gradient without signs", "gradient-3-balanced"),
        ("gradient without signs", "gradient-8-balanced-leaky"),
    ],
)
def test_defect_is_noticed(monkeypatch, defect, name):
    monkeypatch.setattr(resnet_exact, "sample_layers", partial(plain_layers, defect=defect))
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) > POWERFUL


def weights_of_their_own(z, signs, block, jacobian, out):
    """Features of the right norms on one unit each, so that their products vanish: F'F replaced by its diagonal."""
    norms = torch.linalg.vector_norm(z.clamp_min(0.0), dim=2)
    out.zero_()
    for column, norm in zip(range(len(z)), norms, strict=True):
        out[column, :, column] = norm


@pytest.mark.parametrize("name", ["two-3", "three-64"])
def test_weights_of_their_own_for_each_input_are_noticed(monkeypatch, name):
    monkeypatch.setattr(resnet_exact, "_activate", weights_of_their_own)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) > POWERFUL
