"""Claims of `weight-universality`: what uniform, Rademacher, orthogonal and PyTorch's weights keep and lose.

All at depth = width. Independent entries keep the limits and change the O(1/n) corrections; orthogonal matrices lose
the fluctuation of the norm; PyTorch's default loses the norm.
"""

from __future__ import annotations

import math

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, moment_claim, value_claim
from limitbench.studies.ledger import answering, worst_score_claim
from limitbench.studies.weight_universality.cells import column, finite, variance, widest
from limitbench.theories.ensembles import EnsemblePerceptron, PytorchDefault
from limitbench.theories.log_gaussian import LogGaussian

#: Ensembles of independent entries with variance 1.
INDEPENDENT = ("uniform", "rademacher")
MOMENTS = ("mean", "variance")
#: More than rounding, about 1e-16 a layer, adds up to.
_ROUNDING = 1e-11
#: From this width on 1/n^2 is small: ReLU MLPs of 16 and 32 units extrapolate to 4.65, of 32 and 64 to 4.94, limit 5.
_NARROWEST = 32


def ledger(evidence: Evidence) -> list[Claim]:
    """All claims."""
    return [
        *_corrections(evidence),
        *_limits(evidence),
        *_orthogonal(evidence),
        *_pytorch(evidence),
        *_correlation(evidence),
    ]


def _ensemble(cell: CellEvidence) -> EnsemblePerceptron:
    theory = cell.theory("ensemble-finite")
    assert isinstance(theory, EnsemblePerceptron)
    return theory


def _corrections(evidence: Evidence) -> list[Claim]:
    """O(1/n): the fourth moment of the entries enters the mean and the variance of the log norm."""
    return [
        _moment(evidence, network, weights, moment)
        for network, ensembles in (("linear", INDEPENDENT), ("relu", (*INDEPENDENT, "orthogonal")))
        for weights in ensembles
        for moment in MOMENTS
    ]


def _moment(evidence: Evidence, network: str, weights: str, moment: str) -> Claim:
    return _moment_of(
        evidence,
        network,
        weights,
        moment,
        name=f"{moment}-{network}-{weights}",
        text=f"The {moment} of the log norm of {network} networks with {weights} weights at d = n is that of the "
        "finite-size law of these weights",
    )


@answering
def _moment_of(evidence: Evidence, network: str, weights: str, moment: str, *, name: str, text: str) -> Claim:
    """In the cell that best tells these weights from Gaussian ones; undecided where not by 4.5 standard errors."""
    cells = [c for c in column(evidence, network, weights) if int(c.parameters["width"]) >= _NARROWEST]
    if not cells:
        return missing(name, f"{text}.", math.nan, f"{network} networks with {weights} weights at aspect 1, n >= 32")

    def moments(cell: CellEvidence) -> tuple[float, float]:
        """Predicted for these weights and for Gaussian ones."""
        ours = _ensemble(cell)
        gaussian = EnsemblePerceptron(ours.depth, ours.width, "gaussian", ours.slope_plus, ours.slope_minus)
        return (ours.mean, gaussian.mean) if moment == "mean" else (ours.variance, gaussian.variance)

    # the effect falls as 1/n, the standard error as the root of the number of networks
    cell = max(cells, key=lambda c: abs(np.subtract(*moments(c))) * math.sqrt(len(finite(c))))
    predicted, other = moments(cell)
    return moment_claim(
        evidence,
        cell,
        "log_norm",
        "mean" if moment == "mean" else "variance",
        predicted,
        name=name,
        text=f"{text} (width {cell.parameters['width']}; Gaussian weights: {other:.3f}).",
        values=finite(cell),
        theory="ensemble-finite",
        resolution=abs(predicted - other),
    )


def _limits(evidence: Evidence) -> list[Claim]:
    """Slope of the variance in t, extrapolated from the two widest cells: 2 Var(2n) - Var(n) at d = n."""
    linear, relu = (EnsemblePerceptron(32, 32, "uniform", 1.0, slope).variance_rate for slope in (1.0, 0.0))
    orthogonal = EnsemblePerceptron(32, 32, "orthogonal").variance_rate
    balanced = LogGaussian(1.0, 0.5, True).variance
    return [
        _limit(
            evidence,
            network,
            weights,
            rate,
            name=f"limit-{network}-{weights}",
            text=f"{words}: the log norm's variance at d = n, extrapolated to n -> infinity",
        )
        for network, weights, rate, words in (
            *(("linear", w, linear, f"Linear networks with {w} weights keep the limit 2") for w in INDEPENDENT),
            *(("relu", w, relu, f"ReLU MLPs with {w} weights keep the limit 5") for w in INDEPENDENT),
            ("relu", "orthogonal", orthogonal, "ReLU MLPs with orthogonal weights have the limit 3, not 5"),
            *(("balanced", w, balanced, f"Balanced ResNets with {w} weights keep the limit 2.25") for w in INDEPENDENT),
        )
    ]


@answering
def _limit(evidence: Evidence, network: str, weights: str, rate: float, *, name: str, text: str) -> Claim:
    by_width = {int(c.parameters["width"]): c for c in column(evidence, network, weights)}
    pairs = [(by_width[n], by_width[2 * n]) for n in by_width if n >= _NARROWEST and 2 * n in by_width]
    if not pairs:
        return missing(name, f"{text}.", rate, f"widths n and 2n, n at least {_NARROWEST}, at aspect 1")
    narrow, wide = pairs[-1]
    (a, a_se), (b, b_se) = variance(narrow), variance(wide)
    return value_claim(
        evidence,
        [narrow, wide],
        rate,
        2 * b - a,
        math.hypot(2 * b_se, a_se),
        name=name,
        text=f"{text} (widths {narrow.parameters['width']}, {wide.parameters['width']}).",
        resolution=rate / 4,
    )


def _orthogonal(evidence: Evidence) -> list[Claim]:
    """An isometry: linear networks keep norms and angles exactly, so nothing is left of their limit."""
    orthogonal = [c for c in evidence.where(weights="orthogonal", alpha=1.0) if c.parameters["network"] != "linear"]
    return [
        *(
            _rounding_alone(
                evidence,
                observable,
                start,
                name=f"orthogonal-linear-{words.replace(' ', '-')}",
                text=f"Orthogonal weights remove every fluctuation of the {words} of linear networks (largest change).",
            )
            for observable, start, words in (("log_norm", 0.0, "log norm"), ("correlation", 0.3, "correlation"))
        ),
        worst_score_claim(
            evidence,
            orthogonal,
            "log_norm",
            "gaussian-limit",
            expected="fails",
            name="orthogonal-breaks-the-limit",
            text="With orthogonal weights the limit of Gaussian weights fails for the log norm in every family, d = n "
            "(smallest D).",
        ),
        _orthogonal_shaped(
            evidence,
            name="orthogonal-shaped-relu",
            text="Shaped ReLU networks with orthogonal weights have no covariance SDE: sd of the correlation over that "
            "of Gaussian weights, at d = n",
        ),
    ]


@answering
def _rounding_alone(evidence: Evidence, observable: str, start: float, *, name: str, text: str) -> Claim:
    """Two inputs need two units; one unit makes their correlation 1 or -1."""
    cell = widest(evidence, "linear", "orthogonal")
    if cell is None or int(cell.parameters["width"]) < 2:
        return missing(name, text, 0.0, "linear networks with orthogonal weights at aspect 1, n >= 2")
    change = float(np.max(np.abs(finite(cell, observable) - start)))
    return value_claim(evidence, [cell], 0.0, change, _ROUNDING, name=name, text=text)


@answering
def _orthogonal_shaped(evidence: Evidence, *, name: str, text: str) -> Claim:
    """The fluctuation of the correlation falls as n^-1/2 at d = n; it is of order one for Gaussian weights."""
    ours, gaussian = (widest(evidence, "shaped-relu", w) for w in ("orthogonal", "gaussian"))
    if ours is None or gaussian is None or ours.parameters["width"] != gaussian.parameters["width"]:
        return missing(name, f"{text}.", 0.5, "shaped-relu with orthogonal and Gaussian weights at aspect 1")
    (a, a_se), (b, b_se) = (variance(cell, "correlation") for cell in (ours, gaussian))
    if not a > 0 < b:
        return missing(name, f"{text}.", 0.5, "correlations that fluctuate: networks wider than one unit")
    ratio = math.sqrt(a / b)
    return value_claim(
        evidence,
        [ours, gaussian],
        0.5,
        ratio,
        ratio * math.hypot(a_se / a, b_se / b) / 2,
        name=name,
        text=f"{text} (width {ours.parameters['width']}).",
        relation="at most",
    )


def _pytorch(evidence: Evidence) -> list[Claim]:
    """U(-n^-1/2, n^-1/2): variance 1/(3n), so norms shrink to the floor that biases hold."""
    return [
        *(
            claim
            for network in ("linear", "relu")
            for claim in (
                _mean_square(
                    evidence,
                    network,
                    name=f"pytorch-mean-square-{network}",
                    text=f"PyTorch's default: E V_d of {network} MLPs is that of the recursion with weights and biases "
                    "1/(3n)",
                ),
                _floor(
                    evidence,
                    network,
                    name=f"pytorch-floor-{network}",
                    text=f"PyTorch's biases stop the collapse of {network} MLPs: mean log norm, against that of "
                    "weights alone",
                ),
            )
        ),
        worst_score_claim(
            evidence,
            evidence.where(weights="pytorch", alpha=1.0),
            "log_norm",
            "gaussian-limit",
            expected="fails",
            name="pytorch-norm-not-preserved",
            text="With PyTorch's default the norm is not preserved: the limit of Gaussian weights fails in every "
            "family (smallest D).",
        ),
    ]


@answering
def _mean_square(evidence: Evidence, network: str, *, name: str, text: str) -> Claim:
    cell = widest(evidence, network, "pytorch")
    if cell is None:
        return missing(name, f"{text}.", math.nan, f"{network} networks with pytorch weights at aspect 1")
    theory = cell.theory("infinite-width")
    assert isinstance(theory, PytorchDefault)
    return moment_claim(
        evidence,
        cell,
        "log_norm",
        "mean",
        theory.mean_square,
        name=name,
        text=f"{text} (floor {theory.floor:.4f} at width {theory.width}).",
        values=np.exp(finite(cell)),
        theory="infinite-width",
    )


@answering
def _floor(evidence: Evidence, network: str, *, name: str, text: str) -> Claim:
    """Weights alone lose a factor 3 a layer, and ReLU another 2 in every layer but the first, as V_0 = 1."""
    cell = widest(evidence, network, "pytorch")
    if cell is None:
        return missing(name, f"{text}.", math.nan, f"{network} networks with pytorch weights at aspect 1")
    loss = -math.log(3) - (int(cell.parameters["depth"]) - 1) * math.log(6 if network == "relu" else 3)
    x = finite(cell)
    se = float(x.std(ddof=1)) / math.sqrt(len(x))
    return value_claim(evidence, [cell], loss, float(x.mean()), se, name=name, text=f"{text}.", relation="at least")


def _correlation(evidence: Evidence) -> list[Claim]:
    """The covariance SDE of shaped networks does not depend on the ensemble of independent entries."""
    return [
        _same_mean(
            evidence,
            network,
            weights,
            name=f"correlation-{network}-{weights}",
            text=f"The mean correlation of {network} networks with {weights} weights is that of Gaussian weights "
            "(difference, d = n)",
        )
        for network in ("linear", "shaped-relu")
        for weights in INDEPENDENT
    ]


@answering
def _same_mean(evidence: Evidence, network: str, weights: str, *, name: str, text: str) -> Claim:
    ours, gaussian = (widest(evidence, network, w) for w in (weights, "gaussian"))
    if ours is None or gaussian is None or ours.parameters["width"] != gaussian.parameters["width"]:
        return missing(name, f"{text}.", 0.0, f"{network} networks with {weights} and Gaussian weights at aspect 1")
    a, b = (finite(cell, "correlation") for cell in (ours, gaussian))
    se = math.hypot(a.std() / math.sqrt(len(a)), b.std() / math.sqrt(len(b)))
    return value_claim(
        evidence, [ours, gaussian], 0.0, float(a.mean() - b.mean()), se, name=name, text=f"{text}.", resolution=0.1
    )
