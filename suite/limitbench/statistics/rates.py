"""Rates of convergence: fit an error e(n) by a n^-b, or by a n^-b (1 + k n^-1/2), to cells of growing size n.

The sign of the error is kept, so that an error that changes sign is not taken for a fast rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares
from scipy.special import chdtrc, ndtri

from limitbench.errors import InputError

#: Distances below this multiple of their null mean take no part in a fit.
CLEAR_OF_NULL = 5.0


@dataclass(frozen=True)
class RateFit:
    """The fitted model e(n) = a n^-b (1 + k n^-1/2).

    Attributes:
        a, b, k: parameters; k = 0 with standard error 0 in the pure power law, b likewise where it was held fixed.
        a_se, b_se, k_se: standard errors from the covariance of the errors.
        chi2, dof: weighted sum of squared residuals and its degrees of freedom.
        pvalue: P(chi2 at least this large | the model is right); NaN without degrees of freedom.
        covariance: of (a, b, k), as nested tuples.
    """

    a: float
    b: float
    k: float
    a_se: float
    b_se: float
    k_se: float
    chi2: float
    dof: int
    pvalue: float
    covariance: tuple[tuple[float, float, float], ...]

    def predict(self, n: Float[np.ndarray, "*shape"] | float) -> Float[np.ndarray, "*shape"]:
        """The fitted e(n)."""
        at = np.asarray(n, dtype=float)
        return np.asarray(self.a * at**-self.b * (1 + self.k / np.sqrt(at)))

    def interval(self, parameter: str = "b", level: float = 0.95) -> tuple[float, float]:
        """Normal confidence interval of `a`, `b` or `k`."""
        half = float(ndtri((1 + level) / 2)) * float(getattr(self, f"{parameter}_se"))
        value = float(getattr(self, parameter))
        return value - half, value + half


def clear_of_null(
    wasserstein: Float[np.ndarray, " cells"], wasserstein_null: Float[np.ndarray, " cells"]
) -> Bool[np.ndarray, " cells"]:
    """Cells fit for a rate of the distance: W1 > 5 x its null mean."""
    return np.asarray(wasserstein > CLEAR_OF_NULL * wasserstein_null)


def fit_rate(
    n: Float[np.ndarray, " cells"],
    error: Float[np.ndarray, " cells"],
    se: Float[np.ndarray, " cells"] | None = None,
    *,
    covariance: Float[np.ndarray, "cells cells"] | None = None,
    corrected: bool = False,
    exponent: float | None = None,
) -> RateFit:
    """Generalised least squares of `error` on a n^-b, or a n^-b (1 + k n^-1/2) if `corrected`.

    a and a k enter linearly and are solved for exactly at each b; b by `scipy.optimize.least_squares`, from several
    starts in [0, 4].

    Arguments:
        n: sizes (widths), positive; cells with NaN in `error` or `se` are left out.
        error: signed mean errors, or debiased W1 of cells chosen by `clear_of_null`.
        se: standard errors, or `covariance`: the full covariance where cells share networks.
        corrected: whether k is fitted.
        exponent: holds b fixed at this value.

    Raises `InputError` with fewer cells than parameters, a size or standard error that is not positive, a covariance
    that is not positive definite, or neither or both of `se` and `covariance`.
    """
    if (se is None) == (covariance is None):
        raise InputError("se", None if se is None else "se and covariance", "exactly one of se and covariance")
    full = np.diag(np.asarray(se, dtype=float) ** 2) if covariance is None else np.asarray(covariance, dtype=float)
    use = np.isfinite(n) & np.isfinite(error) & np.isfinite(np.diag(full))
    size, values, full = n[use], error[use], full[np.ix_(use, use)]
    free = 1 + int(corrected) + int(exponent is None)
    if size.size < free:
        raise InputError("cells", int(size.size), f"at least {free} cells for {free} parameters")
    if (size <= 0).any():
        raise InputError("n", float(size.min()), "positive sizes")
    try:
        root = np.linalg.cholesky(full)
    except np.linalg.LinAlgError:
        raise InputError("covariance" if se is None else "se", "not positive", "positive errors") from None
    # sizes relative to their geometric mean: a and b are then nearly uncorrelated
    centre = math.exp(float(np.log(size).mean()))

    def design(b: float) -> Float[np.ndarray, "cells columns"]:
        power = (size / centre) ** -b
        columns = [power, power / np.sqrt(size)] if corrected else [power]
        return np.asarray(np.linalg.solve(root, np.stack(columns, axis=1)))

    target = np.linalg.solve(root, values)

    def residual(b: Float[np.ndarray, " one"]) -> Float[np.ndarray, " cells"]:
        matrix = design(float(b[0]))
        return np.asarray(matrix @ np.linalg.lstsq(matrix, target)[0] - target)

    if exponent is None:
        starts = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
        fits = [least_squares(residual, [b], bounds=(-1, 6), xtol=1e-12, ftol=1e-12) for b in starts]
        b = float(min(fits, key=lambda fit: float(fit.cost)).x[0])
    else:
        b = float(exponent)
    linear = np.linalg.lstsq(design(b), target)[0]
    a = float(linear[0]) * centre**b
    k = float(linear[1] / linear[0]) if corrected else 0.0
    fitted = a * size**-b * (1 + k / np.sqrt(size))
    jacobian = np.stack([fitted / a, -fitted * np.log(size), a * size ** (-b - 0.5)], axis=1)
    active = [True, exponent is None, corrected]
    weighted = np.linalg.solve(root, jacobian[:, active])
    inverse = np.zeros((3, 3))
    inverse[np.ix_(active, active)] = np.linalg.pinv(weighted.T @ weighted)
    a_se, b_se, k_se = (float(v) for v in np.sqrt(np.diag(inverse)))
    chi2, dof = float(((np.linalg.solve(root, fitted) - target) ** 2).sum()), int(size.size - free)
    pvalue = float(chdtrc(dof, chi2)) if dof else math.nan
    table = tuple((float(r[0]), float(r[1]), float(r[2])) for r in inverse)
    return RateFit(a, b, k, a_se, b_se, k_se, chi2, dof, pvalue, table)
