import io

import pytest
from rich.console import Console

from limitbench.sweep.progress import Reporter, Silent, Terminal


def _tell(reporter):
    reporter.note("rounded up")
    reporter.start("toy", 1000, 200, 16.0)
    for _ in range(8):
        reporter.advance(100, 2.0)
    reporter.fail("width=4.b000001", "ArithmeticError: no")
    reporter.finish("1,000 networks in the store")


@pytest.mark.parametrize("reporter", [Silent(), Terminal(Console(file=io.StringIO()))])
def test_reporters_keep_the_interface(reporter):
    assert isinstance(reporter, Reporter)
    _tell(reporter)


def test_plain_lines_where_there_is_no_terminal():
    text = io.StringIO()
    with Terminal(Console(file=text, width=40), every=0.0) as reporter:
        _tell(reporter)
    lines = text.getvalue().splitlines()
    assert lines[:2] == ["rounded up", "toy: 800 of 1,000 networks to draw"]
    assert lines[2].startswith("toy: 300 of 1,000 networks, ")
    assert lines[2].endswith(" s left")
    assert lines[-2:] == ["set aside width=4.b000001: ArithmeticError: no", "toy: 1,000 networks in the store"]
    assert "\x1b" not in text.getvalue()


def test_time_left_follows_the_estimated_work_and_not_the_count(monkeypatch):
    clock = iter([0.0, 10.0, 10.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    text = io.StringIO()
    reporter = Terminal(Console(file=text, width=200), every=0.0)
    reporter.start("toy", 1000, 0, 40.0)
    reporter.advance(100, 30.0)  # a tenth of the networks, but three quarters of the work
    assert text.getvalue().splitlines()[-1] == "toy: 100 of 1,000 networks, 10 networks/s, 3 s left"


def test_a_bar_with_rate_and_time_left_on_a_terminal():
    text = io.StringIO()
    with Terminal(Console(file=text, force_terminal=True, width=120)) as reporter:
        _tell(reporter)
    assert "1,000 of 1,000 networks" in text.getvalue()
    assert "toy: 1,000 networks in the store" in text.getvalue()
