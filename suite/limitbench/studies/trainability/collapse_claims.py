"""Claims about what predicts accuracy before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, spearmanr, t

from limitbench.studies.base import Claim, Verdict
from limitbench.studies.evidence import CellEvidence, Evidence, missing
from limitbench.studies.measured import values
from limitbench.studies.trainability.accuracies import RESAMPLES, Accuracies
from limitbench.studies.trainability.asked import INTERVAL, Tables, answering, claim, decided, sign, stream
from limitbench.studies.trainability.collapse import explained
from limitbench.studies.trainability.designs import design_of
from limitbench.studies.trainability.predictors import PREDICTORS, predictor

#: Depths and values of sigma_w^2 below which a fit of accuracy on a predictor says little.
LEAST = (4, 6)
#: Rank correlation from which on two predictors are the same ranking.
_SAME = 0.995
#: Cells of a depth below which a rank correlation says nothing.
_RANKED = 4
#: Probability that lines of measured on predicted gradients are called wrong where they are right, in all designs.
_FALSE_ALARM = 1e-4
#: A slope that is known no better than this says nothing.
_SLOPE_KNOWN = 0.1


def difference(
    evidence: Evidence, tables: Tables, designs: Sequence[str], names: tuple[str, str], name: str, text: str
) -> Claim:
    """R^2 of the first predictor less that of the second; a 95 % interval from resampled replicates decides.

    Of two that both explain nothing of a depth that they have not seen, neither predicts: undecided.
    More than one design asks about images of several kinds, of which the run must have two.
    """
    return answering(name)(_difference)(evidence, tables, designs, names, name, text)


def _difference(
    evidence: Evidence, tables: Tables, designs: Sequence[str], names: tuple[str, str], name: str, text: str
) -> Claim:
    used = [tables[d] for d in designs if d in tables]
    if len(used) < min(len(designs), 2) or any(len(t.depths) < LEAST[0] or len(t.variances) < LEAST[1] for t in used):
        cells = f"{LEAST[0]} depths and {LEAST[1]} values of sigma_w2"
        return missing(name, f"{text}.", 0.0, f"{cells} of {' and '.join(designs[:2])}")
    depth = np.concatenate([np.repeat(t.depths, len(t.variances)) for t in used])
    x = {p: np.concatenate([t.predictors(p).ravel() for t in used]) for p in PREDICTORS}
    mean = np.concatenate([t.mean.ravel() for t in used])
    random = stream(name)
    draws = np.concatenate([t.resampled(random).reshape(RESAMPLES, -1) for t in used], axis=1)
    known = np.isfinite(mean)
    shares = {p: explained(x[p][known], mean[known], depth[known]) for p in PREDICTORS}
    found = np.array([[explained(x[p][known], row[known], depth[known]) for p in names] for row in draws])
    resampled = found[:, 0] - found[:, 1]
    low, high = np.percentile(resampled, INTERVAL)
    text += ". Leave-one-depth-out R²: " + ", ".join(f"{PREDICTORS[p]} {share:.2f}" for p, share in shares.items())
    text += f"; 95 % of resampled replicates give a difference from {low:.2f} to {high:.2f}"
    if len(used) > 1:
        together = spearmanr(x["gradient"][known], x["distance"][known]).statistic
        text += f"; rank correlation of the two predictors {together:.3f} over {', '.join(t.design for t in used)}"
    best = max(shares[p] for p in names)
    if best <= 0:
        text += "; neither of them explains anything: some depth does not train at any σ_w² at this rate of learning"
    cells_used = [cell for t in used for cell in t.cells]
    measured = shares[names[0]] - shares[names[1]]
    made = claim(
        evidence,
        cells_used,
        name,
        f"{text}.",
        0.0,
        measured,
        float(resampled.std()),
        "at least",
        sign(resampled) if best > 0 else "undecided",
    )
    return decided(made, used)


@answering("relu-one-norm-cannot-tell")
def not_separable(evidence: Evidence, tables: Tables) -> Claim:
    """Rank correlation of the two predictors on a grid of one ReLU design."""
    name = "relu-one-norm-cannot-tell"
    text = "ReLU with images of one norm: gradient ratio and distance order the cells of a grid over L and σ_w² alike, "
    text += "so that such a grid cannot tell which of them predicts (rank correlation)."
    table = tables.get("relu-adam")
    if table is None or table.mean.size < LEAST[1]:
        return missing(name, text, 1.0, "relu-adam at several depths and values of sigma_w2")
    gradient, distance = (table.predictors(p).ravel() for p in ("gradient", "distance"))
    known = np.isfinite(gradient)
    measured = float(spearmanr(gradient[known], distance[known]).statistic)
    verdict = "holds" if measured >= _SAME else "fails"
    return claim(evidence, table.cells, name, text, 1.0, measured, 0.0, "equal to", verdict)  # type: ignore[arg-type]


@answering("relu-larger-distance-is-better")
def larger_distance(evidence: Evidence, tables: Tables) -> Claim:
    """Rank correlation of accuracy with distance within each depth, over all cells short of divergence."""
    name = "relu-larger-distance-is-better"
    text = "ReLU, Adam: the larger the distance of two images, the better, until training overflows [recollection of "
    text += (
        "the paper, not its print]. Rank correlation of accuracy and distance at one depth, mean over depths, of all "
    )
    text += "cells in which no replicate diverged"
    table = tables.get("relu-adam")
    if table is None or len(table.depths) < LEAST[0]:
        return missing(name, f"{text}.", 0.0, f"relu-adam at {LEAST[0]} depths")
    keep = np.isfinite(table.mean) & ~_diverged(table)
    rows = [(i, kept) for i, kept in enumerate(keep) if kept.sum() >= _RANKED]
    if not rows:
        return missing(name, f"{text}.", 0.0, f"{_RANKED} cells at one depth")
    distance, resampled = table.predictors("distance"), table.resampled(stream(name))
    draws = np.mean([_ranks_together(distance[i, kept], resampled[:, i, kept]) for i, kept in rows], axis=0)
    found = [float(_ranks_together(distance[i, kept], table.mean[None, i, kept])[0]) for i, kept in rows]
    measured = float(np.mean(found))
    # what ranks that have nothing to do with one another give, beside the noise of the accuracies
    chance = float(np.sqrt(sum(1 / (kept.sum() - 1) for _, kept in rows))) / len(rows)
    low, high = np.percentile(draws, INTERVAL)
    listed = ", ".join(f"{r:.2f}" for r in found)
    text += f" ({int(keep.sum())} cells; by depth {listed}; 95 % of resampled replicates {low:.2f} to {high:.2f}; "
    text += (
        f"unrelated ranks would give 0 ± {chance:.2f}). If not, this is not reproduced on small images; the −0.84 of "
    )
    text += "runs before was of the cells beyond the best of each depth, a choice that makes it negative by itself."
    se = float(np.hypot(draws.std(), chance))
    verdict = sign(draws) if abs(measured) > 1.96 * chance else "undecided"
    return decided(claim(evidence, table.cells, name, text, 0.0, measured, se, "at least", verdict), [table])


def _ranks_together(x: Float[np.ndarray, " cells"], y: Float[np.ndarray, "draws cells"]) -> Float[np.ndarray, " draws"]:
    """Rank correlation of x with every row of y; 0 where all entries of a row are equal."""
    a, b = rankdata(x), rankdata(y, axis=1)
    a, b = a - a.mean(), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a**2).sum() * (b**2).sum(axis=1))
    return np.asarray(np.divide(b @ a, norm, out=np.zeros(len(b)), where=norm > 0))


def _diverged(table: Accuracies) -> np.ndarray:
    """Whether a replicate diverged, by cell."""
    found = np.zeros(table.mean.shape, dtype=bool)
    for cell in table.cells:
        found[table.place(cell)] = bool(np.nansum(values(cell, "diverged")) > 0)
    return found


@answering("networks-have-the-predicted-gradients")
def predicted_gradients(evidence: Evidence, tables: Tables) -> Claim:
    """Line of measured on predicted gradient ratios of residual networks before training, by design.

    Cells with ln chi_0/chi_L >= 1 count, whose errors are in proportion to it. The mean of a logarithm is below the
    logarithm of a mean by half its variance, which is added; what is left of the 1/N bias is allowed 2/N of the slope.
    """
    name = "networks-have-the-predicted-gradients"
    text = "Before training, gradient ratios of residual networks are those of the recurrences: slope of measured on "
    text += "predicted ln χ₀/χ_L in the design that is furthest off"
    lines, used = [], []
    for table in tables.values():
        cells, x, y = _gradients(table)
        if len(cells) >= LEAST[1]:
            fit, covariance = np.polyfit(x, y, 1, w=1 / x, cov=True)
            slope_se, offset_se = np.sqrt(np.diag(covariance))
            lines.append((table, len(cells) - 2, fit - [1.0, 0.0], slope_se, offset_se))
            used += cells
    if not lines:
        return missing(name, f"{text}.", 1.0, "several cells of residual networks of one design")
    verdicts, ranked = [], []
    for table, free, (slope_off, offset), slope_se, offset_se in lines:
        bias = 2 / float(table.cells[0].parameters["width"])
        errors = float(t.isf(_FALSE_ALARM / (4 * len(lines)), free))
        off = (abs(slope_off) - bias) / slope_se, (abs(offset) - bias) / offset_se
        verdicts.append("fails" if max(off) > errors else "undecided" if errors * slope_se > _SLOPE_KNOWN else "holds")
        ranked.append((max(off), table.design, slope_off, slope_se, offset, offset_se, bias))
    _, design, slope_off, slope_se, offset, offset_se, bias = max(ranked)
    text += f", {design} (intercept {offset:.3f} ± {offset_se:.3f}; slopes of all: "
    text += ", ".join(f"{row[1]} {1 + row[2]:.3f} ± {row[3]:.3f}" for row in ranked)
    text += f"). Slope and intercept may be off by {bias:.3f} (2/N) and as many errors as a false alarm of "
    text += f"{_FALSE_ALARM:g} in all allows."
    verdict: Verdict = "fails" if "fails" in verdicts else "undecided" if "undecided" in verdicts else "holds"
    return claim(evidence, used, name, text, 1.0, 1 + slope_off, slope_se, "equal to", verdict)


def _gradients(
    table: Accuracies,
) -> tuple[list[CellEvidence], Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Cells of residual networks whose gradients explode, with predicted and measured ln chi_0/chi_L."""
    cells, x, y = [], [], []
    for cell in table.cells if design_of(table.cells[0].parameters).network != "plain" else ():
        drawn, predicted = values(cell, "log_gradient_ratio"), predictor("gradient", cell.parameters)
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn) > 1 and predicted >= 1:
            cells.append(cell)
            x.append(predicted)
            y.append(drawn.mean() + drawn.var(ddof=1) / 2)
    return cells, np.array(x), np.array(y)
