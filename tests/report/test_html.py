"""The page as a whole: self-contained, accessible, escaped, small, deterministic, and fit for unfinished runs."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import xarray as xr

from limitbench.errors import InputError
from limitbench.report import render
from limitbench.report.html import SIZE_LIMIT, render_page
from limitbench.report.results import Results
from limitbench.studies.base import Study

Maker = Callable[..., xr.DataTree]
VOID = {"meta", "link", "input", "br", "img", "hr"}
#: Bytes of a page with a choice of panels in every section; and of one with the fewest.
ROOM, LITTLE = 320_000, 120_000
RESOURCES = {"src", "srcset", "href", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """Collects tags and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page_text(synthetic_tree: xr.DataTree, study: Study) -> str:
    return render_page([Results(synthetic_tree, study)], limit=ROOM)


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def test_page_parses_has_a_language_and_unique_ids(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert page.named("html")[0]["lang"] == "en"
    assert len(ids) == len(set(ids))
    labelled = {name for _, a in page.tags for name in str(a.get("aria-labelledby") or "").split()}
    assert labelled <= set(ids)
    assert {str(a["for"]) for a in page.named("label")} <= set(ids)


def test_page_loads_nothing_and_runs_its_own_script_alone(page: Page, page_text: str) -> None:
    for _, attributes in page.tags:
        for name in RESOURCES & set(attributes):
            assert str(attributes[name]).startswith(("#", "data:")), attributes
        assert not any(name.startswith("on") for name in attributes)
    assert page.named("script") == [{}], "one, without a source"
    (policy,) = [str(a["content"]) for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    body = re.search(r"<script>(.*)</script>", page_text, re.DOTALL)
    assert body is not None
    digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'" in policy
    assert len(body[1].encode()) < 12 * 1024
    assert not re.search(r"eval|Function\(|innerHTML|fetch|XMLHttp|import\(", body[1])
    assert "@import" not in page_text
    assert not re.search(r"url\((?!#)", page_text)


def test_page_is_small(page_text: str) -> None:
    assert len(page_text.encode()) < SIZE_LIMIT


def test_every_drawing_has_title_and_description(page: Page, page_text: str) -> None:
    drawings = [a for a in page.named("svg") if a.get("aria-hidden") != "true"]
    assert len(drawings) > 20
    assert all(a["role"] == "img" for a in drawings)
    assert len(drawings) == len(page.named("title")) - 1 == len(page.named("desc"))
    assert not re.search(r"<(title|desc)[^>]*></", page_text)


def test_every_choice_shows_exactly_one_panel(page: Page, page_text: str) -> None:
    """Of the panels of a section, the rules of the checked options leave one."""
    section = page_text.split('id="synthetic-grid"')[1].split("</section>")[0]
    groups: dict[str, list[str]] = {}
    for name, ident in re.findall(r'<input type="radio" name="([^"]+)" id="([^"]+)"', section):
        groups.setdefault(name, []).append(ident.removeprefix("synthetic-grid-"))
    panels = [set(classes.split()) for classes in re.findall(r'<div class="panel ([^"]+)"', section)]
    assert [len(options) for options in groups.values()] == [2, 2, 3]
    assert len(panels) == 12
    for option in (o for options in groups.values() for o in options):
        assert (
            f"#synthetic-grid:has(#synthetic-grid-{option}:checked) .panel:not(.{option}){{display:none}}" in page_text
        )
    for first in groups["synthetic-grid-observable"]:
        for second in groups["synthetic-grid-c_minus"]:
            for third in groups["synthetic-grid-rate p"]:
                assert sum({first, second, third} <= panel for panel in panels) == 1


def test_verdict_and_its_map_come_first_and_the_run_last(page_text: str) -> None:
    order = ["verdict", "where", "claims", "ranking", "figures", "maps", "nstar", "rates", "overlays", "run"]
    places = [page_text.index(f'<h3 id="synthetic-{name}"') for name in order]
    assert places == sorted(places)


def test_failed_claims_come_first_and_commands_are_shown(page_text: str) -> None:
    ledger = page_text.split('class="ledger"')[1].split("</table>")[0]
    assert re.findall(r'<tr class="(\w+)"', ledger) == ["fails", "holds", "unmeasured"]
    verdict = page_text.split('id="synthetic-verdict"')[1].split("</section>")[0]
    assert '<a href="#synthetic-claim-2">The symmetric error falls as 1/n.</a>' in verdict, (
        "what fails is named at once"
    )
    assert '<tr class="fails" id="synthetic-claim-2">' in ledger
    assert "limitbench run synthetic --set width=16" in ledger
    assert "Not measured &lt;here&gt;." in ledger


def test_axes_of_words_and_grids_of_one_width_render(synthetic: Maker) -> None:
    """`rate` becomes an axis of names; one width and one depth are left, and one observable has no score."""

    def changed(dataset: xr.Dataset) -> xr.Dataset:
        if "rate" in dataset.coords:
            dataset = dataset.isel(width=[1], aspect=[0]).assign_coords(rate=["vanilla", "balanced <1>", "plain"])
        for name in dataset.data_vars if "observable" in dataset.dims else ():
            dataset[name].loc[{"observable": "log_norm"}] = "" if name == "verdict" else float("nan")
        return dataset

    tree = synthetic().map_over_datasets(changed)
    text = render_page([Results(tree)], limit=ROOM)
    page = Page(text)
    assert "balanced &lt;1&gt;" in text
    labels = [a["for"] for a in page.named("label")]
    assert len([label for label in labels if str(label).startswith("synthetic-grid-a1v")]) == 3
    assert "No theory says anything about log squared norm" in text
    assert not [label for label in labels if "-o1" in str(label)], "no button for what has no panel"
    assert 'id="synthetic-errors"' not in text


def test_rendering_twice_gives_the_same_bytes(synthetic: Maker) -> None:
    """Every kind of panel, for one value of each selector."""
    tree = synthetic().isel(c_minus=[0], rate=[1])
    one, other = (render_page([Results(tree)], limit=ROOM) for _ in range(2))
    assert one == other


def test_names_and_errors_are_shown_as_text(synthetic: Maker) -> None:
    tree = synthetic(finished=0.1, study="<script>alert(1)</script>")
    tree["run"]["error"][0, 0, 0, 0] = "ValueError: <img src=x onerror=alert(2)>"
    tree["run"]["status"][0, 0, 0, 0] = "failed"
    text = render_page([Results(tree)], limit=ROOM)
    assert "<script>alert" not in text
    assert text.count("<script") == 1
    assert "<img" not in text
    assert "%3Cscript%3E" not in text.split("<title>")[0]
    assert "&lt;script&gt;alert(1)" in text
    assert "ValueError: &lt;img src=x onerror=alert(2)&gt;" in text
    Page(text)


@pytest.mark.parametrize("finished", [0.0, 0.3])
def test_unfinished_run_renders_with_a_notice(synthetic: Maker, finished: float) -> None:
    text = render_page([Results(synthetic(finished=finished))], limit=LITTLE)
    Page(text)
    assert "This run is not finished" in text


def test_store_without_scores_or_claims_renders(synthetic: Maker) -> None:
    tree = synthetic(finished=0.1)
    for group in ("scores", "claims", "laws", "samples"):
        del tree[group]
    Page(render_page([Results(tree)], limit=LITTLE))


@pytest.mark.parametrize(("status", "words"), [("done", "has no claims about it"), ("partial", "has no claims yet")])
def test_missing_claims_are_awaited_only_where_the_run_goes_on(synthetic: Maker, status: str, words: str) -> None:
    tree = synthetic().isel(c_minus=[0], rate=[1], width=[0], aspect=[0])
    tree["run"]["status"][...] = status
    del tree["claims"]
    assert words in render_page([Results(tree)], limit=LITTLE)


def test_one_directory_and_none(tmp_path: Path) -> None:
    for one in (str(tmp_path), tmp_path):
        with pytest.raises(InputError, match=f"DIR: got '{tmp_path}'"):
            render(one, tmp_path / "x.html")
    with pytest.raises(InputError, match=r"directories: got \[\], expected one output directory"):
        render([], tmp_path / "x.html")


def test_two_studies_have_a_summary_with_links(synthetic: Maker) -> None:
    text = render_page([Results(synthetic(finished=0.1, study=name)) for name in ("one", "two", "one")], limit=LITTLE)
    page = Page(text)
    links = [str(a["href"])[1:] for a in page.named("a") if str(a["href"]).startswith("#")]
    assert links[:4] == ["main", "one-claim-2", "two-claim-2", "one-2-claim-2"], "failures before everything else"
    assert {"one", "two", "one-2", "two-claims", "one-2-claims"} <= set(links)
    ids = {a.get("id") for _, a in page.tags}
    assert set(links) <= ids, "every link leads somewhere"
    assert {a.get("id") for a in page.named("article")} == {"one", "two", "one-2"}
    overview = text.split('class="overview"')[1].split("</nav>")[0]
    assert overview.count("<tr>") == 1 + 3
    for said in ("✓ 1 holds", "✗ 1 fails", "– 1 not measured", "Unfinished.", "No theory holds"):
        assert overview.count(said) == 3, said


def test_directory_without_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        render([tmp_path], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def _chromium() -> str | None:
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def _console(page: str, folder: Path) -> list[str]:
    """What headless Chromium writes to the console of `page`, 400 px wide."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--window-size=400,1000",
        "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run([str(_chromium()), *options], capture_output=True, text=True, timeout=120, check=True)
    assert "Which scaling-limit theory" in done.stdout
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(_chromium() is None, reason="no Chromium on this machine")
def test_chromium_opens_the_page_with_an_empty_console(page_text: str, tmp_path: Path) -> None:
    """The page's own policy forbids every load, so that an attempt at one would be written to the console."""
    assert _console(page_text, tmp_path) == []


@pytest.mark.skipif(_chromium() is None, reason="no Chromium on this machine")
def test_an_outside_request_would_be_seen_on_the_console(page_text: str, tmp_path: Path) -> None:
    planted = page_text.replace("<main", '<img src="http://localhost:9/x.png" alt=""><main', 1)
    assert any("Content Security Policy" in line for line in _console(planted, tmp_path))


def test_scores_without_an_interval_are_shown_and_not_fitted(synthetic_tree: xr.DataTree) -> None:
    """Tails too heavy for an interval: D is a number, its ends are NaN, the verdict is undecided."""
    tree = synthetic_tree.isel(c_minus=[0], rate=[1]).copy(deep=True)
    scores = tree["scores"].to_dataset()
    scores["distance_low"] = scores["distance_low"] * float("nan")
    scores["distance_high"] = scores["distance_high"] * float("nan")
    tree["scores"] = xr.DataTree(scores)
    text = render_page([Results(tree)], limit=LITTLE)
    assert Page(text).named("figure")
    assert not re.search(r"\bnan\b", re.sub(r"<[^>]*>", " ", text), re.IGNORECASE)
