"""The sub-command `limitbench new`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from limitbench.errors import InputError


def new(
    kind: Annotated[str, typer.Argument(metavar="study", help="What to begin.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words with hyphens: wide-resnet.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write NAME.py.")] = ".",
) -> None:
    """Write NAME.py, a commented study that runs as it stands: networks, theories, claims, figures.

    `python NAME.py` sweeps and writes a report; then replace the parts by your own. In the name of the file hyphens
    are underscores. A file that is there is never overwritten.

    \b
    Examples:
      limitbench new study wide-resnet
      limitbench new study wide-resnet --out studies
    """
    if kind != "study":
        raise InputError("what to begin", kind, "study")
    from limitbench.studies.scaffold import write_study

    print(f"written: {write_study(name, out)}")
