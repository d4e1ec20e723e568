"""Samplers without weights have the law of real weight matrices: every observable, narrow and wide, several depths.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`).
"""

import math
from functools import cache

import numpy as np
import pytest
import torch

from limitbench.networks import linear_bartlett, shaped_gram, shaped_norm, shaped_pair
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.linear_state import TriangularProduct
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.shaping import ShapedLayer
from limitbench.testing.networks import CRITICAL, POWERFUL, deviations, largest_deviation

FIVE_INPUTS = tuple(tuple(1.0 if a == b else 0.6 ** abs(a - b) for b in range(5)) for a in range(5))
ALMOST_PARALLEL = 1.0 - 1e-9

NETWORKS = {
    "shaped-2": ShapedMLP(4, 2),
    "shaped-3": ShapedMLP(6, 3, c_plus=1.0, rho0=-0.4),
    "shaped-4": ShapedMLP(8, 4, c_plus=0.5, c_minus=-2.0),
    "shaped-8": ShapedMLP(8, 8),
    "shaped-8-close": ShapedMLP(8, 8, rho0=ALMOST_PARALLEL),
    "shaped-64": ShapedMLP(4, 64, rho0=0.5),
    "relu-3": ShapedMLP(3, 3, rate=0.0),
    "relu-8": ShapedMLP(6, 8, rate=0.0),
    "relu-64": ShapedMLP(4, 64, rate=0.0),
    "leaky-40": ShapedMLP(4, 40, rate=0.0, c_minus=-1.5),
    "shaped-unequal": ShapedMLP(5, widths=(3, 40, 2, 8, 64), c_plus=0.3),
    "opposite-8": ShapedMLP(4, 8, rho0=-1.0),
    "one-input-2": ShapedMLP(3, 2, gram=((1.0,),)),
    "one-input-8": ShapedMLP(6, 8, gram=((2.0,),)),
    "one-input-relu-3": ShapedMLP(4, 3, rate=0.0, gram=((2.0,),)),
    "one-input-64": ShapedMLP(4, 64, c_plus=1.0, gram=((2.0,),)),
    "one-input-relu-64": ShapedMLP(4, 64, rate=0.0, gram=((2.0,),)),
    "linear-2": DeepLinear(4, 2),
    "linear-3": DeepLinear(6, 3, outputs=3),
    "linear-4": DeepLinear(8, 4, outputs=1),
    "linear-8": DeepLinear(8, 8, outputs=4),
    "linear-64": DeepLinear(12, 64),
    "linear-unequal": DeepLinear(5, widths=(3, 8, 2, 64, 5)),
}
#: Networks with a planted defect that shows on twice as many of them only.
FAINT = ("shaped-4", "one-input-2", "one-input-relu-64", "linear-64")
GRAMS = {
    "five-inputs-2": ShapedMLP(4, 2, gram=FIVE_INPUTS),
    "five-inputs-3": ShapedMLP(5, 3, c_plus=0.5, gram=FIVE_INPUTS),
    "five-inputs-relu-4": ShapedMLP(3, 4, rate=0.0, gram=FIVE_INPUTS),
    "five-inputs-8": ShapedMLP(6, 8, gram=FIVE_INPUTS),
    "three-inputs-64": ShapedMLP(3, 64, gram=((1.0, 0.9, 0.0), (0.9, 4.0, 0.1), (0.0, 0.1, 1.0))),
    "five-inputs-unequal": ShapedMLP(4, widths=(2, 40, 3, 8), gram=FIVE_INPUTS),
}


def recorded(network):
    return sorted({1, network.depth // 2, network.depth})


def observables(network, sampler):
    n = 8_192 if network.width is None or network.width < 40 or network.observables == ("log_norm",) else 4_096
    n *= 2 if network in map(NETWORKS.get, FAINT) else 1
    drawn = network.sample(n, seed=3, depths=recorded(network), sampler=sampler)
    return {name: drawn[name].values for name in network.observables}


def gram_entries(network, sampler):
    n = 2_048 if network.width == 64 else 8_192
    drawn = network.sample_gram(n, seed=3, depths=recorded(network), sampler=sampler)
    m = network.inputs
    values = {f"log norm {a}": drawn.log_norms[:, :, a] for a in range(m)}
    # a log of the gap, so that correlations near 1 count too; rounding decides below 1e-12
    gap = np.maximum(1.0 - drawn.correlations, 1e-12)
    return values | {f"log gap {a} {b}": np.log(gap[:, :, a, b]) for a in range(m) for b in range(a)}


@cache
def dense_observables(name):
    return observables(NETWORKS[name], "dense")


@cache
def dense_gram_entries(name):
    return gram_entries(GRAMS[name], "dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


@pytest.mark.parametrize("name", GRAMS)
def test_exact_gram_has_the_law_of_dense(name):
    assert largest_deviation(gram_entries(GRAMS[name], "exact"), dense_gram_entries(name)) < CRITICAL


# Planted defects of the pair kernel, put into a plain float64 layer that passes without them. -----------------------


def plain_layer(defect):
    """One layer from h_1 and h_2 themselves, with `defect`; right for gaps that float64 resolves."""

    def layer(normals, ratio, log_gap):
        rho = 1.0 - log_gap.exp()[:, None]
        g, xi = normals.double()
        sigma = torch.sqrt((1.0 - rho) * (1.0 + rho))
        second = g + sigma * xi if defect == "dropped drift of h_2" else rho * g + sigma * xi
        f_1, f_2 = (h.clamp_min(0.0) + ratio * h.clamp_max(0.0) for h in (g, second))
        if defect == "dropped flips":
            f_2 = torch.where(g > 0.0, second, ratio * second)
        a, b = (f_1**2).sum(1), (f_2**2).sum(1)
        gap = ((f_1 / a.sqrt()[:, None] - f_2 / b.sqrt()[:, None]) ** 2).sum(1) / 2.0
        if defect == "float32 Gram differences":
            u, v = (f.float() for f in (f_1, f_2))
            gap = 1.0 - (u * v).sum(1) / ((u**2).sum(1) * (v**2).sum(1)).sqrt()
        dead = (a == 0.0) | (b == 0.0)
        return shaped_pair.PairStep(a.log(), gap.double().log().masked_fill(dead, 0.0), dead)

    return layer


def with_plain_layer(monkeypatch, defect):
    monkeypatch.setattr(shaped_pair, "narrow_layer", plain_layer(defect))
    monkeypatch.setattr(
        shaped_pair, "wide_layer", lambda normals, scratch, ratio, log_gap: plain_layer(defect)(normals, ratio, log_gap)
    )


@pytest.mark.parametrize("name", ["shaped-4", "relu-8", "shaped-64"])
def test_plain_layer_without_a_defect_passes(monkeypatch, name):
    with_plain_layer(monkeypatch, None)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) < CRITICAL


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        ("dropped drift of h_2", "shaped-8"),
        ("dropped drift of h_2", "shaped-64"),
        ("dropped flips", "shaped-4"),
        ("dropped flips", "relu-64"),
        ("float32 Gram differences", "shaped-8-close"),
    ],
)
def test_defect_of_the_pair_kernel_is_noticed(monkeypatch, defect, name):
    with_plain_layer(monkeypatch, defect)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense_observables(name)) > POWERFUL


@pytest.mark.parametrize("name", ["shaped-4", "shaped-64", "one-input-8"])
def test_wrong_normalising_constant_is_noticed(monkeypatch, name):
    wrong = property(lambda layer: 1.15 * 2.0 / (layer.slope_plus**2 + layer.slope_minus**2))
    dense = dense_observables(name)
    monkeypatch.setattr(ShapedLayer, "constant", wrong)
    monkeypatch.setattr(ShapedLayer, "canonical_constant", property(lambda layer: 1.15 * 2 / (1 + layer.ratio**2)))
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense) > POWERFUL


@pytest.mark.parametrize("name", ["one-input-2", "one-input-relu-3", "one-input-relu-64"])
def test_fixed_number_of_positive_units_is_noticed(monkeypatch, name):
    dense = dense_observables(name)
    monkeypatch.setattr(torch, "binomial", lambda count, probability, generator: count * probability)
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense) > POWERFUL


def test_wrong_degrees_of_freedom_of_a_norm_are_noticed(monkeypatch):
    right = shaped_norm.chi_square
    dense = dense_observables("one-input-8")
    monkeypatch.setattr(shaped_norm, "chi_square", lambda dof, stream: right((dof - 0.25).clamp_min(0.0), stream))
    assert largest_deviation(observables(NETWORKS["one-input-8"], "exact"), dense) > POWERFUL


@pytest.mark.parametrize("name", ["five-inputs-3", "five-inputs-8", "five-inputs-unequal"])
def test_independent_inputs_of_a_gram_are_noticed(monkeypatch, name):
    dense = dense_gram_entries(name)
    monkeypatch.setattr(
        shaped_gram.torch.linalg,
        "qr",
        lambda features, mode: torch.return_types.linalg_qr((features, torch.diag_embed((features**2).sum(1).sqrt()))),
    )
    assert largest_deviation(gram_entries(GRAMS[name], "exact"), dense) > POWERFUL


# Planted defects of the Bartlett factors. ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear-2", "linear-3", "linear-8", "linear-64", "linear-unequal"])
def test_equal_degrees_of_freedom_in_a_bartlett_factor_are_noticed(monkeypatch, name):
    right = linear_bartlett.chi_square
    dense = dense_observables(name)
    monkeypatch.setattr(
        linear_bartlett, "chi_square", lambda dof, stream: right(dof.amax() * torch.ones_like(dof), stream)
    )
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense) > POWERFUL


@pytest.mark.parametrize("factor", [0.0, 2.0])
@pytest.mark.parametrize("name", ["linear-2", "linear-3", "linear-8", "linear-64", "linear-unequal"])
def test_wrong_size_below_the_diagonal_is_noticed(monkeypatch, name, factor):
    right = TriangularProduct.append
    dense = dense_observables(name)
    monkeypatch.setattr(
        TriangularProduct,
        "append",
        lambda self, t: right(self, factor * t.tril(-1) + torch.diag_embed(t.diagonal(dim1=1, dim2=2))),
    )
    assert largest_deviation(observables(NETWORKS[name], "exact"), dense) > POWERFUL


def test_float32_gram_of_a_linear_network_is_noticed(monkeypatch):
    network = DeepLinear(40, 4)
    dense = observables(network, "dense")
    assert largest_deviation(observables(network, "exact"), dense) < CRITICAL
    right = TriangularProduct.observables

    def from_gram(self):
        rows = (self._rows * self._log_rows.exp()[:, :, None]).float()
        smallest = torch.linalg.eigvalsh(rows @ rows.mT)[:, 0].double().clamp_min(1e-300)
        return right(self) | {"log_lambda_min": smallest.log()}

    monkeypatch.setattr(TriangularProduct, "observables", from_gram)
    assert largest_deviation(observables(network, "exact"), dense) > POWERFUL


def test_deviations_between_equal_laws_are_standard_normal():
    # 500 pairs of samples with atoms at -inf and NaN: 1 % of the deviations exceed 2.576, within 4.5 standard errors;
    # Kolmogorov-Smirnov is conservative, so it may fall short
    drawn = ShapedMLP(2, 3, rate=0.0).sample(400_000, seed=5)["log_gap"].values.reshape(500, 2, 400)
    found = [deviations(first, second) for first, second in drawn]
    margin = 4.5 * math.sqrt(0.01 * 0.99 / len(found))
    for name in ("undefined", "location", "scale", "shape"):
        rate = np.mean([abs(deviation[name]) > 2.576 for deviation in found])
        assert rate < 0.01 + margin, name
        assert np.std([deviation[name] for deviation in found]) > 0.3, name
