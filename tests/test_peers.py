"""Comparisons with other libraries: moments, ratios, the table and the README's markers, a peer that is missing."""

from __future__ import annotations

import dataclasses
import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "peers" / "programs"))
    return lambda name: importlib.import_module(f"benchmarks.peers.{name}")


def measured(results, moments_of, label, ours, seconds, seed, mean=0.0):
    values = np.random.default_rng(seed).normal(mean, 1.0, 20_000)
    return results.Measured(
        label,
        ours,
        seconds=seconds,
        wall=1.0,
        first=0.1,
        moments={"x": moments_of(values)},
        versions={"torch": "2.13.0+cpu"},
    )


@pytest.fixture
def run(peers):
    results, moments_of = peers("results"), importlib.import_module("serve").moments
    entries = (
        measured(results, moments_of, "limitbench, torch", True, (1e-3, 2e-3, 1e-3), 0),
        results.Measured("limitbench, vsl", True, error="vsl needs limitbench[fast]"),
        measured(results, moments_of, "dense torch", False, (0.1, 0.4, 0.3), 1),
        results.Measured("absent", False, error="environment absent is not built"),
    )
    row = results.Result("forward-64", "forward", "correlation", "network", {"width": 64, "depth": 64}, entries)
    return results.Run("2026-01-02", "a processor, 2 cores", "3.11", (row,))


def test_ratios_are_of_turns_in_the_same_round(run, peers):
    ours, _, dense, absent = run.results[0].measured
    assert peers("results").speedup(dense, ours) == pytest.approx(200.0)  # of 100, 200, 300; of the medians 300
    assert math.isnan(peers("results").speedup(absent, ours))


def test_samples_of_one_law_agree_and_a_shifted_or_wider_one_is_noticed(run, peers):
    results, moments_of = peers("results"), importlib.import_module("serve").moments
    ours, _, dense, _ = run.results[0].measured
    assert results.distance(dense, ours) < results.SAME_LAW
    values = np.random.default_rng(2).normal(0.0, 1.0, 20_000)
    silent = dataclasses.replace(dense, moments={}, law_error="no time left")
    assert peers("table").law(silent, ours) == "not compared: no time left"
    for wrong in (values + 0.1, values * 1.1):
        other = dataclasses.replace(dense, moments={"x": moments_of(wrong)})
        assert results.distance(other, ours) > results.SAME_LAW
        assert peers("table").law(other, ours).startswith("NO")


def test_a_run_survives_its_file(run, peers, tmp_path):
    run.save(tmp_path / "peers.json")
    again = peers("results").Run.load(tmp_path / "peers.json")
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "peers.json").read_bytes()
    assert again.results[0].measured[0].seconds == (1e-3, 2e-3, 1e-3)


def test_the_table_has_ratios_and_says_why_a_peer_is_missing(run, peers):
    text = peers("table").markdown(run)
    assert "| dense torch | 300 ms | 200 × | – | yes (" in text
    assert "environment absent is not built" in text
    assert "vsl needs limitbench[fast]" in text


def test_the_table_goes_between_the_markers_of_the_readme(peers):
    table = peers("table")
    text = (ROOT / "README.md").read_text()
    once = table.insert(text, "| a |")
    assert table.insert(once, "| a |") == once
    assert once.count("| a |") == 1
    with pytest.raises(ValueError, match=r"README\.md: expected"):
        table.insert("no markers", "| a |")


def test_the_committed_figure_and_table_are_those_of_the_committed_results(peers, tmp_path):
    folder = ROOT / "benchmarks" / "peers" / "results"
    found = peers("results").Run.load(folder / "peers.json")
    peers("figure").draw(found, tmp_path / "peers.svg")
    assert (tmp_path / "peers.svg").read_bytes() == (folder / "peers.svg").read_bytes()
    assert peers("table").markdown(found) in (ROOT / "README.md").read_text()


def test_a_program_answers_in_turn_and_a_missing_environment_is_a_reason(peers):
    worker = peers("worker")
    with pytest.raises(worker.PeerError, match="environment nobody is not built"):
        worker.Worker("nobody", "dense", "nobody")
    with worker.Worker(None, "dense", "dense-in-test") as dense:
        settings = {"width": 4, "depth": 3}
        assert dense.ask("prepare", task="forward", settings=settings)["versions"].keys() == {"torch"}
        assert dense.ask("run", calls=3)["units"] == 3
        assert dense.ask("law", count=64)["moments"]["correlation"]["count"] == 64
        with pytest.raises(worker.PeerError, match="KeyError: 'nothing'"):
            dense.ask("prepare", task="nothing", settings=settings)
        with pytest.raises(worker.PeerError, match="nothing is prepared"):
            dense.ask("run", calls=1)
    assert sys.executable == str(peers("environments").python(None))
