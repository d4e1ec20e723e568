"""What every theory says about one network, and its expected error there, without drawing a single network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limitbench.advice import gradient, piecewise, residual
from limitbench.advice.architecture import Architecture, PiecewiseMLP, ReluResNet, SmoothMLP
from limitbench.advice.describe import describe
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.merging import Merging, merging
from limitbench.advice.rows import Opinion, Row, answer
from limitbench.errors import InputError

if TYPE_CHECKING:
    from limitbench.advice.blocks import Blocks


@dataclass(frozen=True)
class Prediction:
    """The answer about one network.

    Attributes:
        network: what was asked about.
        time: t = sum over layers of 1/width, depth/width at equal widths.
        rows: one per theory, from the coarsest to the finest.
        death_probability: probability that a given input switches every unit of some layer off.
        merging: when two inputs become the same to a floating-point format; None where nothing is known.
        gradient: how the gradient grows on its way back; None where nothing is known.
        blocks: what only a mean-field residual network is asked about; None for the others.
    """

    network: Architecture
    time: float
    rows: tuple[Row, ...]
    death_probability: float
    merging: Merging | None
    gradient: gradient.Gradient | None = None
    blocks: Blocks | None = None

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
    block: str | None = None,
    sigma_w2: float | None = None,
    sigma_v2: float | None = None,
    sigma_a2: float | None = None,
    sigma_b2: float | None = None,
    norm0: float | None = None,
    rho0: float = 0.3,
    gain: float = 1.0,
    precision: str = "bfloat16",
    gradient_budget: float | None = None,
) -> Prediction:
    """What each theory says about one network at initialisation.

    Arguments: those of `limitbench.advice.describe.describe`, and
        precision: floating-point format whose unit roundoff makes two inputs indistinguishable.
        gradient_budget: residual: factor by which gradients may grow or shrink (10), for which sigma_w2 is given.

    Raises `InputError` where a value cannot be accepted. Cost: a second at most up to depth 10,000; no sampling.

    >>> import limitbench
    >>> finest = limitbench.predict("mlp", activation="relu", depth=50, width=256).best("log_norm")
    >>> finest.title, round(finest.log_norm.mean, 3), round(finest.log_norm.std, 3)
    ('finite width, layer by layer', -0.491, 0.995)
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
        block=block,
        sigma_w2=sigma_w2,
        sigma_v2=sigma_v2,
        sigma_a2=sigma_a2,
        sigma_b2=sigma_b2,
        norm0=norm0,
        rho0=rho0,
        gain=gain,
    )
    return predict_network(network, precision, gradient_budget)


def predict_network(
    network: Architecture, precision: str = "bfloat16", gradient_budget: float | None = None
) -> Prediction:
    """`predict` for a description that is already there."""
    if gradient_budget is not None and not isinstance(network, MeanFieldNetwork):
        raise InputError("gradient_budget", gradient_budget, "nothing but for residual")
    found = merging(network, precision)
    death = 0.0
    back: gradient.Gradient | None
    opinions: tuple[Opinion, ...]
    references: Mapping[str, Opinion]
    if isinstance(network, MeanFieldNetwork):
        from limitbench.advice import blocks

        answers = blocks.blocks(network, 10.0 if gradient_budget is None else gradient_budget)
        rows = answer(blocks.opinions(network), {}, -math.log(network.norm0))
        return Prediction(network, network.time, rows, death, found, blocks.gradient(network), answers)
    if isinstance(network, PiecewiseMLP):
        opinions, references = piecewise.opinions(network)
        death = piecewise.death_probability(network)
        back = gradient.piecewise_gradient(network)
    elif isinstance(network, ReluResNet):
        opinions, references = residual.opinions(network)
        back = gradient.residual_gradient(network)
    else:
        from limitbench.advice import smooth

        assert isinstance(network, SmoothMLP)
        opinions, references = smooth.opinions(network)
        back = smooth.gradient(network)
    rows = answer(opinions, references, network.log_norm_shift)
    return Prediction(network, network.time, rows, death, found, back)
