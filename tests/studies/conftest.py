"""Finished runs whose networks are made up, to show a ledger what real networks would take too long to show it."""

import itertools

import numpy as np
import pytest
import xarray as xr


@pytest.fixture(scope="session")
def made_up_run():
    """Builds a run without scores, one cell after another.

    `draw(cell, random)` gives arrays by observable, or None where the run has no cell; left out, the study's networks.
    """

    def build(study, axes, draw=None, networks=20_000):
        random, dims = np.random.default_rng(5), tuple(axes)
        shape = tuple(len(values) for values in axes.values())
        counts = np.zeros(shape, dtype=int)
        samples = {name: np.full((*shape, networks), np.nan) for name in study.observables}
        for at in itertools.product(*map(range, shape)):
            cell = {name: axes[name][i] for name, i in zip(dims, at, strict=True)}
            cell.setdefault("depth", round(cell["width"] * cell.get("aspect", 1)))
            drawn = draw(cell, random) if draw else study.network(cell).sample(networks)
            if drawn is not None:
                counts[at] = networks
                for name in samples.keys() & drawn.keys():
                    samples[name][at] = drawn[name]
        theories = [theory.name for theory in study.theories]
        scored = {**axes, "observable": list(study.observables), "theory": theories}
        nan = np.full([len(values) for values in scored.values()], np.nan)
        scores = dict.fromkeys(("distance", "distance_low", "distance_high"), (tuple(scored), nan))
        run = {"n_samples": (dims, counts), "seconds": (dims, np.ones(shape))}
        if "depth" not in axes:
            sizes = np.multiply.outer(axes["width"], axes["aspect"])
            run["depth"] = (("width", "aspect"), sizes.round().astype(int))
        return xr.DataTree.from_dict(
            {
                "samples": xr.Dataset({name: ((*dims, "sample"), x) for name, x in samples.items()}, axes),
                "scores": xr.Dataset({**scores, "verdict": (tuple(scored), nan.astype(str))}, scored, {"margin": 0.05}),
                "run": xr.Dataset(run, axes),
            }
        )

    return build


@pytest.fixture(scope="session")
def claims_of_changed():
    """Gives the claims of a study's run with observables replaced by functions of all of its samples."""

    def changed(study, run, **changes):
        tree = run.copy(deep=True)
        samples = tree["samples"].to_dataset()
        for name, change in changes.items():
            samples[name] = change(samples)
        tree["samples"] = xr.DataTree(samples)
        return {claim.name: claim for claim in study.claims(tree)}

    return changed
