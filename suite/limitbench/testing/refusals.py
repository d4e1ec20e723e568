"""How a command refuses: one line on stderr that names the field, the value and what is accepted, and exit code 2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from limitbench import studies
from limitbench.cli import BAD_INPUT, main


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, shorter_than: int) -> str:
    """The one line with which `limitbench ARGUMENTS` refuses; fails where it does anything else."""
    code = main(arguments)
    printed = capsys.readouterr()
    assert code == BAD_INPUT, printed
    assert printed.out == ""
    assert re.fullmatch(r"error: .+: got .+, expected .+\n", printed.err), printed.err
    assert printed.err[:-1].isprintable()
    assert len(printed.err) < shorter_than
    return printed.err


@contextmanager
def toy_among_the_studies() -> Iterator[None]:
    """The toy study is one of the built-in ones inside, so that commands know it: its stores are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(studies._MODULES, "toy", "limitbench.testing.toy")
        yield
