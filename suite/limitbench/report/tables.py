"""Tables of the report: plain rows of text, numbers already formatted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limitbench.report.results import Results, Slice
from limitbench.report.style import NO_VERDICT, VERDICTS, count, number, percent, plain, trimmed, verdict_mark
from limitbench.report.words import standings
from limitbench.studies.base import RELATION_MARK
from limitbench.studies.evidence import STANDARD_ERRORS

MOST_ROWS = 400
#: Columns named beside a reason why their blocks failed.
MOST_NAMED = 6


@dataclass(frozen=True)
class Table:
    """A table: caption, column heads, rows of cell texts; the first `labels` columns are text, the rest numbers."""

    caption: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    labels: int = 1
    note: str = ""


@dataclass(frozen=True)
class ClaimRow:
    """One claim of the ledger, as text; `ident` is its identifier on the page, `reference` the key of its paper."""

    ident: str
    name: str
    text: str
    predicted: str
    measured: str
    se: str
    off: str
    distance: str
    verdict: str
    mark: str
    word: str
    seconds: str
    command: str
    reference: str


_ORDER = {"fails": 0, "undecided": 1, "holds": 2, "unmeasured": 3}


def ledger(results: Results, ident: str = "") -> list[ClaimRow]:
    """All claims: failures first, then undecided ones, those that hold, and those that the run has no cells for.

    `ident` is the prefix of their identifiers on the page.
    """
    claims = results.group("claims")
    if "verdict" not in claims:
        return []
    claims = claims.load()
    rows = []
    for k in range(claims.sizes["claim"]):
        one = {name: claims[name].isel(claim=k).item() for name in claims.data_vars if claims[name].dims == ("claim",)}
        name = str(claims["claim"][k].item()) if "claim" in claims.coords else f"claim {k + 1}"
        verdict = str(one.get("verdict", "undecided"))
        predicted, measured, se, distance = (
            float(one.get(f, np.nan)) for f in ("predicted", "measured", "se", "distance")
        )
        if verdict == "undecided" and np.isnan(measured):
            verdict = "unmeasured"
        relation = RELATION_MARK.get(str(one.get("relation", "")), "")
        off = (measured - predicted) / se if se > 0 and not relation else np.nan
        if verdict == "holds" and abs(off) > STANDARD_ERRORS:  # judged by a tolerance, which the text names
            off = np.nan
        rows.append(
            ClaimRow(
                ident=f"{ident}-claim-{k + 1}",
                name=name,
                text=str(one.get("text", "")),
                predicted=relation + trimmed(predicted),
                measured=number(measured, 4),
                se=number(se, 2),
                off=number(round(off, 2), 2) if np.isfinite(off) else "–",
                distance=number(max(distance, 0.0) if np.isfinite(distance) else np.nan, 2),
                verdict=verdict,
                mark=verdict_mark(verdict),
                word=VERDICTS.get(verdict, NO_VERDICT)[1],
                seconds=number(one.get("seconds", np.nan), 2),
                command=str(one.get("command", "")),
                reference=str(one.get("reference", "")),
            )
        )
    return sorted(rows, key=lambda row: _ORDER.get(row.verdict, 1))


@dataclass(frozen=True)
class RankRow:
    """One theory in the ranking."""

    theory: str
    median: str
    holds: int
    fails: int
    undecided: int
    scored: int
    shares: tuple[float, float, float]
    best: str


def ranking(results: Results, observable: str | None = None) -> list[RankRow]:
    """Theories best first, with shares of cells and how often each is the best."""
    return [
        RankRow(
            theory=s.theory,
            median=number(max(s.median, 0.0), 2),
            holds=s.holds,
            fails=s.fails,
            undecided=s.undecided,
            scored=s.scored,
            shares=(100 * s.holds / s.scored, 100 * s.undecided / s.scored, 100 * s.fails / s.scored),
            best=percent(s.best, s.scored),
        )
        for s in standings(results, observable)
    ]


def scores_table(results: Results, observable: str) -> Table:
    """D with interval and verdict: one row per cell, one column per theory."""
    o = results.observables.index(observable)
    theories = results.said(observable)
    columns = [results.theories.index(t) for t in theories]
    distance, verdicts = results.distance[..., o, :], results.verdicts[..., o, :]
    low, high = results.score("distance_low")[..., o, :], results.score("distance_high")[..., o, :]
    axes = [a for a in results.axes if len(results.values(a)) > 1 or a not in results.slice_axes]
    unequal = bool(results.sequential.any())
    rows: list[tuple[str, ...]] = []
    for cell in np.ndindex(*distance.shape[:-1]):
        if not np.isfinite(distance[cell]).any():
            continue
        index = dict(zip(results.axes, cell, strict=True))
        labels = [plain(results.values(a)[index[a]]) for a in axes]
        if unequal:
            labels.append(count(results.counts[cell]))
        texts = [
            f"{verdict_mark(str(verdicts[cell][t]))} {number(distance[cell][t], 2)} "
            f"[{number(low[cell][t], 2)}, {number(high[cell][t], 2)}]"
            if np.isfinite(distance[cell][t])
            else "–"
            for t in columns
        ]
        rows.append((*labels, *texts))
    note = f"The first {MOST_ROWS} of {len(rows)} cells; the store holds all." if len(rows) > MOST_ROWS else ""
    networks = ("networks",) if unequal else ()
    head = (*(results.symbol(a) for a in axes), *networks, *(results.theory_title(t) for t in theories))
    caption = f"D [interval] and verdict, {results.observable_title(observable)}"
    return Table(caption, head, rows[:MOST_ROWS], labels=len(axes) + unequal, note=note)


def detectability_summary(results: Results) -> Table:
    """N* over the grid, median (smallest – largest): rows theories, columns the observables that have one."""
    n_star = results.score("n_star")
    known = (~np.isnan(n_star)).any(axis=tuple(range(n_star.ndim - 2)))
    shown = [o for o in range(len(results.observables)) if known[o].any()]
    rows = [
        (results.theory_title(theory), *(_median_and_range(n_star[..., o, t]) for o in shown))
        for t, theory in enumerate(results.theories)
        if known[:, t].any()
    ]
    head = ("theory", *(results.observable_title(results.observables[o]) for o in shown))
    return Table("N*: median over the cells (smallest – largest)", head, rows)


def _median_and_range(values: np.ndarray) -> str:
    values = values[~np.isnan(values)]
    return f"{count(np.median(values))} ({count(values.min())} – {count(values.max())})" if values.size else "–"


def detectability(results: Results, at: Slice, observable: str) -> Table:
    """N* at one slice: rows theory and depth, columns width."""
    n_star = results.score("n_star")
    depths, widths = results.axis_labels(results.depth_axis), results.axis_labels(results.width_axis)
    rows = [
        (results.theory_title(theory), depth, *("–" if np.isnan(v) else count(v) for v in plane[i]))
        for theory in results.said(observable)
        for plane in (results.plane(n_star, at, observable, theory),)
        for i, depth in enumerate(depths)
    ]
    head = ("theory", results.symbol(results.depth_axis or "depth"), *(f"n = {w}" for w in widths))
    return Table(f"N*, {results.observable_title(observable)}, {at.label}", head, rows, labels=2)


def skipped(results: Results) -> Table:
    """Theories that do not apply somewhere, with the reason and the number of cells."""
    tally: dict[tuple[str, str], int] = {}
    if "skipped" in results.run:
        reasons = results.run["skipped"].transpose(..., "theory").to_numpy().reshape(-1, results.run.sizes["theory"])
        for t, theory in enumerate(results.run["theory"].to_numpy()):
            for reason in reasons[:, t]:
                if str(reason).strip():
                    entry = (results.theory_title(str(theory)), str(reason).strip())
                    tally[entry] = tally.get(entry, 0) + 1
    rows: list[tuple[str, ...]] = [(theory, reason, str(cells)) for (theory, reason), cells in tally.items()]
    return Table("Where theories do not apply", ("theory", "reason", "cells"), rows[:MOST_ROWS], labels=2)


def failures(results: Results) -> Table:
    """Why blocks failed and were set aside: each reason as it was raised, with the columns that it struck."""
    struck: dict[str, list[str]] = {}
    run = results.run
    if "error" in run:
        errors = run["error"].transpose(*results.axes).to_numpy()
        shared = results.axes.index(results.depth_axis) if results.depth_axis else None
        for cell in np.ndindex(*errors.shape):
            if str(errors[cell]).strip() and (shared is None or cell[shared] == 0):  # depths share their blocks
                index = dict(zip(results.axes, cell, strict=True))
                label = results.cell_label({a: i for a, i in index.items() if a != results.depth_axis}, all_axes=True)
                struck.setdefault(str(errors[cell]).strip(), []).append(label or "the only one")
    rows: list[tuple[str, ...]] = []
    for reason, labels in sorted(struck.items(), key=lambda item: -len(item[1])):
        more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
        rows.append((reason, "; ".join(labels[:MOST_NAMED]) + more, str(len(labels))))
    note = "The command under provenance tries them again, as does --retry-failed with nothing else."
    if len(rows) > MOST_ROWS:
        note = f"The first {MOST_ROWS} of {len(rows)} reasons. {note}"
    return Table("Blocks that were set aside", ("reason", "where", "columns"), rows[:MOST_ROWS], labels=2, note=note)


def throughput(results: Results) -> Table:
    """Networks per second by width: median over the other axes."""
    rate = networks_per_second(results)
    if results.width_axis is None or not np.isfinite(rate).any():
        return Table("Networks per second", ("width", "median", "smallest", "largest"), [])
    k = results.axes.index(results.width_axis)
    rows = []
    for i, width in enumerate(results.axis_labels(results.width_axis)):
        values = np.take(rate, i, axis=k).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            rows.append((width, *(number(v) for v in (np.median(values), values.min(), values.max()))))
    return Table("Networks per second of compute, by width", ("width", "median", "smallest", "largest"), rows)


def networks_per_second(results: Results) -> np.ndarray:
    """Networks per second of every column, with dims as the grid but one depth; NaN where it was not timed.

    A column is one pass to its deepest cell, and its seconds are those of drawing and scoring, shared among its cells.
    """
    if "seconds" not in results.run:
        return np.full([1] * len(results.axes), np.nan)
    seconds = results.run["seconds"].transpose(*results.axes).to_numpy().astype(float)
    counts = results.counts
    if results.depth_axis:
        k = results.axes.index(results.depth_axis)
        seconds, counts = np.nansum(seconds, axis=k, keepdims=True), counts.max(axis=k, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((seconds > 0) & (counts > 0), counts / seconds, np.nan)
