"""The site: an index and a page a study, whole, small, linked, and the same bytes for the same numbers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import limitbench
from limitbench import cli
from limitbench.errors import InputError
from limitbench.report.site import render_site
from limitbench.studies.base import Claim
from limitbench.testing.toy import STUDY

FAILING = Claim("wrong", "The walk <stands> still.", 0.0, 3.25, 0.5, "fails")
SECOND = dataclasses.replace(STUDY, name="other", claims=lambda tree: [FAILING])
STUDIES = (STUDY, SECOND)


def run(out: Path) -> Path:
    for study in STUDIES:
        limitbench.run(study, {"width": (4, 8), "depth": (2,)}, samples=64, out=out, executor="serial")
    return out


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return published(results, tmp_path_factory.mktemp("site") / "deep" / "folder")


def published(results: Path, folder: Path) -> dict[str, bytes]:
    names = render_site(results, folder, STUDIES)
    assert names[-1] == "index.html"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_study_has_a_page_and_the_index_links_to_each(site: dict[str, bytes]) -> None:
    assert sorted(site) == ["index.html", "other.html", "toy.html"]
    index = site["index.html"].decode()
    links = set(re.findall(r'href="([^"#]+\.html)', index))
    assert links == {"other.html", "toy.html"}
    for file, anchor in re.findall(r'href="([^"#]+\.html)#([^"]+)', index):
        assert f'id="{anchor}"' in site[file].decode()
    assert not re.search(rb'(src|href)="?(https?:)?//', b"".join(site.values()))
    assert all(len(page) < 1_000_000 for page in site.values())


def test_two_runs_of_one_seed_give_the_same_bytes(site: dict[str, bytes], tmp_path: Path) -> None:
    assert published(run(tmp_path / "again"), tmp_path / "site") == site


def test_the_index_names_the_failures_as_text(site: dict[str, bytes]) -> None:
    index = site["index.html"].decode()
    failures = index[index.index("What fails") : index.index("Studies</h2>")]
    assert "The walk &lt;stands&gt; still. Predicted 0, measured 3.250 ± 0.50." in failures
    assert "1 fails" in index


def test_the_command_writes_it_and_refuses_what_does_not_fit(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(results / "toy.zarr")
    for arguments in (
        ["--site", str(tmp_path / "s"), "-o", "page.html"],
        ["--benchmarks", str(tmp_path)],
        ["--site", str(tmp_path / "s"), "--benchmarks", str(tmp_path / "nothing")],
        ["--site", "/dev/null/site"],
    ):
        assert cli.main(["report", place, *arguments]) == 2
        assert capsys.readouterr().err.startswith("error: --")
    assert not (tmp_path / "s").exists()
    assert cli.main(["report", place, "--site", str(tmp_path / "s")]) == 0
    assert "index.html and 1 pages of studies" in capsys.readouterr().out


def test_pages_that_would_not_fit_are_not_written(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limitbench.report.site.INDEX_LIMIT", 10_000)
    monkeypatch.setattr("limitbench.report.site.SITE_LIMIT", 50_000)
    with pytest.raises(InputError, match="fewer studies"):
        render_site(results, tmp_path / "site", STUDIES)
    assert not (tmp_path / "site").exists()
