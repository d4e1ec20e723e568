"""Errors of the deep-linear laws: deterministic (fixed seeds), lower is better, a non-finite value raises."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad
from scipy.special import gammainc, gammaincc, loggamma, ndtr

from limitbench.numerics.characteristic import score_nodes, tail_probabilities
from limitbench.numerics.hyperbolic import radial_reach, radial_survival
from limitbench.numerics.law_distance import deterministic_ks, deterministic_wasserstein
from limitbench.numerics.log_chi_square import LogChiSquareSum
from limitbench.numerics.triangular_sde import triangular_draws
from limitbench.statistics.base import quantile_moments
from limitbench.theories.deep_linear import FiniteWidth, ProportionalLimit, limit_second_moments

from .measure import error


class CharacteristicInversion:
    """Tail probabilities of ln(chi2_k/k) against the incomplete gamma function."""

    params = (1, 2, 16, 1024)
    param_names = ("degrees",)

    def track_relative_tail_error(self, degrees: int) -> float:
        """Largest relative error of either tail, where it is between 1e-14 and 1/2."""
        law = LogChiSquareSum(((degrees, float(degrees), 1),))
        x = score_nodes(law, 801)
        half, y = degrees / 2, degrees * np.exp(x) / 2
        below, above = tail_probabilities(law, x)
        exact_below, exact_above = gammainc(half, y), gammaincc(half, y)
        low, high = (exact_below > 1e-14) & (exact_below < 0.5), (exact_above > 1e-14) & (exact_above < 0.5)
        return error(max(np.abs(below / exact_below - 1)[low].max(), np.abs(above / exact_above - 1)[high].max()))


class FiniteWidthLaw:
    """The tabulated law of ln Q_11 as it is used, at width and depth."""

    params = ([(2, 1), (16, 16), (64, 256)],)
    param_names = ("width_depth",)

    def track_cdf_error(self, shape: tuple[int, int]) -> float:
        """Against Gil-Pelaez quadrature at eleven points."""
        width, depth = shape
        law = FiniteWidth(width=width, depth=depth).law("log_q11")
        x = law.quantile(np.linspace(0.02, 0.98, 11))
        reach = 10 * math.sqrt(width / (2 * depth)) + 24 / depth

        def cdf(point: float) -> float:
            def integrand(t: float) -> float:
                shift = loggamma(width / 2 + 1j * t) - loggamma(width / 2) + 1j * t * math.log(2 / width)
                return float(np.exp(depth * shift - 1j * t * point).imag / t)

            return 0.5 - quad(integrand, 1e-12, reach, epsabs=1e-12, epsrel=1e-12, limit=500)[0] / math.pi

        return error(np.max(np.abs(law.cdf(x) - np.array([cdf(float(point)) for point in x]))))

    def track_std_error(self, shape: tuple[int, int]) -> float:
        """Relative error of the tabulated law's standard deviation against trigamma sums."""
        law = FiniteWidth(width=shape[0], depth=shape[1]).law("log_q11")
        return error(abs(quantile_moments(law)[1] / law.std - 1))


class RateToTheLimit:
    """Width x distance to the log-normal limit at width 1024, against the constants of the Edgeworth expansion."""

    params = (0.25, 1.0, 4.0)
    param_names = ("alpha",)

    def setup(self, alpha: float) -> None:
        self.finite = FiniteWidth(width=1024, depth=int(1024 * alpha)).law("log_q11")
        self.limit = ProportionalLimit(alpha).law("log_q11")
        z = np.linspace(-8, 8, 200_001)
        sigma = math.sqrt(2 * alpha)
        mean, variance, third = -alpha / 3 / sigma, 2 * alpha / sigma**2, -4 * alpha / sigma**3
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        shift = density * np.abs(mean + variance * z / 2 + third * (z**2 - 1) / 6)
        self.kolmogorov, self.wasserstein = shift.max(), sigma * np.trapezoid(shift, z)

    def track_kolmogorov_constant_error(self, alpha: float) -> float:
        """Relative error of the constant of the Kolmogorov-Smirnov distance; O(1/width) by nature."""
        return error(abs(1024 * deterministic_ks(self.finite, self.limit) / self.kolmogorov - 1))

    def track_wasserstein_constant_error(self, alpha: float) -> float:
        """Relative error of the constant of the Wasserstein-1 distance; O(1/width) by nature."""
        return error(abs(1024 * deterministic_wasserstein(self.finite, self.limit) / self.wasserstein - 1))


class TwoOutputLaws:
    """Exact tabulated laws of two outputs against identities that no part of their construction uses."""

    params = (0.01, 0.25, 1.0)
    param_names = ("alpha",)

    def track_coupling_variance_error(self, alpha: float) -> float:
        """Relative error of E q_12^2 of the tabulated law against its closed form."""
        law = ProportionalLimit(alpha).law("q12")
        return error(abs(quantile_moments(law)[1] ** 2 / limit_second_moments(alpha).q12_squared - 1))

    def track_trace_error(self, alpha: float) -> float:
        """E(lambda_min + lambda_max) = 2."""
        z = np.linspace(-8.2, 8.2, 4097)
        weight = np.exp(-(z**2) / 2)
        trace = sum(
            np.exp(ProportionalLimit(alpha).law(name).quantile(ndtr(z)))
            for name in ("log_lambda_min", "log_lambda_max")
        )
        return error(abs(weight @ trace / weight.sum() - 2))


class TriangularEquation:
    """Kolmogorov-Smirnov distance of 2^18 draws to the exact radius at alpha = 1; sampling alone gives 0.0017."""

    params = (2, 4, 16)
    param_names = ("steps",)

    def track_radius_error(self, steps: int) -> float:
        """Largest difference of the two distribution functions."""
        draws = 1 << 18
        logs = triangular_draws(1.0, 2, draws, steps, seed=4).log_eigenvalues
        psi = np.sort((logs[1] - logs[0]) / 2)
        r = np.linspace(0, radial_reach(1.0), 8001)
        below = np.interp(psi, r, 1 - radial_survival(r, 1.0))
        return error(np.max(np.abs(below - np.arange(draws) / draws)), noise=0.004)
