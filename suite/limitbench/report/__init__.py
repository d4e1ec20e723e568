"""HTML reports from stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limitbench.studies.base import Study


def render(
    directories: str | Path | Sequence[str | Path],
    output: str | Path,
    studies: Sequence[Study] = (),
    *,
    timings: bool = True,
) -> str | Path:
    """Write one self-contained HTML report of all studies in `directories`; see `limitbench.report.html.render`."""
    from limitbench.report import html

    return html.render(directories, output, studies, timings=timings)


__all__ = ["render"]
