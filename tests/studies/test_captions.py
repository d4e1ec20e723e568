"""A caption says what the data say: other data, another sentence; and it never says what the data do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from limitbench import studies
from limitbench.studies.figures import Series
from limitbench.studies.phrases import apart, differ, furthest, moves, sign_of

#: Small runs of the studies' own networks: axes, networks a cell, and figures that no network can change.
RUNS: dict[str, tuple[dict[str, list[Any]], int, set[str]]] = {
    "log-gaussian-resnet": (
        {"network": ["vanilla", "balanced"], "residual_weight": [0.5], "outputs": [2], "width": [8, 16]}
        | {"depth": [1, 2, 4, 8, 16]},
        400,
        set(),
    ),
    "residual-equivalence": (
        {"network": ["shaped-mlp", "resnet", "resnet-normalised"], "slope_difference": [3.0], "slope_mean": [0.0]}
        | {"rho0": [-0.2], "time": [0.5, 1.0], "width": [16, 64], "depth": [4, 8]},
        300,
        set(),
    ),
    "ntk": ({"rho0": [0.3], "rate": [0.0], "width": [32, 64], "depth": [2, 8]}, 300, set()),
    "weight-universality": (
        {"network": ["relu", "linear"], "weights": ["gaussian", "uniform"], "width": [8, 16], "aspect": [1.0]},
        300,
        set(),
    ),
    "relu-gradients": (
        {"network": ["relu", "balanced", "resnet"], "width": [8, 16], "depth": [8], "layer": [1, 4, 8]},
        400,
        set(),
    ),
    "norm-variance": ({"network": ["relu", "resnet"], "width": [16, 64, 256], "depth": [4]}, 400, set()),
    "deep-linear": (
        {"outputs": [2], "widths": ["equal", "alternating"], "width": [16, 32], "aspect": [0.25, 0.5]},
        800,
        {"rate-to-limit"},
    ),
}


def captions(study: Any, tree: xr.DataTree) -> dict[str, str]:
    return {figure.name: f"{figure.title}. {figure.caption}" for figure in study.figures(tree)}


def changed(tree: xr.DataTree) -> xr.DataTree:
    """All samples stretched and shifted, not by the same amount in every network."""
    copy = tree.copy(deep=True)
    samples = copy["samples"].to_dataset()
    noise = xr.DataArray(np.random.default_rng(3).normal(1.0, 0.2, samples.sizes["sample"]), dims="sample")
    copy["samples"] = xr.DataTree(samples.map(lambda x: 1.4 * x + 0.3 * noise))
    scores = copy["scores"].to_dataset()
    scores["distance"] = scores["distance"].fillna(0.1) * 2
    copy["scores"] = xr.DataTree(scores)
    return copy


@pytest.mark.parametrize("name", RUNS)
def test_other_networks_give_another_caption(name: str, made_up_run: Any) -> None:
    axes, networks, fixed = RUNS[name]
    study = studies.get(name)
    tree = made_up_run(study, axes, networks=networks)
    before, after = captions(study, tree), captions(study, changed(tree))
    assert set(before) - fixed
    same = {figure for figure in before if before[figure] == after.get(figure)}
    assert same == fixed & set(before)
    for caption in [*before.values(), *after.values()]:
        assert "nan" not in caption
        assert "inf " not in caption


def balanced_that_grow(tree: xr.DataTree) -> xr.DataTree:
    """Balanced networks of the run with a drift of their own and with more than half of their units active."""
    copy = tree.copy(deep=True)
    samples = copy["samples"].to_dataset()
    theirs = samples["network"] == "balanced"
    samples["log_norm"] = samples["log_norm"] + xr.where(theirs, 3.0, 0.0)
    samples["active_fraction"] = samples["active_fraction"] + xr.where(theirs, 0.2, 0.0)
    copy["samples"] = xr.DataTree(samples)
    return copy


def test_an_effect_that_should_not_be_there_is_named(made_up_run: Any) -> None:
    axes, networks, _ = RUNS["log-gaussian-resnet"]
    study = studies.get("log-gaussian-resnet")
    tree = made_up_run(study, axes, networks=networks)
    before, after = captions(study, tree), captions(study, balanced_that_grow(tree))
    for figure, what in (("mean-growth", "no growth"), ("hypoactivation", "half"), ("log-norm-mean", "layers")):
        assert f"standard errors from {what}" in before[figure].replace("independent layers", "layers"), figure
        assert "standard errors off" in after[figure], figure


def points(y: list[float], se: list[float]) -> Series:
    return Series("networks", np.arange(len(y)) * 1.0, np.array(y), se=np.array(se))


@pytest.mark.parametrize(
    ("y", "se", "said"),
    [
        ([0.5, 0.25], [0.01, 0.01], "falls from 0.500 to 0.250"),
        ([0.25, 0.5], [0.01, 0.01], "rises from 0.250 to 0.500"),
        ([0.25, 0.3], [0.01, 0.01], "goes from 0.250 to 0.300, within errors the same"),
        ([0.25], [0.01], "is 0.250"),
    ],
)
def test_a_series_moves_where_its_ends_differ_beyond_errors(y: list[float], se: list[float], said: str) -> None:
    assert moves(points(y, se)) == said


def test_standard_errors_in_words() -> None:
    assert furthest(points([1.0, 2.0], [0.1, 0.5]), np.array([1.1, 0.0])) == pytest.approx(4.0)
    assert np.isnan(furthest(Series("no errors", np.ones(1), np.ones(1)), 0.0))
    assert apart(4.4) == "at most 4.4 standard errors from"
    assert apart(4.6) == "up to 4.6 standard errors off"
    assert differ((1.0, 0.3), (0.0, 0.4)) == "2.0 standard errors apart"
    words = {"positive": "+", "negative": "-", "neither": "0"}
    assert [sign_of(v, 0.1, **words) for v in (0.5, -0.5, 0.4, np.nan)] == ["+", "-", "0", "0"]
