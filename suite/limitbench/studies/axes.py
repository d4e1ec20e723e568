"""Axes that studies share: width, the two ways to say how deep, and the layer at which a network is read."""

from limitbench.studies.base import Axis

RHO0 = Axis("rho0", "float", (0.3,), "Correlation of the two inputs.", lower=-1.0, upper=1.0, symbol="ρ₀")
WIDTH = Axis("width", "int", (64,), "Width n of every hidden layer.", lower=1, upper=2**20, symbol="n")
ASPECT = Axis(
    "aspect",
    "float",
    (1.0,),
    "Depth over width d/n; aspect x width must be an integer.",
    lower=0.0,
    symbol="d/n",
    open_lower=True,
)
DEPTH = Axis("depth", "int", (64,), "Number of hidden layers d; instead of aspect.", lower=1, upper=10**7, symbol="d")
LAYER = Axis(
    "layer",
    "int",
    (1,),
    "Layer l of 1 .. depth at which quantities are read.",
    lower=1,
    upper=10**7,
    symbol="l",
)
