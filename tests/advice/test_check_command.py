"""The sub-command: report, numbers and JSON, refusals in one line, and nothing written where nothing was measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from limitbench.advice.check.measure import Sampler
from limitbench.advice.check.run import check
from limitbench.cli import BAD_INPUT, COMPLETE, INTERRUPTED, main

MODULES = Path(__file__).with_name("checked_modules.py")
SMALL = ("--depth", "3", "--width", "8", "--seeds", "8", "--inputs", "8")


def run(tmp_path: Path, name: str, *options: str) -> int:
    return main(["check", f"{MODULES}:{name}", *SMALL, "--out", str(tmp_path / "out"), *options])


def test_report_numbers_and_summary_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "he", "--depth", "3,4") == COMPLETE
    text = " ".join(capsys.readouterr().out.split())
    assert "relu MLP without biases, 3 hidden layers of 8 units" in text
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == ["check.json", "check.zarr", "report.html"]
    tree = xr.open_datatree(out / "check.zarr", engine="zarr", consolidated=False)
    cell = tree["depth-4-width-8"].to_dataset()
    assert cell.sizes["network"] == 8
    assert np.isfinite(cell["log_square"].to_numpy()).all()
    summary = json.loads((out / "check.json").read_text())
    assert [c["layers"] for c in summary["cells"]] == [3, 4]
    assert summary["cells"][0]["gain"] == pytest.approx(1.0, abs=0.2)
    page = (out / "report.html").read_text()
    assert page.count("<svg role=") >= 10
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    assert all(sentence.split(":")[0] in page for sentence in summary["cells"][0]["advice"])


def test_the_same_networks_are_drawn_wherever_the_file_lies(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.py"
    copy.write_text(MODULES.read_text())
    found = [check(f"{path}:he", depth=3, width=8, seeds=8).cells[0].measured.statistics for path in (MODULES, copy)]
    assert all(np.array_equal(found[0][name], found[1][name], equal_nan=True) for name in found[0])


def test_networks_that_died_keep_nothing_from_being_said_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "he", "--depth", "6", "--width", "4", "--seeds", "32") == COMPLETE
    tree = xr.open_datatree(tmp_path / "out" / "check.zarr", engine="zarr", consolidated=False)
    last = tree["depth-6-width-4"].to_dataset()["log_square"].to_numpy()[:, -2]  # before the head, which has a bias
    assert 0.1 < np.isneginf(last).mean() < 1
    text = " ".join(capsys.readouterr().out.split())
    assert "factor of infinity" not in text


def test_the_page_shows_names_as_text(tmp_path: Path) -> None:
    assert run(tmp_path, "hostile") == COMPLETE
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page


def test_json_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "encoder", "--depth", "1", "--json") == COMPLETE
    found = json.loads(capsys.readouterr().out)
    assert not found["cells"][0]["covered"]
    assert found["cells"][0]["outside_because"]


def test_own_inputs_and_lazy_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32))
    assert run(tmp_path, "lazy", "--input", str(path)) == COMPLETE
    text = " ".join(capsys.readouterr().out.split())
    assert "9 inputs of shape 5 from the file given" in text
    assert "Lazy layers" in text


def test_a_factory_without_depth_and_width(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "alone") == COMPLETE
    assert "as built: 8 networks" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Sampler.draw

    def interrupted(self: Sampler, index: int) -> None:
        if index == 9:
            raise KeyboardInterrupt
        draw(self, index)

    monkeypatch.setattr(Sampler, "draw", interrupted)
    assert run(tmp_path, "he", "--seeds", "50") == INTERRUPTED
    assert "9 networks" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "check.json").read_text())["interrupted"]
    assert "Stopped early" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "a name in"),
        ("instance", "fresh weights"),
        ("one_matrix_too_many", "requires layers"),
        ("broken", "RuntimeError: no weights"),
        ("number", "it returned int"),
        ("empty", "a module with parameters"),
        ("not_finite", "finite values at initialisation; the first that are not come from 0: linear"),
        ("fixed", "two calls gave the same ones"),
        ("lazy", "--input-shape"),
    ],
)
def test_factories_that_cannot_be_checked_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert run(tmp_path, name) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--depth", "x"),
        ("--width", "0"),
        ("--input", "nowhere.npy"),
        ("--input-shape", "5,5"),
        ("--input-shape", "8;8"),
        ("--inputs", "7"),
        ("--rho0", "2"),
        ("--seeds", "1"),
        ("--seconds", "-1"),
        ("--margin", "0"),
        ("--seed", "-1"),
        ("--device", "tpu"),
        ("--out", str(MODULES)),
    ],
)
def test_options_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert run(tmp_path, "he", *options) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"error: {options[0]}") or options == ("--input-shape", "5,5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nets.py", "nowhere.py:he", "no_such_module_here:he"])
def test_places_without_a_factory_are_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["check", name]) == BAD_INPUT
    assert capsys.readouterr().err.startswith("error: factory: got ")
