"""What mean-field theory says about a residual network: lengths, cosines, gradients, and how far to trust it.

The recurrences give means over networks: p_l and gamma_l forward, chi_{l-1} = (1 + sv2 sw2 E phi'^2) chi_l backward. At
width N the log of chi_0/chi_L is about normal with a variance v of order L/N and mean ln(recurrence) - v/2, so that a
typical network has less than the mean (recurrences: arXiv 1712.08969).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from limitbench.advice.gradient import Gradient, of_law
from limitbench.advice.gradient_words import count
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import Opinion
from limitbench.errors import InputError
from limitbench.networks.checks import number
from limitbench.statistics.laws import Law, Normal, PointMass
from limitbench.theories.base import Theory
from limitbench.theories.mean_field import Asymptotics, GaussianFluctuations, MeanField, Recurrences, Trajectory
from limitbench.theories.mean_field.asymptotic_laws import asymptotic_law
from limitbench.theories.mean_field.fluctuations import variances

#: Standard deviation of the log gradient ratio from which on its normal law is no more than an order of magnitude.
LARGE = 1.0
#: Standard deviation of it that a wide enough network has.
SMALL = math.log(1.5)
#: Powers of ReLU below this have a fourth moment of phi' so large that the leading variance is too large.
_HEAVY = 0.85
#: Deepest network of which the spread is looked up.
_DEEPEST = 2000
#: Range in which a variance of the weights is searched for.
SMALLEST, LARGEST = 1e-12, 1e12

Value = TypeVar("Value")


@dataclass(frozen=True)
class Blocks:
    """What only a mean-field residual network is asked about.

    Attributes:
        log_length: ln p_L, p_L = |x_L|^2/N of one input.
        cosine: of two inputs at the output.
        log_distance: ln s_L, s_L = |x_L - x'_L|^2/N.
        gradient_budget: R.
        sigma_w2: smallest and largest variance of w with a mean gradient ratio between 1/R and R at this depth, in
            1e-12 .. 1e12: 0 and infinite where there is no such end, NaN where no variance does or where its mean
            at this width is not that of the recurrence.
        mean_width: width from which on the mean gradient ratio is that of the recurrence within 2 %; 1 but for
            reduced networks whose phi is not odd. Below, nothing is said about gradients.
        large_spread_depth: first depth at which the sd of the log gradient ratio is above 1 at this width, or its mean
            leaves the recurrence; infinite where that is beyond 2,000 blocks, or lengths vanish before.
        small_spread_width: width from which on that sd is at most ln 1.5 at this depth; at least `mean_width`.
        self_averaging: whether E phi'^4 is finite; else gradients of wide networks stay below the recurrence, and there
            are no such depth and width (NaN).
        second_half: log of what the second half of the blocks contributes to the mean gradient ratio.
        second_half_asymptotic: the same by the law for L to infinity; NaN where there is none.
    """

    log_length: float
    cosine: float
    log_distance: float
    gradient_budget: float
    sigma_w2: tuple[float, float]
    mean_width: float
    large_spread_depth: float
    small_spread_width: float
    self_averaging: bool
    second_half: float
    second_half_asymptotic: float


def opinions(network: MeanFieldNetwork) -> tuple[Opinion, ...]:
    """The asymptotic laws, the recurrences, and the normal law around them at this width; `log_norm` is ln p_L."""
    found = []
    names = {"log_norm": "log_length", "correlation": "cosine"}
    for theory in (_theory(network, Asymptotics), _theory(network, Recurrences), _fluctuations(network)):
        laws: dict[str, Law] = {ours: theory.law(name) for ours, name in names.items() if name in theory.observables}
        if isinstance(theory, Recurrences) and network.rho0 < 1:
            laws["log_gap"] = PointMass(float(log_gap(trajectory(network))[-1]))
        note = "" if laws else "no law of lengths here"
        found.append(Opinion(theory.name, theory.title, laws, theory.validity, note))
    return tuple(found)


def length_law(network: MeanFieldNetwork) -> Law:
    """The law of ln p_L at this width, to leading order."""
    return _fluctuations(network).law("log_length")


def _fluctuations(network: MeanFieldNetwork) -> Theory:
    return _theory(network, GaussianFluctuations, width=network.width)


def _theory(network: MeanFieldNetwork, theory: type[Theory], **more: int) -> Theory:
    shape: dict[str, Any] = {"depth": network.depth, "network": network.block, "activation": network.activation}
    shape |= network.variances | {"norm0": network.norm0, "rho0": network.rho0} | more
    return theory(**shape)


def gradient(network: MeanFieldNetwork) -> Gradient:
    """chi_0/chi_L: the recurrence's mean, and the normal law of its log at this width."""
    path, between = trajectory(network), "x_0 against x_L"
    if not follows_recurrence(network):
        return Gradient(between=between, basis=f"nothing is known at this width, {exceeding(network)}")
    ratio = float(path.log_chi[0])
    names = ("w", "b", "v", "a") if network.block == "full" else ("w", "b")
    along = ((name, getattr(path, f"log_chi_{name}")) for name in names)
    parameters = {name: float(logs[1] - logs[-1]) for name, logs in along}
    mean = Gradient(log_mean=ratio, between=between, parameters=parameters)
    if not network.self_averaging:
        return replace(mean, basis="by the recurrence, of which networks fall short: see below")
    variance = log_variance(network, network.depth)
    law = Normal(ratio - variance / 2, math.sqrt(variance))
    basis = "the mean by recurrence, the spread to leading order in depth/width"
    basis += "; where it is as large as here, only its size" if variance > LARGE**2 else ""
    if network.exponent is not None and network.exponent < _HEAVY:
        basis += ", too large as E phi'^4 nearly diverges (sd by 12 % for relu-0.8 at depth 8, width 48)"
    return replace(of_law(law, ratio, between, basis), parameters=parameters)


def mean_width(network: MeanFieldNetwork) -> float:
    """`MeanField.gradient_width` at the network's depth: below, gradients exceed the recurrence."""
    return _mean_width(network.recurrence, network.depth, network.norm0)


@lru_cache(maxsize=256)
def _mean_width(recurrence: MeanField, depth: int, norm0: float) -> float:
    width = _in_range(partial(recurrence.gradient_width, depth, norm0=norm0), recurrence, depth)
    return float(math.ceil(width)) if math.isfinite(width) else width


def follows_recurrence(network: MeanFieldNetwork) -> bool:
    """Whether the mean gradient ratio at this width is that of the recurrence."""
    return network.width >= mean_width(network)


def exceeding(network: MeanFieldNetwork) -> str:
    """Why gradients exceed the recurrence, and the width from which on they do not."""
    width = count(mean_width(network))
    return f"as along the mean of x gradients exceed the recurrence: it holds within 2 % from width {width} on"


def blocks(network: MeanFieldNetwork, gradient_budget: float = 10.0) -> Blocks:
    """The answers that only these networks have. Raises `InputError` for a gradient budget below 1."""
    budget = number("gradient_budget", gradient_budget)
    if budget < 1:
        raise InputError("gradient_budget", gradient_budget, "a number of at least 1")
    path, half = trajectory(network), network.depth // 2
    law, follows = asymptotic_law(network.recurrence, network.norm0), follows_recurrence(network)
    asymptotic = None if law is None or not follows else law.log_gain(half, network.depth)
    return Blocks(
        log_length=float(path.log_p[-1]),
        cosine=float(path.cosine[-1]),
        log_distance=float(path.log_distance[-1]),
        gradient_budget=budget,
        sigma_w2=_known_window(network, budget) if follows else (math.nan, math.nan),
        mean_width=mean_width(network),
        large_spread_depth=large_spread_depth(network) if network.self_averaging else math.nan,
        small_spread_width=small_spread_width(network) if network.self_averaging else math.nan,
        self_averaging=network.self_averaging,
        second_half=float(path.log_chi[half]) if follows else math.nan,
        second_half_asymptotic=math.nan if asymptotic is None else asymptotic,
    )


@lru_cache(maxsize=64)
def trajectory(network: MeanFieldNetwork) -> Trajectory:
    """The recurrences of two inputs of this network; `InputError` where a plain network's lengths vanish."""
    run = partial(network.recurrence.run, network.depth, norm0=network.norm0, rho0=network.rho0)
    return _in_range(run, network.recurrence, network.depth)


def log_variance(network: MeanFieldNetwork, depth: int) -> float:
    """Variance of ln(chi_0/chi_L) at the network's width and at this depth, infinite where its mean is not that of the
    recurrence; raises `InputError` as `trajectory`."""
    if network.width < _mean_width(network.recurrence, depth, network.norm0):
        return math.inf
    return _leading(network.recurrence, depth, network.norm0) / network.width


@lru_cache(maxsize=256)
def _leading(recurrence: MeanField, depth: int, norm0: float) -> float:
    """N times the variance."""
    return float(_in_range(partial(variances, recurrence, depth, norm0), recurrence, depth).log_chi[0])


def _in_range(run: Callable[[], Value], recurrence: MeanField, depth: int) -> Value:
    """`run()`, with one line where lengths leave the range of floats."""
    try:
        return run()
    except InputError:
        raise
    except (ArithmeticError, ValueError):
        pass
    accepted = f"one at which lengths stay in the range of floats over {depth:,} blocks"
    raise InputError("sigma_w2", recurrence.sigma_w2, accepted)


def log_gap(path: Trajectory) -> Float[np.ndarray, " layers"]:
    """ln(1 - e_l) of inputs of equal norms, s_l/(2 p_l), without the cancellation of 1 - e_l."""
    return np.asarray(path.log_distance - path.log_p - math.log(2))


def large_spread_depth(network: MeanFieldNetwork) -> float:
    """By bisection in the integers, as the variance grows with every block."""

    def large(depth: int) -> bool:
        return log_variance(network, depth) > LARGE**2

    low, high = 0, 1
    try:
        while not large(high):
            if high == _DEEPEST:
                return math.inf
            low, high = high, min(2 * high, _DEEPEST)
    except InputError:
        return math.inf  # lengths vanish before
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if large(middle) else (middle, high)
    return high


def small_spread_width(network: MeanFieldNetwork) -> float:
    """Where the variance is ln(1.5)^2, but not below the width at which the mean is that of the recurrence."""
    width = max(_leading(network.recurrence, network.depth, network.norm0) / SMALL**2, mean_width(network))
    return max(math.ceil(width), 1) if math.isfinite(width) else width


def sigma_window(network: MeanFieldNetwork, ratio: float) -> tuple[float, float]:
    """Smallest and largest variance of w with |ln(chi_0/chi_L)| <= ln `ratio`; the log ratio grows with it.

    A residual network's gradients never shrink, so that its smallest is 0.
    """
    low, high = (_root(network, target) for target in (-math.log(ratio), math.log(ratio)))
    return (math.nan, math.nan) if low == math.inf or high == 0 else (low, high)


def _known_window(network: MeanFieldNetwork, ratio: float) -> tuple[float, float]:
    """The window, NaN where gradients at its upper end exceed the recurrence."""
    low, high = sigma_window(network, ratio)
    at_end = network if math.isnan(high) else replace(network, sigma_w2=min(high, LARGEST))
    return (low, high) if follows_recurrence(at_end) else (math.nan, math.nan)


def log_ratio(network: MeanFieldNetwork, sigma_w2: float) -> float:
    """ln(chi_0/chi_L) at another variance of w."""
    return replace(network, sigma_w2=sigma_w2).recurrence.log_gradient_ratio(network.depth, network.norm0)


def _root(network: MeanFieldNetwork, target: float) -> float:
    """The variance of w with this log ratio; 0 where every one in the range has more, infinite where all have less."""

    def excess(log_variance: float) -> float:
        return log_ratio(network, min(max(math.exp(log_variance), SMALLEST), LARGEST)) - target

    low, high = math.log(SMALLEST), math.log(LARGEST)
    if excess(low) >= 0:
        return 0.0
    return math.exp(float(brentq(excess, low, high, xtol=1e-10))) if excess(high) > 0 else math.inf
