"""torchsde: Euler's steps of the correlation SDE, float32.

`default` leaves the Brownian motion to `sdeint`, as its documentation does; `stepwise` hands it a `BrownianInterval`
that knows the step, which is faster.
"""

from __future__ import annotations

import math

import torch
import torchsde
from serve import Task, serve

RHO0, KAPPA = 0.3, 1.0 / (2.0 * math.pi)


class Correlation(torch.nn.Module):
    """d rho = [nu(rho) - rho (1 - rho^2)/2] dt + (1 - rho^2) dB (arXiv 2206.02768)."""

    sde_type, noise_type = "ito", "diagonal"

    def f(self, time: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
        return KAPPA * (torch.sqrt(1.0 - rho**2) - rho * torch.arccos(rho)) - rho * (1.0 - rho**2) / 2.0

    def g(self, time: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
        return 1.0 - rho**2


def paths(*, steps: int, paths: int, form: str) -> Task:
    sde, times = Correlation(), torch.tensor([0.0, 1.0])

    @torch.no_grad()
    def run(count: int) -> torch.Tensor:
        noise = None
        if form == "stepwise":
            noise = torchsde.BrownianInterval(t0=0.0, t1=1.0, size=(count, 1), dt=1.0 / steps)
        start = torch.full((count, 1), RHO0)
        return torchsde.sdeint(sde, start, times, method="euler", dt=1.0 / steps, bm=noise)[-1]

    return Task(lambda: run(paths), steps * paths, lambda count: {"correlation": run(count).flatten().tolist()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve({"paths": paths}, ["torchsde", "torch"])
