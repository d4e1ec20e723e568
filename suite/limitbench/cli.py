"""The command line: list, show, predict, check, run, status, report, compare, new.

Everything heavy (torch, ray, xarray, matplotlib) is imported inside the command that needs it, so that `--help`
answers at once. A value that cannot be accepted ends as one line on stderr and exit code 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from limitbench.advice.check.command import check
from limitbench.advice.command import predict
from limitbench.errors import NOTHING, InputError, Stopped
from limitbench.report.comparison.command import compare
from limitbench.studies.scaffold.command import new

#: Exit codes: every block is stored; some blocks were set aside; the input cannot be accepted; something outside the
#: run stopped it; Ctrl-C.
COMPLETE, QUARANTINED, BAD_INPUT, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    name="limitbench",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `arguments` default to those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _check_current_directory()
        code = get_command(app).main(given or ["--help"], prog_name="limitbench", standalone_mode=False)
    except InputError as error:
        return _refuse(error)
    except TyperException as error:
        return _refuse(_usage(error, given))
    except Stopped as error:
        print(f"stopped: {error}", file=sys.stderr)
        return STOPPED
    return code if isinstance(code, int) else COMPLETE


def _check_current_directory() -> None:
    """Raises `InputError` where the current directory was deleted: the libraries below abort the process there."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("current directory", NOTHING, f"one that exists ({error.strerror})") from None


def _refuse(error: InputError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return BAD_INPUT


def _usage(error: Any, arguments: list[str]) -> InputError:
    """A usage error of the option parser as field, value and what is accepted."""
    message = " ".join(error.format_message().split())
    command = error.ctx.command if getattr(error, "ctx", None) is not None else None
    kind = type(error).__name__
    if kind == "NoSuchOption":
        options = sorted(name for p in command.params for name in p.opts if name.startswith("--")) if command else []
        return InputError("option", error.option_name, "one of " + ", ".join([*options, "--help"]))
    if message.startswith("No such command") and command is not None:
        name = next((word for word in arguments if f"'{word}'" in message), "")
        return InputError("command", name, "one of " + ", ".join(command.commands))
    if kind == "MissingParameter":
        return InputError(error.param.metavar or error.param.name, NOTHING, "a value (see --help)")
    if kind == "BadOptionUsage":
        return InputError(error.option_name, NOTHING, "a value (see --help)")
    return InputError("arguments", " ".join(arguments), f"fewer or other arguments ({message})")


def _version(wanted: bool | None) -> None:
    if wanted:
        from limitbench import __version__

        print(f"limitbench {__version__}")
        raise typer.Exit


@app.callback()
def _limitbench(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = None,
) -> None:
    """Which scaling-limit theory describes a random network of this depth, width and shaping, and how well?

    limitbench draws finite random networks, computes what each theory predicts for the same quantity, and measures
    the distance with error bars over whole grids of depth, width and shaping. The report says where each theory holds.

    \b
    Examples:
      limitbench list
      limitbench show shaped-relu
      limitbench predict mlp --depth 50 --width 256
      limitbench run shaped-relu
      limitbench status results
      limitbench report results
      limitbench compare results-old results

    Exit codes: 0 complete; 1 blocks failed and were set aside; 2 the input cannot be accepted;
    3 stopped from outside (disk full, store or cluster out of reach), the same command resumes; 130 stopped by Ctrl-C.
    """


@app.command("list")
def list_studies() -> None:
    """List the studies: one published result each; and the studies, theories and networks of installed packages.

    \b
    Examples:
      limitbench list
    """
    from limitbench import listing

    listing.list_studies()


@app.command()
def show(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study, see `limitbench list`.")],
) -> None:
    """Show a study: its axes, presets, observables and competing theories.

    \b
    Examples:
      limitbench show shaped-relu
      limitbench show deep-linear
    """
    from limitbench import listing

    listing.show(study)


app.command("predict")(predict)
app.command("check")(check)
app.command("new")(new)


@app.command()
def run(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY", help="Names of studies, see `limitbench list`.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Run every built-in study.")] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="F.yaml", help="Read options from a YAML file; options given here win.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="quick|standard|full", help="Grid and samples per cell. [default: quick]")
    ] = None,
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="AXIS=V1,V2",
            help="Values of one axis instead of the preset's, in every study that has it; repeatable.",
        ),
    ] = None,
    theory: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Let a theory of an installed package compete, see `limitbench list`."),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(metavar="N", help="Networks per cell, rounded up to whole blocks.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(metavar="exact|dense", help="Draw without weights or with real weight matrices. [default: exact]"),
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the whole run. [default: 0]")] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="D", help="A theory holds where its distance D is below this. [default: 0.05]")
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="D",
            help="A margin D, and each cell is drawn until its verdicts are clear: scored after 1, 2, 4, ... blocks, "
            "up to its samples. [default: all samples]",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Directory of stores and report, or s3://BUCKET/PREFIX. [default: results]"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="IDX files (MNIST, Fashion-MNIST, ...) for studies that train networks, instead of digits.",
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDR", help="A running Ray cluster; left out, Ray starts on this machine.")
    ] = None,
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Worker processes. [default: one per core of the cluster]")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Where networks are drawn. [default: auto]")
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            metavar="auto|torch|vsl",
            help="What draws normals: torch, or vsl (limitbench[fast], x86 CPUs): about twice as fast, other numbers "
            "of the same law. auto: the store's own, else vsl where it is installed and LIMITBENCH_GENERATOR is not "
            "torch. [default: auto]",
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="ray|serial", help="Ray workers, or one block after another here. [default: ray]"),
    ] = None,
    block_seconds: Annotated[
        str | None,
        typer.Option(metavar="S", help="Time limit of one attempt at a block, on Ray workers. [default: 21600]"),
    ] = None,
    block_memory: Annotated[
        str | None,
        typer.Option(metavar="GIB", help="Memory that one block may take, on Ray workers. [default: no limit]"),
    ] = None,
    gpu_share: Annotated[
        str | None,
        typer.Option(metavar="F", help="Part of a GPU that each worker has: 0.25 puts four on one. [default: 1]"),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do only the blocks that were set aside in DIR, and what needs them.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the run would take (blocks, bytes, core-hours); do nothing.")
    ] = False,
    core_hour_price: Annotated[
        str | None,
        typer.Option(metavar="P", help="With --dry-run: price of one core-hour, in any currency, to add up costs."),
    ] = None,
    mix_versions: Annotated[
        bool,
        typer.Option("--mix-versions", help="Let blocks of one store be drawn by different torch versions or CPUs."),
    ] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write DIR/report.html.")] = False,
) -> None:
    """Run studies over a grid; store samples, laws and scores; write the report.

    Running again with the same DIR resumes: finished blocks are kept, more axis values and more samples are added.
    Ctrl-C loses at most the blocks under way. A run of other meaning (seed, sampler, depth instead of aspect) needs
    another DIR.

    \b
    Examples:
      limitbench run shaped-relu
      limitbench run --all --out results
      limitbench run deep-linear --set width=16,32 --set aspect=1 --samples 4096
      limitbench run shaped-relu --set rate=0.25,0.5 --set width=32 --set depth=8,16 --out by-depth
      limitbench run shaped-relu --preset standard --tolerance 0.05
      limitbench run deep-linear --set width=16 --executor serial --no-report
      limitbench run --config sweep.yaml --workers 2

    \b
    sweep.yaml holds the same names:
      studies: [shaped-relu]
      set: {width: [16, 32], rate: 0.5}
      samples: 4096
      out: results
    """
    from limitbench.config import parse_axes, run_options

    given: dict[str, Any] = {
        "studies": tuple(studies or ()),
        "all": every or None,
        "preset": preset,
        "set": parse_axes(axes or ()),
        "theory": tuple(theory or ()),
        "samples": samples,
        "sampler": sampler,
        "seed": seed,
        "margin": margin,
        "tolerance": tolerance,
        "out": out,
        "data": data,
        "address": address,
        "workers": workers,
        "device": device,
        "generator": generator,
        "executor": executor,
        "block-seconds": block_seconds,
        "block-memory": block_memory,
        "gpu-share": gpu_share,
        "retry-failed": retry_failed or None,
        "dry-run": dry_run or None,
        "core-hour-price": core_hour_price,
        "mix-versions": mix_versions or None,
        "no-report": no_report or None,
    }
    options = run_options(given, config)
    from limitbench import commands

    try:
        complete = commands.run(options)
    except KeyboardInterrupt:
        print(f"stopped: finished blocks are kept in {options.out}; the same command resumes", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(COMPLETE if complete else QUARANTINED)


@app.command()
def status(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output directory of a run, or s3://BUCKET/PREFIX.")],
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again until no run goes on.")] = False,
    every: Annotated[
        str | None, typer.Option(metavar="S", help="With --watch: seconds between two looks. [default: 5]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch, one line a look.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 unless every study is complete.")] = False,
) -> None:
    """Show how far the runs in DIR are, from any machine that can read it; nothing is written.

    A study is complete; running; waiting (for a first worker); failed (the run ended and set blocks aside); stopped
    (blocks are missing and no run goes on); or, under --watch, unknown until its run was watched for long enough. A
    run on another machine is believed to be alive when its heartbeat changes, which takes some seconds to see.

    Below: who runs it, how fast and for how long yet, what each host does and has done, the blocks that are under way
    for longest, and why blocks were set aside.

    \b
    Examples:
      limitbench status results
      limitbench status results --watch
      limitbench status results --json --check

    Exit codes: 0 whatever the state; with --check 1 unless all is complete; 2 no results there;
    3 the storage is out of reach; 130 a watch ended by Ctrl-C.
    """
    from limitbench import commands

    try:
        complete = commands.status(directory, watch=watch, every=every, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(QUARANTINED if check and not complete else COMPLETE)


@app.command()
def report(
    directories: Annotated[
        list[str],
        typer.Argument(metavar="DIR", help="Output directories of runs (or s3://BUCKET/PREFIX); one page for all."),
    ],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE.html", help="[default: report.html in the first DIR]")
    ] = None,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="DIR", help="Write an index and a page for every study into this directory."),
    ] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option(
            "--benchmarks",
            metavar="DIR",
            help="With --site: asv's results, shown over commits. [default: benchmarks/.asv/results]",
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page from stored results; no network is drawn again.

    With --site it is a folder of pages fit for static hosting: an index with the answer over all studies, accuracy and
    cost over commits, and a page for every study. The same results give the same bytes.

    \b
    Examples:
      limitbench report results
      limitbench report results -o first-light.html
      limitbench report results/standard --site reports
    """
    if site is not None or benchmarks is not None:
        from limitbench.report.publish import publish

        return publish(directories, site, benchmarks, output)
    from limitbench import commands

    commands.report(directories, output)


app.command("compare")(compare)
