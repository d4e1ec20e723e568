"""The ledger of `shaped-relu`: rates of convergence, the critical exponent, the norm."""

from __future__ import annotations

import numpy as np

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, missing, moment_claim
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

CRITICAL = 0.5
OBSERVABLE = "correlation"


def claims(evidence: Evidence) -> list[Claim]:
    """All claims, in report order."""
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
            text="The Kolmogorov-forward law is that of independently simulated m-point paths (largest KS, d = n; no "
            "networks).",
        ),
    ]


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
        and float(cell.parameters["depth"]) / float(cell.parameters["width"]) >= 0.5
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
