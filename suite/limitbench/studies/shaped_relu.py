"""`shaped-relu`: the covariance SDE of shaped ReLU networks and its critical exponent (arXiv 2206.02768, 2310.12079).

Slopes 1 + c_pm n^-rate. At rate 1/2 and depth proportional to width the correlation of two inputs follows a stochastic
differential equation; below 1/2 inputs collapse onto each other, above 1/2 the activation's drift drops out.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import CellEvidence, Evidence, missing, moment_claim
from limitbench.studies.figures import StudyFigure
from limitbench.studies.ledger import (
    amplitude_claim,
    best_theory_claim,
    growth_with_depth_claim,
    paired_gain_claim,
    predicted_curve_claim,
    rate_claim,
    solutions_agree_claim,
    worst_score_claim,
)
from limitbench.studies.shaped_relu_figures import figures
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu import (
    CovarianceSDE,
    DriftCorrectedCovarianceSDE,
    DriftlessCovarianceSDE,
    FiniteWidthChain,
    InfiniteWidth,
    InfiniteWidthCLT,
    MatrixCovarianceSDE,
)


def _network(cell: Cell) -> ShapedMLP:
    return ShapedMLP(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rate=float(cell["rate"]),
        rho0=float(cell["rho0"]),
    )


def _check(cell: Cell) -> None:
    width, rate = float(cell["width"]), float(cell["rate"])
    slopes = [1 + float(cell[c]) * width**-rate for c in ("c_plus", "c_minus")]
    if not any(slopes):
        raise InputError("c_plus, c_minus", (cell["c_plus"], cell["c_minus"]), "slopes that are not both zero")


def _time(cell: Cell) -> float:
    return float(cell["depth"]) / float(cell["width"])


def _finite(cell: Cell, theory: type[InfiniteWidth] | type[InfiniteWidthCLT] | type[FiniteWidthChain]) -> Theory:
    """A theory that knows the network's own depth, width and slopes."""
    return theory(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rate=float(cell["rate"]),
        rho0=float(cell["rho0"]),
    )


def _limit(cell: Cell) -> CovarianceSDE:
    return CovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rho0=float(cell["rho0"]),
    )


def _corrected(cell: Cell) -> DriftCorrectedCovarianceSDE:
    return DriftCorrectedCovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rho0=float(cell["rho0"]),
        width=int(cell["width"]),
        rate=float(cell["rate"]),
    )


def _simulated(cell: Cell) -> MatrixCovarianceSDE:
    rho0 = float(cell["rho0"])
    return MatrixCovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        gram=((1.0, rho0), (rho0, 1.0)),
    )


THEORIES = (
    StudyTheory("infinite-width", "infinite width", lambda cell: _finite(cell, InfiniteWidth)),
    StudyTheory("infinite-width-clt", "infinite width + CLT", lambda cell: _finite(cell, InfiniteWidthCLT)),
    StudyTheory("covariance-sde", "covariance SDE", _limit),
    StudyTheory("covariance-sde-corrected", "covariance SDE, finite-size drift", _corrected),
    StudyTheory(
        "covariance-sde-driftless",
        "covariance SDE, ν = 0",
        lambda cell: DriftlessCovarianceSDE(time=_time(cell), rho0=float(cell["rho0"])),
    ),
    StudyTheory("finite-width-chain", "finite-width chain", lambda cell: _finite(cell, FiniteWidthChain)),
    StudyTheory("matrix-covariance-sde", "m-point covariance SDE (Bartlett–Euler)", _simulated, role="check"),
)

CRITICAL = 0.5
OBSERVABLE = "correlation"


def _claims(tree: xr.DataTree) -> list[Claim]:
    evidence = Evidence(STUDY, tree)
    return [
        *_rates(evidence),
        *_critical_exponent(evidence),
        *_infinite_width(evidence),
        *_norm(evidence),
        solutions_agree_claim(
            evidence,
            evidence.where(rate=CRITICAL, alpha=1.0),
            OBSERVABLE,
            "covariance-sde",
            "matrix-covariance-sde",
            name="sde-solved-twice",
            text="The Kolmogorov-forward law is that of independently simulated m-point paths (largest KS, d = n).",
        ),
    ]


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


def _scaling(evidence: Evidence, c_plus: float, c_minus: float) -> list[CellEvidence]:
    """Cells at d = n and the critical rate, over width, for the run's most nearly orthogonal inputs."""
    cells = evidence.where(c_plus=c_plus, c_minus=c_minus, rate=CRITICAL, alpha=1.0)
    nearest = min((abs(float(cell.parameters["rho0"])) for cell in cells), default=0.0)
    pairs = sorted({float(c.parameters["rho0"]) for c in cells if abs(float(c.parameters["rho0"])) == nearest})
    return [cell for cell in cells if cell.parameters["rho0"] == pairs[-1]]


def _rates(evidence: Evidence) -> list[Claim]:
    """The drift factor c = 1 - (c_+ + c_-) n^-1/2 + ... is the leading weak error (sheet A 1, Accuracy)."""
    return [
        rate_claim(
            evidence,
            _scaling(evidence, 1.0, -1.0),
            OBSERVABLE,
            "covariance-sde",
            predicted=1.0,
            tolerance=0.15,
            name="rate-symmetric",
            text="For c = (1, -1) the covariance SDE's error in the mean correlation falls as n^-b with b = 1.",
        ),
        rate_claim(
            evidence,
            _scaling(evidence, 0.0, -2.0),
            OBSERVABLE,
            "covariance-sde",
            predicted=0.5,
            tolerance=0.15,
            corrected=True,
            name="rate-asymmetric",
            text="For c = (0, -2) the error falls as n^-b (1 + k n^-1/2) with b = 1/2.",
        ),
        amplitude_claim(
            evidence,
            _scaling(evidence, 0.0, -2.0),
            OBSERVABLE,
            "covariance-sde",
            "finite-width-chain",
            exponent=0.5,
            name="rate-asymmetric-amplitude",
            text="For c = (0, -2) the error is a n^-1/2 (1 + k n^-1/2), with the a of the finite-width chain.",
        ),
        *(
            predicted_curve_claim(
                evidence,
                _scaling(evidence, 0.0, -2.0),
                OBSERVABLE,
                "covariance-sde",
                reference,
                name=name,
                text=f"For c = (0, -2) each width's error lies on the curve that {words} predicts without sampling.",
            )
            for reference, name, words in (
                ("covariance-sde-corrected", "error-curve-drift-factor", "the drift-corrected SDE"),
                ("finite-width-chain", "error-curve-finite-width", "the finite-width chain"),
            )
        ),
        paired_gain_claim(
            evidence,
            next((c for c in _scaling(evidence, 0.0, -2.0) if c.parameters["width"] == 64), None),
            OBSERVABLE,
            "covariance-sde",
            "covariance-sde-corrected",
            at_least=3.0,
            name="drift-correction-gains",
            text="At width 64, c = (0, -2), the drift-corrected SDE beats the plain SDE at least 3 times in D.",
        ),
    ]


def _critical_exponent(evidence: Evidence) -> list[Claim]:
    """Rate 1/2 is critical: below it inputs collapse and the SDE fails, above it the drift nu drops out."""
    wide = [
        cell
        for cell in evidence.cells
        if float(cell.parameters["width"]) >= 32
        and _time(cell.parameters) >= 0.5
        and cell.parameters["c_plus"] != cell.parameters["c_minus"]  # else nu = 0 at every rate
    ]

    def at(rate: float) -> list[CellEvidence]:
        return [c for c in wide if abs(float(c.parameters["rate"]) - rate) < 1e-9]

    return [
        worst_score_claim(
            evidence,
            at(0.25),
            OBSERVABLE,
            "covariance-sde",
            expected="fails",
            name="sde-fails-below-critical-rate",
            text="At rate 1/4 the covariance SDE fails (smallest D, width >= 32, d/n >= 1/2).",
        ),
        best_theory_claim(
            evidence,
            at(1.0),
            OBSERVABLE,
            "covariance-sde-driftless",
            ("covariance-sde", "covariance-sde-driftless", "infinite-width", "infinite-width-clt"),
            name="driftless-wins-above-critical-rate",
            text="At rate 1 the SDE with nu = 0 has the smallest D of the four limits (SDE with and without nu, "
            "infinite width with and without CLT) in every cell (width >= 32, d/n >= 1/2).",
        ),
    ]


def _infinite_width(evidence: Evidence) -> list[Claim]:
    groups = [
        [cell for cell in group if abs(float(cell.parameters["rate"]) - CRITICAL) < 1e-9]
        for group in evidence.groups("aspect", "depth")
    ]
    return [
        growth_with_depth_claim(
            evidence,
            [group for group in groups if len(group) > 1],
            "log_norm",
            "infinite-width",
            name="infinite-width-worse-with-depth",
            text="Infinite width's D for the log norm grows with depth at every width (share of columns; rate 1/2).",
        )
    ]


def _norm(evidence: Evidence) -> list[Claim]:
    """log V_t ~ N(-t, 2t), and V is a martingale at every width."""
    claims = []
    text = "E V_d/V_0 = 1 at every width (martingale), at d/n = 1/4 and the largest width of the run."
    cells = evidence.where(rate=CRITICAL, alpha=0.25)
    if not cells:
        claims.append(missing("norm-martingale", text, 1.0, "d/n = 1/4 at rate 1/2"))
    else:
        cell = cells[-1]
        ratio = np.exp(cell.samples("log_norm"))
        claims.append(
            moment_claim(
                evidence,
                cell,
                "log_norm",
                "mean",
                1.0,
                values=ratio,
                theory="covariance-sde",
                name="norm-martingale",
                text=text,
            )
        )
    critical = [cell for cell in evidence.cells if cell.parameters["rate"] == CRITICAL]
    widest = max((float(cell.parameters["width"]) for cell in critical), default=0.0)
    claims.append(
        worst_score_claim(
            evidence,
            [cell for cell in critical if cell.parameters["width"] == widest],
            "log_norm",
            "covariance-sde",
            expected="holds",
            name="log-norm-holds",
            text="The law N(-t, 2t) of the log squared norm holds at the run's largest width (largest D, rate 1/2).",
        )
    )
    return claims


STUDY = Study(
    name="shaped-relu",
    version=1,
    title="Shaped ReLU networks: the covariance SDE",
    question="When slopes approach 1 at rate n^-p, what are the laws of two inputs' correlation and of the norm?",
    reference="Li, Nica & Roy 2022, arXiv 2206.02768; Li & Nica 2023, arXiv 2310.12079",
    axes=(
        Axis("c_plus", "float", (0.0,), "Slope constant for positive arguments.", lower=-100, upper=100, symbol="c₊"),
        Axis("c_minus", "float", (-1.0,), "Slope constant for negative arguments.", lower=-100, upper=100, symbol="c₋"),
        Axis("rho0", "float", (0.3,), "Correlation of the two inputs.", lower=-1.0, upper=1.0, symbol="ρ₀"),
        Axis(
            "rate",
            "float",
            (0.5,),
            "Shaping exponent p in slopes 1 + c n^-p; 0 is unshaped.",
            lower=0.0,
            upper=10,
            symbol="p",
        ),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("correlation", "log_gap", "log_norm"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {
                "c_plus": (0.0,),
                "c_minus": (-1.0,),
                "rho0": (0.3,),
                "rate": (0.25, 0.5, 1.0),
                "width": (16, 32, 64),
                "aspect": (0.25, 1.0),
            },
            samples=16384,
        ),
        "standard": Preset(
            {
                "c_plus": (0.0, 1.0),
                "c_minus": (-2.0, -1.0),
                "rho0": (0.0,),
                "rate": (0.25, 0.5, 1.0),
                "width": (16, 32, 64, 128, 256),
                "aspect": (0.25, 0.5, 1.0),
            },
            samples=65536,
            samples_at={128: 32768, 256: 16384},
        ),
        "full": Preset(
            {
                "c_plus": (0.0, 1.0),
                "c_minus": (-2.0, -1.0, 0.0),
                "rho0": (-0.3, 0.0, 0.3, 0.9),
                "rate": (0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
                "width": (16, 32, 64, 128, 256, 512),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0),
            },
            samples=65536,
            samples_at={256: 16384, 512: 8192},
        ),
    },
    claims=_claims,
    check=_check,
    figures=_figures,
)
