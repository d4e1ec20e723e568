"""The wheel is complete: installed by itself, away from the checkout, it runs a sweep and renders its report."""

import os
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel of limitbench, and of its dependencies those installed for the tests."""
    directory = tmp_path_factory.mktemp("wheel") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    # A path named in a .pth file is searched, but .pth files in it are not: the editable install stays out of reach.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    return directory


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = ROOT / "suite"
    source = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("limitbench/")}
    assert packed == source
    assert any("/templates/" in name for name in packed)


def test_the_wheel_declares_the_console_script_and_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
    assert "limitbench = limitbench.cli:main" in scripts
    assert "Requires-Python: >=3.11" in metadata
    assert all(f"Requires-Dist: {name}" in metadata for name in ("ray", "torch", "typer", "xarray", "zarr"))


def test_the_wheel_runs_and_reports_away_from_the_checkout(environment: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def call(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    python, limitbench = str(environment / "bin" / "python"), str(environment / "bin" / "limitbench")
    home = call(python, "-c", "import limitbench; print(limitbench.__file__)")
    assert Path(home).is_relative_to(environment)
    small = ("--set", "width=16", "--set", "aspect=1", "--samples", "1", "--executor", "serial")
    call(limitbench, "run", "deep-linear", *small, "--no-report")
    assert not (tmp_path / "results" / "report.html").exists()
    call(limitbench, "report", "results")
    assert (tmp_path / "results" / "report.html").stat().st_size > 10_000
