"""A small regression task: a few training inputs with labels, one test input, a Gaussian likelihood.

    K_ab = x_a'x_b / n_0,    k0_a = x_a'x_0 / n_0,    k00 = |x_0|^2 / n_0,    labels Y_ia = S_i(x_a) + N(0, T)

for outputs i = 1 .. D and training inputs a = 1 .. P. Networks and theories take the same task and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class GaussianRegression:
    """What a network is asked to fit, and where it is asked to predict.

    Arguments:
        gram: Gram matrix of the P training inputs and, last, the test input, divided by n_0: (P + 1) x (P + 1).
        labels: Y, one row of P labels for each of the D outputs.
        noise: variance T of the likelihood; 0 interpolates, and then K must be invertible.

    Raises `InputError` where the Gram matrix is not symmetric and positive semi-definite, or shapes do not fit.
    """

    gram: Rows
    labels: Rows
    noise: float

    def __post_init__(self) -> None:
        joint, labels = np.array(self.gram, dtype=float), np.array(self.labels, dtype=float)
        square = joint.ndim == 2 and joint.shape[0] == joint.shape[1] > 1 and bool(np.isfinite(joint).all())
        if not square or not np.allclose(joint, joint.T, rtol=1e-12) or np.linalg.eigvalsh(joint)[0] < -1e-10:
            raise InputError("gram", self.gram, "a symmetric positive semi-definite matrix of P + 1 >= 2 inputs")
        if labels.ndim != 2 or labels.shape[1] != len(joint) - 1 or not np.isfinite(labels).all():
            raise InputError("labels", self.labels, f"rows of {len(joint) - 1} finite labels, one row an output")
        if not 0 <= self.noise < math.inf:
            raise InputError("noise", self.noise, "a finite number of at least 0")
        if self.noise == 0 and np.linalg.eigvalsh(joint[:-1, :-1])[0] < 1e-10:
            raise InputError("noise", self.noise, "a positive number: training inputs are linearly dependent")

    @property
    def outputs(self) -> int:
        """D."""
        return len(self.labels)

    @property
    def kernel(self) -> Float[np.ndarray, "inputs inputs"]:
        """K."""
        return np.array(self.gram, dtype=float)[:-1, :-1]

    @property
    def cross(self) -> Float[np.ndarray, " inputs"]:
        """k0."""
        return np.array(self.gram, dtype=float)[-1, :-1]

    @property
    def test_variance(self) -> float:
        """k00."""
        return float(self.gram[-1][-1])

    @property
    def targets(self) -> Float[np.ndarray, "outputs inputs"]:
        """Y."""
        return np.array(self.labels, dtype=float)
