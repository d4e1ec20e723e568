"""The mixing matrix of a deep linear network as a product of lower triangular factors, in the log domain.

Q = G G' with G = T_1 T_2 ... T_L. Rows of G keep scales of their own, and G^-1 is carried along: the smallest
eigenvalue of Q is 1 / |G^-1|^2, a largest singular value too, so it is accurate however far the eigenvalues lie apart.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class TriangularProduct:
    """G = T_1 ... T_l of a batch of networks, starting at the identity; O(D^3) a layer, float64."""

    def __init__(self, batch: int, outputs: int, device: torch.device) -> None:
        identity = torch.eye(outputs, dtype=torch.float64, device=device).expand(batch, outputs, outputs)
        self._rows, self._inverse = identity, identity
        self._log_rows = torch.zeros(batch, outputs, dtype=torch.float64, device=device)
        self._log_columns = torch.zeros_like(self._log_rows)
        self._log_diagonal = torch.zeros_like(self._log_rows)

    def append(self, factor: Float[Tensor, "batch outputs outputs"]) -> None:
        """G <- G T for a lower triangular T."""
        self._log_diagonal = self._log_diagonal + factor.diagonal(dim1=1, dim2=2).abs().log()
        self._rows, self._log_rows = _rescale(self._rows @ factor, self._log_rows, dim=2)
        inverse = _forward_substitution(factor, self._inverse)
        self._inverse, self._log_columns = _rescale(inverse, self._log_columns, dim=1)

    def observables(self) -> dict[str, Float[Tensor, " batch"]]:
        """ln Q_11, Q_12, ln det Q and the logs of the extreme eigenvalues of Q."""
        values = {"log_q11": 2.0 * self._log_diagonal[:, 0], "log_det": 2.0 * self._log_diagonal.sum(dim=1)}
        if self._rows.shape[1] > 1:
            # row 1 of a lower triangular G has one entry, so Q_12 = G_11 G_21
            scale = torch.exp(self._log_rows[:, 0] + self._log_rows[:, 1])
            values["q12"] = scale * self._rows[:, 0, 0] * self._rows[:, 1, 0]
        values["log_lambda_max"] = 2.0 * _log_norm(self._rows, self._log_rows, dim=2)
        values["log_lambda_min"] = -2.0 * _log_norm(self._inverse, self._log_columns, dim=1)
        return values

    def readout(self, inputs: Float[Tensor, "batch outputs inputs"]) -> Float[Tensor, "batch outputs inputs"]:
        """S = G X, which leaves the range of float64 where G does."""
        return torch.exp(self._log_rows)[:, :, None] * (self._rows @ inputs)

    def outputs(self, vector: Float[Tensor, "batch outputs"]) -> dict[str, Float[Tensor, " batch"]]:
        """S = G x for one input: ln |S|^2 at any scale, S_1, and S_2 where there are two outputs."""
        values = (self._rows @ vector[:, :, None]).squeeze(2)
        scaled = torch.exp(self._log_rows) * values
        logs = 2.0 * (self._log_rows + values.abs().log())
        named = {f"output_{i + 1}": scaled[:, i] for i in range(min(scaled.shape[1], 2))}
        return {"log_output": torch.logsumexp(logs, dim=1)} | named


def _rescale(
    matrix: Float[Tensor, "batch outputs outputs"], logs: Float[Tensor, "batch outputs"], dim: int
) -> tuple[Float[Tensor, "batch outputs outputs"], Float[Tensor, "batch outputs"]]:
    """Bring the largest entry along `dim` to 1 and add its log to `logs`."""
    size = matrix.abs().amax(dim=dim, keepdim=True)
    return matrix / size, logs + size.squeeze(dim).log()


def _forward_substitution(
    factor: Float[Tensor, "batch outputs outputs"], right: Float[Tensor, "batch outputs outputs"]
) -> Float[Tensor, "batch outputs outputs"]:
    """T^-1 X for lower triangular T and X, row by row over the whole batch."""
    solved = torch.empty_like(right, memory_format=torch.contiguous_format)
    for i in range(factor.shape[1]):
        known = (factor[:, i, :i, None] * solved[:, :i]).sum(dim=1)
        solved[:, i] = (right[:, i] - known) / factor[:, i, i, None]
    return solved


def _log_norm(
    matrix: Float[Tensor, "batch outputs outputs"], logs: Float[Tensor, "batch outputs"], dim: int
) -> Float[Tensor, " batch"]:
    """Log of the largest singular value of `matrix` whose lines along `dim` have log scales `logs`."""
    largest = logs.amax(dim=1, keepdim=True)
    matrix = matrix * torch.exp(logs - largest).unsqueeze(dim)
    if matrix.shape[1] > 2:
        top = torch.linalg.svdvals(matrix)[:, 0]
    else:
        # sigma_max^2 = (|G|_F^2 + sqrt(|G|_F^4 - 4 det^2)) / 2, a sum of positive terms
        frobenius = (matrix**2).sum(dim=(1, 2))
        det = matrix[:, 0, 0] * matrix[:, 1, 1] if matrix.shape[1] == 2 else torch.zeros_like(frobenius)
        spread = ((frobenius - 2.0 * det.abs()).clamp_min(0.0) * (frobenius + 2.0 * det.abs())).sqrt()
        top = ((frobenius + spread) / 2.0).sqrt()
    log_norm: Tensor = largest[:, 0] + top.log()
    return log_norm
