"""Log-Gaussian theories: every predicted number of sheet C 2.3 and 2.7, kernels by quadrature, networks by simulation.

False alarms: 4.5 combined standard errors in each of fewer than 60 comparisons of simulated numbers; the seeds are
fixed, so that a passing test passes for good.
"""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, polygamma

from limitbench.errors import InputError
from limitbench.networks.resnet import ResNet
from limitbench.numerics import interlayer
from limitbench.numerics.interlayer import Interlayer, signs_kernel, squares_kernel
from limitbench.testing.theories import TheoryContract
from limitbench.theories.log_gaussian import (
    FiniteWidthPerceptron,
    InfiniteWidth,
    LogGaussian,
    LogGaussianBase,
    LogGaussianFiniteDepth,
    LogGaussianPerceptron,
)

SE = 4.5


class TestContract(TheoryContract):
    theories = (
        InfiniteWidth(10, 64),
        InfiniteWidth(),
        LogGaussian(1.0, outputs=10),
        LogGaussian(0.25, 0.9, True, 1),
        LogGaussianBase(1.0, 0.5, 3),
        LogGaussianFiniteDepth(16, 64),
        LogGaussianFiniteDepth(64, 16, 0.0, True, 2),
        LogGaussianPerceptron(0.5, 1.0, 0.5),
        FiniteWidthPerceptron((64,) * 8),
        FiniteWidthPerceptron((16, 48) * 4, 1.0, 1.0),
    )


# Kernels. ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.5**0.5, 0.95, 1.0])
def test_kernels_are_the_expectations_that_define_them(rho):
    # X, Y = R cos a, R cos(a - arccos rho) with a uniform: E R^4 = 8, E R^2 = 2; midpoint rule over the angle
    angle = (np.arange(1_000_000) + 0.5) * 2 * np.pi / 1_000_000
    x, y = np.cos(angle), np.cos(angle - math.acos(rho))
    assert squares_kernel(rho) == pytest.approx(8 * np.mean(x * abs(x) * y * abs(y)), abs=1e-9)
    assert signs_kernel(rho) == pytest.approx(2 * np.mean(np.sign(y) * x * abs(x)), abs=1e-5)


def test_kernels_at_their_ends():
    assert squares_kernel(1.0) == 3.0
    assert signs_kernel(1.0) == 1.0
    rho = 0.3
    difference = 4 / np.pi * (rho * math.sqrt(1 - rho**2) + rho**2 * math.asin(rho))
    assert squares_kernel(rho) - signs_kernel(rho) == pytest.approx(difference, rel=1e-14)


# Sheet C 2.3 and 2.7: predicted numbers to the digits shown. ---------------------------------------------------------

#: alpha^2: base, sum K, sum M, C, v, m, n (E A - 1/2), n (P(z > 0) - 1/2), rate of ln E exp(G).
CONSTANTS = {
    0.5: (2.25, 6.3850, 2.9495, 3.1925, 5.4425, -1.9839, -0.8589, -0.3350, 0.7374),
    0.9: (0.41, 49.6401, 22.1492, 0.9928, 1.4028, -0.4799, -1.3745, -0.4724, 0.2215),
    0.75: (1.0625, 17.2709, 7.7966, 2.1589, 3.2214, -1.1234, -1.1843, -0.4259, 0.4873),
    0.25: (3.5625, 2.6078, 1.2418, 2.9338, 6.4963, -2.5496, -0.5123, -0.2206, 0.6985),
    0.1: (4.41, 1.1916, 0.5818, 1.9304, 6.3404, -2.6989, -0.2744, -0.1277, 0.4713),
    0.0: (5.0, 0.0, 0.0, 0.0, 5.0, -2.5, 0.0, 0.0, 0.0),
}


def table(weight):
    c = Interlayer(weight)
    sums = (c.base, c.squares_sum, c.signs_sum, c.coupling, c.variance_rate, c.mean_rate)
    return (*sums, c.share_excess(), c.active_excess(), c.growth_rate)


@pytest.mark.parametrize("weight", CONSTANTS)
def test_constants_of_infinite_depth(weight):
    assert table(weight) == pytest.approx(CONSTANTS[weight], abs=0.5001e-4)


def test_swapped_kernels_are_noticed(monkeypatch):
    monkeypatch.setattr(interlayer, "squares_kernel", signs_kernel)
    monkeypatch.setattr(interlayer, "signs_kernel", squares_kernel)
    off = np.abs(np.subtract(table(0.5), CONSTANTS[0.5]))
    assert off[[1, 2, 3, 4, 5, 6, 8]].min() > 0.5


@pytest.mark.parametrize(
    ("weight", "depth", "width", "mean", "var"),
    [
        (0.5, 16, 16, -1.812, 4.778),
        (0.5, 32, 32, -1.898, 5.109),
        (0.5, 64, 64, -1.941, 5.276),
        (0.5, 128, 128, -1.962, 5.359),
        (0.5, 256, 256, -1.973, 5.401),
        (0.5, 32, 128, -0.474, 1.277),
        (0.5, 128, 64, -3.925, 10.72),
        (0.5, 64, 32, None, 10.55),
        (0.9, 64, 64, -0.407, 1.121),
        (0.9, 192, 192, -0.455, 1.305),
    ],
)
def test_moments_with_finite_depth_sums(weight, depth, width, mean, var):
    law = LogGaussianFiniteDepth(depth, width, weight).law("log_norm")
    digits = 0.0051 if var > 10 else 0.00051
    assert law.std**2 == pytest.approx(var, abs=digits)
    if mean is not None:
        assert law.mean == pytest.approx(mean, abs=0.00051)


def test_moments_of_infinite_depth():
    at_one, short = LogGaussian(1.0), LogGaussian(0.25)
    assert (at_one.mean, at_one.variance) == pytest.approx((-1.984, 5.443), abs=0.0006)
    assert (short.mean, short.variance) == pytest.approx((-0.496, 1.361), abs=0.0005)
    slow = LogGaussian(1.0, 0.9)
    assert (slow.mean, slow.variance) == pytest.approx((-0.480, 1.403), abs=0.0005)


@pytest.mark.parametrize(("weight", "beta"), [(0.5, 2.25), (0.9, 0.41), (0.0, 5.0)])
def test_balanced_networks_have_the_base_constant(weight, beta):
    for theory in (LogGaussian(1.0, weight, True), LogGaussianFiniteDepth(64, 64, weight, True)):
        for observable in ("log_norm", "log_jacobian"):
            law = theory.law(observable)
            assert (law.mean, law.std**2) == pytest.approx((-beta / 2, beta), rel=1e-12)
    base = LogGaussianBase(1.0, weight).law("log_norm")
    assert (base.mean, base.std**2) == pytest.approx((-beta / 2, beta), rel=1e-12)


def test_interlayer_covariances():
    predicted = [Interlayer(0.5).lag_covariance(r) for r in (0, 1, 2, 3, 5, 8)]
    assert predicted == pytest.approx([3, 1.955, 1.327, 0.919, 0.453, 0.159], abs=0.0005)
    assert [Interlayer(0.5, balanced=True).lag_covariance(r) for r in (0, 1, 5)] == [3.0, 0.0, 0.0]


def test_hypoactivation_by_layer():
    constants = Interlayer(0.5)
    layers = (1, 2, 4, 8, 16)
    assert [constants.share_excess(n) for n in layers] == pytest.approx(
        [-0.284, -0.464, -0.665, -0.811, -0.856], abs=0.0005
    )
    assert [constants.active_excess(n) for n in layers] == pytest.approx(
        [-0.080, -0.148, -0.240, -0.311, -0.334], abs=0.0005
    )
    share = LogGaussianFiniteDepth(4, 64).law("relu_share")
    assert InfiniteWidth(width=64).law("relu_share").std == pytest.approx(math.sqrt(0.75 / 64), rel=1e-12)
    assert 64 * (share.mean - 0.5) == pytest.approx(-0.665, abs=0.0005)
    assert share.std**2 == pytest.approx(3 / 256)


@pytest.mark.parametrize(
    ("weight", "widths", "growth", "limit"),
    [(0.5, (32, 64, 128), (1.1151, 1.1552, 1.1785), 1.2024), (0.9, (32, 64, 128), (1.0082, 1.0160, 1.0272), None)],
)
def test_growth_of_the_mean_squared_norm(weight, widths, growth, limit):
    found = [math.exp(LogGaussianFiniteDepth(n // 4, n, weight).mean_growth) for n in widths]
    assert found == pytest.approx(growth, abs=0.6e-4)
    if limit:
        assert math.exp(0.25 * Interlayer(weight).growth_rate) == pytest.approx(limit, abs=0.6e-4)
    assert LogGaussianFiniteDepth(8, 32, weight, True).mean_growth == 0.0


@pytest.mark.parametrize(
    ("outputs", "mixture", "gaussian"), [(1, (-3.21, 10.22), (-1.27, 4.94)), (10, (0.257, 5.48), (2.20, 0.22))]
)
def test_law_of_the_outputs(outputs, mixture, gaussian):
    # the sheet's mixture is itself a sample (and leaves out the first layer): 0.04 in the mean, 2 % in the variance
    law = LogGaussianFiniteDepth(64, 64, outputs=outputs).law("log_output")
    assert law.mean == pytest.approx(mixture[0], abs=0.04)
    assert law.std**2 == pytest.approx(mixture[1], rel=0.02)
    without = InfiniteWidth(outputs).law("log_output")
    assert (without.mean, without.std**2) == pytest.approx(gaussian, abs=0.006)
    assert law.std**2 == pytest.approx(
        LogGaussianFiniteDepth(64, 64).variance + polygamma(1, outputs / 2) + polygamma(1, 32), rel=1e-12
    )


@pytest.mark.parametrize("outputs", [1, 10])
def test_output_law_is_the_convolution(outputs):
    """Against direct quadrature of the normal over the chi-square's quantiles."""
    law = LogGaussian(1.0, outputs=outputs).law("log_output")
    mean, variance = LogGaussian(1.0).mean, LogGaussian(1.0).variance
    u = (np.arange(200_000) + 0.5) / 200_000
    inner = np.log(stats.chi2(outputs).ppf(u))
    x = np.array([-6.0, -2.0, 0.5, 3.0, 6.0])
    direct = [stats.norm.cdf((v - inner - mean) / math.sqrt(variance)).mean() for v in x]
    np.testing.assert_allclose(law.cdf(x), direct, atol=2e-6)


def test_infinite_width_output_is_chi_square():
    law = InfiniteWidth(3).law("log_output")
    x = np.linspace(-4, 3, 9)
    np.testing.assert_allclose(law.cdf(x), stats.chi2(3).cdf(np.exp(x)), atol=1e-6)


# Sheet C section 4 and A section 3: MLPs. -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slope", "rate"),
    [(1.0, 2.0), (0.0, 5.0), (0.5, 3 * 1.36 - 1), (-1.0, 2.0)],
)
def test_constant_of_a_perceptron(slope, rate):
    assert LogGaussianPerceptron(1.0, 1.0, slope).variance_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("width", "mean", "var"),
    [(32, -2.641, 5.680), (64, -2.567, 5.312), (128, -2.533, 5.150), (256, -2.516, 5.074), (1024, -2.504, 5.018)],
)
def test_exact_moments_of_a_relu_layer(width, mean, var):
    layer = FiniteWidthPerceptron((width,))
    assert width * layer.mean == pytest.approx(mean, abs=0.0006)
    assert width * layer.variance == pytest.approx(var, abs=0.0006)


def test_exact_law_of_relu_is_the_binomial_mixture():
    """One layer: (2/n) chi2_K with K ~ Bin(n, 1/2), K >= 1."""
    n = 32
    law = FiniteWidthPerceptron((n,)).law("log_norm")
    x = np.linspace(-2, 1.2, 17)
    k = np.arange(1, n + 1)
    direct = [stats.binom.pmf(k, n, 0.5) @ stats.chi2(k).cdf(n / 2 * math.exp(v)) for v in x]
    np.testing.assert_allclose(law.cdf(x), direct, atol=1e-6)


def test_exact_law_of_unequal_linear_layers():
    widths = (8, 24, 8, 24)
    law = FiniteWidthPerceptron(widths, 1.0, 1.0).law("log_norm")
    assert law.mean == pytest.approx(sum(digamma(n / 2) - math.log(n / 2) for n in widths), rel=1e-9)
    assert law.std**2 == pytest.approx(sum(polygamma(1, n / 2) for n in widths), rel=1e-9)


@pytest.mark.parametrize(
    "build",
    [
        lambda: LogGaussian(0.0),
        lambda: LogGaussian(math.nan),
        lambda: LogGaussian(1.0, 1.0),
        lambda: LogGaussian(1.0, -0.1),
        lambda: LogGaussian(1.0, outputs=0),
        lambda: LogGaussianBase(-1.0),
        lambda: LogGaussianFiniteDepth(0, 64),
        lambda: LogGaussianFiniteDepth(64, -2),
        lambda: InfiniteWidth(0),
        lambda: InfiniteWidth(1, 0),
        lambda: LogGaussianPerceptron(1.0, 0.0, 0.0),
        lambda: FiniteWidthPerceptron(()),
        lambda: FiniteWidthPerceptron((16, 64)),
        lambda: FiniteWidthPerceptron((64,), 0.0, 0.0),
        lambda: Interlayer(1.0),
    ],
)
def test_what_cannot_be_is_named(build):
    with pytest.raises(InputError, match="expected"):
        build()


# Real weight matrices. ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense():
    """4096 vanilla networks with weight matrices, n = 32, d = 8."""
    return ResNet(8, 32, skip=0.5**0.5, branch=1.0, outputs=10).sample(
        4096, seed=1, depths=[1, 2, 4, 8], sampler="dense"
    )


def deviation(values, predicted, correction=0.0):
    """Standard errors between the mean of `values` and a prediction with a known 1/n remainder."""
    return (values.mean() - predicted - correction) / (values.std(ddof=1) / math.sqrt(values.size))


def deviations(dense, theory):
    """Of variance (remainder 42 t/n at d = n; half of it allowed for), activation and lag covariance."""
    norm, share = dense["log_norm"].sel(depth=8).values, dense["relu_share"]
    centred = 32 * (share - 0.5)
    lagged = (
        4 * 32 * (share.sel(depth=1) - share.sel(depth=1).mean()) * (share.sel(depth=2) - share.sel(depth=2).mean())
    )
    return {
        "variance": deviation((norm - norm.mean()) ** 2, theory.variance, 42 * 0.25 / 32 / 2),
        "mean": deviation(norm, theory.mean, -0.02),
        "share": deviation(centred.sel(depth=2).values, theory.constants.share_excess(2)),
        "lag": deviation(lagged.values, theory.constants.lag_covariance(1)),
    }


def test_dense_networks_follow_finite_depth_sums(dense):
    assert all(abs(z) < SE for z in deviations(dense, LogGaussianFiniteDepth(8, 32)).values())


def test_dropped_coupling_and_swapped_kernels_are_noticed(dense, monkeypatch):
    right = deviations(dense, LogGaussianFiniteDepth(8, 32))
    monkeypatch.setattr(Interlayer, "coupling", property(lambda self: 0.0))
    assert deviations(dense, LogGaussianFiniteDepth(8, 32))["variance"] > right["variance"] + 10
    monkeypatch.undo()
    monkeypatch.setattr(interlayer, "squares_kernel", signs_kernel)
    monkeypatch.setattr(interlayer, "signs_kernel", squares_kernel)
    wrong = deviations(dense, LogGaussianFiniteDepth(8, 32))
    assert abs(wrong["lag"]) > 2 * SE
    assert abs(wrong["share"]) > SE


def test_sums_that_are_off_by_one_are_noticed():
    right = Interlayer(0.5, 16)
    longer = Interlayer(0.5, 17)
    assert abs(longer.variance_rate - right.variance_rate) > 0.01
    assert abs(right.share_excess(2) - right.share_excess(3)) > 0.1


@pytest.mark.parametrize(
    ("balanced", "weight", "width", "mean", "var"),
    [
        (False, 0.5, 16, (-2.005, 0.013), (6.617, 0.048)),
        (False, 0.5, 32, (-2.047, 0.010), (6.491, 0.040)),
        (True, 0.5, 16, (-1.094, 0.007), (2.196, 0.016)),
        (True, 0.9, 16, None, (0.4006, 0.0029)),
    ],
)
def test_simulated_moments_of_the_sheet(balanced, weight, width, mean, var):
    """C 2.7 (a), (b): our networks against the sheet's, both errors combined."""
    network = ResNet(width, width, skip=weight**0.5, branch=(2 * (1 - weight)) ** 0.5, balanced=balanced)
    x = network.sample(16_384, seed=2)["log_norm"].values
    if mean is not None:
        assert abs(x.mean() - mean[0]) < SE * math.hypot(x.std() / math.sqrt(x.size), mean[1])
    square = (x - x.mean()) ** 2
    assert abs(square.mean() - var[0]) < SE * math.hypot(square.std() / math.sqrt(x.size), var[1])


def test_simulated_lags_and_activation_of_the_sheet():
    """C 2.7 (c), (d) at n = 64 and 128: vanilla, alpha = lambda."""
    drawn = ResNet(16, 64, skip=0.5**0.5, branch=1.0).sample(16_384, seed=3, depths=[1, 2, 4, 8, 16])
    shares = {1: -0.288, 2: -0.439, 4: -0.682, 8: -0.848, 16: -0.937}
    active = {1: -0.076, 2: -0.149, 4: -0.265, 8: -0.344, 16: -0.388}
    for layer in shares:
        for name, expected, error in (("relu_share", shares, 0.028), ("active_fraction", active, 0.016)):
            x = 64 * (drawn[name].sel(depth=layer).values - 0.5)
            assert abs(x.mean() - expected[layer]) < SE * math.hypot(x.std() / math.sqrt(x.size), error), (name, layer)


def test_growth_of_the_sheet():
    """C 2.7 (e) at n = 32, d = 8: E|z_d|^2 = 1.1093 +- .0031 vanilla, .995 +- .004 balanced."""
    for balanced, expected, error in ((False, 1.1093, 0.0031), (True, 0.995, 0.004)):
        x = np.exp(
            ResNet(8, 32, skip=0.5**0.5, branch=1.0, balanced=balanced).sample(16_384, seed=4)["log_norm"].values
        )
        assert abs(x.mean() - expected) < SE * math.hypot(x.std() / math.sqrt(x.size), error)
