"""The verdict in words: every sentence, and every number in it, is computed from the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.report.results import Results
from limitbench.report.style import count, number, percent, plain

_UNSCORED = "No law of a theory could be scored on this grid; the claims say what was found."


@dataclass(frozen=True)
class Standing:
    """How one theory did over a set of cells.

    `best` counts the cells where no other theory's D is smaller, or where the smallest D lies inside this theory's
    interval; `alone` the cells where it has the smallest D.
    """

    theory: str
    scored: int
    holds: int
    fails: int
    undecided: int
    median: float
    best: int
    alone: int


def standings(results: Results, observable: str | None = None, where: dict[str, int] | None = None) -> list[Standing]:
    """Every scored competitor's standing, best first: by share of cells where it holds, then by median D.

    Arguments:
        results: the study's results.
        observable: one observable, or all of them together.
        where: positions on axes to restrict the grid to.
    """
    if not results.theories or not results.observables:
        return []
    index: list[object] = [(where or {}).get(a, slice(None)) for a in results.axes]
    index.append(slice(None) if observable is None else results.observables.index(observable))
    distance, verdicts, low = (
        values[tuple(index)].reshape(-1, len(results.theories))  # type: ignore[arg-type]
        for values in (results.distance, results.verdicts, results.score("distance_low"))
    )
    ranked = [t for t, theory in enumerate(results.theories) if not results.is_check(theory)]
    smallest = np.where(np.isfinite(distance), distance, np.inf)[:, ranked].min(axis=1, initial=np.inf)
    found = []
    for t in ranked:
        d, v = distance[:, t], verdicts[:, t]
        scored = np.isfinite(d)
        if not scored.any():
            continue
        alone = scored & (d <= smallest)
        tied = alone | (scored & (low[:, t] <= smallest))
        holds, fails, undecided = (int((v[scored] == word).sum()) for word in ("holds", "fails", "undecided"))
        median = float(np.median(d[scored]))
        found.append(
            Standing(
                results.theories[t],
                int(scored.sum()),
                holds,
                fails,
                undecided,
                median,
                int(tied.sum()),
                int(alone.sum()),
            )
        )
    return sorted(found, key=lambda s: (-s.holds / s.scored, s.median))


def verdict_sentences(results: Results) -> list[str]:
    """The study's answer: overall, the runners-up, per observable."""
    ranked = standings(results)
    if not ranked:
        return [headline(results)]
    scored = [o for o in results.observables if standings(results, o)]
    silent = [results.observable_title(o) for o in results.observables if o not in scored]
    return [
        headline(results),
        *followers(results, ranked[1:]),
        *(observable_sentence(results, o) for o in scored if len(scored) > 1),
        *([f"No theory says anything about {listing(silent)}: there for claims and figures."] if silent else []),
    ]


def along_sentences(results: Results) -> list[str]:
    """What changes along the axes: the leader at each value of a selector axis, trends with width and depth."""
    return [*axis_sentences(results), *trend_sentences(results)] if standings(results) else []


def headline(results: Results) -> str:
    """Which theory describes the networks best over the whole grid."""
    ranked = standings(results)
    if not ranked:
        return _UNSCORED if complete(results) else "No cell is scored yet, so there is no verdict."
    first = ranked[0]
    title = results.theory_title(first.theory)
    margin = plain(results.margin)
    share = f"{first.holds} of {first.scored} scores ({percent(first.holds, first.scored)})"
    middle = f"median D {number(max(first.median, 0.0), 2)}"
    if first.holds <= first.scored / 2 and first.undecided > first.fails:
        return (
            f"Most scores are undecided for lack of networks; the nearest theory, {title}, holds in {share}, fails in "
            f"{first.fails} and is undecided in {first.undecided}, {middle}."
        )
    if 0 < first.holds <= first.scored / 2:
        return (
            f"No theory holds (D at most {margin}) on most of this grid; the best, {title}, does in {share}, {middle}."
        )
    if first.holds == 0:
        return f"No theory holds anywhere on this grid (D at most {margin}); the nearest is {title}, {middle}."
    return (
        f"{title[0].upper() + title[1:]} describes these networks best: it holds (D at most {margin}) in "
        f"{share}{f', is undecided in {first.undecided}' if first.undecided else ''}, {middle}."
    )


def claims_sentence(verdicts: Sequence[str], studies: int = 1) -> str:
    """`Of 30 claims 2 fail, 3 are undecided and 25 hold.`, failures first; what was not measured is said apart."""
    tally = {verdict: list(verdicts).count(verdict) for verdict in ("fails", "undecided", "holds")}
    measured = sum(tally.values())
    of = f" of {studies} studies" if studies > 1 else ""
    if not verdicts:
        return "There are no claims yet."
    missing = len(verdicts) - measured
    apart = f"; {missing} {_more(missing)} measured" if missing else ""
    if not measured:
        return f"None of the {len(verdicts)} claims{of} is measured by this run."
    fails, undecided, holds = tally["fails"], tally["undecided"], tally["holds"]
    if holds == measured:
        every = f"All {measured} measured claims{of} hold" if measured > 1 else f"The one measured claim{of} holds"
        return f"{every}{apart}."
    parts = [
        f"{fails or 'none'} {'fails' if fails <= 1 else 'fail'}",
        *([f"{undecided} {'is' if undecided == 1 else 'are'} undecided"] if undecided else []),
        f"{holds or 'none'} {'holds' if holds <= 1 else 'hold'}",
    ]
    return f"Of {measured} measured claim{'s' if measured != 1 else ''}{of} {listing(parts)}{apart}."


def _more(count: int) -> str:
    return "more is not" if count == 1 else "more are not"


def followers(results: Results, others: Sequence[Standing]) -> list[str]:
    """One sentence about the second and the last of the ranking, where there are any."""
    if not others:
        return []
    second, last = others[0], others[-1]
    text = (
        f"Next comes {results.theory_title(second.theory)} with {second.holds} of {second.scored} "
        f"(median D {number(max(second.median, 0.0), 2)})"
    )
    if last is not second:
        text += (
            f"; last is {results.theory_title(last.theory)} with {last.holds} of {last.scored} "
            f"(median D {number(max(last.median, 0.0), 2)})"
        )
    return [text + "."]


def observable_sentence(results: Results, observable: str) -> str:
    """The best theory for one observable that has one, and where it still fails."""
    ranked = standings(results, observable)
    name = results.observable_title(observable)
    name = name[0].upper() + name[1:]
    first = ranked[0]
    title = results.theory_title(first.theory)
    text = f"{name}: {title} is nearest; it holds in {first.holds} of {first.scored} cells and fails in {first.fails}"
    text += f" ({first.undecided} are undecided)" if first.undecided else ""
    if len(ranked) > 1:
        text += f"; it has the smallest D, or one within error of it, in {first.best}"
    worst = worst_cells(results, first.theory, observable, 1)
    return text + (f". Its worst cell is {worst[0]}." if worst else ".")


def worst_cells(results: Results, theory: str, observable: str, most: int) -> list[str]:
    """The cells with the largest D, worst first, as `n = 16, d/n = 1 (D = 0.3 [0.28, 0.32])`."""
    o, t = results.observables.index(observable), results.theories.index(theory)
    distance = results.distance[..., o, t]
    low, high = results.score("distance_low")[..., o, t], results.score("distance_high")[..., o, t]
    order = np.argsort(np.where(np.isfinite(distance), -distance, np.inf), axis=None, kind="stable")
    found = []
    for flat in order[:most]:
        cell = np.unravel_index(flat, distance.shape)
        if not np.isfinite(distance[cell]):
            break
        label = results.cell_label(dict(zip(results.axes, (int(i) for i in cell), strict=True)))
        found.append(f"{label} (D = {number(distance[cell], 2)} [{number(low[cell], 2)}, {number(high[cell], 2)}])")
    return found


def axis_sentences(results: Results) -> list[str]:
    """One sentence per selector axis: which theory leads at each of its values."""
    sentences = []
    for axis in results.varying:
        parts = []
        for i, value in enumerate(results.values(axis)):
            ranked = standings(results, where={axis: i})
            if not ranked:
                continue
            first = ranked[0]
            title = results.theory_title(first.theory)
            at = results.where({axis: value})
            if first.holds:
                parts.append(f"at {at} {title} leads and holds in {first.holds} of {first.scored} scores")
            else:
                parts.append(f"at {at} no theory holds (nearest: {title}, median D {number(first.median, 2)})")
        if parts:
            text = "; ".join(parts)
            sentences.append(text[0].upper() + text[1:] + ".")
    return sentences


def trend_sentences(results: Results) -> list[str]:
    """How each theory's D moves with width and with depth, over all lines of the grid."""
    sentences = []
    along = "layer" if results.depth_axis == "layer" else "depth"
    for axis, name in ((results.width_axis, "width"), (results.depth_axis, along)):
        if axis is None or len(results.values(axis)) < 2:
            continue
        ends = results.values(axis)
        grows, falls = [], []
        for theory in results.theories:
            up, down, lines = _moves(results, axis, theory)
            if lines and up >= 0.9 * lines:
                grows.append(f"{results.theory_title(theory)} ({up} of {lines})")
            elif lines and down >= 0.9 * lines:
                falls.append(f"{results.theory_title(theory)} ({down} of {lines})")
        span = f"from {results.where({axis: ends[0]})} to {results.where({axis: ends[-1]})}"
        if grows:
            sentences.append(f"D grows with {name} {span} in nearly every line of the grid for {listing(grows)}.")
        if falls:
            sentences.append(f"D falls with {name} {span} in nearly every line of the grid for {listing(falls)}.")
    return sentences


def _moves(results: Results, axis: str, theory: str) -> tuple[int, int, int]:
    """Lines along `axis` on which D's end lies beyond its start by more than both intervals; and all lines."""
    k, t = results.axes.index(axis), results.theories.index(theory)

    def ends(field: str) -> tuple[np.ndarray, np.ndarray]:
        values = results.score(field)[..., t]
        return np.take(values, 0, axis=k), np.take(values, -1, axis=k)

    (low0, low1), (high0, high1) = ends("distance_low"), ends("distance_high")
    lines = np.isfinite(low0) & np.isfinite(low1)
    return int((lines & (low1 > high0)).sum()), int((lines & (high1 < low0)).sum()), int(lines.sum())


def completeness(results: Results) -> str | None:
    """A notice where cells are missing; None where the grid is complete."""
    missing, partial = int((results.counts == 0).sum()), results.unfinished
    if results.n_cells == 0:
        return "This store has no grid yet."
    if missing:
        return (
            f"This run is not finished: {missing} of {results.n_cells} cells are missing "
            f"({percent(missing, results.n_cells)}). Everything below is about the cells that are there; the command "
            "under provenance resumes the run."
        )
    if partial:
        return (
            f"This run is not finished: {partial} of {results.n_cells} cells lack some of their networks or scores; "
            "the command under provenance resumes the run."
        )
    return None


def complete(results: Results) -> bool:
    """Whether every cell is drawn and scored: nothing more will come."""
    return results.n_cells > 0 and "status" in results.run and not results.unfinished


def size_sentence(results: Results) -> str:
    """How much was drawn."""
    cells = int((results.counts > 0).sum())
    networks = results.counts[results.counts > 0]
    per = (
        f"{count(networks.min())} to {count(networks.max())}"
        if cells and networks.min() != networks.max()
        else count(networks.max(initial=0))
    )
    theories = "theory" if len(results.theories) == 1 else "theories"
    return (
        f"{cells} cells, {per} networks each, {len(results.theories)} {theories}, "
        f"{len(results.observables)} observable{'s' if len(results.observables) != 1 else ''}."
    )


def sampling_sentence(results: Results) -> str:
    """How many networks, in how many looks, cells took that were drawn until their verdicts were clear.

    Empty where every cell was given all its networks.
    """
    asked = results.counts_asked
    early = results.sequential
    if not early.any():
        return ""
    drawn, most = int(results.counts[early].sum()), int(asked[early].sum())
    looks = np.bincount(results.looks[early])
    taken = (f"{cells} took {look}" for look, cells in enumerate(looks) if cells)
    competing = [t for t, theory in enumerate(results.theories) if not results.is_check(theory)]
    undecided = (results.verdicts[..., competing] == "undecided")[early]
    last = undecided[results.counts[early] >= asked[early]]
    return (
        f"Each cell was drawn until its verdicts were clear: {count(drawn)} networks, {percent(drawn, most)} of the "
        f"{count(most)} that all cells may have, summed over cells. Of {int(early.sum())} cells {listing(list(taken))} "
        f"looks. Undecided verdicts: {int(undecided.sum())}, {int(last.sum())} of them in cells that have all their "
        "networks; the others were unlikely to be settled by these."
    )


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; semicolons where an item holds a comma itself."""
    separator = "; " if any(", " in item for item in items) else ", "
    return " and ".join([separator.join(items[:-1]), items[-1]] if len(items) > 1 else items)
