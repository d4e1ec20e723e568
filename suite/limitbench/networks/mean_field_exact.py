"""Mean-field networks forward and backward without weights, exact in law at any width.

Write every matrix as its scale times independent N(0, 1) entries and every bias as a column of the matrix:

    h_l = W_l F_l,   F_l = [sigma_w x_{l-1} / sqrt(N); sigma_b 1'],   u_l = phi(h_l),
    y_l = V_l K_l,   K_l = [sigma_v u_l / sqrt(N); sigma_a 1'],       x_l = x_{l-1} + y_l,

columns are inputs (`reduced`: y_l = u_l; `plain`: x_l = u_l). With orthonormal bases F_l = B_l R_l, K_l = D_l S_l the
forward pass uses W_l B_l and V_l D_l only, which given all earlier layers are N(0, 1) entries again. So x_l, h_l, B_l,
D_l are functions of x_0 and of the seen W_l B_l, V_l D_l, and given these the unseen W_l (I - B_l B_l'),
V_l (I - D_l D_l') of all layers are independent of one another. Backward, g_l = dE/dx_l with one column an input,

    g_L = a vector independent of all matrices, or a function of the seen part of the output matrix and its unseen part,
    du_l = (sigma_v / sqrt(N)) [V_l' g_l]_N,   dh_l = phi'(h_l) du_l,
    g_{l-1} = g_l + (sigma_w / sqrt(N)) [W_l' dh_l]_N,

[.]_N the first N rows (the last one belongs to the bias): g_l depends on the unseen parts of later layers only, and
dh_l on that of V_l besides, so `conditioned.backward` draws V_l' g_l, then W_l' dh_l, from their exact conditional
laws. The output matrix enters the loss |W x_L / sqrt(N) - y|^2 / 2 and is conditioned on its outputs in the same way.
Gradients of parameters are sums of outer products over inputs: their mean squares need Gram matrices alone,

    dE/dw = sum_a dh^a x^a',   dE/db = sum_a dh^a,   dE/dv = sum_a g^a u^a',   dE/da = sum_a g^a.

The backward pass of arXiv 1712.08969 draws all matrices afresh instead, which is off by O(1/N).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks import conditioned
from limitbench.networks.conditioned import Seen, Vectors
from limitbench.networks.mean_field_block import MeanFieldBlock, Observed, observables, target
from limitbench.numerics.random import Stream

#: Pairs of inputs a and b that stay x^a = sign x^b in every layer, as (a, b, sign).
Twins = tuple[tuple[int, int, float], ...]
#: Blocks between two changes of scale of the forward pass, a divisor of
_RESCALED_EVERY = 8
#: blocks whose values are kept at a time: where there are more, all but the last of them are drawn twice.
SEGMENT = 64

Values = Float[Tensor, " batch"]
Augmented = Float[Tensor, "columns batch augmented"]
Grams = Float[Tensor, "columns columns batch"]


class _Passed(NamedTuple):
    """What a block keeps for the backward pass: seen parts of w and v, Gram matrices of x_{l-1} and u_l, their scales.

    The Gram matrices are those of the inputs that have gradients; x_{l-1} and h_l are multiples of e^s, u_l one of e^t,
    s and t the `log_scales`.
    """

    w: Seen
    v: Seen | None
    inputs: Grams
    units: Grams
    log_scales: tuple[Values, Values]


@torch.inference_mode()
def sample(
    block: MeanFieldBlock,
    root: Float[Tensor, "rank inputs"],
    *,
    outputs: int | None,
    depth: int,
    layers: Sequence[int],
    batch: int,
    stream: Stream,
) -> Observed:
    """All observables of `batch` networks of `depth` blocks at `layers`; `outputs` None for the independent loss.

    Powers of ReLU are homogeneous, phi(e^s h) = e^(A s) phi(h): their features are carried as multiples of e^s, so that
    no depth overflows; gradients are carried so always. Cost a block: N normals a matrix and input forward (twice that
    where there are more than 64 blocks to follow), N a matrix and gradient backward, O(N m^2) operations. Memory: 12 N
    bytes a matrix and input of 64 blocks, 8 N an input for every 64. Float64, float32 normals.
    """
    device, inputs, n = stream.device, root.shape[1], block.width
    found: dict[str, dict[int, Values]] = {name: {} for name in observables(block.kind, inputs)}
    normals = stream.normal_(torch.empty(len(root), batch, n, device=device)).double()
    twins, at = _twins(block, root), frozenset(layers)
    x = _alike(torch.einsum("kc,kbn->cbn", root.to(device), normals).contiguous(), twins)
    s = torch.zeros(batch, dtype=torch.float64, device=device)
    segment = _Segment(block, twins, x.shape, min(depth, SEGMENT), 1 if outputs is None else inputs, stream)
    starts = []
    for start in range(0, depth, SEGMENT):
        starts.append((x.clone(), s))
        for layer, after, log_scale, kept in segment.forward(x, s, range(start + 1, min(start + SEGMENT, depth) + 1)):
            x, s = after, log_scale
            if layer in at:
                found["log_preactivation"][layer] = _log_mean_square(kept.w.product(1)[0]) + 2.0 * kept.log_scales[0]
                for name, value in _lengths(x, s).items():
                    found[name][layer] = value

    g = _output_gradient(x, s, outputs, stream)
    t, last = torch.zeros_like(s), _log_mean_square(g[0])  # gradients are multiples of e^t
    for layer in range(depth, 0, -1):
        if not segment.passed:
            end = layer + 1 - SEGMENT
            for _ in segment.forward(*starts[(layer - 1) // SEGMENT], range(end, layer + 1)):
                pass
        kept = segment.passed.pop()
        dh = _slope(block, kept, len(g)).mul_(g if kept.v is None else _transposed(kept.v, g, block.sigma_v, stream))
        gains = _parameter_gains(kept, g, dh) if layer in at else {}
        dx = _transposed(kept.w, dh, block.sigma_w, stream)
        g = dx if block.kind == "plain" else dx.add_(g)
        if layer in at:
            for name, gain in (gains | {"log_chi": _log_mean_square(g[0])}).items():
                found[name][layer] = gain + 2.0 * t - last
        t = t + _rescale(g)
    return {name: torch.stack([values[layer] for layer in layers], dim=1) for name, values in found.items()}


class _Segment:
    """Forward through a segment of blocks, from a stream of its own, with what each keeps in memory of their own."""

    def __init__(
        self,
        block: MeanFieldBlock,
        twins: Twins,
        shape: Sequence[int],
        length: int,
        differentiated: int,
        stream: Stream,
    ) -> None:
        columns, batch, width = shape
        rooms = (length, 2 if block.kind == "full" else 1, columns, batch)
        self._block, self._twins, self._differentiated, self._stream = block, twins, differentiated, stream
        self._features = torch.empty(*rooms, width + 1, dtype=torch.float64, device=stream.device)
        self._drawn = torch.empty(*rooms, width, device=stream.device)
        #: What each block has kept, the last one last.
        self.passed: list[_Passed] = []

    def forward(self, x: Vectors, s: Values, layers: range) -> Iterator[tuple[int, Vectors, Values, _Passed]]:
        """Each of `layers` with its x and s, from those before it: the same numbers whenever it is asked for."""
        self.passed, stream = [], self._stream.another("blocks", layers[0])
        for layer, features, drawn in zip(layers, self._features, self._drawn, strict=False):
            x, s, kept = _forward(self._block, self._twins, x, s, self._differentiated, features, drawn, stream)
            self.passed.append(kept)
            if self._block.activation.exponent is not None and layer % _RESCALED_EVERY == 0:
                s = s + _rescale(x)
            yield layer, x, s, kept


def _forward(
    block: MeanFieldBlock,
    twins: Twins,
    x: Vectors,
    s: Values,
    differentiated: int,
    features: Float[Tensor, "matrices columns batch augmented"],
    drawn: Float[Tensor, "matrices columns batch width"],
    stream: Stream,
) -> tuple[Vectors, Values, _Passed]:
    """e^-s x_l and its s from e^-s x_{l-1} and its s, and what is kept, in the memory of `features` and `drawn`."""
    exponent, inputs = block.activation.exponent, _gram(x[:differentiated])
    w = conditioned.forward(_augmented(x, block.sigma_w, s, block.sigma_b, features[0]), drawn[0], stream)
    u = block.activation.function(_alike(w.product(len(x)), twins))
    units = _gram(u[:differentiated])
    t = s if exponent is None else exponent * s
    if block.kind == "plain":
        return u, t, _Passed(w, None, inputs, units, (s, t))
    if exponent not in (None, 1.0):
        u *= (t - s).exp()[:, None]
    if block.kind == "reduced":
        return u.add_(x), s, _Passed(w, None, inputs, units, (s, t))
    v = conditioned.forward(_augmented(u, block.sigma_v, s, block.sigma_a, features[1]), drawn[1], stream)
    return _alike(v.product(len(x)), twins).add_(x), s, _Passed(w, v, inputs, units, (s, t))


def _twins(block: MeanFieldBlock, root: Float[Tensor, "rank inputs"]) -> Twins:
    """Equal inputs, and opposite ones where all is odd: rounding must not part them, for chaos would magnify it."""
    odd = block.activation.odd and block.sigma_b == 0.0 and (block.kind != "full" or block.sigma_a == 0.0)
    pairs = [(a, b, sign) for a in range(root.shape[1]) for b in range(a) for sign in ((1.0, -1.0) if odd else (1.0,))]
    return tuple((a, b, sign) for a, b, sign in pairs if torch.allclose(root[:, a], sign * root[:, b], 1e-12, 0.0))


def _alike(vectors: Vectors, twins: Twins) -> Vectors:
    """`vectors`, in place those of twins alike to the last bit."""
    for a, b, sign in twins:
        torch.mul(vectors[b], sign, out=vectors[a])
    return vectors


def _augmented(x: Vectors, sigma: float, s: Values, bias: float, out: Augmented) -> Augmented:
    """[sigma x / sqrt(N); e^-s bias 1'] in `out`: features of a matrix whose last column is a bias, over e^s."""
    width = x.shape[2]
    torch.mul(x, sigma / math.sqrt(width), out=out[:, :, :width])
    out[:, :, width] = bias * (-s).exp() if bias > 0.0 else 0.0
    return out


def _slope(block: MeanFieldBlock, kept: _Passed, columns: int) -> Vectors:
    """phi'(h) of the first `columns` inputs."""
    slope = block.activation.derivative(kept.w.product(columns))
    if block.activation.exponent not in (None, 1.0):
        s, t = kept.log_scales
        slope *= (t - s).exp()[:, None]
    return slope


def _transposed(seen: Seen, gradients: Vectors, sigma: float, stream: Stream) -> Vectors:
    """(sigma / sqrt(N)) [G' gradients]_N."""
    width = gradients.shape[2]
    return conditioned.backward(seen, gradients, stream)[:, :, :width] * (sigma / math.sqrt(width))


def _parameter_gains(kept: _Passed, g: Vectors, dh: Vectors) -> dict[str, Values]:
    """Logs of the mean square entries of dE/dw, dE/db, and of dE/dv, dE/da where there are such."""
    s, t = kept.log_scales
    gains = {"log_chi_b": _log_mean_square(dh.sum(0)), "log_chi_w": _log_outer(dh, kept.inputs) + 2.0 * s}
    if kept.v is not None:
        gains |= {"log_chi_a": _log_mean_square(g.sum(0)), "log_chi_v": _log_outer(g, kept.units) + 2.0 * t}
    return gains


def _output_gradient(
    x: Float[Tensor, "inputs batch width"], s: Values, outputs: int | None, stream: Stream
) -> Float[Tensor, "gradients batch width"]:
    """g_L, that of the squared loss up to a factor of each network."""
    inputs, batch, width = x.shape
    if outputs is None:
        return stream.normal_(torch.empty(1, batch, width, device=x.device)).double()
    room = torch.empty(inputs, batch, outputs, device=x.device)
    readout = conditioned.forward(x / math.sqrt(width), room, stream)
    targets = torch.tensor([target(a) for a in range(inputs)], dtype=torch.float64, device=x.device)[:, None, None]
    scale = s.clamp_min(0.0)
    residuals = readout.product(inputs) * (s - scale).exp()[:, None] - targets * (-scale).exp()[:, None]
    return conditioned.backward(readout, residuals, stream)


def _lengths(x: Vectors, s: Values) -> dict[str, Values]:
    """Length of input 1, e^s x; cosine, covariance and distance of inputs 1 and 2."""
    found = {"log_length": _log_mean_square(x[0]) + 2.0 * s}
    if len(x) > 1:
        overlap = (x[0] * x[1]).sum(1)
        norms = torch.linalg.vector_norm(x[:2], dim=2)
        found["cosine"] = (overlap / norms[0] / norms[1]).clamp(-1.0, 1.0)
        found["covariance_12"] = overlap / x.shape[2] * (2.0 * s).exp()
        found["log_distance"] = _log_mean_square(x[0] - x[1]) + 2.0 * s
    return found


def _log_mean_square(vectors: Float[Tensor, "batch width"]) -> Values:
    """ln(|v|^2 / N)."""
    norms: Values = torch.linalg.vector_norm(vectors, dim=1)
    return 2.0 * norms.log() - math.log(vectors.shape[1])


def _gram(vectors: Vectors) -> Grams:
    """Inner products of all columns."""
    return torch.stack([(vector * vectors).sum(2) for vector in vectors])


def _log_outer(gradients: Vectors, gram: Grams) -> Values:
    """ln of the mean square entry of sum_a gradients^a v^a', from the Gram matrix of the v^a."""
    total = (_gram(gradients) * gram).sum((0, 1)).clamp_min(0.0)
    return total.log() - 2.0 * math.log(gradients.shape[2])


def _rescale(vectors: Vectors) -> Values:
    """Bring each network's vectors to a length in [1/2, 1) by a power of two, in place; the log taken off."""
    size = torch.linalg.vector_norm(torch.linalg.vector_norm(vectors, dim=2), dim=0)
    exponent = torch.frexp(size).exponent
    vectors.mul_(torch.ldexp(torch.ones_like(size), -exponent)[:, None])
    taken_off: Values = exponent.double() * math.log(2.0)
    return taken_off
