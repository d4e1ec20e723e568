"""What the theories say about a ReLU ResNet, vanilla or Balanced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limitbench.advice import piecewise
from limitbench.advice.architecture import ReluResNet
from limitbench.advice.rows import Opinion
from limitbench.statistics.laws import Law
from limitbench.theories.equivalence.infinite_width import InfiniteWidth
from limitbench.theories.equivalence.kernel_fluctuation import KernelFluctuation
from limitbench.theories.log_gaussian import LogGaussian, LogGaussianBase, LogGaussianFiniteDepth

#: Depth up to which the fluctuation of the kernel is carried through the layers: about half a second.
_FLUCTUATION_DEPTH = 200


def opinions(network: ReluResNet) -> tuple[tuple[Opinion, ...], Mapping[str, Opinion]]:
    """Every theory's opinion, from the coarsest to the finest, and the one that errors are measured against.

    Correlations have no finite-size law to be measured against, but without a skip: then it is that of a ReLU MLP.
    """
    finest = _finite_depth(network)
    found = [_infinite_width(network), _fluctuation(network), _base(network), _limit(network), finest]
    references = {"log_norm": finest}
    if (chain := _perceptron(network)) is not None:
        found.append(chain)
        references |= dict.fromkeys(chain.laws, chain)
    return tuple(found), references


def _perceptron(network: ReluResNet) -> Opinion | None:
    """The law of the correlation where the network is a ReLU MLP, None where it has a skip."""
    if network.perceptron is None:
        return None
    chain, note = piecewise.chain_theory(network.perceptron)
    names = ("correlation", "log_gap")
    laws = {} if chain is None else {name: chain.law(name) for name in names if name in chain.observables}
    note = note or "without a skip this is a ReLU MLP, but for one layer: its correlation to O(n^-2)"
    return Opinion("finite-width", "the ReLU MLP, layer by layer", laws, note=note)


def _infinite_width(network: ReluResNet) -> Opinion:
    theory = InfiniteWidth(**_kernel(network))
    laws = {name: theory.law(name) for name in ("log_norm", "correlation")}
    return Opinion(theory.name, theory.title, laws, theory.validity, "", 0.5)


def _fluctuation(network: ReluResNet) -> Opinion:
    name, title = KernelFluctuation.name, KernelFluctuation.title
    if network.balanced:
        return Opinion(name, title, note="does not apply: the random signs of a Balanced network are not in it")
    if network.depth > _FLUCTUATION_DEPTH:
        return Opinion(name, title, note=f"left out beyond depth {_FLUCTUATION_DEPTH}")
    theory = KernelFluctuation(**_kernel(network), width=network.width)
    laws = {observable: theory.law(observable) for observable in ("log_norm", "correlation")}
    return Opinion(name, title, laws, theory.validity, "", 0.5)


def _kernel(network: ReluResNet) -> dict[str, Any]:
    gram = ((1.0, network.rho0), (network.rho0, 1.0))
    paths = {"skip": network.skip, "branch": network.branch}
    return {"depth": network.depth, "slope_plus": 1.0, "slope_minus": 0.0, "gram": gram, **paths}


def _base(network: ReluResNet) -> Opinion:
    theory = LogGaussianBase(network.time, network.residual_weight)
    note = "" if network.balanced else "leaves the correlations between layers out"
    return Opinion(theory.name, theory.title, _norm(theory.law("log_norm")), theory.validity, note, 0.5)


def _limit(network: ReluResNet) -> Opinion:
    theory = LogGaussian(network.time, network.residual_weight, network.balanced)
    active = active_fraction(network, None)
    return Opinion(theory.name, theory.title, _norm(theory.law("log_norm")), theory.validity, "", active)


def _finite_depth(network: ReluResNet) -> Opinion:
    theory = finite_depth(network)
    active = active_fraction(network, network.depth)
    return Opinion(theory.name, theory.title, _norm(theory.law("log_norm")), theory.validity, "", active)


def finite_depth(network: ReluResNet) -> LogGaussianFiniteDepth:
    """The theory with the sums over the layers that the network has."""
    return LogGaussianFiniteDepth(network.depth, network.width, network.residual_weight, network.balanced)


def active_fraction(network: ReluResNet, layer: int | None) -> float:
    """P(z > 0) in a layer, or far from the first one: 1/2 less hypoactivation; Balanced: exactly 1/2."""
    constants = finite_depth(network).constants
    return 0.5 if network.balanced else 0.5 + constants.active_excess(layer) / network.width


def _norm(law: Law) -> dict[str, Law]:
    return {"log_norm": law}
