"""The ledger of `log-gaussian-resnet`: moments of the log norm, and which theory holds where.

Every predicted number is a law's or a kernel sum's (`numerics.interlayer`, sheet C section 2). Vanilla networks reach
their limit slowly; claims that show it are stated as such.
"""

from __future__ import annotations

import math
from typing import Literal

from limitbench.studies.base import Claim
from limitbench.studies.evidence import CellEvidence, Evidence, Moment, missing, moment_claim, value_claim
from limitbench.studies.ledger import answering, growth_with_depth_claim, paired_gain_claim, worst_score_claim
from limitbench.studies.log_gaussian_resnet.evidence import (
    BALANCED,
    FINITE,
    VANILLA,
    Family,
    aspect,
    fit_excess,
    largest,
)
from limitbench.studies.log_gaussian_resnet.layers import (
    activation_claims,
    growth_claims,
    jacobian_claims,
    lag_claims,
)
from limitbench.studies.measured import variance


def claims(evidence: Evidence) -> list[Claim]:
    """All claims; cells that a run lacks make a claim that says so."""
    vanilla, balanced = Family(evidence, VANILLA), Family(evidence, BALANCED)
    return [
        *_moments(vanilla, balanced),
        _variance_excess(vanilla),
        *_scores(vanilla, balanced),
        *_long_memory(Family(evidence, VANILLA, 0.9)),
        *lag_claims(vanilla, balanced),
        *activation_claims(vanilla, balanced),
        *growth_claims(vanilla, balanced),
        *jacobian_claims(vanilla, balanced),
        *_infinite_width(vanilla),
    ]


def _moments(vanilla: Family, balanced: Family) -> list[Claim]:
    """Mean m_d t and variance v_d t of the log norm (sheet C 2.3 and 2.5)."""
    found = []
    for family, least, aspects in ((vanilla, 64, (0.25, 1.0)), (balanced, 64, (1.0,))):
        cells = [c for c in family.cells if float(c.parameters["width"]) >= least and aspect(c) in aspects]
        if not cells:
            text = f"{family.network.capitalize()}: mean and variance of the log norm are those of finite-depth sums."
            found.append(missing(f"{family.network}-moments", text, math.nan, f"d = n at width {least} or more"))
        for cell in cells:
            width, depth = int(cell.parameters["width"]), int(cell.parameters["depth"])
            theory = family.theory(depth, width)
            moments: tuple[tuple[Moment, float], ...] = (("mean", theory.mean), ("variance", theory.variance))
            found += [
                answering(moment_claim)(
                    family.evidence,
                    cell,
                    "log_norm",
                    moment,
                    predicted,
                    name=f"{family.network}-{moment}-n{width}-d{depth}",
                    text=f"{family.network.capitalize()}: the {moment} of the log norm at n = {width}, d = {depth} is "
                    "that of the log-Gaussian law with finite-depth sums.",
                    theory=FINITE,
                )
                for moment, predicted in moments
            ]
    return found


def _variance_excess(vanilla: Family) -> Claim:
    """Var = v_d + a/n at d = n: a fitted up to n = 128 predicts n = 256 (sheet C 2.7a: a of about 42)."""
    name, squares = "variance-excess-extrapolates", vanilla.square()
    text = "Vanilla at d = n: the excess a/n of the variance over the finite-depth theory, fitted from n = 32 to 128, "
    text += "predicts the variance at n = 256"
    fitted = {n: cell for n, cell in squares.items() if 32 <= n <= 128}
    if len(fitted) < 2 or 256 not in squares:
        return missing(name, text + ".", math.nan, "d = n at two widths from 32 to 128, and n = d = 256")
    fit, found, theory = fit_excess(fitted, vanilla, 128), variance(squares[256]), vanilla.theory(256, 256)
    return value_claim(
        vanilla.evidence,
        [*fit.cells, squares[256]],
        theory.variance + fit.value / 256,
        found.value,
        math.hypot(found.se, fit.se / 256),
        name=name,
        text=f"{text} (a = {fit.value:.1f} ± {fit.se:.1f}; without it {theory.variance:.3f}).",
        distance=squares[256].score("distance", "log_norm", FINITE),
    )


def _scores(vanilla: Family, balanced: Family) -> list[Claim]:
    """Which of the log-Gaussian laws holds where."""
    proportional = [c for c in vanilla.cells if aspect(c) >= 0.25]
    wide = [c for c in vanilla.cells if float(c.parameters["width"]) >= 128 and aspect(c) <= 1]
    wide_balanced = [c for c in balanced.cells if float(c.parameters["width"]) >= 32 and aspect(c) >= 0.25]
    square = vanilla.square()
    narrow = [square[n] for n in square if n <= 16]
    widest = largest(square, 64)
    need = "width 64 or more at d = n"
    gains = (("infinite-width", 10.0, "infinite width (NNGP)"), ("log-gaussian-base", 3.0, "independent layers"))
    found = [
        worst_score_claim(
            vanilla.evidence,
            wide,
            observable,
            FINITE,
            expected="holds",
            name=f"finite-depth-holds-{observable}",
            text=f"Vanilla: the log-Gaussian law with finite-depth sums holds for {words} (n >= 128, d <= n).",
        )
        for observable, words in (("log_norm", "the log norm"), ("log_output", "the output"))
    ]
    found += [
        worst_score_claim(
            vanilla.evidence,
            narrow,
            "log_norm",
            FINITE,
            expected="fails",
            name="finite-depth-fails-when-narrow",
            text="Vanilla: convergence is slow; at n = d = 16 even finite-depth sums fail for the log norm.",
        ),
        worst_score_claim(
            vanilla.evidence,
            proportional,
            "log_norm",
            "log-gaussian-base",
            expected="fails",
            name="base-fails-vanilla",
            text="Vanilla: the log-Gaussian law of independent layers fails for the log norm wherever d/n >= 1/4.",
        ),
        worst_score_claim(
            balanced.evidence,
            wide_balanced,
            "log_norm",
            "log-gaussian",
            expected="holds",
            name="log-gaussian-holds-balanced",
            text="Balanced: N(-beta/2, beta) holds for the log norm from width 32 on (d/n >= 1/4).",
        ),
    ]
    active = [c for c in vanilla.cells if 16 <= int(c.parameters["depth"]) <= float(c.parameters["width"])]
    shares: tuple[tuple[str, Literal["holds", "fails"], list[CellEvidence], str], ...] = (
        (FINITE, "holds", [c for c in active if float(c.parameters["width"]) >= 64], "from width 64 on"),
        ("infinite-width", "fails", [c for c in active if float(c.parameters["width"]) <= 64], "up to width 64"),
    )
    found += [
        worst_score_claim(
            vanilla.evidence,
            cells,
            "relu_share",
            theory,
            expected=expected,
            name=f"share-of-the-norm-{theory}-{expected}",
            text=f"Vanilla: for the share of the norm that passes a layer {theory} {expected} {words} (16 <= d <= n).",
        )
        for theory, expected, cells, words in shares
    ]
    for observable in ("log_norm", "log_output"):
        for worse, factor, words in gains:
            name = f"finite-depth-gains-on-{worse}-{observable}"
            text = f"Vanilla at d = n, largest width: D of {words} for {observable.replace('_', ' ')} is at least "
            text += f"{factor:g} times that of finite-depth sums."
            if widest is None:
                found.append(missing(name, text, factor, need))
                continue
            found.append(
                paired_gain_claim(
                    vanilla.evidence, widest, observable, worse, FINITE, at_least=factor, name=name, text=text
                )
            )
    return found


def _long_memory(slow: Family) -> list[Claim]:
    """alpha^2 = .9: a neuron keeps 95 % of itself per layer, so that depth 64 is short (sheet C 2.7a)."""
    cells = [cell for cell in [slow.at(64, 64)] if cell is not None]
    theories: tuple[tuple[str, Literal["holds", "fails"], str], ...] = (
        ("log-gaussian", "fails", "constants of infinite depth fail"),
        (FINITE, "holds", "finite-depth sums hold"),
    )
    return [
        worst_score_claim(
            slow.evidence,
            cells,
            "log_norm",
            theory,
            expected=expected,
            name=f"long-memory-{theory}-{expected}",
            text=f"Vanilla, alpha^2 = 0.9, n = d = 64: {words} for the log norm.",
        )
        for theory, expected, words in theories
    ]


def _infinite_width(vanilla: Family) -> list[Claim]:
    """NNGP's error grows with d at fixed n and falls with n at fixed d."""
    columns = vanilla.widths()
    deep = [[cell for depth, cell in sorted(column.items()) if depth >= 4] for column in columns.values()]
    rows: dict[int, list[CellEvidence]] = {}
    # narrow networks deeper than 4n can have all units off, after which they only shrink: another law, a larger spread
    shallow = [cell for cell in vanilla.cells if aspect(cell) <= 4]
    for cell in sorted(shallow, key=lambda c: -float(c.parameters["width"])):
        rows.setdefault(int(cell.parameters["depth"]), []).append(cell)
    across = [row for depth, row in rows.items() if depth >= 16]
    return [
        growth_with_depth_claim(
            vanilla.evidence,
            deep,
            "log_output",
            "infinite-width",
            name="infinite-width-worse-with-depth",
            text="Vanilla: infinite width's D for the output grows with depth at every width (share, d >= 4).",
        ),
        growth_with_depth_claim(
            vanilla.evidence,
            across,
            "log_output",
            "infinite-width",
            name="infinite-width-better-with-width",
            text="Vanilla: infinite width's D for the output falls with width at every depth (share, 16 <= d <= 4n).",
        ),
    ]
