"""What a page carries besides drawings: formulas, numbers as CSV, references, and nothing that differs between runs."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from urllib.parse import unquote

import pytest
import xarray as xr

from limitbench import studies
from limitbench.report.formulas import mathml, powers
from limitbench.report.html import render_page
from limitbench.report.results import Results
from limitbench.report.shell import csv_uri, environment
from limitbench.studies.base import Study, StudyTheory
from limitbench.studies.references import REFERENCES, cited
from limitbench.testing.toy import ToyTheory

Maker = Callable[..., xr.DataTree]
EVIL = "</code></script><script>alert('x')</script>\"'&"


def test_the_covariance_sde_becomes_mathml() -> None:
    text = mathml(r"d\rho=\nu(\rho)\,dt+(1-\rho^2)\,dB\sim\mathcal N(-t,2t)")
    root = ET.fromstring(text)
    assert (root.tag, root.get("display")) == ("math", "block")
    assert root.get("alttext") == r"d\rho=\nu(\rho)\,dt+(1-\rho^2)\,dB\sim\mathcal N(-t,2t)"
    assert "".join(root.itertext()) == "dρ=ν(ρ)dt+(1−ρ2)dB∼𝒩(−t,2t)"
    assert root.find(".//msup") is not None


def test_what_is_no_latex_is_shown_as_it_is() -> None:
    assert mathml("") == ""
    for source in (r"\frac{", "<b>" + r"\frac{"):
        assert mathml(source).startswith(("<code>", "<math"))
        assert "<b>" not in mathml(source)
    assert "<script" not in mathml(r"x<script>alert(1)</script>")


@pytest.mark.parametrize("name", studies.names())
def test_every_study_and_theory_has_a_formula_that_renders_and_a_reference_that_is_known(name: str) -> None:
    study = studies.get(name)
    for formula in (study.formula, *(theory.formula for theory in study.theories)):
        root = ET.fromstring(mathml(formula))
        assert "\\" not in "".join(root.itertext()), formula
    found = cited(study.reference)
    assert len(found) == study.reference.count("arXiv") > 0


def test_powers_are_raised_and_everything_else_escaped() -> None:
    assert powers("n^-1/2, <b>^2, e^(2t).") == "n<sup>−1/2</sup>, &lt;b&gt;<sup>2</sup>, e<sup>2t</sup>."
    assert powers("d <= n, n >= 64, n -> infinity <i>") == "d ≤ n, n ≥ 64, n → infinity &lt;i&gt;"


def test_references_are_bibtex_with_keys_by_author_and_year() -> None:
    assert len({entry.arxiv for entry in REFERENCES.values()}) == len(REFERENCES)
    for key, entry in REFERENCES.items():
        assert key == re.sub(r"[^a-z]", "", entry.authors[0].split()[-1].lower()) + str(entry.year) + key.lstrip(
            "abcdefghijklmnopqrstuvwxyz"
        ).lstrip("0123456789")
        assert re.fullmatch(r"\d{4}\.\d{4,5}", entry.arxiv)
        assert entry.bibtex.count("{") == entry.bibtex.count("}")
        assert entry.bibtex.startswith(f"@misc{{{key},")
        assert entry.arxiv[:2] == str(entry.year)[2:], "an arXiv id begins with its year"
    assert REFERENCES["li2022neural"].short == "Li, Nica & Roy 2022"
    assert [entry.key for entry in cited("x, arXiv 2310.12079; y, arXiv 2206.02768; 9999.99999")] == [
        "li2023differential",
        "li2022neural",
    ]


def test_a_claim_cites_its_own_paper_and_else_the_study_s(synthetic: Maker, study: Study) -> None:
    tree = synthetic(finished=0.1)
    tree["claims"]["reference"] = xr.DataArray(["yang2017mean", "", ""], dims="claim")
    known = dataclasses.replace(study, reference="Li, Nica & Roy 2022, arXiv 2206.02768")
    text = render_page([Results(tree, known)], limit=1)
    ledger = text.split('class="ledger"')[1].split("</table>")[0]
    rows = {row.split('"')[0]: row for row in ledger.split('id="synthetic-claim-')[1:]}
    assert '<a href="#synthetic-yang2017mean">Yang &amp; Schoenholz 2017</a>' in rows["1"]
    assert "<a " not in rows["2"], "the study's own stands once, above the ledger"
    assert (
        '<a href="#synthetic-li2022neural">Li, Nica &amp; Roy 2022</a>'
        in text.split('class="tally"')[1].split("</p>")[0]
    )
    for key in ("yang2017mean", "li2022neural"):
        assert text.count(f'<li id="synthetic-{key}">') == 1
        assert f"@misc{{{key}," in text


def test_numbers_behind_a_figure_are_downloads_without_a_script(synthetic: Maker, study: Study) -> None:
    text = render_page([Results(synthetic(), study)], limit=200_000)
    links = re.findall(r'<a download="([^"]+)" href="(data:text/csv[^"]+)"', text)
    assert len(links) > 4
    for name, uri in links:
        assert re.fullmatch(r"[a-z0-9-]+\.csv", name)
        rows = list(csv.reader(io.StringIO(unquote(uri.partition(",")[2]))))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    assert not re.findall(r'<a download="', render_page([Results(synthetic(), study)], limit=1)), "first what is short"


def test_a_data_address_gives_its_text_back() -> None:
    text = 'a,b\n"<&>\'#%?",−1 % ρ\n'
    uri = csv_uri(text)
    assert not set('<>"#& \n') & set(uri.partition(",")[2])
    assert unquote(uri.partition(",")[2]) == text


def test_html_in_every_part_is_shown_as_text(synthetic: Maker, study: Study) -> None:
    tree = synthetic(finished=0.1, study=EVIL)
    for field in ("text", "command", "reference"):
        tree["claims"][field] = xr.DataArray([EVIL] * 3, dims="claim")
    tree.attrs[EVIL] = EVIL
    theory = StudyTheory("driftless", EVIL, build=lambda cell: ToyTheory(1.0), formula=EVIL)
    known = dataclasses.replace(study, title=EVIL, question=EVIL, reference=EVIL, formula=EVIL, theories=(theory,))
    text = render_page([Results(tree, known)], limit=200_000)
    assert text.count("<script") == text.count("</script") == 1
    assert "<script>alert" not in text
    picture = environment().from_string(
        '{% from "parts.html" import tools %}{{ tools(p) }}', {"p": {"data": None, "name": EVIL, "code": EVIL}}
    )
    assert "<script" not in picture.render()


def test_without_timings_nothing_differs_between_two_runs_of_the_same_numbers(synthetic: Maker, study: Study) -> None:
    def text(host: str, factor: float, **how: bool) -> str:
        tree = synthetic(finished=0.1)
        tree.attrs["created"] = f"2026-01-0{round(factor)}T00:00:00+00:00"
        tree["run"]["host"][...] = host
        tree["run"]["seconds"] = factor * tree["run"]["seconds"]
        tree["claims"]["seconds"] = factor * tree["claims"]["seconds"]
        return render_page([Results(tree, study)], limit=90_000, **how)

    assert text("one", 1.0, timings=False) == text("two", 3.0, timings=False)
    assert text("one", 1.0) != text("two", 3.0), "the companion: with them the pages differ"
