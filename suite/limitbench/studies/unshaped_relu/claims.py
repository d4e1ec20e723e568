"""The ledger of `unshaped-relu`: what the SDE of q gets right, where its limit is far away, what networks reject."""

from __future__ import annotations

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, widest
from limitbench.studies.ledger import (
    growth_with_depth_claim,
    paired_gain_claim,
    predicted_curve_claim,
    worst_score_claim,
)
from limitbench.studies.unshaped_relu.evidence import (
    LEAKY,
    OBSERVABLE,
    RELU,
    TIMES,
    closed_mean_w_claim,
    drift_in_mean_claim,
    mean_log_sine_claim,
    mean_w_claim,
    no_drift_claim,
    process_claim,
)

#: Weights of ln q at the three times.
_VALUES = {"ln q at t = 1/4": (1, 0, 0), "ln q at t = 1/2": (0, 1, 0), "ln q at t = 1": (0, 0, 1), "sum": (1, 1, 1)}
_INCREMENTS = {"1/4 to 1/2": (-1, 1, 0), "1/2 to 1": (0, -1, 1), "difference": (1, -2, 1)}
#: Layer -> E ln sin^2 theta_l by Approximation 1 of arXiv 2302.09712 at n = 256, theta_0 = 0.1.
FIGURE_ONE = {1: -4.6390, 10: -4.9001, 30: -5.4106}


def ledger(evidence: Evidence) -> list[Claim]:
    """All claims, in report order."""
    return [
        *_limit(evidence),
        *_drift(evidence),
        *_process(evidence),
        *_slopes(evidence),
        *_norm(evidence),
        *_angle(evidence),
        growth_with_depth_claim(
            evidence,
            [[cell for cell in group if cell.parameters["width"] == w] for group, w in _columns(evidence)],
            OBSERVABLE,
            "infinite-width",
            name="infinite-width-worse-with-depth",
            text="Infinite width's D for ln q grows with depth at every width (share of columns; ReLU, ρ₀ = 0.3).",
        ),
    ]


def _columns(evidence: Evidence) -> list[tuple[list[CellEvidence], float]]:
    cells = evidence.where(**RELU)
    widths = sorted({float(cell.parameters["width"]) for cell in cells})
    return [([c for c in cells if c.parameters["width"] == w], w) for w in widths]


def _limit(evidence: Evidence) -> list[Claim]:
    """The limit is right and far away: O(log n/n) in w, worst at small t (sheet A 3)."""
    wide = [c for c in evidence.where(**RELU, alpha=1.0) if float(c.parameters["width"]) >= 512]
    return [
        worst_score_claim(
            evidence,
            evidence.where(**RELU, alpha=0.25),
            OBSERVABLE,
            "q-sde",
            expected="fails",
            name="limit-far-at-quarter",
            text="The limit itself, w from 0, is still wrong at t = 1/4 at every width of the run (smallest D).",
        ),
        worst_score_claim(
            evidence,
            wide,
            OBSERVABLE,
            "q-sde-finite-start",
            expected="holds",
            name="finite-start-holds",
            text="From w₀ = 1/(n √(1 − ρ₀)) the SDE holds at t = 1 (largest D; ReLU, ρ₀ = 0.3, width >= 512).",
        ),
        *(
            predicted_curve_claim(
                evidence,
                evidence.where(**RELU, alpha=time),
                OBSERVABLE,
                "q-sde",
                "finite-width-chain",
                name=f"limit-error-curve-t{time:g}",
                text=f"The limit's error in E ln q at t = {time:g} lies, at every width, on the curve that the "
                "finite-width chain predicts without sampling.",
            )
            for time in (0.25, 1.0)
        ),
    ]


def _drift(evidence: Evidence) -> list[Claim]:
    """+ 2q: E w_t = k0 (e^{2t} - 1)/2 with it, k0 (e^{3t} - 1)/3 without it."""
    return [
        no_drift_claim(
            evidence,
            [c for c in evidence.where(**RELU, alpha=1.0) if float(c.parameters["width"]) >= 64],
            name="no-drift-rejected",
            text="Without the drift + 2q the SDE of q is rejected: D > 0.2 at t = 1 (smallest D; ReLU, ρ₀ = 0.3, "
            "width >= 64).",
        ),
        *(
            mean_w_claim(
                evidence,
                evidence.where(**RELU, alpha=time),
                time,
                name=f"mean-w-t{time:g}",
                text=f"E w at t = {time:g}, w = (l/n) q^-1/2, at the largest width, is that of the finite-width chain.",
            )
            for time in TIMES
        ),
        drift_in_mean_claim(
            evidence,
            evidence.where(**RELU, alpha=1.0),
            name="mean-w-needs-drift",
            text="E w at t = 1 and the largest width is below what the equation without + 2q gives in the limit.",
        ),
    ]


def _process(evidence: Evidence) -> list[Claim]:
    """The claim is about the process: cells of a column are the same networks at several times."""
    return [
        process_claim(
            evidence,
            _VALUES,
            name="process-values",
            text="ln q at t = 1/4, 1/2 and 1 jointly is the SDE's process from w₀, at the largest width (largest D of "
            "the three values and their sum).",
        ),
        process_claim(
            evidence,
            _INCREMENTS,
            name="process-increments",
            text="Its increments over [1/4, 1/2] and [1/2, 1] and their difference have the law of the SDE's paths, "
            "at the largest width (largest D).",
        ),
    ]


def _slopes(evidence: Evidence) -> list[Claim]:
    """General slopes through kappa and alpha; at wide angles the noise is not that of small ones."""
    return [
        worst_score_claim(
            evidence,
            [c for c in evidence.where(**LEAKY, rho0=0.3) if float(c.parameters["width"]) <= 64],
            OBSERVABLE,
            "q-sde-finite-start",
            expected="fails",
            name="leaky-wide-angle-fails",
            text="Leaky slopes (1, 1/2) from ρ₀ = 0.3: small-angle noise is wrong in the first layers and the SDE "
            "from w₀ fails (smallest D, width <= 64).",
        ),
        worst_score_claim(
            evidence,
            [c for c in evidence.where(**LEAKY, rho0=0.995) if float(c.parameters["width"]) >= 64],
            OBSERVABLE,
            "q-sde-finite-start",
            expected="holds",
            name="leaky-small-angle-holds",
            text="From ρ₀ = 0.995 the same SDE, κ = 1.36, holds (largest D, width >= 64).",
        ),
        closed_mean_w_claim(
            evidence,
            evidence.where(**LEAKY, rho0=0.995, alpha=1.0),
            name="mean-w-leaky",
            text="E w at t = 1 is w₀ e^κ + k₀(e^κ − 1)/κ with κ = 1.36, from ρ₀ = 0.995 at the largest width.",
        ),
    ]


def _norm(evidence: Evidence) -> list[Claim]:
    """ln V ~ N(-(3 kappa - 1) t/2, (3 kappa - 1) t), and its exact law at finite width."""
    widest_cells = widest(evidence.cells)
    return [
        worst_score_claim(
            evidence,
            widest_cells,
            "log_norm",
            "q-sde",
            expected="holds",
            name="log-norm-holds",
            text="N(−(3κ−1)t/2, (3κ−1)t) holds for the log squared norm at the run's largest width (largest D).",
        ),
        worst_score_claim(
            evidence,
            [c for c in evidence.cells if float(c.parameters["width"]) >= 32],
            "log_norm",
            "finite-width-chain",
            expected="holds",
            name="log-norm-exact",
            text="Its exact finite-width law holds at every width and depth from 32 on (largest D).",
        ),
    ]


def _angle(evidence: Evidence) -> list[Claim]:
    """The published small-angle constants are worse than plain 2/n and 8/n below n about 128 (sheet A 4)."""
    narrow = [c for c in evidence.where(slope_minus=0.0, rho0=0.995, alpha=1.0) if float(c.parameters["width"]) <= 64]
    return [
        paired_gain_claim(
            evidence,
            narrow[0] if narrow else None,
            OBSERVABLE,
            "angle-law-small-angles",
            "matched-discrete",
            at_least=1.0,
            name="plain-constants-beat-published",
            text="Below width 128 steps with plain 2/n and 8/n beat the published ρ(n) and 8n/(n+5)² (ratio of D, "
            "ReLU, ρ₀ = 0.995, t = 1, narrowest width).",
        ),
        *(figure_one_claim(evidence, layer) for layer in FIGURE_ONE),
    ]


def figure_one_claim(evidence: Evidence, layer: int) -> Claim:
    """E ln sin^2 theta_l in the setting of the paper's Figure 1."""
    return mean_log_sine_claim(
        evidence,
        layer,
        FIGURE_ONE[layer],
        name=f"angle-layer-{layer}",
        text=f"E ln sin²θ at layer {layer} for n = 256, θ₀ = 0.1 (Figure 1 of arXiv 2302.09712).",
    )
