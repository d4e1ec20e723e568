"""The bootstrap of a column's scores has a seed of its own, shared by the observables of that column alone."""

import pytest

from limitbench.sweep import cell_scores
from limitbench.sweep.run import run
from limitbench.testing.toy import STUDY


@pytest.fixture
def recorded(monkeypatch):
    """Seeds of the calls of `score_cells`, in order: two observables a column."""
    calls, plain = [], cell_scores.score_cells

    def recording(samples, laws, *, seed, **options):
        calls.append(seed)
        return plain(samples, laws, seed=seed, replicates=50, **options)

    monkeypatch.setattr(cell_scores, "score_cells", recording)
    return calls


def seeds_of(calls, widths, **options):
    calls.clear()
    run(STUDY, {"width": widths, "depth": [2]}, samples=64, **options)
    assert len(calls) == 2 * len(widths)
    walks, squares = calls[::2], calls[1::2]
    assert walks == squares
    return walks


def test_bootstrap_seed_is_that_of_the_column_and_of_the_run_alone(recorded):
    both = seeds_of(recorded, [4, 8])
    assert len(set(both)) == 2
    assert {*seeds_of(recorded, [4]), *seeds_of(recorded, [8])} == set(both)
    assert seeds_of(recorded, [8], seed=1)[0] not in both
