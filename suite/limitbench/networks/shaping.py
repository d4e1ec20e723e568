"""Piecewise linear shaping of a finite network: the slopes of each layer and the constant that keeps norms at one.

`phi(x) = s_+ max(x, 0) + s_- min(x, 0)` is positively homogeneous, so its scale and (as normals are symmetric) the
order of its slopes drop out of every correlation: the exact samplers see one number, the ratio of the slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from limitbench.errors import InputError
from limitbench.networks.checks import layer_widths, number, whole


@dataclass(frozen=True)
class ShapedLayer:
    """One hidden layer: n units with slopes s_+ and s_-.

    `V_l = (c / n) phi(z_l)' phi(z_l)` with `c = 2 / (s_+^2 + s_-^2) = 1 / E[phi(g)^2]` (arXiv 2206.02768, 2310.12079).
    """

    width: int
    slope_plus: float
    slope_minus: float

    @property
    def constant(self) -> float:
        """c = 2 / (s_+^2 + s_-^2)."""
        return 2.0 / (self.slope_plus**2 + self.slope_minus**2)

    @property
    def ratio(self) -> float:
        """r in [-1, 1]: the slope smaller in size over the larger one."""
        small, large = sorted((self.slope_plus, self.slope_minus), key=abs)
        return small / large

    @property
    def canonical_constant(self) -> float:
        """c of the layer with slopes 1 and r, which has the same law of V_l."""
        return 2.0 / (1.0 + self.ratio**2)


def shaped_layers(widths: tuple[int, ...], c_plus: float, c_minus: float, rate: float) -> tuple[ShapedLayer, ...]:
    """Layers with slopes s_pm = 1 + c_pm n_l^-rate; raises `InputError` where both slopes vanish."""
    distinct = {}
    for n in set(widths):
        layer = ShapedLayer(n, 1.0 + c_plus * n**-rate, 1.0 + c_minus * n**-rate)
        if layer.slope_plus == 0.0 and layer.slope_minus == 0.0:
            raise InputError("c_minus", c_minus, f"slopes 1 + c_pm n^-rate that are not both 0 (at width {n} they are)")
        distinct[n] = layer
    return tuple(distinct[n] for n in widths)


def declared_shaping(network: Any) -> dict[str, object]:
    """Depth, width or widths, slopes and rho0 of `network` in their declared types; `InputError` names a bad one."""
    depth = whole("depth", network.depth)
    widths = layer_widths(depth, network.width, network.widths)
    return {
        "depth": depth,
        "width" if network.widths is None else "widths": widths[0] if network.widths is None else widths,
        "c_plus": number("c_plus", network.c_plus),
        "c_minus": number("c_minus", network.c_minus),
        "rate": number("rate", network.rate, 0.0),
        "rho0": number("rho0", network.rho0, -1.0, 1.0),
    }


def activate(z: Float[Tensor, "*shape"], layer: ShapedLayer) -> Float[Tensor, "*shape"]:
    """phi(z) = s_+ max(z, 0) + s_- min(z, 0)."""
    return layer.slope_plus * z.clamp_min(0.0) + layer.slope_minus * z.clamp_max(0.0)
