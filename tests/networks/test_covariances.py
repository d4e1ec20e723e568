"""Covariances of two or three inputs: the contract of a network, exact against dense, means known in closed form.

False-alarm probability: `testing.networks.CRITICAL` for laws; 4.5 standard errors for means.
"""

import math

import numpy as np
import pytest
import torch

from limitbench.errors import InputError
from limitbench.networks import shaped_gram
from limitbench.networks.base import Network
from limitbench.networks.covariances import CovarianceMLP
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.testing.networks import CRITICAL, POWERFUL, NetworkContract, largest_deviation

THREE = ((1.0, -0.3, 0.4), (-0.3, 2.0, -0.1), (0.4, -0.1, 0.5))
NETWORKS = {
    "relu-3": CovarianceMLP(3, 3, gram=THREE),
    "shaped-4": CovarianceMLP(4, 4, slope_plus=1.7, slope_minus=0.3, gram=THREE),
    "shaped-48": CovarianceMLP(4, 48, slope_plus=1.5, slope_minus=0.5, gram=THREE),
    "pair-8": CovarianceMLP(6, 8, slope_plus=2.0, slope_minus=-1.0),
}


class TestCovarianceMLP(NetworkContract):
    @pytest.fixture(params=[NETWORKS["relu-3"], CovarianceMLP(3, 70, slope_minus=0.5), NETWORKS["pair-8"]], ids=str)
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


def drawn(network, sampler):
    sample = network.sample(8_192, seed=3, depths=[1, network.depth], sampler=sampler)
    return {name: sample[name].values for name in network.observables}


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(drawn(NETWORKS[name], "exact"), drawn(NETWORKS[name], "dense")) < CRITICAL


@pytest.mark.parametrize("name", ["shaped-4", "shaped-48"])
def test_independent_inputs_are_noticed(monkeypatch, name):
    dense = drawn(NETWORKS[name], "dense")
    monkeypatch.setattr(
        shaped_gram.torch.linalg,
        "qr",
        lambda features, mode: torch.return_types.linalg_qr((features, torch.diag_embed((features**2).sum(1).sqrt()))),
    )
    assert largest_deviation(drawn(NETWORKS[name], "exact"), dense) > POWERFUL


def test_entries_are_those_of_norms_and_correlations():
    sample = CovarianceMLP(3, 16, slope_minus=0.5, gram=THREE).sample(64)
    v11, v12, v22 = (sample[f"covariance_{ab}"].values for ab in ("11", "12", "22"))
    np.testing.assert_allclose(v12 / np.sqrt(v11 * v22), sample["correlation"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.log(v11 / THREE[0][0]), sample["log_norm"], atol=1e-12)


def test_squared_norms_are_martingales():
    sample = CovarianceMLP(3, 32, slope_plus=1.3, slope_minus=0.4, gram=THREE).sample(16_384, seed=2)
    for a, norm in ((1, 1.0), (2, 2.0), (3, 0.5)):
        x = sample[f"covariance_{a}{a}"].values
        assert abs(x.mean() - norm) < 4.5 * x.std() / math.sqrt(len(x))
        assert abs(x.mean() - 1.05 * norm) > 4.5 * x.std() / math.sqrt(len(x))  # the companion


def test_has_the_law_of_the_shaped_mlp_at_its_first_two_inputs():
    rho0 = -0.3 / math.sqrt(2.0)
    pair = ShapedMLP(4, 16, c_plus=0.5, c_minus=-0.5, rate=0.0, rho0=rho0)
    ours = CovarianceMLP(4, 16, slope_plus=1.5, slope_minus=0.5, gram=THREE).sample(8_192, seed=1)
    theirs = pair.sample(8_192, seed=2)
    both = [{name: s[name].values[:, None] for name in ("correlation", "log_norm")} for s in (ours, theirs)]
    assert largest_deviation(*both) < CRITICAL


def test_dead_inputs_are_zero_with_undefined_correlation():
    sample = CovarianceMLP(8, 1, gram=THREE).sample(512)
    dead = sample["covariance_11"].values == 0.0
    assert dead.any()
    assert np.isneginf(sample["log_norm"].values[dead]).all()
    assert np.isnan(sample["correlation"].values[dead]).all()
    assert (sample["covariance_12"].values[dead] == 0.0).all()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("depth", {"depth": 0}),
        ("width", {"width": 0}),
        ("slope_plus", {"slope_plus": math.nan}),
        ("slope_minus", {"slope_plus": 0.0}),
        ("gram", {"gram": ((1.0,),)}),
        ("gram", {"gram": ((1.0, 2.0), (2.0, 1.0))}),
    ],
)
def test_bad_values_are_named(field, values):
    with pytest.raises(InputError, match=field):
        CovarianceMLP(**({"depth": 2, "width": 4} | values))
