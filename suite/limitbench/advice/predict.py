"""What every theory says about one network, and its expected error there, without drawing a single network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from limitbench.advice import piecewise, residual
from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet, SmoothMLP
from limitbench.advice.describe import describe
from limitbench.advice.merging import Merging, merging
from limitbench.advice.rows import Row, answer


@dataclass(frozen=True)
class Prediction:
    """The answer about one network.

    Attributes:
        network: what was asked about.
        time: t = sum over layers of 1/width, depth/width at equal widths.
        rows: one per theory, from the coarsest to the finest.
        death_probability: probability that a given input switches every unit of some layer off.
        merging: when two inputs become the same to a floating-point format; None where nothing is known.
    """

    network: Architecture
    time: float
    rows: tuple[Row, ...]
    death_probability: float
    merging: Merging | None

    def best(self, observable: str) -> Row | None:
        """The finest theory that speaks about `log_norm`, `correlation` or `log_gap`."""
        for row in reversed(self.rows):
            said = {"log_norm": row.log_norm.mean, "correlation": row.correlation.mean, "log_gap": row.median_gap}
            if row.applies and not math.isnan(said[observable]):
                return row
        return None


def predict(
    architecture: str,
    *,
    depth: int,
    width: int | None = None,
    widths: Sequence[int] | None = None,
    activation: str | None = None,
    slope_minus: float | None = None,
    c_plus: float | None = None,
    c_minus: float | None = None,
    rate: float | None = None,
    scale: float | None = None,
    residual_weight: float | None = None,
    branch_per_depth: bool = False,
    balanced: bool = False,
    rho0: float = 0.3,
    gain: float = 1.0,
    precision: str = "bfloat16",
) -> Prediction:
    """What each theory says about one network at initialisation.

    Arguments: those of `limitbench.advice.describe.describe`, and
        precision: floating-point format whose unit roundoff makes two inputs indistinguishable.

    Raises `InputError` where a value cannot be accepted. Cost: a second at most up to depth 10,000; no sampling.

    Example: `limitbench.predict("mlp", activation="relu", depth=50, width=256).best("log_norm").log_norm.std`.
    """
    network = describe(
        architecture,
        depth=depth,
        width=width,
        widths=widths,
        activation=activation,
        slope_minus=slope_minus,
        c_plus=c_plus,
        c_minus=c_minus,
        rate=rate,
        scale=scale,
        residual_weight=residual_weight,
        branch_per_depth=branch_per_depth,
        balanced=balanced,
        rho0=rho0,
        gain=gain,
    )
    return predict_network(network, precision)


def predict_network(network: Architecture, precision: str = "bfloat16") -> Prediction:
    """`predict` for a description that is already there."""
    found = merging(network, precision)
    death = 0.0
    if isinstance(network, PiecewiseMLP):
        opinions, references = piecewise.opinions(network)
        death = piecewise.death_probability(network)
    elif isinstance(network, ReluResNet):
        opinions, references = residual.opinions(network)
    else:
        from limitbench.advice import smooth

        assert isinstance(network, SmoothMLP)
        opinions, references = smooth.opinions(network)
    return Prediction(network, network.time, answer(opinions, references, network.log_norm_shift), death, found)
