"""Cells and estimates that the claims and the figures of `residual-equivalence` share.

Cells are those of time 1. Settings of the sheet: Delta = 3, rho0 = -0.2 (ODE .6163), constants with c_+ + c_- = 0
and (1, -2); the ReLU residual network is Delta = 1, mean -1/2, rho0 = 0 (ODE .1413).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from limitbench.errors import InputError
from limitbench.studies.evidence import CellEvidence, Evidence

MLP, PLAIN, NORMALISED = "shaped-mlp", "resnet", "resnet-normalised"
WORDS = {MLP: "the shaped MLP", PLAIN: "the plain residual network", NORMALISED: "the normalised residual network"}
OBSERVABLE = "correlation"
#: Standard deviations below this are rounding noise of one value.
_ROUNDING = 1e-12
ENTRIES = tuple(f"covariance_{ab}" for ab in ("11", "12", "13", "22", "23", "33"))
SYMMETRIC = {"time": 1.0, "slope_difference": 3.0, "slope_mean": 0.0, "rho0": -0.2}
ASYMMETRIC = SYMMETRIC | {"slope_mean": -0.5}
RELU = {"time": 1.0, "slope_difference": 1.0, "slope_mean": -0.5, "rho0": 0.0}


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    se: float

    @property
    def deviation(self) -> float:
        """Distance to 0 in standard errors."""
        return abs(self.value) / self.se if self.se else math.inf if self.value else 0.0


def mean(x: Float[np.ndarray, " networks"]) -> Estimate:
    """Mean."""
    return Estimate(float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x)))


def std(x: Float[np.ndarray, " networks"]) -> Estimate:
    """Standard deviation; its error from the fourth moment. Raises `InputError` where x does not fluctuate."""
    square = (x - x.mean()) ** 2
    deviation = math.sqrt(float(square.mean()))
    if deviation < _ROUNDING:
        raise InputError(OBSERVABLE, f"{x[0]:g} in every network", "networks that differ: wider, of distinct inputs")
    return Estimate(deviation, float(square.std()) / math.sqrt(len(x)) / (2 * deviation))


def scaled(cell: CellEvidence) -> Estimate:
    """Standard deviation of the correlation over (d/n)^1/2."""
    scale = math.sqrt(float(cell.parameters["width"]) / float(cell.parameters["depth"]))
    return Estimate(*(scale * v for v in std(cell.samples(OBSERVABLE))))


def root_cells(evidence: Evidence, network: str, settings: dict[str, float] = SYMMETRIC) -> list[CellEvidence]:
    """Cells with d = n^1/2, narrow to wide."""
    cells = evidence.where(network=network, **settings)
    found = [c for c in cells if int(c.parameters["depth"]) ** 2 == int(c.parameters["width"])]
    return sorted(found, key=lambda c: int(c.parameters["width"]))


def size(cell: CellEvidence) -> str:
    """n and d in words."""
    return f"n = {cell.parameters['width']}, d = {cell.parameters['depth']}"
