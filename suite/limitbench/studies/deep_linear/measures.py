"""What the outputs of deep linear networks are measured by: whitening, projections, energy distance, excess near 0."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from limitbench.networks.deep_linear import DeepLinear
from limitbench.statistics.laws import Law
from limitbench.studies.evidence import CellEvidence, Evidence

#: Where the leading error of N(0, 1) as the law of an output, (3x - x^3) phi(x) L/(4N), is largest.
NNGP_ERROR_AT = math.sqrt(3 - math.sqrt(6))
#: And its size there over L/N.
NNGP_ERROR = (3 - NNGP_ERROR_AT**2) * NNGP_ERROR_AT * math.exp(-(NNGP_ERROR_AT**2) / 2) / math.sqrt(32 * math.pi)
DIRECTIONS = 16

Pair = Float[np.ndarray, "networks 2"]


def outputs_of(cell: CellEvidence) -> Pair:
    """S_1 and S_2."""
    return np.stack([cell.samples("output_1"), cell.samples("output_2")], axis=1)


@cache
def whitened_outputs(width: int, networks: int) -> Pair:
    """G^-1 S with the lower triangular root G of each network's own Q, N = L = `width`: N(0, I) if S | Q is N(0, Q).

    Drawn here with real weight matrices, Q from the upper layers and S from all: the exact sampler draws S = G xi, for
    which this would hold by construction.
    """
    drawn = DeepLinear(width, width, outputs=2).sample(networks, sampler="dense")
    log_q11, q12, log_det = (drawn[name].to_numpy() for name in ("log_q11", "q12", "log_det"))
    outputs = np.stack([drawn["output_1"].to_numpy(), drawn["output_2"].to_numpy()], axis=1)
    first = outputs[:, 0] * np.exp(-log_q11 / 2)
    second = (outputs[:, 1] - q12 * np.exp(-log_q11 / 2) * first) * np.exp((log_q11 - log_det) / 2)
    return np.stack([first, second], axis=1)


def projections(pair: Pair) -> Float[np.ndarray, "networks directions"]:
    """Projections on 16 directions evenly spaced over the half circle."""
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.asarray(pair @ np.stack([np.cos(angles), np.sin(angles)]))


def energy_distance(pair: Pair) -> float:
    """Squared energy distance 2 E|S - Z| - E|S - S'| - E|Z - Z'| to Z ~ N(0, I) in the plane, without bias.

    |x| is pi/2 times the mean of |<x, u>| over directions u, so it is pi/2 times the mean over projections of the same
    quantity on the line, where E|x - Z| = x (2 Phi(x) - 1) + 2 phi(x) and E|Z - Z'| = 2/sqrt(pi) are known.
    """
    x = np.sort(projections(pair), axis=0)
    n = len(x)
    to_normal = (x * (2 * ndtr(x) - 1) + np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)).mean(axis=0)
    among = 2 * ((2 * np.arange(1, n + 1) - n - 1) @ x) / (n * (n - 1))
    return float(np.pi / 2 * (2 * to_normal - among - 2 / np.sqrt(np.pi)).mean())


def predicted_energy_distance(law: Law) -> float:
    """The same from the law of one output: every projection of S has it, so it is pi int (F - Phi)^2 dx."""
    x = np.linspace(-40, 40, 40_001)
    return float(np.pi * np.trapezoid((law.cdf(x) - ndtr(x)) ** 2, x))


def same_depth(evidence: Evidence) -> list[CellEvidence]:
    """Cells of the shallowest depth that occurs at several widths, narrow to wide; empty where none does."""
    cells = sorted(
        evidence.where(outputs=2, widths="equal"), key=lambda c: (c.parameters["depth"], c.parameters["width"])
    )
    groups = (list(group) for _, group in itertools.groupby(cells, key=lambda c: c.parameters["depth"]))
    return next((group for group in groups if len(group) > 1), [])


def predicted_excess(law: Law) -> float:
    """P(|S_1| <= 0.742) under `law` less its value for N(0, 1): twice the error of the cdf there, if symmetric."""
    return 2 * float(law.cdf(NNGP_ERROR_AT) - ndtr(NNGP_ERROR_AT))


def output_excess(cell: CellEvidence) -> tuple[float, float]:
    """The same share of the networks less its value for N(0, 1), with its standard error."""
    share = float((np.abs(cell.samples("output_1")) <= NNGP_ERROR_AT).mean())
    n = len(cell.samples("output_1"))
    return share - (2 * float(ndtr(NNGP_ERROR_AT)) - 1), math.sqrt(share * (1 - share) / n)
