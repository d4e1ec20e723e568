"""Stepping of stochastic differential equations: time of one step of one path, and against the normals it consumes."""

from __future__ import annotations

from typing import Any

from .measure import counted, fill, finite, median_ratio, median_seconds, needs

STEPS, PATHS = 64, 2**16


def stepper(name: str) -> Any:
    """A stepper of the correlation SDE by its name."""
    from limitbench.numerics.stepping.euler import EulerMaruyama
    from limitbench.numerics.stepping.milstein import Milstein
    from limitbench.numerics.stepping.platen import Platen

    return {"euler-maruyama": EulerMaruyama, "milstein": Milstein, "platen": Platen}[name]()


class CorrelationSDE:
    """d rho of two inputs, 64 steps of 65,536 paths in float32."""

    params = (("euler-maruyama", "milstein", "platen"), ("torch", "vsl"))
    param_names = ("stepper", "generator")

    def setup(self, name: str, generator: str) -> None:
        needs(generator)
        from limitbench.numerics.stepping.correlation import correlation_paths

        chosen = stepper(name)
        self.paths = lambda: correlation_paths(
            0.16, rho0=0.3, times=(1.0,), steps=STEPS, paths=PATHS, seed=0, stepper=chosen, generator=generator
        )

    def track_nanoseconds_a_path_step(self, name: str, generator: str) -> float:
        """Processor nanoseconds of one step of one path."""
        return finite(1e9 * median_seconds(self.paths) / (STEPS * PATHS))

    def track_stepping_over_its_normals(self, name: str, generator: str) -> float:
        """Seconds of the paths over seconds in which the generator alone fills as many normals."""
        with counted() as sizes:
            self.paths()
        return median_ratio(self.paths, fill(generator, sum(sizes)))

    track_nanoseconds_a_path_step.unit = "ns"  # type: ignore[attr-defined]
    track_stepping_over_its_normals.unit = "seconds / seconds of the generator"  # type: ignore[attr-defined]


class CovarianceSDE:
    """The covariance matrix of two or three inputs by the Bartlett step, which keeps it positive semi-definite."""

    params = (2, 3)
    param_names = ("inputs",)
    steps, paths = 16, 2**14

    def setup(self, inputs: int) -> None:
        needs("torch")
        import torch

        from limitbench.numerics.random import Stream
        from limitbench.numerics.stepping.bartlett import Bartlett
        from limitbench.numerics.stepping.covariance import CovarianceSDE as Problem
        from limitbench.numerics.stepping.simulate import simulate

        factor = torch.linalg.cholesky(0.7 * torch.eye(inputs) + 0.3)
        self.run = lambda: simulate(
            Problem(inputs, 0.16),
            Bartlett(),
            start=factor,
            times=(1.0,),
            steps=self.steps,
            paths=self.paths,
            stream=Stream(0),
        )

    def track_nanoseconds_a_path_step(self, inputs: int) -> float:
        """Processor nanoseconds of one step of one path."""
        return finite(1e9 * median_seconds(self.run) / (self.steps * self.paths))

    track_nanoseconds_a_path_step.unit = "ns"  # type: ignore[attr-defined]


class Multilevel:
    """Multilevel Monte Carlo for an expectation."""

    def setup(self) -> None:
        needs("torch")
        from limitbench.numerics.random import Stream
        from limitbench.numerics.stepping.correlation import CorrelationSDE as Problem
        from limitbench.numerics.stepping.multilevel import multilevel

        self.run = lambda: multilevel(
            Problem(0.16), stepper("milstein"), lambda x: x[-1], start=0.3, times=(1.0,), target=1e-3, stream=Stream(0)
        )

    def track_seconds_to_a_standard_error_of_a_thousandth(self) -> float:
        """E rho at time 1, bias and standard error at most 1e-3."""
        return median_seconds(self.run, repetitions=3)

    track_seconds_to_a_standard_error_of_a_thousandth.unit = "s"  # type: ignore[attr-defined]
