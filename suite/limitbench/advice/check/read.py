"""What a tape computes: a multilayer perceptron, a residual network, or why it is neither.

Recognised by the functions that were called and by the values of what lies between matrices, never by class names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from limitbench.advice.check.tape import WHOLE_VIEWS, Node, matrices, replay
from limitbench.advice.check.values import Array, Function, recognise

BlockKind = Literal["vanilla", "full", "reduced", "pre-activation"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One matrix: `before` is the function between node `source` and the matrix, whose value is node `node`."""

    node: int
    source: int
    before: Function
    fan_in: int
    fan_out: int
    name: str


@dataclass(frozen=True, eq=False)
class Block:
    """One residual block, out = skip x + branch(x), with one matrix or two.

    Attributes:
        kind: vanilla (W phi(x)), full (V phi(W x)), reduced (phi(W x)) or pre-activation (V phi(W phi(x))).
        node: of its output.
        skip, branch: factors of the two terms.
        layers: its matrices.
        activation: phi.
        biased: whether a bias is added to the sum itself.
    """

    kind: BlockKind
    node: int
    skip: float
    branch: float
    layers: tuple[Layer, ...]
    activation: Function
    biased: bool


@dataclass(frozen=True, eq=False)
class Reading:
    """What a module computes.

    Attributes:
        family: what it was recognised as.
        layers: all matrices in order of execution.
        blocks: residual blocks.
        activations: of an MLP, one a hidden layer.
        features: nodes of each hidden layer's features (after its activation), or of each block's output.
        start: node of what the first of them is computed from: the input, or the stream before the first block.
        output: node of the output.
        head: whether a last matrix follows the features.
        reasons: why no theory of the package is about this module; empty where one is.
    """

    family: Literal["mlp", "residual", "outside"]
    layers: tuple[Layer, ...] = ()
    blocks: tuple[Block, ...] = ()
    activations: tuple[Function, ...] = ()
    features: tuple[int, ...] = ()
    start: int = 0
    output: int = 0
    head: bool = False
    reasons: tuple[str, ...] = field(default=())

    @property
    def depth(self) -> int:
        """Hidden layers or blocks."""
        return len(self.features)


class _Outside(Exception):
    """The module is none of those that are recognised, for the reason given."""


def read(nodes: list[Node], output: int) -> Reading:
    """What the tape computes up to node `output`. Cost: a millisecond a layer."""
    used = _ancestors(nodes, output)
    reasons = _foreign(nodes, used)
    layers: tuple[Layer, ...] = ()
    try:
        if reasons:
            raise _Outside
        within = set(used)
        layers = tuple(_layer(nodes, n.index) for n in matrices(nodes) if n.index in within)
        if not layers:
            raise _Outside("it has no weight matrix")
        _check_shared(nodes, layers)
        if any(nodes[i].kind == "sum" for i in used):
            return _residual(nodes, output, used, layers)
        return _perceptron(nodes, output, layers)
    except _Outside as why:
        reasons = (*reasons, *map(str, why.args))
    return Reading("outside", layers, output=output, reasons=reasons)


def _ancestors(nodes: list[Node], output: int) -> list[int]:
    found, todo = set(), [output]
    while todo:
        index = todo.pop()
        if index not in found:
            found.add(index)
            todo += nodes[index].parents
    return sorted(found)


def _foreign(nodes: list[Node], used: Sequence[int]) -> tuple[str, ...]:
    """Why no theory can be about these nodes, one reason a sort."""
    count = Counter(nodes[i].kind for i in used)
    found = []
    if count["normalisation"]:
        names = " and ".join(sorted({nodes[i].function for i in used if nodes[i].kind == "normalisation"}))
        found.append(
            f"it normalises its features {count['normalisation']} times ({names}): every theory here takes layers "
            "whose features keep their random norm"
        )
    if count["attention"]:
        found.append(
            f"it has {count['attention']} attention or product layers, which multiply features with each other"
        )
    if count["convolution"]:
        found.append(
            f"it has {count['convolution']} convolutions: positions of one input share their weights, while every "
            "theory here takes one fresh matrix for the whole of a layer's features"
        )
    others = Counter(nodes[i].function for i in used if nodes[i].kind == "other")
    if others:
        words = ", ".join(f"{name} ({n})" for name, n in sorted(others.items()))
        found.append(f"it calls functions that no theory here describes: {words}")
    tokens = [nodes[i] for i in used if nodes[i].kind == "linear" and len(nodes[i].shape) > 2]
    if tokens:
        found.append(f"several positions of one input share a matrix ({len(tokens)} of its matrices)")
    mixing = [nodes[i] for i in used if nodes[i].kind == "view" and nodes[i].function not in WHOLE_VIEWS]
    if mixing and not tokens:
        words = ", ".join(sorted({node.function for node in mixing}))
        found.append(f"it takes its features apart ({words})")
    return tuple(found)


def _check_shared(nodes: list[Node], layers: Sequence[Layer]) -> None:
    seen = Counter(
        (weight.data_ptr(), tuple(weight.shape)) for layer in layers if (weight := nodes[layer.node].weight) is not None
    )
    if any(n > 1 for n in seen.values()):
        raise _Outside("several layers share one weight matrix, while theories take a fresh one for each")


def _layer(nodes: list[Node], index: int) -> Layer:
    node = nodes[index]
    assert node.weight is not None
    data = _data_parent(nodes, node)
    before = _function(nodes, data, nodes[data].source)
    return Layer(index, nodes[data].source, before, int(node.weight.shape[1]), int(node.weight.shape[0]), node.name)


def _data_parent(nodes: list[Node], node: Node) -> int:
    """What the matrix multiplies; a bias that was added afterwards has the map itself as its parent."""
    parent = node.parents[0]
    while nodes[parent].weight is node.weight:
        parent = nodes[parent].parents[0]
    return parent


def _function(nodes: list[Node], index: int, source: int, zeros: Sequence[int] = ()) -> Function:
    """The elementwise function from `source` to node `index`, with the sources `zeros` at 0."""

    def evaluate(x: Array) -> Array:
        at = torch.from_numpy(np.asarray(x, dtype=float).reshape(-1))
        values = {source: at} | {zero: torch.zeros_like(at) for zero in zeros}
        return np.asarray(replay(nodes, index, values).double().numpy()).reshape(np.shape(x))

    try:
        return recognise(evaluate, nodes[index].name)
    except (ValueError, TypeError, RuntimeError):
        raise _Outside(f"what {nodes[index].name} does to each entry could not be found out") from None


def _perceptron(nodes: list[Node], output: int, layers: tuple[Layer, ...]) -> Reading:
    before = 0
    for layer in layers:
        if layer.source != before:
            raise _Outside(f"{layer.name} does not follow the layer before it")
        before = layer.node
    if nodes[output].source != layers[-1].node:
        raise _Outside("its output is not that of its last layer")
    last = _function(nodes, output, layers[-1].node)
    head = last.linear
    hidden = layers[:-1] if head else layers
    if not hidden:
        raise _Outside("it has no hidden layer")
    following = [*layers[1:]]
    activations = [layer.before for layer in following] + ([] if head else [last])
    features = [_data_parent(nodes, nodes[layer.node]) for layer in following] + ([] if head else [output])
    start = _data_parent(nodes, nodes[layers[0].node])
    return Reading("mlp", layers, (), tuple(activations), tuple(features), start, output, head)


def _residual(nodes: list[Node], output: int, used: Sequence[int], layers: tuple[Layer, ...]) -> Reading:
    by_node = {layer.node: layer for layer in layers}
    # a bias that is added to a sum makes it a node of its own: the last one is the block's output
    sums = [i for i in used if nodes[i].kind == "sum" and not _completed(nodes, used, i)]
    stream, blocks, inside = None, [], set()
    for index in sums:
        first, biased = index, False
        while nodes[first].bias is not None:
            first, biased = nodes[first].parents[0], True
        sources = sorted({nodes[p].source for p in nodes[first].parents})
        if stream is None:
            stream = start = sources[0]
        if stream not in sources or len(sources) != 2:
            raise _Outside(f"{nodes[first].name} does not add one branch to the stream that the blocks before it left")
        branch = next(s for s in sources if s != stream)
        if branch not in by_node:
            raise _Outside(f"the branch of {nodes[first].name} does not end in a weight matrix")
        block = _block(nodes, first, index, stream, by_node[branch], by_node, biased)
        inside |= {layer.node for layer in block.layers}
        blocks.append(block)
        stream = index
    assert stream is not None
    rest = [layer for layer in layers if layer.node not in inside]
    stem = [layer for layer in rest if layer.node <= start]
    if (
        len(stem) > 1
        or any(layer.source != stream for layer in rest if layer.node > start)
        or len(rest) - len(stem) > 1
    ):
        raise _Outside("it has layers besides its blocks, more than one before and one after them")
    if len({block.kind for block in blocks}) > 1:
        raise _Outside("its blocks are of different kinds")
    features = tuple(block.node for block in blocks)
    return Reading("residual", layers, tuple(blocks), (), features, start, output, len(rest) > len(stem))


def _completed(nodes: list[Node], used: Sequence[int], index: int) -> bool:
    """Whether a bias is still added to this sum."""
    return any(nodes[i].kind == "sum" and nodes[i].bias is not None and index in nodes[i].parents for i in used)


def _block(
    nodes: list[Node], first: int, node: int, stream: int, last: Layer, by_node: dict[int, Layer], biased: bool
) -> Block:
    skip = _function(nodes, first, stream, (last.node,))
    branch = _function(nodes, first, last.node, (stream,))
    if not skip.linear or skip.slopes is None:
        raise _Outside(f"the stream passes {skip.words} between blocks, as in a post-activation ResNet")
    if last.source == stream:
        if branch.slopes is not None and branch.linear:
            return Block("vanilla", node, skip.slopes[0], branch.slopes[0], (last,), last.before, biased)
        if last.before.slopes == (1.0, 1.0):
            return Block("reduced", node, skip.slopes[0], 1.0, (last,), branch, biased)
    elif last.source in by_node and by_node[last.source].source == stream and branch.slopes is not None:
        inner = by_node[last.source]
        if branch.linear and inner.before.linear and inner.before.slopes is not None:
            scaled = branch.slopes[0], inner.before.slopes[0]
            if scaled[1] == 1:
                return Block("full", node, skip.slopes[0], scaled[0], (inner, last), last.before, biased)
        elif branch.linear and inner.before.same(last.before):
            layers = (inner, last)
            return Block("pre-activation", node, skip.slopes[0], branch.slopes[0], layers, last.before, biased)
    raise _Outside(f"the branch of {nodes[first].name} is none of W phi(x), V phi(W x), phi(W x), V phi(W phi(x))")
