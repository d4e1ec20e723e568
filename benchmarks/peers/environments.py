"""One environment for each peer, from its pinned requirements, under `.environments/` beside this file.

An environment is ready when it holds a copy of the requirements that it was made from; other ones are made anew.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS, REQUIREMENTS, CACHE = HERE / "programs", HERE / "requirements", HERE / ".environments"


def names() -> list[str]:
    """Environments that can be made."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def python(name: str | None) -> Path:
    """Interpreter of an environment; this one's where the name is None.

    Raises FileNotFoundError where the environment has not been made from its present requirements.
    """
    if name is None:
        return Path(sys.executable)
    wanted, made = REQUIREMENTS / f"{name}.txt", CACHE / name / wanted_name(name)
    if not made.exists() or made.read_text() != wanted.read_text():
        raise FileNotFoundError(f"environment {name} is not built: python -m benchmarks.peers build")
    return CACHE / name / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def wanted_name(name: str) -> str:
    """The file in an environment that says what it was made from."""
    return f"{name}.txt"


def build(name: str) -> str | None:
    """Make the environment unless it is ready; returns why it could not be made.

    The requirements are complete, so pip resolves nothing: `--no-deps` also leaves out what a peer asks for and what
    this comparison does not use.
    """
    try:
        python(name)
        return None
    except FileNotFoundError:
        shutil.rmtree(CACHE / name, ignore_errors=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        subprocess.run([sys.executable, "-m", "venv", CACHE / name], check=True)
        binary = CACHE / name / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        subprocess.run([binary, *install, "--requirement", REQUIREMENTS / f"{name}.txt"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    shutil.copy(REQUIREMENTS / f"{name}.txt", CACHE / name / wanted_name(name))
    return None
