"""Two inputs through a shaped ReLU network without weights: the pair (1 - rho, V^11) is a Markov chain.

Given layer l the n pre-activations of the two inputs are independent pairs of normals with correlation rho, so a layer
costs 2 n normals instead of n^2. The DIFFERENCE of the two features is propagated, never the difference of Gram entries:
1 - rho keeps its relative accuracy down to any size, in float32 elements with a float64 state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.shaping import ShapedLayer

#: Layers up to this width are computed in float64 with an exact zero where the two features are parallel.
NARROW = 32
#: Largest factor on a pre-activation: its square times any width stays inside float32.
_LARGEST_SCALE = 1e15

Batch = Float[Tensor, " batch"]


def sample_pair(
    layers: Sequence[ShapedLayer], rho0: float, *, depths: Sequence[int], batch: int, generator: torch.Generator
) -> tuple[Float[Tensor, "batch depths"], Float[Tensor, "batch depths"]]:
    """ln(1 - rho_d) and ln(V_d^11 / V_0^11) of `batch` networks, one column per depth (arXiv 2206.02768, section 0).

    Cost: 2 n normals and about 10 passes over n elements a layer and network. Where every unit of one input is off the
    log gap is NaN from there on; ln V is -inf from the layer at which input 1 goes dead.
    """
    device = generator.device
    widest = max(layer.width for layer in layers)
    normals = torch.empty(2 * batch * widest, device=device)
    scratch = torch.empty(2 * batch * widest, device=device)
    log_gap = torch.full((batch,), math.log1p(-rho0) if rho0 < 1 else -math.inf, dtype=torch.float64, device=device)
    log_norm = torch.zeros_like(log_gap)
    gaps, norms = [], []
    with torch.inference_mode():
        for depth, layer in enumerate(layers[: depths[-1]], start=1):
            size = 2 * batch * layer.width
            drawn = normals[:size].normal_(generator=generator).view(2, batch, layer.width)
            if layer.width <= NARROW:
                growth, log_gap = narrow_layer(drawn.double(), layer.ratio, log_gap)
            else:
                growth, log_gap = wide_layer(drawn, scratch[:size].view_as(drawn), layer.ratio, log_gap)
            log_norm = log_norm + growth + math.log(layer.canonical_constant / layer.width)
            if depth in depths:
                gaps.append(log_gap)
                norms.append(log_norm)
    return torch.stack(gaps, dim=1), torch.stack(norms, dim=1)


def wide_layer(
    normals: Float[Tensor, "2 batch width"], scratch: Float[Tensor, "2 batch width"], ratio: float, log_gap: Batch
) -> tuple[Batch, Batch]:
    """One layer of n > 32 units: ln |phi(h_1)|^2 and the next ln(1 - rho). Overwrites both buffers.

    In units of sigma = sqrt(1 - rho^2), with h_1 = -g, h_2 = h_1 + sigma delta, delta = xi + (1 - rho) g / sigma and
    q = g / sigma, the difference of the features of slopes (1, r) is free of cancellation for any size of sigma:

        D = (phi(h_2) - phi(h_1)) / sigma = r delta + (1 - r) (max(delta, q) - max(q, 0)),
        1 - rho' = sigma^2 (|D|^2 - Delta^2) / (2 |f_1| |f_2|),   Delta = (|f_2| - |f_1|) / sigma.
    """
    q, delta = normals
    relu, jump = scratch
    state = _Scales(log_gap)
    q.mul_(state.factor.to(q.dtype)[:, None])
    delta.addcmul_(q, state.gap.to(q.dtype)[:, None])
    torch.clamp_min(q, 0.0, out=relu)
    torch.maximum(delta, q, out=jump)
    jump.sub_(relu)
    if ratio != 0.0:
        jump = delta.lerp_(jump, 1.0 - ratio)
    minus_feature = torch.sub(q, relu, alpha=1.0 - ratio, out=relu)

    feature_sq = torch.linalg.vecdot(minus_feature, minus_feature).double()
    cross = -torch.linalg.vecdot(minus_feature, jump).double()
    jump_sq = torch.linalg.vecdot(jump, jump).double()

    change = state.reach * (2.0 * cross + state.reach * jump_sq)
    norm = feature_sq.sqrt()
    other = (feature_sq + change).clamp_min(0.0).sqrt()
    stretch = (2.0 * cross + state.reach * jump_sq) / (norm + other)
    log_next = state.log_unit + torch.log((jump_sq - stretch**2).clamp_min(0.0) / (2.0 * norm * other))
    return state.growth(feature_sq), state.next_gap(log_next, norm, other)


def narrow_layer(normals: Float[Tensor, "2 batch width"], ratio: float, log_gap: Batch) -> tuple[Batch, Batch]:
    """The same layer for n <= 32 units in float64, where dead and parallel features are ordinary.

    With k the largest entry of f_1, the part of D that is not parallel to f_1 is taken as w = D - (D_k / f_k) f_1, w_k = 0:
    then sin^2 rho' = |f_1 ^ w|^2 / (|f_1|^2 |f_2|^2) is exactly 0 where one unit is on, and loses at most a factor n else.
    """
    state = _Scales(log_gap)
    q = normals[0] * state.factor[:, None]
    delta = normals[1] + q * state.gap[:, None]
    relu = q.clamp_min(0.0)
    jump = torch.lerp(delta, torch.maximum(delta, q) - relu, 1.0 - ratio)
    first = (1.0 - ratio) * relu - q
    second = first + state.reach[:, None] * jump

    pivot = first.abs().argmax(dim=1, keepdim=True)
    skew = jump - jump.gather(1, pivot) / first.gather(1, pivot) * first
    skew.scatter_(1, pivot, 0.0)
    first_sq, second_sq = (first**2).sum(1), (second**2).sum(1)
    wedge = (first_sq * (skew**2).sum(1) - (first * skew).sum(1) ** 2).clamp_min(0.0)
    norm, other = first_sq.sqrt(), second_sq.sqrt()
    correlation = ((first * second).sum(1) / (norm * other)).clamp(-1.0, 1.0)
    log_sin_sq = state.log_unit + torch.log(wedge / (first_sq * second_sq))
    log_next = torch.where(correlation < 0.0, torch.log1p(-correlation), log_sin_sq - torch.log1p(correlation))
    return state.growth(first_sq), state.next_gap(log_next, norm, other)


class _Scales:
    """The numbers by which one layer is scaled, from ln(1 - rho) of the layer before (NaN: an input is dead)."""

    def __init__(self, log_gap: Batch) -> None:
        self.defined = ~log_gap.isnan()
        clean = torch.where(self.defined, log_gap, 0.0)
        self.gap = clean.exp()
        # sigma^2 = (1 - rho)(1 + rho); the floor keeps rho = -1 inside the logs
        self.log_variance = clean + torch.log((2.0 - self.gap).clamp_min(1e-30))
        # rounded to float32 once, so that elements and state agree on it
        self.factor = torch.exp(-0.5 * self.log_variance).clamp_max(_LARGEST_SCALE).float().double()
        self.log_factor_sq = 2.0 * self.factor.log()
        self.log_unit = self.log_variance + self.log_factor_sq
        #: factor x sigma: 1 except below the smallest sigma that float32 elements resolve.
        self.reach = torch.exp(0.5 * self.log_unit)

    def growth(self, feature_sq: Batch) -> Batch:
        return feature_sq.log() - self.log_factor_sq

    def next_gap(self, log_next: Batch, norm: Batch, other: Batch) -> Batch:
        defined = self.defined & (norm > 0.0) & (other > 0.0)
        return torch.where(defined, log_next.clamp_max(math.log(2.0)), math.nan)
