"""Unshaped networks of two inputs, phi(x) = max(x, 0) + s_- min(x, 0): the collapse of 1 - rho_l as q/l^2.

Observables are ln q = ln(l^2 (1 - rho_l)), ln(1 - rho_l) and the log of the squared norm ratio; the time is t = l/n.
"""

from limitbench.theories.unshaped_relu.angle_law import AngleLaw
from limitbench.theories.unshaped_relu.finite_start import FiniteStartSDE
from limitbench.theories.unshaped_relu.finite_width_chain import FiniteWidthChain
from limitbench.theories.unshaped_relu.infinite_width import InfiniteWidth
from limitbench.theories.unshaped_relu.matched_discrete import MatchedDiscrete
from limitbench.theories.unshaped_relu.singular_start import SingularStartSDE
from limitbench.theories.unshaped_relu.without_ito_drift import WithoutItoDrift

__all__ = [
    "AngleLaw",
    "FiniteStartSDE",
    "FiniteWidthChain",
    "InfiniteWidth",
    "MatchedDiscrete",
    "SingularStartSDE",
    "WithoutItoDrift",
]
