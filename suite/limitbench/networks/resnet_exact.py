"""Residual networks without weights: given the features F of a layer, the rows of W F are independent N(0, F'F).

They are drawn as G R, where R is the triangular factor of F by modified Gram-Schmidt: R'R = F'F to rounding whatever
the rank of F, so that more inputs than units, duplicated inputs and dead features are ordinary. Gradients go back
through the same matrices, which `conditioned` draws from what the forward pass has seen of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limitbench.networks import conditioned
from limitbench.networks.residual import Columns, Recorded, ResidualBlock, Values, log_norms, rescale
from limitbench.numerics.random import Stream

#: Blocks between two changes of scale, so that no square leaves the range of float32.
_RESCALED_EVERY = 8
#: Blocks that have a stream of their own, so that they can be drawn again.
SEGMENT = 64
#: Random bits of a word, and the sign bit of a float32 as an integer.
_BITS, _SIGN = 31, -(2**31)
#: The bits of 1 as a float32.
_ONE = 127 << 23

Column: TypeAlias = Float[Tensor, "batch width"]
Flips: TypeAlias = Int[Tensor, "batch width"]


class _Block(NamedTuple):
    """What the backward pass needs of a block: what the forward pass saw of W, and phi'(sigma * z_1) * sigma / lead."""

    seen: conditioned.Seen
    slopes: Column


@torch.inference_mode()
def sample_layers(
    block: ResidualBlock,
    root: Float[Tensor, "rank inputs"],
    *,
    jacobian: bool,
    outputs: int,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    gradient: bool = False,
) -> Iterator[Recorded]:
    """Layer 0, without signs, and the layers `depths` of `batch` networks; with `jacobian` the last column is J u.

    Cost: n normals and O(n k) operations a block, network and column, k columns in all. Float32 with float64 scales:
    1e-5 in correlations, 1e-5 and 3e-8 a layer in logs (the coefficients are rounded). With `gradient` every recorded
    layer d costs d blocks more, of which all but the last 64 are drawn twice: no more than 64 are kept, at 4 (2k + 1)
    bytes a unit, and z of every 64th.
    """
    device, width = stream.device, block.width
    columns = root.shape[1] + jacobian
    chi = stream.normal_(torch.empty(batch, outputs, device=device)).double().square_().sum(1)
    first = stream.normal_(torch.empty(len(root) + jacobian, batch, width, device=device))
    frame = torch.eye(columns, dtype=torch.float64)[-len(first) :]
    frame[: len(root), : root.shape[1]] = root
    z = torch.einsum("kc,kbn->cbn", frame.to(device, first.dtype), first).contiguous()
    log_scale = torch.zeros(columns, batch, dtype=torch.float64, device=device)
    growth = block.growth
    blocks = _Segment(block, z, jacobian, stream, 0)
    starts = [z.clone()] if gradient else []
    tape: list[_Block] = []

    def recorded(layer: int) -> Recorded:
        sigma = blocks.signs.values() if blocks.signs is not None and layer else None
        state = Recorded(layer, z, log_scale + layer * math.log(growth) / 2.0, sigma, chi)
        if gradient:
            back = _log_gradient(block, jacobian, tape, starts[: -(-layer // SEGMENT)], z, stream, layer)
            state = state._replace(log_gradient=back + layer * math.log(growth))
        return state._replace(log_output=log_norms(state)[0] + chi.log())

    yield recorded(0)
    for layer in range(1, depths[-1] + 1):
        passed = blocks.advance(z, keep=gradient)
        tape = [*tape, passed] if passed is not None else tape
        if layer % _RESCALED_EVERY == 0:
            rescale(z, log_scale)
        if layer % SEGMENT == 0:
            blocks = _Segment(block, z, jacobian, stream, layer)
        if layer in depths:
            yield recorded(layer)
        if gradient and layer % SEGMENT == 0:
            starts, tape = [*starts, z.clone()], []


class _Segment:
    """Blocks that follow layer `start`, from a stream of their own."""

    def __init__(self, block: ResidualBlock, z: Columns, jacobian: bool, stream: Stream, start: int) -> None:
        self._block, self._jacobian, self._stream = block, jacobian, stream.another("blocks", start)
        self._features = torch.empty_like(z)
        self._room = self._features[0] if len(z) == 1 else torch.empty_like(z[0])
        self.signs = Signs(z.shape[1], z.shape[2], self._stream) if block.balanced else None

    def advance(self, z: Columns, *, keep: bool) -> _Block | None:
        """z behind one more block, in place; what its backward pass needs, where that is to be kept."""
        block = self._block
        skip, branch = _paths(block)
        flips = None if self.signs is None else self.signs.flips(self._room)
        features = torch.empty_like(z) if keep else self._features
        _activate(z, flips, block, self._jacobian, features)
        passed = None
        if keep:
            seen = conditioned.forward(features, torch.empty_like(z), self._stream)
            passed = _Block(seen, _slopes(z[0], self.signs, block))
            z.mul_(skip).add_(seen.product(len(z)), alpha=branch)
        else:
            _add_branch(z.mul_(skip), features, branch, self._room, self._stream)
        if self.signs is not None:
            self.signs.draw()
        return passed


def _paths(block: ResidualBlock) -> tuple[float, float]:
    """Factors of z and of W m(sigma * z) that keep squared norms at infinite width."""
    return block.skip / math.sqrt(block.growth), block.lead * block.branch / math.sqrt(block.growth * block.width)


def _add_branch(z: Columns, features: Columns, branch: float, scratch: Column, stream: Stream) -> None:
    """z + branch G R with features = B R by modified Gram-Schmidt and fresh normals G; overwrites the features."""
    for k, feature in enumerate(features):
        norm = torch.linalg.vector_norm(feature, dim=1)
        inverse = torch.where(norm > 0.0, 1.0 / norm, 0.0) if k + 1 < len(z) else norm
        sizes = [norm]
        for a in range(k + 1, len(z)):
            overlap = torch.mul(feature, features[a], out=scratch).sum(1).mul_(inverse)
            features[a].addcmul_(feature, (overlap * inverse)[:, None], value=-1.0)
            sizes.append(overlap)
        normals = stream.normal_(feature)
        for a, size in enumerate(sizes, start=k):
            z[a].addcmul_(normals, size.mul_(branch)[:, None])


def _activate(z: Columns, flips: Flips | None, block: ResidualBlock, jacobian: bool, out: Columns) -> None:
    """phi(sigma * z) / lead of the inputs, phi'(sigma * z_1) * sigma * t / lead of a tangent t in the last column."""
    signed = z
    if flips is not None:
        signed = out
        torch.bitwise_xor(z.view(torch.int32), flips[None], out=out.view(torch.int32))
    if block.mirrored:
        signed = torch.neg(signed, out=out)
    if jacobian:
        torch.ops.aten.leaky_relu_backward.grad_input(signed[-1], signed[0], block.ratio, False, grad_input=out[-1])
        signed, out = signed[:-1], out[:-1]
    torch.ops.aten.leaky_relu.out(signed, block.ratio, out=out)


def _slopes(z: Column, signs: Signs | None, block: ResidualBlock) -> Column:
    """phi'(sigma * z) * sigma / lead, the derivative of features over lead."""
    sigma = torch.ones_like(z) if signs is None else signs.values()
    sigma = sigma.neg_() if block.mirrored else sigma
    slopes: Column = torch.ops.aten.leaky_relu_backward(sigma, sigma * z, block.ratio, False)
    return slopes


def _log_gradient(
    block: ResidualBlock,
    jacobian: bool,
    tape: Sequence[_Block],
    starts: Sequence[Columns],
    z: Columns,
    stream: Stream,
    layer: int,
) -> Values:
    """ln(|J'v|^2 / |v|^2) at `layer` for a Gaussian v; `tape` holds the last blocks, `starts` z where segments start.

    Every recorded layer has a stream of its own, for v and for what the forward pass has not seen of the matrices, so
    that none alters another; given the forward pass, gradients of different layers are independent draws.
    """
    own, (skip, branch) = stream.another("gradient", layer), _paths(block)
    gradient = own.normal_(torch.empty_like(z[:1]))
    log_scale = torch.zeros(gradient.shape[:2], dtype=torch.float64, device=z.device)
    start = torch.linalg.vector_norm(gradient[0], dim=1).double().log()
    for segment in range(len(starts) - 1, -1, -1):
        blocks = tape if segment == len(starts) - 1 else _again(block, jacobian, starts[segment], stream, segment)
        for number, (seen, slopes) in enumerate(reversed(blocks), start=1):
            back = conditioned.backward(seen, gradient, own).mul_(slopes)
            gradient.mul_(skip).add_(back, alpha=branch)
            if number % _RESCALED_EVERY == 0:
                rescale(gradient, log_scale)
        rescale(gradient, log_scale)
    log_gradient: Values = 2.0 * (torch.linalg.vector_norm(gradient[0], dim=1).double().log() + log_scale[0] - start)
    return log_gradient


def _again(block: ResidualBlock, jacobian: bool, start: Columns, stream: Stream, segment: int) -> list[_Block]:
    """What a whole segment's backward pass needs, from z where it starts."""
    z, tape = start.clone(), []
    log_scale = torch.zeros(z.shape[:2], dtype=torch.float64, device=z.device)
    blocks = _Segment(block, z, jacobian, stream, segment * SEGMENT)
    for layer in range(1, SEGMENT + 1):
        passed = blocks.advance(z, keep=True)
        tape += [passed] if passed is not None else []
        if layer % _RESCALED_EVERY == 0:
            rescale(z, log_scale)
    return tape


class Signs:
    """sigma, one fair sign for each unit of each network, fresh for every block: a bit of a random word at a time."""

    def __init__(self, batch: int, width: int, stream: Stream) -> None:
        self._stream, self._used = stream, _BITS
        self._words = torch.empty(batch, width, dtype=torch.int32, device=stream.device)
        self.draw()

    def draw(self) -> None:
        """The next sigma."""
        if self._used == _BITS:
            self._used = 0
            self._words.random_(generator=self._stream.torch)  # 31 bits and a 0
        self._used += 1

    def flips(self, room: Column) -> Flips:
        """The sign bit of a float32 where sigma = -1, no bit where it is 1; in the memory of `room`."""
        bits = torch.bitwise_left_shift(self._words, self._used, out=room.view(torch.int32))
        return bits.bitwise_and_(_SIGN)

    def values(self) -> Column:
        """sigma itself."""
        room = torch.empty(self._words.shape, device=self._words.device)
        self.flips(room).bitwise_or_(_ONE)
        return room
