"""What the theories say about an MLP with piecewise linear activation: ReLU, leaky, linear, and shaped between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from limitbench.advice.architecture import PiecewiseMLP
from limitbench.advice.rows import OBSERVABLES, Opinion
from limitbench.advice.skewed_law import SkewedLaw
from limitbench.errors import InputError
from limitbench.numerics.layer_norm_cumulants import layer_norm_cumulants
from limitbench.statistics.laws import Law, Transformed
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import LogGaussianPerceptron
from limitbench.theories.shaped_relu import (
    CovarianceSDE,
    DriftCorrectedCovarianceSDE,
    DriftlessCovarianceSDE,
    FiniteWidthChain,
    InfiniteWidth,
    InfiniteWidthCLT,
)
from limitbench.theories.shaped_relu.parameters import LONGEST
from limitbench.theories.unshaped_relu.finite_start import FiniteStartSDE
from limitbench.theories.unshaped_relu.matched_discrete import MatchedDiscrete
from limitbench.theories.unshaped_relu.q_sde import QTheory
from limitbench.theories.unshaped_relu.singular_start import SingularStartSDE

#: Largest depth x sqrt(width) for which the chain is carried through all layers: about a second.
CHAIN_COST = 2e5
#: Narrowest layer of which the chain's expansion holds, where no slope and where one slope is near 0.
_NARROWEST, _NARROWEST_DEAD = 8, 32
#: Earliest time at which the SDE of q is solved from its singular start.
_EARLIEST = 0.05
#: Depth up to which the fluctuation is carried through the layers.
_RECURSION_DEPTH = 20_000


def opinions(network: PiecewiseMLP) -> tuple[tuple[Opinion, ...], Mapping[str, Opinion]]:
    """Every theory's opinion, from the coarsest to the finest, and the one that errors are measured against."""
    finest = finite_width(network)
    found = (_infinite_width(network), _clt(network), *_limits(network), finest)
    return found, dict.fromkeys(finest.laws, finest)


def norm_law(network: PiecewiseMLP) -> SkewedLaw:
    """The law of `log_norm` at these widths and gain 1, given that no layer dies: layers are independent.

    Mean, variance and third cumulant are exact. Cost: 0.1 ms for each distinct width.
    """
    layers = [(layer_norm_cumulants(n, *network.slopes(n)), count) for n, count in Counter(network.widths).items()]
    mean, variance, third = (math.fsum(count * part[k] for part, count in layers) for k in range(3))
    return SkewedLaw(mean, math.sqrt(variance), third / variance**1.5)


def death_probability(network: PiecewiseMLP) -> float:
    """Probability that in some layer every unit is off for a given input, 1 - prod (1 - 2^-n_l); 0 without zero slopes.

    About d 2^-n.
    """
    return -math.expm1(log_survival(network)) + 0.0


def log_survival(network: PiecewiseMLP) -> float:
    """ln of the probability that no layer is off for a given input."""
    deaths = (layer_norm_cumulants(n, *network.slopes(n)).death for n in network.widths)
    return math.fsum(map(math.log1p, (-p for p in deaths)))


def finite_width(network: PiecewiseMLP, *, correlations: bool = True) -> Opinion:
    """The network's own law: exact for the norm; for the correlation the Markov chain of its layers, to O(1/n^2)."""
    laws: dict[str, Law] = {"log_norm": norm_law(network)}
    note = ""
    if correlations:
        chain, note = chain_theory(network)
        if chain is not None:
            laws |= {name: chain.law(name) for name in ("correlation", "log_gap") if name in chain.observables}
    order = "norm exact given survival; correlation to O(n^-2)"
    return Opinion("finite-width", "finite width, layer by layer", laws, order, note, 0.5)


def chain_theory(network: PiecewiseMLP) -> tuple[FiniteWidthChain | None, str]:
    """The chain of this network's correlation, and what is approximate or why there is none.

    Unequal widths of an unshaped network stand as layers of their harmonic mean width, which keeps t.
    """
    width = network.equal_width
    note = ""
    if width is None:
        if not network.unshaped:
            return None, "correlation: needs equal widths, as the slopes depend on them"
        width = round(network.depth / network.time)
        note = f"correlation: at the harmonic mean width {width}"
    small, large = sorted(abs(s) for s in network.slopes(width))
    narrowest = _NARROWEST if small >= 0.2 * large else _NARROWEST_DEAD
    if width < narrowest:
        return None, f"correlation: needs width {narrowest} or more"
    if network.depth > LONGEST * width:
        return None, f"correlation: needs depth/width of at most {LONGEST:g}"
    if network.depth * math.sqrt(width) > CHAIN_COST:
        return None, f"correlation: left out, depth x sqrt(width) is above {CHAIN_COST:g}"
    try:
        chain = FiniteWidthChain(
            network.depth, width, network.c_plus, network.c_minus, rate=network.rate, rho0=network.rho0
        )
    except InputError as error:
        return None, f"correlation: needs {error.accepted}"
    return chain, note


def _infinite_width(network: PiecewiseMLP) -> Opinion:
    return _opinion(InfiniteWidth, **_recursion(network))


def _clt(network: PiecewiseMLP) -> Opinion:
    if network.depth > _RECURSION_DEPTH:
        return _silent(InfiniteWidthCLT, f"left out beyond depth {_RECURSION_DEPTH:,}")
    return _opinion(InfiniteWidthCLT, **_recursion(network))


def _recursion(network: PiecewiseMLP) -> dict[str, Any]:
    names = ("depth", "c_plus", "c_minus", "rate", "rho0")
    width = network.equal_width
    widths = {"widths": network.widths} if width is None else {"width": width}
    return {name: getattr(network, name) for name in names} | widths


def _limits(network: PiecewiseMLP) -> tuple[Opinion, ...]:
    """Theories of depth and width to infinity together."""
    time = network.time
    if network.linear:
        return (_opinion(DriftlessCovarianceSDE, time=time, rho0=network.rho0),)
    if network.unshaped:
        return (_silent(CovarianceSDE, "does not apply: slopes do not approach 1"), *_unshaped(network))
    if network.rate > 0.5:
        below = _silent(CovarianceSDE, f"does not apply: shaping at rate {network.rate:g} is weaker than 1/2")
        return (below, _opinion(DriftlessCovarianceSDE, time=time, rho0=network.rho0))
    if network.rate < 0.5:
        note = f"does not apply: shaping at rate {network.rate:g} is stronger than 1/2, correlations go to 1"
        return (_silent(CovarianceSDE, note),)
    shaping: dict[str, Any] = {"c_plus": network.c_plus, "c_minus": network.c_minus, "rho0": network.rho0}
    mean_width = round(network.depth / time)
    note = "" if network.equal_width else f"drift factor at the harmonic mean width {mean_width}"
    return (
        _opinion(CovarianceSDE, time=time, **shaping),
        _opinion(DriftCorrectedCovarianceSDE, note, time=time, **shaping, width=mean_width),
    )


def _unshaped(network: PiecewiseMLP) -> tuple[Opinion, ...]:
    """Fixed slopes: the log-Gaussian norm at any widths, and the theories of q = l^2 (1 - rho) at equal ones."""
    slopes = network.slopes(1)
    norm = _opinion(LogGaussianPerceptron, time=network.time, slope_plus=slopes[0], slope_minus=slopes[1])
    small, large = sorted(slopes, key=abs)
    width = round(network.depth / network.time)
    note = "" if network.equal_width else f"at the harmonic mean width {width}"
    if network.depth > LONGEST * width or network.rho0 == 1 or small == large:
        return (norm,)
    shape: dict[str, Any] = {"depth": network.depth, "width": width, "slope_minus": small / large, "rho0": network.rho0}
    if network.time < _EARLIEST:
        found = [_silent(SingularStartSDE, f"left out before t = {_EARLIEST:g}, where its start is all there is")]
    else:
        found = [_opinion(SingularStartSDE, note, **shape)]
    found.append(_opinion(FiniteStartSDE, note, **shape))
    if network.depth * math.sqrt(width) <= CHAIN_COST:
        found.append(_opinion(MatchedDiscrete, note, **shape))
    return (norm, *found)


def _opinion(theory: type[Theory], note: str = "", **fields: Any) -> Opinion:
    """The laws of a theory at these fields; where it refuses, a note that says what it would accept."""
    try:
        made = theory(**fields)
    except InputError as error:
        return _silent(theory, f"{error.field}: needs {error.accepted}")
    if isinstance(made, QTheory) and made.impossible:
        note = f"correlation: needs {made.impossible}"
    laws = {}
    for name in OBSERVABLES:
        if name in made.observables:
            try:
                laws[name] = made.law(name)
            except InputError as error:
                note = f"{name}: needs {error.accepted}"
    if "log_gap" in laws and "correlation" not in laws:
        laws["correlation"] = Transformed(laws["log_gap"], _correlation, _log_gap, increasing=False)
    return Opinion(theory.name, theory.title, laws, theory.validity, note, 0.5 if laws else math.nan)


def _correlation(log_gap: Any) -> Any:
    """1 - exp(log_gap), no less than -1: a limit law may put mass on gaps above 2."""
    return np.maximum(-np.expm1(log_gap), -1.0)


def _log_gap(correlation: Any) -> Any:
    return np.log1p(-np.minimum(correlation, 1.0))


def _silent(theory: type[Theory], note: str) -> Opinion:
    return Opinion(theory.name, theory.title, note=note)
