"""What a check amounts to, in sentences: every number is computed, and what is extrapolated says so."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from limitbench.advice.check.limits import FORMATS, Limit, course
from limitbench.advice.check.perceptrons import SlopedCase
from limitbench.advice.check.result import TITLES, CellResult, Check, Line
from limitbench.advice.gradient_words import factor

#: From this standard deviation of the log norm on, and below this gap, it is said how to change that.
_LARGE_SPREAD, _SMALL_GAP = 0.5, 0.05
#: Factors by which a mean squared norm may change over the depth before it is said how to keep it.
_KEPT = 2.0
#: Factor within which mean squared gradients should stay.
_RATIO = 10.0
#: Growth of the mean square over the measured depth that is called none.
_STEADY = math.log(1.5)


def what_it_is(cell: CellResult) -> list[str]:
    """The architecture and its weights, or why no theory here is about it."""
    found = []
    if cell.case is not None:
        found.append(f"It computes {article(cell.case.words)}.")
    elif cell.reasons:
        found.append(f"Outside all theories of this package: {'; '.join(cell.reasons)}. What follows is measured.")
    if cell.initial is not None:
        of = "" if cell.case is not None else f"Its {len(cell.measured.weights)} linear maps and convolutions: "
        found.append(f"{of}{cell.initial.words if of else sentence(cell.initial.words)}.")
    if cell.case is not None and cell.initial is not None and cell.initial.name == "PyTorch's default":
        found += _decay(cell)
    found += _convolutions(cell)
    if isinstance(cell.case, SlopedCase):
        found.append(_counted(cell.case))
    return found + [f"{sentence(note)}." for note in cell.measured.cell.notes]


def _decay(cell: CellResult) -> list[str]:
    """What PyTorch's default does to squared norms, computed and measured."""
    case = cell.case
    assert case is not None
    if case.reading.family != "mlp" or not all(f.slopes for f in case.reading.activations):
        return []
    slopes = case.reading.activations[0].slopes
    assert slopes is not None
    matrix = case.reading.layers[case.depth - 1]
    variance = case.variances[matrix.node]
    rate = variance.w * (slopes[0] ** 2 + slopes[1] ** 2) / 2
    start, last = case.path.log_square(0), case.path.log_square(case.depth)
    measured = float(np.exp(cell.measured.at("log_square", case.reading.features[-1])).mean())
    text = f"A layer multiplies the mean squared norm by {rate:.4g} (1/{1 / rate:.3g})"
    if variance.b:
        floor = variance.b * (slopes[0] ** 2 + slopes[1] ** 2) / 2 / (1 - rate)
        text += f" and its biases hold a floor of {floor:.3g} a unit"
    return [
        f"{text}: over {case.depth} layers from {math.exp(start):.3g} to {math.exp(last):.3g} a unit; measured "
        f"{measured:.3g}."
    ]


def _convolutions(cell: CellResult) -> list[str]:
    """What is known of a stack of convolutions, from its weights alone: the growth of the mean square per layer."""
    nodes = cell.measured.cell.nodes
    convolutions = [n for n in nodes if n.kind == "convolution"]
    if not convolutions or cell.initial is None or math.isnan(cell.initial.sigma_w2):
        return []
    return [
        f"Away from borders a convolution here turns features of mean square p into values of mean square "
        f"{cell.initial.sigma_w2:.4g} p{f' + {cell.initial.sigma_b2:.3g}' if cell.initial.sigma_b2 else ''} on average "
        "(its fan-in counts the kernel's entries); zero padding takes some of that away at borders. Correlations "
        "between positions, pooling and fluctuations are not covered."
    ]


def _counted(case: SlopedCase) -> str:
    """Which layers the laws count."""
    linear = sum(plus == minus for plus, minus in case.slopes_by_layer)
    v = case.variance
    gain = " over its expected growth" if case.offset("log_norm", case.depth) else ""
    some = f", {linear} of them linear" if linear else ""
    head = case.reading.layers[case.depth :]
    rest = ""
    if head:
        rest = (
            f" The matrix after them ({head[0].name}) has no activation and is not counted: such a linear layer of n "
            "units would add 2/n to the variance of the log squared norm and -1/n to its mean."
        )
    return (
        f"Counted are {case.depth} layers, each a matrix and its activation, from the input to the features after the "
        f"last activation{some}: the log-Gaussian limit of the log squared norm{gain} is "
        f"N({-v / 2:.4g}, {v:.4g}).{rest}"
    )


def theories(cell: CellResult) -> list[str]:
    """Which theory is the best for each observable, which hold and which fail."""
    found = []
    for name in dict.fromkeys(line.observable for line in cell.lines):
        lines = [line for line in cell.lines if line.observable == name]
        verdicts = {v: [line for line in lines if line.score.verdict == v] for v in ("holds", "fails", "undecided")}
        parts = [f"{_names(verdicts[v])} {v if len(verdicts[v]) == 1 else _PLURAL[v]}" for v in verdicts if verdicts[v]]
        text = f"{sentence(TITLES[name])}: {'; '.join(parts)}."
        if name in cell.best and len(lines) > 1:
            theory, probability = cell.best[name]
            line = cell.line(name, theory)
            sure = f" (with probability {probability:.2g})" if probability < 0.995 else ""
            found.append(f"{text} Closest{sure}: {line.title if line is not None else theory}.")
        else:
            found.append(text)
    return found


def closest(cell: CellResult) -> list[str]:
    """The theory with the smallest D, one sentence an observable."""
    found = []
    for name, (theory, probability) in cell.best.items():
        line = cell.line(name, theory)
        if line is not None:
            sure = f", the best with probability {probability:.2g}" if probability < 0.995 else ""
            alone = "" if sum(other.observable == name for other in cell.lines) > 1 else ", the only one"
            low, high = line.score.distance_low, line.score.distance_high
            between = "" if math.isnan(low) else f" in [{low:.2f}, {high:.2f}]"
            found.append(f"{sentence(TITLES[name])}: {line.title}, D = {_d(line)}{between}{sure}{alone}.")
    return found


_PLURAL = {"holds": "hold", "fails": "fail", "undecided": "are undecided"}


def _names(lines: Iterable[Line]) -> str:
    return ", ".join(f"{line.title} (D {_d(line)})" for line in lines)


def _d(line: Line) -> str:
    value = line.score.distance
    return "undefined" if math.isnan(value) else f"{max(value, 0.0):.{2 if value > 0.095 else 3}f}"


def behaviour(cell: CellResult) -> list[str]:
    """What explodes, vanishes or merges, and from which depth in which format."""
    seen = course(cell.measured)
    unit = _unit(cell)
    found = []
    change = float(seen.square[-1] - seen.square[0])
    if math.isfinite(change) and len(seen.square) > 1:
        way = "grows" if change > _STEADY else "shrinks" if change < -_STEADY else "stays"
        last = cell.measured.statistics["log_square"][:, -1]
        alive = np.isfinite(last)
        spread = float(np.std(last[alive]))
        if not alive.all():
            found.append(f"In {np.mean(~alive):.2g} of the networks the first input leaves as exactly 0 (dead).")
        found.append(
            f"The squared norm of a typical network {way}{changed_by(change)} from {unit} 1 to {len(seen.square)}; at "
            f"the output one standard deviation over networks is a factor of {factor(spread)}."
        )
    found += _formats(cell.limits, "overflow", "Values overflow", unit)
    found += _formats(cell.limits, "underflow", "Values underflow", unit)
    back = float(seen.gradient[0] - seen.gradient[-1])
    if math.isfinite(back) and len(seen.gradient) > 1:
        way = "grow" if back > _STEADY else "fade" if back < -_STEADY else "stay"
        found.append(
            f"Mean squared gradients by a {unit}'s values {way}{changed_by(back)} on their way from {unit} "
            f"{len(seen.gradient)} back to 1."
        )
    found += _formats(cell.limits, "gradient overflow", "Gradients overflow on their way back", unit, over=True)
    found += _formats(cell.limits, "gradient underflow", "Gradients underflow on their way back", unit, over=True)
    if math.isfinite(seen.gap[-1]):
        found.append(
            f"Two inputs leave with a median 1 - correlation of {math.exp(float(seen.gap[-1])):.3g} "
            f"({math.exp(float(seen.gap[0])):.3g} after {unit} 1)."
        )
    merging = _formats(cell.limits, "merging", "Inputs become the same to rounding", unit)
    return found + merging + _gram(cell, unit)


def _gram(cell: CellResult, unit: str) -> list[str]:
    condition, effective = spectra(cell)
    if not len(condition) or not np.isfinite(effective[-1]):
        return []
    inputs = cell.measured.spectra.shape[-1]
    return [
        f"The Gram matrix of the batch's {inputs} inputs ends with effective rank {effective[-1]:.3g} and condition "
        f"number {_large(condition[-1])} ({effective[0]:.3g} and {_large(condition[0])} for the inputs themselves)."
    ]


def spectra(cell: CellResult) -> tuple[np.ndarray, np.ndarray]:
    """Median condition number and mean effective rank of the Gram matrix at every point.

    The effective rank is exp of the entropy of the eigenvalues over their sum; a smallest eigenvalue that is rounding
    noise makes the condition number infinite.
    """
    values = np.maximum(cell.measured.spectra, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        smallest = np.where(values[..., 0] > 1e-14 * values[..., -1], values[..., 0], 0.0)
        condition = np.where(np.isnan(values[..., -1]), np.nan, values[..., -1] / smallest)
        entropy = -np.where(values > 0, values * np.log(np.where(values > 0, values, 1.0)), 0.0).sum(axis=-1)
    return np.median(condition, axis=0), np.exp(entropy).mean(axis=0)


def _formats(limits: Iterable[Limit], what: str, text: str, unit: str, *, over: bool = False) -> list[str]:
    met = [limit for name in FORMATS for limit in limits if (limit.what, limit.format) == (what, name)]
    met = [limit for limit in met if math.isfinite(limit.layer)]
    if not met:
        return []
    place = f"over {{}} {unit}s" if over else f"at {unit} {{}}"
    parts = [
        f"{limit.format} {place.format(f'{limit.layer:,.0f}')}{' (extrapolated)' if limit.extrapolated else ''}"
        for limit in met
    ]
    how = dict.fromkeys(limit.how for limit in met if limit.extrapolated)
    by = f"; extrapolated by {', '.join(how)}" if how else ""
    return [f"{text}: {', '.join(parts)}{by}."]


def headline(check: Check) -> str:
    """The whole in one or two sentences."""
    cells = check.cells
    outside = [cell for cell in cells if cell.case is None]
    if len(outside) == len(cells):
        reasons = "; ".join(cells[0].reasons) or "it was not recognised"
        return f"{check.name} was measured and is outside all theories of this package: {reasons}."
    shown = next(cell for cell in cells if cell.case is not None)
    assert shown.case is not None
    parts = []
    for cell in cells:
        lines = [line for line in cell.lines if line.observable == "log_norm"]
        said = [
            f"{_VERBS[verdict]} {'; '.join(titles)}"
            for verdict in ("holds", "fails")
            if (titles := [line.title for line in lines if line.score.verdict == verdict])
        ]
        where = f"{cell.title}: " if len(cells) > 1 else ""
        parts.append(where + (" — ".join(said) or "so few networks decide nothing"))
    # the sizes come last
    what = shown.case.words if len(cells) == 1 else shown.case.words.rpartition(", ")[0]
    return f"{check.name} is {article(what)}. Log squared norm: {'. '.join(parts)}."


_VERBS = {"holds": "holds:", "fails": "fails:"}


def _unit(cell: CellResult) -> str:
    return course(cell.measured).unit


def changed_by(log: float) -> str:
    """exp(log) as a factor, in words."""
    return f" by a factor of {factor(log)}" if abs(log) > _STEADY else f" (a factor of {factor(log)})"


def _large(value: float) -> str:
    return "infinity" if not math.isfinite(value) else factor(math.log(value)) if value > 0 else "0"


def article(words: str) -> str:
    """With `a` or `an` before it."""
    return f"{'an' if words.startswith(('MLP', 'erf')) else 'a'} {words}"


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]
