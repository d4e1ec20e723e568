"""From a reading and the weights that were seen to a case that theories know, or to the reasons why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from limitbench.advice.check import kernel
from limitbench.advice.check.case import Case
from limitbench.advice.check.kernel import Moments, Variances
from limitbench.advice.check.measure import Measured
from limitbench.advice.check.perceptrons import MixedCase, PiecewiseCase, PlainCase
from limitbench.advice.check.read import Layer, Reading
from limitbench.advice.check.residuals import BlocksCase, VanillaCase
from limitbench.advice.check.values import Function
from limitbench.advice.check.weights import LayerWeights

#: Standard errors within which two estimates are the same, and within which one is an initialiser's own value.
_SAME, _SNAP = 5.0, 4.5
#: Relative distance beyond which no estimate is taken for an initialiser's.
_NEAR = 0.02


@dataclass(frozen=True, eq=False)
class Initialisation:
    """What the matrices of the body of the module are drawn from.

    Attributes:
        name: `He`, `LeCun`, `PyTorch's default`, or empty.
        words: one sentence.
        ensemble: Gaussian, uniform, ...
        sigma_w2, sigma_b2: of the matrices in the middle, which all have the same; NaN where they differ.
        gain: sigma_w over He's value; 1 keeps the mean squared norm of an MLP; NaN where phi has no two slopes.
        gain_se: its standard error.
    """

    name: str
    words: str
    ensemble: str
    sigma_w2: float
    sigma_b2: float
    gain: float = math.nan
    gain_se: float = math.nan

    @property
    def he(self) -> bool:
        """Whether the gain is He's."""
        return self.name == "He"


def build(measured: Measured) -> tuple[Case | None, Initialisation | None, tuple[str, ...]]:
    """The case, what its weights are, and the reasons why there is no case."""
    reading = measured.cell.reading
    if not measured.weights:
        return None, None, reading.reasons
    middle = _middle(reading, measured.weights)
    initial = _initialisation(reading, middle, measured)
    if reading.family == "outside":
        return None, initial, reading.reasons
    reasons = []
    wrong = [w for w in measured.weights.values() if not w.centred]
    if wrong:
        reasons.append(f"the weights of {wrong[0].name} have a common mean ({len(wrong)} matrices do)")
    zero = [m for m in reading.layers[: reading.depth] if not measured.weights[m.node].sigma_w2]
    if reading.family == "mlp" and zero:
        reasons.append(f"the weights of {zero[0].name} are 0: nothing passes through")
    if reasons:
        return None, initial, tuple(reasons)
    variances = _variances(reading, measured.weights)
    start = _start(reading, measured, variances)
    if reading.family == "mlp":
        hidden = [variances[m.node] for m in reading.layers[: reading.depth]]
        path = kernel.perceptron(start, hidden, reading.activations)
        slopes = _slopes(reading.activations)
        if slopes is not None and not any(v.b for v in hidden):
            return PiecewiseCase(reading, variances, path, slopes, initial.ensemble), initial, ()
        if all(f.slopes is not None and any(f.slopes) for f in reading.activations) and not any(v.b for v in hidden):
            return MixedCase(reading, variances, path), initial, ()
        return PlainCase(reading, variances, path), initial, ()
    sizes = [[variances[m.node] for m in block.layers] for block in reading.blocks]
    path = kernel.residual(start, reading.blocks, sizes)
    vanilla = all(
        block.kind == "vanilla" and block.activation.slopes is not None and block.activation.slopes[1] == 0
        for block in reading.blocks
    )
    same = len({(b.skip, b.branch, s[0].w) for b, s in zip(reading.blocks, sizes, strict=True)}) == 1
    unbiased = not any(v.b for s in sizes for v in s) and not any(b.biased for b in reading.blocks)
    on = all(v.w for s in sizes for v in s)
    kind = VanillaCase if vanilla and same and unbiased and on and reading.blocks[0].skip > 0 else BlocksCase
    return kind(reading, variances, path), initial, ()


def _slopes(activations: Sequence[Function]) -> tuple[float, float] | None:
    """Those of all layers, where they are the same."""
    found = {f.slopes for f in activations}
    slopes = found.pop()
    return slopes if not found and slopes is not None and any(slopes) else None


def _groups(reading: Reading) -> list[list[Layer]]:
    """Matrices that an architecture draws alike: hidden layers, or those at one place of every block."""
    if reading.blocks:
        return [list(group) for group in zip(*(block.layers for block in reading.blocks), strict=True)]
    hidden = list(reading.layers[: reading.depth])
    return [hidden[1:] or hidden]


def _variances(reading: Reading, weights: Mapping[int, LayerWeights]) -> dict[int, Variances]:
    """Estimates, pooled where layers are alike, and exact where an initialiser's value is within their error."""
    snaps = _initialisers(reading)
    found = {node: Variances(_snapped(w.sigma_w2, w.sigma_w2_se, snaps), _bias(w)) for node, w in weights.items()}
    for group in _groups(reading):
        members = [weights[m.node] for m in group]
        pooled, se = pool(members)
        if any(abs(w.sigma_w2 - pooled) > _SAME * w.sigma_w2_se for w in members):
            continue
        value = _snapped(pooled, se, snaps)
        biases = [_bias(w) for w in members]
        bias = float(np.mean(biases)) if max(biases) < 1.5 * min(biases) else None
        for m in group:
            found[m.node] = Variances(value, found[m.node].b if bias is None else bias)
        first = reading.layers[0]
        if (
            reading.family == "mlp"
            and abs(weights[first.node].sigma_w2 - value) < _SNAP * weights[first.node].sigma_w2_se
        ):
            found[first.node] = Variances(value, found[first.node].b)
    return found


def _initialisers(reading: Reading) -> dict[float, None]:
    """Values of sigma_w^2 that initialisers have: He's for the slopes that were read, ReLU's, 1, PyTorch's, 1/2."""
    half = 1.0
    if reading.family == "mlp" and (slopes := _slopes(reading.activations)) is not None:
        half = (slopes[0] ** 2 + slopes[1] ** 2) / 2
    return dict.fromkeys((1 / half, 2.0, 1.0, 1 / 3, 0.5))


def pool(members: Sequence[LayerWeights]) -> tuple[float, float]:
    """sigma_w^2 of all of them, weighted by their numbers of entries, and its standard error."""
    sizes = np.array([w.fan_in * w.fan_out for w in members], dtype=float)
    share = sizes / sizes.sum()
    value = float(share @ [w.sigma_w2 for w in members])
    return value, float(math.sqrt(share**2 @ np.array([w.sigma_w2_se for w in members]) ** 2))


def _snapped(value: float, se: float, snaps: Mapping[float, None]) -> float:
    near = [s for s in snaps if abs(value - s) < _SNAP * se and abs(value - s) < _NEAR * s]
    return near[0] if near else value


def _bias(weights: LayerWeights) -> float:
    default = 1 / (3 * weights.fan_in)
    return default if weights.pytorch_default and weights.sigma_b2 else weights.sigma_b2


def _middle(reading: Reading, weights: Mapping[int, LayerWeights]) -> list[LayerWeights]:
    """The matrices that make the depth: hidden ones, those of blocks, or all."""
    if reading.family == "outside":
        return list(weights.values())
    return [weights[m.node] for group in _groups(reading) for m in group]


def _initialisation(reading: Reading, middle: Sequence[LayerWeights], measured: Measured) -> Initialisation:
    ensembles = {w.ensemble for w in middle}
    ensemble = ensembles.pop() if len(ensembles) == 1 else "mixed"
    pooled, se = pool(middle)
    alike = all(abs(w.sigma_w2 - pooled) <= _SAME * max(w.sigma_w2_se, 1e-12) for w in middle)
    pooled = _snapped(pooled, se, _initialisers(reading))
    biases = [w.sigma_b2 for w in middle]
    bias = float(np.mean(biases))
    slopes = _slopes(reading.activations) if reading.family == "mlp" else None
    gain = gain_se = math.nan
    if slopes is not None and alike and pooled > 0:
        half = (slopes[0] ** 2 + slopes[1] ** 2) / 2
        gain, gain_se = math.sqrt(pooled * half), se / pooled / 2 * math.sqrt(pooled * half)
    name = ""
    if all(w.pytorch_default for w in middle):
        name = "PyTorch's default"
    elif alike and _he(pooled, se, gain, gain_se):
        name = "He"
    elif alike and abs(pooled - 1) < _SNAP * se and se < _NEAR:
        name = "LeCun"
    words = _words(name, ensemble, pooled, bias, alike, gain, gain_se, middle)
    if reading.blocks and not alike:
        words = _by_place(reading, measured.weights)
    return Initialisation(name, words, ensemble, pooled if alike else math.nan, bias, gain, gain_se)


def _by_place(reading: Reading, weights: Mapping[int, LayerWeights]) -> str:
    """What the matrices at each place of the blocks are drawn from."""
    parts = []
    for name, group in zip("WV", _groups(reading), strict=False):
        members = [weights[m.node] for m in group]
        ensembles = {w.ensemble for w in members}
        ensemble = ensembles.pop() if len(ensembles) == 1 else "mixed"
        bias = float(np.mean([w.sigma_b2 for w in members]))
        biases = f", biases of variance {bias:.3g}" if bias else ", biases 0"
        parts.append(f"{name} has {ensemble} weights of variance {pool(members)[0]:.4g}/fan_in{biases}")
    return "; ".join(parts)


def _he(sigma_w2: float, se: float, gain: float, gain_se: float) -> bool:
    """Whether this is He's initialisation: gain 1 where slopes are known, else the variance 2/fan_in of ReLU."""
    value, error, he = (sigma_w2, se, 2.0) if math.isnan(gain) else (gain, gain_se, 1.0)
    return abs(value - he) < max(_SNAP * error, 1e-9) and error < _NEAR


def _words(
    name: str,
    ensemble: str,
    pooled: float,
    bias: float,
    alike: bool,
    gain: float,
    gain_se: float,
    middle: Sequence[LayerWeights],
) -> str:
    fan_in = middle[0].fan_in
    if name == "PyTorch's default":
        size = f"variance 1/(3 fan_in) of weights{' and of biases' if bias else ''}"
        return f"PyTorch's default initialisation, uniform on ±fan_in^-1/2 ({size}): not He's"
    if not alike:
        low, high = (f(w.sigma_w2 for w in middle) for f in (min, max))
        return f"{ensemble} weights of variance {low:.4g}/fan_in to {high:.4g}/fan_in, not the same in all layers"
    biases = f", biases of variance {bias:.3g}" if bias else ", biases 0" if fan_in else ""
    size = f"{ensemble} weights of variance {pooled:.4g}/fan_in{biases}"
    if name:
        return f"{name}'s {'weights' if bias else 'initialisation'}: {size}"
    if not math.isnan(gain):
        return f"{size}: {gain:.4g} ± {gain_se:.1g} times He's standard deviation, not He's"
    return size


def _start(reading: Reading, measured: Measured, variances: Mapping[int, Variances]) -> Moments:
    """Second moments of the first two inputs where the first layer or block reads them."""
    x = measured.cell.inputs[:2].double().reshape(2, -1).numpy()
    inputs = x @ x.T / x.shape[1]
    if reading.family == "mlp":
        function = reading.layers[0].before
    else:
        if reading.start == 0:
            return np.asarray(inputs)
        stem = next(m for m in reading.layers if m.node == reading.start)
        function = stem.before
    y = function.evaluate(x)
    inputs = np.asarray(y @ y.T / y.shape[1])
    if reading.family == "mlp":
        return inputs
    stem_variance = variances[reading.start]
    return np.asarray(stem_variance.w * inputs + stem_variance.b)
