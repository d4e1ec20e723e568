"""Laws: seconds of every theory's laws at its study's reference cell, first asked and asked again."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from limitbench import studies

from .measure import first_call, median_seconds, needs

#: Seconds below which a law is free: what surrounds it costs more. Smaller values are reported as this.
FREE, FREE_AGAIN = 1e-3, 1e-4
#: Levels at which scores and reports ask for quantiles.
LEVELS = np.linspace(1e-4, 1 - 1e-4, 513)
#: Values of axes for theories that apply nowhere in their study's standard preset.
ELSEWHERE = {"shaped-smooth/smooth-ode": {"rate": 0.25}}


def default(study: Any) -> dict[str, Any]:
    """The cell of every axis' first default value."""
    return {axis.name: axis.default[0] for axis in study.axes}


def cells(study: Any) -> Any:
    """The study's default cell, then those of its standard preset."""
    from limitbench.sweep.grid import resolve_grid

    yield default(study)
    columns = resolve_grid(study, study.presets["standard"].grid).columns()
    yield from itertools.chain.from_iterable(column.cells for _, column in columns)


def reference(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Of `study/theory`: the study, the theory as it competes, and the first cell where it applies."""
    study_name, theory_name = name.split("/")
    study = studies.get(study_name)
    theory = next(one for one in study.theories if one.name == theory_name)
    if name in ELSEWHERE:
        return study, theory, {**default(study), **ELSEWHERE[name]}
    return study, theory, next(cell for cell in cells(study) if theory.skip(cell) is None)


class Theories:
    """All laws of one theory at a reference cell: mean, sd and 513 quantiles of every observable."""

    params = (tuple(f"{name}/{theory.name}" for name in studies.names() for theory in studies.get(name).theories),)
    param_names = ("study/theory",)

    def setup(self, name: str) -> None:
        needs("torch")
        self.study, self.theory, self.cell = reference(name)

    def laws(self) -> None:
        """Ask for everything that a score asks for."""
        theory = self.theory.build(self.cell)
        for observable in [one for one in self.study.observables if one in theory.observables]:
            law = theory.law(observable)
            if np.isfinite(law.mean) and law.std > 0:
                law.quantile(LEVELS)

    def track_seconds_cold(self, name: str) -> float:
        """Processor seconds in a process that has computed no law yet; at least 1 ms."""
        return max(FREE, first_call(self.laws, repetitions=3))

    def track_seconds_again(self, name: str) -> float:
        """Processor seconds where the same laws have been asked for before; at least 0.1 ms."""
        self.laws()
        return max(FREE_AGAIN, median_seconds(self.laws, repetitions=3))

    track_seconds_cold.unit = track_seconds_again.unit = "s"  # type: ignore[attr-defined]
