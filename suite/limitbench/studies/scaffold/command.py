"""The sub-command `limitbench new`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

new = typer.Typer(
    name="new",
    help="Write a starting file of your own: `limitbench new study NAME`.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@new.callback(invoke_without_command=True)
def _new(context: typer.Context) -> None:
    """Write a starting file of your own.

    \b
    Examples:
      limitbench new study wide-resnet
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


@new.command("study")
def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words with hyphens: wide-resnet.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Where to write NAME.py. [default: .]")] = ".",
) -> None:
    """Write NAME.py, a commented study that runs as it stands: networks, theories, claims, figures.

    `python NAME.py` sweeps and writes a report; then replace the parts by your own. A file that is there is never
    overwritten.

    \b
    Examples:
      limitbench new study wide-resnet
      limitbench new study wide-resnet --out studies
    """
    from limitbench.studies.scaffold import write_study

    print(f"written: {write_study(name, out)}")
