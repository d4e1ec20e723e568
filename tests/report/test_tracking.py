"""Accuracy and cost over commits, from files that asv itself writes: steps, their commits, and what is no step."""

from __future__ import annotations

import datetime
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from limitbench.errors import InputError
from limitbench.report.site import history_sentences, index_page, said
from limitbench.report.sparkline import describe, sparkline
from limitbench.report.tracking import Commit, History, Line, Step, Track, read_history

asv_results = pytest.importorskip("asv.results")
asv_runner = pytest.importorskip("asv.runner")

ERROR, COST = "accuracy_shaped.CorrelationLaw.track_cdf_error", "samplers.Exact.time_draw"
MACHINE = {"machine": "secret-host", "cpu": "A <fast> CPU", "num_cpu": "2", "os": "Linux", "ram": "1", "arch": "x86_64"}


def hashed(k: int) -> str:
    """The hash of the k-th commit."""
    return f"{k:08x}" * 5


def write(folder: Path, commit: str, day: int, values: dict[str, list[float | None]], version: str = "1") -> None:
    """What `asv run` leaves of one commit."""
    date = int(datetime.datetime(2026, 1, 1 + day, tzinfo=datetime.UTC).timestamp() * 1000)
    found = asv_results.Results(MACHINE, {}, commit, date, "3.11", f"env-{commit[:4]}", {})
    for name, cases in values.items():
        params = [["(16, 16)", "(64, 256)"][: len(cases)]]
        empty = [None] * len(cases)
        result = asv_runner.BenchmarkResult(cases, empty, empty, 0, "", None)
        found.add_result({"name": name, "version": version, "params": params, "type": "track"}, result, duration=1.0)
    found.save(str(folder))


def history(folder: Path, errors: Sequence[float | None], costs: Sequence[float | None] = ()) -> History:
    for k, value in enumerate(errors):
        values: dict[str, list[float | None]] = {ERROR: [value]}
        if costs:
            values[COST] = [costs[k], 1.0]
        write(folder, hashed(k), k, values)
    return read_history(folder)[0]


def steps(*values: float) -> list[Step]:
    """The steps of a line of times."""
    commits = [Commit(hashed(k), "2026-01-01") for k in range(len(values))]
    return Line("", values, ("1",) * len(values)).steps(commits, 1.5, 2)


def test_a_wrong_commit_and_a_slow_one_are_named(tmp_path: Path) -> None:
    found = history(tmp_path, [1e-6, 1e-6, 2e-4, 2e-4], [1.0, 1.1, 1.0, 1.9])
    (wrong,), (slow,) = found.of("accuracy"), found.of("cost")
    ((_, step),) = wrong.worsened
    assert (step.commit.hash, step.commit.date) == (hashed(2), "2026-01-03")
    assert (step.before, step.after, step.once) == (1e-6, 2e-4, False)
    ((case, step),) = slow.worsened
    assert (case.case, step.position, step.once) == ("(16, 16)", 3, True)
    right, fast = history_sentences(found)
    assert right.startswith("Less right: 1 of 1 benchmarks of error became worse over 4 commits: accuracy_shaped.")
    assert fast.startswith("Slower or larger: 1 of 1")
    page = index_page([], [found])
    assert f"0.000200 at {hashed(2)[:8]}, 2026-01-03" in page.replace("\u00a0", " ")
    assert page.index("Is it still right?</h3>") < page.index("Is it still fast?</h3>")


def test_without_a_step_it_is_still_right_and_still_fast(tmp_path: Path) -> None:
    found = history(tmp_path, [1e-6, 1.04e-6, 1e-6], [1.0, 1.4, 0.8])
    assert history_sentences(found) == [
        "Still right: none of 1 benchmarks of error is worse than before, over 3 commits.",
        "Still fast: none of 1 benchmarks of cost is worse than before, over 3 commits.",
    ]


def test_errors_have_a_tighter_factor_than_times(tmp_path: Path) -> None:
    found = history(tmp_path, [1.0, 1.0, 1.2, 1.2], [1.0, 1.0, 1.2, 1.2])
    assert found.of("accuracy")[0].worsened
    assert not found.of("cost")[0].worsened


def test_one_slow_measurement_among_good_ones_is_no_step_and_two_levels_are() -> None:
    assert steps(1.0, 1.0, 9.0, 1.0, 1.0) == []
    assert [(s.position, s.worse) for s in steps(1.0, 1.1, 2.0, 2.1, 2.0, 1.0, 1.1)] == [(2, True), (5, False)]


def test_a_time_that_grows_little_by_little_is_worse_and_no_commit_is_to_blame() -> None:
    (step,) = steps(1.0, 1.2, 1.4, 1.6, 1.9, 2.3)
    assert step.gradual
    assert step.position == 0
    assert said("", step) == "1.00 to 1.90 little by little since 00000000, 2026-01-01"
    assert steps(1.0, 1.1, 1.2, 1.1, 1.2) == []


def test_what_was_mended_does_not_stand(tmp_path: Path) -> None:
    (track,) = history(tmp_path, [1e-6, 1e-3, 1e-3, 1e-6]).of("accuracy")
    assert [step.worse for _, step in track.steps] == [True, False]
    assert not track.worsened


def test_a_benchmark_that_fails_from_a_commit_on_is_worse(tmp_path: Path) -> None:
    (track,) = history(tmp_path, [1e-6, 1e-6, None]).of("accuracy")
    ((_, step),) = track.worsened
    assert step.position == 2
    assert not step.once
    assert math.isnan(step.after)


def test_another_version_of_a_benchmark_is_no_step(tmp_path: Path) -> None:
    write(tmp_path, "a" * 40, 0, {ERROR: [1.0]})
    write(tmp_path, "b" * 40, 1, {ERROR: [5.0]}, version="2")
    (track,) = read_history(tmp_path)[0].of("accuracy")
    assert not track.steps
    assert track.lines[0].first == track.lines[0].latest == 5.0


def test_commits_are_in_the_order_of_their_dates_with_their_subjects(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Faster <draws>"], check=True)
    known = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    write(tmp_path / "results", known, 5, {ERROR: [1.0]})
    write(tmp_path / "results", "f" * 40, 1, {ERROR: [0.5]})
    (found,) = read_history(tmp_path / "results")
    assert [c.words for c in found.commits] == ["ffffffff, 2026-01-02", f"{known[:8]}, 2026-01-06, Faster <draws>"]
    page = index_page([], [found])
    assert "Faster &lt;draws&gt;" in page
    assert "A &lt;fast&gt; CPU, 2 processors" in page
    assert "secret-host" not in page


def test_the_drawing_says_what_it_shows_and_follows_the_data() -> None:
    commits = tuple(Commit(hashed(k), "2026-01-01") for k in range(3))
    rising = Track("samplers.Exact.time_draw", "s", (Line("", (1.0, 1.0, 4.0), ("1",) * 3),), commits)
    flat = Track("samplers.Exact.time_draw", "s", (Line("", (1.0, 1.0, 1.0), ("1",) * 3),), commits)
    assert describe(rising) == "draw, one case over 3 commits: steps up 1, down 0; most changed: 1.00 to 4.00."
    assert sparkline(rising, "a").count('class="worse"') == 1
    assert 'class="worse"' not in sparkline(flat, "a")


def test_no_results_say_how_to_get_them_and_other_files_are_refused(tmp_path: Path) -> None:
    assert read_history(tmp_path / "nowhere") == []
    assert "make bench" in index_page([], [])
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="a result file of asv"):
        read_history(tmp_path)
