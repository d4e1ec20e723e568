"""The published tables of shaped ReLU networks, drawn again: simulated entries within 4.5 combined standard errors.

Each row holds the numbers of an independent simulation (`TABLE`) that this package's sampler has to meet, on the same
number of networks where Kolmogorov-Smirnov distances are compared, since their floor 0.87/sqrt(N) depends on it. About
60 comparisons at 4.5 standard errors: false alarm 4e-4 for one draw of the seeds, which are fixed.
"""

import math

import numpy as np
import pytest

from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics.shaping import nu, variance_normaliser
from limitbench.statistics.tests_of_difference import ks_one_sample
from limitbench.theories.shaped_relu import CovarianceSDE, DriftlessCovarianceSDE

# c_+, c_-, rho0, n = d, N, mean error, its s.e., sd error, its s.e., KS, its s.e.
CRITICAL = [
    (0, -1, 0.3, 8, 60_000, -0.0083, 0.0026, 0.0410, 0.0012, 0.0537, 0.0018),
    (0, -1, 0.3, 32, 60_000, 0.0066, 0.0024, 0.0050, 0.0012, 0.0154, 0.0012),
    (0, -1, 0.3, 128, 12_000, 0.0094, 0.0054, -0.0033, 0.0028, 0.0100, 0.0028),
    (1, -1, 0.0, 8, 60_000, -0.1055, 0.0024, 0.0965, 0.0011, 0.1024, 0.0020),
    (1, -1, 0.0, 32, 60_000, -0.0313, 0.0021, 0.0291, 0.0011, 0.0318, 0.0018),
    (0, -2, -0.3, 8, 60_000, 0.1673, 0.0019, -0.0228, 0.0011, 0.1631, 0.0019),
    (0, -2, -0.3, 32, 60_000, 0.0931, 0.0019, -0.0269, 0.0011, 0.0739, 0.0015),
    (0, -2, -0.3, 128, 12_000, 0.0571, 0.0043, -0.0230, 0.0023, 0.0472, 0.0049),
]


def agrees(ours, ours_se, theirs, theirs_se):
    return abs(ours - theirs) < 4.5 * math.hypot(ours_se, theirs_se)


def mean_and_sd(x):
    """Mean, its standard error, standard deviation, its standard error."""
    kurtosis = ((x - x.mean()) ** 4).mean() / x.var() ** 2
    return x.mean(), x.std() / math.sqrt(len(x)), x.std(), x.std() * math.sqrt((kurtosis - 1) / (4 * len(x)))


@pytest.mark.parametrize("row", CRITICAL, ids=lambda row: f"c=({row[0]},{row[1]})-n={row[3]}")
def test_correlation_at_the_critical_rate(row):
    plus, minus, rho0, n, size, mean_error, mean_se, sd_error, sd_se, ks, ks_se = row
    x = ShapedMLP(n, n, c_plus=plus, c_minus=minus, rho0=rho0).sample(size, seed=11)["correlation"].to_numpy()
    law = CovarianceSDE(1.0, plus, minus, rho0).law("correlation")
    mean, se, sd, error = mean_and_sd(x)
    assert agrees(mean - law.mean, se, mean_error, mean_se)
    assert agrees(sd - law.std, error, sd_error, sd_se)
    # the standard error of a KS statistic is at most 1/(2 sqrt N)
    assert agrees(ks_one_sample(x, law)[0], 0.5 / math.sqrt(size), ks, ks_se)
    # the companion: another coefficient of nu is noticed
    other = CovarianceSDE(1.0, plus, minus - 0.5, rho0).law("correlation")
    assert not agrees(mean - other.mean, se, mean_error, mean_se)


@pytest.mark.parametrize(
    ("n", "size", "mean", "mean_se", "variance", "ks"),
    [
        (16, 36_000, -1.123, 0.008, 2.33, 0.041),
        (64, 20_000, -1.011, 0.010, 2.05, 0.0063),
        (256, 4_000, -1.001, 0.022, 1.93, 0.0084),
    ],
)
def test_norm_at_the_critical_rate(n, size, mean, mean_se, variance, ks):
    x = ShapedMLP(n, n, gram=((1.0,),)).sample(size, seed=12)["log_norm"].to_numpy()
    ours, se, sd, sd_se = mean_and_sd(x)
    assert agrees(ours, se, mean, mean_se)
    assert agrees(sd, sd_se, math.sqrt(variance), sd_se)
    law = CovarianceSDE(1.0, 0.0, -1.0, 0.3).law("log_norm")
    assert (law.mean, law.std**2) == pytest.approx((-1, 2))
    assert agrees(ks_one_sample(x, law)[0], 0.5 / math.sqrt(size), ks, 0.5 / math.sqrt(size))
    martingale = np.exp(x)
    assert abs(martingale.mean() - 1) < 4.5 * martingale.std() / math.sqrt(size)
    assert not agrees(ours, se, -5 / 2, mean_se)  # an unshaped network's norm


GRAM = np.array([[1.0, 0.4, -0.2], [0.4, 0.7, 0.3], [-0.2, 0.3, 1.5]])


PAIRS = [(a, b) for a in range(3) for b in range(a, 3)]
#: Sigma^{ab,cd} = V^ac V^bd + V^ad V^bc, the quadratic covariation of the covariance SDE.
SIGMA = np.array([[GRAM[a, c] * GRAM[b, d] + GRAM[a, d] * GRAM[b, c] for c, d in PAIRS] for a, b in PAIRS])


def drift(n):
    """E dV = c nu(rho) sqrt(V^aa V^bb)/n, exactly."""
    root = np.sqrt(np.diag(GRAM))
    rho = np.minimum(GRAM / np.outer(root, root), 1.0)
    c = variance_normaliser(1 + 0.5 * n**-0.5, 1 - n**-0.5)
    return np.array([c * float(nu(rho[a, b], 0.5, -1.0)) * root[a] * root[b] / n for a, b in PAIRS])


def test_generator_of_three_inputs_at_width_100():
    """One layer of the sampler: n Cov(dV) is off Sigma by 0.150 at most; the noise of a variance v is v sqrt(2/N)."""
    n, size = 100, 300_000
    drawn = ShapedMLP(1, n, c_plus=0.5, c_minus=-1.0, gram=tuple(map(tuple, GRAM))).sample_gram(size, seed=13)
    scale = np.exp(drawn.log_norms[:, 0] / 2) * np.sqrt(np.diag(GRAM))
    v = scale[:, :, None] * scale[:, None, :] * drawn.correlations[:, 0]
    steps = np.stack([v[:, a, b] - GRAM[a, b] for a, b in PAIRS], axis=1)
    assert agrees(np.abs(n * np.cov(steps.T) - SIGMA).max(), 4.5 * math.sqrt(2 / size), 0.150, 0.012)
    se = steps.std(0) / math.sqrt(size)
    assert (np.abs(steps.mean(0) - drift(n)) < 4.5 * se).all()
    assert (np.abs(steps.mean(0)) > 4.5 * se).any()  # the companion: without nu the drift is noticed


@pytest.mark.parametrize(("n", "largest"), [(1600, 0.028), (25_600, 0.010)])
def test_generator_of_three_inputs_in_the_limit(n, largest):
    """V_1 is an average over n rows, so n Cov(V_1) is the covariance of one row's products c phi(z^a) phi(z^b)."""
    size = 2_000_000
    z = np.random.default_rng(16).standard_normal((size, 3)) @ np.linalg.cholesky(GRAM).T
    s_plus, s_minus = 1 + 0.5 * n**-0.5, 1 - n**-0.5
    features = s_plus * np.maximum(z, 0) + s_minus * np.minimum(z, 0)
    products = variance_normaliser(s_plus, s_minus) * np.stack(
        [features[:, a] * features[:, b] for a, b in PAIRS], axis=1
    )
    off = np.abs(np.cov(products.T) - SIGMA).max()
    # a product of normals has a kurtosis of up to 15 + ..., so the noise of its variance v is about v sqrt(14/N)
    assert agrees(off, 4.5 * math.sqrt(14 / size), largest, 0.012)
    assert off < 0.15  # and far nearer than at width 100


@pytest.mark.parametrize(
    ("rate", "n", "size", "mean", "mean_se", "sd", "ks_critical", "ks_driftless"),
    [
        (0.5, 32, 10_000, 0.3444, 0.0059, 0.5931, 0.0164, 0.0745),
        (0.5, 128, 4_000, 0.3381, 0.0094, 0.5948, 0.0130, 0.0716),
        (1.0, 32, 10_000, 0.2435, 0.0066, 0.6631, 0.0729, 0.0087),
        (1.0, 128, 4_000, 0.2539, 0.0103, 0.6540, 0.0660, 0.0129),
    ],
)
def test_critical_exponent(rate, n, size, mean, mean_se, sd, ks_critical, ks_driftless):
    x = ShapedMLP(n, n, rate=rate).sample(size, seed=14)["correlation"].to_numpy()
    ours, se, spread, spread_se = mean_and_sd(x)
    assert agrees(ours, se, mean, mean_se)
    assert agrees(spread, spread_se, sd, spread_se)
    driftless = DriftlessCovarianceSDE(1.0, 0.3).law("correlation")
    assert (driftless.mean, driftless.std) == pytest.approx((0.2407, 0.6595), abs=6e-5)
    noise = 0.5 / math.sqrt(size)
    assert agrees(ks_one_sample(x, CovarianceSDE(1.0, 0.0, -1.0, 0.3).law("correlation"))[0], noise, ks_critical, noise)
    assert agrees(ks_one_sample(x, driftless)[0], noise, ks_driftless, noise)


@pytest.mark.parametrize(
    ("n", "size", "rho_mean", "median_gap", "predicted", "scaled", "scaled_se"),
    [(32, 8_000, 0.679, 0.177, 0.703, 0.736, 0.011), (128, 2_000, 0.810, 0.095, 0.416, 0.4215, 0.0067)],
)
def test_collapse_below_the_critical_exponent(n, size, rho_mean, median_gap, predicted, scaled, scaled_se):
    """p = 1/4: n^-(1-2p) (1 - rho)^-1/2 has mean k (e^t - 1) + w_0 e^t, k = (c_+ - c_-)^2 sqrt2/(6 pi)."""
    x = ShapedMLP(n, n, rate=0.25).sample(size, seed=15)
    gap = np.exp(x["log_gap"].to_numpy())
    w = n**-0.5 / np.sqrt(gap)
    k, w_0 = math.sqrt(2) / (6 * math.pi), n**-0.5 / math.sqrt(0.7)
    assert k * (math.e - 1) + w_0 * math.e == pytest.approx(predicted, abs=6e-4)
    assert agrees(w.mean(), w.std() / math.sqrt(size), scaled, scaled_se)
    assert agrees((1 - gap).mean(), gap.std() / math.sqrt(size), rho_mean, gap.std() / math.sqrt(size))
    # density of the gap's logarithm at its median is about 1/(2.5 sd)
    error = median_gap * 1.25 * np.log(gap).std() / math.sqrt(size)
    assert agrees(np.median(gap), error, median_gap, error)
