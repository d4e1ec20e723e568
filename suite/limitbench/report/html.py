"""From stores to one self-contained page: no network, readable without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jinja2
import numpy as np
import xarray as xr
from markupsafe import Markup

from limitbench.errors import InputError
from limitbench.report import shell, tables
from limitbench.report.answer import Answer
from limitbench.report.files import write_page
from limitbench.report.panels import DETAILS, MOST_TABLED_SCORES, Detail, Panels
from limitbench.report.provenance import spec_text
from limitbench.report.results import Results
from limitbench.report.selectors import distinct
from limitbench.report.style import N_THEORY_COLOURS
from limitbench.report.svg import Drawings
from limitbench.report.view import StudyView, theory_keys
from limitbench.studies.base import Study
from limitbench.sweep.intact import check_chunks
from limitbench.sweep.markers import DONE, Marker, read_markers
from limitbench.sweep.paths import Paths, paths_of
from limitbench.sweep.storage import open_storage

#: A page shows as much of its studies as fits into this many bytes.
SIZE_LIMIT = 1_000_000
#: What legends refer to: the looks of theories by their place in a study.
LOOKS = theory_keys([""] * N_THEORY_COLOURS)


def render(
    directories: str | Path | Sequence[str | Path],
    output: str | Path,
    studies: Sequence[Study] = (),
    *,
    timings: bool = True,
) -> str | Path:
    """Write one HTML report of all studies in `directories`.

    Arguments:
        directories: each, a folder or the URL of an object store, holds one or more `<study>.zarr` stores, or is such a
            store; half-finished ones too. One, or a sequence of them.
        output: file or URL to write; whole at once, so that a reader never sees half a page.
        studies: definitions of studies that are not built in; without its own, a store is shown with its names for
            titles and without the study's figures.
        timings: see `render_page`.

    Returns `output`. Raises `InputError` where a directory holds no store or the file cannot be written.
    Cost: about 5 s for a study by itself, 20 s for nine.
    """
    if isinstance(directories, str | Path):
        directories = [directories]
    if not directories:
        raise InputError("directories", directories, "one output directory of a run, or more")
    found = [paths for directory in directories for paths in stores(directory)]
    loaded = [load(paths, studies) for paths in found]
    try:
        page = render_page(loaded, timings=timings)
    except Exception:
        for paths in found:
            check_chunks(paths)  # where the store is damaged, that is what to say
        raise
    return write_page(output, page)


def stores(directory: str | Path) -> list[Paths]:
    """The `<study>.zarr` stores of a directory or URL in order of name."""
    if str(directory).rstrip("/").endswith(".zarr"):
        return [paths_of(directory)]
    storage = open_storage(directory)
    with storage.guarded():
        names = sorted(name.removesuffix(".zarr") for name in storage.folders() if name.endswith(".zarr"))
    found = [Paths(storage, name) for name in names]
    if not found:
        raise InputError("DIR", str(directory), "a directory that holds a <study>.zarr result store")
    return found


def load(paths: Paths, studies: Sequence[Study] = ()) -> Results:
    """One store with its study's words: those of `studies`, else of the built-in one of its name."""
    from limitbench.sweep.results import open_study

    tree = open_study(paths)
    with paths.storage.guarded():
        done = read_markers(paths, DONE)
    name = str(tree.attrs.get("study", ""))
    study = next((study for study in studies if study.name == name), None) or known_study(tree)
    return Results(tree, study, environment(done))


def environment(done: Mapping[str, Marker]) -> dict[str, str]:
    """Versions that made the numbers, from the markers of all units."""
    seen: dict[str, set[str]] = {}
    for marker in done.values():
        for name, version in marker.get("versions", {}).items():
            seen.setdefault(str(name).replace("_", " "), set()).add(str(version))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(seen.items())}


def known_study(tree: xr.DataTree) -> Study | None:
    """The study of these results, with the theories that compete in them; None where this installation has none."""
    from limitbench import studies

    return studies.of(tree)


def render_page(results: Sequence[Results], *, timings: bool = True, limit: int = SIZE_LIMIT) -> str:
    """The page as text, with as much detail as fits the size limit.

    Arguments:
        results: the studies, in the order of the page.
        timings: whether to show what differs between two runs of the same numbers: seconds, hosts, dates, throughput.
            Without them two runs of one seed give the same bytes.
        limit: bytes that the page must stay below.

    Every study starts with the least. Then the one with the smallest section gets more, as long as the page stays
    below the limit: studies share the room evenly. A step that is as large as the study's last one and would not fit
    is not tried, so that little is drawn in vain.
    """
    environment, drawings = shell.environment(), Drawings()
    environment.globals.update(tables=tables, alone=len(results) == 1, timings=timings)
    named = zip(results, distinct(one.name for one in results), strict=True)
    blocks = [_Block(one, ident, drawings, environment, timings) for one, ident in named]
    chosen = [block.section(DETAILS[0]) for block in blocks]
    page = _page(environment, drawings, blocks, chosen)
    size = len(page.encode())
    levels, steps = [0] * len(blocks), [0] * len(blocks)
    growing = set(range(len(blocks)))
    while growing:
        k = min(growing, key=lambda i: (len(chosen[i].text), i))
        levels[k] += 1
        full = levels[k] >= len(DETAILS) or size + steps[k] >= limit
        if full or (DETAILS[levels[k]].score_tables and blocks[k].scores > MOST_TABLED_SCORES):
            growing.remove(k)
            continue
        larger = [*chosen[:k], blocks[k].section(DETAILS[levels[k]]), *chosen[k + 1 :]]
        text = _page(environment, drawings, blocks, larger)
        if len(text.encode()) < limit:
            steps[k] = len(text.encode()) - size
            chosen, page, size = larger, text, len(text.encode())
        else:
            growing.remove(k)
    return page


@dataclass(frozen=True)
class _Section:
    """One study at one level of detail: its HTML and the rules of its selectors."""

    text: str
    css: str


@dataclass(frozen=True)
class _Block:
    """Everything that the page needs to write one study at any level of detail."""

    results: Results
    ident: str
    drawings: Drawings
    environment: jinja2.Environment
    timings: bool

    @cached_property
    def view(self) -> StudyView:
        """Words and tables."""
        return StudyView(self.results, self.ident, self.timings)

    @cached_property
    def panels(self) -> Panels:
        """Drawings."""
        return Panels(self.results, self.ident, self.drawings)

    @cached_property
    def scores(self) -> int:
        """Number of scores."""
        return int(np.isfinite(self.results.distance).sum())

    def section(self, detail: Detail) -> _Section:
        """The study's part of the page."""
        sections = self.panels.sections(detail)
        text = self.environment.get_template("study.html").render(
            view=self.view,
            results=self.results,
            panels=self.panels,
            detail=detail,
            sections=sections,
            spec=spec_text(self.results),
        )
        return _Section(text, "\n".join(section.selector.css() for section in sections.values()))


def _page(
    environment: jinja2.Environment, drawings: Drawings, blocks: Sequence[_Block], sections: Sequence[_Section]
) -> str:
    css = Markup("\n".join([shell.style_sheet(), drawings.css(), *(section.css for section in sections)]))
    views = [block.view for block in blocks]
    return environment.get_template("page.html").render(
        views=views, answer=Answer(views), keys=LOOKS, blocks=[Markup(section.text) for section in sections], css=css
    )
