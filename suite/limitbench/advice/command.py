"""The sub-command `limitbench predict`: its options and help; what it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer


def predict(
    architecture: Annotated[
        str, typer.Argument(metavar="mlp|resnet|residual", help="Kind of network, at initialisation.")
    ],
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
            "residual: tanh, erf, relu, relu-A for max(x, 0)^A. [default: relu; residual: tanh]",
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
    block: Annotated[
        str | None,
        typer.Option(
            metavar="BLOCK",
            help="residual: full (x + v phi(w x + b) + a), reduced (x + phi(w x + b)) or plain (phi(w x + b)). "
            "[default: full]",
        ),
    ] = None,
    sigma_w2: Annotated[
        str | None, typer.Option(metavar="S", help="residual: N times the variance of an entry of w. [default: 1.69]")
    ] = None,
    sigma_v2: Annotated[
        str | None, typer.Option(metavar="S", help="The same of v, in full blocks. [default: 1.5]")
    ] = None,
    sigma_a2: Annotated[
        str | None, typer.Option(metavar="S", help="Variance of the bias a, in full blocks. [default: 0.5]")
    ] = None,
    sigma_b2: Annotated[
        str | None, typer.Option(metavar="S", help="residual: variance of the bias b. [default: 0.49]")
    ] = None,
    norm0: Annotated[
        str | None, typer.Option(metavar="P", help="residual: mean square of an entry of the input. [default: 1]")
    ] = None,
    rho0: Annotated[str | None, typer.Option(metavar="RHO", help="Correlation of two inputs. [default: 0.3]")] = None,
    gain: Annotated[
        str | None,
        typer.Option(metavar="G", help="mlp: factor of all weights; 1 keeps the mean squared norm. [default: 1]"),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="Where inputs become the same: bfloat16, float16, float32, float64."),
    ] = "bfloat16",
    gradient_budget: Annotated[
        str | None,
        typer.Option(metavar="R", help="residual: for which sigma_w2 gradients change by R at most. [default: 10]"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="QUANTITY=VALUE",
            help="sd-log-norm (at most), gap (median 1 - rho, at least) or log-norm (mean); residual: gradient (mean "
            "ratio, from 1/VALUE to VALUE), sd-log-gradient or sd-log-norm (at most).",
        ),
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="KNOB",
            help="What may change for it: width, branch, slope, rate or gain; residual: sigma-w2, width.",
        ),
    ] = None,
    no_confirm: Annotated[bool, typer.Option("--no-confirm", help="Draw no networks at the answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what each theory predicts for one network, and how wrong it is there, without sampling.

    Mean and standard deviation of the log squared norm and of the correlation of two inputs, the fraction of active
    units, how much a gradient grows or shrinks on its way back, and the layer where inputs become the same to a
    floating-point format. D is the distance to the best finite-size law, in its standard deviations. --budget asks the
    other way round: the value of one knob that keeps a quantity within bounds at this depth, confirmed by one exact
    run.

    resnet is the ReLU network z' = alpha z + lambda sqrt(2/n) W phi(z); residual is x' = x + v phi(w x + b) + a with
    any variances, several activations and biases (mean-field residual networks), and plain networks beside it.

    \b
    Examples:
      limitbench predict mlp --depth 50 --width 256
      limitbench predict mlp --activation leaky --slope-minus 0.2 --depth 4 --widths 128,256,256,128
      limitbench predict mlp --activation shaped-relu --depth 64 --width 64 --rate 0.5 --rho0 0.3
      limitbench predict mlp --activation tanh --scale 1 --depth 64 --width 64
      limitbench predict mlp --depth 50 --width 128 --gain 0.408 --precision float16
      limitbench predict resnet --residual-weight 0.5 --depth 32 --width 256 --balanced
      limitbench predict resnet --branch-per-depth --depth 32 --width 256 --json
      limitbench predict residual --depth 50 --width 256
      limitbench predict residual --activation relu-0.85 --sigma-w2 1.5 --depth 64 --width 512
      limitbench predict residual --block plain --sigma-w2 1.7 --sigma-b2 0.1 --depth 30 --width 256 --gradient-budget 5
      limitbench predict mlp --depth 50 --width 256 --budget sd-log-norm=0.5 --vary width
      limitbench predict mlp --depth 32 --width 64 --budget gap=0.05 --vary slope
      limitbench predict resnet --depth 32 --width 128 --budget sd-log-norm=0.3 --vary branch
      limitbench predict residual --depth 50 --width 256 --budget gradient=10 --vary sigma-w2

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
        "block": block,
        "sigma_w2": sigma_w2,
        "sigma_v2": sigma_v2,
        "sigma_a2": sigma_a2,
        "sigma_b2": sigma_b2,
        "norm0": norm0,
        "rho0": rho0,
        "gain": gain,
    }
    show(
        architecture,
        options,
        precision=precision,
        gradient_budget=gradient_budget,
        budget=budget,
        vary=vary,
        confirm=not no_confirm,
        as_json=as_json,
    )
