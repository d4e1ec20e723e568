"""Blocks that were set aside: the page says why, where and how to go on."""

from limitbench.report import tables
from limitbench.report.html import render_page
from limitbench.report.results import Results


def broken(synthetic, study):
    tree = synthetic(finished=0.5)
    for position, error in (((1, 0), "MemoryError: too much"), ((1, 1), "MemoryError: too much"), ((1, 2), "a crash")):
        tree["run"]["error"][position] = error
    return Results(tree, study)


def test_columns_that_failed_for_one_reason_are_one_row_and_the_most_frequent_comes_first(synthetic, study):
    table = tables.failures(broken(synthetic, study))
    assert [(row[0], row[-1]) for row in table.rows] == [("MemoryError: too much", "6"), ("a crash", "3")]
    assert "p\u00a0=\u00a01" in table.rows[1][1]


def test_a_reason_with_many_columns_names_a_few(synthetic, study, monkeypatch):
    monkeypatch.setattr(tables, "MOST_NAMED", 2)
    assert tables.failures(broken(synthetic, study)).rows[0][1].endswith(" and 4 more")


def test_the_page_leads_from_its_notice_to_the_reasons(synthetic, study):
    page = render_page([broken(synthetic, study)], limit=90_000)
    assert 'see <a href="#synthetic-failures">why</a>' in page
    assert '<h4 id="synthetic-failures">' in page
    assert "--retry-failed" in page
    assert 'href="#synthetic-failures"' not in render_page([Results(synthetic(finished=0.5), study)], limit=90_000)
