"""Residual and plain networks of the mean-field parametrisation that are really trained on small images.

Every network is a replicate of its own: input map, weights and order of the images come from its batch's seed. It is
looked at before training, where mean-field theory says something, and its accuracy is measured after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from limitbench.errors import InputError
from limitbench.networks import training_data
from limitbench.networks.base import REAL_MATRICES, Network, Sampler, check_depths
from limitbench.networks.checks import number, whole
from limitbench.networks.trained_stack import KINDS, Shape, Stack, cross_entropy
from limitbench.numerics.mean_field_activations import mean_field_activation
from limitbench.numerics.random import Stream

#: Steps of the optimisers, fixed before any result was seen.
RATES: Mapping[str, float] = {"sgd": 0.01, "adam": 3e-4}
#: Networks that are trained side by side: each multiplication then takes two thirds of its time alone.
_REPLICATES = 2


@dataclass(frozen=True)
class TrainedNet(Network):
    """A network x_0 -> x_L -> outputs, trained by minimising the cross entropy of labelled images in float32.

        x_l = v_l phi(w_l x_{l-1} + b_l) + a_l + x_{l-1}   (full)
        x_l = phi(w_l x_{l-1} + b_l) + x_{l-1}             (reduced; sigma_v2 and sigma_a2 are not used)
        x_l = phi(w_l x_{l-1} + b_l)                       (plain; the same)

    (arXiv 1712.08969), w ~ N(0, sigma_w2/N), v ~ N(0, sigma_v2/N), b ~ N(0, sigma_b2), a ~ N(0, sigma_a2), all trained.
    x_0 is a fixed Gaussian map of the image, scaled to |x_0|^2/N = `input_norm` for each image; with `overlap` K it is
    sqrt(1 - K) x_0 + sqrt(K) c before that, one random direction c for all images, which brings their cosine from r to
    K + (1 - K) r. The readout starts at N(0, 1/N) and is trained. SGD steps are 0.01 without momentum, Adam steps 3e-4.

    Observables, one value for a network whatever layer is asked for: `test_accuracy`; `train_loss`, mean over the
    batches of the last epoch; `diverged`, 1 where a loss is not finite: accuracy is then that of chance, 1/classes, and
    the loss has no value; and before training, over the test images, `log_gradient_ratio` = ln chi_0/chi_L, chi_l the
    mean square of the entries of the gradient of the loss at x_l, and `log_image_distance` = ln s_L, s_L the mean of
    |x_L - x_L'|^2/N over pairs of images; -inf where float32 has underflowed.

    Arguments:
        depth: number of blocks L.
        width: units N.
        network: `full`, `reduced` or `plain`.
        activation: `tanh`, `relu`, or `relu-A` for max(x, 0)^A, 1/2 < A < 1.
        optimiser: `sgd` or `adam`.
        sigma_w2, sigma_b2, sigma_v2, sigma_a2: variances of the parameters.
        input_norm, overlap: of the images as the first block sees them.
        epochs, images: passes through the training images, and images a step.
        data: `digits` (needs scikit-learn), or the name of the data set of IDX files in use (`training_data.using`).

    Cost: about 18 ms a block and network at width 96 with 84 steps; the sampler makes no difference.

    Raises:
        InputError: where a value cannot be accepted, naming the field.
    """

    depth: int
    width: int
    network: str = field(default="full", kw_only=True)
    activation: str = field(default="tanh", kw_only=True)
    optimiser: str = field(default="adam", kw_only=True)
    sigma_w2: float = field(default=1.0, kw_only=True)
    sigma_b2: float = field(default=0.25, kw_only=True)
    sigma_v2: float = field(default=1.0, kw_only=True)
    sigma_a2: float = field(default=0.25, kw_only=True)
    input_norm: float = field(default=1.0, kw_only=True)
    overlap: float = field(default=0.0, kw_only=True)
    epochs: int = field(default=6, kw_only=True)
    images: int = field(default=96, kw_only=True)
    data: str = field(default=training_data.DIGITS, kw_only=True)

    family: ClassVar[str] = "trained"
    version: ClassVar[int] = 1
    depends_on_final_depth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        values: dict[str, object] = {
            name: whole(name, getattr(self, name)) for name in ("depth", "width", "epochs", "images")
        }
        for name in ("sigma_w2", "sigma_b2", "sigma_v2", "sigma_a2"):
            values[name] = number(name, getattr(self, name), 0.0, 1e6)
        values["input_norm"] = number("input_norm", self.input_norm, 1e-12, 1e12)
        values["overlap"] = number("overlap", self.overlap, 0.0, 1.0)
        for name, kinds in (("network", KINDS), ("optimiser", tuple(RATES))):
            if getattr(self, name) not in kinds:
                raise InputError(name, getattr(self, name), " or ".join(kinds))
        activation = mean_field_activation(self.activation)
        if activation.name != "tanh" and activation.exponent is None:
            raise InputError("activation", self.activation, "tanh, relu, or relu-A for max(x, 0)^A with 1/2 < A < 1")
        values["activation"] = activation.name
        training_data.check_data(self.data)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def observables(self) -> tuple[str, ...]:
        """All of them for every network."""
        return ("test_accuracy", "train_loss", "diverged", "log_gradient_ratio", "log_image_distance")

    @property
    def parameters(self) -> Mapping[str, object]:
        """Everything but depth; the data by the digest of its content."""
        branch = ("sigma_v2", "sigma_a2") if self.network == "full" else ()
        names = ("width", "network", "activation", "optimiser", "sigma_w2", "sigma_b2", *branch)
        values = {name: getattr(self, name) for name in (*names, "input_norm", "overlap", "epochs", "images")}
        return values | {"data": training_data.images(self.data).digest}

    def batch_size(self, sampler: Sampler) -> int:
        """2 networks, trained side by side."""
        return _REPLICATES

    def cost(self, sampler: Sampler) -> float:
        """Seconds: 18 ms a block of two matrices at width 96 and 84 steps, and as much as a block outside them."""
        matrices = 2 if self.network == "full" else 1
        relative = (self.width / 96) * math.sqrt(self.width / 96)
        return 1.5e-3 * matrices * self.epochs * (self.depth + 1) * relative

    def method(self, sampler: Sampler) -> str:
        """Networks that learn have their weights, whatever the sampler."""
        return REAL_MATRICES

    def sample_batch(
        self,
        seed: int,
        *,
        depths: Sequence[int],
        sampler: Sampler = "exact",
        device: str = "cpu",
        generator: str = "torch",
    ) -> dict[str, Float[np.ndarray, "batch depths"]]:
        """One batch of trained networks; every requested layer holds the same values."""
        layers = check_depths(depths, self.depth)
        with _one_thread(), torch.no_grad():
            found = _Training(self, Stream(seed, device, generator)).run()
        values = {name: value.double().cpu().numpy() for name, value in found.items()}
        return {name: np.repeat(values[name][:, None], len(layers), axis=1) for name in self.observables}


class _Training:
    """One batch of networks: drawn, looked at, trained, tested."""

    def __init__(self, net: TrainedNet, stream: Stream) -> None:
        self.net, self.stream = net, stream
        data = training_data.images(net.data)
        if len(data.train_labels) < net.images:
            raise InputError("images", net.images, f"at most the {len(data.train_labels)} training images")
        device = stream.device
        self.labels, self.test_labels = (
            torch.from_numpy(y).to(device).expand(_REPLICATES, -1) for y in (data.train_labels, data.test_labels)
        )
        pixels = data.train.shape[1]
        self._map = stream.normal_(torch.empty(_REPLICATES, pixels, net.width, device=device))
        self._common = stream.normal_(torch.empty(_REPLICATES, 1, net.width, device=device))
        self.train, self.test = (self._embedded(images) for images in (data.train, data.test))
        exponent = mean_field_activation(net.activation).exponent
        variances = (net.sigma_w2, net.sigma_b2, net.sigma_v2, net.sigma_a2)
        stds = (math.sqrt(variances[0]), math.sqrt(variances[1]), math.sqrt(variances[2]), math.sqrt(variances[3]))
        shape = Shape(net.network, exponent, net.depth, net.width, data.classes, stds)
        self.stack = Stack(shape, _REPLICATES, net.images, stream)
        self.classes = data.classes

    def run(self) -> dict[str, Float[Tensor, " replicates"]]:
        """All observables."""
        ratio, distance = self._initial()
        loss, diverged = self._trained()
        accuracy = torch.where(diverged, 1 / self.classes, self._accuracy())
        return {
            "test_accuracy": accuracy,
            "train_loss": torch.where(diverged, math.nan, loss),
            "diverged": diverged,
            "log_gradient_ratio": ratio,
            "log_image_distance": distance,
        }

    def _embedded(self, images: Float[np.ndarray, "images pixels"]) -> Float[Tensor, "replicates images width"]:
        """x_0 of every image."""
        x = _unit(torch.from_numpy(images).to(self._map) @ self._map)
        if self.net.overlap:
            x = _unit(math.sqrt(1 - self.net.overlap) * x + math.sqrt(self.net.overlap) * _unit(self._common))
        return x * math.sqrt(self.net.input_norm)

    def _initial(self) -> tuple[Float[Tensor, " replicates"], Float[Tensor, " replicates"]]:
        """ln chi_0/chi_L and ln s_L over the test images; squares in float64, which float32 would overflow."""
        first, last, features = [], [], []
        for x, labels in self._batches(self.test, self.test_labels):
            _, outer = cross_entropy(self.stack.forward(x), labels)
            features.append(self.stack.last(x.shape[1]).double())
            outside, inside = self.stack.backward(outer, parameters=False)
            last.append(outside.double().square().sum(dim=(1, 2)))
            first.append(inside.double().square().sum(dim=(1, 2)))
        x = torch.cat(features, dim=1)
        spread = (x - x.mean(dim=1, keepdim=True)).square().mean(dim=2).sum(dim=1)
        distance = 2 * spread / (x.shape[1] - 1)
        ratio = torch.stack(first).sum(dim=0) / torch.stack(last).sum(dim=0)
        return ratio.log(), distance.log()

    def _trained(self) -> tuple[Float[Tensor, " replicates"], Tensor]:
        """Mean loss of the last epoch, and which networks ever had a loss that is not finite."""
        net, stack, count = self.net, self.stack, self.train.shape[1]
        rows = torch.arange(_REPLICATES, device=self.train.device)[:, None]
        diverged = torch.zeros(_REPLICATES, dtype=torch.bool, device=self.train.device)
        total = torch.zeros(_REPLICATES, device=self.train.device)
        steps = count // net.images
        for _ in range(net.epochs):
            order = torch.stack([self._order(count) for _ in range(_REPLICATES)])
            total.zero_()
            for step in range(steps):
                chosen = order[:, step * net.images : (step + 1) * net.images]
                outputs = stack.forward(self.train[rows, chosen])
                losses, outer = cross_entropy(outputs, self.labels[rows, chosen])
                total += losses
                stack.backward(outer / net.images)
                stack.adam_step(RATES["adam"]) if net.optimiser == "adam" else stack.sgd_step(RATES["sgd"])
            diverged |= ~total.isfinite()
            if diverged.all():  # nothing that is reported could change
                break
        return total / steps, diverged

    def _order(self, count: int) -> Int[Tensor, " images"]:
        device = self.stream.device
        return torch.randperm(count, generator=self.stream.torch, device=device)

    def _accuracy(self) -> Float[Tensor, " replicates"]:
        right = [
            (self.stack.forward(x).argmax(dim=2) == y).sum(dim=1) for x, y in self._batches(self.test, self.test_labels)
        ]
        return torch.stack(right).sum(dim=0).double() / self.test.shape[1]

    def _batches(self, x: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, x.shape[1], self.net.images):
            part = slice(start, start + self.net.images)
            yield x[:, part], labels[:, part]


def _unit(x: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape width"]:
    """Vectors of |x|^2/N = 1."""
    return x / x.square().mean(dim=-1, keepdim=True).sqrt()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Numbers must not depend on the number of threads, which changes the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
