"""HTML reports from stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def render(directories: Sequence[Path], output: Path) -> Path:
    """Write one self-contained HTML report of all studies in `directories`; see `limitbench.report.html.render`."""
    from limitbench.report import html

    return html.render(directories, output)


__all__ = ["render"]
