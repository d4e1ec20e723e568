"""What is trained and how: kind of network, activation, optimiser and images, bundled under one name each.

A grid is a product of its axes; bundles keep out the combinations that no claim needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from limitbench.networks.trained import TrainedNet
from limitbench.networks.training_data import typical_cosine
from limitbench.studies.base import Cell
from limitbench.theories.mean_field import MeanField

#: sigma_v^2 of every network.
SIGMA_V2 = 1.0


@dataclass(frozen=True)
class Design:
    """One bundle; `input_norm` and `overlap` change the distance of images and not the gradient ratio of ReLU."""

    activation: str
    optimiser: str = "adam"
    network: str = "full"
    input_norm: float = 1.0
    overlap: float = 0.0

    @property
    def bias_variance(self) -> float:
        """sigma_a^2 and sigma_b^2: 1/4 for tanh, 0.01 for powers of ReLU."""
        return 0.25 if self.activation == "tanh" else 0.01


DESIGNS: Mapping[str, Design] = {
    "tanh-adam": Design("tanh"),
    "tanh-sgd": Design("tanh", "sgd"),
    "reduced-tanh-adam": Design("tanh", network="reduced"),
    "plain-tanh-adam": Design("tanh", network="plain"),
    "relu-adam": Design("relu"),
    "relu-adam-faint": Design("relu", input_norm=0.01),
    "relu-adam-bright": Design("relu", input_norm=100.0),
    "relu-adam-close": Design("relu", overlap=0.9),
    "relu-sgd": Design("relu", "sgd"),
    "relu-0.85-adam": Design("relu-0.85"),
    "plain-relu-adam": Design("relu", network="plain"),
}
#: Designs that differ only in what the images look like to the first block.
RELU_IMAGES = ("relu-adam", "relu-adam-faint", "relu-adam-bright", "relu-adam-close")


def design_of(cell: Cell) -> Design:
    """The bundle of a cell."""
    return DESIGNS[str(cell["design"])]


def network(cell: Cell) -> TrainedNet:
    """The networks of a cell."""
    chosen = design_of(cell)
    return TrainedNet(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        network=chosen.network,
        activation=chosen.activation,
        optimiser=chosen.optimiser,
        sigma_w2=float(cell["sigma_w2"]),
        sigma_b2=chosen.bias_variance,
        sigma_v2=SIGMA_V2,
        sigma_a2=chosen.bias_variance,
        input_norm=chosen.input_norm,
        overlap=chosen.overlap,
        data=str(cell["data"]),
    )


def mean_field(cell: Cell) -> MeanField:
    """Mean-field theory of the networks of a cell."""
    chosen, variance = design_of(cell), design_of(cell).bias_variance
    return MeanField(
        network=chosen.network,
        activation=chosen.activation,
        sigma_w2=float(cell["sigma_w2"]),
        sigma_b2=variance,
        sigma_v2=SIGMA_V2,
        sigma_a2=variance,
    )


def cosine(cell: Cell) -> float:
    """Cosine of two typical images at the first block. Raises `InputError` where the data are not at hand."""
    overlap = design_of(cell).overlap
    return overlap + (1 - overlap) * typical_cosine(str(cell["data"]))
