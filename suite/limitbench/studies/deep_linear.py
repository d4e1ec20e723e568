"""`deep-linear`: the mixing matrix of deep linear networks (Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267).

A deep linear network's outputs are Gaussian given the mixing matrix Q_L. Infinite width says Q = I; the proportional
limit L/N -> alpha says that Q is random, with ln Q_11 ~ N(-alpha, 2 alpha); at finite size the law is known exactly.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.deep_linear import DeepLinear
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence, Moment, missing, moment_claim
from limitbench.studies.ledger import growth_with_depth_claim, limit_distance_claim, worst_score_claim
from limitbench.theories.deep_linear import FiniteWidth, InfiniteWidth, ProportionalLimit


def _network(cell: Cell) -> DeepLinear:
    return DeepLinear(depth=int(cell["depth"]), width=int(cell["width"]), outputs=int(cell["outputs"]))


def _check(cell: Cell) -> None:
    if int(cell["outputs"]) > int(cell["width"]):
        raise InputError("outputs", cell["outputs"], f"at most the width, {cell['width']}, so that Q is invertible")


def _alpha(cell: Cell) -> float:
    return float(cell["depth"]) / float(cell["width"])


THEORIES = (
    StudyTheory(
        "infinite-width", "infinite width (NNGP)", build=lambda cell: InfiniteWidth(outputs=int(cell["outputs"]))
    ),
    StudyTheory(
        "proportional-limit",
        "proportional limit",
        build=lambda cell: ProportionalLimit(alpha=_alpha(cell), outputs=int(cell["outputs"])),
    ),
    StudyTheory(
        "finite-width",
        "exact finite-size law",
        build=lambda cell: FiniteWidth(
            width=int(cell["width"]), depth=int(cell["depth"]), outputs=int(cell["outputs"])
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    evidence = Evidence(STUDY, tree)
    return [
        *_finite_size_moments(evidence),
        *_kolmogorov_smirnov_constants(evidence),
        *_coupling(evidence),
        *_nngp(evidence),
    ]


_MOMENTS: tuple[tuple[int, Moment], ...] = ((1, "mean"), (2, "variance"))


def _finite_size_moments(evidence: Evidence) -> list[Claim]:
    """Exact finite-size mean and variance of ln Q_11 and ln det Q (sheet C 1.3: digamma and trigamma sums)."""
    claims = []
    for width, depth in ((16, 16), (64, 64), (64, 16)):
        cell = evidence.one(width=width, depth=depth, outputs=2)
        theory = FiniteWidth(width=width, depth=depth, outputs=2)
        for observable, symbol in (("log_q11", "ln Q11"), ("log_det", "ln det Q")):
            for order, moment in _MOMENTS:
                predicted = theory.cumulant(observable, order)
                name = f"finite-size-{moment}-{observable}-n{width}-d{depth}"
                text = f"The {moment} of {symbol} at width {width}, depth {depth} is the exact finite-size value."
                if cell is None:
                    claims.append(missing(name, text, predicted, f"width {width}, depth {depth}, outputs 2"))
                else:
                    claims.append(
                        moment_claim(
                            evidence,
                            cell,
                            observable,
                            moment,
                            predicted,
                            name=name,
                            text=text,
                            resolution=abs(predicted) / 5,
                        )
                    )
    return claims


def _kolmogorov_smirnov_constants(evidence: Evidence) -> list[Claim]:
    """N x KS of the exact law to the log-normal limit: leading Edgeworth constants (sheet C 1.4, 1.6c)."""
    claims = []
    for alpha, constant in ((0.25, 0.1903), (1.0, 0.1826), (4.0, 0.2402)):
        cells = [c for c in evidence.where(alpha=alpha, outputs=2) if float(c.parameters["width"]) >= 64]
        name = f"rate-constant-alpha{alpha:g}"
        text = f"Width x KS distance of ln Q11's exact law to its log-normal limit at L/N = {alpha:g} is {constant}."
        if not cells:
            claims.append(missing(name, text, constant, f"a width of at least 64 at L/N = {alpha:g}"))
            continue
        claims.append(limit_distance_claim(evidence, cells[-1], constant, name=name, text=text, tolerance=0.02))
    return claims


def _coupling(evidence: Evidence) -> list[Claim]:
    """E Q_12^2 = ((1 + 2/N)^L - (1 - 1/N)^L)/3: outputs share a random covariance, which NNGP sets to zero."""
    cells = list(evidence.where(alpha=0.25, outputs=2))
    text = "E Q12^2 at L/N = 1/4 is ((1+2/N)^L - (1-1/N)^L)/3: outputs are coupled (NNGP: 0)."
    if not cells:
        limit = (math.exp(0.5) - math.exp(-0.25)) / 3
        return [missing("output-coupling", text, limit, "L/N = 1/4, outputs 2")]
    cell = cells[-1]
    width, depth = float(cell.parameters["width"]), float(cell.parameters["depth"])
    predicted = ((1 + 2 / width) ** depth - (1 - 1 / width) ** depth) / 3
    return [
        moment_claim(evidence, cell, "q12", "second moment", predicted, name="output-coupling", text=text),
    ]


def _nngp(evidence: Evidence) -> list[Claim]:
    """NNGP fails at every depth proportional to the width, worse the deeper; the proportional limit holds."""
    proportional = [
        c for c in evidence.where(outputs=2) if float(c.parameters["depth"]) >= 0.25 * float(c.parameters["width"])
    ]
    wide = [c for c in proportional if float(c.parameters["width"]) >= 64]
    return [
        worst_score_claim(
            evidence,
            proportional,
            "log_q11",
            "infinite-width",
            expected="fails",
            name="nngp-fails",
            text="Infinite width (NNGP) fails for ln Q11 wherever depth/width >= 1/4 (smallest D on the grid).",
        ),
        growth_with_depth_claim(
            evidence,
            [group for group in evidence.groups("aspect", "depth") if len(group) > 1],
            "log_q11",
            "infinite-width",
            name="nngp-worse-with-depth",
            text="Infinite width's (NNGP's) D for ln Q11 grows with depth at every width (share of columns).",
        ),
        worst_score_claim(
            evidence,
            wide,
            "log_q11",
            "proportional-limit",
            expected="holds",
            name="proportional-limit-holds",
            text="The proportional limit holds for ln Q11 from width 64 on (largest D on the grid).",
        ),
    ]


STUDY = Study(
    name="deep-linear",
    version=1,
    title="Deep linear networks: a mixture of Gaussians",
    question="When depth grows with width, what random covariance do the outputs of a deep linear network share?",
    reference="Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267",
    axes=(
        Axis("outputs", "int", (2,), "Number of outputs D; Q is D x D.", lower=1, upper=64, symbol="D"),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("log_q11", "q12", "log_det", "log_lambda_min", "log_lambda_max"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset({"outputs": (2,), "width": (16, 32, 64, 128), "aspect": (0.25, 1.0, 4.0)}, samples=16384),
        "standard": Preset(
            {"outputs": (1, 2, 3), "width": (16, 32, 64, 128, 256), "aspect": (0.25, 0.5, 1.0, 2.0, 4.0)}, samples=32768
        ),
        "full": Preset(
            {
                "outputs": (1, 2, 3, 5),
                "width": (8, 16, 32, 64, 128, 256, 512, 1024),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
            },
            samples=131072,
        ),
    },
    claims=_claims,
    check=_check,
)
