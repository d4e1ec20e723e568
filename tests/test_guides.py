"""Every guide does what it says: its commands and its Python run in order, as printed, in a directory of their own."""

from __future__ import annotations

import html
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from limitbench.cli import app, main

pytestmark = pytest.mark.cluster  # half a minute: in the step of the long tests

ROOT = Path(__file__).parents[1]
#: Guides that run here, from the first block to the last.
STUDIES, THEORIES, REPORT = (f"suite/limitbench/{room}/README.md" for room in ("studies", "theories", "report"))
SCALE = "cluster/SCALE.md"
GUIDES = (STUDIES, THEORIES, REPORT, SCALE)
#: Commands that take minutes, and are steps of CI or of a release: here they are asked what they would do.
LONG = ("benchmarks/README.md", "reports/README.md")
#: Where the commands of all other pages run.
ELSEWHERE = {"README.md": "tests/test_cli.py", "cluster/README.md": "tests/cluster/test_readme.py"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What a page says before a block that is a file.
FILE = re.compile(r"[Ss]aved? (?:it )?as `(\w+\.py)`")
MOST_LINES = 60


@dataclass
class Done:
    """What is left of a guide that ran: directory, names of its Python, texts of its blocks by language."""

    directory: Path
    names: dict[str, Any] = field(default_factory=dict)
    blocks: dict[str, list[str]] = field(default_factory=dict)


def follow(guide: Path, directory: Path) -> Done:
    """Run every block of a guide in `directory`, as a reader does from top to bottom."""
    done, text, end = Done(directory), guide.read_text(encoding="utf-8"), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.syspath_prepend(str(directory))
        for block in BLOCK.finditer(text):
            language, content = block.groups()
            done.blocks.setdefault(language, []).append(content)
            saved = FILE.findall(text[end : block.start()].rpartition("```")[2])
            end = block.end()
            match language:
                case "python" if saved:
                    (directory / saved[-1]).write_text(content, encoding="utf-8")
                    if not saved[-1].startswith("test_"):
                        done.names |= runpy.run_path(saved[-1], run_name="__main__")
                case "python":
                    exec(compile(content, str(guide), "exec"), done.names)
                case "sh":
                    for line in content.splitlines():
                        command(line)
                case "toml":
                    check_entry_points(tomllib.loads(content))
                case _:
                    pytest.fail(f"{guide}: a block of {language or 'no language'}, which nothing runs")
        for path in directory.glob("*.py"):
            sys.modules.pop(path.stem, None)
    return done


def command(line: str) -> None:
    """Run one command line of a guide: in this process where that is the same, without Ray."""
    words = shlex.split(line, comments=True)
    match words:
        case ["limitbench", "run", *options] if "--dry-run" not in options:
            assert main(["run", *options, "--executor", "serial"]) == 0, line
        case ["limitbench", *options]:
            assert main(options) == 0, line
        case ["python", "-m", "pytest", *options]:
            called = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
            done = subprocess.run(called, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
        case ["python", script]:
            runpy.run_path(script, run_name="__main__")
        case _:
            pytest.fail(f"a command that nothing runs: {line}")


def check_entry_points(table: dict[str, Any]) -> None:
    """Groups are those that limitbench reads; entries are those of the package under tests, or this page's theory."""
    package = tomllib.loads((ROOT / "tests" / "example_package" / "pyproject.toml").read_text(encoding="utf-8"))
    known = package["project"]["entry-points"]
    for group, entries in table["project"]["entry-points"].items():
        assert entries.items() <= known[group].items() or entries == {
            "shaped-relu.finite-slopes": "finite_slopes:THEORY"
        }


Follow = Callable[[str], Done]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Follow:
    """Runs a guide, once."""
    found: dict[str, Done] = {}

    def followed(page: str) -> Done:
        if page not in found:
            found[page] = follow(ROOT / page, tmp_path_factory.mktemp("guide"))
        return found[page]

    return followed


def test_every_page_has_a_test_that_runs_its_commands() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    pages = {page for page in listed.stdout.split() if page != "CHANGELOG.md"}
    assert pages == {*GUIDES, *LONG, *ELSEWHERE}
    for page, test in ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*GUIDES, *LONG, *ELSEWHERE])
def test_every_link_to_a_file_leads_to_one(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if "://" not in link and not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_study_of_the_guide_is_short_and_says_which_theory_holds(followed: Follow) -> None:
    done = followed(STUDIES)
    code = done.blocks["python"][0]
    assert len([line for line in code.splitlines() if line.strip()]) < MOST_LINES
    verdicts = done.names["tree"]["scores"]["verdict"].sel(observable="log_norm", width=128)
    assert (verdicts.sel(theory="limit") == "holds").all()
    assert (verdicts.sel(theory="infinite-width") == "fails").all()


def test_its_claim_can_fail(followed: Follow) -> None:
    names = followed(STUDIES).names
    (claim,) = names["claims"](names["tree"])
    assert claim.verdict == "holds"
    assert claim.distance < 0.05
    broken = names["tree"].map_over_datasets(lambda d: d * 1.2 if "log_norm" in d and "sample" in d.dims else d)
    assert names["claims"](broken)[0].verdict == "fails"
    small = names["tree"].map_over_datasets(lambda d: d.isel(aspect=[0]) if "aspect" in d.dims else d)
    assert np.isnan(names["claims"](small)[0].measured)


def test_the_reports_of_the_guide_have_the_sections_of_its_studies(followed: Follow) -> None:
    directory = followed(STUDIES).directory
    page = (directory / "my-results" / "report.html").read_text(encoding="utf-8")
    words = html.unescape(re.sub("<[^>]*>", "", page))
    assert "The norm in deep linear networks" in words
    assert "The variance at d = n is n ψ'(n/2)." in words
    assert '<figure id="linear-norm-figure-variance">' in page
    assert "Wide resnet" in (directory / "results-wide-resnet" / "report.html").read_text(encoding="utf-8")


def test_the_theory_of_the_guide_is_better_than_the_built_in_limits(followed: Follow) -> None:
    distances = followed(THEORIES).names["tree"].limitbench.distances(observable="log_norm").squeeze()
    own = distances.sel(theory="finite-slopes")
    assert (own < distances.sel(theory=["covariance-sde", "infinite-width-clt", "infinite-width"])).all()


def test_the_guide_to_reports_answers_in_python_as_on_the_page(followed: Follow) -> None:
    done = followed(REPORT)
    assert (done.directory / "page.html").stat().st_size > 10_000
    assert (done.directory / "overlay.svg").read_text(encoding="utf-8").startswith("<?xml")
    law, tree = done.names["law"], done.names["tree"]
    stored = tree["laws"]["log_q11"].sel(theory="proportional-limit", width=64).squeeze()
    assert float(law.quantile(0.95)) == pytest.approx(float(np.interp(0.95, stored["quantile"], stored)), rel=1e-3)


def test_the_size_of_a_sweep_is_said_and_nothing_is_done(followed: Follow, capsys: pytest.CaptureFixture[str]) -> None:
    done = followed(SCALE)
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert list(done.directory.iterdir()) == []


@pytest.mark.parametrize("page", LONG)
def test_long_commands_are_there_with_their_options(page: str) -> None:
    for _, block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        for line in filter(None, block.splitlines()):
            look_up(line)


def look_up(line: str) -> None:
    """Fail where a command line names a target, module, file or option that is not there."""
    match shlex.split(line, comments=True):
        case ["make", *rest]:
            called = ["make", "--dry-run", "--no-print-directory", *rest]
        case ["python", "-m", module, *_]:
            called = [sys.executable, "-c", f"import importlib.util as u; assert u.find_spec({module!r})"]
        case ["python", script, *_]:
            called = ["test", "-f", script]
        case ["limitbench", name, *rest]:
            get_command(app).commands[name].make_context(name, rest)  # type: ignore[attr-defined]
            return
        case [script]:
            called = ["bash", "-n", script]
        case _:
            pytest.fail(f"a command that nothing checks: {line}")
    done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.parametrize(
    "line", ["make no-such-target", "python -m benchmarks.nothing", "python no.py", "limitbench run --no-such", "no.sh"]
)
def test_a_command_that_is_not_there_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, TyperException)):
        look_up(line)
