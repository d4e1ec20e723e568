"""What changed between two runs: planted changes are found, other seeds are not, cells and words are right."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import limitbench
from limitbench import cli
from limitbench.errors import InputError
from limitbench.report.comparison.compare import Comparison, compare
from limitbench.report.comparison.page import comparison_page
from limitbench.report.comparison.words import lead, study_sentences
from limitbench.statistics.laws import Empirical, Law, Normal
from limitbench.studies.base import Cell, Claim, Study, StudyTheory
from limitbench.testing.toy import STUDY as TOY
from limitbench.testing.toy import NormalLaw, ToyTheory
from limitbench.theories.base import Theory

GRID = {"width": (4, 8), "depth": (2, 4)}
SMALL = {"width": (4,), "depth": (2,)}


def run(study: Study, out: Path, *, seed: int = 0, samples: int = 256, grid: object = None) -> Path:
    limitbench.run(study, grid or GRID, seed=seed, samples=samples, out=out, executor="serial")
    return out


def with_theory(build: Callable[[Cell], Theory], study: Study = TOY) -> Study:
    """The toy with the theory `normal` built otherwise."""
    first, *others = study.theories
    return dataclasses.replace(study, theories=(dataclasses.replace(first, build=build), *others))


def variance(factor: float) -> Study:
    return with_theory(lambda cell: ToyTheory(factor * float(cell["depth"]) / float(cell["width"])))


def compared(a: Path, b: Path, study: Study = TOY, level: float = 0.05) -> Comparison:
    return compare(a, b, studies=(study,), level=level)


@dataclasses.dataclass(frozen=True)
class Simulated(ToyTheory):
    """The law of the walk, estimated by draws of a stream that differs from run to run."""

    seed: int = 0
    scale: float = 1.0
    declares: bool = True

    def _law(self, observable: str) -> Law:
        draws = self.scale * Normal(0.0, self.time_**0.5).sample(4096, seed=self.seed)
        return Empirical(draws) if self.declares else _Undeclared(draws)


class _Undeclared(NormalLaw):
    """The same draws by a law that does not say that it is estimated."""

    def __init__(self, draws: np.ndarray) -> None:
        object.__setattr__(self, "scale", float(draws.std()))
        object.__setattr__(self, "draws", Empirical(draws))

    def quantile(self, u: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return self.draws.quantile(u)  # type: ignore[attr-defined, no-any-return]


def simulated(seed: int, scale: float = 1.0, *, declares: bool = True) -> Study:
    return with_theory(lambda cell: Simulated(float(cell["depth"]) / float(cell["width"]), seed, scale, declares))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy at seed 0; do not change it."""
    return run(TOY, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy at seed 1, its theory `normal` with five per cent more variance; do not change it."""
    return run(variance(1.05), tmp_path_factory.mktemp("wrong"), seed=1)


def test_one_seed_gives_bit_identical_runs(plain: Path, tmp_path: Path) -> None:
    found = compared(plain, run(TOY, tmp_path))
    assert found.identical
    assert not found.changed
    assert found.tests == 0
    assert lead(found).startswith("Bit-identical: every number of 1 study and 4 cells")


def test_other_seeds_are_no_change(plain: Path, tmp_path: Path) -> None:
    # fixed seeds; false-alarm probability 2 x 1e-7
    for seed in (1, 2):
        found = compared(plain, run(TOY, tmp_path / str(seed), seed=seed, samples=128), level=1e-7)
        assert found.tests > 4
        assert not found.changed


def test_networks_with_another_spread_are_a_change(plain: Path, tmp_path: Path) -> None:
    wide = dataclasses.replace(TOY, network=lambda cell: TOY.network({**cell, "width": 2}))
    study = compared(plain, run(wide, tmp_path, seed=1, samples=512)).studies[0]
    assert "networks" in {f.kind for f in study.changes(1e-7)}
    assert "distance" in {f.kind for f in study.changes(0.05)}


def test_a_law_with_five_per_cent_more_variance_is_found_in_every_cell_and_no_other_law_is(
    plain: Path, wrong: Path
) -> None:
    found = compared(plain, wrong)
    laws = [f for f in found.studies[0].changes(0.05) if f.kind == "law"]
    assert {f.subject for f in laws} == {"normal, walk"}
    assert len(laws) == 4
    assert all(f.certain and f.difference > 0.005 for f in laws)
    assert "4 laws changed beyond their errors, in toy" in lead(found)


def test_a_law_within_its_declared_error_is_no_change(plain: Path, tmp_path: Path) -> None:
    found = compared(plain, run(variance(1 + 1e-6), tmp_path))
    tally = found.studies[0].tallies["law"]
    assert tally.identical < tally.compared  # the tables differ
    assert not found.changed


def test_the_covariance_sde_with_five_per_cent_more_drift_is_found(tmp_path: Path) -> None:
    from limitbench.studies.shaped_relu.study import STUDY, THEORIES

    grid = {"width": (16,), "aspect": (0.25, 1.0), "rate": (0.5,)}
    kept = tuple(t for t in THEORIES if t.name in ("infinite-width", "covariance-sde"))

    def drifting(factor: float) -> Study:
        def build(cell: Cell) -> Theory:
            return dataclasses.replace(kept[1].build(cell), drift_factor=factor)  # type: ignore[type-var]

        theories = (kept[0], dataclasses.replace(kept[1], build=build))
        return dataclasses.replace(STUDY, theories=theories)

    right = run(drifting(1.0), tmp_path / "right", grid=grid, samples=1024)
    wrong = run(drifting(1.05), tmp_path / "wrong", grid=grid, samples=1024, seed=1)
    laws = [f for f in compare(right, wrong).studies[0].changes(0.05) if f.kind == "law"]
    assert {f.subject for f in laws} == {"covariance-sde, correlation", "covariance-sde, log_gap"}
    assert len(laws) == 4
    assert min(f.difference for f in laws) > 100 * max(f.allowed for f in laws)


def test_a_simulated_law_may_change_with_its_stream_but_not_with_its_scale(tmp_path: Path) -> None:
    studies = {"first": simulated(1), "second": simulated(2), "wider": simulated(3, 1.3)}
    first, second, wider = (run(study, tmp_path / name, grid=SMALL) for name, study in studies.items())
    assert not compared(first, second, simulated(1)).changed
    assert {f.kind for f in compared(first, wider, simulated(1)).studies[0].changes(0.05)} >= {"law"}


def test_a_simulated_law_that_does_not_declare_its_draws_is_taken_for_a_solved_one(tmp_path: Path) -> None:
    first, second = (run(simulated(seed, declares=False), tmp_path / str(seed), grid=SMALL) for seed in (1, 2))
    assert compared(first, second, simulated(1, declares=False)).changed


def test_scores_of_the_same_networks_and_laws_must_agree(plain: Path, tmp_path: Path) -> None:
    import zarr

    shutil.copytree(plain, tmp_path / "copy")
    scores = zarr.open_group(str(tmp_path / "copy" / "toy.zarr"), use_consolidated=False)["scores/distance"]
    assert isinstance(scores, zarr.Array)
    values = np.asarray(scores[...])
    values[0, 0, 0] += 1e-6
    scores[...] = values
    changes = compared(plain, tmp_path / "copy").studies[0].changes(0.05)
    assert [f.kind for f in changes]
    assert {f.kind for f in changes} == {"distance"}


def test_a_claim_whose_error_is_unknown_is_not_tested_and_one_with_an_error_is(tmp_path: Path) -> None:
    def claiming(measured: float, se: float) -> Study:
        return dataclasses.replace(TOY, claims=lambda tree: [Claim("ratio", "text", 1.0, measured, se, "holds")])

    places = [
        run(claiming(measured, se), tmp_path / str(k), seed=k, samples=64, grid=SMALL)
        for k, (measured, se) in enumerate([(60.0, math.nan), (20.0, 2.0), (60.0, 2.0)])
    ]
    unknown, known = compared(places[0], places[1]).studies[0], compared(places[1], places[2]).studies[0]
    assert not unknown.changes(0.05)
    assert unknown.untested == {"claim": 1}
    assert [f.subject for f in known.changes(0.05)] == ["ratio"]


def test_cells_are_joined_by_the_values_of_their_axes(plain: Path, tmp_path: Path) -> None:
    other = run(TOY, tmp_path, grid={"width": (2, 8), "depth": (4, 2)}, samples=128)
    study = compared(plain, other).studies[0]
    assert study.cells == 2
    assert study.lacking == (2, 2)
    assert not study.changes(0.05)
    assert study.tallies["networks"].identical == 4  # of the same seed: the first of A's
    assert "claims are not compared: the runs have different cells" in study.notes
    assert ("grid, width", "4, 8", "2, 8") in study.differences


def test_a_half_finished_run_is_compared_where_it_is_finished(plain: Path, tmp_path: Path) -> None:
    from limitbench.sweep.run import run as sweep
    from limitbench.testing.toy import STUDY

    sweep(STUDY, GRID, samples=256, out=tmp_path)
    for marker in (tmp_path / "toy.run" / "done").iterdir():
        if "width=8" in marker.name:
            marker.unlink()
    root = tmp_path / "toy.zarr" / "zarr.json"
    root.write_text(root.read_text().replace('"finalised": true', '"finalised": false'))
    study = compared(plain, tmp_path).studies[0]
    assert study.cells == 2
    assert study.lacking == (2, 0)
    assert not study.changes(0.05)


def test_a_verdict_that_turned_round_on_the_same_networks_is_a_change(tmp_path: Path) -> None:
    study = compared(
        run(TOY, tmp_path / "right", samples=4096), run(variance(4.0), tmp_path / "wrong", samples=4096)
    ).studies[0]
    flips = [f for f in study.changes(0.05) if f.kind == "verdict"]
    assert flips
    assert all({f.before, f.after} == {"holds", "fails"} for f in flips)
    assert any(f.kind == "law" for f in study.changes(0.05))


def test_becoming_decided_is_told_and_is_no_change(plain: Path, tmp_path: Path) -> None:
    more = run(TOY, tmp_path, seed=3, samples=2048)
    found = compared(plain, more)
    assert not found.changed
    settled = [words for words in study_sentences(found.studies[0], 0.05) if "became decided or undecided" in words]
    assert settled
    assert "which is no change" in settled[0]


def test_runs_without_a_cell_in_common_are_refused(plain: Path, tmp_path: Path) -> None:
    other = run(TOY, tmp_path, grid={"width": (16,), "depth": (2,)}, samples=64)
    with pytest.raises(InputError, match="share a study and cells"):
        compared(plain, other)
    with pytest.raises(InputError, match="level"):
        compared(plain, plain, level=1.0)


def test_the_command_ends_with_0_1_or_2(
    plain: Path, wrong: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert cli.main(["compare", str(plain), str(plain)]) == 0
    assert "Bit-identical" in capsys.readouterr().out
    assert cli.main(["compare", str(plain), str(wrong), "--json", "--html", str(page)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["changed"]
    assert told["studies"][0]["changes"][0]["kind"] == "law"
    assert page.read_text().count("normal, walk") >= 4
    page.unlink()
    for arguments in (
        [str(tmp_path / "nothing")],
        [str(plain), "--level", "two"],
        [str(plain), "--html", "/dev/null/x"],
    ):
        assert cli.main(["compare", str(plain), *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_the_page_shows_names_as_text_and_asks_for_nothing(plain: Path, tmp_path: Path) -> None:
    place = tmp_path / "<b>bold"
    shutil.copytree(plain, place)
    text = comparison_page(compared(plain, place))
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert not re.search(r'(src|href)="?(https?:)?//', text)
    assert text == comparison_page(compared(plain, place))


def test_the_numbers_of_the_answer_are_those_of_the_findings(plain: Path, wrong: Path) -> None:
    found = compared(plain, wrong)
    assert "4 laws" in lead(found)
    study = found.studies[0]
    fewer = dataclasses.replace(
        study, findings=[f for f in study.findings if f.kind != "law" or "d = 2" in f.where.replace("\u00a0", " ")]
    )
    assert "2 laws" in lead(dataclasses.replace(found, studies=[fewer]))


def test_a_theory_that_only_one_run_has_is_named(plain: Path, tmp_path: Path) -> None:
    extra = StudyTheory("third", "one more", lambda cell: ToyTheory(1.0))
    more = dataclasses.replace(TOY, theories=(*TOY.theories, extra))
    study = compared(plain, run(more, tmp_path), more).studies[0]
    assert study.only_b == ["theory third"]
    assert study.only_a == []
    assert not study.changes(0.05)
