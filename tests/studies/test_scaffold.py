"""`limitbench new study NAME`: a file that is clean, of that name, never overwritten; that it runs is in the guides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from limitbench.cli import main
from limitbench.errors import InputError
from limitbench.studies.scaffold import write_study


@pytest.mark.parametrize("name", ["wide-resnet", "x", "a-long-name-of-a-study-of-networks-no-2"])
def test_the_file_is_clean_whatever_the_name(name: str, tmp_path: Path) -> None:
    path = write_study(name, tmp_path / "below")
    assert path == tmp_path / "below" / f"{name.replace('-', '_')}.py"
    text = path.read_text(encoding="utf-8")
    assert "$" not in text
    assert f'name="{name}"' in text
    checks = ["--select", "A,B,C4,D1,E,F,I,NPY,PERF,PIE,RUF,SIM,UP,W", "--ignore", "D102,RUF001,RUF002,RUF003"]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--line-length", "120"]
    done = subprocess.run([*ruff, *checks, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study("wide-resnet", tmp_path)
    path.write_text("mine")
    assert main(["new", "study", "wide-resnet", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == f"error: --out: got '{path}', expected a place without such a file: it is never overwritten\n"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["", "Wide", "wide_resnet", "-wide", "wide-", "a--b", "../x", "x.py", "1-layer", "class", "é", "a" * 41]
)
def test_a_name_that_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NAME: got "):
        write_study(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["torch", "json"])
def test_a_file_that_would_hide_a_module_from_its_own_imports_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a name that no Python module has"):
        write_study(name, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_study_of_that_name_elsewhere_on_the_path_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    write_study("wide-resnet", tmp_path)
    assert write_study("wide-resnet", tmp_path / "studies").is_file()


@pytest.mark.parametrize("name", ["shaped-relu", "shaped-mlp"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a name that no study or network family has"):
        write_study(name, tmp_path)


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["new", "study", "x", "--out", str(tmp_path / "file" / "below")]) == 2
    assert capsys.readouterr().err.startswith("error: --out: got ")
    assert main(["new", "study", "x", "--out", str(tmp_path / "file")]) == 2
    assert "directory that can be written" in capsys.readouterr().err
    assert main(["new", "package", "x"]) == 2
    assert capsys.readouterr().err == "error: what to begin: got 'package', expected study\n"
