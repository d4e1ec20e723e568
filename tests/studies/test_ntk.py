"""The study of tangent kernels: its ledger says yes, no and what it lacks, its figures draw what the run has."""

import numpy as np
import pytest

import limitbench
from limitbench.studies.ntk import STUDY


@pytest.fixture(scope="module")
def run():
    return limitbench.run(
        STUDY, {"rate": [0.0], "width": [16, 64, 128], "depth": [2, 8]}, samples=4096, executor="serial"
    )


def test_ledger_finds_what_holds_and_names_what_the_run_lacks(run):
    claims = {claim.name: claim for claim in STUDY.claims(run)}
    for name in ("mean-relu", "second-moment-relu", "variance-relu", "infinite-width-fails", "ratio-rate"):
        assert claims[name].verdict == "holds", claims[name]
        assert claims[name].command.startswith("limitbench run ntk")
    assert claims["log-normal-relu"].verdict != "fails"
    for name in ("mean-shaped", "second-moment-shaped", "variance-shaped", "log-normal-shaped"):
        assert claims[name].verdict == "undecided"
        assert "not measured" in claims[name].text


def test_wrong_kernels_are_noticed(run, claims_of_changed):
    wider = claims_of_changed(STUDY, run, log_ntk=lambda samples: 1.2 * samples["log_ntk"])
    assert wider["variance-relu"].verdict == "fails"
    larger = claims_of_changed(STUDY, run, log_ntk=lambda samples: samples["log_ntk"] + 0.1)
    assert larger["mean-relu"].verdict == larger["second-moment-relu"].verdict == "fails"
    shifted = claims_of_changed(STUDY, run, ntk_ratio=lambda samples: samples["ntk_ratio"] + 0.03)
    assert shifted["ratio-rate"].verdict == "fails"


def test_figures_draw_every_width(run):
    figures = {figure.name: figure for figure in STUDY.figures(run)}
    spread, cosine = figures["spread-of-the-kernel"], figures["cosine-of-the-kernel"]
    assert [series.kind for series in spread.series] == ["network", "theory"] * 3
    networks, limit = cosine.series[-2], cosine.series[-1]
    assert limit.theory == "infinite-width"
    assert (np.abs(networks.y - limit.y) < 4.5 * networks.se + 0.02).all()
    assert (np.abs(networks.y - limit.y[::-1] - 0.1) > 4.5 * networks.se).all()
