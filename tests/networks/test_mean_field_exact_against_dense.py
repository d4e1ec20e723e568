"""Mean-field networks without weights have the law of real weights and automatic differentiation, gradients included.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`). What a law is off by without conditioning is
O(1/N): laws show it up to width 8, and at any width every matrix's two products must agree to rounding.
"""

from functools import cache

import numpy as np
import pytest
import torch

from limitbench.networks import conditioned, mean_field_exact
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation

THREE = ((1.0, 0.5, -0.3), (0.5, 2.0, 0.0), (-0.3, 0.0, 1.0))
FIVE = tuple(tuple(0.6 ** abs(a - b) for b in range(5)) for a in range(5))
NONE = {"sigma_b2": 0.0, "sigma_a2": 0.0}
ONE = {"sigma_b2": 1.0, "sigma_a2": 1.0}
SQUARED = {"loss": "squared"}
FULL, REDUCED, PLAIN = ({"network": kind} for kind in ("full", "reduced", "plain"))

NETWORKS = {
    "full-tanh-1": MeanFieldNet(3, 1, **FULL, rho0=0.3),
    "full-tanh-2": MeanFieldNet(4, 2, **FULL, **SQUARED, rho0=0.3, outputs=4),
    "full-tanh-3-five": MeanFieldNet(3, 3, **FULL, **SQUARED, gram=FIVE, outputs=2),
    "full-tanh-64": MeanFieldNet(5, 64, **FULL, rho0=0.5),
    "full-erf-3": MeanFieldNet(4, 3, **FULL, **NONE, activation="erf"),
    "full-erf-16": MeanFieldNet(8, 16, **FULL, **SQUARED, activation="erf", sigma_w2=4.0, sigma_v2=3.0, rho0=-0.5),
    "full-relu-3": MeanFieldNet(4, 3, **FULL, **ONE, activation="relu"),
    "full-relu-4": MeanFieldNet(4, 4, **FULL, **SQUARED, activation="relu", rho0=0.3, outputs=2),
    "full-relu-0.85-8": MeanFieldNet(9, 8, **FULL, activation="relu-0.85", rho0=0.3, norm0=4.0),
    "reduced-tanh-2-five": MeanFieldNet(4, 2, **REDUCED, **SQUARED, gram=FIVE),
    "reduced-relu-3-three": MeanFieldNet(4, 3, **REDUCED, **SQUARED, activation="relu", gram=THREE),
    "reduced-relu-0.85-8": MeanFieldNet(4, 8, **REDUCED, **ONE, activation="relu-0.85"),
    "reduced-tanh-64": MeanFieldNet(4, 64, **REDUCED, **SQUARED, **NONE, gram=THREE),
    "plain-tanh-3": MeanFieldNet(4, 3, **PLAIN, **ONE),
    "plain-relu-3-biased": MeanFieldNet(5, 3, **PLAIN, **ONE, activation="relu"),
    "plain-erf-4-five": MeanFieldNet(3, 4, **PLAIN, **SQUARED, activation="erf", gram=FIVE),
    "plain-relu-3": MeanFieldNet(4, 3, **PLAIN, **SQUARED, activation="relu", rho0=0.3, outputs=4),
    "plain-relu-4": MeanFieldNet(9, 4, **PLAIN, **SQUARED, **NONE, activation="relu", rho0=0.2),
    "plain-relu-64": MeanFieldNet(4, 64, **PLAIN, activation="relu", sigma_w2=2.0, rho0=0.5),
    "plain-relu-0.85-64": MeanFieldNet(3, 64, **PLAIN, **SQUARED, activation="relu-0.85", outputs=3),
}


def observables(name, sampler):
    """All observables at the first and the last layer, and pairs of them, which one network shares."""
    network = NETWORKS[name]
    n = 8_192 if network.width <= 8 else 2_048
    drawn = network.sample(n, seed=3, depths=[1, network.depth], sampler=sampler)
    values = {name: drawn[name].values for name in network.observables}
    with np.errstate(invalid="ignore"):  # dead layers: -inf less -inf
        values["chi p"] = values["log_chi"] + values["log_length"]
        values["chi / p of the other layer"] = values["log_chi"] - values["log_length"][:, ::-1]
        values["chi_w / chi_b"] = values["log_chi_w"] - values["log_chi_b"]
        values["chi / chi_b"] = values["log_chi"] - values["log_chi_b"]
        if network.network == "full":
            values["chi_v / chi_a"] = values["log_chi_v"] - values["log_chi_a"]
            values["chi_b / chi_a"] = values["log_chi_b"] - values["log_chi_a"]
    return values


@cache
def dense_observables(name):
    return observables(name, "dense")


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_has_the_law_of_dense(name):
    assert largest_deviation(observables(name, "exact"), dense_observables(name)) < CRITICAL


@pytest.mark.parametrize("name", NETWORKS)
def test_every_matrix_is_one_matrix_forward_and_backward(monkeypatch, name):
    """<G f, v> = <f, G'v> for all features f that G was given and all gradients v, in the order of the passes."""
    forward, backward, matrices, checked = conditioned.forward, conditioned.backward, [], []

    def remembered(features, drawn, generator):
        given = features.clone()
        matrices.append((forward(features, drawn, generator), given))
        return matrices[-1][0]

    def compared(seen, gradients, generator):
        product = backward(seen, gradients, generator)
        last, features = matrices.pop()
        assert last is seen
        one = torch.einsum("abn,cbn->abc", last.product(len(features)), gradients)
        two = torch.einsum("abn,cbn->abc", features, product)
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12 * float(one.abs().max()))
        checked.append(seen)
        return product

    monkeypatch.setattr(conditioned, "forward", remembered)
    monkeypatch.setattr(conditioned, "backward", compared)
    network = NETWORKS[name]
    network.sample_batch(3, depths=[network.depth])
    readout = network.loss == "squared"
    assert not matrices
    assert len(checked) == network.depth * (2 if network.network == "full" else 1) + readout


# Planted defects: each replaces functions of the exact sampler. ------------------------------------------------------


def unseen(seen):
    """What a forward pass has seen, forgotten."""
    return seen._replace(basis=torch.zeros_like(seen.basis))


def change_transposed(monkeypatch, change):
    """`change(right, seen, gradients, sigma, generator)` in place of the product with the transpose of w or v."""
    right = mean_field_exact._transposed
    monkeypatch.setattr(mean_field_exact, "_transposed", lambda *given: change(right, *given))


def change_gains(monkeypatch, change):
    right = mean_field_exact._parameter_gains
    monkeypatch.setattr(mean_field_exact, "_parameter_gains", lambda *given: right(*change(*given)))


def all_matrices_fresh(monkeypatch, network):
    right = conditioned.backward
    monkeypatch.setattr(conditioned, "backward", lambda seen, *given: right(unseen(seen), *given))


def fresh_w(monkeypatch, network):
    def change(right, seen, g, sigma, generator):
        return right(unseen(seen) if sigma == network.block.sigma_w else seen, g, sigma, generator)

    change_transposed(monkeypatch, change)


def fresh_v(monkeypatch, network):
    def change(right, seen, g, sigma, generator):
        return right(unseen(seen) if sigma == network.block.sigma_v else seen, g, sigma, generator)

    change_transposed(monkeypatch, change)


def fresh_output_matrix(monkeypatch, network):
    right = conditioned.backward

    def wrong(seen, *given):  # only the output matrix has features without a row for a bias
        return right(unseen(seen) if seen.basis.shape[2] == network.width else seen, *given)

    monkeypatch.setattr(conditioned, "backward", wrong)


def no_augmentation_by_the_bias(monkeypatch, network):
    """h taken for w x, one input."""

    def change(right, seen, g, sigma, generator):
        features = seen.basis * seen.triangle[0, 0][:, None]
        features[:, :, -1] = 0.0
        norm = torch.linalg.vector_norm(features, dim=2)[:, :, None]
        alone = conditioned.Seen(features / norm, (seen.product(1) / norm).float(), seen.triangle)
        return right(alone, g, sigma, generator)

    change_transposed(monkeypatch, change)


def row_of_the_bias_kept(monkeypatch, network):
    """And the first row dropped in its place."""
    right = conditioned.backward

    def wrong(seen, *given):
        return right(seen, *given).roll(-1, 2)

    monkeypatch.setattr(conditioned, "backward", wrong)


def slope_of_the_next_layer(monkeypatch, network):
    right, slopes = mean_field_exact._slope, []

    def wrong(*given):
        slopes.append(right(*given))
        return slopes[-1 if len(slopes) % network.depth == 1 else -2].clone()

    monkeypatch.setattr(mean_field_exact, "_slope", wrong)


def constant_too_large(monkeypatch, network):
    change_transposed(monkeypatch, lambda right, seen, g, sigma, generator: right(seen, g, 1.05 * sigma, generator))


def weights_multiply_h(monkeypatch, network):
    """dE/dw = dh h' in place of dh x'."""
    change_gains(
        monkeypatch, lambda kept, g, dh: (kept._replace(inputs=mean_field_exact._gram(kept.w.product(len(g)))), g, dh)
    )


def parameters_of_the_first_input_alone(monkeypatch, network):
    def change(kept, g, dh):
        return kept._replace(inputs=kept.inputs[:1, :1], units=kept.units[:1, :1]), g[:1], dh[:1]

    change_gains(monkeypatch, change)


DEFECTS = {
    all_matrices_fresh: "full-erf-3 full-relu-0.85-8 reduced-relu-3-three plain-relu-3 plain-relu-4",
    fresh_w: "full-tanh-2 full-relu-3 reduced-relu-3-three plain-relu-4",
    fresh_v: "full-relu-3 full-relu-4",
    fresh_output_matrix: "full-tanh-2 full-relu-4 plain-relu-3",
    no_augmentation_by_the_bias: "full-relu-3 plain-relu-3-biased",
    row_of_the_bias_kept: "full-relu-3 full-relu-4 plain-tanh-3",
    slope_of_the_next_layer: "full-tanh-64 full-erf-16 reduced-tanh-64 plain-relu-4",
    constant_too_large: "full-tanh-64 full-relu-0.85-8 plain-relu-64",
    weights_multiply_h: "full-tanh-3-five reduced-tanh-64 plain-relu-0.85-64",
    parameters_of_the_first_input_alone: "full-tanh-3-five full-erf-16 reduced-tanh-64 plain-erf-4-five",
}


@pytest.mark.parametrize(("defect", "name"), [(defect, n) for defect, names in DEFECTS.items() for n in names.split()])
def test_defect_is_noticed(monkeypatch, defect, name):
    defect(monkeypatch, NETWORKS[name])
    found, real = observables(name, "exact"), dense_observables(name)
    order = sorted(found, key=lambda observable: not observable.startswith("chi"))  # the pairs first: they see most
    assert any(largest_deviation({key: found[key]}, {key: real[key]}) > POWERFUL for key in order)


@pytest.mark.parametrize("defect", [all_matrices_fresh, fresh_w, fresh_v])
def test_a_fresh_matrix_is_not_the_one_of_the_forward_pass_at_width_64(monkeypatch, defect):
    defect(monkeypatch, NETWORKS["full-tanh-64"])
    with pytest.raises(AssertionError):
        test_every_matrix_is_one_matrix_forward_and_backward(monkeypatch, "full-tanh-64")
