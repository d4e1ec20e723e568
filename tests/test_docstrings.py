"""Examples in docstrings run and print what they say; every public function is found with type hints and words."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import limitbench

#: Modules with examples: those that a reader meets first.
MODULES = (
    "limitbench",
    "limitbench.accessors",
    "limitbench.advice.predict",
    "limitbench.networks",
    "limitbench.networks.shaped_mlp",
    "limitbench.plot",
    "limitbench.statistics.laws",
    "limitbench.statistics.scores",
    "limitbench.studies",
    "limitbench.theories.shaped_relu.covariance_sde",
)


@pytest.mark.cluster  # a quarter of a minute: in the step of the long tests
@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.FAIL_FAST)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", [name for name in limitbench.__all__ if callable(getattr(limitbench, name))])
def test_public_names_have_words_and_types(name: str) -> None:
    value = getattr(limitbench, name)
    assert inspect.getdoc(value)
    signature = inspect.signature(value)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
