"""The tape of one forward pass: every torch function that a module calls on data that depends on its input.

A tape says what a module computes whatever its classes are called: functional calls, operators and modules of other
libraries end in the same torch functions. A node whose function acts on each entry by itself can be replayed on other
numbers, so that a hand-written activation is known by its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Kind = Literal["input", "linear", "convolution", "elementwise", "sum", "view", "normalisation", "attention", "other"]


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: Functions by what they do to a tensor; names without the underscores of in-place and reflected forms.
ELEMENTWISE = _names(
    "relu leaky_relu rrelu tanh gelu silu elu celu selu softplus sigmoid hardtanh hardswish hardsigmoid mish prelu "
    "relu6 logsigmoid log_sigmoid softsign tanhshrink hardshrink softshrink threshold erf sin cos exp log log1p expm1 "
    "sqrt rsqrt reciprocal abs square pow rpow neg positive mul rmul imul multiply div rdiv rtruediv itruediv truediv "
    "true_divide add radd iadd sub rsub isub subtract maximum minimum max min clamp clamp_min clamp_max clip where gt "
    "ge lt le eq ne sign sgn heaviside zeros_like ones_like full_like asinh atan arctan arcsinh sinh cosh logaddexp "
    "logical_not logical_and logical_or hypot float double to type type_as clone contiguous nan_to_num lerp "
    "addcmul"
)
SUMS = _names("add radd iadd sub rsub isub subtract")
VIEWS = _names(
    "flatten view reshape unsqueeze squeeze unflatten transpose permute movedim swapaxes view_as reshape_as detach "
    "getitem select narrow chunk split unbind mT T"
)
#: Views that keep each input's entries together.
WHOLE_VIEWS = _names("flatten view reshape unsqueeze squeeze unflatten view_as reshape_as detach")
NORMALISATIONS = _names(
    "layer_norm batch_norm group_norm instance_norm rms_norm normalize local_response_norm native_layer_norm "
    "native_batch_norm native_group_norm"
)
ATTENTIONS = _names(
    "multi_head_attention_forward scaled_dot_product_attention softmax _native_multi_head_attention "
    "_transformer_encoder_layer_fwd"
)
CONVOLUTIONS = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
DROPOUTS = _names("dropout alpha_dropout feature_dropout feature_alpha_dropout dropout1d dropout2d dropout3d")
RANDOM = _names("rand_like randn_like bernoulli normal uniform multinomial randint_like")


@dataclass(frozen=True)
class Ref:
    """The place of a node's value in a recorded call."""

    index: int


@dataclass(eq=False)
class Node:
    """One value of the tape.

    Attributes:
        index: its number in order of execution.
        function: the torch function's name; `input` for the input.
        kind: what it does.
        parents: nodes that it was computed from.
        source: the last node before it that is not an elementwise function or a view of another; itself if it is.
        module: dotted name of the innermost module that called it.
        shape: of its value.
        weight, bias: of a linear map or convolution, out x in; a sum has a bias too.
        call: function and arguments with `Ref` in place of values, to replay it; None where that is not possible.
    """

    index: int
    function: str
    kind: Kind
    parents: tuple[int, ...]
    source: int
    module: str
    shape: tuple[int, ...]
    weight: Tensor | None = None
    bias: Tensor | None = None
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """Module and function, for labels."""
        return f"{self.module}: {self.function}" if self.module else self.function


class Tape(TorchFunctionMode):
    """Records the nodes of one forward pass; `dropouts` counts the dropout layers, which are switched off.

    Arguments:
        like: the nodes of an earlier pass of the same module: then nodes are those, in order, and are neither looked
            into nor named again; `same` says whether the functions were the same.
        seen: is called with every node, its value, weight and bias, as soon as they are there.
    """

    def __init__(
        self,
        *,
        like: list[Node] | None = None,
        seen: Callable[[Node, Tensor, Tensor | None, Tensor | None], None] | None = None,
    ) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.values: list[Tensor] = []
        self.dropouts = 0
        self.same = True
        self._like, self._seen = like, seen
        self._known: dict[int, int] = {}
        self._matrices: dict[int, Tensor] = {}
        self._modules: list[str] = []

    def run(self, module: nn.Module, x: Tensor) -> Tensor:
        """The module's output; its input is node 0."""
        self._add(x, Node(0, "input", "input", (), 0, "", tuple(x.shape)), None, None)
        with self._named(module) if self._like is None else nullcontext(), self:
            out = module(x)
        return _first_tensor(out)

    @property
    def floating(self) -> list[bool]:
        """Which nodes hold floating-point numbers."""
        return [value.dtype.is_floating_point for value in self.values]

    def node_of(self, value: Tensor) -> Node | None:
        """The node that has this value."""
        index = self._known.get(id(value))
        return None if index is None else self.nodes[index]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, and record what it returns if that depends on the input."""
        named = dict(kwargs or {})
        known = self._known
        found: dict[int, None] = {}
        for value in (*args, *named.values()):
            if isinstance(value, Tensor):
                if id(value) in known:
                    found[known[id(value)]] = None
            elif isinstance(value, list | tuple):
                found |= dict.fromkeys(known[id(t)] for t in tensors(value) if id(t) in known)
        if not found:
            return func(*args, **named)
        function = _function_name(func)
        if function in DROPOUTS:
            self.dropouts += 1
            return args[0]
        if "dropout_p" in named:
            self.dropouts += bool(named["dropout_p"])
            named["dropout_p"] = 0.0
        call = self._call(func, args, named) if self._like is None else None
        out = func(*args, **named)
        for value in (out,) if isinstance(out, Tensor) else tensors(out):
            if self._like is not None:
                self._again(function, args, named, value)
                continue
            node = self._node(function, tuple(found), args, named, value)
            if node is not None:
                node.call = call if node.kind in ("elementwise", "sum", "view") else None
                self._add(value, node, node.weight, node.bias)
        return out

    def _again(self, function: str, args: tuple[Any, ...], named: Mapping[str, Any], value: Tensor) -> None:
        """The next node of the earlier pass, with this pass's value and weight."""
        assert self._like is not None
        index = len(self.nodes)
        if index >= len(self._like) or self._like[index].function != function:
            self.same = False
            return
        node, weight, bias = self._like[index], None, None
        if node.kind == "linear":
            weight, bias = _linear(function, args, named, self._known) or (None, None)
        elif node.kind == "convolution":
            weight, bias = args[1] if len(args) > 1 else named["weight"], _third(args, named)
        if weight is None and node.kind == "linear":  # a bias that is added to a matrix's output
            weight = self._matrices[node.parents[0]]
            bias = next(t for t in tensors((args, named)) if id(t) not in self._known)
        if weight is not None:
            self._matrices[index] = weight
        self._add(value, node, weight, bias)

    def _node(
        self, function: str, parents: tuple[int, ...], args: tuple[Any, ...], named: Mapping[str, Any], value: Tensor
    ) -> Node | None:
        index, shape = len(self.nodes), tuple(value.shape)
        module = self._modules[-1] if self._modules else ""
        first = self.nodes[parents[0]]

        def made(kind: Kind, source: int = index, weight: Any = None, bias: Any = None) -> Node:
            return Node(index, function, kind, parents, source, module, shape, weight, bias)

        positional = [*args, *named.values()]
        leads = bool(positional) and isinstance(positional[0], Tensor) and id(positional[0]) in self._known
        if function in RANDOM:
            return made("other")
        if function in VIEWS or (function in ("to", "type_as") and not leads):
            return made("view", first.source) if leads else None
        if (linear := _linear(function, args, named, self._known)) is not None:
            return made("linear", weight=linear[0], bias=linear[1])
        if function in CONVOLUTIONS:
            return made("convolution", weight=args[1] if len(args) > 1 else named["weight"], bias=_third(args, named))
        if function in NORMALISATIONS:
            return made("normalisation")
        if function in ATTENTIONS or (function in ("matmul", "bmm", "baddbmm") and len(parents) > 1):
            return made("attention")
        if (
            function not in ELEMENTWISE
            or isinstance(value, nn.Parameter)
            or not _same_shape(self.nodes, parents, shape)
        ):
            return made("other")
        vectors = [t for t in tensors((args, named)) if id(t) not in self._known and not _uniform(t)]
        sources = {self.nodes[p].source for p in parents}
        if vectors:  # one number a unit: the bias of a layer that has none yet, or nothing that is known
            start = self.nodes[first.source]
            plain = function in SUMS and len(vectors) == 1 and len(parents) == 1 and first.index == start.index
            if plain and start.kind in ("linear", "sum") and start.bias is None:
                return made(start.kind, weight=start.weight, bias=vectors[0])
            return made("other")
        if len(sources) == 1:
            return made("elementwise", first.source)
        return made("sum") if function in SUMS else made("other")

    def _call(
        self, func: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        return func, tuple(self._freeze(a) for a in args), {key: self._freeze(v) for key, v in named.items()}

    def _freeze(self, value: Any) -> Any:
        """`Ref` in place of values of the tape, one number in place of tensors whose entries are all the same."""
        if isinstance(value, Tensor):
            if id(value) in self._known:
                return Ref(self._known[id(value)])
            return value.detach().reshape(-1)[:1].double() if _uniform(value) and value.numel() else value
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return type(value)(self._freeze(part) for part in value)
        return value

    def _add(self, value: Tensor, node: Node, weight: Tensor | None, bias: Tensor | None) -> None:
        self._known[id(value)] = node.index
        self.values.append(value)  # an id may be used again once its tensor is gone
        self.nodes.append(node)
        if self._seen is not None:
            self._seen(node, value, weight, bias)

    @contextmanager
    def _named(self, module: nn.Module) -> Iterator[None]:
        handles = []
        for name, part in module.named_modules():
            handles.append(part.register_forward_pre_hook(lambda *_, name=name: self._modules.append(name)))
            handles.append(part.register_forward_hook(self._left))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _left(self, *_: Any) -> None:
        self._modules.pop()


def matrices(nodes: list[Node]) -> list[Node]:
    """The linear maps and convolutions; a map to whose output a bias is added is the node after the addition."""
    found = [n for n in nodes if n.weight is not None]
    completed = {n.parents[0] for n in found if nodes[n.parents[0]].weight is n.weight}
    return [n for n in found if n.index not in completed]


def replay(nodes: list[Node], index: int, at: Mapping[int, Tensor]) -> Tensor:
    """The value of node `index` where its sources have the values `at`; elementwise functions and sums only.

    Raises `ValueError` where a node on the way cannot be replayed.
    """
    if index in at:
        return at[index].clone()  # in-place functions write into it
    node = nodes[index]
    if node.kind == "view":
        return replay(nodes, node.parents[0], at)
    if node.call is None:
        raise ValueError(node.name)
    func, args, named = node.call
    with torch.no_grad():
        given = [_thaw(nodes, a, at) for a in args]
        return _first_tensor(func(*given, **{key: _thaw(nodes, value, at) for key, value in named.items()}))


def _thaw(nodes: list[Node], value: Any, at: Mapping[int, Tensor]) -> Any:
    """A recorded argument with values in place of `Ref`."""
    if isinstance(value, Ref):
        return replay(nodes, value.index, at)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_thaw(nodes, part, at) for part in value)
    return value


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def _first_tensor(value: Any) -> Tensor:
    found = next(tensors(value), None)
    if found is None:
        raise TypeError(f"returned {type(value).__name__}, not a tensor")
    return found


def _function_name(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", "") or ""
    return name if name.startswith(("_native", "_transformer")) else name.strip("_")


def _third(args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return args[2] if len(args) > 2 else named.get("bias")


def _linear(
    function: str, args: tuple[Any, ...], named: Mapping[str, Any], known: Mapping[int, int]
) -> tuple[Tensor, Tensor | None] | None:
    """Weight (out x in) and bias where the call is a linear map of data by a matrix that does not depend on it."""
    parts = [*args, *(value for key, value in named.items() if key in ("input", "weight", "other", "mat2"))]
    if function == "linear" and len(parts) > 1 and id(parts[1]) not in known:
        return parts[1], _third(args, named)
    if function in ("matmul", "rmatmul", "mm") and len(parts) > 1 and id(parts[0]) in known:
        weight = parts[1]
        if isinstance(weight, Tensor) and id(weight) not in known and weight.dim() == 2:
            return weight.detach().t(), None
    if function == "addmm" and len(args) > 2 and id(args[1]) in known and id(args[2]) not in known and not named:
        return args[2].detach().t(), args[0]
    return None


def _same_shape(nodes: list[Node], parents: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(nodes[p].shape == shape for p in parents)


def _uniform(value: Tensor) -> bool:
    """Whether all entries are the same, so that one number stands for them."""
    if value.numel() <= 1:
        return True
    flat = value.detach().reshape(-1)
    return bool((flat == flat[0]).all())
