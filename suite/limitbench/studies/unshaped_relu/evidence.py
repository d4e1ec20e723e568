"""Kinds of claims of `unshaped-relu`: E w, the process at several times, a drift that is missing, angles by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from limitbench.errors import InputError
from limitbench.statistics.laws import Empirical
from limitbench.statistics.scores import score
from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import CellEvidence, Evidence, missing, value_claim, widest
from limitbench.studies.ledger import answering
from limitbench.theories.base import Theory
from limitbench.theories.unshaped_relu import FiniteStartSDE, SingularStartSDE, WithoutItoDrift

RELU = {"slope_minus": 0.0, "rho0": 0.3}
LEAKY = {"slope_minus": 0.5}
TIMES = (0.25, 0.5, 1.0)
OBSERVABLE = "log_q"
#: Paths of the process that joint laws are compared with.
_PATHS = 1 << 14
#: E w is told from what is off by a fifth: twice as much without the drift.
_MEAN_W = 0.2
#: Half-width of a 95 % interval in standard errors.


def w_of(log_q: Float[np.ndarray, " networks"], time: float) -> Float[np.ndarray, " networks"]:
    """w = t q^-1/2."""
    return time * np.exp(-log_q / 2)


def mean_w(theory: Theory, time: float) -> float:
    """E t q^-1/2: in closed form for an SDE, else by the trapezoidal rule in normal scores of the law of ln q."""
    if isinstance(theory, SingularStartSDE | FiniteStartSDE | WithoutItoDrift):
        return theory.sde.mean(time)
    z = np.linspace(-8.2, 8.2, 4097)
    weight = np.exp(-z * z / 2)
    return float(weight @ w_of(theory.law(OBSERVABLE).quantile(ndtr(z)), time) / weight.sum())


def aligned(cell: CellEvidence) -> Float[np.ndarray, " networks"]:
    """ln q of every network in order, NaN where it has none: row i is the same network at all depths of a column."""
    return np.asarray(cell.tree["samples"][OBSERVABLE].isel(cell.at).to_numpy(), dtype=float)


@answering
def no_drift_claim(evidence: Evidence, cells: Sequence[CellEvidence], *, name: str, text: str) -> Claim:
    """Is D of the version without drift above 0.2 in every cell, by its interval's lower end?"""
    scored = [(c.score("distance_low", OBSERVABLE, "q-sde-no-drift"), c) for c in cells]
    scored = [(low, cell) for low, cell in scored if math.isfinite(low)]
    if not scored:
        return missing(name, text, 0.2, "t = 1 at a width of at least 64")
    low, cell = min(scored, key=lambda pair: pair[0])
    distance, high = (cell.score(f, OBSERVABLE, "q-sde-no-drift") for f in ("distance", "distance_high"))
    verdict: Verdict = "holds" if low > 0.2 else "fails" if high < 0.2 else "undecided"
    used = [c for _, c in scored]
    se = cell.distance_error(OBSERVABLE, "q-sde-no-drift")
    seconds = sum(c.seconds for c in used)
    return Claim(name, text, 0.2, distance, se, verdict, seconds, evidence.command(used), "at least", distance)


@answering
def mean_w_claim(evidence: Evidence, cells: Sequence[CellEvidence], time: float, *, name: str, text: str) -> Claim:
    """E w of the widest cell against the finite-width chain; the limits stand in the text."""
    if not cells:
        return missing(name, text, math.nan, f"ReLU, ρ₀ = 0.3 at d/n = {time:g}")
    (cell,) = widest(cells)[:1]
    limit, start = (mean_w(cell.theory(theory), time) for theory in ("q-sde", "q-sde-finite-start"))
    text = (
        f"{text} (Width {cell.parameters['width']}; the limit k₀(e^(2t) − 1)/2 is {limit:.4f}, {start:.4f} "
        f"from w₀: the rest is O(log l/n).)"
    )
    return _mean_w_against(evidence, cell, "finite-width-chain", time, name=name, text=text)


def _mean_w_against(evidence: Evidence, cell: CellEvidence, theory: str, time: float, *, name: str, text: str) -> Claim:
    """E w of one cell against that of `theory`."""
    predicted = mean_w(cell.theory(theory), time)
    measured, se = _mean(w_of(cell.samples(OBSERVABLE), time))
    return value_claim(
        evidence,
        [cell],
        predicted,
        measured,
        se,
        name=name,
        text=text,
        resolution=_MEAN_W * predicted,
        distance=cell.score("distance", OBSERVABLE, theory),
    )


@answering
def closed_mean_w_claim(evidence: Evidence, cells: Sequence[CellEvidence], *, name: str, text: str) -> Claim:
    """E w_1 of the widest cell against the closed form from w_0."""
    if not cells:
        return missing(name, text, math.nan, "slopes (1, 1/2), ρ₀ = 0.995 at d/n = 1")
    (cell,) = widest(cells)[:1]
    return _mean_w_against(evidence, cell, "q-sde-finite-start", 1.0, name=name, text=text)


@answering
def drift_in_mean_claim(evidence: Evidence, cells: Sequence[CellEvidence], *, name: str, text: str) -> Claim:
    """E w against k0 (e^{3t} - 1)/3, as an upper bound that it must stay clear of."""
    if not cells:
        return missing(name, text, math.nan, "ReLU, ρ₀ = 0.3 at d/n = 1")
    (cell,) = widest(cells)[:1]
    without = mean_w(cell.theory("q-sde-no-drift"), 1.0)
    measured, se = _mean(w_of(cell.samples(OBSERVABLE), 1.0))
    return value_claim(
        evidence,
        [cell],
        without,
        measured,
        se,
        name=name,
        text=text,
        relation="at most",
        distance=cell.score("distance", OBSERVABLE, "q-sde-no-drift"),
    )


@answering
def process_claim(
    evidence: Evidence, projections: Mapping[str, tuple[int, int, int]], *, name: str, text: str
) -> Claim:
    """Largest D of projections of (ln q at three times) from simulated paths of the SDE from w_0.

    The interval of each D is simultaneous at 95 % (Bonferroni). False alarm of the smallest p in the text: that p times
    the number of projections.
    """
    theory = "q-sde-finite-start"
    margin = float(evidence.tree["scores"].attrs["margin"])
    found = [widest(evidence.where(**RELU, alpha=time)) for time in TIMES]
    if not all(found) or len({cells[0].parameters["width"] for cells in found}) > 1:
        return missing(name, text, margin, "ReLU, ρ₀ = 0.3 at d/n = 1/4, 1/2 and 1 of one width")
    cells = [cells[0] for cells in found]
    networks = np.stack([aligned(cell) for cell in cells], axis=1)
    networks = networks[np.isfinite(networks).all(axis=1)]
    paths = log_q_paths(cells[-1].theory(theory))
    level = 1 - 0.05 / len(projections)
    scores = {
        words: score(networks @ np.array(v, float), Empirical(paths @ np.array(v, float)), level=level)
        for words, v in projections.items()
    }
    words, worst = max(scores.items(), key=lambda pair: pair[1].distance)
    seen = {s.verdict for s in scores.values()}
    verdict: Verdict = "fails" if "fails" in seen else "holds" if seen == {"holds"} else "undecided"
    ours, theirs = (np.corrcoef(values.T)[np.triu_indices(3, 1)] for values in (networks, paths))
    text = (
        f"{text} (Width {cells[0].parameters['width']}, worst: {words}; correlations of the values {_row(ours)}, paths "
        f"{_row(theirs)}; smallest KS p of {len(scores)}: {min(s.ks_pvalue for s in scores.values()):.1g}.)"
    )
    se = (worst.distance_high - worst.distance_low) / (2 * float(ndtri((1 + level) / 2)))
    seconds = sum(cell.seconds for cell in cells)
    return Claim(
        name, text, margin, worst.distance, se, verdict, seconds, evidence.command(cells), "at most", worst.distance
    )


def log_q_paths(theory: Theory, paths: int = _PATHS, seed: int = 0) -> Float[np.ndarray, "paths times"]:
    """ln q at the three times on simulated paths of an SDE's w."""
    assert isinstance(theory, SingularStartSDE | FiniteStartSDE | WithoutItoDrift)
    w = theory.sde.paths(TIMES, paths=paths, seed=seed)
    return np.asarray(2 * np.log(TIMES) - 2 * np.log(w))


@answering
def mean_log_sine_claim(evidence: Evidence, layer: int, predicted: float, *, name: str, text: str) -> Claim:
    """E ln sin^2 theta_l in the setting of Figure 1 of arXiv 2302.09712: n = 256, theta_0 = 0.1.

    Undecided where the errors do not tell it from infinite width.
    """
    cell = evidence.one(slope_minus=0.0, rho0=math.cos(0.1), width=256, depth=layer)
    if cell is None:
        return missing(name, text, predicted, "--set width=256 --set depth=1,10,30 --set rho0=0.9950041652780258")
    measured, se = _mean(_log_sine(cell.samples(OBSERVABLE) - 2 * math.log(layer)))
    distance = cell.score("distance", OBSERVABLE, "angle-law")
    limit = _log_sine(np.asarray(cell.theory("infinite-width").law("log_gap").mean))
    return value_claim(
        evidence,
        [cell],
        predicted,
        measured,
        se,
        name=name,
        text=text,
        resolution=abs(predicted - float(limit)),
        distance=distance,
    )


def _log_sine(log_gap: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """ln sin^2 theta = ln g (2 - g), g = 1 - cos theta."""
    return np.asarray(log_gap + np.log(2 - np.exp(log_gap)))


def mean_or_nan(x: Float[np.ndarray, " networks"]) -> tuple[float, float]:
    """Mean and standard error; NaN where inputs became parallel to the last bit, as in narrow layers."""
    if not np.isfinite(x).all():
        return math.nan, math.nan
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x)))


def _mean(x: Float[np.ndarray, " networks"]) -> tuple[float, float]:
    mean, se = mean_or_nan(x)
    if math.isnan(mean):
        raise InputError("width", f"{int((~np.isfinite(x)).sum())} networks with parallel inputs", "wider layers")
    return mean, se


def _row(values: Float[np.ndarray, " three"]) -> str:
    return "/".join(f"{v:.3f}" for v in values)
