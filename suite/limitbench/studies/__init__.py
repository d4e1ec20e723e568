"""Studies: one published result each, as a runnable object. One folder a study; `names` and `get` find them.

Other packages add studies, and theories that compete in these, by entry points (`limitbench.extensions`).
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from limitbench import extensions
from limitbench.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

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


def known() -> tuple[str, ...]:
    """Names of the built-in studies, then of those that installed packages offer; nothing is loaded."""
    return (*_MODULES, *(name for name in extensions.names(extensions.STUDIES) if name not in _MODULES))


def competitors(study: str) -> tuple[str, ...]:
    """Names of the theories that installed packages offer to `study`; nothing is loaded."""
    found = (name.rpartition(".") for name in extensions.names(extensions.THEORIES))
    return tuple(theory for home, _, theory in found if home == study)


def get(name: str, theories: Iterable[str] = ()) -> Study:
    """The study called `name`, built in or of an installed package.

    Arguments:
        name: one of `known()`.
        theories: names of theories that compete in it; those that are not its own come from installed packages.

    Raises `InputError` for a name that nothing has (with those that there are), or a package that cannot be used.

    >>> [theory.name for theory in get("ntk").theories]
    ['infinite-width', 'log-normal']
    """
    from limitbench.studies.base import Study, StudyTheory

    if name in _MODULES:
        study: Study = importlib.import_module(_MODULES[name]).STUDY
    elif name in extensions.names(extensions.STUDIES):
        study = extensions.load(extensions.STUDIES, name, Study)
    else:
        raise InputError("study", name, "one of " + ", ".join(known()))
    own, offered, added = [theory.name for theory in study.theories], competitors(name), []
    for theory in dict.fromkeys(theories):
        if theory in own:
            continue
        if theory not in offered:
            others = ", ".join((*own, *offered))
            raise InputError("theory", theory, f"one of {name} ({others}), or of a package that is installed here")
        added.append(extensions.load(extensions.THEORIES, f"{name}.{theory}", StudyTheory))
    return dataclasses.replace(study, theories=(*study.theories, *added)) if added else study


def of(tree: xr.DataTree) -> Study | None:
    """The study of these results, with those of its competitors that installed packages have; None if it is unknown."""
    name = str(tree.attrs.get("study", ""))
    scores = tree.children.get("scores")
    theories = scores["theory"].to_numpy().tolist() if scores is not None and "theory" in scores.coords else []
    for wanted in ([theory for theory in theories if theory in competitors(name)], []):
        with suppress(InputError):
            return get(name, wanted)
    return None
