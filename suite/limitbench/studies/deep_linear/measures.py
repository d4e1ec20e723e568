"""What the outputs of deep linear networks are measured by: whitening, projections, energy distance, excess near 0."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

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
def literal_outputs(width: int, networks: int) -> tuple[Pair, Float[np.ndarray, "networks 2 2"]]:
    """S for one input and Q of literal networks with N = L = `width`: every weight matrix is drawn.

    S by multiplying the input forward through all layers, Q = M M' from the product M of the layers above the first.
    """
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((networks, width, width)) @ np.ones((width, 1)) / math.sqrt(width)
    upper = np.broadcast_to(np.eye(width), (networks, width, width))
    for layer in range(2, width + 2):
        weights = rng.standard_normal((networks, width if layer <= width else 2, width)) / math.sqrt(width)
        hidden, upper = weights @ hidden, weights @ upper
    return hidden[:, :, 0], upper @ upper.swapaxes(1, 2)


def whitened_outputs(width: int, networks: int) -> Pair:
    """G^-1 S with Q = G G' of each literal network's own Q: N(0, I) if S | Q is N(0, Q).

    Not from the samplers, which compute S from a triangular factor of Q, so that this would hold by construction.
    """
    outputs, q = literal_outputs(width, networks)
    return np.asarray(np.linalg.solve(np.linalg.cholesky(q), outputs[:, :, None])[:, :, 0])


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
