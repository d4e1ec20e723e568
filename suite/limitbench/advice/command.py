"""The sub-command `limitbench predict`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer


def predict(
    architecture: Annotated[str, typer.Argument(metavar="mlp|resnet", help="Kind of network, at initialisation.")],
    depth: Annotated[str | None, typer.Option(metavar="D", help="Hidden layers, or residual blocks.")] = None,
    width: Annotated[str | None, typer.Option(metavar="N", help="Units of every layer.")] = None,
    widths: Annotated[
        str | None, typer.Option(metavar="N1,N2,...", help="Or of each layer (piecewise linear MLPs).")
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="relu, leaky, linear, shaped-relu; smooth: tanh, shifted-tanh, softplus, arcsinh, silu, root. "
            "[default: relu]",
        ),
    ] = None,
    slope_minus: Annotated[
        str | None, typer.Option(metavar="S", help="leaky: slope of negative arguments. [default: 0.01]")
    ] = None,
    c_plus: Annotated[
        str | None, typer.Option(metavar="C", help="shaped-relu: slopes are 1 + C n^-RATE. [default: 0]")
    ] = None,
    c_minus: Annotated[str | None, typer.Option(metavar="C", help="The same for the other side. [default: -1]")] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="shaped-relu and smooth: exponent of the width. [default: 0.5]")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="A", help="smooth: s phi(x/s) with s = A n^RATE. [default: 1]")
    ] = None,
    residual_weight: Annotated[
        str | None, typer.Option(metavar="W", help="resnet: alpha^2, with alpha^2 + lambda^2 = 1. [default: 0.5]")
    ] = None,
    branch_per_depth: Annotated[
        bool, typer.Option("--branch-per-depth", help="resnet: skip 1 and branches (d n)^-1/2 W phi instead.")
    ] = False,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="resnet: reflect each unit's ReLU by a random sign.")
    ] = False,
    rho0: Annotated[str | None, typer.Option(metavar="RHO", help="Correlation of two inputs. [default: 0.3]")] = None,
    gain: Annotated[
        str | None,
        typer.Option(metavar="G", help="mlp: factor of all weights; 1 keeps the mean squared norm. [default: 1]"),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="Where inputs become the same: bfloat16, float16, float32, float64."),
    ] = "bfloat16",
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="QUANTITY=VALUE", help="sd-log-norm (at most), gap (median 1 - rho, at least) or log-norm (mean)."
        ),
    ] = None,
    vary: Annotated[
        str | None, typer.Option(metavar="KNOB", help="What may change for it: width, branch, slope, rate or gain.")
    ] = None,
    no_confirm: Annotated[bool, typer.Option("--no-confirm", help="Draw no networks at the answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what each theory predicts for one network, and how wrong it is there, without sampling.

    Mean and standard deviation of the log squared norm and of the correlation of two inputs, the fraction of active
    units, and the layer where inputs become the same to a floating-point format. D is the distance to the best
    finite-size law, in its standard deviations. --budget asks the other way round: the value of one knob that keeps a
    quantity within bounds at this depth, confirmed by one exact run.

    \b
    Examples:
      limitbench predict mlp --depth 50 --width 256
      limitbench predict mlp --activation leaky --slope-minus 0.2 --depth 4 --widths 128,256,256,128
      limitbench predict mlp --activation shaped-relu --depth 64 --width 64 --rate 0.5 --rho0 0.3
      limitbench predict mlp --activation tanh --scale 1 --depth 64 --width 64
      limitbench predict mlp --depth 50 --width 128 --gain 0.408 --precision float16
      limitbench predict resnet --residual-weight 0.5 --depth 32 --width 256 --balanced
      limitbench predict resnet --branch-per-depth --depth 32 --width 256 --json
      limitbench predict mlp --depth 50 --width 256 --budget sd-log-norm=0.5 --vary width
      limitbench predict mlp --depth 32 --width 64 --budget gap=0.05 --vary slope
      limitbench predict resnet --depth 32 --width 128 --budget sd-log-norm=0.3 --vary branch

    A gain of 0.408 is that of torch.nn.Linear's default initialisation in a ReLU network.
    """
    from limitbench.advice.show import show

    options = {
        "depth": depth,
        "width": width,
        "widths": widths,
        "activation": activation,
        "slope_minus": slope_minus,
        "c_plus": c_plus,
        "c_minus": c_minus,
        "rate": rate,
        "scale": scale,
        "residual_weight": residual_weight,
        "branch_per_depth": branch_per_depth,
        "balanced": balanced,
        "rho0": rho0,
        "gain": gain,
    }
    show(
        architecture,
        options,
        precision=precision,
        budget=budget,
        vary=vary,
        confirm=not no_confirm,
        as_json=as_json,
    )
