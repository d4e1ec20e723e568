"""A package of other people: installed into an environment of its own, it is found, runs, scores, reports and passes
the contracts that it inherits.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import limitbench

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # about half a minute: in the step of the long tests

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).parent / "example_package"
MOST_LINES = 120
Call = Callable[..., str]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package and a fresh environment that has it; of all else what the tests have."""
    directory = tmp_path_factory.mktemp("example")
    package = shutil.copytree(SOURCE, directory / "package")
    environment = directory / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # A path named in a .pth file is searched, but .pth files in it are not, so limitbench's own path is named too.
    (packages / "limitbench.pth").write_text("\n".join([*site.getsitepackages(), str(ROOT / "suite")]) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "install", *offline, str(package)], check=True, capture_output=True)
    return directory


@pytest.fixture
def call(workplace: Path) -> Call:
    """Runs a Python command line of that environment; its output, after checking the exit code."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def call(*words: str, code: int = 0, cwd: Path = workplace) -> str:
        command = [str(workplace / "env" / "bin" / "python"), *words]
        done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


def test_the_package_is_short() -> None:
    lines = [line for path in SOURCE.glob("*.py") for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < MOST_LINES


def test_list_and_show_know_its_parts_by_name(call: Call) -> None:
    said = " ".join(call("-m", "limitbench", "list").split())
    for words in ("gated-linear-norm", "gated-limit", "gated-linear", "limitbench-gated-linear 1.0", "deep-linear"):
        assert words in said
    assert "left out" not in said
    assert "Probability that a unit is kept." in call("-m", "limitbench", "show", "gated-linear-norm")
    assert call("-c", "import limitbench; print(limitbench.networks.get('gated-linear')(8, 64).family)") == (
        "gated-linear\n"
    )


def test_its_study_runs_scores_and_reports_by_name(call: Call, workplace: Path) -> None:
    said = call("-m", "limitbench", "run", "gated-linear-norm", "--executor", "serial")
    assert "gated-linear-norm: claims" in said
    tree = limitbench.open_results(workplace / "results")
    verdicts = tree["scores"]["verdict"].sel(observable="log_norm", width=128, keep=0.5)
    assert (verdicts.sel(theory="gated-limit") == "holds").all()
    assert (verdicts.sel(theory="ungated") == "fails").all()
    page = workplace / "results" / "report.html"
    page.unlink()
    call("-m", "limitbench", "report", "results")
    text = page.read_text(encoding="utf-8")
    assert "The norm in gated linear networks" in text
    assert "The variance at p = 1/2 and d = n is 5." in text


def test_its_theory_competes_in_a_built_in_study_that_asks_for_it(call: Call, workplace: Path) -> None:
    small = ("--set", "width=32", "--set", "rate=0.5", "--set", "aspect=1", "--samples", "1", "--out", "shaped")
    run = ("-m", "limitbench", "run", "shaped-relu", *small, "--executor", "serial", "--no-report")
    call(*run, "--theory", "gated-limit")
    scores = limitbench.open_results(workplace / "shaped")["scores"]
    assert float(scores["distance"].sel(observable="log_norm", theory="gated-limit").squeeze()) < 0.1
    first = {path: path.stat().st_mtime_ns for path in (workplace / "shaped").glob("*.run/done/*.b*.json")}
    call(*run)  # the store says who competes in it
    assert first == {path: path.stat().st_mtime_ns for path in (workplace / "shaped").glob("*.run/done/*.b*.json")}
    call("-m", "limitbench", "report", "shaped", "-o", "shaped.html")
    assert "gated limit at p = 1" in (workplace / "shaped.html").read_text(encoding="utf-8")


def test_a_store_without_the_theory_refuses_it_with_the_field(call: Call, workplace: Path) -> None:
    small = ("--set", "width=16", "--set", "rate=0.5", "--set", "aspect=1", "--samples", "1", "--out", "without")
    run = ("-m", "limitbench", "run", "shaped-relu", *small, "--executor", "serial", "--no-report")
    said = call("-c", f"import sys; from limitbench.cli import main; sys.exit(main({list(run[2:])!r}))")
    assert "4,096 of 4,096 networks to draw" in said
    said = call(*run, "--theory", "gated-limit", code=2)
    assert said.startswith("error: theories: got [")
    assert "use another directory" in said
    assert "gated-limit" in call(*run, "--theory", "gated", code=2)


def test_without_the_package_its_store_is_shown_and_not_extended(
    call: Call, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limitbench.cli import main

    monkeypatch.chdir(workplace)
    small = ["--set", "width=32", "--set", "rate=0.5", "--set", "aspect=1", "--samples", "1", "--out", "shaped"]
    assert main(["run", "shaped-relu", *small, "--executor", "serial", "--no-report"]) == 2
    assert "gated-limit" in capsys.readouterr().err
    assert main(["report", "shaped", "-o", "bare.html"]) == 0
    assert "gated-limit" in Path("bare.html").read_text(encoding="utf-8")


def test_it_passes_the_contracts_that_it_inherits(call: Call, workplace: Path) -> None:
    said = call("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=workplace / "package")
    assert "passed" in said
    assert "failed" not in said
