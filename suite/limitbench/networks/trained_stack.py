"""The trainable part of a residual or plain network, many replicates at once, with its gradients written out.

Blocks x_l = v phi(w x_{l-1} + b) + a + x_{l-1} (full), phi(w x_{l-1} + b) + x_{l-1} (reduced), phi(w x_{l-1} + b)
(plain), then a readout. All parameters lie in one vector and all gradients in another, so that an optimiser step is a
few operations; every buffer is made once: fresh memory would cost as much as the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from limitbench.numerics.random import Stream

#: Kinds of blocks.
KINDS = ("full", "reduced", "plain")
#: Decay rates of the first and second moment and the offset of Adam (arXiv 1412.6980).
_ADAM = (0.9, 0.999, 1e-8)


@dataclass(frozen=True)
class Shape:
    """Sizes and kind (of `KINDS`) of a stack.

    `exponent` A of phi(x) = max(x, 0)^A, None for tanh. `stds` are the standard deviations of the entries of w, b, v, a
    at the start (w and v: before the factor 1/sqrt(N)).
    """

    kind: str
    exponent: float | None
    depth: int
    width: int
    classes: int
    stds: tuple[float, float, float, float]


class Stack:
    """`replicates` independent networks of one shape, drawn from `stream`, on batches of up to `images` images."""

    def __init__(self, shape: Shape, replicates: int, images: int, stream: Stream) -> None:
        self.shape, self._device = shape, stream.device
        depth, width, classes, count = shape.depth, shape.width, shape.classes, replicates
        full = shape.kind == "full"
        sizes: list[tuple[int, ...]] = [(depth, count, width, width), (depth, count, 1, width)] * (2 if full else 1)
        sizes += [(count, width, classes), (count, 1, classes)]
        matrix = 1 / math.sqrt(width)
        spreads = [s * k for s, k in zip(shape.stds, (matrix, 1.0) * 2, strict=True)][: 4 if full else 2]
        self.parameters = torch.empty(sum(map(math.prod, sizes)), device=self._device)
        self.gradients = torch.zeros_like(self.parameters)
        self._parts, self._slopes = _views(self.parameters, sizes), _views(self.gradients, sizes)
        for part, spread in zip(self._parts, (*spreads, matrix, 0.0), strict=True):
            stream.normal_(part).mul_(spread)
        self._w, self._b, *branch, self._readout, self._offset = self._parts
        self._v: Tensor | None = branch[0] if full else None
        self._a: Tensor | None = branch[1] if full else None
        state = (count, images, width)
        self._x = torch.empty(depth + 1, *state, device=self._device)
        self._u = torch.empty(depth, *state, device=self._device)
        self._g, self._h, self._scratch = (torch.empty(state, device=self._device) for _ in range(3))
        self._moments: tuple[Tensor, Tensor] | None = None
        self._steps = 0

    def forward(self, start: Float[Tensor, "replicates images width"]) -> Float[Tensor, "replicates images classes"]:
        """Outputs for x_0; keeps what `backward` needs."""
        n = start.shape[1]
        self._x[0, :, :n] = start
        for layer in range(self.shape.depth):
            x, u, after = self._x[layer, :, :n], self._u[layer, :, :n], self._x[layer + 1, :, :n]
            torch.baddbmm(self._b[layer], x, self._w[layer], out=u)
            self._activate(u)
            if self._v is not None and self._a is not None:
                torch.baddbmm(self._a[layer], u, self._v[layer], out=after)
                after += x
            elif self.shape.kind == "reduced":
                torch.add(x, u, out=after)
            else:
                after.copy_(u)
        return torch.baddbmm(self._offset, self._x[self.shape.depth, :, :n], self._readout)

    def last(self, images: int) -> Float[Tensor, "replicates images width"]:
        """x_L of the last forward pass (a view)."""
        return self._x[self.shape.depth, :, :images]

    def backward(
        self, outer: Float[Tensor, "replicates images classes"], *, parameters: bool = True
    ) -> tuple[Float[Tensor, "replicates images width"], Float[Tensor, "replicates images width"]]:
        """Gradients at x_L and x_0 (a view) from those at the outputs, after `forward` on the same images.

        With `parameters` also `gradients`, those of all parameters summed over the images.
        """
        n, depth = outer.shape[1], self.shape.depth
        g, h, scratch = (buffer[:, :n] for buffer in (self._g, self._h, self._scratch))
        w_slope, b_slope, *branch, readout_slope, offset_slope = self._slopes
        if parameters:
            torch.bmm(self._x[depth, :, :n].mT, outer, out=readout_slope)
            torch.sum(outer, 1, keepdim=True, out=offset_slope)
        torch.bmm(outer, self._readout.mT, out=g)
        last = g.clone()
        for layer in reversed(range(depth)):
            u = self._u[layer, :, :n]
            if self._v is not None:
                if parameters:
                    torch.bmm(u.mT, g, out=branch[0][layer])
                    torch.sum(g, 1, keepdim=True, out=branch[1][layer])
                torch.bmm(g, self._v[layer].mT, out=h)
            else:
                h.copy_(g)
            self._times_slope(h, u, scratch)
            if parameters:
                torch.bmm(self._x[layer, :, :n].mT, h, out=w_slope[layer])
                torch.sum(h, 1, keepdim=True, out=b_slope[layer])
            torch.bmm(h, self._w[layer].mT, out=scratch)
            g.copy_(scratch) if self.shape.kind == "plain" else g.add_(scratch)
        return last, g

    def sgd_step(self, rate: float) -> None:
        """theta - rate gradient."""
        self.parameters.sub_(self.gradients, alpha=rate)

    def adam_step(self, rate: float) -> None:
        """One step of Adam with bias correction."""
        if self._moments is None:
            self._moments = torch.zeros_like(self.parameters), torch.zeros_like(self.parameters)
        self._steps += 1
        (first, second), (keep, keep_square, offset) = self._moments, _ADAM
        first.lerp_(self.gradients, 1 - keep)
        second.mul_(keep_square).addcmul_(self.gradients, self.gradients, value=1 - keep_square)
        root = math.sqrt(1 - keep_square**self._steps)
        torch.sqrt(second, out=self.gradients)
        self.gradients.add_(offset * root)
        self.parameters.addcdiv_(first, self.gradients, value=-rate * root / (1 - keep**self._steps))

    def _activate(self, u: Float[Tensor, "replicates images width"]) -> None:
        """phi in place; tanh x = 2 sigmoid(2x) - 1 is five times as fast, to 1e-7, and this is float32."""
        if self.shape.exponent is None:
            u.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)
            return
        u.clamp_(min=0.0)
        if self.shape.exponent != 1.0:
            u.pow_(self.shape.exponent)

    def _times_slope(
        self,
        h: Float[Tensor, "replicates images width"],
        u: Float[Tensor, "replicates images width"],
        scratch: Float[Tensor, "replicates images width"],
    ) -> None:
        """h phi' in place, phi' from u = phi: 1 - u^2, or A u^((A - 1)/A) where u > 0."""
        power = self.shape.exponent
        if power is None:
            torch.mul(h, u, out=scratch)
            h.addcmul_(scratch, u, value=-1.0)
            return
        torch.sign(u, out=scratch)
        h.mul_(scratch)
        if power != 1.0:
            scratch.copy_(u).masked_fill_(u <= 0.0, 1.0)
            h.mul_(scratch.pow_((power - 1.0) / power)).mul_(power)


def cross_entropy(
    outputs: Float[Tensor, "replicates images classes"], labels: Int[Tensor, "replicates images"]
) -> tuple[Float[Tensor, " replicates"], Float[Tensor, "replicates images classes"]]:
    """Mean cross entropy over the images, and the gradient of each image's own at the outputs."""
    log_shares = torch.log_softmax(outputs, dim=2)
    chosen = torch.nn.functional.one_hot(labels, outputs.shape[2]).to(outputs.dtype)
    losses = -torch.gather(log_shares, 2, labels[..., None])[..., 0]
    return losses.mean(dim=1), log_shares.exp() - chosen


def _views(flat: Float[Tensor, " parameters"], sizes: list[tuple[int, ...]]) -> list[Tensor]:
    parts = torch.split(flat, [math.prod(size) for size in sizes])
    return [part.view(size) for part, size in zip(parts, sizes, strict=True)]
