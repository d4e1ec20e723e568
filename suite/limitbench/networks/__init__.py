"""Finite random networks at initialisation, each family with its samplers side by side.

`families` and `get` find a family by name, those of installed packages too (`limitbench.extensions`). Seeds depend on a
family's name and version, so no two families share a name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from limitbench import extensions
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.networks.base import Network

#: Family -> where its class is.
_CLASSES = {
    "covariance-mlp": "covariances.CovarianceMLP",
    "deep-linear": "deep_linear.DeepLinear",
    "linear-posterior": "linear_posterior.LinearPosterior",
    "mean-field": "mean_field.MeanFieldNet",
    "relu-gradients": "relu_gradients.ReLUGradients",
    "residual-gradients": "relu_gradients_residual.ResidualGradients",
    "resnet": "resnet.ResNet",
    "shaped-mlp": "shaped_mlp.ShapedMLP",
    "smooth-mlp": "smooth_mlp.SmoothMLP",
    "surviving-norm": "surviving_norm.SurvivingNorm",
    "tangent-kernel": "ntk.TangentKernel",
    "trained": "trained.TrainedNet",
    "unshaped-mlp": "unshaped_mlp.UnshapedMLP",
}
#: Names of the families of limitbench itself.
BUILT_IN = tuple(_CLASSES)


def families() -> tuple[str, ...]:
    """Names of the built-in network families, then of those that installed packages offer; nothing is loaded."""
    return (*_CLASSES, *(name for name in extensions.names(extensions.NETWORKS) if name not in _CLASSES))


def get(family: str) -> type[Network]:
    """The class of a network family, built in or of an installed package.

    Raises `InputError` for a name that nothing has (with those that there are), or a package that cannot be used.

    >>> get("deep-linear").__name__
    'DeepLinear'
    """
    from limitbench.networks.base import Network

    if family in _CLASSES:
        module, _, name = _CLASSES[family].rpartition(".")
        found: type[Network] = getattr(importlib.import_module(f"limitbench.networks.{module}"), name)
        return found
    if family not in extensions.names(extensions.NETWORKS):
        raise InputError("network", family, "one of " + ", ".join(families()))
    loaded: type[Network] = extensions.load(extensions.NETWORKS, family, Network, attribute="family")
    return loaded
