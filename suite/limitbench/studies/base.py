"""What a study is: networks, theories, observables, default grids and claims of one published result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from limitbench.display import facts
from limitbench.networks.base import Network, Sampler
from limitbench.studies.figures import StudyFigure
from limitbench.theories.base import Theory

if TYPE_CHECKING:
    import xarray as xr

Value = int | float | str
#: One point of a grid: a value for every axis, and `depth` resolved where the axis is `aspect`. With an axis `layer`
#: also the layer at which it is read, which may lie beyond the depth (then the cell is empty).
Cell = Mapping[str, Value]
Verdict = Literal["holds", "fails", "undecided"]
Relation = Literal["equal to", "at least", "at most"]
#: What stands before the predicted value of a claim.
RELATION_MARK: dict[str, str] = {"at least": "≥ ", "at most": "≤ "}


@dataclass(frozen=True)
class Axis:
    """One axis of a study's grid.

    Attributes:
        name: identifier, for example `width`.
        kind: `int`, `float` or `str`; values are converted to it before anything else sees them.
        default: values used where neither the preset nor the user names any.
        description: one sentence.
        lower, upper: inclusive bounds of a number, None for unbounded.
        open_lower: whether `lower` itself is not accepted.
        choices: accepted values of a `str` axis.
        symbol: short symbol for figures.
    """

    name: str
    kind: Literal["int", "float", "str"]
    default: tuple[Value, ...]
    description: str
    lower: int | float | None = None
    upper: int | float | None = None
    choices: tuple[str, ...] = ()
    symbol: str = ""
    open_lower: bool = False


@dataclass(frozen=True)
class StudyTheory:
    """A theory as it competes in a study.

    Attributes:
        name: label in scores and reports (one class may compete twice with different settings).
        title: a few words for headings.
        build: the theory at a cell.
        skip: reason why the theory does not apply at a cell, or None where it does.
        role: a `competitor` is ranked; a `check` is an independent solution of a competitor, scored but not ranked.
        formula: the law or limit in one line of LaTeX, without dollar signs.
    """

    name: str
    title: str
    build: Callable[[Cell], Theory]
    skip: Callable[[Cell], str | None] = lambda cell: None
    role: Literal["competitor", "check"] = "competitor"
    formula: str = ""

    def _repr_html_(self) -> str:
        """Name, role and formula, for notebooks."""
        return facts(self.title, [("name", self.name), ("role", self.role), ("formula", self.formula)])


@dataclass(frozen=True)
class Claim:
    """One quantitative statement of a paper, predicted and measured.

    `verdict`: `holds`, `fails` or `undecided`; `measured` and `se` are NaN where the run lacks the cells it needs
    (then the verdict is `undecided` and the text says what is missing). A statement about a failure ("NNGP fails")
    holds where the failure is seen. `relation` says how `measured` should relate to `predicted`. `distance` is the
    score D of the theory behind the statement in the cell that it was measured in, NaN where there is none.
    `reference` is a key of `studies.references.REFERENCES`; empty for the study's own.
    """

    name: str
    text: str
    predicted: float
    measured: float
    se: float
    verdict: Verdict
    seconds: float = float("nan")
    command: str = ""
    relation: Relation = "equal to"
    distance: float = float("nan")
    reference: str = ""

    def _repr_html_(self) -> str:
        """Text, verdict and numbers, for notebooks."""
        relation = "" if self.relation == "equal to" else f"{self.relation} "
        rows = [("verdict", self.verdict), ("predicted", f"{relation}{self.predicted:.4g}")]
        rows += [(name, f"{getattr(self, name):.4g}") for name in ("measured", "se", "distance")]
        return facts(self.text, [*rows, ("again", self.command)])


@dataclass(frozen=True)
class Preset:
    """Grid and samples per cell of `--preset`; `samples_at` overrides `samples` for columns by width."""

    grid: Mapping[str, tuple[Value, ...]]
    samples: int
    samples_at: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One published result as a runnable object.

    Attributes:
        name: identifier, for example `shaped-relu`.
        version: raised when stored results of an older version no longer mean the same.
        title, question, reference: words for lists and reports (reference: authors, year, arXiv id).
        axes: grid axes in the order of array dimensions; `depth` or `aspect` last. Both are declared where both are
            accepted; a run uses exactly one of them as its depth axis. Quantities of layer l of a network of depth d
            have the axes `depth` and, last, `layer`: all layers of a column are read from the same networks.
        observables: names, in report order.
        network: the network of a cell (to the cell's own depth).
        theories: competitors, in report order.
        presets: `quick`, `standard`, `full`.
        claims: computes the ledger from a finalised tree; never raises for missing cells.
        block_samples: networks per block (the chunk length along `sample`) by sampler.
        most_samples: networks per cell above which a run is refused, where one network takes long; None for no limit.
        check: raises `InputError` where a cell is not a network (beyond each axis' own bounds).
        figures: curves that an expert expects of this study, from a finalised tree; drawn by the report. Takes at most
            a few seconds, never raises for missing cells, leaves out what a run cannot show.
        formula: the network in one line of LaTeX, without dollar signs.
    """

    name: str
    version: int
    title: str
    question: str
    reference: str
    axes: tuple[Axis, ...]
    observables: tuple[str, ...]
    network: Callable[[Cell], Network]
    theories: tuple[StudyTheory, ...]
    presets: Mapping[str, Preset]
    claims: Callable[[xr.DataTree], list[Claim]]
    block_samples: Mapping[Sampler, int] = field(default_factory=lambda: {"exact": 4096, "dense": 256})
    most_samples: int | None = None
    check: Callable[[Cell], None] = lambda cell: None
    figures: Callable[[xr.DataTree], list[StudyFigure]] = lambda tree: []
    formula: str = ""

    def axis(self, name: str) -> Axis:
        """The axis called `name`; KeyError where there is none."""
        return {axis.name: axis for axis in self.axes}[name]

    def _repr_html_(self) -> str:
        """Question, axes, theories and presets, for notebooks."""
        rows = [(name, getattr(self, name)) for name in ("name", "question", "reference", "observables")]
        axes = [(f"axis {axis.name}", axis.description) for axis in self.axes]
        theories = [(f"theory {theory.name}", theory.title) for theory in self.theories]
        return facts(self.title, [*rows, *axes, *theories, ("presets", tuple(self.presets))])
