"""The other way round: the width, slope, rate, gain or weight of branches that keeps a quantity within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from limitbench.advice import piecewise, residual
from limitbench.advice.architecture import WIDEST, Architecture, PiecewiseMLP, ReluResNet, SmoothMLP
from limitbench.advice.gradient_words import count
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.merging import piecewise_drift, residual_drift, typical_gap
from limitbench.errors import InputError
from limitbench.networks.checks import number

Knob = Literal["width", "branch", "slope", "rate", "gain", "sigma-w2"]
QUANTITIES = ("sd-log-norm", "gap", "log-norm", "gradient", "sd-log-gradient")

#: Tolerance of a continuous knob, relative to its distance from the end where nothing is shaped.
_TOLERANCE = 1e-5
#: Seconds that the confirming run may take; fewer networks are drawn where 4096 would take longer.
_SECONDS = 20.0
_NETWORKS, _FEWEST = 4096, 128
#: Logs beyond this are beyond the range of floats.
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Budget:
    """What has to be kept: `sd-log-norm` at most, `gap` (median of 1 - correlation) at least, `log-norm` mean equal.

    Of mean-field residual networks also `gradient`, the mean ratio of the squared gradient at the input to that at the
    output or its inverse, and `sd-log-gradient`, both at most.

    Raises `InputError` where a value cannot be accepted.
    """

    quantity: str
    value: Any

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise InputError("budget", self.quantity, " or ".join(f"{name}=VALUE" for name in QUANTITIES))
        value = number(f"budget {self.quantity}", self.value)
        if self.quantity != "log-norm" and value <= 0:
            raise InputError(f"budget {self.quantity}", self.value, "a positive number")
        if self.quantity == "gradient" and value <= 1:
            raise InputError(f"budget {self.quantity}", self.value, "a number above 1")
        object.__setattr__(self, "value", value)

    def met(self, value: float) -> bool:
        """Whether a value of the quantity is within the budget."""
        bound = float(self.value)
        if self.quantity == "log-norm":
            return abs(value - bound) < 1e-9 * max(1.0, abs(bound))
        return value >= bound if self.quantity == "gap" else value <= bound


@dataclass(frozen=True)
class Confirmation:
    """One exact run at the answer: the measured quantity, its standard error, and how many networks were drawn."""

    measured: float
    se: float
    networks: int


@dataclass(frozen=True)
class Answer:
    """Where the budget is met with the least change.

    Attributes:
        budget, knob: what was asked.
        met: whether any value of the knob meets it.
        value: the knob's value: the answer, or where the best is reached.
        predicted: the quantity there.
        present: the quantity of the network as it was described.
        network: the network at that value.
        confirmation: the exact run; None where none was made.
    """

    budget: Budget
    knob: Knob
    met: bool
    value: float
    predicted: float
    present: float
    network: Architecture
    confirmation: Confirmation | None = None


def within_budget(network: Architecture, budget: Budget, knob: Knob, *, confirm: bool = True) -> Answer:
    """The value of `knob` nearest to an unshaped, narrow network that meets the budget at this depth.

    `width` gives the smallest width, `slope` the smallest slope of negative arguments, `branch` the largest branch
    weight lambda^2 (alpha^2 + lambda^2 = 1), `rate` the smallest shaping rate, `gain` the one that moves
    the mean log norm to its value, `sigma-w2` the largest variance of a mean-field network's w. Predictions are those
    of the finest theory; `confirm` draws up to 4096 networks at the answer.

    Raises `InputError` where the knob is not one of this network or does not move the quantity, and where mean
    gradients exceed the recurrence at the network's width. Cost: up to 20 s.

    Example: `within_budget(predict("mlp", depth=50, width=256).network, Budget("sd-log-norm", 0.5), "width").value`.
    """
    at = _turn(network, budget, knob)
    present = predicted(network, budget.quantity)
    if knob == "gain":
        assert isinstance(network, PiecewiseMLP)
        mean = present - network.log_norm_shift
        value, met = math.exp((budget.value - mean) / (2 * network.depth)), True
    elif knob == "sigma-w2":
        value, met = _largest_variance(network, budget)
    elif knob == "width":
        value, met = _smallest_width(at, budget)
    else:
        value, met = _least_change(at, budget, knob)
    found = at(value)
    answer = Answer(budget, knob, met, value, predicted(found, budget.quantity), present, found)
    return replace(answer, confirmation=confirmation(found, budget.quantity)) if confirm and met else answer


def predicted(network: Architecture, quantity: str) -> float:
    """The quantity, by the finest theory that has a formula for it."""
    if isinstance(network, PiecewiseMLP):
        if quantity != "gap":
            law = piecewise.norm_law(network)
            return law.std if quantity == "sd-log-norm" else law.mean + network.log_norm_shift
        chain, _ = piecewise.chain_theory(network)
        if chain is not None and "log_gap" in chain.observables:
            return math.exp(float(chain.law("log_gap").quantile(0.5)))
        return typical_gap(piecewise_drift(network), network.rho0, network.depth)
    if isinstance(network, ReluResNet):
        if quantity == "gap" and network.perceptron is not None:
            return predicted(network.perceptron, quantity)
        if quantity == "gap":
            return typical_gap(lambda z: residual_drift(z, network.branch_weight), network.rho0, network.depth)
        theory = residual.finite_depth(network)
        return math.sqrt(theory.variance) if quantity == "sd-log-norm" else theory.mean
    if isinstance(network, MeanFieldNetwork):
        from limitbench.advice import blocks

        if quantity == "gradient":
            if not blocks.follows_recurrence(network):
                least = count(blocks.mean_width(network))
                accepted = f"at least {least} for sigma_w2 {network.sigma_w2:g} at this depth"
                raise InputError("width", network.width, f"{accepted}, below which gradients exceed the recurrence")
            return math.exp(min(abs(blocks.log_ratio(network, network.sigma_w2)), _LARGEST_LOG))
        if quantity == "sd-log-gradient":
            return math.sqrt(blocks.log_variance(network, network.depth))
        return (
            next(row for row in blocks.opinions(network) if row.theory == "gaussian-fluctuations").laws["log_norm"].std
        )
    from limitbench.advice import smooth

    assert isinstance(network, SmoothMLP)
    return smooth.norm_law(network).std


def confirmation(network: Architecture, quantity: str, seed: int = 0) -> Confirmation | None:
    """The quantity in one exact run; None where even 128 networks would take more than 20 s."""
    inputs = 2 if quantity == "gap" else 1
    finite = network.network(inputs)
    # The norm of one input of a piecewise linear network takes a few variates a layer, at any width.
    cost = 1e-6 * network.depth if inputs == 1 and isinstance(network, PiecewiseMLP) else finite.cost("exact")
    networks = min(_NETWORKS, 1 << int(math.log2(max(_SECONDS / cost, 1))))
    if networks < _FEWEST:
        return None
    if quantity in ("gradient", "sd-log-gradient"):  # at the first layer: of all blocks together
        logs = finite.sample(networks, seed=seed, depths=[1])["log_chi"].to_numpy()[:, 0]
        return _mean_ratio(logs) if quantity == "gradient" else _deviation(logs[np.isfinite(logs)])
    drawn = finite.sample(networks, seed=seed)
    if isinstance(network, MeanFieldNetwork):
        return _deviation(drawn["log_length"].to_numpy())
    if quantity == "gap":
        gaps = np.exp(drawn["log_gap"].to_numpy()) if "log_gap" in drawn else 1 - drawn["correlation"].to_numpy()
        gaps = gaps[np.isfinite(gaps)]
        half = 0.5 / math.sqrt(gaps.size)
        low, middle, high = np.quantile(gaps, [0.5 - half, 0.5, 0.5 + half])
        return Confirmation(float(middle), float(high - low) / 2, gaps.size)
    norms = drawn["log_norm"].to_numpy()
    norms = norms[np.isfinite(norms)] + network.log_norm_shift
    if quantity == "log-norm":
        return Confirmation(float(norms.mean()), float(norms.std()) / math.sqrt(norms.size), norms.size)
    return _deviation(norms)


def _deviation(logs: Float[np.ndarray, " networks"]) -> Confirmation:
    """The standard deviation, whose standard error is that of the mean of squares."""
    centred = logs - logs.mean()
    variance = float(np.mean(centred**2))
    excess = float(np.mean(centred**4)) / variance**2 - 1
    return Confirmation(math.sqrt(variance), math.sqrt(variance * excess / (4 * logs.size)), logs.size)


def _mean_ratio(logs: Float[np.ndarray, " networks"]) -> Confirmation:
    """The arithmetic mean of exp(`logs`), or its inverse where that is larger."""
    ratios = np.exp(logs)
    mean, se = float(ratios.mean()), float(ratios.std()) / math.sqrt(logs.size)
    return Confirmation(mean, se, logs.size) if mean >= 1 else Confirmation(1 / mean, se / mean**2, logs.size)


def _turn(network: Architecture, budget: Budget, knob: Knob) -> Callable[[float], Architecture]:
    """The network at a value of the knob; raises `InputError` where there is no such knob."""
    fitting = knobs(network, budget.quantity)
    if knob not in fitting:
        raise InputError("vary", knob, " or ".join(fitting) or f"nothing: {budget.quantity} cannot be moved here")

    def changed(**values: object) -> Architecture:
        found: Architecture = replace(network, **values)  # type: ignore[type-var]  # descriptions are dataclasses
        return found

    if knob == "branch":
        return lambda value: changed(residual_weight=1 - value, growth=1.0, per_depth=False)
    if knob == "slope":
        return lambda value: changed(c_minus=value - 1, activation="leaky")
    if knob == "width" and isinstance(network, PiecewiseMLP):
        return lambda value: changed(widths=(round(value),) * network.depth)
    if knob == "width":
        return lambda value: changed(width=round(value))
    return lambda value: changed(**{knob.replace("-", "_"): value})


def knobs(network: Architecture, quantity: str) -> tuple[Knob, ...]:
    """The knobs that move this quantity of this network."""
    if isinstance(network, MeanFieldNetwork):
        found: dict[str, tuple[Knob, ...]] = {"gradient": ("sigma-w2",), "sd-log-norm": ("width",)}
        found["sd-log-gradient"] = ("width",) if network.self_averaging else ()
        return found.get(quantity, ())
    if quantity in ("gradient", "sd-log-gradient"):
        return ()
    if quantity == "log-norm":
        return ("gain",) if isinstance(network, PiecewiseMLP) else ()
    if quantity == "gap" and network.rho0 == 1:
        return ()  # parallel inputs stay parallel
    if isinstance(network, ReluResNet):
        return ("branch",) if quantity == "gap" else ("branch", "width")
    if isinstance(network, SmoothMLP):
        return ("width",) if quantity == "sd-log-norm" and network.rate == 0.5 else ()
    assert isinstance(network, PiecewiseMLP)
    if network.linear:
        return ("width",)
    return ("slope", "width") if network.unshaped else ("rate", "width")


def reachable(network: Architecture, budget: Budget) -> tuple[Knob, ...]:
    """The knobs that can meet this budget, by the predictions at their ends alone; a gap along its typical path."""
    return tuple(knob for knob in knobs(network, budget.quantity) if _reaches(network, budget, knob))


def _reaches(network: Architecture, budget: Budget, knob: Knob) -> bool:
    if knob in ("gain", "sigma-w2") or (knob == "width" and budget.quantity.startswith("sd-")):
        return True  # these move the mean anywhere; wide enough, nothing fluctuates
    at = _turn(network, budget, knob)
    ends = [at(value) for value in _ENDS.get(knob, (WIDEST,))]
    if budget.quantity == "gap" and isinstance(network, PiecewiseMLP):
        gaps = [typical_gap(piecewise_drift(end), network.rho0, network.depth) for end in ends]  # type: ignore[arg-type]
        return any(map(budget.met, gaps))
    return any(budget.met(predicted(end, budget.quantity)) for end in ends)


def _smallest_width(at: Callable[[float], Architecture], budget: Budget) -> tuple[int, bool]:
    """By bisection in the integers; (widest, False) where even that is not enough."""
    # SDEs reach as far as t = 64.
    low = at(WIDEST).depth // 64 if isinstance(at(WIDEST), SmoothMLP) else 0
    high = low + 1
    while not budget.met(predicted(at(high), budget.quantity)):
        if high == WIDEST:
            return WIDEST, False
        low, high = high, min(2 * high, WIDEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if budget.met(predicted(at(middle), budget.quantity)) else (middle, high)
    return high, True


def _largest_variance(network: Architecture, budget: Budget) -> tuple[float, bool]:
    """The upper end of the window of variances; (smallest variance, False) where there is none."""
    from limitbench.advice import blocks

    assert isinstance(network, MeanFieldNetwork)
    _, high = blocks.sigma_window(network, budget.value)
    if math.isnan(high):
        return blocks.SMALLEST, False
    return min(high, blocks.LARGEST), True


#: From the value that changes most (where the quantity is best) to the one that changes least.
_ENDS: dict[str, tuple[float, float]] = {"slope": (1.0, 0.0), "rate": (4.0, 0.0), "branch": (1e-9, 1.0)}


def _least_change(at: Callable[[float], Architecture], budget: Budget, knob: Knob) -> tuple[float, bool]:
    """By Brent's method between the knob's ends, in the log of the branch weight."""
    best, least = _ENDS[knob]
    if budget.met(predicted(at(least), budget.quantity)):
        return least, True
    if not budget.met(predicted(at(best), budget.quantity)):
        return best, False
    logarithmic = knob == "branch"

    def value(x: float) -> float:
        return math.exp(x) if logarithmic else x

    def excess(x: float) -> float:
        return math.log(predicted(at(value(x)), budget.quantity) / budget.value)

    ends = [math.log(x) if logarithmic else x for x in (best, least)]
    root = float(brentq(excess, ends[0], ends[1], xtol=_TOLERANCE))
    step = math.copysign(_TOLERANCE, ends[0] - ends[1])
    while not budget.met(predicted(at(value(root)), budget.quantity)):
        root += step
    return value(root), True
