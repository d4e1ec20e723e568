"""How many layers it takes until two inputs are the same to a floating-point format.

Two inputs are indistinguishable where the median of 1 - correlation is below the format's unit roundoff u: rounding
their features moves the correlation by as much. The typical path of z = atanh(rho) moves by m(z) a layer, so the
layer is int dz/m(z), whatever its size; where the chain of the correlation is cheap, its median corrects that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.errors import InputError
from limitbench.numerics.sample_correlation import fisher_z_expansion
from limitbench.numerics.shaping import angle_from_gap, arc_term
from limitbench.numerics.transition_chain import StepMoments, median_path
from limitbench.theories.shaped_relu.parameters import LONGEST
from limitbench.theories.shaped_relu.sde_laws import fisher_from_log_gap, log_gap_from_fisher

#: Unit roundoff of each format.
PRECISIONS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
#: Largest layer x sqrt(width) at which the median of the chain is taken, about half a second.
_REFINED = 1e5
_POINTS = 4001
#: How a layer is found where no law of the correlation at finite width is known: it is then later than the truth.
INFINITE_WIDTH = "infinite width"
#: Deepest block at which mean-field inputs are looked at beyond a network's own depth.
_BLOCKS = 4096
#: Where tables of z end: 1 - rho = 1e-30.
_FARTHEST = 35.0

Drift = Callable[[Float[np.ndarray, " states"]], Float[np.ndarray, " states"]]


@dataclass(frozen=True)
class Merging:
    """The answer for one format.

    Attributes:
        precision: name of the format.
        roundoff: its unit roundoff.
        layer: first layer where the median of 1 - correlation is below it; infinite where it never is.
        how: how the layer was found.
    """

    precision: str
    roundoff: float
    layer: float
    how: str


def merging(network: Architecture, precision: str) -> Merging | None:
    """The layer at which the network's two inputs merge, also beyond its depth; None where nothing is known.

    Raises `InputError` for an unknown format. Cost: 10 ms, a second where the chain refines the answer.
    """
    if precision not in PRECISIONS:
        raise InputError("precision", precision, ", ".join(PRECISIONS))
    roundoff = PRECISIONS[precision]
    if isinstance(network, PiecewiseMLP):
        return Merging(precision, roundoff, *_piecewise(network, roundoff))
    if isinstance(network, ReluResNet):
        if network.perceptron is not None:
            return Merging(precision, roundoff, *_piecewise(network.perceptron, roundoff))
        layer = typical_layer(lambda z: residual_drift(z, network.branch_weight), network.rho0, roundoff)
        if network.per_depth and layer > network.depth:
            return Merging(precision, roundoff, math.inf, f"{INFINITE_WIDTH}; branches shrink as layers are added")
        return Merging(precision, roundoff, math.ceil(layer) if layer < math.inf else layer, INFINITE_WIDTH)
    if isinstance(network, MeanFieldNetwork):
        layer = _mean_field(network, roundoff)
        return None if math.isinf(layer) else Merging(precision, roundoff, layer, INFINITE_WIDTH)
    return None


def typical_layer(drift: Drift, rho0: float, gap: float) -> float:
    """Layers that the path z' = z + m(z), m = `drift`, takes from atanh(rho0) to 1 - tanh(z) = `gap`: int dz/m(z).

    Infinite where m vanishes or points back on the way.
    """
    if 1 - rho0 <= gap:
        return 0.0
    last = float(fisher_from_log_gap(math.log(gap)))
    z = np.linspace(math.atanh(max(rho0, -1 + 1e-12)), last, _POINTS)
    step = drift(z)
    return math.inf if (step <= 1e-300).any() else float(np.trapezoid(1 / step, z))


def typical_gap(drift: Drift, rho0: float, depth: int) -> float:
    """1 - tanh(z) of that path after `depth` layers, by its inverse; 1e-30 where it is less."""
    z = np.linspace(math.atanh(max(rho0, -1 + 1e-12)), _FARTHEST, _POINTS)
    step = drift(z)
    if (step <= 1e-300).any():
        return 1 - rho0
    layers = np.concatenate([[0.0], np.cumsum((1 / step[1:] + 1 / step[:-1]) / 2 * np.diff(z))])
    return math.exp(float(log_gap_from_fisher(np.interp(depth, layers, z))))


def piecewise_drift(network: PiecewiseMLP) -> Drift:
    """Step of the mean of atanh(rho) in one layer, at the harmonic mean width."""
    width = round(network.depth / network.time)
    slopes = network.slopes(width)
    return lambda z: fisher_z_expansion(z, *slopes).step_mean(width)


def residual_drift(z: Float[np.ndarray, " states"], branch_weight: float) -> Float[np.ndarray, " states"]:
    """Step of atanh(rho) in one layer of a ReLU ResNet at infinite width.

    rho' = c^2 rho + b (rho + j(theta)/pi), so 1 - rho' = (1 - rho) - b j(theta)/pi, b = 1 - c^2 = lambda^2/s.
    """
    gap = 2 / (1 + np.exp(2 * z))
    lost = branch_weight * arc_term(angle_from_gap(gap)) / math.pi
    return np.asarray((np.log1p(lost / (2 - gap)) - np.log1p(-lost / gap)) / 2)


def _mean_field(network: MeanFieldNetwork, roundoff: float) -> float:
    """First block where the recurrence of 1 - e_l is below the roundoff, infinite where none of those looked at is."""
    from limitbench.advice import blocks

    last = max(network.depth, _BLOCKS)
    try:
        gaps = blocks.log_gap(blocks.trajectory(replace(network, depth=last)))
    except InputError:  # lengths vanish long before
        gaps = blocks.log_gap(blocks.trajectory(network))
    below = np.flatnonzero(gaps < math.log(roundoff))
    return float(below[0]) if below.size else math.inf


def _piecewise(network: PiecewiseMLP, roundoff: float) -> tuple[float, str]:
    width = round(network.depth / network.time)
    slopes = network.slopes(width)
    layer = typical_layer(piecewise_drift(network), network.rho0, roundoff)
    if not 0 < layer < math.inf:
        return layer, "typical path at this width"
    small = min(map(abs, slopes)) < 0.2 * max(map(abs, slopes))
    if width < (32 if small else 8):
        return math.ceil(layer), "typical path at this width"

    def step(z: Float[np.ndarray, " states"]) -> StepMoments:
        moments = fisher_z_expansion(z, *slopes)
        return StepMoments(
            z + moments.step_mean(width), np.sqrt(moments.variance(width)), moments.third_cumulant(width)
        )

    target = fisher_from_log_gap(math.log(roundoff))
    last = math.ceil(1.1 * layer) + 4
    while last * math.sqrt(width) <= _REFINED and last <= LONGEST * width:
        medians = median_path(step, math.atanh(max(network.rho0, -1 + 1e-12)), last)
        if (reached := np.flatnonzero(medians >= target)).size:
            return float(reached[0] + 1), "median at this width"
        last *= 2
    return math.ceil(layer), "typical path at this width"
