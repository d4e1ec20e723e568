"""Claims about the region of depths and weight variances in which networks train."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence, missing, value_claim
from limitbench.studies.trainability.accuracies import Accuracies
from limitbench.studies.trainability.asked import TANH_RECALLED, Tables, answering, decided, stream
from limitbench.studies.trainability.edges import deficits, last_trained, lead, slope, upper_edges

#: A depth trains where its best accuracy is at most this much below the best of the smallest depth.
LOST = 0.1
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
        "Tanh, Adam: the edge of the trainable region is a level curve of ln χ₀/χ_L (its slope in ln L along the edge) "
        f"{TANH_RECALLED}"
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
    """Whether the smallest variance is worse than the best of the others at the largest depth."""
    name = "tanh-sgd-interior-optimum"
    text = "Tanh, SGD, largest depth: the smallest σ_w² is worse than the best of the others, so that small gradient "
    text += (
        "ratios are not all that counts [recollection of the paper, not its print]. The best is chosen and measured "
    )
    text += "on different networks."
    table = tables.get("tanh-sgd")
    if table is None or len(table.variances) < 3 or np.isfinite(table.mean[-1]).sum() < 3:
        return missing(name, text, 0.0, "tanh-sgd at three values of sigma_w2")
    first, *others = np.flatnonzero(np.isfinite(table.mean[-1])).tolist()
    gap, error = lead(table.table[-1], others, [first], stream(name))
    cells = [cell for cell in table.cells if float(cell.parameters["depth"]) == table.depths[-1]]
    return decided(value_claim(evidence, cells, 0.0, gap, error, name=name, text=text, relation="at least"), [table])


def plain_stops_first(evidence: Evidence, tables: Tables) -> Claim:
    """Largest depths at which residual and plain networks train, over the depths that both have."""
    name = "plain-stops-first"
    text = "Tanh, Adam: networks without skip connections stop training at smaller depth than residual ones: ln of the "
    text += "ratio of the largest depths (residual over plain, interpolated) at which the best accuracy over σ_w² is "
    text += f"within {100 * LOST:g} points of that at the smallest depth"
    plain, full = tables.get("plain-tanh-adam"), tables.get("tanh-adam")
    common = np.intersect1d(plain.depths, full.depths) if plain is not None and full is not None else np.empty(0)
    if plain is None or full is None or common.size < 2:
        return missing(name, f"{text}.", 0.0, "tanh-adam and plain-tanh-adam at two depths")
    random = stream(name)
    rows = [np.searchsorted(table.depths, common) for table in (full, plain)]
    best = [np.nan_to_num(t.mean[row]).max(axis=1) for t, row in zip((full, plain), rows, strict=True)]
    (x, beyond), (y, plain_beyond) = _last_two(best[0], best[1], common)
    draws = [np.nan_to_num(t.resampled(random)[:, row]).max(axis=2) for t, row in zip((full, plain), rows, strict=True)]
    ends = [_last_two(a, b, common) for a, b in zip(*draws, strict=True)]
    error = float(np.std([a[0] - b[0] for a, b in ends]))
    listed = [f"{np.exp(end):.3g}{' or more' if more else ''}" for end, more in ((x, beyond), (y, plain_beyond))]
    text += f" ({listed[0]} and {listed[1]} of {common[-1]:g})."
    cells = [*full.cells, *plain.cells]
    if x == y:  # both train everywhere, or neither anywhere: the grid does not tell which stops first
        error = np.nan
    made = value_claim(evidence, cells, 0.0, x - y, error, name=name, text=text, relation="at least")
    return decided(made, [full, plain])


def _last_two(
    full: Float[np.ndarray, " depths"], plain: Float[np.ndarray, " depths"], depths: Float[np.ndarray, " depths"]
) -> tuple[tuple[float, bool], tuple[float, bool]]:
    """`last_trained` of both at one level, that of the better of the two at the smallest depth."""
    level = max(float(full[0]), float(plain[0])) - LOST
    return last_trained(full, depths, level), last_trained(plain, depths, level)
