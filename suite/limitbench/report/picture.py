"""One figure as the page shows it: drawing, words, the numbers behind it, and the Python line that makes it again."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Data:
    """The numbers behind a figure: named columns; shorter ones end in empty fields."""

    columns: Mapping[str, Sequence[object]]
    digits: int = 5

    def csv(self) -> str:
        """Comma-separated text with a header line; numbers to `digits` significant digits, undefined ones empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        for row in itertools.zip_longest(*self.columns.values(), fillvalue=""):
            writer.writerow([self._cell(value) for value in row])
        return stream.getvalue()

    def _cell(self, value: object) -> object:
        if isinstance(value, bool | str | int) or not hasattr(value, "__float__"):
            return value
        found = float(value)
        return "" if found != found else f"{found:.{self.digits}g}"


@dataclass(frozen=True)
class Picture:
    """One drawing.

    Attributes:
        heading: a few words above it; may be empty.
        svg: the drawing, an `<svg role="img">` element with title and description (`report.svg.inline_svg`).
        name: identifier within its study, for file names: `overlay-correlation-n-64`.
        description: what is seen, in words with numbers from the data; the same text as the drawing's `<desc>`.
        data: the numbers behind it.
        code: the line of Python that makes it again from the store.
    """

    heading: str
    svg: str
    name: str = ""
    description: str = ""
    data: Data | None = field(default=None, compare=False)
    code: str = ""
