"""Checks that the theories of the residual equivalence share, and the names of their observables."""

from __future__ import annotations

import numpy as np

from limitbench.errors import InputError

#: V_0 as nested tuples.
Gram = tuple[tuple[float, ...], ...]


def two_or_three_inputs(value: object) -> Gram:
    """`value` as the Gram matrix of two or three inputs; raises `InputError`."""
    accepted = "a symmetric positive semi-definite 2 x 2 or 3 x 3 matrix with positive diagonal, as nested tuples"
    try:
        gram = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError("gram", value, accepted) from None
    if gram.shape not in ((2, 2), (3, 3)) or not np.isfinite(gram).all():
        raise InputError("gram", value, accepted)
    if (np.diag(gram) <= 0).any() or (gram != gram.T).any() or np.linalg.eigvalsh(gram)[0] < -1e-10 * np.trace(gram):
        raise InputError("gram", value, accepted)
    return tuple(tuple(float(entry) for entry in row) for row in gram)


def covariance_names(gram: Gram) -> dict[str, tuple[int, int]]:
    """`covariance_ab` of every pair of inputs a <= b, with the position of its entry."""
    inputs = range(len(gram))
    return {f"covariance_{a + 1}{b + 1}": (a, b) for a in inputs for b in inputs if a <= b}
