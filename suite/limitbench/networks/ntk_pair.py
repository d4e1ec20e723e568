"""Two inputs forward through a shaped ReLU network without weights, for neural tangent kernels.

Given layer l, the pre-activations of the next are n independent pairs h_1 = g, h_2 = rho g + sigma x of normals with
correlation rho, sigma^2 = 1 - rho^2, times the norms of the features. Four sectors, ++, +-, -+, --, are summed up:
S_s = the sums of g^2, g x, x^2 and 1, one product of masks and squares. All else is arithmetic on S in float64, written
with the difference D = (phi(h_2) - phi(h_1)) / sigma of the features, so that almost parallel inputs lose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from limitbench.networks.checks import power_of_two_below
from limitbench.networks.ntk_sectors import Forward, Seen
from limitbench.networks.shaping import ShapedLayer
from limitbench.numerics.random import Stream

#: Layers up to this width are summed in float64, so that parallel features are exact.
NARROW = 32
#: Units that are drawn at once, so that masks and squares stay in cache.
_AT_ONCE = 2**17
#: ln(1 - rho) at rho = -1 less a rounding, so that sigma is positive.
_LARGEST_LOG_GAP = math.log(2.0 - 1e-15)
#: Keeps 1 / sigma finite where inputs are equal.
_LEAST_SIGMA = 1e-100

#: Sums of g^2, g x, x^2 and 1 over the units of the sectors ++, +-, -+, and -- if it passes anything.
Sums = Float64[Tensor, "4 sectors batch"]
Values = Float64[Tensor, " batch"]


class Sectors(NamedTuple):
    """What phi of slopes (1, r) does in each sector; -- is left out where r = 0.

    Attributes:
        slopes: those of h_1 and h_2.
        totals: the ten sums over sectors that the features need, from the sums of g^2, g x, x^2.
        passing: 1 where a slope is not 0, inputs first.
        ranks: how many linearly independent vectors the features can have in a sector.
        scale: c / n.
    """

    slopes: Float64[Tensor, "sectors 2"]
    totals: Float64[Tensor, "10 sums"]
    passing: Float64[Tensor, "2 sectors"]
    ranks: Float64[Tensor, "sectors 1"]
    scale: float

    @classmethod
    def of(cls, layer: ShapedLayer, count: int, device: torch.device) -> Sectors:
        """The first `count` sectors of `layer`."""
        r = layer.ratio
        slopes = torch.tensor([[1.0, 1.0], [1.0, r], [r, 1.0], [r, r]], dtype=torch.float64, device=device)[:count]
        one, two = slopes.mT
        apart = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64, device=device)[:count]
        gg, gx, xx = torch.eye(3, dtype=torch.float64, device=device)
        weights = [
            (gg, one**2),
            (gx, one * two),
            (xx, two**2),
            (gg, (1.0 - apart) * one**2),
            (gx, (1.0 - apart) * one**2),
            (gg, apart * one**2),
            (gg, apart * one * two),
            (gx, apart * one * two),
            (gg, apart * two**2),
            (gx, apart * two**2),
        ]
        totals = torch.stack([torch.outer(square, weight).flatten() for square, weight in weights])
        passing = (slopes != 0.0).double().mT
        return cls(slopes, totals, passing, passing.sum(0)[:, None], layer.canonical_constant / layer.width)


class Features(NamedTuple):
    """The features f_1, f_2 of a layer up to the norms of the layer below, as functions of its sums.

    Attributes:
        squares: |f_1|^2 and |f_2|^2, exactly 0 where dead.
        cosine: of the two, 0 where one is dead.
        log_gap: ln of one minus it; -inf where f_1 and f_2 are parallel, 0 where one is dead.
        overlap: beta = <f_1, D> / |f_1|^2.
        rest: |D - beta f_1|, 0 where f_1 and f_2 are parallel.
    """

    squares: Float64[Tensor, "2 batch"]
    cosine: Values
    log_gap: Values
    overlap: Values
    rest: Values


@torch.inference_mode()
def forward(layers: Sequence[ShapedLayer], rho0: float, *, batch: int, stream: Stream) -> Forward:
    """A pass of `batch` networks from inputs of norm 1 and correlation `rho0`.

    Cost: 2 n normals and 11 passes over n elements a layer and network. Memory: at most 184 bytes a layer and network.
    """
    device, depth = stream.device, len(layers)
    count = 3 if all(layer.ratio == 0.0 for layer in layers) else 4
    sectors = {layer: Sectors.of(layer, count, device) for layer in set(layers)}
    sums = torch.empty(depth, 4, count, batch, dtype=torch.float64, device=device)
    log_gaps = torch.empty(depth + 1, batch, dtype=torch.float64, device=device)
    log_norms = torch.zeros(depth + 1, 2, batch, dtype=torch.float64, device=device)
    cosines = torch.empty_like(log_gaps)
    axes = torch.empty(depth, 3, batch, dtype=torch.float64, device=device)
    log_gaps[0] = min(math.log1p(-rho0), _LARGEST_LOG_GAP) if rho0 < 1.0 else -math.inf
    cosines[0] = rho0
    room = Room(1, count, batch, device)
    for index, layer in enumerate(layers):
        if room.width != layer.width:
            room = Room(layer.width, count, batch, device)
        room.draw(log_gaps[index], stream, sums[index])
        found = features(sums[index], log_gaps[index], sectors[layer])
        log_gaps[index + 1], cosines[index + 1] = found.log_gap, found.cosine
        torch.mul(found.squares, sectors[layer].scale, out=log_norms[index + 1])
        axes[index, 0], axes[index, 1], axes[index, 2] = found.squares[0], found.overlap, found.rest
    log_norms[1:] = log_norms[1:].log().cumsum(0)

    def seen(chosen: range) -> Seen:
        at = torch.tensor(chosen, device=device) - 1
        parts = [sectors[layers[layer - 1]] for layer in chosen]
        slopes = torch.stack([part.slopes for part in parts])
        scaled = torch.stack([part.slopes * math.sqrt(part.scale) for part in parts])
        drawn, basis = factors(sums[at], log_gaps[at], axes[at], slopes)
        return Seen(sums[at, 3], scaled, drawn, basis)

    return Forward(log_norms, cosines, seen)


class Room:
    """Memory of one layer of `batch` networks, masks and squares, and what is done in it."""

    def __init__(self, width: int, sectors: int, batch: int, device: torch.device) -> None:
        self.width = width
        dtype = torch.float64 if width <= NARROW else torch.float32
        part = min(batch, power_of_two_below(max(_AT_ONCE // width, 1)))
        self._masks = torch.empty(sectors, part, width, dtype=dtype, device=device)
        self._squares = torch.ones(4, part, width, dtype=dtype, device=device)

    def draw(self, log_gap: Values, stream: Stream, out: Sums) -> None:
        """The sums of one layer for inputs of correlation 1 - e^`log_gap`; a power of two of networks."""
        gap = log_gap.exp()
        ratio = (1.0 - gap) * (gap * (2.0 - gap)).rsqrt().clamp_max_(1.0 / _LEAST_SIGMA)
        part = self._masks.shape[1]
        for start in range(0, len(gap), part):
            chosen = slice(start, start + part)
            out[:, :, chosen] = self._draw(ratio[chosen], stream)

    def _draw(self, ratio: Values, stream: Stream) -> Float[Tensor, "4 sectors batch"]:
        """The sums for inputs with rho / sigma = `ratio`."""
        squares, masks = self._squares, self._masks
        g, x = stream.normal_(squares[:2])
        both, plus_minus, minus_plus = masks[:3]
        torch.addcmul(x, g, ratio.to(g.dtype)[:, None], out=both)  # h_2 / sigma
        torch.gt(both, 0.0, out=minus_plus)
        torch.gt(g, 0.0, out=plus_minus)
        torch.mul(plus_minus, minus_plus, out=both)
        plus_minus.sub_(both)
        minus_plus.sub_(both)
        if len(masks) == 4:
            torch.le(g, 0.0, out=masks[3]).sub_(minus_plus)
        torch.mul(x, x, out=squares[2])
        x.mul_(g)
        g.mul_(g)
        return torch.bmm(squares.transpose(0, 1), masks.permute(1, 2, 0)).permute(1, 2, 0)


def features(sums: Sums, log_gap: Values, sectors: Sectors) -> Features:
    """What `sums` of a layer whose inputs have correlation 1 - e^`log_gap` say about its features."""
    total = sectors.totals @ sums[:3].flatten(0, 1)
    first_sq, both_gx, second_xx, same_gg, same_gx, one_gg, mixed_gg, mixed_gx, two_gg, two_gx = total
    gap = log_gap.exp()
    upper, rho = 2.0 - gap, 1.0 - gap
    sigma = (gap * upper).sqrt_().clamp_min_(_LEAST_SIGMA)
    drift = (gap / upper).sqrt_()
    cross = both_gx - drift * same_gg + (rho * mixed_gg - one_gg) / sigma
    jump_sq = (rho * (rho * two_gg - 2.0 * mixed_gg) + one_gg) / sigma + 2.0 * (rho * two_gx - mixed_gx)
    jump_sq = jump_sq / sigma + drift * (drift * same_gg - 2.0 * same_gx) + second_xx
    product = first_sq + sigma * cross
    second_sq = (product + sigma * (cross + sigma * jump_sq)).clamp_min_(0.0)

    counts = sums[3]
    squares = torch.where(sectors.passing @ counts > 0.0, torch.stack([first_sq, second_sq]), 0.0)
    alive = (squares > 0.0).all(0)
    independent = alive & (torch.minimum(counts, sectors.ranks).sum(0) >= 2.0)
    cosine = torch.where(alive, product / (first_sq * second_sq).sqrt_(), 0.0).clamp_(-1.0, 1.0)
    overlap = torch.where(alive, cross / first_sq, 0.0)
    rest_sq = torch.where(independent, jump_sq - overlap * cross, 0.0).clamp_min_(0.0)
    log_sin_sq = (upper * rest_sq / second_sq).log_() + log_gap
    next_gap = torch.where(cosine < 0.0, -cosine, 0.0).log1p_()
    next_gap = torch.where(cosine < 0.0, next_gap, log_sin_sq - cosine.log1p())
    next_gap = torch.where(alive, next_gap, 0.0).clamp_max_(_LARGEST_LOG_GAP)
    return Features(squares, cosine, next_gap, overlap, rest_sq.sqrt_())


def factors(
    sums: Float64[Tensor, "layers 4 sectors batch"],
    log_gap: Float64[Tensor, "layers batch"],
    axes: Float64[Tensor, "layers 3 batch"],
    slopes: Float64[Tensor, "layers sectors 2"],
) -> tuple[Float64[Tensor, "layers sectors 2 2 batch"], Float64[Tensor, "layers sectors 2 2 batch"]]:
    """T_s and P_s of `ntk_sectors` for C = [g x] and the basis of f_1, f_2; `axes` are |f_1|^2, beta and the rest."""
    gg, gx, xx, counts = sums.unbind(1)
    gap = log_gap.exp()[:, None]
    sigma = (gap * (2.0 - gap)).sqrt_().clamp_min_(_LEAST_SIGMA)
    one, two = slopes[:, :, 0, None], slopes[:, :, 1, None]
    # D = s_2 x + steepness g; without cancellation where the signs are the same
    steepness = (two * (1.0 - gap) - one) / sigma
    steepness[:, ::3] = -one[:, ::3] * (gap / (2.0 - gap)).sqrt_()
    first_sq, overlap, rest = (axes[:, k, None] for k in range(3))

    t_11 = gg.sqrt()
    t_12 = torch.where(gg > 0.0, gx / t_11, 0.0)
    t_22 = torch.where(counts > 1.0, xx - t_12**2, 0.0).clamp_min_(0.0).sqrt_()
    to_first = torch.where(first_sq > 0.0, one / first_sq.sqrt(), 0.0)
    to_rest = torch.where(rest > 0.0, 1.0 / rest, 0.0)
    drawn = sums.new_zeros(*gg.shape[:2], 2, 2, gg.shape[2])
    basis = torch.zeros_like(drawn)
    drawn[:, :, 0, 0], drawn[:, :, 0, 1], drawn[:, :, 1, 1] = t_11, t_12, t_22
    basis[:, :, 0, 0] = t_11 * to_first
    basis[:, :, 0, 1] = (t_11 * (steepness - overlap * one) + t_12 * two) * to_rest
    basis[:, :, 1, 1] = t_22 * two * to_rest
    return drawn, basis
