"""The check of a GPU runs without one, on the CPU, and says so where a law is wrong."""

import json
import sys
from pathlib import Path

import pytest
import torch

from limitbench.networks.shaped_mlp import ShapedMLP

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import gpu

SMALL = ["--device", "cpu", "--widths", "8", "--families", "shaped-relu-two-inputs", "--networks", "512"]


def test_figures_are_written_under_the_name_of_the_device(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert gpu.main([*SMALL, "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["torch"] == torch.__version__
    (row,) = figures["speed"]
    assert row["law_is_right"]
    assert row["seconds"] > 0.0
    assert "right shaped-relu-two-inputs" in capsys.readouterr().out


def test_a_wrong_law_ends_in_exit_code_1(tmp_path, monkeypatch):
    wider = ShapedMLP(6, 64)
    monkeypatch.setitem(
        gpu.FAMILIES,
        "shaped-relu-two-inputs",
        lambda width, depth: Mixed(depth, width) if width == 16 else wider,
    )
    assert gpu.main([*SMALL, "--out", str(tmp_path / "figures.json")]) == 1


class Mixed(ShapedMLP):
    """Whose exact sampler draws a network of another width."""

    def sample(self, n, *, sampler="exact", **options):
        return (ShapedMLP(self.depth, 3) if sampler == "exact" else super()).sample(n, sampler=sampler, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so(capsys):
    assert gpu.main([]) == 2
    assert capsys.readouterr().err == "error: device: got 'cuda', expected cpu; this machine has no usable GPU\n"
