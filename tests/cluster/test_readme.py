"""The local path, job submission and Slurm's path of cluster/README.md, followed as printed by a user without a token.

Where the system lets a user have one, everything runs in a network of its own that has the loopback interface alone, so
that the ports of the page are free and nothing can be reached from outside. Slurm's commands are stand-ins.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "slurm"
COMPLETE = re.compile(r"^ +deep-linear +complete +(\d+) of \1 ", re.M)
ENVIRONMENT = ". .venv/bin/activate\nexport RAY_AUTH_MODE=token"
WITH_ADDRESS = 'ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec "$@"'


def _blocks(heading):
    """Shell blocks between a heading of the second level and the next."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## )", (ROOT / "cluster/README.md").read_text(), re.M | re.S)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)


class Place:
    """A checkout (links to this one's files), a home without a token, and a network."""

    def __init__(self, root: Path) -> None:
        self.checkout, self.home = root / "checkout", root / "home"
        self.short = Path(tempfile.mkdtemp(prefix="lb", dir="/tmp"))  # sockets are below it
        for directory in (self.checkout, self.home):
            directory.mkdir()
        venv = self.checkout / ".venv"
        venv.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (venv / name).symlink_to(Path(sys.prefix) / name)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "cluster", "suite"):
            (self.checkout / name).symlink_to(ROOT / name)
        (venv / ".ready").touch()  # to make, this environment has been installed
        alone = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", WITH_ADDRESS, "sh"]
        tried = subprocess.run([*alone, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
        # A process that holds the network, which several commands enter.
        self.holder = None
        self.prefix: list[str] = []
        self.environment = {
            "HOME": str(self.home),
            "TMPDIR": str(self.short),
            "PATH": f"{STAND_INS}{os.pathsep}{os.environ['PATH']}",
            "REQUEUED": str(root / "requeued"),
            "COLUMNS": "100",
        }
        if tried is not None and tried.returncode == 0:
            self.holder = subprocess.Popen([*alone, "sleep", "600"], start_new_session=True)
            while Path(f"/proc/{self.holder.pid}/comm").read_text() != "sleep\n":
                time.sleep(0.01)
            self.prefix = ["nsenter", "--target", str(self.holder.pid), "--user", "--net", "--preserve-credentials"]
            self.environment["HEAD_ADDRESS"] = "192.0.2.1"

    def start(self, script: str, log: Path, **environment: str) -> subprocess.Popen:
        """Run a script, as its own session; its output goes to `log`."""
        with log.open("w") as out:
            return subprocess.Popen(
                [*self.prefix, "bash", "-ec", script],
                cwd=self.checkout,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, script: str, log: Path, **environment: str) -> str:
        """Run a script to its end; its output. It must succeed."""
        process = self.start(script, log, **environment)
        try:
            code = process.wait(240)
        finally:
            _end(process)
        assert code == 0, log.read_text()
        return log.read_text()

    def left(self) -> dict[int, str]:
        """Commands that were started here and have not ended."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.short).encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    def close(self) -> None:
        """End what is left."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.short, ignore_errors=True)


def _end(process):
    """End whatever is left of a session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()


def _blocks_done(out):
    return len(list(out.glob("*.run/done/*.b*.json")))


def test_the_local_path_and_a_submitted_job_work_as_printed_and_a_wrong_token_is_refused(place, tmp_path):
    up, sweep, job, down = _blocks("A cluster on this machine")
    log = tmp_path / "cluster.log"
    cluster = place.start(up, log)
    try:
        deadline = time.monotonic() + 120
        while "\nstop " not in log.read_text():
            assert cluster.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        token = (place.home / ".ray/auth_token").read_text()
        assert (place.home / ".ray/auth_token").stat().st_mode & 0o077 == 0

        refused = [
            place.start(script, tmp_path / name, RAY_AUTH_TOKEN="0" * 64)
            for name, script in {
                "refused-run.log": sweep.split("\nlimitbench status")[0].replace("results-local", "refused"),
                "refused-job.log": f"{ENVIRONMENT}\nray job submit --address http://127.0.0.1:8265 -- true",
            }.items()
        ]
        said = place.run(f"{sweep}\n{job}", tmp_path / "sweep.log")
        assert COMPLETE.search(said), said
        assert "succeeded" in said
        assert _blocks_done(place.checkout / "results-local") == _blocks_done(place.checkout / "results-job") == 2

        assert [process.wait(120) for process in refused] == [2, 1]
        (line,) = (tmp_path / "refused-run.log").read_text().splitlines()
        assert line.startswith("error: address: got '127.0.0.1:6379', expected ")
        assert "its token is missing or wrong here" in line
        assert not (place.checkout / "refused").exists()
        assert "Invalid authentication token" in (tmp_path / "refused-job.log").read_text()

        assert place.run(down, tmp_path / "down.log").splitlines()[-1] == "stopped"
        assert cluster.wait(20) == 0
        assert place.left() == {}
        assert not list(place.short.iterdir())
        assert not any(token in path.read_text() for path in tmp_path.glob("*.log"))
    finally:
        _end(cluster)


def test_the_slurm_path_works_as_printed(place, tmp_path):
    (block,) = _blocks("Slurm")
    said = place.run(block, tmp_path / "slurm.log")
    assert re.search(r"2 of 2 nodes at \S+:\d+\n", said), said
    assert COMPLETE.search(said), said
    assert _blocks_done(place.checkout / "results-slurm") == 2
    assert place.left() == {}
    assert not (tmp_path / "requeued").exists()


@pytest.mark.chaos
def test_at_the_time_limit_slurm_queues_the_job_again_and_it_goes_on(place, tmp_path):
    command = "cluster/slurm.sh deep-linear --set width=16 --set aspect=1 --samples 24576 --no-report --out out"
    job = place.start(f". .venv/bin/activate; exec sbatch --nodes=2 --cpus-per-task=1 {command}", tmp_path / "1.log")
    try:
        while not _blocks_done(place.checkout / "out"):
            assert job.poll() is None, (tmp_path / "1.log").read_text()
            time.sleep(0.05)
        os.kill(job.pid, signal.SIGUSR1)
        assert job.wait(120) == 130, (tmp_path / "1.log").read_text()
    finally:
        _end(job)
    assert (tmp_path / "requeued").read_text().strip() == str(job.pid)
    first = _blocks_done(place.checkout / "out")
    said = place.run(
        f". .venv/bin/activate; sbatch --nodes=2 --cpus-per-task=1 {command}; limitbench status out", tmp_path / "2.log"
    )
    assert COMPLETE.search(said), said
    assert 1 <= first < _blocks_done(place.checkout / "out")
    assert place.left() == {}
