"""Input that cannot be accepted: one line that names field, value and what is accepted, exit code 2, no file written.

Every case runs the real command in-process in an empty directory; nothing is stubbed.
"""

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from limitbench.cli import BAD_INPUT, COMPLETE, main


def tree(directory: Path) -> dict[str, bytes | None]:
    """Every path below `directory`, with the content of files."""
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refused(capsys: pytest.CaptureFixture[str], directory: Path, *arguments: str) -> str:
    """The one line that the command prints as it refuses; asserts that it leaves `directory` as it was."""
    before = tree(directory)
    code = main(arguments)
    printed = capsys.readouterr()
    assert code == BAD_INPUT, printed
    assert re.fullmatch(r"error: .+: got .+, expected .+\n", printed.err), printed.err
    assert printed.out == ""
    assert tree(directory) == before
    return printed.err


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of `SMALL`; not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "results"
    assert main([*SMALL, "--no-report", "--out", str(out)]) == COMPLETE
    return out


@pytest.fixture
def results(finished: Path, workplace: Path) -> Path:
    """A copy of the results of `SMALL` in the current directory, where `run` would put them."""
    return shutil.copytree(finished, workplace / "results")


SMALL = ("run", "deep-linear", "--executor", "serial", "--set", "width=16", "--set", "aspect=1", "--samples", "1")
RELU = ("run", "shaped-relu", "--executor", "serial", "--set", "width=16")

#: Arguments, and the words that the line must hold: field, value, something of what is accepted.
LINES = {
    "unknown command": (("sweep",), ("command", "'sweep'", "run")),
    "unknown option": (("run", "--bogus"), ("option", "'--bogus'", "--set")),
    "option without value": (("run", "deep-linear", "--seed"), ("--seed", "nothing")),
    "too many arguments": (("show", "deep-linear", "x"), ("arguments", "x")),
    "no study": (("run",), ("STUDY", "nothing", "shaped-relu")),
    "a study beside all": (("run", "--all", "deep-linear"), ("STUDY", "'deep-linear'", "no names", "--all")),
    "aspect of zero": ((*RELU, "--set", "aspect=0"), ("aspect", "got 0", "a number > 0")),
    "unknown study to show": (("show", "relu"), ("study", "'relu'", "shaped-relu")),
    "unknown study to run": (("run", "relu"), ("study", "'relu'", "shaped-relu")),
    "unknown axis": ((*SMALL, "--set", "height=3"), ("axis", "'height'", "width")),
    "axis of another study": ((*SMALL, "--set", "rho0=0.3"), ("axis", "'rho0'", "outputs")),
    "axis without value": (("run", "deep-linear", "--set", "width"), ("--set", "'width'", "AXIS=V1,V2")),
    "empty grid": (("run", "deep-linear", "--set", "width="), ("--set width", "''", "one value or more")),
    "hole in a list": (("run", "deep-linear", "--set", "width=16,,32"), ("--set width", "'16,,32'")),
    "axis twice": (("run", "deep-linear", "--set", "width=16", "--set", "width=32"), ("--set", "once")),
    "negative depth": (("run", "deep-linear", "--set", "depth=-4"), ("depth", "-4", "integer")),
    "depth zero": (("run", "deep-linear", "--set", "depth=0"), ("depth", "0", "integer")),
    "non-numeric width": (("run", "deep-linear", "--set", "width=wide"), ("width", "'wide'", "integer")),
    "width no integer": (("run", "deep-linear", "--set", "width=16.5"), ("width", "16.5", "integer")),
    "NaN": ((*RELU, "--set", "rho0=nan"), ("rho0", "nan", "[-1, 1]")),
    "infinite aspect": ((*RELU, "--set", "aspect=inf"), ("aspect", "inf", "number")),
    "correlation above one": ((*RELU, "--set", "rho0=1.2"), ("rho0", "1.2", "[-1, 1]")),
    "negative rate": ((*RELU, "--set", "rate=-0.5"), ("rate", "-0.5", "number")),
    "depth no integer": ((*RELU, "--set", "aspect=0.3"), ("aspect", "0.3", "integer")),
    "depth and aspect": ((*RELU, "--set", "aspect=1", "--set", "depth=16"), ("aspect: got 1,", "not both")),
    "more outputs than width": (
        ("run", "deep-linear", "--set", "width=2", "--set", "aspect=1", "--set", "outputs=3"),
        ("outputs", "3"),
    ),
    "unknown preset": (("run", "deep-linear", "--preset", "huge"), ("--preset", "'huge'", "quick, standard or full")),
    "no samples": (("run", "deep-linear", "--samples", "0"), ("--samples", "'0'", "positive integer")),
    "samples no integer": (("run", "deep-linear", "--samples", "1e3"), ("--samples", "'1e3'", "positive integer")),
    "2^40 samples": ((*SMALL, "--samples", f"{2**40 - 1}"), ("--samples", f"'{2**40 - 1}'", "2^31 - 1")),
    "10^18 samples": ((*SMALL, "--samples", f"{10**18}"), ("--samples", f"'{10**18}'", "2^31 - 1")),
    "no name for out": ((*SMALL, "--out", ""), ("--out", "got ''", "directory")),
    "out of 300 letters": ((*SMALL, "--out", "x" * 300), ("--out", "xxx", "directory (File name too long)")),
    "out of 300 letters below": ((*SMALL, "--out", "a/" + "x" * 300), ("--out", "'a/xxx", "File name too long")),
    "status of 300 letters": (("status", "x" * 300), ("DIR", "xxx", "directory")),
    "report of 300 letters": (("report", "x" * 300), ("DIR", "xxx", "directory")),
    "bounds in full": (("run", "deep-linear", "--set", "width=0"), ("width: got 0", "1048576]")),
    "digits with underscore": (("run", "deep-linear", "--set", "width=1_6"), ("--set width: got '1_6',", "like 16")),
    "full-width digits": (("run", "deep-linear", "--set", "width=１６"), ("--set width", "'１６'", "like 16")),
    "Arabic digits": (("run", "deep-linear", "--set", "width=١٦"), ("--set width", "'١٦'", "like 16")),
    "huge aspect": ((*RELU, "--set", "aspect=1e300"), ("aspect: got 1e+300", "at width 16 it is 1.6e+301")),
    "unknown sampler": (("run", "deep-linear", "--sampler", "sparse"), ("--sampler", "'sparse'", "exact or dense")),
    "seed no integer": (("run", "deep-linear", "--seed", "lucky"), ("--seed", "'lucky'", "integer")),
    "negative seed": (("run", "deep-linear", "--seed", "-1"), ("--seed", "'-1'", "integer from 0")),
    "negative margin": (("run", "deep-linear", "--margin", "-0.1"), ("--margin", "'-0.1'", "positive number")),
    "margin NaN": (("run", "deep-linear", "--margin", "nan"), ("--margin", "'nan'", "positive number")),
    "no workers": (("run", "deep-linear", "--workers", "0"), ("--workers", "'0'", "positive integer")),
    "unknown device": (("run", "deep-linear", "--device", "tpu"), ("--device", "'tpu'", "auto, cpu or cuda")),
    "unknown executor": (("run", "deep-linear", "--executor", "dask"), ("--executor", "'dask'", "ray or serial")),
    "malformed address": (("run", "deep-linear", "--address", "nowhere"), ("address", "'nowhere'", "HOST:PORT")),
    "workers without Ray": ((*SMALL, "--workers", "2"), ("--workers", "2", "nothing with --executor serial")),
    "address without Ray": ((*SMALL, "--address", "auto"), ("--address", "'auto'", "nothing with --executor serial")),
    "status of nothing": (("status", "missing"), ("DIR", "'missing'", "directory")),
    "report of nothing": (("report", "missing"), ("DIR", "'missing'", "directory")),
}


@pytest.mark.parametrize("case", LINES)
def test_one_line_names_field_value_and_what_is_accepted(
    case: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = LINES[case]
    line = refused(capsys, workplace, *arguments)
    assert all(word in line for word in words), line


def test_out_that_is_a_file(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "taken").write_text("mine")
    assert "taken'" in refused(capsys, workplace, *SMALL, "--out", "taken")


def test_out_below_a_file(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "taken").write_text("mine")
    assert "taken/results" in refused(capsys, workplace, *SMALL, "--out", "taken/results")


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/version").exists(), reason="needs Linux's /proc")
def test_out_that_cannot_be_written(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, workplace, *SMALL, "--out", "/proc/limitbench")  # not writable, even for root
    assert "/proc/limitbench" in line


def test_report_that_is_a_directory(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "results" / "report.html").mkdir(parents=True)
    assert "report: got 'results/report.html'" in refused(capsys, workplace, *SMALL)


@pytest.mark.parametrize("arguments", [(), ("list",), ("status", "results"), SMALL])
def test_current_directory_that_was_deleted(
    arguments: tuple[str, ...], workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = workplace / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "current directory: got nothing" in refused(capsys, workplace, *arguments)


def test_store_of_another_tool(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "results" / "deep-linear.zarr").mkdir(parents=True)
    (workplace / "results" / "deep-linear.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    assert "deep-linear.zarr" in refused(capsys, workplace, *SMALL)
    assert "deep-linear.zarr" in refused(capsys, workplace, "report", "results")
    assert "deep-linear.zarr" in refused(capsys, workplace, "status", "results")


def test_store_of_another_study(results: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "deep-linear.zarr").rename(results / "shaped-relu.zarr")
    line = refused(capsys, workplace, *RELU, "--set", "aspect=1", "--samples", "1")
    assert "deep-linear" in line


@pytest.mark.usefixtures("results")
def test_store_of_another_meaning(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "seed: got 7, expected 0" in refused(capsys, workplace, *SMALL, "--seed", "7")
    assert "sampler" in refused(capsys, workplace, *SMALL, "--sampler", "dense")


def test_all_studies_are_checked_before_the_first_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "--all", "--executor", "serial", "--set", "width=16", "--set", "rho0=1.0")
    assert "rho0" in refused(capsys, workplace, *arguments)


@pytest.mark.parametrize("command", ["report", "status"])
def test_directory_without_a_store(command: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "empty").mkdir()
    line = refused(capsys, workplace, command, "empty")
    assert "'empty'" in line


@pytest.mark.usefixtures("results")
def test_page_that_cannot_be_written(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, workplace, "report", "results", "-o", "missing/page.html")
    assert "missing/page.html" in line


YAML: dict[str, tuple[str | bytes | None, tuple[str, ...]]] = {
    "missing": (None, ("--config", "'f.yaml'", "readable YAML file")),
    "corrupt": ("set: {width: [16\n", ("--config", "'f.yaml'", "line 2")),
    "binary": (b"\xff\xfe\x00", ("--config", "'f.yaml'", "YAML file")),
    "a list": ("- deep-linear\n", ("--config", "'f.yaml'", "mapping of options")),
    "unknown key": ("studies: deep-linear\ndepht: 3\n", ("f.yaml", "'depht'", "samples")),
    "wrong value": ("studies: deep-linear\nsamples: many\n", ("samples", "'many'", "positive integer")),
    "truth value": ("studies: deep-linear\nsamples: true\n", ("samples", "True", "positive integer")),
    "empty axis": ("studies: deep-linear\nset: {width: []}\n", ("width", "[]", "at least one value")),
    "axis that is a mapping": ("studies: deep-linear\nset: {width: {a: 1}}\n", ("set width", "axis names")),
    "null in an axis": ("studies: deep-linear\nset: {width: [null]}\n", ("set width", "axis names")),
    "unknown axis": ("studies: deep-linear\nset: {height: 1}\n", ("axis", "'height'", "width")),
    "5001 digits": ("samples: " + "9" * 5001 + "\n", ("--config", "40 digits in line 1")),
    "octal": ("studies: deep-linear\nsamples: 010\n", ("--config", "not decimal", "line 2")),
    "digits with underscore": ("studies: deep-linear\nset: {width: 1_6}\n", ("--config", "not decimal", "line 2")),
    "fraction with underscore": ("studies: deep-linear\nmargin: 1_0.5\n", ("--config", "not decimal", "line 2")),
    "full-width digits": ("studies: deep-linear\nset: {width: １６}\n", ("set width", "'１６'", "like 16")),
    "3000 nested lists": ("studies: " + "[" * 3000 + "]" * 3000 + "\n", ("--config", "nested too deeply")),
    "repeated key": ("seed: 1\nstudies: deep-linear\nseed: 2\n", ("--config", "key 'seed'", "twice in line 3")),
    "repeated axis": ("studies: deep-linear\nset: {width: 16, width: 32}\n", ("--config", "key 'width'", "twice")),
    "truth value on an axis": ("studies: deep-linear\nset: {width: true}\n", ("set width: got True", "numbers")),
    "impossible date": ("studies: deep-linear\nout: 2024-13-45\n", ("--config", "YAML file", "month")),
    "no name for out": ("studies: deep-linear\nout: ''\n", ("out: got ''", "directory")),
    "NUL in out": ('studies: deep-linear\nout: "a\\0b"\n', ("out: got 'a\\x00b'", "directory")),
    "half a character in out": ('studies: deep-linear\nout: "a\\ud800b"\n', ("--out", "directory", "surrogates")),
}


@pytest.mark.parametrize("case", YAML)
def test_yaml_file(case: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = YAML[case]
    if content is not None:
        (workplace / "f.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = refused(capsys, workplace, "run", "--executor", "serial", "--config", "f.yaml")
    assert all(word in line for word in words), line


def test_yaml_axes_that_are_no_mapping_beside_axes_given_here(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "f.yaml").write_text("set: [width]\n")
    assert "set: got ['width'], expected axis names" in refused(capsys, workplace, *SMALL, "--config", "f.yaml")


def test_cuda_without_a_gpu(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    line = refused(capsys, workplace, *SMALL, "--device", "cuda")
    assert "device" in line
    assert "cuda" in line


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_address_where_no_cluster_answers(form: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = form.format(closed_port())
    arguments = [word for word in SMALL if word not in ("--executor", "serial")]
    assert address in refused(capsys, workplace, *arguments, "--address", address)


def test_the_check_notices_a_file_left_behind(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from limitbench import commands
    from limitbench.errors import InputError

    def careless(options: object) -> bool:
        (workplace / "left.txt").write_text("oops")
        raise InputError("a", "b", "c")

    monkeypatch.setattr(commands, "run", careless)
    with pytest.raises(AssertionError):
        refused(capsys, workplace, "run", "deep-linear")
