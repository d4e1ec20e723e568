"""A package of other people: installed into an environment of its own, it is found, runs, scores, reports and passes
the contracts that it inherits.
"""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import limitbench

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # half a minute: in the step of the long tests

ROOT = Path(__file__).parents[1]
SOURCE = Path(__file__).parent / "example_package"
MOST_LINES = 120
#: Exit code and what was printed, of each command line.
Call = Callable[..., list[tuple[int, str]]]
SERIAL = ["--executor", "serial", "--no-report"]
SMALL = ["run", "shaped-relu", "--set", "width=16", "--set", "rate=0.5", "--set", "aspect=1", "--samples", "1", *SERIAL]
#: Runs command lines one after another, as importing torch for each would take most of the time.
DRIVER = """
import contextlib, io, json, sys
from limitbench.cli import main
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    print(json.dumps([code, said.getvalue()]))
"""


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


def python(workplace: Path, *words: str, cwd: Path) -> str:
    """What Python prints in the environment of the workplace."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    command = [str(workplace / "env" / "bin" / "python"), *words]
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def call(workplace: Path) -> Call:
    """Runs command lines of limitbench in that environment."""

    def call(*commands: list[str]) -> list[tuple[int, str]]:
        lines = python(workplace, "-c", DRIVER, json.dumps(commands), cwd=workplace).splitlines()
        return [tuple(json.loads(line)) for line in lines]

    return call


def test_the_package_is_short() -> None:
    lines = [line for path in SOURCE.glob("*.py") for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) < MOST_LINES


def test_its_study_is_listed_runs_scores_and_reports_by_name(call: Call, workplace: Path) -> None:
    commands = ["list"], ["show", "gated-linear-norm"], ["run", "gated-linear-norm", *SERIAL], ["report", "results"]
    codes, said = zip(*call(*commands), strict=True)
    assert codes == (0, 0, 0, 0), said
    listed = " ".join(said[0].split())
    for words in ("gated-linear-norm", "gated-limit", "gated-linear ", "limitbench-gated-linear 1.0", "deep-linear"):
        assert words in listed
    assert "left out" not in listed
    assert "Probability that a unit is kept." in said[1]
    assert "gated-linear-norm: claims" in said[2]
    tree = limitbench.open_results(workplace / "results")
    verdicts = tree["scores"]["verdict"].sel(observable="log_norm", width=128, keep=0.5)
    assert (verdicts.sel(theory="gated-limit") == "holds").all()
    assert (verdicts.sel(theory="ungated") == "fails").all()
    page = (workplace / "results" / "report.html").read_text(encoding="utf-8")
    assert "The norm in gated linear networks" in page
    assert "The variance at p = 1/2 and d = n is 5." in page


def test_its_theory_competes_in_a_built_in_study_where_it_is_asked_for(call: Call, workplace: Path) -> None:
    shaped, bare = [*SMALL, "--out", "shaped"], [*SMALL, "--out", "bare"]
    commands = (
        [*shaped, "--theory", "gated-limit"],
        shaped,  # the store says who competes in it
        ["report", "shaped", "-o", "shaped.html"],
        bare,
        [*bare, "--theory", "gated-limit"],
        [*bare, "--theory", "gated"],
    )
    codes, said = zip(*call(*commands), strict=True)
    assert codes == (0, 0, 0, 0, 2, 2), said
    scores = limitbench.open_results(workplace / "shaped")["scores"]
    assert float(scores["distance"].sel(observable="log_norm", theory="gated-limit").squeeze()) < 0.2
    assert scores["distance"].sel(observable="correlation", theory="gated-limit").isnull().all()
    assert "to draw" in said[0]
    assert "4,096 of" not in said[1]
    assert "gated limit at p = 1" in (workplace / "shaped.html").read_text(encoding="utf-8")
    assert "gated-limit" not in limitbench.open_results(workplace / "bare")["scores"]["theory"]
    assert said[4].startswith("error: theories: got [")
    assert said[4].endswith("use another directory for a run of other meaning (not in the store: gated-limit)\n")
    assert said[5] == "error: --theory: got 'gated', expected a theory that competes in shaped-relu: gated-limit\n"


def test_without_the_package_its_store_is_shown_and_not_extended(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limitbench.cli import main

    monkeypatch.chdir(workplace)
    assert main([*SMALL, "--out", "shaped"]) == 2
    assert capsys.readouterr().err.endswith("(missing here: gated-limit)\n")
    assert main(["report", "shaped", "-o", "unknown.html"]) == 0
    assert "gated-limit" in Path("unknown.html").read_text(encoding="utf-8")


def test_it_passes_the_contracts_that_it_inherits(workplace: Path) -> None:
    said = python(workplace, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=workplace / "package")
    assert "passed" in said
    assert "failed" not in said
