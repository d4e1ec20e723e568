"""limitbench: which scaling-limit theory describes a network of this depth, width and shaping, and how well?

The public names load on first use, so that `import limitbench` is instant. Networks alone, a theory alone, and a sweep
of both, which gives an `xarray.DataTree`:

    >>> import limitbench
    >>> drawn = limitbench.ShapedMLP(depth=16, width=16, rho0=0.3).sample(4096, seed=0)
    >>> from limitbench.theories.shaped_relu import CovarianceSDE
    >>> law = CovarianceSDE(time=1.0, c_plus=0.0, c_minus=-1.0, rho0=0.3).law("log_norm")
    >>> law
    Normal(location=-1.0, scale=1.4142135623730951)
    >>> round(float((drawn["log_norm"] <= -1.0).mean()), 1), float(law.cdf(-1.0))
    (0.5, 0.5)
    >>> grid = {"rate": [0.5], "width": [16], "aspect": [1.0]}
    >>> tree = limitbench.run("shaped-relu", grid, samples=4096)
    >>> tree["scores"]["verdict"].sel(observable="correlation", theory="infinite-width").item()
    'fails'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limitbench import networks, plot, studies, theories
    from limitbench.advice.budget import within_budget
    from limitbench.advice.check.run import check
    from limitbench.advice.predict import predict
    from limitbench.errors import InputError, Stopped
    from limitbench.networks.covariances import CovarianceMLP
    from limitbench.networks.deep_linear import DeepLinear
    from limitbench.networks.linear_posterior import LinearPosterior
    from limitbench.networks.mean_field import MeanFieldNet
    from limitbench.networks.relu_gradients import ReLUGradients
    from limitbench.networks.resnet import ResNet
    from limitbench.networks.shaped_mlp import ShapedMLP
    from limitbench.networks.smooth_mlp import SmoothMLP
    from limitbench.networks.trained import TrainedNet
    from limitbench.networks.unshaped_mlp import UnshapedMLP
    from limitbench.report import render
    from limitbench.statistics import laws, observables
    from limitbench.sweep.results import open_results
    from limitbench.sweep.run import run, status

#: Public name -> the module it lives in.
_HOME = {
    "CovarianceMLP": "limitbench.networks.covariances",
    "DeepLinear": "limitbench.networks.deep_linear",
    "InputError": "limitbench.errors",
    "LinearPosterior": "limitbench.networks.linear_posterior",
    "MeanFieldNet": "limitbench.networks.mean_field",
    "ReLUGradients": "limitbench.networks.relu_gradients",
    "ResNet": "limitbench.networks.resnet",
    "ShapedMLP": "limitbench.networks.shaped_mlp",
    "SmoothMLP": "limitbench.networks.smooth_mlp",
    "Stopped": "limitbench.errors",
    "TrainedNet": "limitbench.networks.trained",
    "UnshapedMLP": "limitbench.networks.unshaped_mlp",
    "open_results": "limitbench.sweep.results",
    "predict": "limitbench.advice.predict",
    "render": "limitbench.report",
    "run": "limitbench.sweep.run",
    "status": "limitbench.sweep.run",
    "within_budget": "limitbench.advice.budget",
    "check": "limitbench.advice.check.run",
}
#: Public module -> where it is.
_MODULES = {
    "laws": "limitbench.statistics.laws",
    "networks": "limitbench.networks",
    "observables": "limitbench.statistics.observables",
    "plot": "limitbench.plot",
    "studies": "limitbench.studies",
    "theories": "limitbench.theories",
}

__all__ = [
    "CovarianceMLP",
    "DeepLinear",
    "InputError",
    "LinearPosterior",
    "MeanFieldNet",
    "ReLUGradients",
    "ResNet",
    "ShapedMLP",
    "SmoothMLP",
    "Stopped",
    "TrainedNet",
    "UnshapedMLP",
    "check",
    "laws",
    "networks",
    "observables",
    "open_results",
    "plot",
    "predict",
    "render",
    "run",
    "status",
    "studies",
    "theories",
    "within_budget",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("limitbench")
    raise AttributeError(f"module 'limitbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
