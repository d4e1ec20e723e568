"""What `limitbench report --site` does: options checked, progress shown, the site written."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from limitbench.errors import NOTHING, InputError, one_line
from limitbench.report.site import render_site


def publish(directories: Sequence[str], site: str | None, benchmarks: str | None, output: str | None) -> None:
    """Write the site and say where it is; `InputError` names the option that cannot be accepted."""
    if site is None:
        raise InputError("--site", NOTHING, "a directory for the pages, with --benchmarks")
    if output is not None:
        raise InputError("--output", output, "nothing beside --site, which names its pages itself")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("reading", total=None)

        def tell(study: str, done: int, total: int) -> None:
            bar.update(task, description=one_line(study), completed=done, total=total)

        pages = render_site(directories, site, benchmarks=benchmarks, progress=tell)
    text = f"site: {one_line(site.rstrip('/'))}/index.html and {len(pages) - 1} pages of studies"
    Console().print(text, highlight=False, markup=False, soft_wrap=True)
