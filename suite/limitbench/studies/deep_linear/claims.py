"""Claims of `deep-linear` about the mixing matrix Q: exact finite-size values, rates, limits, unequal widths."""

from __future__ import annotations

from limitbench.studies.base import Claim
from limitbench.studies.deep_linear.cells import inverse_widths, layer_widths, mean_width
from limitbench.studies.evidence import Evidence, Moment, missing, moment_claim, value_claim
from limitbench.studies.ledger import answering, growth_with_depth_claim, limit_distance_claim, worst_score_claim
from limitbench.theories.deep_linear import FiniteWidth, finite_second_moments, limit_second_moments

_MOMENTS: tuple[tuple[int, Moment], ...] = ((1, "mean"), (2, "variance"))


def mixing_claims(evidence: Evidence) -> list[Claim]:
    """All claims about Q."""
    return [
        *_finite_size_moments(evidence),
        *_kolmogorov_smirnov_constants(evidence),
        _coupling(evidence),
        *_nngp(evidence),
        *_unequal_widths(evidence),
    ]


def _finite_size_moments(evidence: Evidence) -> list[Claim]:
    """Exact finite-size mean and variance of ln Q_11 and ln det Q (sheet C 1.3: digamma and trigamma sums)."""
    claims = []
    for width, depth in ((16, 16), (64, 64), (64, 16)):
        cell = evidence.one(width=width, depth=depth, outputs=2, widths="equal")
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
                            theory="finite-width",
                        )
                    )
    return claims


def _kolmogorov_smirnov_constants(evidence: Evidence) -> list[Claim]:
    """N x KS of the exact law to the log-normal limit: leading Edgeworth constants (sheet C 1.4, 1.6c)."""
    claims = []
    for alpha, constant in ((0.25, 0.1903), (1.0, 0.1826), (4.0, 0.2402)):
        cells = [
            c
            for c in evidence.where(alpha=alpha, outputs=2, widths="equal")
            if float(c.parameters["width"]) >= 64  # from here on the leading constant is good to 2 %
        ]
        name = f"rate-constant-alpha{alpha:g}"
        text = f"Width x KS distance of ln Q11's exact law to its log-normal limit at L/N = {alpha:g} is {constant} "
        text += "(laws alone, no networks)."
        if not cells:
            claims.append(missing(name, text, constant, f"a width of at least 64 at L/N = {alpha:g}"))
            continue
        claims.append(limit_distance_claim(evidence, cells[-1], constant, name=name, text=text, tolerance=0.02))
    return claims


def _coupling(evidence: Evidence) -> Claim:
    """E Q_12^2 = ((1 + 2/N)^L - (1 - 1/N)^L)/3: outputs share a random covariance, which NNGP sets to zero."""
    cells = list(evidence.where(alpha=0.25, outputs=2, widths="equal"))
    text = "E Q12^2 at L/N = 1/4 is ((1+2/N)^L - (1-1/N)^L)/3: outputs are coupled (NNGP: 0)."
    if not cells:
        return missing("output-coupling", text, limit_second_moments(0.25).q12_squared, "L/N = 1/4, outputs 2")
    cell = cells[-1]
    predicted = finite_second_moments(layer_widths(cell.parameters)).q12_squared
    return moment_claim(
        evidence,
        cell,
        "q12",
        "second moment",
        predicted,
        name="output-coupling",
        text=text,
        theory="proportional-limit",
    )


def _nngp(evidence: Evidence) -> list[Claim]:
    """NNGP fails at every depth proportional to the width, worse the deeper; the proportional limit holds."""
    proportional = [
        c
        for c in evidence.where(outputs=2, widths="equal")
        if float(c.parameters["depth"]) >= 0.25 * float(c.parameters["width"])
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


def _unequal_widths(evidence: Evidence) -> list[Claim]:
    """Widths n, 3n, n, 3n, ...: the law follows sum 1/N_l; depth over the mean width is a wrong variable."""
    wide = [c for c in evidence.where(outputs=2, widths="alternating") if float(c.parameters["width"]) >= 64]
    return [
        _variance_per_mean_width(
            evidence,
            name="unequal-widths-variance",
            text="Widths n, 3n, n, ...: Var ln Q11 over 2 L/(mean width) is not 1 but that of sum 1/N_l, exactly "
            "sum psi_1(N_l/2) (about 4/3).",
        ),
        worst_score_claim(
            evidence,
            wide,
            "log_q11",
            "proportional-limit",
            expected="holds",
            name="unequal-widths-limit-holds",
            text="At widths n, 3n, n, ... the limit at alpha = sum 1/N_l holds for ln Q11 from n = 64 on (largest D).",
        ),
    ]


@answering
def _variance_per_mean_width(evidence: Evidence, *, name: str, text: str) -> Claim:
    cells = evidence.where(outputs=2, widths="alternating", alpha=1.0)
    if not cells:
        return missing(name, text, 4 / 3, "alternating widths at depth = width, outputs 2")
    cell = cells[-1]
    naive = 2 * float(cell.parameters["depth"]) / mean_width(cell.parameters)
    exact = FiniteWidth(width=layer_widths(cell.parameters), outputs=2).cumulant("log_q11", 2)
    measured = moment_claim(evidence, cell, "log_q11", "variance", exact, name=name, text=text)
    predicted = exact / naive
    return value_claim(
        evidence,
        [cell],
        predicted,
        measured.measured / naive,
        measured.se / naive,
        name=name,
        text=f"{text[:-1]}; sum 1/N_l = {inverse_widths(cell.parameters):.4g}, n = {cell.parameters['width']}.",
        resolution=abs(predicted - 1),
        distance=cell.score("distance", "log_q11", "proportional-limit"),
    )
