"""Asymptotic laws of the recurrences: tables of sheet B 4 and 5, read off long recurrences, and broken laws."""

import dataclasses
import math

import numpy as np
import pytest

from limitbench.errors import InputError
from limitbench.theories.mean_field import Asymptotics, MeanField, Recurrences
from limitbench.theories.mean_field import asymptotic_laws as laws
from limitbench.theories.mean_field.asymptotic_laws import (
    asymptotic_law,
    plain_law,
    power_law,
    relu_law,
    saturating_law,
)
from limitbench.theories.mean_field.edge import edge_integral, edge_recurrence, edge_square_root
from limitbench.theories.mean_field.exponents import (
    power_estimates,
    relu_estimates,
    saturating_cosine,
    saturating_lengths,
)


def by_name(rows):
    return {row.quantity: row for row in rows}


# Closed forms. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "activation", "c", "a", "b"),
    [
        ("full", "erf", 1.0388, 1.7556, -0.157),
        ("full", "tanh", None, 1.4669, -0.0302),
        ("reduced", "tanh", None, 1.3830, 0.185),
        ("reduced", "erf", None, None, 0.063),
    ],
)
def test_constants_of_saturating_networks(network, activation, c, a, b):
    law = saturating_law(MeanField(network, activation))
    assert law.gain_correction == pytest.approx(b, abs=6e-4)
    assert a is None or law.gain == pytest.approx(a, abs=6e-5)
    assert c is None or law.length_correction == pytest.approx(c, abs=6e-5)
    # erf's and tanh's own forms, sheet B 4.1
    sv2, sw, total = (1.5, 1.3, 2.0) if network == "full" else (1.0, 1.3, 1.0)
    if activation == "tanh":
        assert law.gain == pytest.approx(4 / 3 * math.sqrt(2 / math.pi) * sv2 * sw / math.sqrt(total), rel=1e-12)
        assert law.gain_correction == pytest.approx(4 * sv2**2 / (9 * math.pi * total) * (3 / total - sw**2), rel=1e-12)


def test_limits_and_decays_of_the_cosine():
    assert saturating_law(MeanField("full", "erf")).limit_cosine == pytest.approx(0.5, abs=1e-12)
    assert saturating_law(MeanField("full", "erf")).decay == pytest.approx(0.4487, abs=6e-5)
    swapped = saturating_law(MeanField("full", "erf", sigma_v2=0.5, sigma_a2=1.5))
    assert swapped.decay == pytest.approx(0.4957, abs=6e-5)
    for sa2 in (0.0, 0.1, 10.0, 1e6):
        law = saturating_law(MeanField("full", "tanh", sigma_v2=1.0, sigma_a2=sa2))
        e = law.limit_cosine
        assert (1 + sa2) * e == pytest.approx(2 / math.pi * math.asin(e) + sa2, rel=1e-9)
        assert 1 - 2 / math.pi - 1e-12 <= law.decay < 0.5
    assert saturating_law(MeanField("reduced", "tanh")).decay == pytest.approx(1 - 2 / math.pi, rel=1e-12)


#: Sheet B 4.3.
POWERS = {
    "relu-0.55": (0.977912, 0.2235, 6.722),
    "relu-0.6": (0.984020, 0.1990, 4.5),
    "relu-0.6666666666666666": (0.990359, 0.1662, 4.0),
    "relu-0.75": (0.995723, 0.1248, 4.5),
    "relu-0.8": (0.997760, 0.0999, 5.333),
    "relu-0.9": (0.999730, 0.0500, 10.125),
}


@pytest.mark.parametrize("activation", POWERS)
def test_exponents_of_powers_of_relu(activation):
    limit, mu, gain = POWERS[activation]
    law = power_law(MeanField("full", activation))
    assert law.limit_cosine == pytest.approx(limit, abs=6e-7)
    assert law.decay == pytest.approx(mu, abs=6e-5)
    assert law.gain_exponent == pytest.approx(gain, abs=6e-4)
    other = power_law(MeanField("full", activation, sigma_w2=0.3, sigma_v2=7.0, sigma_a2=3.0, sigma_b2=0.0))
    assert (other.limit_cosine, other.decay, other.gain_exponent) == (law.limit_cosine, law.decay, law.gain_exponent)


def test_powers_close_to_relu():
    law = power_law(MeanField("full", "relu-0.99"))
    assert law.decay == pytest.approx(0.005, rel=0.01)  # mu -> (1 - a)/2
    assert 0 < law.gap(1) < 3e-6


# Long recurrences: 1 % for lengths and gradients, 2.5 % for cosines. -------------------------------------------------


@pytest.mark.parametrize(("network", "activation"), [("full", "erf"), ("full", "tanh"), ("reduced", "erf")])
def test_lengths_and_gradients_of_saturating_networks(network, activation):
    rows = by_name(saturating_lengths(MeanField(network, activation), 30_000))
    assert rows["length exponent"].deviation < 1e-4
    assert rows["C"].deviation < 1e-4
    assert rows["A"].deviation < 1e-5
    assert rows["B"].deviation < 0.02


def test_the_second_correction_of_the_gradient_is_seen(monkeypatch):
    # without B the fit's ln l has the wrong coefficient; with sw2 left out of B too
    row = by_name(saturating_lengths(MeanField("full", "erf"), 30_000))["B"]
    assert abs(row.measured) > 0.15
    d1 = d2 = 2 / math.pi
    without_width = 1.5**2 * d1 * d2 / 4
    assert abs(row.measured / without_width - 1) > 0.5


@pytest.mark.parametrize(
    ("network", "activation", "layers"), [("full", "erf", 16_000), ("reduced", "erf", 16_000), ("full", "tanh", 4_000)]
)
def test_cosines_of_saturating_networks(network, activation, layers):
    rows = by_name(saturating_cosine(MeanField(network, activation), layers))
    assert rows["limit cosine"].deviation < 1e-3
    assert rows["cosine exponent"].deviation < 0.02


def test_the_forced_term_is_seen():
    field = MeanField("full", "erf")
    raw = by_name(saturating_cosine(field, 16_000, forced=False))["cosine exponent"]
    assert raw.deviation > 0.1
    assert 0.3 < raw.measured < 0.42


def test_full_relu():
    rows = by_name(relu_estimates(MeanField("full", "relu"), 3_000))
    assert rows["growth"].deviation < 1e-12
    assert rows["length growth"].deviation < 1e-12
    assert rows["cosine exponent"].deviation < 0.02
    assert rows["prefactor"].deviation < 0.02
    t = MeanField("full", "relu").run(400)
    slopes = [np.diff(v[[200, 400]])[0] for v in (t.log_chi_w, t.log_chi_v)]
    assert np.abs(slopes).max() < 1e-9  # flat


@pytest.mark.parametrize("activation", ["relu-0.55", "relu-0.8"])
def test_powers_of_relu(activation):
    rows = by_name(power_estimates(MeanField("full", activation), 20_000))
    assert rows["length exponent"].deviation < 2e-3
    assert rows["gain exponent"].deviation < 2e-3
    assert rows["prefactor"].deviation < 5e-3
    assert rows["limit cosine"].deviation < 1e-5
    assert rows["cosine exponent"].deviation < 0.01


def test_a_generic_start_does_not_show_the_slow_decay():
    field = MeanField("full", "relu-0.8")
    law, e = power_law(field), MeanField("full", "relu-0.8").run(4000, rho0=0.0).cosine
    raw = -np.diff(np.log(law.limit_cosine - e[[2000, 4000]]))[0] / math.log(2)
    assert raw > 1.8 * law.decay


def test_gradients_of_parameters_have_their_powers():
    t = MeanField("full", "erf").run(16_000)
    at = np.array([4_000, 8_000])
    after = t.log_chi[at]
    slopes = [np.diff(v[at] - after)[0] / math.log(2) for v in (t.log_chi_b, t.log_chi_w, t.log_chi_v)]
    assert slopes == pytest.approx([-0.5, 0.5, 0.0], abs=8e-3)


@pytest.mark.parametrize(
    ("change", "quantity"),
    [({"decay": 0.3634}, "decay"), ({"gain": 1.5}, "gain"), ({"limit_cosine": 0.45}, "limit_cosine")],
)
def test_broken_constants_are_noticed(monkeypatch, change, quantity):
    field, whole = MeanField("full", "erf"), saturating_law
    monkeypatch.setattr(
        "limitbench.theories.mean_field.exponents.saturating_law", lambda f: dataclasses.replace(whole(f), **change)
    )
    if quantity == "gain":
        assert by_name(saturating_lengths(field, 10_000))["A"].deviation > 0.1
    else:
        rows = by_name(saturating_cosine(field, 4_000))
        assert max(row.deviation for row in rows.values()) > 0.05


# The laws as a theory, layer by layer. -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "activation", "accuracy"),
    [("full", "erf", 0.02), ("full", "tanh", 0.02), ("reduced", "tanh", 0.03), ("full", "relu", 0.01)],
)
def test_the_theory_of_a_deep_layer_agrees_with_the_recurrences(network, activation, accuracy):
    depth, layer = 400, 200
    limit = Asymptotics(depth, layer, network, activation)
    exact = Recurrences(depth, layer, network, activation)
    names = {"log_length", "log_preactivation", "log_chi", "log_chi_b", "log_chi_w"}
    assert names <= set(limit.observables)
    for name in names | ({"log_chi_v", "log_chi_a"} if network == "full" else set()):
        assert float(limit.law(name).mean) == pytest.approx(float(exact.law(name).mean), abs=accuracy), name


def test_powers_of_relu_as_a_theory():
    limit, exact = (kind(2000, 1000, "full", "relu-0.7") for kind in (Asymptotics, Recurrences))
    for name in ("log_length", "log_preactivation", "log_chi", "log_chi_b", "log_chi_w", "log_chi_v", "log_chi_a"):
        assert float(limit.law(name).mean) == pytest.approx(float(exact.law(name).mean), abs=0.03), name


def test_what_is_known_only_up_to_a_factor_is_not_said():
    assert "log_chi" not in Asymptotics(50, 1, "full", "erf").observables
    assert "covariance_12" not in Asymptotics(50, 20, "reduced", "erf").observables
    assert "cosine" not in Asymptotics(50, 5, "full", "relu").observables
    assert Asymptotics(50, 20, "reduced", "relu-0.7").observables == ()
    assert "log_length" not in Asymptotics(50, 20, "reduced", "relu").observables
    assert "cosine" not in Asymptotics(50, 20, "full", "erf", rho0=1.0).observables
    assert asymptotic_law(MeanField("plain", "relu", sigma_w2=3.0)) is None


# Plain networks. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sw2", [0.8, 1.69, 4.0])
@pytest.mark.parametrize("activation", ["tanh", "erf", "relu-0.8"])
def test_rates_of_plain_networks(activation, sw2):
    field = MeanField("plain", activation, sigma_w2=sw2, sigma_b2=0.2)
    law = plain_law(field)
    t = field.run(400, norm0=2.0, rho0=0.0)
    assert t.p[-1] == pytest.approx(law.length, rel=1e-9)
    assert t.cosine[-1] == pytest.approx(law.cosine, abs=1e-5)
    assert t.log_chi[300] - t.log_chi[399] == pytest.approx(99 * law.gradient_rate, rel=1e-3)
    gaps = np.log(np.abs(t.q[[5, 10]] - law.preactivation))
    assert np.diff(gaps)[0] / 5 == pytest.approx(law.length_rate, rel=0.1)
    if law.correlation == 1.0:
        assert np.diff(t.log_distance[[350, 351]])[0] == pytest.approx(law.cosine_rate, rel=1e-3)
        assert law.cosine_rate == pytest.approx(law.gradient_rate, rel=1e-9)
    else:
        assert law.gradient_rate > 0 > law.cosine_rate
    assert (law.correlation == 1.0) == (law.gradient_rate <= 0)


def test_plain_networks_without_a_fixed_point():
    assert plain_law(MeanField("plain", "relu", sigma_w2=2.5)) is None
    assert plain_law(MeanField("plain", "tanh", sigma_w2=0.5, sigma_b2=0.0)) is None
    assert plain_law(MeanField("plain", "tanh", sigma_w2=3.0, sigma_b2=0.0)).cosine == 0.0


# The depth-dependent variance. ---------------------------------------------------------------------------------------


def test_the_edge_collapses_in_the_product_of_variance_and_depth():
    kappas = (1.0, 4.0, 16.0, 64.0)
    limits = [edge_integral(k) for k in kappas]
    assert limits == pytest.approx([0.603, 1.738, 4.010, 8.2313], abs=6e-4)  # the sheet has 8.233 for the last
    assert [edge_recurrence(k, 10_000) for k in kappas] == pytest.approx([0.603, 1.738, 4.007, 8.219], abs=6e-4)
    assert [edge_recurrence(k, 30) for k in kappas] == pytest.approx([0.586, 1.608, 3.427, 6.372], abs=6e-4)
    assert [edge_square_root(k) for k in kappas] == pytest.approx([0.95, 1.90, 3.81, 7.61], abs=6e-3)
    # the integral is the limit and sqrt L is not: errors fall by 4 from L to 4 L
    errors = [abs(edge_recurrence(16.0, L) - limits[2]) for L in (500, 2000, 8000)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert abs(edge_square_root(16.0) / limits[2] - 1) > 0.05


def test_the_edge_of_relu_in_closed_form():
    # E phi'^2 = 1/2 at every length
    assert edge_integral(5.0, "relu", sigma_v2=0.7, sigma_b2=0.0) == pytest.approx(1.75, rel=1e-9)


def test_laws_refuse_other_networks():
    for law, field in (
        (saturating_law, MeanField("full", "relu")),
        (saturating_law, MeanField("plain", "tanh")),
        (power_law, MeanField("reduced", "relu-0.8")),
        (relu_law, MeanField("full", "tanh")),
    ):
        with pytest.raises(InputError, match="activation, network"):
            law(field)
    with pytest.raises(InputError, match="activation"):
        power_estimates(MeanField("full", "relu-0.97"))
    with pytest.raises(InputError, match="kappa"):
        edge_integral(-1.0)
    assert issubclass(laws.SaturatingLaw, laws.AsymptoticLaw)
