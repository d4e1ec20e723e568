"""Exponents and constants of the asymptotic laws, measured on long recurrences and set against their closed forms.

Only exact recurrences are used, and each quantity is read where its law has begun: a forced term is taken off before a
slope is read, and a slow decay is read from the difference of two trajectories beside the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import optimize

from limitbench.errors import InputError
from limitbench.theories.mean_field.asymptotic_laws import power_law, relu_law, saturating_law
from limitbench.theories.mean_field.recurrence import MeanField

Layers = Float[np.ndarray, " layers"]

#: The exponents of powers of ReLU that the table has.
ALPHAS = (0.55, 0.6, 2.0 / 3.0, 0.75, 0.8, 0.9)
#: Layers of recurrences of one input, and of two: tanh costs more.
_LONG, _PAIRS = 200_000, {"erf": 64_000, "tanh": 8_000}
#: A slow decay is read over `_SLOW` blocks after a start at the length of layer `_START`; a limit of the cosine that is
#: approached too slowly to be seen, where one block at the length of layer `_DRIFT` leaves it unchanged.
_START, _SLOW, _DRIFT = 200, 5_000, 100_000_000


@dataclass(frozen=True)
class Estimate:
    """A number read off a recurrence.

    Attributes:
        quantity: `length exponent`, `C`, `A`, `B`, `gain exponent`, `limit cosine`, `cosine exponent`, `growth`,
            `prefactor`.
        activation, network: of the recurrence.
        predicted: the closed form.
        measured: the reading.
        error: its own error: how far a reading at half the depth lies from it.
        layers: deepest layer used.
    """

    quantity: str
    activation: str
    network: str
    predicted: float
    measured: float
    error: float
    layers: int

    @property
    def deviation(self) -> float:
        """|measured/predicted - 1|, or |measured| where 0 is predicted."""
        return abs(self.measured - self.predicted) / (abs(self.predicted) or 1.0)


@lru_cache(maxsize=1)
def exponent_table() -> tuple[Estimate, ...]:
    """Every estimate, in the setting sv2 = 1.5, sa2 = 0.5, sw2 = 1.69, sb2 = 0.49. Cost: 4 s, once."""
    saturating = [MeanField(network, activation) for network in ("full", "reduced") for activation in ("erf", "tanh")]
    rows = [row for field in saturating for row in (*saturating_lengths(field), *saturating_cosine(field))]
    rows += relu_estimates(MeanField("full", "relu"))
    for alpha in ALPHAS:
        rows += power_estimates(MeanField("full", f"relu-{alpha:.16f}"))
    return tuple(rows)


def saturating_lengths(field: MeanField, layers: int = _LONG) -> tuple[Estimate, ...]:
    """Length exponent 1, C, A and B of tanh and erf: least squares on sqrt l, ln l, 1 and powers of l^-1/2."""
    law = saturating_law(field)
    p, log_gain = _lengths(field, layers)

    def fits(top: int) -> tuple[float, float, float, float]:
        at = _geometric(top)
        length = _coefficients(at, p[at], linear=True)
        gain = _coefficients(at, log_gain[at], linear=False)
        # the slope of ln(p + C sqrt l), free of the first correction
        corrected = np.log(p[[top // 2, top]] - length[1] * np.sqrt([top // 2, top]))
        return float(np.diff(corrected)[0]) / math.log(top / (top // 2)), -length[1], gain[0], gain[1]

    predicted = (1.0, law.length_correction, law.gain, law.gain_correction)
    names = ("length exponent", "C", "A", "B")
    return _estimates(field, names, predicted, fits(layers), fits(layers // 2), layers)


def saturating_cosine(field: MeanField, layers: int | None = None, *, forced: bool = True) -> tuple[Estimate, ...]:
    """e* and delta of tanh and erf: delta from the slope of ln |e_l - e* - F l^-1/2|, e* as in `power_estimates`.

    Arguments:
        field: the network.
        layers: deepest layer; 1e5 for erf and 12 000 for tanh where left out.
        forced: whether the forced term F l^-1/2 is taken off; the raw slope is 0.03 to 0.07 too low.
    """
    law = saturating_law(field)
    layers = layers or _PAIRS[field.activation]
    e = field.run(layers, rho0=0.0 if law.limit_cosine else 0.9).cosine

    def reading(top: int) -> tuple[float]:
        at = np.array([top // 4, top])
        rest = e[at] - law.limit_cosine - (law.forced / np.sqrt(at) if forced else 0.0)
        return (-float(np.diff(np.log(np.abs(rest)))[0]) / math.log(at[1] / at[0]),)

    slope = _estimates(field, ("cosine exponent",), (law.decay,), reading(layers), reading(layers // 2), layers)
    return (limit_cosine(field), *slope)


def relu_estimates(field: MeanField, layers: int = 20_000) -> tuple[Estimate, ...]:
    """Full ReLU: growth ln Bc of chi and of p, the exponent 2 of 1 - e_l, and its prefactor over the closed form."""
    law = relu_law(field)
    t = field.run(layers, rho0=0.0)
    log_gap = t.log_distance - math.log(2.0) - t.log_p
    growth, closing = math.log(law.growth), math.log(law.closing or 1.0)

    def reading(top: int) -> tuple[float, float, float, float]:
        half = top // 2
        slope = -float(log_gap[top] - log_gap[half]) / math.log(top / half)
        chi = float(t.log_chi[half] - t.log_chi[top]) / (top - half)
        length = float(t.log_p[top] - t.log_p[half]) / (top - half)
        return chi, length, slope, math.exp(log_gap[top] + 2.0 * (closing + math.log(top)))

    names = ("growth", "length growth", "cosine exponent", "prefactor")
    predicted = (growth, growth, 2.0, 1.0)
    return _estimates(field, names, predicted, reading(layers), reading(layers // 2), layers)


def power_estimates(field: MeanField, layers: int = _LONG) -> tuple[Estimate, ...]:
    """max(x, 0)^a: length exponent 1/(1-a), gain exponent R, prefactor p/(K l^(1/(1-a))), e*, and mu.

    From a generic start mu does not show by l = 2e5. It is read from the difference of two trajectories that start at
    e* +- 1e-4 with the length of layer 200, so that forced terms cancel; e* is where a block leaves the cosine alone.

    Raises `InputError` for a > 0.95, whose lengths leave the range of floats.
    """
    law = power_law(field)
    if law.length_exponent > 20.5:
        raise InputError("activation", field.activation, "relu-A with A of at most 0.95")
    p, log_gain = _lengths(field, layers)

    def reading(top: int) -> tuple[float, float, float]:
        at = [top // 2, top]
        ratio = math.log(at[1] / at[0])
        length = float(np.diff(np.log(p[at]))[0]) / ratio
        start = law.log_length(top)
        return length, float(np.diff(log_gain[at])[0]) / ratio, math.exp(math.log(p[top]) - (start or 0.0))

    names = ("length exponent", "gain exponent", "prefactor")
    predicted = (law.length_exponent, law.gain_exponent, 1.0)
    rows = _estimates(field, names, predicted, reading(layers), reading(layers // 2), layers)
    return (*rows, limit_cosine(field), _slow(field))


def limit_cosine(field: MeanField) -> Estimate:
    """e* as the cosine that one block leaves unchanged, at the length of layer `_DRIFT`. Cost: 1 ms."""
    law = saturating_law(field) if field.kernel.odd else power_law(field)

    def still(layer: int) -> tuple[float]:
        norm0 = math.exp(law.log_length(layer) or 0.0)

        def drift(log_gap: float) -> float:
            rho0 = 1.0 - math.exp(log_gap)
            return float(field.run(1, norm0=norm0, rho0=rho0).cosine[1]) - rho0

        return (1.0 - math.exp(optimize.brentq(drift, math.log(1e-6), math.log(1.5), xtol=1e-9)),)

    return _estimates(field, ("limit cosine",), (law.limit_cosine,), still(_DRIFT), still(_DRIFT // 2), 1)[0]


def _slow(field: MeanField) -> Estimate:
    """mu from the difference of two trajectories beside e*: a start at the length of layer `_START` is that layer."""
    law = power_law(field)
    norm0 = math.exp(law.log_length(_START) or 0.0)
    beside = min(1e-4, (1.0 - law.limit_cosine) / 4.0)
    runs = [field.run(_SLOW, norm0=norm0, rho0=law.limit_cosine + side * beside).cosine for side in (1.0, -1.0)]
    rest = np.log(runs[0] - runs[1])

    def slope(top: int) -> float:
        return float(rest[top // 4] - rest[top]) / math.log((_START + top) / (_START + top // 4))

    names, found, half = ("cosine exponent",), (slope(_SLOW),), (slope(_SLOW // 2),)
    return _estimates(field, names, (law.decay,), found, half, _SLOW)[0]


def _lengths(field: MeanField, layers: int) -> tuple[Layers, Layers]:
    """p_l and ln(chi_0/chi_l) for l = 0 .. layers."""
    q = field.run_lengths(layers + 1, 1.0)[1:]
    gains = field.log_gain(q[:-1])
    return (q - field.sigma_b2) / field.sigma_w2, np.concatenate([[0.0], np.cumsum(gains)])


def _geometric(top: int) -> np.ndarray:
    return np.unique(np.geomspace(max(top / 1000.0, 10.0), top, 400).astype(int))


def _coefficients(at: np.ndarray, values: Layers, *, linear: bool) -> list[float]:
    """Least squares on l (if `linear`), sqrt l, ln l, 1, l^-1/2 ln l, l^-1/2; coefficients in that order."""
    x = at.astype(float)
    columns = [x] if linear else []
    columns += [np.sqrt(x), np.log(x), np.ones_like(x), np.log(x) / np.sqrt(x), 1.0 / np.sqrt(x)]
    design = np.stack(columns, axis=1)
    scale = np.linalg.norm(design, axis=0)
    found = np.linalg.lstsq(design / scale, values, rcond=None)[0] / scale
    return [float(v) for v in found]


def _estimates(
    field: MeanField,
    names: tuple[str, ...],
    predicted: tuple[float, ...],
    measured: tuple[float, ...],
    halfway: tuple[float, ...],
    layers: int,
) -> tuple[Estimate, ...]:
    return tuple(
        Estimate(name, field.activation, field.network, right, found, abs(found - half), layers)
        for name, right, found, half in zip(names, predicted, measured, halfway, strict=True)
    )
