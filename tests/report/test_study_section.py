"""What a page says of each study: its ledger with D, its own figures, its spec, and its share of the room."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import xarray as xr
from rich.table import Table

from limitbench import commands
from limitbench.report.html import SIZE_LIMIT, render_page
from limitbench.report.provenance import spec_text
from limitbench.report.results import Results
from limitbench.studies.base import Study
from limitbench.studies.figures import Series, StudyFigure

Maker = Callable[..., xr.DataTree]


def test_every_claim_has_its_distance(synthetic: Maker) -> None:
    """A claim without a theory behind it has a dash, and so have all claims of stores that lack the field."""

    def column(tree: xr.DataTree) -> list[str]:
        ledger = render_page([Results(tree)], limit=90_000).split('class="ledger"')[1].split("</table>")[0]
        place = re.findall(r"<th[^>]*>([^<]*)</th>", ledger.split("</thead>")[0]).index("D") - 2
        rows = ledger.split("<tbody>")[1].split("</tr>")[:-1]
        return [re.findall(r"<td>([^<]*)</td>", row)[place] for row in rows]

    tree = synthetic(finished=0.1)
    assert column(tree) == ["–"] * 3
    tree["claims"]["distance"] = tree["claims"]["measured"].copy(data=[float("nan"), 0.0312, 7.5])
    assert column(tree) == ["0.031", "–", "7.5"], "failures first"


def test_figures_of_a_study_are_drawn_and_those_it_cannot_make_are_left_out(synthetic: Maker, study: Study) -> None:
    page_text = render_page([Results(synthetic(finished=0.1), study)], limit=90_000)
    assert '<figure id="synthetic-figure-means">' in page_text
    assert "The mean falls." in page_text

    def old(tree: xr.DataTree) -> list[StudyFigure]:
        raise KeyError("log_norm")

    def broken(tree: xr.DataTree) -> list[StudyFigure]:
        raise ZeroDivisionError

    tree = synthetic(finished=0.1)
    text = render_page([Results(tree, dataclasses.replace(study, figures=old))], limit=90_000)
    assert "figures are left out" in text
    assert 'id="synthetic-figures"' not in text
    text = render_page([Results(tree, dataclasses.replace(study, figures=broken))], limit=90_000)
    assert "figures are left out" in text
    assert "ZeroDivisionError" in text, "a defect is not hidden"


def test_studies_share_the_room_of_a_page_and_keep_every_ledger_and_figure(synthetic: Maker, study: Study) -> None:
    """Studies with figures of 480 points, on a page that has no room for most of their other drawings."""
    assert SIZE_LIMIT <= 1_000_000
    limit = 300_000
    x = np.linspace(0.1, 1.0, 60)
    series = tuple(Series(f"line {k}", x, np.sin(k + x), "theory") for k in range(8))
    figures = [StudyFigure(f"figure-{k}", "Lines", "x", "y", series, "Lines.") for k in range(2)]
    drawn = dataclasses.replace(study, figures=lambda tree: figures)
    text = render_page([Results(synthetic(study=f"study-{k}"), drawn) for k in range(3)], limit=limit)
    assert 0.8 * limit < len(text.encode()) < limit
    assert text.count('<table class="ledger"') == 3
    assert len(re.findall(r'<figure id="study-\d-figure-figure-\d"', text)) == 3 * 2
    sizes = [len(part) for part in text.split("<article")[1:]]
    assert max(sizes) < 1.5 * min(sizes)
    assert "Shown are" in text, "what is left out is said"


def test_the_spec_counts_samples_of_many_columns_in_words(synthetic: Maker) -> None:
    tree = synthetic(finished=0.1)
    tree.attrs["spec"] = (
        '{"margin": 0.05, "samples": {' + ", ".join(f'"c{k}": {64 * (k + 1)}' for k in range(40)) + "}}"
    )
    text = spec_text(Results(tree))
    assert text == '{\n "margin": 0.05,\n "samples": "64 to 2560 networks in 40 columns"\n}'
    tree.attrs["spec"] = '{"samples": {"<b>": 64}}'
    assert spec_text(Results(tree)) == '{\n "samples": {"&lt;b&gt;": 64}\n}'


def test_the_terminal_prints_the_distance_of_every_measured_claim(synthetic: Maker) -> None:
    tree = synthetic(finished=0.1)
    claims = tree["claims"].to_dataset()
    claims["distance"] = ("claim", [float("nan"), 0.0312, float("nan")])
    claims["relation"] = ("claim", ["equal to"] * 3)
    tree["claims"] = xr.DataTree(claims)
    table, note = commands._claims("synthetic", tree)
    assert isinstance(table, Table)
    (column,) = (column for column in table.columns if column.header == "D")
    assert list(column.cells) == ["", "0.0312"]
    assert str(note).startswith("1 more claims")
