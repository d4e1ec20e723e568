"""What a finished run holds, by cells: the reading side of a study's claims.

A claim asks for cells by their parameters (`width=64, depth=64`), not by array positions, so that it is found whether
the run's depth axis is `depth` or `aspect` and whatever else is in the grid.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import ndtri

from limitbench.errors import InputError
from limitbench.studies.base import Claim, Relation, Study, Value, Verdict
from limitbench.theories.base import Theory

#: "Within standard errors" means this many (DESIGN: both errors combined where the reference is simulated too).
STANDARD_ERRORS = 4.5
Moment = Literal["mean", "variance", "second moment"]


@dataclass(frozen=True)
class CellEvidence:
    """One cell of a finished run: its parameters and where it lies in the arrays."""

    study: Study
    tree: xr.DataTree
    at: dict[str, int]
    parameters: dict[str, Value]

    def samples(self, observable: str) -> Float[np.ndarray, " networks"]:
        """The values of the networks that are there and have one; raises `InputError` below two.

        Blocks that are not finished are NaN in every observable, dead networks in some.
        """
        values = np.asarray(self.tree["samples"][observable].isel(self.at).to_numpy(), dtype=float)
        values = values[~np.isnan(values)]
        if values.size < 2:
            raise InputError(observable, f"{values.size} networks at {self.parameters}", "at least two")
        return np.asarray(values)

    def score(self, field: str, observable: str, theory: str) -> float:
        """One field of the score, NaN where there is none."""
        scores = self.tree["scores"]
        if field not in scores or observable not in scores["observable"] or theory not in scores["theory"]:
            return math.nan
        return float(scores[field].isel(self.at).sel(observable=observable, theory=theory))

    def verdict(self, observable: str, theory: str) -> str:
        """The verdict of the score, empty where there is none."""
        return str(self.tree["scores"]["verdict"].isel(self.at).sel(observable=observable, theory=theory).item())

    def theory(self, name: str) -> Theory:
        """The theory that competes under this name, at this cell."""
        return next(t for t in self.study.theories if t.name == name).build(self.parameters)

    @property
    def looks(self) -> int:
        """Looks that were taken until its verdicts were clear; 0 where the cell has a fixed number of networks."""
        return int(self.tree["run"]["looks"].isel(self.at)) if "looks" in self.tree["run"] else 0

    @property
    def level(self) -> float:
        """Confidence level of the intervals of the cell's scores."""
        return float(self.tree["run"]["level"].isel(self.at)) if "level" in self.tree["run"] else 0.95

    def distance_error(self, observable: str, theory: str) -> float:
        """Standard error of D, from the length of its interval."""
        low, high = (self.score(end, observable, theory) for end in ("distance_low", "distance_high"))
        return (high - low) / (2 * float(ndtri((1 + self.level) / 2)))

    @property
    def seconds(self) -> float:
        """Compute seconds that the cell's column took."""
        return float(self.tree["run"]["seconds"].isel(self.at))


class Evidence:
    """All cells of a finished run of `study` that have networks."""

    def __init__(self, study: Study, tree: xr.DataTree) -> None:
        self.study, self.tree = study, tree
        self.axes = tuple(str(d) for d in tree["run"]["n_samples"].dims)
        self.cells = [CellEvidence(study, tree, at, parameters) for at, parameters in cells_with_networks(tree)]

    def where(self, **wanted: Value) -> list[CellEvidence]:
        """Cells whose parameters equal `wanted` (numbers to 1e-9); `alpha` stands for depth/width."""
        return [cell for cell in self.cells if matches(cell.parameters, wanted)]

    def one(self, **wanted: Value) -> CellEvidence | None:
        """The first cell that matches, None where the run has none."""
        return next(iter(self.where(**wanted)), None)

    def groups(self, *vary: str) -> Iterator[list[CellEvidence]]:
        """Cells that agree in everything but `vary` (and depth, which follows), in increasing order of `vary`."""
        fixed = [a for a in self.axes if a not in vary]

        def key(cell: CellEvidence) -> tuple[Value, ...]:
            return tuple(cell.parameters[a] for a in fixed)

        def order(cell: CellEvidence) -> tuple[Value, ...]:
            return tuple(cell.parameters[a] for a in vary if a in self.axes)

        for _, group in itertools.groupby(sorted(self.cells, key=lambda c: (key(c), order(c))), key):
            yield list(group)

    def command(self, cells: Iterable[CellEvidence]) -> str:
        """The command line that draws these cells again."""
        cells = list(cells)
        if not cells:
            return ""
        parts = [f"limitbench run {self.study.name}"]
        for axis in self.axes:
            values = sorted({cell.parameters[axis] for cell in cells})
            parts.append(f"--set {axis}=" + ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values))
        run = self.tree["run"]
        if any(cell.looks for cell in cells):
            samples = max(int(run["n_requested"].isel(cell.at)) for cell in cells)
            return " ".join([*parts, f"--samples {samples} --tolerance {self.tree['scores'].attrs['margin']:g}"])
        return " ".join([*parts, f"--samples {max(int(run['n_samples'].isel(cell.at)) for cell in cells)}"])


def widest(cells: Sequence[CellEvidence]) -> list[CellEvidence]:
    """The cells of the largest width among them."""
    largest = max((float(cell.parameters["width"]) for cell in cells), default=0.0)
    return [cell for cell in cells if cell.parameters["width"] == largest]


def cells_with_networks(tree: xr.DataTree) -> Iterator[tuple[dict[str, int], dict[str, Value]]]:
    """Where each cell that has networks lies in the arrays, and its parameters, `depth` among them."""
    counts = tree["run"]["n_samples"]
    axes = tuple(str(d) for d in counts.dims)
    for index in itertools.product(*(range(counts.sizes[a]) for a in axes)):
        at = dict(zip(axes, index, strict=True))
        if not int(counts.isel(at)) > 0:
            continue
        parameters = {a: counts[a].to_numpy().tolist()[i] for a, i in at.items()}
        if "depth" not in parameters:
            depth = tree["run"]["depth"]
            parameters["depth"] = int(depth.isel({a: i for a, i in at.items() if a in depth.dims}))
        if int(parameters.get("layer", 0)) <= int(parameters["depth"]):
            yield at, parameters


def matches(parameters: dict[str, Value], wanted: dict[str, Value]) -> bool:
    """Whether a cell's parameters equal `wanted`, numbers to 1e-9; `alpha` stands for depth/width."""
    for name, value in wanted.items():
        if isinstance(value, str):
            if parameters.get(name) != value:
                return False
            continue
        seen = parameters["depth"] / parameters["width"] if name == "alpha" else parameters.get(name)  # type: ignore[operator]
        if not isinstance(seen, int | float) or not math.isclose(seen, value, rel_tol=1e-9, abs_tol=1e-12):
            return False
    return True


def missing(name: str, text: str, predicted: float, need: str) -> Claim:
    """A claim that this run cannot answer, with the cells it would need."""
    return Claim(name, f"{text} [not measured: needs {need}]", predicted, math.nan, math.nan, "undecided")


def within_errors(predicted: float, measured: float, se: float, *, resolution: float = math.inf) -> Verdict:
    """`holds` within 4.5 standard errors, `fails` beyond; `undecided` where 4.5 se exceed `resolution`."""
    if not math.isfinite(measured) or not math.isfinite(se):
        return "undecided"
    if abs(measured - predicted) > STANDARD_ERRORS * se:
        return "fails"
    return "holds" if STANDARD_ERRORS * se <= resolution else "undecided"


def moment_claim(
    evidence: Evidence,
    cell: CellEvidence,
    observable: str,
    moment: Moment,
    predicted: float,
    *,
    name: str,
    text: str,
    resolution: float | None = None,
    values: Float[np.ndarray, " networks"] | None = None,
    theory: str = "",
) -> Claim:
    """A moment of one cell's networks (or of `values` made from them) against its predicted value.

    `theory` is the one whose D in this cell stands beside it. Left out, `resolution` is a quarter of the standard
    deviation for a mean and a third of the moment itself otherwise: about 350 networks are too few below that.
    """
    x = cell.samples(observable) if values is None else values
    if moment == "mean":
        terms = x
    elif moment == "second moment":
        terms = x**2
    else:
        terms = (x - x.mean()) ** 2 * (len(x) / (len(x) - 1))
    measured, se = float(terms.mean()), float(terms.std(ddof=1) / math.sqrt(len(x)))
    if resolution is None:
        resolution = float(x.std(ddof=1)) / 4 if moment == "mean" else abs(predicted) / 3
    verdict = within_errors(predicted, measured, se, resolution=resolution)
    distance = cell.score("distance", observable, theory) if theory else math.nan
    return Claim(
        name, text, predicted, measured, se, verdict, cell.seconds, evidence.command([cell]), distance=distance
    )


def value_claim(
    evidence: Evidence,
    cells: Sequence[CellEvidence],
    predicted: float,
    measured: float,
    se: float,
    *,
    name: str,
    text: str,
    resolution: float | None = None,
    relation: Relation = "equal to",
    distance: float = math.nan,
) -> Claim:
    """Any number made from `cells`, with its standard error, against its predicted value.

    `relation` "at least" or "at most" makes `predicted` a bound: `holds` where the number is beyond it by 4.5 standard
    errors, `fails` where it is on the other side by as many, else `undecided`. `resolution` as in `within_errors`;
    left out, half of a prediction that is not 0: what cannot tell the number from half of it says nothing about it.
    """
    if relation == "equal to":
        if resolution is None:
            resolution = abs(predicted) / 2 or math.inf
        verdict = within_errors(predicted, measured, se, resolution=resolution)
    else:
        beyond = (measured - predicted) * (1 if relation == "at least" else -1)
        verdict = "undecided"
        if math.isfinite(beyond) and math.isfinite(se) and abs(beyond) >= STANDARD_ERRORS * se:
            verdict = "holds" if beyond >= 0 else "fails"
    seconds = sum(cell.seconds for cell in cells)
    return Claim(name, text, predicted, measured, se, verdict, seconds, evidence.command(cells), relation, distance)
