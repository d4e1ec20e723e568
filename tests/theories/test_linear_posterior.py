"""Posterior mixtures of deep linear networks against independent quadrature and against networks with real weights.

The task below is the committed dataset. Quadrature agrees to 1e-4 (in fact far better) with: for one output scipy's
`quad` over ln q; for two outputs at finite size Gauss rules over the entries of the Bartlett factors, which know
nothing of angles or eigenvalues; in the limit the spectral form of the heat kernel. All of them solve dense D P x D P
systems. Networks: 4.5 standard errors of importance sampling; companions deviate by `POWERFUL`.
"""

import math
from functools import cache, partial

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import roots_genlaguerre, roots_hermitenorm

from limitbench.errors import InputError
from limitbench.networks.linear_posterior import LinearPosterior
from limitbench.numerics.gaussian_regression import GaussianRegression
from limitbench.numerics.law_distance import deterministic_ks
from limitbench.testing.networks import POWERFUL
from limitbench.testing.theories import TheoryContract
from limitbench.theories.linear_posterior import FiniteWidth, InfiniteWidth, ProportionalLimit
from limitbench.theories.linear_posterior import posterior as mixture
from limitbench.theories.linear_posterior.line_density import FiniteDensity
from limitbench.theories.linear_posterior.mixing_law import mixing_nodes

GRAM_ONE = ((1.0, 0.3, -0.2, 0.5), (0.3, 1.2, 0.1, -0.4), (-0.2, 0.1, 0.8, 0.2), (0.5, -0.4, 0.2, 1.0))
GRAM_TWO = ((1.0, 0.4, 0.7), (0.4, 1.0, 0.5), (0.7, 0.5, 1.0))
LABELS = {
    "one": ((0.5, -0.4, 0.2),),
    "equal": ((1.0, 0.6), (1.0, 0.6)),
    "opposite": ((1.0, 0.6), (-1.0, -0.6)),
}
TOLERANCE = 1e-4


def task(labels, noise=0.2):
    return GaussianRegression(GRAM_ONE if labels == "one" else GRAM_TWO, LABELS[labels], noise)


class TestContract(TheoryContract):
    theories = (
        InfiniteWidth(task("one")),
        InfiniteWidth(task("equal")),
        ProportionalLimit(0.125, task("one", 0.02)),
        ProportionalLimit(1.0, task("opposite")),
        FiniteWidth(8, 8, task("one")),
        FiniteWidth(8, 8, task("equal")),
    )


# Brute force: dense matrices at given Q, with defects. ----------------------------------------------------------------


def brute(mixing, weights, given, defect=None):
    """Predictive mean and covariance of the mixture over `mixing` (n, D, D), from D P x D P systems."""
    n, outputs = mixing.shape[:2]
    inputs = len(given.kernel)
    size = outputs * inputs
    swapped = defect == "K x Q"
    prior = np.einsum("nij,ab->naibj" if swapped else "nij,ab->niajb", mixing, given.kernel).reshape(n, size, size)
    cross = np.einsum("nij,a->niaj" if swapped else "nij,a->nija", mixing, given.cross).reshape(n, outputs, size)
    labels = given.targets.reshape(size)
    system = prior + given.noise * np.eye(size)
    solved = np.linalg.solve(system, np.broadcast_to(labels[:, None], (n, size, 1)))[:, :, 0]
    logs = -(solved @ labels) / 2
    if defect != "no determinant":
        logs -= np.linalg.slogdet(system)[1] / 2
    if defect == "prior weights":
        logs = np.zeros(n)
    w = weights * np.exp(logs - logs.max())
    w = w / w.sum()
    means = np.einsum("nis,ns->ni", cross, solved)
    given_q = mixing * given.test_variance - cross @ np.linalg.solve(system, cross.swapaxes(1, 2))
    mean = w @ means
    spread = np.einsum("n,ni,nj->ij", w, means - mean, means - mean)
    covariance = np.einsum("n,nij->ij", w, given_q) + (0 if defect == "no Cov m" else spread)
    return mean, covariance


def one_output_limit(alpha, given):
    return _one_output(lambda x: stats.norm.pdf(x, -alpha, math.sqrt(2 * alpha)), given, -alpha, math.sqrt(2 * alpha))


def _one_output(density, given, centre, std):
    """Integrals over ln q by scipy's adaptive rule, one moment at a time."""
    kernel, labels = given.kernel, given.targets[0]

    def terms(x):
        q = math.exp(x)
        system = q * kernel + given.noise * np.eye(len(labels))
        solved = np.linalg.solve(system, np.stack([labels, q * given.cross], axis=1))
        mean = q * given.cross @ solved[:, 0]
        variance = q - q * given.cross @ solved[:, 1]
        weight = density(x) * math.exp(-labels @ solved[:, 0] / 2) / math.sqrt(np.linalg.det(system))
        return weight, weight * mean, weight * (variance + mean**2)

    moments = [
        integrate.quad(lambda x, k=k: terms(x)[k], centre - 12 * std, centre + 9 * std, limit=200, epsrel=1e-8)[0]
        for k in range(3)
    ]
    mean = moments[1] / moments[0]
    return np.array([mean]), np.array([[moments[2] / moments[0] - mean**2]])


def bartlett_nodes(width, depth, nodes):
    """Gauss rules over every entry of `depth` Bartlett factors of two outputs: Q and weights."""
    first, w1 = roots_genlaguerre(nodes, width / 2 - 1)
    second, w2 = roots_genlaguerre(nodes, (width - 1) / 2 - 1)
    off, w3 = roots_hermitenorm(nodes)
    grid = np.meshgrid(np.sqrt(2 * first / width), np.sqrt(2 * second / width), off / math.sqrt(width), indexing="ij")
    a, b, c = (axis.ravel() for axis in grid)
    factor = np.zeros((a.size, 2, 2))
    factor[:, 0, 0], factor[:, 1, 1], factor[:, 1, 0] = a, b, c
    weight = np.einsum("i,j,k->ijk", w1 / w1.sum(), w2 / w2.sum(), w3 / w3.sum()).ravel()
    product, total = factor, weight
    for _ in range(depth - 1):
        kept = total > 1e-10
        product = np.einsum("nij,mjk->nmik", product[kept], factor).reshape(-1, 2, 2)
        total = np.outer(total[kept], weight).ravel()
    kept = total > 1e-10
    return product[kept] @ product[kept].swapaxes(1, 2), total[kept]


@cache
def spectral_nodes(alpha):
    """The limit of two outputs: heat kernel of the hyperbolic plane as an integral over its spectrum."""
    node, gauss = np.polynomial.legendre.leggauss(70)
    reach = 7 * math.sqrt(alpha) + alpha
    r, w_r = reach * (node + 1) / 2, gauss * reach / 2
    frequency = np.linspace(0, 9 / math.sqrt(alpha), 400)
    # Mehler and Dirichlet: P(cosh r) = (sqrt 2/pi) int_0^r cos(k s) / sqrt(cosh r - cosh s) ds, with s = r sin v
    v, w_v = np.pi / 4 * (node + 1), gauss * np.pi / 4
    s = r[:, None] * np.sin(v)
    root = np.sqrt(2 * np.sinh((r[:, None] + s) / 2) * np.sinh((r[:, None] - s) / 2))
    kernel = math.sqrt(2) / np.pi * w_v * r[:, None] * np.cos(v) / root
    legendre = np.einsum("rv,rvk->rk", kernel, np.cos(s[:, :, None] * frequency))
    spectrum = np.exp(-alpha * (0.25 + frequency**2) / 2) * frequency * np.tanh(np.pi * frequency)
    heat = np.trapezoid(legendre * spectrum, frequency, axis=1) / (2 * np.pi)
    z, w_t = roots_hermitenorm(40)
    t = -3 * alpha + math.sqrt(4 * alpha) * z
    theta = np.pi * np.arange(64) / 64
    logs = np.stack(np.broadcast_arrays(t[:, None, None] / 2 + r[:, None], t[:, None, None] / 2 - r[:, None]))
    logs = np.broadcast_to(logs, (2, t.size, r.size, theta.size))
    one, two = np.exp(logs)
    c, s = np.cos(theta), np.sin(theta)
    entries = (one * c**2 + two * s**2, (one - two) * c * s, one * s**2 + two * c**2)
    q11, q12, q22 = (entry.ravel() for entry in entries)
    weights = np.broadcast_to(
        (w_t / w_t.sum())[:, None, None] * (w_r * heat * 2 * np.pi * np.sinh(r))[:, None] / theta.size, one.shape
    ).ravel()
    kept = weights > 1e-13
    return np.stack([q11, q12, q12, q22], axis=1)[kept].reshape(-1, 2, 2), weights[kept]


def difference(theory, reference):
    found = theory.posterior
    return max(np.abs(found.mean - reference[0]).max(), np.abs(found.covariance - reference[1]).max())


@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize("alpha", [0.125, 1.0, 2.0])
def test_one_output_in_the_limit(alpha, noise):
    given = task("one", noise)
    assert difference(ProportionalLimit(alpha, given), one_output_limit(alpha, given)) < 1e-3 * TOLERANCE


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_one_output_of_one_layer(noise):
    given, width = task("one", noise), 8

    def density(x):
        return stats.chi2.pdf(width * math.exp(x), width) * width * math.exp(x)

    assert difference(FiniteWidth(width, 1, given), _one_output(density, given, 0.0, 0.55)) < 1e-2 * TOLERANCE


@pytest.mark.parametrize(
    ("width", "depth", "nodes", "labels"), [(5, 1, 40, "equal"), (8, 1, 40, "opposite"), (8, 2, 9, "equal")]
)
def test_two_outputs_of_one_and_two_layers(width, depth, nodes, labels):
    given = task(labels)
    reference = brute(*bartlett_nodes(width, depth, nodes), given)
    assert difference(FiniteWidth(width, depth, given), reference) < TOLERANCE


@pytest.mark.parametrize(
    ("labels", "alpha", "noise"), [("equal", 0.25, 0.2), ("equal", 1.0, 0.2), ("opposite", 1.0, 0.1)]
)
def test_two_outputs_in_the_limit(labels, alpha, noise):
    given = task(labels, noise)
    mixing, weights = spectral_nodes(alpha)
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert difference(ProportionalLimit(alpha, given), brute(mixing, weights, given)) < 1e-1 * TOLERANCE


@pytest.mark.parametrize("defect", ["no determinant", "prior weights", "K x Q", "no Cov m"])
def test_quadrature_notices_a_broken_formula(defect):
    """The companions: each moves a moment by more than a hundred times the tolerance."""
    given = task("equal")
    mixing, weights = spectral_nodes(1.0)
    assert difference(ProportionalLimit(1.0, given), brute(mixing, weights, given, defect)) > 100 * TOLERANCE


@pytest.mark.parametrize(("width", "depth"), [(4, 2), (8, 8), (128, 4)])
def test_law_of_q_has_its_exact_moments(width, depth):
    """Mass, E Q = I, E Q_12^2 and E ln det Q at finite size, which fix C and the shape a."""
    nodes = mixing_nodes(FiniteDensity(width, depth, 2), 2, lambda drawn: 0 * drawn.log_weight)
    weights, q = np.exp(nodes.log_weight), nodes.matrices
    assert weights.sum() == pytest.approx(1, abs=1e-7)
    np.testing.assert_allclose(np.einsum("n,nij->ij", weights, q), np.eye(2), atol=1e-6)
    exact = ((1 + 2 / width) ** depth - (1 - 1 / width) ** depth) / 3
    assert weights @ q[:, 0, 1] ** 2 == pytest.approx(exact, rel=1e-6)


# Networks with real weights. ------------------------------------------------------------------------------------------


@cache
def networks(labels, sampler):
    """Prior networks N = L = 8, with real weight matrices or without: weights and test outputs."""
    number = 20_000 if sampler == "dense" else 131_072
    drawn = LinearPosterior(8, 8, task(labels)).sample(number, seed=4, sampler=sampler)
    names = ("output_1", "output_2")[: len(LABELS[labels])]
    return np.exp(drawn["log_weight"].values), np.stack([drawn[name].values for name in names], axis=1)


def standard_deviations(labels, found, sampler="exact"):
    """Deviations of `found` from importance sampling in standard errors: evidence, means, covariances."""
    w, f = networks(labels, sampler)
    mean = w @ f / w.sum()
    products = (f - mean)[:, :, None] * (f - mean)[:, None, :]
    covariance = np.einsum("n,nij->ij", w, products) / w.sum()
    mean_se = np.sqrt(w**2 @ (f - mean) ** 2) / w.sum()
    covariance_se = np.sqrt(np.einsum("n,nij->ij", w**2, (products - covariance) ** 2)) / w.sum()
    given = task(labels)
    scale = given.outputs * len(given.kernel) / 2 * math.log(2 * math.pi * given.noise)
    evidence = math.exp(found.log_evidence + scale)
    return {
        "evidence": abs(w.mean() - evidence) / (w.std() / math.sqrt(w.size)),
        "mean": np.max(np.abs(mean - found.mean) / mean_se),
        "covariance": np.max(np.abs(covariance - found.covariance) / covariance_se),
    }


@pytest.mark.parametrize("labels", LABELS)
def test_networks_with_real_weights_have_the_finite_mixture(labels):
    w, _ = networks(labels, "dense")
    assert w.sum() ** 2 / (w**2).sum() > 700, "effective sample size"
    assert max(standard_deviations(labels, FiniteWidth(8, 8, task(labels)).posterior, "dense").values()) < 4.5
    assert max(standard_deviations(labels, FiniteWidth(8, 8, task(labels)).posterior).values()) < 4.5


def test_networks_notice_infinite_width():
    for labels in LABELS:
        assert standard_deviations(labels, InfiniteWidth(task(labels)).posterior)["covariance"] > POWERFUL


def without_determinant(nodes, given):
    variance, projected, _ = mixture._diagonal(nodes, given)
    return -(projected**2 / variance).sum(axis=(1, 2)) / 2


def prior_weights(nodes, given):
    return np.zeros(len(nodes.log_weight))


@pytest.mark.parametrize("weight", [without_determinant, prior_weights])
def test_networks_notice_wrong_weights(monkeypatch, weight):
    theory = FiniteWidth(8, 8, task("equal"))
    monkeypatch.setattr(mixture, "log_likelihood", weight)
    found = standard_deviations("equal", theory.solve())
    assert max(found["mean"], found["covariance"]) > POWERFUL


def test_networks_notice_a_swapped_product():
    """K (x) Q in place of Q (x) K reads the labels of outputs as labels of inputs."""
    swapped = GaussianRegression(GRAM_TWO, tuple(zip(*LABELS["equal"], strict=True)), 0.2)
    found = standard_deviations("equal", FiniteWidth(8, 8, swapped).posterior)
    assert max(found["mean"], found["covariance"]) > POWERFUL


def test_networks_notice_a_covariance_without_that_of_the_means(monkeypatch):
    def spread_only(self):
        return np.einsum("n,nij->ij", self.weights, self.covariances)

    found = FiniteWidth(8, 8, task("one")).solve()
    monkeypatch.setattr(mixture.Posterior, "covariance", property(spread_only))
    assert standard_deviations("one", found)["covariance"] > POWERFUL


# What the paper says. -------------------------------------------------------------------------------------------------


def test_labels_couple_outputs():
    for theory in (partial(ProportionalLimit, 1.0), partial(FiniteWidth, 8, 8)):
        equal, opposite = (theory(task(labels)).posterior.covariance[0, 1] for labels in ("equal", "opposite"))
        assert equal > 0.15
        assert opposite == pytest.approx(-equal, rel=1e-9)
    assert InfiniteWidth(task("equal")).posterior.covariance[0, 1] == 0


@pytest.mark.parametrize("labels", LABELS)
def test_no_noise_leaves_the_mean_and_scales_the_covariance(labels):
    alpha, given = 0.25, task(labels, 0.0)
    found = ProportionalLimit(alpha, given).posterior
    predictor = given.targets @ np.linalg.solve(given.kernel, given.cross)
    np.testing.assert_allclose(found.mean, predictor, rtol=1e-9)
    rest = 1 - given.cross @ np.linalg.solve(given.kernel, given.cross)
    np.testing.assert_allclose(found.covariance, found.mean_mixing * rest, atol=1e-9)
    near = ProportionalLimit(alpha, task(labels, 1e-7)).posterior
    np.testing.assert_allclose(near.covariance, found.covariance, atol=1e-5)


def test_infinite_width_is_gaussian_process_regression():
    given = task("opposite")
    system = given.kernel + given.noise * np.eye(2)
    found = InfiniteWidth(given).posterior
    np.testing.assert_allclose(found.mean, given.targets @ np.linalg.solve(system, given.cross))
    variance = 1 - given.cross @ np.linalg.solve(system, given.cross)
    np.testing.assert_allclose(found.covariance, variance * np.eye(2), atol=1e-15)


def test_fixed_depth_recovers_infinite_width_at_rate_one_over_n():
    for labels in ("one", "equal"):
        centre = InfiniteWidth(task(labels)).posterior
        gaps = [FiniteWidth(n, 2, task(labels)).posterior.covariance - centre.covariance for n in (256, 1024)]
        np.testing.assert_allclose(gaps[0][0], 4 * gaps[1][0], rtol=0.03)


def test_finite_mixture_approaches_the_limit_at_rate_one_over_n():
    for labels in ("one", "equal"):
        limit = ProportionalLimit(1.0, task(labels)).posterior
        gaps = [FiniteWidth(n, n, task(labels)).posterior.covariance - limit.covariance for n in (32, 128)]
        np.testing.assert_allclose(gaps[0][0], 4 * gaps[1][0], rtol=0.1)


def test_tabulated_law_has_the_moments_and_the_cdf_of_the_mixture():
    theory = FiniteWidth(8, 8, task("equal"))
    found, law = theory.posterior, theory.law("posterior_output_1")
    assert (law.mean, law.std**2) == pytest.approx((found.mean[0], found.covariance[0, 0]))
    x = np.linspace(-1.5, 2.5, 41)
    cdf = stats.norm.cdf(x[:, None], found.means[:, 0], np.sqrt(found.covariances[:, 0, 0])) @ found.weights
    np.testing.assert_allclose(law.cdf(x), cdf, atol=1e-5)
    assert deterministic_ks(law, theory.law("posterior_output_2")) < 1e-5


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("alpha", lambda: ProportionalLimit(0.0, task("one"))),
        ("alpha", lambda: ProportionalLimit(9.0, task("one"))),
        ("width", lambda: FiniteWidth(2, 1, task("equal"))),
        ("width", lambda: FiniteWidth(3, 4, task("equal", 0.0))),
        ("depth", lambda: FiniteWidth(8, 0, task("one"))),
        ("task", lambda: InfiniteWidth(GaussianRegression(GRAM_TWO, ((1.0, 0.6),) * 3, 0.2))),
        ("gram", lambda: GaussianRegression(((1.0, 2.0), (2.0, 1.0)), ((1.0,),), 0.2)),
        ("labels", lambda: GaussianRegression(GRAM_TWO, ((1.0,),), 0.2)),
        ("noise", lambda: task("one", -1.0)),
        ("noise", lambda: GaussianRegression(((1.0, 1.0, 0.5), (1.0, 1.0, 0.5), (0.5, 0.5, 1.0)), ((1.0, 1.0),), 0.0)),
    ],
)
def test_bad_values_are_named(field, build):
    with pytest.raises(InputError, match=field):
        build()
