"""A store-shaped tree made from formulas: Gaussian networks and theories whose distances are known."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from limitbench.studies.base import Study
from limitbench.studies.figures import Series, StudyFigure
from limitbench.testing.toy import STUDY

AXES = {"c_minus": [-1.0, -2.0], "rate": [0.25, 0.5, 1.0], "width": [16, 64, 256], "aspect": [0.25, 1.0]}
THEORIES = ["infinite-width", "infinite-width-clt", "covariance-sde", "covariance-sde-corrected", "driftless"]
OBSERVABLES = ["correlation", "log_norm"]
LEVELS = np.unique(np.concatenate([[1e-4, 1e-3], np.linspace(0.005, 0.995, 127), [0.999, 0.9999]]))
N = 512


def _offset(theory: str, c_minus: float, rate: float, width: int, aspect: float) -> float:
    """Shift of a theory's mean from the network's, in standard deviations of the network's law."""
    if theory == "infinite-width":
        return 0.8 + 0.4 * aspect
    if theory == "infinite-width-clt":
        return 0.3 * aspect
    if theory == "covariance-sde":
        return 3 * width**-0.5 if rate == 0.5 else 1.5
    if theory == "covariance-sde-corrected":
        return 0.004 if rate == 0.5 else 1.0
    return 0.002 if rate == 1.0 else 0.6


def make_tree(
    *, finished: float = 1.0, offset: Callable[..., float] = _offset, study: str = "synthetic"
) -> xr.DataTree:
    """A tree with the schema of a store; the first `finished` share of the cells is there, the rest is missing."""
    shape = tuple(len(v) for v in AXES.values())
    cells = list(itertools.product(*(range(s) for s in shape)))
    done = set(cells[: round(finished * len(cells))])
    draw = np.random.Generator(np.random.SFC64(1))
    dims = tuple(AXES)
    samples = {o: np.full((*shape, N), np.nan) for o in OBSERVABLES}
    laws = {o: np.full((*shape, len(THEORIES), len(LEVELS)), np.nan) for o in OBSERVABLES}
    fields = ("distance", "distance_low", "distance_high", "wasserstein", "wasserstein_null", "ks", "n_star")
    scores = {f: np.full((*shape, len(OBSERVABLES), len(THEORIES)), np.nan) for f in fields}
    verdict = np.full((*shape, len(OBSERVABLES), len(THEORIES)), "", dtype="U9")
    run = {"n_samples": np.zeros(shape, int), "attempts": np.zeros(shape, int), "seconds": np.full(shape, np.nan)}
    status, error, host = (np.full(shape, "", dtype="U80") for _ in range(3))
    status[:] = "missing"
    for cell in cells:
        if cell not in done:
            continue
        values = {a: v[i] for (a, v), i in zip(AXES.items(), cell, strict=True)}
        run["n_samples"][cell], run["attempts"][cell], run["seconds"][cell] = N, 1, 1e-4 * N * values["width"]
        status[cell], host[cell] = "done", "node-1"
        for o, name in enumerate(OBSERVABLES):
            sd = 0.3 + values["aspect"]
            samples[name][cell] = sd * draw.standard_normal(N)
            for t, theory in enumerate(THEORIES):
                if name == "log_norm" and theory == "driftless":
                    continue
                d = offset(theory, **values)
                point = theory == "infinite-width"
                laws[name][cell][t] = sd * d + (0 if point else sd) * norm.ppf(LEVELS)
                at = (*cell, o, t)
                scores["distance"][at], scores["ks"][at] = d, np.nan if point else 0.4 * d
                scores["distance_low"][at], scores["distance_high"][at] = 0.9 * d - 0.01, 1.1 * d + 0.01
                scores["wasserstein"][at], scores["wasserstein_null"][at] = d * sd + 0.01, 0.01
                scores["n_star"][at] = min(1e9, 8 / d**2)
                high, low = scores["distance_high"][at], scores["distance_low"][at]
                verdict[at] = "holds" if high <= 0.05 else "fails" if low > 0.05 else "undecided"
    claims = {
        "predicted": [0.5, 1.0, 3.0],
        "measured": [0.512, 0.61, np.nan],
        "se": [0.02, 0.01, np.nan],
        "verdict": np.array(["holds", "fails", "undecided"]),
        "text": np.array(["The error falls as n^-1/2.", "The symmetric error falls as 1/n.", "Not measured <here>."]),
        "seconds": [1.5, 2.5, np.nan],
        "command": np.array(["limitbench run synthetic --set width=16", "limitbench run synthetic", ""]),
    }
    coords = {a: (a, v) for a, v in AXES.items()}
    depth = (("width", "aspect"), np.array([[round(a * w) for a in AXES["aspect"]] for w in AXES["width"]]))
    scored = {**coords, "observable": OBSERVABLES, "theory": THEORIES}
    spec = {"study": study, "seed": 7, "margin": 0.05, "sampler": "exact", "grid": AXES, "samples": N}
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(
                attrs={
                    "study": study,
                    "spec": json.dumps(spec),
                    "spec_hash": "0123abcd",
                    "limitbench_version": "0.1.0",
                    "created": "2026-01-02T03:04:05+00:00",
                }
            ),
            "/samples": xr.Dataset({k: ((*dims, "sample"), v) for k, v in samples.items()}, coords),
            "/laws": xr.Dataset(
                {k: ((*dims, "theory", "quantile"), v) for k, v in laws.items()},
                {**coords, "theory": THEORIES, "quantile": LEVELS},
            ),
            "/scores": xr.Dataset(
                {k: ((*dims, "observable", "theory"), v) for k, v in {**scores, "verdict": verdict}.items()}, scored
            ),
            "/claims": xr.Dataset(
                {k: ("claim", v) for k, v in claims.items()}, {"claim": ["rate-half", "rate-one", "gain"]}
            ),
            "/run": xr.Dataset(
                {
                    **{k: (dims, v) for k, v in run.items()},
                    "status": (dims, status),
                    "host": (dims, host),
                    "error": (dims, error),
                },
                {**coords, "depth": depth},
            ),
        }
    )


@pytest.fixture
def synthetic() -> Callable[..., xr.DataTree]:
    return make_tree


@pytest.fixture(scope="session")
def synthetic_tree() -> xr.DataTree:
    """The complete tree, made once; do not change it."""
    return make_tree()


@pytest.fixture(scope="session")
def study() -> Study:
    """A study of the synthetic tree with one figure."""
    points = Series("networks", np.array([16.0, 64.0]), np.array([0.5, 0.25]), se=np.array([0.1, 0.05]))
    figure = StudyFigure("means", "The mean", "width n", "mean", (points,), "The mean falls.", x_log=True)
    return dataclasses.replace(STUDY, name="synthetic", theories=(), figures=lambda tree: [figure])
