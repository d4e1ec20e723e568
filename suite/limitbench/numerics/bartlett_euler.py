"""The m-point covariance SDE of shaped ReLU networks, stepped so that every V stays a covariance matrix.

dV^{ab} = nu(rho^{ab}) sqrt(V^{aa} V^{bb}) dt + dM^{ab} with d<M^{ab}, M^{cd}> = (V^{ac} V^{bd} + V^{ad} V^{bc}) dt
(arXiv 2206.02768). In numpy, for theories whose laws are those of simulated paths.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError

#: The flow of a drift: moves factors (lower triangular, paths last) in place over a time.
DriftFlow = Callable[[Float[np.ndarray, "inputs inputs paths"], float], None]


def covariance_paths(
    gram: Float[np.ndarray, "inputs inputs"],
    time: float,
    coefficient: float,
    steps: int,
    paths: int,
    seed: int,
    *,
    flow: DriftFlow | None = None,
) -> Float[np.ndarray, "inputs inputs paths"]:
    """Cholesky factors C (lower triangular, paths last) of V_time, V_0 = `gram`.

    By Bartlett's step (`numerics.stepping.bartlett`): weak order two; V keeps its mean and stays positive
    semi-definite, and the law of V^{11} has no step error where the drift leaves it alone.

    Arguments:
        gram: V_0, positive semi-definite with positive diagonal; singular matrices are ordinary.
        time: final time.
        coefficient: kappa = (c_+ - c_-)^2/(2 pi).
        steps, paths: counts.
        seed: start of the stream.
        flow: another drift in place of shaped ReLU's, as its flow to second order; it may set the row of an input that
            has left its domain to NaN, which the other inputs do not feel.

    Raises `InputError` where a count or the time is not positive. Cost: 20 ns a step, path and entry.
    """
    import torch

    from limitbench.numerics.random import Stream
    from limitbench.numerics.stepping.bartlett import Bartlett
    from limitbench.numerics.stepping.covariance import CovarianceProblem, CovarianceSDE, FlowCovariance
    from limitbench.numerics.stepping.simulate import simulate

    if not 0 < time < float("inf"):
        raise InputError("time", time, "a positive number")
    problem: CovarianceProblem = CovarianceSDE(len(gram), coefficient)
    if flow is not None:
        problem = FlowCovariance(len(gram), lambda x, h: flow(x.numpy(), h))
    factor = torch.from_numpy(cholesky_factors(gram[:, :, None])[:, :, 0])
    stream = Stream(seed)
    (ends,) = simulate(
        problem, Bartlett(), start=factor, times=(time,), steps=steps, paths=paths, stream=stream, dtype=torch.float64
    )
    return np.asarray(ends.numpy())


def cholesky_factors(v: Float[np.ndarray, "inputs inputs paths"]) -> Float[np.ndarray, "inputs inputs paths"]:
    """Lower triangular factors of positive semi-definite matrices; a pivot that vanishes leaves a column of zeros."""
    factor = np.zeros(v.shape)
    for j in range(len(v)):
        pivot = v[j, j] - np.einsum("kn,kn->n", factor[j, :j], factor[j, :j])
        factor[j, j] = np.sqrt(np.maximum(pivot, 0))
        scale = np.where(factor[j, j] > 0, factor[j, j], np.inf)
        for i in range(j + 1, len(v)):
            factor[i, j] = (v[i, j] - np.einsum("kn,kn->n", factor[i, :j], factor[j, :j])) / scale
    return factor
