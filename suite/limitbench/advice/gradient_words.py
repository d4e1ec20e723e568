"""What is said about gradients, and about mean-field residual networks, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from limitbench.advice.gradient import Gradient
from limitbench.advice.mean_field import MeanFieldNetwork

if TYPE_CHECKING:
    from limitbench.advice.blocks import Blocks  # which imports torch

#: Logs of which the exponential is written out.
_PLAIN = 16.0
#: Widths that are written out.
_COUNTED = 1e7


def factor(log: float) -> str:
    """exp(log) in three digits, as a power of ten where it is far from 1."""
    if not math.isfinite(log):
        return "0" if log < 0 else "infinity"
    return f"{math.exp(log):.3g}" if abs(log) < _PLAIN else f"10^{log / math.log(10):.1f}"


def count(width: float) -> str:
    """A width in digits, as a power of ten where it is large."""
    return f"{width:,.0f}" if width < _COUNTED else factor(math.log(width))


def gradient_sentences(gradient: Gradient) -> list[str]:
    """The ratio on average, in a typical network and in 95 % of them, or why nothing is known."""
    ratio = f"Squared gradient of {gradient.between}"
    if math.isnan(gradient.log_mean):
        return [f"{ratio}: {gradient.basis}."]
    mean = f"{ratio}: on average {factor(gradient.log_mean)}"
    if not gradient.known:
        return [f"{mean} ({gradient.basis})."]
    spread = f"in 95 % of networks {factor(gradient.low)} to {factor(gradient.high)}"
    return [f"{mean}, typically {factor(gradient.median)}, {spread} ({gradient.basis})."]


def block_sentences(network: MeanFieldNetwork, found: Blocks, gradient: Gradient) -> list[str]:
    """Lengths and distances, gradients of parameters, the window of sigma_w2, and how far the recurrences go."""
    start = math.log(2 * network.norm0) + math.log1p(-network.rho0) if network.rho0 < 1 else -math.inf
    lengths = (
        f"The squared length p goes from {network.norm0:g} to {factor(found.log_length)}, the squared distance of the "
        f"inputs from {factor(start)} to {factor(found.log_distance)} (recurrences)."
    )
    if network.width < found.mean_width:
        return [lengths]
    named = ", ".join(f"{name} {factor(log)}" for name, log in gradient.parameters.items())
    return [
        lengths,
        f"Mean squared gradients of the first block's parameters against the last's: {named}.",
        _window(network, found),
        *_asymptotic(found),
        *_trust(network, found, gradient),
    ]


def _window(network: MeanFieldNetwork, found: Blocks) -> str:
    low, high = found.sigma_w2
    within = f"within a factor of {found.gradient_budget:g} at this depth"
    if math.isnan(low):
        keeps = "is known to keep" if network.recurrence.tracks_mean else "keeps"
        return f"No sigma_w2 {keeps} the mean gradient ratio {within}."
    if low > 0:
        return f"sigma_w2 from {low:.4g} to {high:.4g} keeps the mean gradient ratio {within}: below, gradients vanish."
    said = f"sigma_w2 up to {high:.4g} keeps the mean gradient ratio {within}; it is {network.sigma_w2:g} here."
    if network.exponent in (None, 1.0) or network.sigma_b2 > 0:
        said += f" At other depths L it is about {high * network.depth:.3g}/L, the more exactly the deeper."
    return said


def _asymptotic(found: Blocks) -> list[str]:
    """How near the network is to the law of great depth."""
    if math.isnan(found.second_half_asymptotic):
        return []
    return [
        f"The second half of the blocks multiplies the mean squared gradient by {factor(found.second_half)}; the law "
        f"of great depth says {factor(found.second_half_asymptotic)}."
    ]


def _trust(network: MeanFieldNetwork, found: Blocks, gradient: Gradient) -> list[str]:
    """How far means stand for one network."""
    if not network.self_averaging:
        return [
            f"Gradients do not average out over units here: phi' of {network.activation} has no fourth moment, a few "
            "units carry most of the gradient, and networks fall below the recurrence, the more the smaller the power."
        ]
    depth = found.large_spread_depth
    reached = f"at depth {depth:,.0f}" if math.isfinite(depth) else "far beyond this depth"
    if network.recurrence.tracks_mean and math.isfinite(depth):
        reached += " (or its mean exceeds the recurrence from there on)"
    return [
        "The recurrences are means over networks. At this width the log of the gradient ratio varies by ± "
        f"{gradient.std:.2g} from network to network, and by ± 1 {reached}; from width "
        f"{count(found.small_spread_width)} on its standard deviation is at most ln 1.5 at this depth."
    ]
