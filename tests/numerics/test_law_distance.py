"""Distances between laws against closed forms."""

import numpy as np
import pytest
from scipy.special import ndtr

from limitbench.numerics.law_distance import deterministic_ks, deterministic_wasserstein
from limitbench.statistics.laws import Normal, PointMass


@pytest.mark.parametrize("shift", [1e-4, 0.3, 5.0])
def test_shifted_normals(shift):
    a, b = Normal(0.0, 2.0), Normal(shift, 2.0)
    assert deterministic_ks(a, b) == pytest.approx(2 * ndtr(shift / 4) - 1, rel=1e-5)
    assert deterministic_wasserstein(a, b) == pytest.approx(shift, rel=1e-10)


def test_scaled_normals():
    assert deterministic_wasserstein(Normal(0.0, 1.0), Normal(0.0, 3.0)) == pytest.approx(
        2 * np.sqrt(2 / np.pi), rel=1e-5
    )


def test_point_mass_is_seen_from_both_sides():
    assert deterministic_ks(PointMass(0.0), Normal(0.0, 1.0)) == pytest.approx(0.5, abs=1e-12)
    assert deterministic_ks(PointMass(0.0), PointMass(1.0)) == 1
    assert deterministic_ks(PointMass(1.0), PointMass(1.0)) == 0
    assert deterministic_wasserstein(PointMass(0.0), Normal(0.0, 1.0)) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-5)
