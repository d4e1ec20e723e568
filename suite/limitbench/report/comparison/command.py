"""The sub-command `limitbench compare`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

#: Exit codes: nothing changed beyond its errors; something did.
SAME, CHANGED = 0, 1


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Output directory of a run, s3://BUCKET/PREFIX or a .zarr.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same of the other run; half-finished ones too.")],
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE.html", help="Write the comparison as a page, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    level: Annotated[
        str,
        typer.Option(metavar="P", help="Probability that two runs of the same thing are said to differ."),
    ] = "0.05",
) -> None:
    """Say what changed from A to B beyond its errors: networks, laws, scores, verdicts, claims.

    A and B are two runs, or the results of two versions. Studies are joined by name, cells by the values of their axes;
    what only one of them has is named.

    Laws are compared by the errors that theories declare; a law estimated from simulated paths, samples of networks,
    scores D and claims by tests, all of them together one family at --level (Holm). A verdict counts as changed where
    holds became fails, or the reverse, and D changed beyond its errors or the networks are the same.

    \b
    Examples:
      limitbench compare results-old results
      limitbench compare results-old/shaped-relu.zarr results --html comparison.html
      limitbench compare results-old results --json --level 0.01

    Exit codes: 0 nothing changed beyond its errors; 1 something did; 2 the input cannot be accepted;
    3 the storage is out of reach.
    """
    from limitbench.report.comparison.show import show

    raise typer.Exit(CHANGED if show(a, b, html=html, as_json=as_json, level=level) else SAME)
