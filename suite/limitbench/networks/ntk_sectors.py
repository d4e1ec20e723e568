"""What a neural tangent kernel sees of a layer: a few sums over the units whose pre-activations have the same signs.

The pre-activations of m inputs are C R: the columns of C = W B are independent normals, those of B an orthonormal basis
of the features below, R is triangular (as in `conditioned`). Units fall into sectors by the signs of their
pre-activations, and phi is linear in each: both the features of sector s, hence their orthonormal basis B_s, and its
pre-activations are linear in C_s, the rows of C that are there. With C_s = Q_s T_s, Q_s orthonormal, and B_s = Q_s P_s
all later Gram matrices depend on T_s, P_s and the number of units k_s alone: O(1) numbers a layer instead of n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float64
from torch import Tensor


class Seen(NamedTuple):
    """What gradients see of some successive layers.

    Attributes:
        counts: k_s, the units of each sector.
        slopes: sqrt(c/n) phi' of each input in each sector.
        drawn: T_s, upper triangular; its row i is 0 where k_s <= i.
        basis: P_s, upper triangular; the sum of P_s'P_s over sectors is 1, or 0 where B has a column of zeros.
    """

    counts: Float64[Tensor, "layers sectors batch"]
    slopes: Float64[Tensor, "layers sectors inputs"]
    drawn: Float64[Tensor, "layers sectors inputs inputs batch"]
    basis: Float64[Tensor, "layers sectors inputs inputs batch"]


class Forward(NamedTuple):
    """A forward pass: V_l, l = 0, ..., d, and what gradients will see.

    Attributes:
        log_norms: ln V_l^aa, -inf from the layer on in which every unit of input a is off.
        cosines: V_l^12 / sqrt(V_l^11 V_l^22), 1 for one input; any number where an input is dead.
        seen: layers l (from 1) of a range, in its order.
    """

    log_norms: Float64[Tensor, "depths inputs batch"]
    cosines: Float64[Tensor, "depths batch"]
    seen: Callable[[range], Seen]
