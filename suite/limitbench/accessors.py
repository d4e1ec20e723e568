"""Results in a notebook: `tree.limitbench` on what a run returns, `drawn.limitbench` on samples of networks.

xarray knows both names as soon as results are opened or networks are drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import xarray as xr

from limitbench import display, studies
from limitbench.errors import InputError
from limitbench.statistics.base import Law, quantile_levels
from limitbench.statistics.scores import Score, score
from limitbench.statistics.tabulated import Tabulated
from limitbench.studies.base import RELATION_MARK, Claim, Study, Value
from limitbench.studies.evidence import cells_with_networks, matches
from limitbench.theories.base import Theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Ledger(Sequence[Claim]):
    """Claims in a row, as a table where they are shown."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._claims = tuple(claims)

    @overload
    def __getitem__(self, at: int) -> Claim: ...
    @overload
    def __getitem__(self, at: slice) -> Ledger: ...
    def __getitem__(self, at: int | slice) -> Claim | Ledger:
        return Ledger(self._claims[at]) if isinstance(at, slice) else self._claims[at]

    def __len__(self) -> int:
        return len(self._claims)

    def __repr__(self) -> str:
        lines = [f"{c.verdict:<10} {c.predicted:>10.4g} {c.measured:>10.4g} {c.se:>9.2g}  {c.text}" for c in self]
        return "\n".join([f"{'verdict':<10} {'predicted':>10} {'measured':>10} {'s.e.':>9}  claim", *lines])

    def _repr_html_(self) -> str:
        columns = ("claim", "predicted", "measured", "s.e.", "D", "verdict")
        marks = (RELATION_MARK.get(c.relation, "") for c in self)
        rows = [
            (c.text, f"{mark}{c.predicted:.4g}", c.measured, c.se, max(c.distance, 0.0), c.verdict)
            for c, mark in zip(self, marks, strict=True)
        ]
        return display.table("claims", columns, rows)


class Plots:
    """The functions of `limitbench.plot` with these results as their first argument."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def __getattr__(self, name: str) -> Callable[..., Axes]:
        from limitbench import plot

        if name.startswith("_") or name not in plot.__all__:
            raise AttributeError(f"limitbench.plot has no function {name!r}; it has {', '.join(plot.__all__)}")
        return partial(getattr(plot, name), self._tree)

    def __dir__(self) -> list[str]:
        from limitbench import plot

        return list(plot.__all__)


@xr.register_datatree_accessor("limitbench")  # type: ignore[no-untyped-call]
class ResultsAccessor:
    """Questions to the results of one study, as `limitbench.run` and `open_results` return them.

    >>> import limitbench
    >>> tree = limitbench.run("shaped-relu", {"rate": [0.5], "width": [16], "aspect": [1.0]}, samples=4096)
    >>> tree.limitbench.best("correlation").item()
    'finite-width-chain'
    >>> tree.limitbench.verdicts("infinite-width", "correlation").squeeze().item()
    'fails'
    >>> law = tree.limitbench.law("correlation", "covariance-sde", width=16)
    >>> round(law.mean, 2)
    0.34
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    @property
    def study(self) -> Study | None:
        """The study, with the theories that compete in these results; None where it is not installed."""
        return studies.of(self._tree)

    def claims(self, *verdicts: str) -> Ledger:
        """The ledger of the run, or the claims with one of these verdicts; empty until the run has finished."""
        if "claims" not in self._tree.children:
            return Ledger(())
        stored = self._tree["claims"].to_dataset()
        fields = [field.name for field in dataclasses.fields(Claim) if field.name in stored.variables]
        columns = [stored["claim"].to_numpy(), *(stored[name].to_numpy() for name in fields)]
        values = zip(*(column.tolist() for column in columns), strict=True)
        rows = [dict(zip(("name", *fields), row, strict=True)) for row in values]
        return Ledger([Claim(**row) for row in rows if not verdicts or row["verdict"] in verdicts])

    def verdicts(self, theory: str | None = None, observable: str | None = None) -> xr.DataArray:
        """`holds`, `fails`, `undecided`, or nothing where there is no score; of one theory or observable, or of all."""
        return self._pick(self._tree["scores"].to_dataset()["verdict"], theory, observable)

    def distances(self, theory: str | None = None, observable: str | None = None) -> xr.DataArray:
        """D of every cell, of one theory or observable, or of all; NaN where there is no score."""
        return self._pick(self._tree["scores"].to_dataset()["distance"], theory, observable)

    def best(self, observable: str | None = None) -> xr.DataArray:
        """The competitor of the least D in every cell, empty where none has one.

        The least D as measured: where two intervals overlap, `limitbench.statistics.ranking` says how sure that is.
        """
        distance = self.distances(observable=observable)
        known = self.study
        checks = {theory.name for theory in known.theories if theory.role == "check"} if known is not None else set()
        distance = distance.sel(theory=[name not in checks for name in distance["theory"].to_numpy()])
        names = distance["theory"].to_numpy()
        nearest = names[distance.fillna(np.inf).argmin("theory").to_numpy()]
        scored = distance.notnull().any("theory")
        return scored.copy(data=np.where(scored, nearest, "")).rename("best")

    def law(self, observable: str, theory: str, **cell: Value) -> Law:
        """The law that `theory` predicts for `observable` in one cell, named by its axes (and `depth`, `alpha`).

        Exact where the study is installed; else through the 513 quantiles of the store, with tails as of a normal law.
        Raises `InputError` where no cell is called so, or several are, or the theory says nothing there.
        """
        (at, parameters), known = self._cell(cell), self.study
        names = self._tree["laws"]["theory"].to_numpy().tolist()
        if theory not in names:
            raise InputError("theory", theory, "one of " + ", ".join(names))
        competitor = next((t for t in known.theories if t.name == theory), None) if known is not None else None
        if competitor is not None:
            if (reason := competitor.skip(parameters)) is not None:
                raise InputError("theory", theory, f"one that applies at this cell ({reason})")
            return competitor.build(parameters).law(observable)
        if observable not in self._tree["laws"]:
            raise InputError("observable", observable, "one that a theory has a law for")
        quantiles = self._tree["laws"][observable].isel(at).sel(theory=theory).to_numpy()
        if not np.isfinite(quantiles).all() or np.ptp(quantiles) == 0:
            raise InputError("theory", theory, f"one with a continuous law of {observable} in this store")
        rises = np.diff(quantiles, prepend=-np.inf) > 0
        return Tabulated(quantiles[rises], quantile_levels()[rises], cdf_error=1e-4)

    @property
    def plot(self) -> Plots:
        """The functions of `limitbench.plot` on these results: `tree.limitbench.plot.overlay("correlation")`."""
        return Plots(self._tree)

    def _cell(self, wanted: dict[str, Value]) -> tuple[dict[str, int], dict[str, Value]]:
        axes = [str(axis) for axis in self._tree["run"]["n_samples"].dims]
        for name in wanted:
            if name not in (*axes, "depth", "alpha"):
                raise InputError("axis", name, "one of " + ", ".join(dict.fromkeys([*axes, "depth", "alpha"])))
        cells = [cell for cell in cells_with_networks(self._tree) if matches(cell[1], wanted)]
        if len(cells) != 1:
            several = [axis for axis in axes if len({cell[1][axis] for cell in cells}) > 1]
            more = f"; give {' and '.join(several)} too" if several else ""
            raise InputError("cell", wanted, f"axis values of one cell with networks, not of {len(cells)}{more}")
        return cells[0]

    def _pick(self, values: xr.DataArray, theory: str | None, observable: str | None) -> xr.DataArray:
        for dimension, wanted in (("theory", theory), ("observable", observable)):
            if wanted is not None:
                names = values[dimension].to_numpy().tolist()
                if wanted not in names:
                    raise InputError(dimension, wanted, "one of " + ", ".join(names))
                values = values.sel({dimension: wanted})
        return values

    def _rows(self) -> Iterator[tuple[object, ...]]:
        verdicts, distances = self.verdicts(), self.distances()
        known = self.study
        titles = {theory.name: theory.title for theory in known.theories} if known is not None else {}
        for name in verdicts["theory"].to_numpy().tolist():
            words = verdicts.sel(theory=name).to_numpy()
            counts = [int((words == verdict).sum()) for verdict in ("holds", "fails", "undecided")]
            if sum(counts):
                yield titles.get(name, name), *counts, max(float(distances.sel(theory=name).median()), 0.0)

    def _repr_html_(self) -> str:
        """How often each theory holds, then the ledger."""
        known = self.study
        heading = known.title if known is not None else str(self._tree.attrs.get("study", "results"))
        columns = ("theory", "holds", "fails", "undecided", "median D")
        return display.table(heading, columns, self._rows()) + self.claims()._repr_html_()


@xr.register_dataset_accessor("limitbench")  # type: ignore[no-untyped-call]
class SamplesAccessor:
    """Networks against a theory without a sweep.

    >>> import limitbench
    >>> from limitbench.theories.shaped_relu import CovarianceSDE
    >>> drawn = limitbench.ShapedMLP(depth=32, width=32, rho0=0.3).sample(4096)
    >>> theory = CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=0.3)
    >>> drawn.limitbench.score("correlation", theory).verdict
    'holds'
    """

    def __init__(self, drawn: xr.Dataset) -> None:
        self._drawn = drawn

    def score(self, observable: str, law: Law | Theory, **options: Any) -> Score:
        """D of these networks from a law, or from the law that a theory has for `observable`; options as of `score`.

        Raises `InputError` where they have no such observable, or have it at several depths.
        """
        if observable not in self._drawn:
            raise InputError("observable", observable, "one of " + ", ".join(map(str, self._drawn.data_vars)))
        values = self._drawn[observable]
        if values.dims != ("sample",):
            raise InputError(observable, values.dims, "values along `sample` alone: choose one depth by .isel(depth=0)")
        return score(values.to_numpy(), law.law(observable) if isinstance(law, Theory) else law, **options)
