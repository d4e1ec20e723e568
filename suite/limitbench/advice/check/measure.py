"""Networks of one depth and width, drawn one after the other: norms, correlations, gradients and Gram matrices.

A module is run in double precision, so that neither norms nor 1 - correlation are lost, with every input of the batch
at once; one backward pass, from a random direction at the first input's output, gives the gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from limitbench.advice.check.factory import Factory, check_module, lazy, said, same_weights
from limitbench.advice.check.read import Reading, read
from limitbench.advice.check.tape import Node, Tape, matrices
from limitbench.advice.check.weights import LayerWeights, layer_weights
from limitbench.errors import InputError
from limitbench.numerics.random import stream_seed

#: Networks of which Gram matrices are kept.
SPECTRA = 64
#: What is kept of every network at every point.
STATISTICS = ("log_square", "correlation", "log_gap", "log_largest", "positive", "log_gradient")
#: Fewest networks of which anything is said.
FEWEST = 8


@dataclass(frozen=True, eq=False)
class Cell:
    """One depth and width: what the module computes there, found from one network.

    Attributes:
        depth, width: as the factory was called.
        words: that call.
        nodes: the tape.
        reading: what it computes.
        points: nodes that are measured, in order of execution.
        dtype: in which the module runs.
        takes: which of depth and width the factory takes.
        separable: whether an input's output does not depend on the others, so that two of them can go alone.
        notes: how parts of it were treated.
        inputs: the batch.
    """

    depth: int
    width: int
    words: str
    nodes: list[Node]
    reading: Reading
    points: tuple[int, ...]
    dtype: torch.dtype
    notes: tuple[str, ...]
    inputs: Tensor
    takes: tuple[str, ...] = ("depth", "width")
    separable: bool = False

    @property
    def title(self) -> str:
        """The sizes that the factory was called with, for headings."""
        return ", ".join(f"{name} {getattr(self, name)}" for name in self.takes) or "as built"


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in one cell: `STATISTICS` as (networks, points) arrays, NaN where something is undefined.

    Attributes:
        cell: which.
        statistics: log mean square of the first input's features; correlation of the first two inputs; ln(1 - it); log
            of the largest entry; share of positive entries; log squared gradient.
        spectra: eigenvalues of the batch's Gram matrix over their sum, increasing: (networks, points, inputs).
        weights: what each matrix is drawn from, by node.
        parameter_gradients: log mean square of the gradient of each matrix, by node.
    """

    cell: Cell
    statistics: dict[str, Float[np.ndarray, "networks points"]]
    spectra: Float[np.ndarray, "spectra points inputs"]
    weights: dict[int, LayerWeights]
    parameter_gradients: dict[int, Float[np.ndarray, " networks"]]

    @property
    def networks(self) -> int:
        """Number of networks."""
        return len(self.statistics["log_square"])

    def at(self, statistic: str, node: int) -> Float[np.ndarray, " networks"]:
        """One statistic at one node."""
        return self.statistics[statistic][:, self.cell.points.index(node)]


def survey(factory: Factory, depth: int, width: int, inputs: Tensor, *, seed: int, device: str = "cpu") -> Cell:
    """What the module computes at one depth and width, and what a network takes; raises `InputError`."""
    words = factory.words(depth, width)
    module = factory.draw(depth, width, seed, 0)
    notes = []
    if lazy(module):
        _run_lazy(module, inputs, words)
        notes.append("lazy layers were given their shapes and weights by a first forward pass")
    check_module(module, words)
    dtype = _dtype(module, inputs, words)
    if dtype != torch.float64:
        notes.append("the module does not run in double precision: small gaps and large norms are those of float32")
    tape = Tape()
    output = _run(tape, _prepared(module, dtype, device), _ready(inputs, dtype, device), words)
    last = tape.node_of(output)
    if last is None:
        raise InputError("factory", words, "a module whose output depends on its input through torch functions")
    if not torch.isfinite(output).all():
        bad = next((n.name for n, v in zip(tape.nodes, tape.values, strict=True) if not torch.isfinite(v).all()), "")
        raise InputError("factory", words, f"finite values at initialisation; the first that are not come from {bad}")
    if tape.dropouts:
        notes.append(f"dropout is switched off ({tape.dropouts} layers)")
    if any(isinstance(m, nn.modules.batchnorm._NormBase) and m.training for m in module.modules()):
        notes.append("batch normalisation takes the statistics of this batch, as in training")
    points = _points(tape.nodes, last.index, len(inputs), tape.floating)
    reading = read(tape.nodes, last.index)
    extra = {*reading.features, reading.start} if reading.features else set()
    cell = Cell(
        depth,
        width,
        words,
        tape.nodes,
        reading,
        tuple(sorted({*points, *extra})),
        dtype,
        tuple(notes),
        inputs,
        factory.takes,
        _separable(module, inputs, output, dtype, device),
    )
    if same_weights(module, _module(factory, cell, seed, 1, device)):
        raise InputError("factory", words, "fresh weights at every call; two calls gave the same ones")
    return cell


class Sampler:
    """Draws the networks of one cell."""

    def __init__(self, factory: Factory, cell: Cell, *, seed: int, device: str = "cpu") -> None:
        self.factory, self.cell, self.seed, self.device = factory, cell, seed, device
        self._rows: list[dict[str, np.ndarray]] = []
        self._spectra: list[np.ndarray] = []
        self._weights = {n.index: layer_weights(n.name, n.weight) for n in matrices(cell.nodes) if n.weight is not None}
        self._parameters: dict[int, list[float]] = {index: [] for index in self._weights}

    def draw(self, index: int) -> None:
        """Network number `index`."""
        cell = self.cell
        module = _module(self.factory, cell, self.seed, index, self.device)
        place = {node: k for k, node in enumerate(cell.points)}
        row = {name: np.full(len(place), np.nan) for name in STATISTICS}
        grams = np.full((len(place), len(cell.inputs), len(cell.inputs)), np.nan)
        drawn: dict[int, tuple[Tensor, Tensor | None]] = {}

        def seen(node: Node, value: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
            if node.index in place:
                _look(value, place[node.index], row, grams)
            if weight is not None and node.index in self._weights:
                drawn[node.index] = (weight, bias)

        tape = Tape(like=cell.nodes, seen=seen)
        whole = len(self._spectra) < SPECTRA or not cell.separable
        x = cell.inputs if whole else cell.inputs[:2]
        output = _run(tape, module, _ready(x, cell.dtype, self.device), cell.words)
        if not tape.same or len(tape.nodes) != len(cell.nodes):
            raise InputError(
                "factory", cell.words, "a module that does the same in every network of one depth and width"
            )
        for node, (weight, bias) in drawn.items():
            self._weights[node].add(weight, bias)
        if output.requires_grad:
            direction = torch.Generator().manual_seed(stream_seed("check-direction", self.seed, index))
            v = torch.randn(output[0].shape, generator=direction, dtype=torch.float64).to(output)
            for weight, _ in drawn.values():
                if not weight.is_leaf and weight.requires_grad:
                    weight.retain_grad()
            (output[0] * v).sum().backward()  # type: ignore[no-untyped-call]
        self._rows.append(row)
        for node, (weight, _) in drawn.items():
            gradient = weight.grad if weight.is_leaf or weight.retains_grad else None
            square = math.nan if gradient is None else float(gradient.double().square().mean())
            self._parameters[node].append(_log(square))
        if whole and len(self._spectra) < SPECTRA:
            self._spectra.append(_spectrum(grams))

    @property
    def measured(self) -> Measured:
        """What there is so far."""
        statistics = {name: np.stack([row[name] for row in self._rows]) for name in STATISTICS}
        gradients = {node: np.array(values) for node, values in self._parameters.items()}
        return Measured(self.cell, statistics, np.stack(self._spectra), self._weights, gradients)

    @property
    def networks(self) -> int:
        """Networks so far."""
        return len(self._rows)


def _module(factory: Factory, cell: Cell, seed: int, index: int, device: str) -> nn.Module:
    module = factory.draw(cell.depth, cell.width, seed, index)
    if lazy(module):
        _run_lazy(module, cell.inputs, cell.words)
    return _prepared(module, cell.dtype, device)


def _separable(module: nn.Module, inputs: Tensor, output: Tensor, dtype: torch.dtype, device: str) -> bool:
    """Whether the first two inputs alone give the outputs that they give in the batch."""
    try:
        with torch.no_grad():
            alone = Tape().run(module, _ready(inputs[:2], dtype, device))
    except Exception:  # the module is the user's: a batch of another size may be anything to it
        return False
    together = output.detach()[:2]
    return alone.shape == together.shape and bool(torch.allclose(alone, together, rtol=1e-4, atol=1e-30))


def _prepared(module: nn.Module, dtype: torch.dtype, device: str) -> nn.Module:
    """In the precision and on the device; attention drops nothing out."""
    for part in module.modules():
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    return module.to(device=device, dtype=dtype)


def _ready(inputs: Tensor, dtype: torch.dtype, device: str) -> Tensor:
    """A batch that gradients reach; a copy, as modules may write into it."""
    if inputs.dtype == torch.int64:
        return inputs.to(device)
    return inputs.to(device=device, dtype=dtype).clone().requires_grad_().clone()


def _dtype(module: nn.Module, inputs: Tensor, words: str) -> torch.dtype:
    """float64 where the module runs in it, else float32; raises `InputError` where it runs in neither."""
    import copy

    for dtype in (torch.float64, torch.float32):
        try:
            with torch.no_grad():
                copy.deepcopy(module).to(dtype)(_ready(inputs, dtype, "cpu"))
            return dtype
        except Exception as error:  # the module is the user's: anything may come
            why = said(error)
    shape = tuple(inputs.shape)
    raise InputError("--input", f"a batch of shape {shape}", f"one that {words} accepts; it raised {why}") from None


def _run_lazy(module: nn.Module, inputs: Tensor, words: str) -> None:
    try:
        with torch.no_grad():
            module(inputs if inputs.dtype == torch.int64 else inputs.float())
    except Exception as error:
        accepted = f"one that {words} accepts; it raised {said(error)}"
        raise InputError("--input", f"a batch of shape {tuple(inputs.shape)}", accepted) from None


def _run(tape: Tape, module: nn.Module, x: Tensor, words: str) -> Tensor:
    try:
        return tape.run(module, x)
    except InputError:
        raise
    except Exception as error:
        raise InputError("factory", words, f"a module whose forward pass runs; it raised {said(error)}") from None


def _points(nodes: list[Node], output: int, inputs: int, floating: list[bool]) -> list[int]:
    """Nodes worth measuring: all but views and the middles of elementwise chains."""
    middles = {p for n in nodes if n.kind == "elementwise" for p in n.parents if nodes[p].kind == "elementwise"}
    found = []
    for node in nodes:
        whole = node.shape and node.shape[0] == inputs and math.prod(node.shape) >= 2 * inputs
        if node.kind != "view" and whole and floating[node.index] and node.index not in middles:
            found.append(node.index)
    return found


def _look(value: Tensor, k: int, row: dict[str, np.ndarray], grams: np.ndarray) -> None:
    """Everything about one value; its gradient follows in the backward pass."""
    features = value.detach().double().reshape(len(value), -1).cpu().numpy()
    size = features.shape[1]
    gram = features @ features.T / size
    grams[k, : len(gram), : len(gram)] = gram
    first, square, second = features[0], float(gram[0, 0]), float(gram[1, 1])
    row["log_square"][k] = _log(square)
    norms = math.sqrt(square) * math.sqrt(second) if square >= 0 and second >= 0 else math.nan
    if norms > 0 and math.isfinite(norms):
        row["correlation"][k] = min(max(float(gram[0, 1]) / norms, -1.0), 1.0)
        apart = first / math.sqrt(square) - features[1] / math.sqrt(second)
        row["log_gap"][k] = _log(float(apart @ apart) / (2 * size))
    row["log_largest"][k] = _log(max(float(first.max()), -float(first.min())))
    row["positive"][k] = np.count_nonzero(first > 0) / size
    if value.requires_grad:
        value.register_hook(partial(_arrived, row, k))  # type: ignore[no-untyped-call]


def _arrived(row: dict[str, np.ndarray], k: int, gradient: Tensor) -> None:
    """The backward pass has come to the value of point k."""
    row["log_gradient"][k] = _log(float(torch.linalg.vector_norm(gradient.detach(), dtype=torch.float64)) ** 2)


def _spectrum(grams: np.ndarray) -> np.ndarray:
    """Eigenvalues over their sum, of each point; NaN where a matrix is not finite or 0."""
    traces = np.trace(grams, axis1=1, axis2=2)
    usable = np.isfinite(traces) & (traces > 0) & np.isfinite(grams).all(axis=(1, 2))
    found = np.full(grams.shape[:2], np.nan)
    if usable.any():
        found[usable] = np.linalg.eigvalsh(grams[usable] / traces[usable, None, None])
    return found


def _log(value: float) -> float:
    return math.log(value) if value > 0 else (-math.inf if value == 0 else math.nan)
