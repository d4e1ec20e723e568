"""From the words of the command line to a description of a network."""

from __future__ import annotations

from typing import Any

from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet, SmoothMLP, checked_shape
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.errors import NOTHING, InputError
from limitbench.networks.checks import number

ARCHITECTURES = ("mlp", "resnet", "residual")
#: Piecewise linear activations: fixed slopes, and shaped ones.
PIECEWISE = ("relu", "leaky", "linear", "shaped-relu")
#: Names in `limitbench.numerics.activations`, which imports torch.
SMOOTH = ("tanh", "shifted-tanh", "softplus", "arcsinh", "silu", "root")


def describe(
    architecture: str,
    *,
    depth: Any,
    width: Any = None,
    widths: Any = None,
    activation: str | None = None,
    slope_minus: Any = None,
    c_plus: Any = None,
    c_minus: Any = None,
    rate: Any = None,
    scale: Any = None,
    residual_weight: Any = None,
    branch_per_depth: bool = False,
    balanced: bool = False,
    block: str | None = None,
    sigma_w2: Any = None,
    sigma_v2: Any = None,
    sigma_a2: Any = None,
    sigma_b2: Any = None,
    norm0: Any = None,
    rho0: Any = 0.3,
    gain: Any = 1.0,
) -> Architecture:
    """The network that these words describe.

    Arguments:
        architecture: `mlp`, `resnet` (ReLU, z' = alpha z + lambda sqrt(2/n) W phi(z)) or `residual` (blocks with biases
            and any variances, x' = x + v phi(w x + b) + a).
        depth: number of hidden layers or residual blocks.
        width: units of every layer.
        widths: or of each (MLPs with fixed or shaped slopes).
        activation: of an MLP: relu, leaky, linear, shaped-relu, or a smooth one by name; residual: tanh, erf, relu, or
            relu-A for max(x, 0)^A.
        slope_minus: leaky: slope of negative arguments (0.01).
        c_plus, c_minus: shaped-relu: slopes 1 + c_pm n^-rate (0 and -1).
        scale: smooth: the activation is s phi(x/s) with s = scale n^rate (1).
        rate: shaped-relu and smooth (1/2).
        residual_weight: resnet: alpha^2 with alpha^2 + lambda^2 = 1 (1/2).
        branch_per_depth: resnet: instead alpha = 1 and branches (d n)^-1/2 W phi(z).
        balanced: resnet: reflect each unit's ReLU by a random sign.
        block: residual: full, reduced (x' = x + phi(h)) or plain (x' = phi(h)).
        sigma_w2, sigma_v2, sigma_a2, sigma_b2: residual: variances, N times those of an entry for w and v.
        norm0: residual: |x_0|^2/N (1).
        rho0: correlation of two inputs.
        gain: MLPs with fixed or shaped slopes: factor of all weights, 1 for those that keep the mean squared norm.

    Raises `InputError` where a value cannot be accepted or does not belong to this architecture.
    """
    if architecture not in ARCHITECTURES:
        raise InputError("architecture", architecture, " or ".join(ARCHITECTURES))
    known = (*PIECEWISE, *SMOOTH)
    mean_field = architecture == "residual"
    if activation is not None and not mean_field and activation not in known:
        raise InputError("activation", activation, ", ".join(known))
    name = "relu" if activation is None else activation
    smooth = architecture == "mlp" and name in SMOOTH
    piecewise = architecture == "mlp" and not smooth
    belongs = {
        "activation": (activation, architecture != "resnet" or name == "relu", "relu for a resnet"),
        "slope_minus": (slope_minus, piecewise and name == "leaky", "nothing but for --activation leaky"),
        "c_plus": (c_plus, piecewise and name == "shaped-relu", "nothing but for --activation shaped-relu"),
        "c_minus": (c_minus, piecewise and name == "shaped-relu", "nothing but for --activation shaped-relu"),
        "rate": (rate, smooth or (piecewise and name == "shaped-relu"), "nothing but for shaped activations"),
        "scale": (scale, smooth, "nothing but for smooth activations"),
        "residual_weight": (
            residual_weight,
            architecture == "resnet" and not branch_per_depth,
            "nothing but for a resnet without branch_per_depth",
        ),
        "branch_per_depth": (branch_per_depth or None, architecture == "resnet", "nothing but for a resnet"),
        "balanced": (balanced or None, architecture == "resnet", "nothing but for a resnet"),
        "gain": (
            None if gain == 1 else gain,
            piecewise,
            "1 but for piecewise linear MLPs",
        ),
        "widths": (widths, piecewise, "one width for all layers"),
        "block": (block, mean_field, "nothing but for residual"),
        "sigma_w2": (sigma_w2, mean_field, "nothing but for residual"),
        "sigma_b2": (sigma_b2, mean_field, "nothing but for residual"),
        "norm0": (norm0, mean_field, "nothing but for residual"),
        "sigma_v2": (sigma_v2, mean_field and block in (None, "full"), "nothing but for residual full blocks"),
        "sigma_a2": (sigma_a2, mean_field and block in (None, "full"), "nothing but for residual full blocks"),
    }
    for field, (value, accepted, instead) in belongs.items():
        if value is not None and not accepted:
            raise InputError(field, value, instead)
    if width is None and widths is None:
        raise InputError("width", NOTHING, "an integer, or one for each layer in widths")
    if architecture == "resnet":
        return _resnet(depth, width, residual_weight, branch_per_depth, balanced, rho0)
    if mean_field:
        sizes = {"sigma_w2": sigma_w2, "sigma_v2": sigma_v2, "sigma_a2": sigma_a2, "sigma_b2": sigma_b2, "norm0": norm0}
        shape: dict[str, Any] = {field: number(field, value) for field, value in sizes.items() if value is not None}
        shape |= {field: value for field, value in (("block", block), ("activation", activation)) if value is not None}
        return MeanFieldNetwork(depth, width, rho0=rho0, **shape)
    if smooth:
        stretch = {"scale": 1.0 if scale is None else scale, "rate": 0.5 if rate is None else rate}
        return SmoothMLP(name, depth, width, **stretch, rho0=rho0)
    layers, units = checked_shape(depth, width, widths)
    slopes = {"c_plus": 0.0, "c_minus": -1.0, "rate": 0.0}
    if name == "leaky":
        slopes["c_minus"] = number("slope_minus", 0.01 if slope_minus is None else slope_minus, -1, 1) - 1
    elif name == "linear":
        slopes["c_minus"] = 0.0
    elif name == "shaped-relu":
        slopes["rate"] = 0.5
        given = {"c_plus": c_plus, "c_minus": c_minus, "rate": rate}
        slopes |= {field: value for field, value in given.items() if value is not None}
    return PiecewiseMLP(layers, units, **slopes, rho0=rho0, gain=gain, activation=name)


def _resnet(depth: Any, width: Any, weight: Any, per_depth: bool, balanced: bool, rho0: Any) -> ReluResNet:
    """A branch (d n)^-1/2 W phi is alpha = 1, lambda^2 = 1/(2d): s = 1 + 1/(2d)."""
    if width is None:
        raise InputError("width", NOTHING, "an integer")
    if not per_depth:
        return ReluResNet(depth, width, 0.5 if weight is None else weight, balanced, rho0=rho0)
    checked = ReluResNet(depth, width)
    growth = 1 + 1 / (2 * checked.depth)
    return ReluResNet(depth, width, 1 / growth, balanced, growth, rho0, per_depth=True)
