"""Other packages: found by real metadata on the path, loaded one by one; what is wrong is one line with its package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import limitbench
from limitbench import extensions, networks, studies
from limitbench.cli import main
from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.studies.base import StudyTheory

Package = Callable[..., None]
SMALL = {"width": [4], "depth": [2]}
MODULE = """
from dataclasses import replace
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.studies.base import StudyTheory
from limitbench.testing.toy import STUDY, ToyTheory

TOY = replace(STUDY, name="a-toy")
THIRD = StudyTheory("third", "three times [bold]the[/bold] variance", lambda cell: ToyTheory(3.0))


class Own(ShapedMLP):
    '''Shaped networks under another name.'''
    family = "own-mlp"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Installs a package: its metadata and its module, in a directory of the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, entries: str, module: str = MODULE) -> None:
        monkeypatch.delitem(sys.modules, name.replace("-", "_"), raising=False)
        (tmp_path / f"{name.replace('-', '_')}.py").write_text(module)
        information = tmp_path / f"{name.replace('-', '_')}-1.5.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (information / "entry_points.txt").write_text(entries)
        extensions._entries.cache_clear()

    yield install
    extensions._entries.cache_clear()


GOOD = """
[limitbench.studies]
a-toy = limits_good:TOY
[limitbench.theories]
a-toy.third = limits_good:THIRD
[limitbench.networks]
own-mlp = limits_good:Own
"""


def test_without_packages_there_are_the_built_in_parts_alone() -> None:
    assert studies.known() == studies.names()
    assert networks.families() == networks.BUILT_IN
    assert studies.competitors("shaped-relu") == ()


@pytest.mark.parametrize("family", networks.BUILT_IN)
def test_a_built_in_family_has_the_class_of_its_name(family: str) -> None:
    assert networks.get(family).family == family


def test_every_built_in_study_draws_families_that_have_their_name() -> None:
    """A family that a study draws and the table of families lacks could be taken by another package."""
    for name in studies.names():
        study = studies.get(name)
        cell = {axis.name: axis.default[0] for axis in study.axes} | {"depth": 64}
        network = study.network(cell)
        assert isinstance(network, networks.get(network.family))


def test_a_package_adds_a_study_a_theory_and_a_network(
    package: Package, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    package("limits-good", GOOD)
    assert studies.known() == (*studies.names(), "a-toy")
    assert studies.competitors("a-toy") == ("third",)
    assert [theory.name for theory in studies.get("a-toy", ["normal", "third"]).theories] == ["normal", "wide", "third"]
    assert networks.get("own-mlp")(4, 8).family == "own-mlp"
    assert main(["list"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for words in ("a-toy", "third", "own-mlp", "limits-good 1.5", "[bold]the[/bold]"):
        assert words in said.out
    run = ["run", "a-toy", "--set", "width=4", "--set", "depth=2", "--executor", "serial", "--no-report"]
    assert main([*run, "--theory", "third", "--out", str(tmp_path / "out")]) == 0
    assert main(["report", str(tmp_path / "out")]) == 0
    assert "three times [bold]the[/bold] variance" in (tmp_path / "out" / "report.html").read_text()


def test_a_theory_is_added_as_a_value_too(package: Package, tmp_path: Path) -> None:
    package("limits-good", GOOD)
    extra = StudyTheory("half", "half", lambda cell: studies.get("a-toy").theories[0].build({**cell, "depth": 1}))
    tree = limitbench.run("a-toy", SMALL, theories=["third", extra])
    assert tree["scores"]["theory"].values.tolist() == ["normal", "wide", "third", "half"]
    with pytest.raises(InputError, match="theories: got 'half', expected a name that no theory of a-toy has"):
        limitbench.run("a-toy", SMALL, theories=[extra, extra])
    limitbench.run("a-toy", SMALL, theories=["third"], out=tmp_path)
    with pytest.raises(InputError, match=r"theories: got .*use another directory"):
        limitbench.run("a-toy", SMALL, out=tmp_path)


BROKEN = {
    "does not load": ("x-y = limits_bad:X", "raise OSError('no disk')", "a module that can be imported"),
    "leaves": ("x-y = limits_bad:X", "raise SystemExit(5)", "a module that can be imported"),
    "lacks the value": ("x-y = limits_bad:X", "", "a module that can be imported"),
    "holds something else": ("x-y = limits_bad:X", "X = 3", "a Study at limits_bad:X"),
    "has another name": ("x-y = limits_bad:TOY", MODULE, "'x-y' as its name"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_study_is_one_line_with_its_package_and_costs_no_other(
    package: Package, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    entry, module, expected = BROKEN[fault]
    package("limits-bad", f"[limitbench.studies]\n{entry}\n", module)
    package("limits-good", GOOD)
    assert main(["list"]) == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("left out: study x-y of limits-bad 1.5: got ")
    assert expected in line
    assert "a-toy" in said.out
    assert main(["show", "x-y"]) == 2
    assert expected in capsys.readouterr().err
    assert main(["show", "a-toy"]) == 0
    assert studies.get("deep-linear").name == "deep-linear"


def test_built_in_names_win_and_are_told(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    entries = """
[limitbench.studies]
ntk = limits_good:TOY
[limitbench.theories]
ntk.infinite-width = limits_good:THIRD
nowhere.third = limits_good:THIRD
[limitbench.networks]
shaped-mlp = limits_good:Own
"""
    package("limits-good", entries)
    assert studies.get("ntk").title != "A random walk"
    assert networks.get("shaped-mlp") is limitbench.ShapedMLP
    assert [t.name for t in studies.get("ntk", ["infinite-width"]).theories].count("infinite-width") == 1
    main(["list"])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" of limits-good 1.5: got ")[0] for line in lines] == [
        "left out: study ntk",
        "left out: theory nowhere.third",
        "left out: theory ntk.infinite-width",
        "left out: network shaped-mlp",
    ]


def test_a_name_of_two_packages_is_refused_with_both(package: Package) -> None:
    package("limits-good", GOOD)
    package("limits-other", GOOD)
    where = "of limits-good 1.5 and limits-other 1.5"
    with pytest.raises(InputError, match=f"study a-toy {where}: got 'a-toy', expected a name that only one"):
        studies.get("a-toy")
    with pytest.raises(InputError, match=f"network own-mlp {where}"):
        networks.get("own-mlp")


def test_a_network_must_be_a_class_of_that_family(package: Package) -> None:
    package("limits-good", "[limitbench.networks]\nother = limits_good:Own\ntoy = limits_good:TOY\n")
    with pytest.raises(InputError, match=r"network other .*: got 'own-mlp', expected 'other' as its family"):
        networks.get("other")
    with pytest.raises(InputError, match=r"network toy .*expected a Network at limits_good:TOY"):
        networks.get("toy")
    with pytest.raises(InputError, match="network: got 'unknown', expected one of covariance-mlp, "):
        networks.get("unknown")


def test_an_unknown_theory_is_named_with_those_that_there_are(
    package: Package, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    package("limits-good", GOOD)
    with pytest.raises(InputError, match=r"theory: got 'x', expected one of a-toy \(normal, wide, third\)"):
        studies.get("a-toy", ["x"])
    assert main(["run", "a-toy", "ntk", "--theory", "x", "--out", str(tmp_path / "out")]) == 2
    assert "--theory: got 'x', expected a theory that competes in a-toy, ntk: third" in capsys.readouterr().err
    assert main(["run", "ntk", "--theory", "third", "--out", str(tmp_path / "out")]) == 2
    assert "nothing, as no installed package has one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_networks_of_other_packages_are_networks(package: Package) -> None:
    package("limits-good", GOOD)
    assert issubclass(networks.get("own-mlp"), Network)
