"""Studies: one published result each, as a runnable object. One folder a study; `names` and `get` find them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.studies.base import Study

_MODULES = {
    "deep-linear": "limitbench.studies.deep_linear",
    "deep-linear-posterior": "limitbench.studies.deep_linear_posterior",
    "log-gaussian-resnet": "limitbench.studies.log_gaussian_resnet",
    "mean-field-resnet": "limitbench.studies.mean_field_resnet",
    "norm-variance": "limitbench.studies.norm_variance",
    "ntk": "limitbench.studies.ntk",
    "relu-gradients": "limitbench.studies.relu_gradients",
    "residual-equivalence": "limitbench.studies.residual_equivalence",
    "shaped-relu": "limitbench.studies.shaped_relu",
    "shaped-smooth": "limitbench.studies.shaped_smooth",
    "trainability": "limitbench.studies.trainability",
    "unshaped-relu": "limitbench.studies.unshaped_relu",
    "weight-universality": "limitbench.studies.weight_universality",
}


def names() -> tuple[str, ...]:
    """Names of the built-in studies."""
    return tuple(_MODULES)


def get(name: str) -> Study:
    """The study called `name`; `InputError` lists the known ones where there is none."""
    if name not in _MODULES:
        raise InputError("study", name, "one of " + ", ".join(_MODULES))
    study: Study = importlib.import_module(_MODULES[name]).STUDY
    return study
