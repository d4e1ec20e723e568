"""What the theories say about an MLP with a smooth activation; torch is imported for the activation itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from limitbench.advice import blocks
from limitbench.advice.architecture import SmoothMLP
from limitbench.advice.gradient import HIDDEN, Gradient
from limitbench.advice.mean_field import MeanFieldNetwork
from limitbench.advice.rows import OBSERVABLES, Opinion
from limitbench.errors import InputError
from limitbench.numerics.activations import activation_of
from limitbench.numerics.smooth_norm import relaxation_rate
from limitbench.statistics.laws import Law
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu import DriftlessCovarianceSDE
from limitbench.theories.shaped_relu.parameters import LONGEST
from limitbench.theories.shaped_smooth import (
    CovarianceODE,
    NormSDE,
    SmoothCovarianceSDE,
    SmoothInfiniteWidth,
    StationaryNorm,
)

#: Paths behind the laws of the correlation, which have no closed form: 0.01 in units of D.
_PATHS = 1 << 14
#: Most quadrature nodes in all layers of the recursion together: about a second.
_RECURSION_NODES = 3e7
#: Spectral gap times t from which the norm has forgotten its start.
_FORGOTTEN = 4.0
#: Largest beta t that the ODE's exponentials take.
_STEEPEST = 500.0
#: Standard deviation of the log gradient ratio up to which leading orders in depth/width are given.
_SMALL_SPREAD = 0.5
#: From this width on the SDE's probability of an explosion stands for the network's, which comes up to it from below:
#: silu at t = 1 explodes with 0, 0.02, 0.07 at widths 8, 32, 128, of 0.0986.
_WIDE = 1024


def opinions(network: SmoothMLP) -> tuple[tuple[Opinion, ...], Mapping[str, Opinion]]:
    """Every theory's opinion; errors are measured against the SDEs where they apply, at rate 1/2."""
    found = [_infinite_width(network)]
    references: dict[str, Opinion] = {}
    shape = activation_of(network.activation)
    derivatives: dict[str, Any] = {
        "second": shape.second,
        "third": shape.third,
        "scale": network.scale,
        "rho0": network.rho0,
    }
    time = network.time
    if time > LONGEST:
        found.append(Opinion("norm-sde", NormSDE.title, note=f"left out beyond depth/width {LONGEST:g}"))
    elif network.rate == 0.5:
        covariance = _opinion(
            lambda: SmoothCovarianceSDE(time, paths=_PATHS, **derivatives), ("correlation", "log_gap")
        )
        norm = _opinion(lambda: NormSDE(time, norm_drift(network)), ("log_norm",))
        norm = replace(norm, note=_fate(network)) if norm.laws else norm
        if norm_drift(network) < -1.001 and relaxation_rate(norm_drift(network)) * time >= _FORGOTTEN:
            found.append(_opinion(lambda: StationaryNorm(norm_drift(network)), ("log_norm",)))
        found += [covariance, norm]
        references = {name: opinion for opinion in (covariance, norm) for name in opinion.laws}
    elif network.rate > 0.5:
        note = "the limit above rate 1/2, where the activation drops out"
        found.append(_opinion(lambda: DriftlessCovarianceSDE(time, network.rho0), OBSERVABLES, note))
    else:
        reduced = network.depth / network.width ** (2 * network.rate)
        if abs(norm_drift(network)) * reduced > _STEEPEST:
            found.append(Opinion(CovarianceODE.name, CovarianceODE.title, note="left out: the norm moves too fast"))
        else:
            found.append(_opinion(lambda: CovarianceODE(reduced, **derivatives), OBSERVABLES))
        found.append(Opinion("norm-sde", NormSDE.title, note=f"does not apply: rate {network.rate:g} is not 1/2"))
    return tuple(found), references


def gradient(network: SmoothMLP) -> Gradient | None:
    """tanh: the mean-field theory of a plain network, which it is; None for the other activations.

    z/s is a plain network with activation tanh, sigma_w2 = c, sigma_b2 = 0 and p_0 = 1/(s^2 c).
    """
    if network.activation != "tanh":
        return None
    stretch = network.scale * float(network.width) ** network.rate
    c = activation_of("tanh").normaliser(stretch)
    try:
        plain = MeanFieldNetwork(
            network.depth,
            network.width,
            "plain",
            sigma_w2=c,
            sigma_b2=0.0,
            norm0=1 / (stretch**2 * c),
            rho0=network.rho0,
        )
    except InputError:
        return None
    found = replace(blocks.gradient(plain), between=HIDDEN, parameters={})
    if found.std <= _SMALL_SPREAD:
        return found
    basis = f"left out: mean field needs a depth/width at which the log varies by less than {_SMALL_SPREAD:g}"
    return Gradient(between=HIDDEN, basis=basis)


def norm_drift(network: SmoothMLP) -> float:
    """beta = (3/4 phi''(0)^2 + phi'''(0))/a^2."""
    return activation_of(network.activation).norm_drift(network.scale)


def norm_law(network: SmoothMLP) -> Law:
    """The law of `log_norm` at rate 1/2, given that the norm does not explode; `InputError` where it is not solved."""
    try:
        return NormSDE(network.time, norm_drift(network)).law("log_norm")
    except InputError as error:
        accepted = f"one whose norm SDE can be solved ({error.field}: {error.accepted})"
        raise InputError("budget of this network", network.words, accepted) from None


def _fate(network: SmoothMLP) -> str:
    """What becomes of the norm."""
    beta = norm_drift(network)
    if beta > 0:
        share = NormSDE(network.time, beta).exploded_share
        caution = "" if network.width >= _WIDE else f" at large width, less at width {network.width}"
        return f"the norm explodes with probability {share:.3g}{caution}; laws given that it does not"
    return "the norm has a stationary law" if beta < -1 else "the norm vanishes with depth"


def _infinite_width(network: SmoothMLP) -> Opinion:
    name, title = SmoothInfiniteWidth.name, SmoothInfiniteWidth.title
    nodes = max(40.0, 120 / (network.scale * network.width**network.rate))
    if network.depth * nodes**2 > _RECURSION_NODES:
        return Opinion(name, title, note="left out: too many layers, or an activation that turns too sharply")
    names = ("depth", "width", "activation", "scale", "rate", "rho0")
    shape: dict[str, Any] = {field: getattr(network, field) for field in names}
    return _opinion(lambda: SmoothInfiniteWidth(**shape), OBSERVABLES)


def _opinion(make: Callable[[], Theory], names: tuple[str, ...], note: str = "") -> Opinion:
    """The laws of a theory; where it refuses, a note that says what it would accept."""
    try:
        # norms that vanish or explode leave correlations undefined on some paths
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            theory = make()
            laws = {name: theory.law(name) for name in names if name in theory.observables}
    except InputError as error:
        return Opinion("norm-sde", NormSDE.title, note=f"{error.field}: needs {error.accepted}")
    return Opinion(theory.name, theory.title, laws, theory.validity, note)
