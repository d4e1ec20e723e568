"""From stores to one self-contained page: no network, readable without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from limitbench.errors import InputError
from limitbench.report.provenance import spec_text
from limitbench.report.results import Results
from limitbench.report.svg import Drawings
from limitbench.report.view import DETAILS, MOST_TABLED_SCORES, Detail, StudyView, slug
from limitbench.studies.base import Study
from limitbench.sweep.markers import DONE, Marker, read_markers

#: A page beyond this many bytes is drawn again with less detail.
SIZE_LIMIT = 1_000_000


def render(directories: Sequence[Path], output: Path) -> Path:
    """Write one HTML report of all studies in `directories`.

    Arguments:
        directories: each holds one or more `<study>.zarr` stores, or is such a store; half-finished ones too.
        output: file to write; written beside and renamed, so that a reader never sees half a page.

    Returns `output`. Raises `InputError` where a directory holds no store or the file cannot be written.
    Cost: about 10 s for the standard grid of one study.
    """
    page = render_page([load(path) for directory in directories for path in stores(Path(directory))])
    output = Path(output)
    part = output.with_name(output.name + ".partial")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        raise InputError("output", str(output), f"a file that can be written ({error.strerror})") from None
    return output


def stores(directory: Path) -> list[Path]:
    """The `<study>.zarr` stores of a directory in order of name."""
    if directory.suffix == ".zarr" and directory.is_dir():
        return [directory]
    found = sorted(path for path in directory.glob("*.zarr") if path.is_dir()) if directory.is_dir() else []
    if not found:
        raise InputError("DIR", str(directory), "a directory that holds a <study>.zarr result store")
    return found


def load(path: Path) -> Results:
    """One store with its study's words."""
    from limitbench.sweep.store import open_results

    tree = open_results(path)
    done = read_markers(path.with_suffix(".run"), DONE)
    return Results(tree, known_study(str(tree.attrs.get("study", ""))), environment(done))


def environment(done: Mapping[str, Marker]) -> dict[str, str]:
    """Versions that made the numbers, from the markers of all units."""
    seen: dict[str, set[str]] = {}
    for marker in done.values():
        for name, version in marker.get("versions", {}).items():
            seen.setdefault(str(name).replace("_", " "), set()).add(str(version))
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(seen.items())}


def known_study(name: str) -> Study | None:
    """The study called `name`, None where this installation has none."""
    from limitbench import studies

    try:
        return studies.get(name)
    except (InputError, KeyError):
        return None


def render_page(results: Sequence[Results]) -> str:
    """The page as text, with as much detail as fits the size limit."""
    page = ""
    scores = sum(int(np.isfinite(one.distance).sum()) for one in results)
    for detail in DETAILS[1:] if scores > MOST_TABLED_SCORES else DETAILS:
        page = _page(results, detail)
        if len(page.encode()) < SIZE_LIMIT:
            break
    return page


def _page(results: Sequence[Results], detail: Detail) -> str:
    drawings = Drawings()
    names: dict[str, int] = {}
    blocks = []
    views = []
    environment = _environment()
    for one in results:
        ident = slug(one.name)
        names[ident] = names.get(ident, 0) + 1
        if names[ident] > 1:
            ident = f"{ident}-{names[ident]}"
        view = StudyView(one, ident, drawings, detail)
        views.append(view)
        blocks.append(
            environment.get_template("study.html").render(
                view=view,
                results=one,
                grid=view.grid_panels(),
                errors=view.error_panels(),
                laws=view.overlay_panels(),
                throughput=view.throughput(),
                spec=spec_text(one),
            )
        )
    style = environment.loader.get_source(environment, "style.css")[0]  # type: ignore[union-attr]
    css = "\n".join([style, drawings.css(), *(s.css() for view in views for s in view.selectors)])
    return environment.get_template("page.html").render(views=views, blocks=map(Markup, blocks), css=Markup(css))


def _environment() -> jinja2.Environment:
    from limitbench.report import tables

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("limitbench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(tables=tables)
    return environment
