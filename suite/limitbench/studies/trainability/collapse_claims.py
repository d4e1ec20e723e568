"""Claims about what predicts accuracy before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing
from limitbench.studies.measured import mean_of, values
from limitbench.studies.trainability.accuracies import RESAMPLES, Accuracies
from limitbench.studies.trainability.asked import INTERVAL, Tables, answering, claim, decided, sign, stream
from limitbench.studies.trainability.collapse import explained
from limitbench.studies.trainability.designs import design_of
from limitbench.studies.trainability.predictors import PREDICTORS, predictor

#: Depths and values of sigma_w^2 below which a fit of accuracy on a predictor says little.
LEAST = (4, 6)
#: Rank correlation from which on two predictors are the same ranking.
_SAME = 0.995


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
    """Rank correlation of accuracy with distance beyond the best cell of each depth, short of divergence."""
    name = "relu-larger-distance-is-better"
    text = "ReLU, Adam: the larger the distance of two images, the better, until training overflows [recollection of "
    text += "the paper, not its print]. Rank correlation of accuracy and distance beyond the best cell of each depth, "
    text += "where no replicate diverged"
    table = tables.get("relu-adam")
    if table is None or len(table.depths) < LEAST[0]:
        return missing(name, f"{text}.", 0.0, f"relu-adam at {LEAST[0]} depths")
    distance = table.predictors("distance").ravel()
    keep = (_beyond_best(table) & ~_diverged(table)).ravel()
    if keep.sum() < 5:
        return missing(name, f"{text}.", 0.0, "five cells beyond the best of their depths")
    measured = float(spearmanr(distance[keep], table.mean.ravel()[keep]).statistic)
    rows = table.resampled(stream(name)).reshape(RESAMPLES, -1)
    draws = np.array([spearmanr(distance[keep], row[keep]).statistic for row in rows])
    low, high = np.percentile(draws, INTERVAL)
    text += f" ({int(keep.sum())} cells; 95 % of resampled replicates {low:.2f} to {high:.2f}). If not, this is not "
    text += "reproduced on small images."
    se = float(draws.std())
    made = claim(evidence, table.cells, name, text, 0.0, measured, se, "at least", sign(draws))
    return decided(made, [table])


def _beyond_best(table: Accuracies) -> np.ndarray:
    """The best cell of each depth and those of larger sigma_w^2."""
    best = np.argmax(np.nan_to_num(table.mean, nan=-1.0), axis=1)
    return np.asarray(np.isfinite(table.mean) & (np.arange(table.mean.shape[1]) >= best[:, None]))


def _diverged(table: Accuracies) -> np.ndarray:
    """Whether a replicate diverged, by cell."""
    found = np.zeros(table.mean.shape, dtype=bool)
    for cell in table.cells:
        found[table.place(cell)] = bool(np.nansum(values(cell, "diverged")) > 0)
    return found


@answering("networks-have-the-predicted-gradients")
def predicted_gradients(evidence: Evidence, tables: Tables) -> Claim:
    """How well the recurrences describe the residual networks before training."""
    name = "networks-have-the-predicted-gradients"
    text = "Before training, gradient ratios of residual networks are those of the recurrences: share of their "
    text += "variance over cells that the predicted numbers explain as they are."
    pairs = []
    for table in tables.values():
        for cell in table.cells if design_of(table.cells[0].parameters).network != "plain" else ():
            measured = mean_of(values(cell, "log_gradient_ratio")).value
            if np.isfinite(measured):
                pairs.append((measured, predictor("gradient", cell.parameters), cell))
    if len(pairs) < LEAST[1]:
        return missing(name, text, 0.9, "several cells of residual networks")
    y, f = np.array([pair[:2] for pair in pairs]).T
    share = float(1 - ((y - f) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    verdict = "holds" if share >= 0.9 else "fails"
    cells = [pair[2] for pair in pairs]
    return claim(evidence, cells, name, text, 0.9, share, 0.0, "at least", verdict)  # type: ignore[arg-type]
