"""Two inputs through a shaped ReLU network without weights: the pair (1 - rho, V^11) is a Markov chain.

Given layer l the n pre-activations of the two inputs are independent pairs of normals with correlation rho, so a layer
costs 2 n normals instead of n^2. The DIFFERENCE of the two features is propagated, never that of Gram entries: 1 - rho
keeps its relative accuracy down to any size, in float32 elements with a float64 state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limitbench.networks.shaping import ShapedLayer
from limitbench.numerics.random import Stream

#: Layers up to this width are computed in float64 with an exact zero where the two features are parallel.
NARROW = 32
#: Largest factor on a pre-activation: its square times any width stays inside float32.
_LARGEST_FACTOR = 1e15
#: ln(1 - rho) at rho = -1 less a rounding, so that sigma is positive.
_LARGEST_LOG_GAP = math.log(2.0 - 1e-15)
#: Stands in for a product of norms that is zero.
_DEAD = 1e-300

Batch = Float[Tensor, " batch"]


class PairStep(NamedTuple):
    """What one layer does: ln |phi(h_1)|^2 for slopes (1, r), the next ln(1 - rho), and where that is undefined."""

    growth: Batch
    log_gap: Batch
    dead: Bool[Tensor, " batch"]


def sample_pair(
    layers: Sequence[ShapedLayer], rho0: float, *, depths: Sequence[int], batch: int, stream: Stream
) -> tuple[Float[Tensor, "batch depths"], Float[Tensor, "batch depths"]]:
    """ln(1 - rho_d) and ln(V_d^11 / V_0^11) of `batch` networks, one column per depth (arXiv 2206.02768).

    Where every unit of one input is off the log gap is NaN from there on; ln V is -inf from the layer at which input 1
    goes dead. Cost: 2 n normals and about 10 passes over n elements a layer and network.
    """
    device = stream.device
    widest = max(layer.width for layer in layers)
    normals, scratch = torch.empty(2, 2 * batch * widest, device=device)
    log_gap = torch.full((batch,), math.log1p(-rho0) if rho0 < 1.0 else -math.inf, dtype=torch.float64, device=device)
    log_gap.clamp_max_(_LARGEST_LOG_GAP)
    log_norm, constants = torch.zeros_like(log_gap), 0.0
    undefined = torch.zeros_like(log_gap, dtype=torch.bool)
    gaps, norms = [], []
    with torch.inference_mode():
        for depth, layer in enumerate(layers[: depths[-1]], start=1):
            size = 2 * batch * layer.width
            drawn = stream.normal_(normals[:size]).view(2, batch, layer.width)
            if layer.width <= NARROW:
                step = narrow_layer(drawn.double(), layer.ratio, log_gap)
            else:
                step = wide_layer(drawn, scratch[:size].view_as(drawn), layer.ratio, log_gap)
            log_gap = step.log_gap
            log_norm = log_norm + step.growth
            undefined = undefined | step.dead
            constants += math.log(layer.canonical_constant / layer.width)
            if depth in depths:
                gaps.append(log_gap.masked_fill(undefined, math.nan))
                norms.append(log_norm + constants)
    return torch.stack(gaps, dim=1), torch.stack(norms, dim=1)


def wide_layer(
    normals: Float[Tensor, "2 batch width"], scratch: Float[Tensor, "2 batch width"], ratio: float, log_gap: Batch
) -> PairStep:
    """One layer of n > 32 units in float32; overwrites both buffers.

    In units of sigma = sqrt(1 - rho^2), with h_1 = -g, h_2 = h_1 + sigma delta, delta = xi + (1 - rho) g / sigma and
    q = g / sigma, the difference of the features of slopes (1, r) is free of cancellation for any size of sigma:

        D = (phi(h_2) - phi(h_1)) / sigma = r delta + (1 - r) (max(delta, q) - max(q, 0)),
        1 - rho' = sigma^2 (|D|^2 - Delta^2) / (2 |f_1| |f_2|),   Delta = (|f_2| - |f_1|) / sigma.
    """
    gap = log_gap.exp()
    upper = 2.0 - gap
    variance = gap * upper
    factor = variance.rsqrt().clamp_max_(_LARGEST_FACTOR).to(normals.dtype)
    factor_sq = factor.double().square_()  # of the rounded factor, so that elements and state agree on it
    reach = (variance * factor_sq).sqrt_()  # factor sigma: 1 up to rounding, unless sigma < 1e-15

    (q, delta), (relu, jump) = normals, scratch
    q.mul_(factor[:, None])
    delta.addcmul_(q, gap.to(normals.dtype)[:, None])
    torch.clamp_min(q, 0.0, out=relu)
    torch.maximum(delta, q, out=jump)
    jump.sub_(relu)
    if ratio != 0.0:
        torch.lerp(delta, jump, 1.0 - ratio, out=jump)
    minus_feature = torch.sub(q, relu, alpha=1.0 - ratio, out=relu)

    # two reductions that keep to rows: quicker than vecdot, which allocates, and the same on any number of threads
    norm, jump_norm = torch.linalg.vector_norm(scratch, dim=2).double()
    minus_cross = torch.mul(minus_feature, jump, out=q).sum(1).double()

    change = (jump_norm.square() * reach).sub_(minus_cross, alpha=2.0)
    feature_sq = norm.square()
    other = torch.addcmul(feature_sq, reach, change).clamp_min_(0.0).sqrt_()
    stretch = change / (norm + other)
    product = norm.mul_(other).clamp_min_(_DEAD)
    relative = torch.addcmul(jump_norm.square_(), stretch, stretch, value=-1.0).clamp_min_(0.0).div_(product)
    log_next = relative.mul_(upper).mul_(factor_sq).mul_(0.5).log_().add_(log_gap)
    growth = feature_sq.div_(factor_sq).log_()
    return PairStep(growth, log_next.clamp_max_(_LARGEST_LOG_GAP), product == _DEAD)


def narrow_layer(normals: Float[Tensor, "2 batch width"], ratio: float, log_gap: Batch) -> PairStep:
    """The same layer for n <= 32 units in float64, where dead and parallel features are ordinary.

    With k the largest entry of f_1, the part of D that is not parallel to f_1 is w = D - (D_k / f_k) f_1 with w_k = 0:
    then 1 - rho'^2 = sigma^2 |f_1 ^ w|^2 / (|f_1| |f_2|)^2 is exactly 0 where one unit is on, and |f_1 ^ w|^2 =
    |f_1|^2 |w|^2 - <f_1, w>^2 loses at most a factor n to cancellation.
    """
    gap = log_gap.exp()
    upper = 2.0 - gap
    variance = gap * upper
    factor = variance.rsqrt().clamp_max(_LARGEST_FACTOR)
    # exactly 1 where sigma is resolved, so that a unit that is off in both features is exactly 0 in both
    reach = torch.where(factor < _LARGEST_FACTOR, 1.0, variance.sqrt() * factor)

    q = normals[0] * factor[:, None]
    delta = normals[1] + q * gap[:, None]
    relu = q.clamp_min(0.0)
    jump = torch.lerp(delta, torch.maximum(delta, q) - relu, 1.0 - ratio)
    first = (1.0 - ratio) * relu - q
    second = first + reach[:, None] * jump

    pivot = first.abs().argmax(dim=1, keepdim=True)
    skew = jump - jump.gather(1, pivot) / first.gather(1, pivot) * first
    skew.scatter_(1, pivot, 0.0)
    first_sq, second_sq = (first**2).sum(1), (second**2).sum(1)
    wedge = (first_sq * (skew**2).sum(1) - (first * skew).sum(1) ** 2).clamp_min(0.0)
    dead = (first_sq == 0.0) | (second_sq == 0.0)
    correlation = ((first * second).sum(1) / (first_sq * second_sq).sqrt()).clamp(-1.0, 1.0)
    log_sin_sq = log_gap + torch.log(upper * factor**2 * wedge / (first_sq * second_sq))
    log_next = torch.where(correlation < 0.0, torch.log1p(-correlation), log_sin_sq - torch.log1p(correlation))
    # any finite number will do where the correlation is undefined
    log_next = log_next.clamp_max(_LARGEST_LOG_GAP).masked_fill(dead, 0.0)
    return PairStep(first_sq.log() - 2.0 * factor.log(), log_next, dead)
