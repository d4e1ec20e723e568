"""A folder of pages fit for static hosting: an index with the answer over all studies, and one page a study.

The same stores give the same bytes on the same machine: nothing that differs between two runs of the same numbers is on
these pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from limitbench.errors import InputError
from limitbench.report import shell
from limitbench.report.answer import Answer
from limitbench.report.files import write_page
from limitbench.report.selectors import distinct, slug
from limitbench.report.sparkline import furthest, sparkline
from limitbench.report.style import number
from limitbench.report.thumbnail import thumbnail
from limitbench.report.tracking import History, Part, Step, Track, read_history
from limitbench.report.view import StudyView
from limitbench.report.words import listing
from limitbench.studies.base import Study
from limitbench.sweep.storage import is_url

#: Bytes of all pages together, and the part of them that is kept for the index.
SITE_LIMIT, INDEX_LIMIT = 12_000_000, 1_000_000
#: Benchmarks that became worse are named up to this many in a sentence; all are listed below it.
MOST_NAMED = 5
#: Where asv keeps its results in a checkout.
BENCHMARKS = Path("benchmarks/.asv/results")


@dataclass(frozen=True)
class Row:
    """A study of the index: its page, its words, its thumbnail."""

    view: StudyView
    file: str

    @cached_property
    def thumbnail(self) -> Markup:
        """The validity map in small; empty where there is none."""
        return Markup(thumbnail(self.view.results, self.view.ident))


@dataclass(frozen=True)
class Tracked:
    """A benchmark of the index: its drawing and what it says."""

    track: Track
    ident: str

    @cached_property
    def svg(self) -> Markup:
        """The lines over the commits."""
        return Markup(sparkline(self.track, self.ident))

    @cached_property
    def ends(self) -> tuple[str, str]:
        """First and latest value of the case that grew most."""
        line = furthest(self.track)
        return ("–", "–") if line is None else (number(line.first, 3), number(line.latest, 3))

    @cached_property
    def changes(self) -> list[tuple[str, str]]:
        """Every step: `worse`, `mended` or `better`, and words with its commit."""
        found = []
        for line, step in self.track.steps:
            standing = (line, step) in self.track.worsened
            kind = "better" if not step.worse else "worse" if standing else "mended"
            found.append((kind, said(line.case, step)))
        return found


def render_site(
    directories: str | Path | Sequence[str | Path],
    folder: str | Path,
    studies: Sequence[Study] = (),
    *,
    benchmarks: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda study, done, total: None,
) -> list[str]:
    """Write `index.html` and `<study>.html` for every study of `directories` into `folder`.

    Arguments:
        directories: as for `render`.
        folder: directory (made where it is missing) or URL; other files in it stay.
        studies: definitions of studies that are not built in.
        benchmarks: asv's results directory, for the section on accuracy and cost over commits; where it is left out,
            `benchmarks/.asv/results` under the current directory.
        progress: told the study under way, the number of pages that are done, and of all.

    Returns the names of the files. Each page is whole at any moment; the index comes last. Every page is smaller than
    1,000,000 bytes, all together smaller than 12,000,000.
    Raises `InputError` where a directory holds no store, a file cannot be written, or the pages cannot be that small.
    Cost: 5 to 60 s a study.
    """
    from limitbench.report.html import SIZE_LIMIT, load, render_page, stores

    _check_folder(folder)
    places = [directories] if isinstance(directories, str | Path) else directories
    found = [load(paths, studies) for place in places for paths in stores(place)]
    histories = read_history(BENCHMARKS if benchmarks is None else benchmarks)
    if benchmarks is not None and not histories:
        raise InputError("--benchmarks", str(benchmarks), "a results directory of asv that holds results")
    limit = min(SIZE_LIMIT, (SITE_LIMIT - INDEX_LIMIT) // len(found))
    rows = [
        Row(StudyView(one, slug(one.name), False), f"{name}.html")
        for one, name in zip(found, distinct((one.name for one in found), taken=["index"]), strict=True)
    ]
    pages = {}
    for done, row in enumerate(rows):
        progress(row.view.results.name, done, len(rows) + 1)
        pages[row.file] = render_page([row.view.results], timings=False, limit=limit)
    progress("index", len(rows), len(rows) + 1)
    pages["index.html"] = index_page(rows, histories)
    sizes = {name: len(page.encode()) for name, page in pages.items()}
    largest = max(sizes, key=sizes.__getitem__)
    if sizes[largest] >= SIZE_LIMIT or sum(sizes.values()) >= SITE_LIMIT:
        accepted = f"pages below {SIZE_LIMIT:,} bytes, {SITE_LIMIT:,} in all; the largest is {largest}: fewer studies"
        raise InputError("--site", f"{sum(sizes.values()):,} bytes", accepted)
    if not is_url(folder):
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            accepted = f"a directory that can be made and written ({error.strerror})"
            raise InputError("--site", str(folder), accepted) from None
    for name, page in pages.items():
        write_page(f"{str(folder).rstrip('/')}/{name}", page, "--site")
    return list(pages)


def _check_folder(folder: str | Path) -> None:
    """Raises `InputError` where pages could not be written later on, before much time is spent on them."""
    if is_url(folder):
        return
    path = Path(folder).absolute()
    present = next(place for place in (path, *path.parents) if place.exists())
    if not present.is_dir() or not os.access(present, os.W_OK):
        raise InputError("--site", str(folder), f"a directory that can be made and written ({present} cannot)")


def index_page(rows: Sequence[Row], histories: Sequence[History] = ()) -> str:
    """The page that names the failures of all studies, links to each, and shows accuracy and cost over commits."""
    questions: tuple[tuple[Part, str], ...] = (("accuracy", "Is it still right?"), ("cost", "Is it still fast?"))
    tracked = [
        {
            "history": history,
            "sentences": history_sentences(history),
            "worse": [said(line.case, step, track) for track in history.tracks for line, step in track.worsened],
            "parts": [
                (title, [Tracked(track, f"b{h}-{part}-{k}") for k, track in enumerate(history.of(part))])
                for part, title in questions
            ],
        }
        for h, history in enumerate(histories)
    ]
    environment = shell.environment()
    css = Markup(shell.style_sheet() + environment.get_template("site.css").render())
    answer = Answer([row.view for row in rows])
    return environment.get_template("index.html").render(css=css, rows=rows, answer=answer, tracked=tracked)


def history_sentences(history: History) -> list[str]:
    """Whether it is still right and still fast, with numbers."""
    words: tuple[tuple[Part, str, str, str], ...] = (
        ("accuracy", "error", "Still right", "Less right"),
        ("cost", "cost", "Still fast", "Slower or larger"),
    )
    return [_part_sentence(history, *row) for row in words if history.of(row[0])]


def _part_sentence(history: History, part: Part, noun: str, well: str, badly: str) -> str:
    tracks, commits = history.of(part), len(history.commits)
    worse = [track for track in tracks if track.worsened]
    if commits == 1:
        return f"{len(tracks)} benchmarks of {noun} were measured at one commit; it takes a second one to compare."
    if not worse:
        return f"{well}: none of {len(tracks)} benchmarks of {noun} is worse than before, over {commits} commits."
    names = [f"{track.place}: {track.title}" for track in worse[:MOST_NAMED]]
    if len(worse) > MOST_NAMED:
        names.append(f"{len(worse) - MOST_NAMED} more")
    share = f"{len(worse)} of {len(tracks)} benchmarks of {noun}"
    return f"{badly}: {share} became worse over {commits} commits: {listing(names)}."


def said(case: str, step: Step, track: Track | None = None) -> str:
    """A step in words: benchmark and case, values, commit."""
    before = "failing" if step.before == float("inf") else number(step.before, 3)
    after = "failing" if step.after != step.after else number(step.after, 3)
    name = "" if track is None else f"{track.place}: {track.title}"
    place = " ".join(filter(None, (name, case if case.startswith("(") or not case else f"({case})")))
    seen = ", measured once since" if step.once else ""
    where = "little by little since" if step.gradual else "at"
    return f"{place + ': ' if place else ''}{before} to {after} {where} {step.commit.words}{seen}"
