"""The report: seconds and bytes of a page from a small store."""

from __future__ import annotations

from pathlib import Path

from .measure import finite, first_call, needs


class Page:
    """One page of `shaped-relu` in two cells."""

    timeout = 300

    def setup_cache(self) -> None:
        """Sweep into `results`."""
        import limitbench

        needs("torch")
        limitbench.run("shaped-relu", {"width": [32, 64], "aspect": [1.0]}, samples=4096, out="results")

    def write(self) -> Path:
        """Write the page."""
        import limitbench.report

        return Path(limitbench.report.render("results", "page.html"))

    def track_seconds_of_a_page(self) -> float:
        """Processor seconds in a process that has made no page yet."""
        return first_call(self.write, repetitions=3)

    def track_bytes_of_a_page(self) -> float:
        """Bytes of the self-contained HTML file."""
        return finite(self.write().stat().st_size)

    track_seconds_of_a_page.unit = "s"  # type: ignore[attr-defined]
    track_bytes_of_a_page.unit = "bytes"  # type: ignore[attr-defined]
