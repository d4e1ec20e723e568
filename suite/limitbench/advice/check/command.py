"""The sub-command `limitbench check`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

#: Exit code where Ctrl-C ended the drawing.
_INTERRUPTED = 130


def check(
    factory: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FACTORY", help="A callable that returns a torch.nn.Module, or path/to/file.py:factory."
        ),
    ],
    depth: Annotated[
        str | None, typer.Option(metavar="D1,D2,...", help="Depths that it is called with. [default: 32]")
    ] = None,
    width: Annotated[
        str | None, typer.Option(metavar="N1,N2,...", help="Widths that it is called with. [default: 128]")
    ] = None,
    input_file: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE.npy", help="A batch of 8 to 64 inputs, first axis the inputs."),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(metavar="N1,N2,...", help="Shape of one Gaussian input. [default: found from the module]"),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="M", help="Gaussian inputs in the batch, 8 to 64. [default: 16]")
    ] = None,
    rho0: Annotated[
        str | None, typer.Option(metavar="RHO", help="Correlation of the first two of them. [default: 0.3]")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N", help="Most networks of each depth and width. [default: 2048]")
    ] = None,
    seconds: Annotated[
        str | None, typer.Option(metavar="S", help="Seconds that drawing them may take in all. [default: 60]")
    ] = None,
    margin: Annotated[
        str | None, typer.Option(metavar="D", help="A theory holds where its distance D is below this. [default: 0.1]")
    ] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the whole check. [default: 0]")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="cpu|cuda", help="Where the modules run. [default: cpu]")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Directory of report and numbers. [default: check-results]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a module of your own at initialisation, and say which theories describe it and what to change.

    The factory is called with depth=D and width=N, as far as it takes them, once for every network; its weights must
    be drawn by torch, numpy or random. Everything that the module computes is recorded as it runs: norms, correlations
    of inputs, gradients, active units and the Gram matrix of the batch along depth. From the functions it calls and the
    weights it draws it is recognised as an MLP or a residual network, with its gain, slopes and biases, and compared
    with every theory of that; normalisation, attention and convolutions are outside all theories, and it says so.
    The file or module is imported, which runs it.

    DIR gets report.html, check.json and check.zarr. Dropout is switched off; batch normalisation takes the statistics
    of the batch. Modules run in double precision where they can.

    \b
    Examples:
      limitbench check nets.py:mlp --depth 32,64 --width 128,256
      limitbench check mypackage.models:resnet --depth 16 --width 128 --seeds 512
      limitbench check nets.py:convnet --depth 8 --width 32 --input-shape 3,32,32
      limitbench check nets.py:encoder --depth 4 --width 64 --input batch.npy --out encoder
      limitbench check nets.py:mlp --depth 32 --width 64 --seconds 20 --json

    Exit codes: 0 measured; 2 the input cannot be accepted; 3 the directory cannot be written;
    130 stopped by Ctrl-C, which keeps the networks that were drawn.
    """
    from limitbench.advice.check.show import show

    given = {
        "depth": depth,
        "width": width,
        "input": input_file,
        "input-shape": input_shape,
        "inputs": inputs,
        "rho0": rho0,
        "seeds": seeds,
        "seconds": seconds,
        "margin": margin,
        "seed": seed,
        "device": device,
        "out": out,
    }
    try:
        finished = show(factory, given, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    if not finished:
        raise typer.Exit(_INTERRUPTED)
