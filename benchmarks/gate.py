"""The gate: benchmarks of two commits, the table of `asv compare` read line by line, and an exit code that says it.

asv's own codes do not do: `compare` ends with 0 on a regression, `continuous` has one factor for everything and shows
no table where a benchmark fails on either commit. Here each kind of benchmark has its factor, what looks slower is
measured again in the opposite order, and only what is slower every time counts.

Exit codes: 0 nothing is slower, 1 something is, 2 something crashed, is missing or could not be run at all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .judge import BROKEN, Report, Row, parse

HERE = Path(__file__).resolve().parent
REPO = HERE.parent


class Broken(Exception):
    """A command failed that the gate cannot do without."""


@dataclass(frozen=True)
class Asv:
    """asv in this environment, on the source trees of two commits, the same benchmarks for both.

    Attributes:
        folder: where trees, configuration and results are.
        commits: hashes; the tree of each is `folder/<hash>`.
        only: regular expression of benchmarks.
        quick: whether each is run only once.
    """

    folder: Path
    commits: tuple[str, str]
    only: str | None = None
    quick: bool = False

    def trees(self) -> None:
        """Lay out the source trees; raises `Broken` where a commit's code is not what its tree would import."""
        for commit in self.commits:
            tree = self.folder / commit
            tree.mkdir()
            archive = _run(["git", "-C", str(REPO), "archive", commit, "suite"], text=False).stdout
            _run(["tar", "-x", "-C", str(tree)], text=False, input=archive)
            where = [sys.executable, "-c", "import limitbench; print(limitbench.__file__)"]
            found = _run(where, env={**os.environ, "PYTHONPATH": str(tree / "suite")}).stdout.strip()
            if not Path(found).is_relative_to(tree):
                raise Broken(f"limitbench of {commit[:8]} would be imported from {found}")

    def measure(self, turn: int, commits: Sequence[str], benchmarks: Iterable[str] | None = None) -> list[Row]:
        """Run `commits` in this order and compare; `benchmarks` are names as in the table, all where left out."""
        settings = json.loads((HERE / "asv.conf.json").read_text())
        results = self.folder / f"results-{turn}"
        settings |= {"repo": str(REPO), "benchmark_dir": str(HERE / "suites"), "results_dir": str(results)}
        settings |= {"env_dir": str(self.folder / "env"), "html_dir": str(self.folder / "html")}
        config = self.folder / "asv.conf.json"
        config.write_text(json.dumps(settings))
        chosen = [f"^{re.escape(name)}$" for name in benchmarks] if benchmarks is not None else [self.only]
        options = [part for pattern in chosen if pattern for part in ("--bench", pattern)]
        for commit in commits:
            self._asv(
                ["run", "--python=same", "--show-stderr", f"--set-commit-hash={commit}", *options]
                + ["--quick"] * self.quick,
                accepted=(0, 2),  # 2: some benchmark failed, as the table will show
                tree=self.folder / commit / "suite",
            )
        table = self._asv(["compare", *self.commits, "--factor", "1.0"], quiet=True)
        return parse(table)

    def _asv(
        self,
        arguments: Sequence[str],
        *,
        accepted: tuple[int, ...] = (0,),
        tree: Path | None = None,
        quiet: bool = False,
    ) -> str:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        if tree is not None:
            env["ASV_PYTHONPATH"] = os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "asv", arguments[0], "--config", str(self.folder / "asv.conf.json")]
        return _run(command + list(arguments[1:]), env=env, accepted=accepted, quiet=quiet).stdout


def _run(
    command: Sequence[str],
    *,
    accepted: tuple[int, ...] = (0,),
    env: Mapping[str, str] | None = None,
    quiet: bool = True,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """A command and its output, which is shown as well unless `quiet`; `Broken` where it ends with another code."""
    options = {"text": True, **options}
    done = subprocess.run(
        command,
        env=env,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
        **options,
    )
    if done.returncode not in accepted:
        said = done.stderr if isinstance(done.stderr, str) else (done.stderr or b"").decode(errors="replace")
        raise Broken(f"{' '.join(command)} ended with {done.returncode}: {said.strip()[-2000:]}")
    return done


def _commit(name: str) -> str:
    return str(_run(["git", "-C", str(REPO), "rev-parse", "--verify", f"{name}^{{commit}}"]).stdout).strip()


def gate(base: str, head: str, *, only: str | None, turns: int, quick: bool) -> int:
    """Measure both commits, say what came out, return the exit code."""
    commits = _commit(base), _commit(head)
    if commits[0] == commits[1]:
        raise Broken(f"{base} and {head} are the same commit; commit the change first")
    with tempfile.TemporaryDirectory(prefix="limitbench-gate-") as folder:
        _run([sys.executable, "-m", "asv", "machine", "--config", str(HERE / "asv.conf.json"), "--yes"])
        asv = Asv(Path(folder), commits, only, quick)
        asv.trees()
        report = Report(tuple(asv.measure(1, commits)))
        for turn in range(2, turns + 1):
            suspects = [row.benchmark for row in report.of("slower")]
            if not suspects:
                break
            print(f"gate: turn {turn} of {turns}: {len(suspects)} look slower and are measured again", flush=True)
            order = commits[::-1] if turn % 2 == 0 else commits
            report = report.confirmed(asv.measure(turn, order, suspects))
    print(f"\ngate: {report.text(f'{base} ({commits[0][:8]})', f'{head} ({commits[1][:8]})')}", flush=True)
    return report.code


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the benchmarks of two commits; see benchmarks/README.md.")
    parser.add_argument("base", help="the commit to compare with, for example origin/main")
    parser.add_argument("head", nargs="?", default="HEAD", help="the commit in question")
    parser.add_argument("--bench", metavar="REGEX", help="only benchmarks whose names match")
    parser.add_argument(
        "--turns", type=int, default=3, help="times that what looks slower is measured, the first included"
    )
    parser.add_argument("--quick", action="store_true", help="one call for each time_ benchmark")
    chosen = parser.parse_args(arguments)
    try:
        return gate(chosen.base, chosen.head, only=chosen.bench, turns=chosen.turns, quick=chosen.quick)
    except (Broken, OSError, ValueError) as error:
        print(f"gate: {error}", file=sys.stderr)
        return BROKEN


if __name__ == "__main__":
    sys.exit(main())
