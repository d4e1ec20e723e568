"""The affine SDE: exact moments, the solved law against them, against mesh halving and against stepped paths."""

import math

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.special import gammaincc, kolmogorov, ndtr

from limitbench.errors import InputError
from limitbench.numerics.affine_sde import AffineSDE
from limitbench.numerics.kolmogorov import solve_forward

K0 = math.sqrt(2) / (3 * math.pi)
RELU = AffineSDE(2.0, K0, math.sqrt(2))
WITHOUT_DRIFT = AffineSDE(3.0, K0, math.sqrt(2))
LEAKY = AffineSDE(1.36, 0.03, math.sqrt(1.36))
STARTED = AffineSDE(2.0, K0, math.sqrt(2), 1 / (64 * math.sqrt(0.7)))
LATE = AffineSDE(2.0, K0, math.sqrt(2), 1 / (1024 * math.sqrt(0.7)))


def moment(sde, solution, power):
    """E W^power from the solved cdf of ln W / sigma."""
    rate = power * sde.sigma
    return solution.expectation(lambda y: np.exp(rate * y), lambda y: rate * np.exp(rate * y))


@pytest.mark.parametrize("time", [0.25, 0.5, 1.0])
def test_moments_from_zero_in_closed_form(time):
    """E w = (k0/2)(e^{2t} - 1), E w^2 = k0^2 (e^{6t}/12 - e^{2t}/4 + 1/6)."""
    assert RELU.mean(time) == pytest.approx(K0 / 2 * math.expm1(2 * time), rel=1e-12)
    second = K0**2 * (math.exp(6 * time) / 12 - math.exp(2 * time) / 4 + 1 / 6)
    assert RELU.second_moment(time) == pytest.approx(second, rel=1e-9)
    assert WITHOUT_DRIFT.mean(time) == pytest.approx(K0 / 3 * math.expm1(3 * time), rel=1e-12)


@pytest.mark.parametrize("sde", [RELU, WITHOUT_DRIFT, LEAKY, STARTED, LATE])
@pytest.mark.parametrize("time", [0.25, 1.0])
def test_solved_law_has_the_exact_mean(sde, time):
    solution = sde.forward_cdf(time)
    assert solution.error < 2e-6
    assert moment(sde, solution, 1) == pytest.approx(sde.mean(time), rel=1e-4)
    if time < 0.5:  # later the second moment lives where 1 - F is rounding
        assert moment(sde, solution, 2) == pytest.approx(sde.second_moment(time), rel=5e-5)
    off = AffineSDE(sde.growth + 0.01, sde.source, sde.sigma, sde.start)
    assert abs(off.mean(time) / sde.mean(time) - 1) > 1e-3


@pytest.mark.parametrize(("sde", "time"), [(RELU, 0.25), (RELU, 1.0), (RELU, 4.0), (LATE, 0.25), (LEAKY, 1.0)])
def test_cdf_is_good_to_1e_6_under_mesh_halving(sde, time):
    coarse, fine = sde.forward_cdf(time), sde.forward_cdf(time, nodes=2000)
    inside = (coarse.z > fine.z[0]) & (coarse.z < fine.z[-1])
    assert np.abs(CubicSpline(fine.z, fine.cdf)(coarse.z) - coarse.cdf)[inside].max() < 1e-6


@pytest.mark.parametrize("sde", [RELU, STARTED])
def test_stepped_paths_have_the_solved_law(sde):
    """Kolmogorov-Smirnov with a false alarm of 1e-7 each, moments within 4.5 standard errors."""
    times, paths = (0.25, 1.0), 1 << 15
    drawn = sde.paths(times, paths=paths, seed=3, steps=256)
    for w, time in zip(drawn.T, times, strict=True):
        assert kolmogorov(distance(w, sde, time) * math.sqrt(paths)) > 1e-7
        assert abs(w.mean() - sde.mean(time)) < 4.5 * w.std() / math.sqrt(paths)
    early = sde.paths((1 / 256,), paths=paths, seed=5, steps=64)[:, 0]
    assert kolmogorov(distance(early, sde, 1 / 256) * math.sqrt(paths)) > 1e-7
    # the companion: without the Ito drift, or from another start
    assert kolmogorov(distance(drawn[:, 1], WITHOUT_DRIFT, 1.0) * math.sqrt(paths)) < 1e-12
    other = STARTED if sde is RELU else RELU
    assert kolmogorov(distance(drawn[:, 0], other, 0.25) * math.sqrt(paths)) < 1e-12


def distance(w, sde, time):
    """Kolmogorov-Smirnov distance of draws of W from the solved law."""
    solution = sde.forward_cdf(time)
    cdf = np.interp(np.sort(np.log(w)) / sde.sigma, solution.z, solution.cdf)
    rank = np.arange(w.size + 1) / w.size
    return max((rank[1:] - cdf).max(), (cdf - rank[:-1]).max())


def test_path_values_at_several_times_are_those_of_one_process():
    """Cov(w_s, w_t) = e^{g (t - s)} Var w_s for a linear SDE; 4.5 standard errors of the sample covariance."""
    drawn = RELU.paths((0.5, 1.0), paths=1 << 15, seed=4, steps=128)
    centred = drawn - [RELU.mean(0.5), RELU.mean(1.0)]
    product = centred[:, 0] * centred[:, 1]
    expected = math.exp(2 * 0.5) * (RELU.second_moment(0.5) - RELU.mean(0.5) ** 2)
    assert abs(product.mean() - expected) < 4.5 * product.std() / math.sqrt(len(drawn))
    shuffled = centred[:, 0] * centred[::-1, 1]
    assert abs(shuffled.mean() - expected) > 4.5 * shuffled.std() / math.sqrt(len(drawn))


@pytest.mark.parametrize("bad", [{"source": 0.0}, {"sigma": -1.0}, {"start": -1e-9}])
def test_bad_coefficients_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        AffineSDE(**({"growth": 1.0, "source": 1.0, "sigma": 1.0} | bad))


def test_bad_times_are_named():
    with pytest.raises(InputError, match="time"):
        RELU.forward_cdf(0.0)
    with pytest.raises(InputError, match="times"):
        RELU.paths((1.0, 0.5), paths=4, seed=0)


@pytest.mark.parametrize(("time", "tolerance"), [(1 / 16, 1e-6), (1.0, 2e-7), (3.0, 2e-7)])
def test_cdf_is_that_from_an_earlier_entrance_on_a_finer_mesh(time, tolerance):
    """Log-normal much earlier (sigma^2 s of 0.004 and less), between bounds of its own."""
    early = min(time / 64, 0.06**2 / 2)
    mean, second = RELU.mean(early), RELU.second_moment(early)
    variance = math.log(second / mean**2)
    centre, spread = (math.log(mean) - variance / 2) / RELU.sigma, math.sqrt(variance) / RELU.sigma
    lower = -math.log(200 * RELU.sigma**2 / K0 + 1 / mean) / RELU.sigma
    upper = math.log(RELU.mean(time)) / RELU.sigma + 8 * math.sqrt(time)
    fine = solve_forward(
        RELU.drift,
        centre,
        time - early,
        lower,
        upper,
        initial=lambda y: ndtr((y - centre) / spread),
        nodes=4000,
    )
    solution = RELU.forward_cdf(time)
    inside = (solution.z > fine.z[0]) & (solution.z < fine.z[-1])
    assert np.abs(CubicSpline(fine.z, fine.cdf)(solution.z) - solution.cdf)[inside].max() < tolerance


def test_a_law_that_leans_on_the_source_is_the_stationary_inverse_gamma():
    """dW = (source - g W) dt - sigma W dB: 1/W ~ Gamma(1 + 2 g/sigma^2, rate 2 source/sigma^2) at late times."""
    solution = AffineSDE(-1.0, 1.0, 1.0, start=1.0).forward_cdf(20.0)
    assert np.abs(solution.cdf - gammaincc(3.0, 2 * np.exp(-solution.z))).max() < 1e-6
    assert np.abs(solution.cdf - gammaincc(3.1, 2 * np.exp(-solution.z))).max() > 1e-2
