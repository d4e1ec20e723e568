"""The gate of the benchmarks: asv's table read line by line, judged by kinds, and one run of it on real commits."""

import ast
import importlib
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).parents[1]

#: `asv compare` of asv 0.6.6 on three commits; the middle one is slower than the first, the last one broken.
SLOWER = """\

All benchmarks:

| Change   | Before [68b72809] <main~2>   | After [2e6fd58d] <main~1>   | Ratio   | Benchmark (Parameter)                                |
|----------|------------------------------|-----------------------------|---------|------------------------------------------------------|
| +        | 35.9M                        | 36M                         | 1.00    | samplers.Networks.peakmem_of_a_batch(16, 'torch')      |
|          | n/a                          | n/a                         | n/a     | samplers.Networks.peakmem_of_a_batch(16, 'vsl')        |
| +        | 106.0                        | 112.0                       | 1.06    | samplers.Networks.track_bytes_a_block(16, 'torch')     |
| *        | failed                       | 1.0                         | n/a     | samplers.Networks.track_exact_over_dense(16, 'torch')  |
|          | 3.0                          | 3.0                         | 1.00    | samplers.Networks.track_exact_over_dense(32, 'torch')  |
| +        | 16.0                         | 32.0                        | 2.00    | samplers.Networks.track_seconds_a_network(16, 'torch') |
| -        | 32.0                         | 16.0                        | 0.50    | samplers.Networks.track_seconds_a_network(32, 'torch') |
|          | 38.4±7μs                     | 58.7±10μs                   | ~1.53   | laws.time_first                                        |
"""  # noqa: E501
BROKEN = """\
| Change   | Before [2e6fd58d] <main~1>   | After [6535bcc3] <main>   | Ratio   | Benchmark (Parameter)                                |
|----------|------------------------------|---------------------------|---------|------------------------------------------------------|
| !        | 64.0                         | failed                    | n/a     | samplers.Networks.track_seconds_a_network(32, 'torch') |
|          | 64.0                         | n/a                       | n/a     | samplers.Networks.track_seconds_a_network(64, 'torch') |
| x        | 12.0                         | 64.0                      | 5.33    | samplers.Networks.track_seconds_a_network(16, 'torch') |
|          | n/a                          | 64.0                      | n/a     | samplers.Networks.track_seconds_a_network(16, 'vsl')   |
|          | failed                       | failed                    | n/a     | samplers.Networks.track_exact_over_dense(32, 'torch')  |
"""  # noqa: E501


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO))
    return importlib.import_module("benchmarks.judge")


def test_a_table_gives_the_lines_that_are_slower_than_their_kind_allows(benchmarks: ModuleType) -> None:
    report = benchmarks.Report(tuple(benchmarks.parse(SLOWER)))
    assert len(report.rows) == 8
    slower = {row.benchmark: row.ratio for row in report.of("slower")}
    assert slower == {
        "samplers.Networks.track_seconds_a_network(16, 'torch')": 2.0,
        "laws.time_first": 1.53,
        "samplers.Networks.track_bytes_a_block(16, 'torch')": 1.06,
    }
    assert report.code == benchmarks.SLOWER
    text = report.text("main~2", "main~1")
    assert "x2.00 (at most 1.50, time)  samplers.Networks.track_seconds_a_network(16, 'torch'): 16 -> 32" in text
    assert "3 same, 3 slower, 1 new; 1 not measured" in text


def test_what_is_not_slower_passes(benchmarks: ModuleType) -> None:
    rows = [row for row in benchmarks.parse(SLOWER) if row.judgement != "slower"]
    assert benchmarks.Report(tuple(rows)).code == benchmarks.CLEAN


def test_a_crash_and_a_number_that_is_gone_are_errors_even_beside_a_slower_one(benchmarks: ModuleType) -> None:
    rows = benchmarks.parse(BROKEN)
    assert [row.judgement for row in rows] == ["crashed", "missing", "other version", "new", "crashed"]
    measured = benchmarks.parse(SLOWER)
    assert benchmarks.Report((*measured, *rows)).code == benchmarks.BROKEN
    for row in rows[:2]:
        assert benchmarks.Report((*measured, row)).code == benchmarks.BROKEN
        assert f"{row.judgement}  {row.benchmark}" in benchmarks.Report((row,)).text("a", "b")
    for row in rows[2:4]:
        assert benchmarks.Report((*measured, row)).code == benchmarks.SLOWER


def test_commits_with_no_benchmark_in_common_do_not_pass(benchmarks: ModuleType) -> None:
    new = [row for row in benchmarks.parse(BROKEN) if row.judgement == "new"]
    assert benchmarks.Report(tuple(new)).code == benchmarks.BROKEN


@pytest.mark.parametrize(
    "table", ["", "No results found", "| + | 1 | 2 |", "| + | 1.0 | 2.0 | fast | laws.A.track_seconds_b |"]
)
def test_a_table_that_is_not_understood_is_an_error(benchmarks: ModuleType, table: str) -> None:
    with pytest.raises(ValueError, match=r"table|fast"):
        benchmarks.parse(table)


def test_what_is_slower_once_but_not_again_passes(benchmarks: ModuleType) -> None:
    first = benchmarks.Report(tuple(benchmarks.parse(SLOWER)))
    again = [benchmarks.Row(row.benchmark, row.after, row.after, 1.0) for row in first.of("slower")]
    assert first.confirmed(again).code == benchmarks.CLEAN
    assert first.confirmed(again[1:]).code == benchmarks.SLOWER
    crashed = benchmarks.Row(again[0].benchmark, "1.0", "failed", math.nan)
    assert first.confirmed([crashed]).code == benchmarks.BROKEN


def test_every_benchmark_says_what_it_measures(benchmarks: ModuleType) -> None:
    found = []
    for file in sorted((REPO / "benchmarks" / "suites").glob("*.py")):
        for group in ast.parse(file.read_text()).body:
            for function in group.body if isinstance(group, ast.ClassDef) else [group]:
                name = getattr(function, "name", "")
                if name.startswith(("track_", "peakmem_", "time_")):
                    assert isinstance(group, ast.ClassDef), f"{file.name}: {name} belongs into a class"
                    found.append(f"{file.stem}.{group.name}.{name}")
                    assert ast.get_docstring(group), found[-1]
                    assert ast.get_docstring(function), found[-1]
                    assert benchmarks.Row(found[-1], "1", "1", 1.0).kind
    assert len(found) > 40


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_a_measurement_that_asv_would_not_see_raises(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.syspath_prepend(str(REPO))
    measure = importlib.import_module("benchmarks.suites.measure")
    with pytest.raises(ValueError, match="measurement"):
        measure.finite(value)
    if value != 0.0:
        with pytest.raises(ValueError, match="error"):
            measure.error(value)


def test_the_gate_catches_a_slowed_sampler_between_two_commits(tmp_path: Path) -> None:
    bench = tmp_path / "benchmarks"
    suites = bench / "suites"
    package = tmp_path / "suite" / "limitbench"
    suites.mkdir(parents=True)
    package.mkdir(parents=True)
    for name in ("__init__.py", "gate.py", "judge.py", "asv.conf.json"):
        shutil.copy(REPO / "benchmarks" / name, bench)
    (suites / "__init__.py").touch()
    (suites / "samplers.py").write_text(
        "import limitbench\nclass Networks:\n    def track_seconds_a_network(self):\n        return limitbench.COST\n"
    )
    env = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": ""}

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, env=env, check=True, capture_output=True)

    git("init", "--initial-branch=main", ".")
    for cost in (1, 2):
        (package / "__init__.py").write_text(f"COST = {cost}\n")
        git("add", ".")
        git("commit", "--message", f"costs {cost}")
    command = [sys.executable, "-m", "benchmarks.gate", "HEAD~1", "HEAD", "--turns", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "slower   x2.00 (at most 1.50, time)  samplers.Networks.track_seconds_a_network: 1 -> 2" in done.stdout
    same = subprocess.run([*command[:3], "HEAD", "main"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (same.returncode, "the same commit" in same.stderr) == (2, True)
