"""Deep linear networks with real weight matrices: the oracle of the Bartlett factors.

The D x n matrix M = W_{L+1} W_L ... / sqrt(n_1 ... n_L) is multiplied out from the output side. It is kept as G O with
orthonormal rows O, so that rows which become parallel with depth do not drown the smaller eigenvalues.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limitbench.networks.linear_state import TriangularProduct
from limitbench.networks.weights import WeightStream
from limitbench.numerics.random import Stream


def sample_mixing(
    widths: Sequence[int],
    outputs: int,
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    readout: Stream,
    weights: str = "gaussian",
) -> dict[str, Float[Tensor, "batch depths"]]:
    """Observables of Q_d = M_d M_d' with M_d of shape D x n_d from weights D x n_1, n_1 x n_2, ..., n_{d-1} x n_d.

    The law of Q_d does not depend on the order of the widths (products of Gaussian matrices commute weakly,
    arXiv 1310.4154), so this is the network with hidden widths n_1 .. n_d. Its outputs are S_d = M_d h with features
    h = W_1 x / sqrt(n_0), n_d normals for |x|^2 = n_0 from the stream `readout`. Cost: n^2 normals a layer and network.
    """
    device = stream.device
    fan_out = [outputs, *widths]
    largest = max(n * width for n, width in zip(fan_out, widths, strict=False))
    matrices = WeightStream(weights, stream, batch * largest)
    product = TriangularProduct(batch, outputs, device)
    rows = torch.eye(outputs, dtype=torch.float64, device=device).expand(batch, outputs, outputs)
    recorded = []
    with torch.inference_mode():
        for depth, width in enumerate(widths[: depths[-1]], start=1):
            basis, upper = torch.linalg.qr((rows @ matrices.matrices(batch, fan_out[depth - 1], width)).mT)
            rows = basis.mT
            product.append(upper.mT / width**0.5)
            features = readout.normal_(torch.empty(batch, width, 1, dtype=torch.float64, device=device))
            if depth in depths:
                recorded.append(product.observables() | product.outputs((rows @ features)[:, :, 0]))
    return {name: torch.stack([values[name] for values in recorded], dim=1) for name in recorded[0]}


def sample_outputs(
    widths: Sequence[int],
    outputs: int,
    root: Float[Tensor, "rank inputs"],
    *,
    depths: Sequence[int],
    batch: int,
    stream: Stream,
    readout: Stream,
) -> Float[Tensor, "batch depths outputs inputs"]:
    """Outputs of real networks, forward from the inputs X = sqrt(n_0) `root`, n_0 the rank:

    h_1 = W_1 X / sqrt(n_0), h_{l+1} = W_{l+1} h_l / sqrt(n_l), and S_d = W h_d / sqrt(n_d) with a last matrix W of its
    own for each depth d (from the stream `readout`), so that each depth is a network which ends there.
    """

    def weights(rows: int, columns: int, stream: Stream) -> Float[Tensor, "batch rows columns"]:
        return stream.normal_(torch.empty(batch, rows, columns, device=stream.device)).double()

    with torch.inference_mode():
        hidden, fan_in, recorded = root.expand(batch, *root.shape), 1, []
        for depth, width in enumerate(widths[: depths[-1]], start=1):
            hidden = weights(width, hidden.shape[1], stream) @ hidden / fan_in**0.5
            last, fan_in = weights(outputs, width, readout), width
            if depth in depths:
                recorded.append(last @ hidden / width**0.5)
    return torch.stack(recorded, dim=1)
