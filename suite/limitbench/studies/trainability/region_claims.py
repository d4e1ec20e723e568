"""Claims about the region of depths and weight variances in which networks train."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing, value_claim
from limitbench.studies.trainability.accuracies import Accuracies
from limitbench.studies.trainability.asked import Tables, answering, decided, stream
from limitbench.studies.trainability.edges import deficits, slope, upper_edges

#: Below this accuracy the best network of a depth is called untrained.
TRAINED = 0.5
#: A deficit of Xavier and He that is worth the name: rows of accuracies are flat to 0.02 on digits.
DEFICIT = 0.01
#: A slope that is known no better than this says nothing.
_RESOLUTION = 0.2


def edge_slope(evidence: Evidence, tables: Tables, design: str, words: str) -> Claim:
    """Slope of ln sigma_w^2 at the upper edge in ln L, predicted -1."""
    name = f"{design}-edge-slope"
    text = f"{words}: the upper edge of the trainable region (accuracy 5 points below the best of its depth) moves as "
    text += "σ_w² ~ 1/L: slope of ln σ_w² in ln L"
    found = edges_of(tables, design, name)
    if found is None:
        return missing(name, f"{text}.", -1.0, f"{design} at three depths whose edge the grid reaches")
    table, edge, draws = found
    x = np.log(table.depths)
    se = float(np.nanstd([slope(x, row) for row in draws]))
    text += f", over {int(np.isfinite(edge).sum())} depths. If not, this is not reproduced on digits: −1 is for "
    text += "infinite depth; runs before gave −0.8 with Adam and −0.4 with SGD."
    made = value_claim(evidence, table.cells, -1.0, slope(x, edge), se, name=name, text=text, resolution=_RESOLUTION)
    return decided(made, [table])


def edges_of(
    tables: Tables, design: str, name: str
) -> tuple[Accuracies, Float[np.ndarray, " depths"], Float[np.ndarray, "resamples depths"]] | None:
    """Table, ln sigma_w^2 at the edge by depth, and resampled edges; None below three depths."""
    table = tables.get(design)
    edge = upper_edges(table.mean, table.variances) if table is not None else np.empty(0)
    if table is None or np.isfinite(edge).sum() < 3:
        return None
    draws = np.stack([upper_edges(row, table.variances) for row in table.resampled(stream(name))])
    return table, edge, draws


@answering("tanh-adam-edge-gradient")
def edge_gradient(evidence: Evidence, tables: Tables) -> Claim:
    """Whether the edge is a level curve of the gradient ratio."""
    name = "tanh-adam-edge-gradient"
    text = (
        "Tanh, Adam: the edge of the trainable region is a level curve of ln χ₀/χ_L (its slope in ln L along the edge)"
    )
    found = edges_of(tables, "tanh-adam", name)
    if found is None:
        return missing(name, f"{text}.", 0.0, "tanh-adam at three depths whose edge the grid reaches")
    table, edge, draws = found
    values = gradient_at(table, edge)
    x = np.log(table.depths)
    se = float(np.nanstd([slope(x, gradient_at(table, row)) for row in draws]))
    listed = ", ".join(f"{v:.1f}" for v in values[np.isfinite(values)])
    text += f". By depth it is {listed} there. If not, this is not reproduced on small images."
    made = value_claim(evidence, table.cells, 0.0, slope(x, values), se, name=name, text=text, resolution=1.0)
    return decided(made, [table])


def gradient_at(table: Accuracies, edge: Float[np.ndarray, " depths"]) -> Float[np.ndarray, " depths"]:
    """ln chi_0/chi_L where ln sigma_w^2 is `edge`, interpolated between the columns of the table."""
    gradient, x = table.predictors("gradient"), np.log(table.variances)
    known = np.isfinite(gradient).all(axis=0)
    return np.array([np.interp(e, x[known], g[known]) for e, g in zip(edge, gradient, strict=True)])


def deficit_claims(evidence: Evidence, tables: Tables, design: str, words: str) -> list[Claim]:
    """One claim a depth: how far Xavier and He stay behind."""
    table, made = tables.get(design), []
    text = f"{words}, {{}}: Xavier (σ_w² = 1) and He (2) are more than a point below the best accuracy of this depth; "
    text += "deficit of the better of the two (the paper: not optimal, as the best variance depends on depth)."
    found = deficits(table) if table is not None else None
    if table is None or found is None:
        return [missing(f"{design}-deficit", text.format("any L"), DEFICIT, f"{design} with sigma_w2 of 1 and 2")]
    for depth, deficit, se in zip(table.depths, *found, strict=True):
        name, words = f"{design}-deficit-d{depth:g}", text.format(f"L = {depth:g}")
        cells = [cell for cell in table.cells if float(cell.parameters["depth"]) == depth]
        claim = value_claim(evidence, cells, DEFICIT, deficit, se, name=name, text=words, relation="at least")
        made.append(decided(claim, [table]))
    return made


def interior_optimum(evidence: Evidence, tables: Tables) -> Claim:
    """Whether the smallest variance is worse than the best at the largest depth."""
    name = "tanh-sgd-interior-optimum"
    text = "Tanh, SGD, largest depth: the smallest σ_w² is worse than the best, so that small gradient ratios are not "
    text += "all that counts [recollection of the paper, not its print]."
    table = tables.get("tanh-sgd")
    if table is None or len(table.variances) < 3 or np.isfinite(table.mean[-1]).sum() < 3:
        return missing(name, text, 0.0, "tanh-sgd at three values of sigma_w2")
    mean, se = table.mean[-1], table.se[-1]
    known = np.flatnonzero(np.isfinite(mean))
    best, first = int(known[np.argmax(mean[known])]), int(known[0])
    cells = [cell for cell in table.cells if float(cell.parameters["depth"]) == table.depths[-1]]
    error = math.hypot(se[best], se[first])
    gap = float(mean[best] - mean[first])
    return decided(value_claim(evidence, cells, 0.0, gap, error, name=name, text=text, relation="at least"), [table])


def plain_stops_first(evidence: Evidence, tables: Tables) -> Claim:
    """Best accuracies of residual and plain networks at the largest common depth."""
    name = "plain-stops-first"
    text = "Tanh, Adam: networks without skip connections stop training at smaller depth than residual ones; best "
    text += "accuracy over σ_w² of residual less plain networks at the largest common depth"
    plain, full = tables.get("plain-tanh-adam"), tables.get("tanh-adam")
    common = np.intersect1d(plain.depths, full.depths) if plain is not None and full is not None else np.empty(0)
    if plain is None or full is None or not common.size:
        return missing(name, f"{text}.", 0.0, "tanh-adam and plain-tanh-adam at one depth")
    best, squares, deepest = [], [], []
    for table in (full, plain):
        row = int(np.searchsorted(table.depths, common[-1]))
        column = int(np.argmax(np.nan_to_num(table.mean[row])))
        best.append(float(table.mean[row, column]))
        squares.append(float(table.se[row, column]) ** 2)
        trained = table.depths[np.nan_to_num(table.mean).max(axis=1) >= TRAINED]
        deepest.append(f"{trained[-1]:g}" if len(trained) else "none")
    text += f" ({common[-1]:g}: {best[0]:.2f} and {best[1]:.2f}). The deepest that reach 50 %: {deepest[0]} of "
    text += f"{full.depths[-1]:g} residual, {deepest[1]} of {plain.depths[-1]:g} plain."
    cells, error = [*full.cells, *plain.cells], math.sqrt(sum(squares))
    made = value_claim(evidence, cells, 0.0, best[0] - best[1], error, name=name, text=text, relation="at least")
    return decided(made, [full, plain])
