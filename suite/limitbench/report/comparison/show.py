"""What `limitbench compare` does: typed words to a comparison, printed as text or JSON and written as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from limitbench.errors import InputError, one_line
from limitbench.report.comparison.compare import Comparison, StudyComparison, compare
from limitbench.report.comparison.record import record
from limitbench.report.comparison.words import groups, lead, sentences, study_sentences
from limitbench.sweep.storage import is_url


def show(a: str, b: str, *, html: Path | str | None, as_json: bool, level: str) -> bool:
    """Compare, print, write; whether something changed. Raises `InputError` before anything is written."""
    try:
        asked = float(level)
    except ValueError:
        asked = float("nan")
    if not 0 < asked < 1:
        raise InputError("--level", level, "a number between 0 and 1, ends excluded")
    if html is not None and not is_url(html) and (Path(html).is_dir() or not Path(html).parent.is_dir()):
        raise InputError("--html", str(html), "a file in an existing directory")
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("reading", total=1.0)
        found = compare(
            a, b, level=asked, progress=lambda study, done: bar.update(task, description=study, completed=done)
        )
    if html is not None:
        from limitbench.report.comparison.page import comparison_page
        from limitbench.report.files import write_page

        write_page(html, comparison_page(found), "--html")
    if as_json:
        print(json.dumps(record(found), indent=2, ensure_ascii=False))
    else:
        print_comparison(found, Console())
        if html is not None:
            print(f"page: {html}")
    return found.changed


def print_comparison(found: Comparison, console: Console) -> None:
    """The answer first, then every study with its changes."""
    _say(console, f"A: {found.a}", f"B: {found.b}", "")
    _say(console, lead(found), style="bold")
    _say(console, *sentences(found))
    for study in found.studies:
        console.print()
        _say(console, study.name, style="bold")
        for field, before, after in study.differences:
            _say(console, f"  differs: {field}: {_short(before)} in A, {_short(after)} in B", style="dim")
        _say(console, *(f"  {sentence}" for sentence in study_sentences(study, found.level)))
        if study.changes(found.level):
            console.print(_changes(study, found.level, narrow=console.width < 100))


def _changes(study: StudyComparison, level: float, *, narrow: bool) -> Table:
    """One row for each kind and subject; on a narrow terminal only what fits, with the largest change in words."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in (
        ("changed", "what", "by at most") if narrow else ("changed", "what", "in", "by at most", "where", "A", "B")
    ):
        table.add_column(column, overflow="fold")
    for group in groups(study, level):
        top = group.largest
        row = [group.kind, group.subject, group.cells, group.beyond, top.where, top.before, top.after]
        if narrow:
            place = " · ".join(filter(None, (group.cells, top.where)))
            row[2:] = [f"{group.beyond}\n{place}\nA {top.before}\nB {top.after}"]
        table.add_row(*(escape(text) for text in row))
    return table


def _say(console: Console, *lines: str, style: str = "") -> None:
    for line in lines:
        console.print(line, style=style, highlight=False, markup=False)


def _short(text: str, most: int = 60) -> str:
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."
