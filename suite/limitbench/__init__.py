"""limitbench: which scaling-limit theory describes a network of this depth, width and shaping, and how well?

The public names load on first use, so that `import limitbench` is instant:

    limitbench.run("shaped-relu", grid={"width": [64]}, samples=4096)   # a sweep: an xarray.DataTree of results
    limitbench.ShapedMLP(depth=64, width=64).sample(10_000, seed=0)     # networks alone
    limitbench.theories.shaped_relu.CovarianceSDE(...).law("correlation").cdf(x)   # theories alone
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limitbench import networks, studies, theories
    from limitbench.errors import InputError
    from limitbench.networks.deep_linear import DeepLinear
    from limitbench.networks.shaped_mlp import ShapedMLP
    from limitbench.report import render
    from limitbench.statistics import laws, observables
    from limitbench.sweep.run import run, status
    from limitbench.sweep.store import open_results

#: Public name -> the module it lives in.
_HOME = {
    "DeepLinear": "limitbench.networks.deep_linear",
    "InputError": "limitbench.errors",
    "ShapedMLP": "limitbench.networks.shaped_mlp",
    "open_results": "limitbench.sweep.store",
    "render": "limitbench.report",
    "run": "limitbench.sweep.run",
    "status": "limitbench.sweep.run",
}
#: Public module -> where it is.
_MODULES = {
    "laws": "limitbench.statistics.laws",
    "networks": "limitbench.networks",
    "observables": "limitbench.statistics.observables",
    "studies": "limitbench.studies",
    "theories": "limitbench.theories",
}

__all__ = [
    "DeepLinear",
    "InputError",
    "ShapedMLP",
    "laws",
    "networks",
    "observables",
    "open_results",
    "render",
    "run",
    "status",
    "studies",
    "theories",
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
