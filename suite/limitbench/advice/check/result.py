"""What a check found: for every depth and width the case, the scores of its theories, and the limits of formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from limitbench.advice.check.build import Initialisation, build
from limitbench.advice.check.case import OBSERVABLES, Case
from limitbench.advice.check.limits import Limit, limits
from limitbench.advice.check.measure import Measured
from limitbench.advice.rows import Opinion
from limitbench.errors import InputError
from limitbench.statistics.ranking import rank
from limitbench.statistics.scores import Score, score_cells

#: What the observables are called.
TITLES = {
    "log_norm": "log squared norm",
    "correlation": "correlation of two inputs",
    "log_gap": "ln(1 - correlation)",
    "log_gradient": "log squared gradient ratio",
}


@dataclass(frozen=True)
class Line:
    """One theory and one observable at the last layer: the law and the networks, and how far apart they are."""

    observable: str
    theory: str
    title: str
    predicted: tuple[float, float]
    measured: tuple[float, float]
    mean_se: float
    score: Score


@dataclass(frozen=True, eq=False)
class CellResult:
    """One depth and width.

    Attributes:
        measured: the numbers.
        case: what theories know it as; None where no theory is about it.
        initial: what its weights are drawn from.
        reasons: why there is no case.
        opinions: of the theories at the last layer.
        lines: scores, by observable and from the coarsest theory to the finest.
        best: by observable the theory with the smallest D, and the probability that it is the best.
        limits: of floating-point formats.
    """

    measured: Measured
    case: Case | None
    initial: Initialisation | None
    reasons: tuple[str, ...]
    opinions: tuple[Opinion, ...]
    lines: tuple[Line, ...]
    best: Mapping[str, tuple[str, float]]
    limits: tuple[Limit, ...]

    @property
    def depth(self) -> int:
        """As the factory was called."""
        return self.measured.cell.depth

    @property
    def width(self) -> int:
        """As the factory was called."""
        return self.measured.cell.width

    @property
    def title(self) -> str:
        """Its sizes, for headings."""
        return self.measured.cell.title

    @cached_property
    def observed(self) -> dict[str, Float[np.ndarray, " networks"]]:
        """Measured numbers at the last layer."""
        return {} if self.case is None else self.case.observed(self.measured, self.case.depth)

    def line(self, observable: str, theory: str) -> Line | None:
        """One of the lines."""
        return next((n for n in self.lines if n.observable == observable and n.theory == theory), None)


@dataclass(frozen=True, eq=False)
class Check:
    """Everything that was found about one factory.

    Attributes:
        name: the factory, as the user wrote it.
        cells: one a depth and width.
        inputs: where the batch came from, in words.
        margin: largest D that holds.
        seed: of the streams.
        interrupted: whether it was stopped before all networks were drawn.
        seconds: of the whole.
    """

    name: str
    cells: tuple[CellResult, ...]
    inputs: str
    margin: float
    seed: int
    interrupted: bool
    seconds: float


def examine(measured: Measured, margin: float) -> CellResult:
    """Read, score and extrapolate what was measured in one cell. Cost: seconds."""
    case, initial, reasons = build(measured)
    opinions = () if case is None else _without_repeats(case.opinions(case.depth))
    lines: list[Line] = []
    best: dict[str, tuple[str, float]] = {}
    if case is not None:
        observed = case.observed(measured, case.depth)
        for name in OBSERVABLES:
            said = [o for o in opinions if name in o.laws]
            if name not in observed or not said or (name == "correlation" and _finer(opinions, observed)):
                continue
            offset = case.offset(name, case.depth)
            found = _lines(name, observed[name], said, offset, margin)
            lines += found
            best |= _best(name, observed[name] - offset, said, found)
    return CellResult(measured, case, initial, reasons, opinions, tuple(lines), best, limits(measured, case))


def _finer(opinions: tuple[Opinion, ...], observed: Mapping[str, object]) -> bool:
    """Whether everything that is said about the correlation is also said about the log of its distance to 1."""
    return "log_gap" in observed and all("log_gap" in o.laws for o in opinions if "correlation" in o.laws)


def _lines(
    name: str, values: Float[np.ndarray, " networks"], said: list[Opinion], offset: float, margin: float
) -> list[Line]:
    finite = np.where(np.isfinite(values), values, np.nan)
    table = (finite - offset)[:, None]
    scores = score_cells(table, {o.theory: [o.laws[name]] for o in said}, margin=margin)
    usable = finite[~np.isnan(finite)]
    mean, std = float(usable.mean()), float(usable.std(ddof=1))
    found = []
    for opinion in said:
        law, score = opinion.laws[name], scores[opinion.theory][0]
        assert score is not None
        predicted = (float(law.mean) + offset, float(law.std))
        se = std / math.sqrt(len(usable))
        found.append(Line(name, opinion.theory, opinion.title, predicted, (mean, std), se, score))
    return found


def _best(
    name: str, values: Float[np.ndarray, " networks"], said: list[Opinion], lines: list[Line]
) -> dict[str, tuple[str, float]]:
    usable = [o for o in said if any(n.theory == o.theory and math.isfinite(n.score.distance) for n in lines)]
    if not usable:
        return {}
    if len(usable) == 1:
        return {name: (usable[0].theory, 1.0)}
    try:
        found = rank(np.where(np.isfinite(values), values, np.nan), {o.theory: o.laws[name] for o in usable})
    except InputError:
        return {}
    return {name: (found.theories[0], found.probability_best[found.theories[0]])}


def _without_repeats(opinions: tuple[Opinion, ...]) -> tuple[Opinion, ...]:
    """Without laws that an earlier theory has given: the same mean and standard deviation, point masses aside."""
    seen: set[tuple[str, float, float]] = set()
    kept = []
    for opinion in opinions:
        laws = {}
        for name, law in opinion.laws.items():
            key = (name, round(float(law.mean), 9), round(float(law.std), 9))
            if key not in seen or law.is_point_mass:
                laws[name] = law
            seen.add(key)
        if laws:
            kept.append(Opinion(opinion.theory, opinion.title, laws, opinion.error_order, opinion.note))
    return tuple(kept)
