"""The command line: help that is fast and whose examples run, options that mean the same in YAML, exit codes."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from limitbench import commands, config, studies
from limitbench.cli import COMPLETE, INTERRUPTED, QUARANTINED, main
from limitbench.errors import InputError

COMMANDS = ("list", "show", "predict", "check", "run", "status", "report", "compare", "new")


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main([*command, "--help"]) == COMPLETE
    return capsys.readouterr().out


def test_help_does_not_import_anything_heavy() -> None:
    code = (
        "import sys, json\n"
        "from limitbench.cli import main\n"
        "commands = ([], ['list'], ['show'], ['predict'], ['run'], ['status'], ['report'])\n"
        "codes = [main([*c, '--help']) for c in commands]\n"
        "heavy = [m for m in ('torch', 'ray', 'xarray', 'zarr', 'scipy', 'numpy', 'matplotlib') if m in sys.modules]\n"
        "print(json.dumps([codes, heavy]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == [[0] * 7, []]


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(f"\n  {name} " in help_of(capsys) for name in COMMANDS)
    for command in COMMANDS:
        assert f"limitbench {command}" in help_of(capsys, command).split("Examples:")[1]


def test_help_of_run_names_every_option_of_a_yaml_file(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, "run")
    assert all(f"--{name}" in text for name in config.OPTION_NAMES if name != "studies")


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == COMPLETE
    assert "Usage: limitbench" in capsys.readouterr().out


def test_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == COMPLETE
    assert capsys.readouterr().out == f"limitbench {version('limitbench')}\n"


def test_axes_are_parsed_to_numbers_where_they_are_numbers() -> None:
    parsed = config.parse_axes(["width=16, 32", "rate=0.5,1e-1", "device=cpu"])
    assert parsed == {"width": (16, 32), "rate": (0.5, 0.1), "device": ("cpu",)}
    assert [type(v) for v in parsed["width"] + parsed["rate"]] == [int, int, float, float]


def test_studies_named_on_the_command_line_win_over_all_of_them_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("all: true\nsamples: 64\n")
    options = config.run_options({"studies": ("deep-linear",)}, file)
    assert (options.studies, options.every, options.samples) == (("deep-linear",), False, 64)


def test_command_line_wins_over_the_file_axis_by_axis(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("studies: deep-linear\nset: {width: [16, 32], aspect: 1}\nsamples: 512\nseed: 3\nno-report: true\n")
    options = config.run_options({"set": {"width": (64,)}, "samples": "1024", "seed": None}, file)
    assert options.studies == ("deep-linear",)
    assert options.grid == {"width": (64,), "aspect": (1,)}
    assert (options.samples, options.seed, options.no_report, options.preset) == (1024, 3, True, "quick")


def test_defaults_are_quick_on_ray_into_results() -> None:
    options = config.run_options({})
    assert (options.preset, options.executor, str(options.out), options.device) == ("quick", "ray", "results", "auto")
    assert (options.sampler, options.seed, options.margin, options.samples) == ("exact", 0, 0.05, None)


def test_interrupt_says_that_blocks_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(options: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run", interrupted)
    assert main(["run", "deep-linear", "--out", str(tmp_path)]) == INTERRUPTED
    assert capsys.readouterr().err == f"stopped: finished blocks are kept in {tmp_path}; the same command resumes\n"


@pytest.mark.parametrize(("complete", "code"), [(True, COMPLETE), (False, QUARANTINED)])
def test_exit_code_says_whether_blocks_failed(monkeypatch: pytest.MonkeyPatch, complete: bool, code: int) -> None:
    monkeypatch.setattr(commands, "run", lambda options: complete)
    assert main(["run", "deep-linear"]) == code


def test_an_unexpected_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run", "deep-linear"])


def test_input_error_is_one_line_with_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(options: object) -> bool:
        raise InputError("rho0", 1.2, "a number\nin [-1, 1]")

    monkeypatch.setattr(commands, "run", refused)
    assert main(["run", "shaped-relu"]) == 2
    assert capsys.readouterr().err == "error: rho0: got 1.2, expected a number in [-1, 1]\n"


def examples(text: str) -> list[list[str]]:
    """Every command that `text` prints as an example, split into words."""
    text = text.partition("Examples:\n")[2] or text
    lines = [line.strip().split("  ")[0] for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("limitbench ")]


def first_values(words: list[str]) -> dict[str, object]:
    """For axes of several values: the first one that every quick preset of this command's studies has."""
    named = [name for name in studies.names() if name in words or "--all" in words]
    grids = [studies.get(name).presets["quick"].grid for name in named]
    values = {axis: list(values) for grid in reversed(grids) for axis, values in grid.items() if len(values) > 1}
    taken = {a: [v for v in values[a] if all(v in grid.get(a, (v,)) for grid in grids)] for a in values}
    return {axis: values[0] for axis, values in taken.items() if values}


def small(words: list[str]) -> list[str]:
    """The same command on the smallest settings: one value of each axis, one block, one process."""
    if words[0] == "check":
        fewer = re.sub(r"(--(?:depth|width) \d+)\S*", r"\1", re.sub(r" --(seeds|seconds) \S+", "", " ".join(words)))
        return [*fewer.split(), "--seeds", "8"]
    if words[0] != "run":
        return words
    if "--config" in words:
        return [*words[:3], "--no-report", "--executor", "serial"]
    if "--retry-failed" in words:  # takes its settings from the store
        return [*words, "--no-report", "--executor", "serial"]
    words = re.sub(r"(--set \w+=)([^, ]+)\S*", r"\1\2", " ".join(words)).split()
    words = re.sub(r" --(samples|preset|workers|executor) \S+", "", " ".join(words)).split()
    named = " ".join(words)
    for axis, value in (first_values(words) | {"width": 16, "aspect": 1}).items():
        if f"{axis}=" not in named and axis != "depth" and not (axis == "aspect" and "depth=" in named):
            words += ["--set", f"{axis}={value}"]
    words = words if "--no-report" in words else [*words, "--no-report"]
    return [*words, "--samples", "1", "--executor", "serial"]


def meaning(words: list[str]) -> tuple[str, ...]:
    """What `small(words)` asks for: equal for the same options in another order, or the default directory in words."""
    return tuple(sorted(" ".join(small(words)).replace(" --out results", "").split()))


NETS = """
from torch import nn


def mlp(depth, width):
    return nn.Sequential(*(part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())))


resnet = mlp


def convnet(depth, width):
    return nn.Sequential(nn.Conv2d(3, width, 3), *(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)))


def encoder(depth, width):
    layer = nn.TransformerEncoderLayer(width, 4, batch_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
"""


def run_examples(found: list[list[str]], monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Run the examples `found` in `directory`, those of one meaning once."""
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(str(directory))
    (directory / "mypackage").mkdir()
    for name in ("nets.py", "mypackage/models.py"):
        (directory / name).write_text(NETS)
    np.save(directory / "batch.npy", np.random.Generator(np.random.SFC64(0)).standard_normal((8, 4, 64)))
    stored = ("status", "report", "compare")
    if any(words[0] in stored for words in found) and not (directory / "results").exists():
        results = [words for words in found if words[0] == "run"] or [["run", "shaped-relu"]]
        assert main(small(results[0])) == COMPLETE
    if any(words[0] in ("report", "compare") for words in found):
        for copy in ("results-old", "results/standard"):
            shutil.copytree(directory / "results", directory / copy, ignore=lambda *_: {"standard"})
    for words in {meaning(words): words for words in found}.values():
        assert main(small(words)) == COMPLETE, words


def test_small_keeps_the_options_of_an_example() -> None:
    words = small(shlex.split("run deep-linear --set width=16,32 --set depth=8,9 --samples 4096 --preset full"))
    kept, added = "run deep-linear --set width=16 --set depth=8", "--set widths=alternating --no-report --samples 1"
    assert words == shlex.split(f"{kept} {added} --executor serial")


README = Path(__file__).parents[1] / "README.md"
README_EXAMPLES = examples("".join(re.findall(r"```\n(.*?)```", README.read_text(), re.DOTALL)))


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_example_in_the_help_runs(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Those of the README run below, and those of a command's own help in that command's case."""
    text = help_of(capsys, *([command] if command else []))
    elsewhere = README_EXAMPLES if command else [*README_EXAMPLES, *own_examples(capsys)]
    yaml = text.partition("sweep.yaml holds the same names:\n")[2].partition("\n\n")[0]
    (tmp_path / "sweep.yaml").write_text(yaml.replace("    ", "").replace("[16, 32]", "[16]").replace("4096", "1"))
    assert examples(text)
    run_elsewhere = {meaning(words) for words in elsewhere}
    run_examples([w for w in examples(text) if meaning(w) not in run_elsewhere], monkeypatch, tmp_path)


def own_examples(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [words for command in COMMANDS for words in examples(help_of(capsys, command))]


def test_every_command_in_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(README_EXAMPLES) >= 7
    run_examples(README_EXAMPLES, monkeypatch, tmp_path)
    assert {path.stem for path in (tmp_path / "results").glob("*.zarr")} == set(studies.names())
    assert (tmp_path / "page.html").stat().st_size > 1000


def test_python_in_the_readme_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    smaller = blocks[0].replace('{"width": [64]}', '{"width": [16], "rate": [0.5], "aspect": [1.0]}')
    smaller = smaller.replace("samples=4096", "samples=1").replace("10_000", "1000")
    assert len(smaller) != len(blocks[0])
    names: dict[str, object] = {}
    exec(compile(smaller, str(README), "exec"), names)
    assert set(names["drawn"].data_vars) == {"correlation", "log_gap", "log_norm"}  # type: ignore[attr-defined]


def test_interrupted_run_keeps_its_blocks_and_the_same_command_finishes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "limitbench", "run", "deep-linear", "--executor", "serial", "--no-report"]
    command += ["--set", "widths=equal", "--set", "width=16,32,64", "--set", "aspect=1", "--samples", "16384"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    finished = tmp_path / "results" / "deep-linear.run" / "done"
    while not list(finished.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == INTERRUPTED, errors
    assert errors.endswith("stopped: finished blocks are kept in results; the same command resumes\n")
    kept = {path.name: path.stat().st_mtime_ns for path in finished.glob("*.b*.json")}
    assert 0 < len(kept) < 12
    assert main([*command[3:], "--out", str(tmp_path / "results")]) == COMPLETE
    after = {path.name: path.stat().st_mtime_ns for path in finished.glob("*.b*.json")}
    assert len(after) == 12
    assert kept.items() <= after.items()


# Ray leaves the pipes of its processes and its log files to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.ray
def test_run_on_ray_then_status_then_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "results"
    command = ["run", "deep-linear", "--set", "width=16", "--set", "aspect=0.5,1", "--samples", "1"]
    assert main([*command, "--workers", "1", "--out", str(out)]) == COMPLETE
    page = out / "report.html"
    text = capsys.readouterr().out
    assert str(page) in text
    assert "deep-linear: claims" in text
    page.unlink()
    assert main(["status", str(out)]) == COMPLETE
    assert "deep-linear" in capsys.readouterr().out
    assert main(["report", str(out)]) == COMPLETE
    assert page.read_text().lower().startswith("<!doctype html>")


def test_with_several_studies_an_axis_goes_to_those_that_have_it() -> None:
    chosen = [studies.get(name) for name in ("shaped-relu", "deep-linear")]
    grid = {"rate": (0.5,), "width": (16,), "unheard": (1,)}
    own = commands._own_axes(chosen, grid)
    assert own == {
        "shaped-relu": {"rate": (0.5,), "width": (16,), "unheard": (1,)},
        "deep-linear": {"width": (16,), "unheard": (1,)},
    }


def test_an_axis_of_no_chosen_study_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["run", "shaped-relu", "deep-linear", "--set", "unheard=1", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "unheard" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_several_studies_print_a_tally_and_the_claims_that_fail(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [
        "--set",
        "rate=0.5",
        "--set",
        "outputs=2",
        "--set",
        "widths=equal",
        "--set",
        "width=16",
        "--set",
        "aspect=1",
        "--samples",
        "16384",
    ]
    words = ["run", "shaped-relu", "deep-linear", *words, "--executor", "serial", "--no-report"]
    assert main([*words, "--out", str(tmp_path)]) == COMPLETE
    said = capsys.readouterr().out
    assert "not measured" in said
    assert re.search(r"deep-linear +\d+ +0 ", said)
    # the log norm's law is not yet the limit's at width 16, and the table says so
    assert "shaped-relu: claims that fail" in said
    assert "deep-linear: claims" not in said
