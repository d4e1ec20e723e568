"""The answer in sentences."""

from __future__ import annotations

import math

from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet
from limitbench.advice.budget import Answer, Budget, reachable
from limitbench.advice.gradient_words import block_sentences, gradient_sentences
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.merging import INFINITE_WIDTH
from limitbench.advice.predict import Prediction
from limitbench.errors import InputError

#: From this standard deviation of the log norm on, and below this gap, advice is given how to lower or raise it.
_LARGE_SPREAD, _SMALL_GAP = 0.5, 0.05
_SPREAD, _GAP = Budget("sd-log-norm", _LARGE_SPREAD), Budget("gap", _SMALL_GAP)
#: Standard errors from which on prediction and run are said to disagree.
_DISAGREES = 4.5
#: Death probabilities below this are not worth a sentence.
_DEATH = 1e-6


def sentences(prediction: Prediction) -> list[str]:
    """What the rows amount to, one sentence each."""
    found = [*_norm(prediction), *_inputs(prediction), *_infinite_width(prediction)]
    if prediction.gradient is not None:
        found += gradient_sentences(prediction.gradient)
        if prediction.blocks is not None:
            assert isinstance(prediction.network, MeanFieldNetwork)
            found += block_sentences(prediction.network, prediction.blocks, prediction.gradient)
    if prediction.death_probability > _DEATH:
        found.append(
            f"With probability {prediction.death_probability:.2g} some layer is off for a given input; log-norm is "
            "given that none is."
        )
    return found + _advice(prediction)


def _norm(prediction: Prediction) -> list[str]:
    best = prediction.best("log_norm")
    if best is None:
        return []
    mean, std = best.log_norm
    kept = " with its expected growth taken off" if isinstance(prediction.network, ReluResNet) else ""
    return [
        f"At t = {prediction.time:.4g} the log squared norm{kept} is {mean:.4g} ± {std:.4g} ({best.theory}): one "
        f"standard deviation is a factor of {math.exp(min(std, 700)):.3g} in the squared norm."
    ]


def _inputs(prediction: Prediction) -> list[str]:
    found = []
    best = prediction.best("log_gap")
    rho0 = prediction.network.rho0
    unsure = _too_large(prediction)
    if best is not None and rho0 < 1:
        found.append(
            f"Two inputs of correlation {rho0:g} leave with a median 1 - ρ of {best.median_gap:.4g} ({best.theory}"
            f"{', which overestimates it' if unsure else ''})."
        )
    merging = prediction.merging
    if merging is None or rho0 == 1:
        return found
    below = f"in {merging.precision} (1 - ρ below {merging.roundoff:.2g})"
    if math.isinf(merging.layer):
        return [*found, f"Inputs do not become indistinguishable {below} at any depth ({merging.how})."]
    if unsure:
        latest = f"at layer {merging.layer:,.0f} at the latest"
        return [*found, f"Inputs become indistinguishable {below} {latest}. {_TOO_LARGE}"]
    beyond = merging.layer - prediction.network.depth
    where = f"{beyond:,.0f} layers beyond the last" if beyond > 0 else "within this network"
    return [*found, f"Inputs become indistinguishable {below} at layer {merging.layer:,.0f}, {where} ({merging.how})."]


#: What is known of a ResNet's correlation at finite width.
_TOO_LARGE = (
    "That is infinite width, the only theory of a ResNet's correlation: it overestimates the median 1 - ρ, the more "
    "the larger lambda² depth/width is; a budget for gap is confirmed by an exact run."
)


def _too_large(prediction: Prediction) -> bool:
    """Whether the gap is that of infinite width in a network whose fluctuations make it smaller."""
    merging = prediction.merging
    return isinstance(prediction.network, ReluResNet) and merging is not None and merging.how.startswith(INFINITE_WIDTH)


def _infinite_width(prediction: Prediction) -> list[str]:
    """What the coarsest theory, which has no fluctuations, says beside what it is measured against."""
    row = prediction.rows[0]
    rows = {other.theory: other for other in prediction.rows}
    found = []
    for name, words in (("log_norm", "log norm"), ("correlation", "correlation")):
        if name in row.error:
            said, here = getattr(row, name), getattr(rows[row.error_from[name]], name)
            found.append(f"{words} {round(said.mean, 12) + 0.0:.4g} against {here.mean:.4g} ± {here.std:.2g} here")
    return [f"Infinite width has no fluctuations: it gives {', '.join(found)}."] if found else []


def _advice(prediction: Prediction) -> list[str]:
    network = prediction.network
    found = []
    norm, gap = prediction.best("log_norm"), prediction.best("log_gap")
    if norm is not None and norm.log_norm.std > _LARGE_SPREAD and (turn := _turns(network, _SPREAD)):
        found.append(_ask(_SPREAD, "for less spread of the norm", turn))
    if gap is not None and gap.median_gap < _SMALL_GAP < 1 - network.rho0 and (turn := _turns(network, _GAP)):
        found.append(_ask(_GAP, "to keep inputs apart", turn))
    if isinstance(network, PiecewiseMLP) and norm is not None and abs(norm.log_norm.mean) > 10:
        found.append(_ask(Budget("log-norm", 0.0), "to centre the log norm", ("gain",)))
    if prediction.blocks is not None and prediction.gradient is not None:
        budget = Budget("gradient", prediction.blocks.gradient_budget)
        if abs(prediction.gradient.log_mean) > math.log(budget.value):
            found.append(_ask(budget, "to have one exact run at the largest sigma_w2", ("sigma-w2",)))
    return found


def _turns(network: Architecture, budget: Budget) -> tuple[str, ...]:
    """The knobs that can meet the budget; none where a theory does not reach that far."""
    try:
        return reachable(network, budget)
    except InputError:
        return ()


def _ask(budget: Budget, purpose: str, turn: tuple[str, ...]) -> str:
    return f"Ask --budget {budget.quantity}={budget.value:g} --vary {'|'.join(turn)} {purpose}."


#: What a budget bounds, in words.
_BOUND = {
    "sd-log-norm": "sd(log-norm) at most",
    "gap": "median 1 - ρ at least",
    "log-norm": "mean log-norm",
    "gradient": "a mean gradient ratio, or its inverse, of at most",
    "sd-log-gradient": "sd(log gradient ratio) at most",
}


def answer_sentences(answer: Answer) -> list[str]:
    """The answer to a budget: the value, what is predicted there, and what one exact run measured."""
    bound = f"{_BOUND[answer.budget.quantity]} {answer.budget.value:.6g}"
    value = f"{answer.knob} = {answer.value:,}" if answer.knob == "width" else f"{answer.knob} = {answer.value:.6g}"
    if answer.knob == "branch":
        value = f"branch weight lambda² = {answer.value:.6g} (residual weight alpha² = {1 - answer.value:.6g})"
    known = math.isfinite(answer.present)
    now = f"it is {answer.present:.4g} for the network as given" if known else "nothing is known at the width as given"
    if not answer.met and not math.isfinite(answer.predicted):
        return [f"No {answer.knob} is known to give {bound} at this depth: up to {value} nothing is known of it."]
    if not answer.met:
        return [
            f"No {answer.knob} gives {bound} at this depth: the best is {answer.predicted:.4g}, at {value}; {now}.",
        ]
    skipped = isinstance(answer.network, ReluResNet) and answer.network.perceptron is None
    basis = " by infinite width, which overestimates it" if skipped and answer.budget.quantity == "gap" else ""
    found = [f"{value} gives {bound}: predicted {answer.predicted:.4g}{basis}; {now}."]
    run = answer.confirmation
    if run is not None:
        found.append(f"One exact run of {run.networks} networks there measures {run.measured:.4g} ± {run.se:.2g}.")
        missed = run.measured - answer.predicted
        if abs(missed) > _DISAGREES * run.se:
            error = f"{abs(missed / answer.predicted):.1%} " if answer.predicted else ""
            found.append(
                f"The prediction misses it by {error}({abs(missed) / run.se:.0f} standard errors): trust the run."
            )
    return found
