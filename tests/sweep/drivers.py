"""Drivers as processes of their own, forked from one that has imported everything: a round costs no second start.

`python drivers.py killed OUT` kills drivers at random moments until the store in OUT is complete; `python drivers.py
together OUT` starts two at the same moment, five times; `python drivers.py full OUT` and `read-only OUT` need a mount
namespace of their own. Each prints one line of JSON a round.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import xarray as xr

from limitbench import studies
from limitbench.cli import main
from limitbench.errors import StoreError
from limitbench.report import html as _html  # noqa: F401 (imported before anything forks)
from limitbench.sweep import run as _run  # noqa: F401
from limitbench.sweep.paths import paths_of
from limitbench.sweep.ray_executor import RayExecutor
from limitbench.sweep.run import run, status
from limitbench.sweep.store import read_root
from limitbench.testing.toy import STUDY

#: A small grid of the toy study, which the command line finds among the built-in ones here.
GRID = ("--set", "width=4,8", "--set", "fault=none", "--set", "depth=2,4", "--samples", "128")
SLOW = ("--set", "width=4,8", "--set", "fault=slow", "--set", "depth=2,4", "--samples", "896")


def command(*arguments):
    """Exit code and the lines on stderr of the command line."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main(list(arguments))
    return code, errors.getvalue().splitlines()


def driver(out, *grid):
    """`limitbench run` without a report."""
    return command("run", "toy", "--executor", "serial", "--no-report", "--out", str(out), *grid)


def told(**fields):
    """One line of JSON for the test that reads this."""
    print(json.dumps(fields), flush=True)


def forked(act, start=None):
    """Number of a process that waits for the pipe `start` to close, if there is one, and does `act`."""
    child = os.fork()
    if child:
        return child
    if start is not None:
        os.close(start[1])
        os.read(start[0], 1)
    act()
    os._exit(0)


def killed(out):
    """SIGKILL at random moments of the time that a whole run takes, ten times; then one driver that is left alone."""
    chance, began = random.Random(1), time.monotonic()
    os.waitpid(forked(lambda: driver(f"{out}-in-one-go", *SLOW)), 0)
    whole = time.monotonic() - began
    for _ in range(10):
        child = forked(lambda: driver(out, *SLOW))
        time.sleep(chance.uniform(0.1, 0.5) * whole)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        partial = len(list(Path(out).rglob("*.partial"))) if Path(out).is_dir() else 0
        done = len(list(Path(out).glob("toy.run/done/*.json")))
        told(partial=partial, done=done)
    code, _ = driver(out, *SLOW)
    told(partial=len(list(Path(out).rglob("*.partial"))), code=code)


def together(out):
    """Two drivers at the same moment, of which one extends the grid that the other asks for."""
    for number in range(5):
        folder = Path(out) / str(number) / "made" / "by both"
        start, children = os.pipe(), []
        for k, widths in enumerate(("4", "4,8")):
            grid = ("--set", f"width={widths}", "--set", "fault=none", "--set", "depth=2", "--samples", "64")
            answer = Path(out) / f"{number}.{k}"

            def act(grid=grid, answer=answer, folder=folder):
                answer.write_text(json.dumps(driver(folder, *grid)))

            children.append(forked(act, start))
        os.close(start[0])
        os.close(start[1])
        for child in children:
            os.waitpid(child, 0)
        told(answers=[json.loads((Path(out) / f"{number}.{k}").read_text()) for k in range(2)], folder=str(folder))


def phase(out):
    """How far a run that was stopped had come."""
    store = Path(out) / "toy.zarr"
    if not (store / "zarr.json").exists():
        return "metadata"
    (state,) = status(out) if (Path(out) / "toy.run").exists() else (None,)
    if state is None or state.blocks_done < state.blocks_total:
        chunks, markers = len(list(store.glob("samples/walk/c/**/0"))), 0
        with contextlib.suppress(FileNotFoundError):
            markers = len(os.listdir(Path(out) / "toy.run" / "done"))
        return "units" if chunks or markers else "first unit"
    return "report" if read_root(paths_of(store))[1]["finalised"] else "finalise"


def mounted(out, *options):
    """Mount what `options` say at `out`."""
    Path(out).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(out)], check=True)


def full(out, *, pages=(8, 70, 84, 90, 104, 134, 155)):
    """A file system of some MiB with so many pages left; then with room."""
    mounted(out, "-t", "tmpfs", "-o", "size=16m", "tmpfs")
    place, ballast = Path(out) / "results", Path(out) / "ballast"
    arguments = ("run", "toy", "--executor", "serial", "--out", str(place), *GRID)
    page = os.sysconf("SC_PAGE_SIZE")
    for left in pages:
        shutil.rmtree(place, ignore_errors=True)
        free = os.statvfs(out).f_bavail - left
        ballast.write_bytes(bytes(free * page))
        code, lines = command(*arguments)
        where = phase(place) if code else ""
        ballast.unlink()
        left_behind = [str(path.relative_to(place)) for path in place.rglob("*.partial")]
        again, _ = command(*arguments)
        kept = shutil.copytree(place, Path(out).parent / f"kept-{left}")
        told(left=left, code=code, lines=lines, phase=where, partial=left_behind, again=again, kept=str(kept))
    (place / "report.html").unlink()
    ballast.write_bytes(bytes(os.statvfs(out).f_bavail * page))
    code, lines = command("report", str(place))
    left_behind = [path.name for path in place.glob("report*")]
    ballast.unlink()
    told(code=code, lines=lines, partial=left_behind, again=command("report", str(place))[0])


def full_on_ray(out):
    """The same on Ray's workers."""
    mounted(out, "-t", "tmpfs", "-o", "size=16m", "tmpfs")
    place, ballast, lines = Path(out) / "results", Path(out) / "ballast", []
    grid = {"width": [4, 8], "fault": ["none"], "depth": [2, 4]}
    ballast.write_bytes(bytes((os.statvfs(out).f_bavail - 88) * os.sysconf("SC_PAGE_SIZE")))
    try:
        run(STUDY, grid, samples=128, out=place, executor=RayExecutor(workers=2))
    except StoreError as error:
        lines = str(error).splitlines()
    ballast.unlink()
    failed = len(list(place.glob("toy.run/failed/*")))
    run(STUDY, grid, samples=128, out=place, executor=RayExecutor(workers=2))
    told(lines=lines, failed=failed, kept=str(shutil.copytree(place, Path(out).parent / "kept")))


def read_only(out):
    """A finished store, mounted read-only: runs are refused, readers read."""
    driver(out, *GRID)
    mounted(out, "--bind", str(out))
    mounted(out, "-o", "remount,bind,ro")
    found = {str(path): path.stat().st_mtime_ns for path in Path(out).rglob("*")}
    page = Path(out).parent / "page.html"
    answers = [command("run", "toy", "--executor", "serial", "--out", str(out), *GRID, "--no-report")]
    answers.append(command("run", "toy", "--executor", "serial", "--out", str(out), *GRID))
    answers.append(command("status", str(out)))
    answers.append(command("report", str(out), "-o", str(page)))
    answers.append(command("report", str(out)))
    same = found == {str(path): path.stat().st_mtime_ns for path in Path(out).rglob("*")}
    with xr.open_datatree(Path(out) / "toy.zarr", engine="zarr") as tree:
        told(answers=answers, same=same, page=page.is_file(), networks=int(tree["run"]["n_samples"].sum()))


if __name__ == "__main__":
    if sys.argv[1] != "full-on-ray":  # Ray's workers are given the study itself
        studies._MODULES["toy"] = "limitbench.testing.toy"
    what = {"killed": killed, "together": together, "full": full, "full-on-ray": full_on_ray, "read-only": read_only}
    what[sys.argv[1]](sys.argv[2])
