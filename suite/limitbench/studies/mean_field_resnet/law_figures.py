"""The figure of `mean-field-resnet` that shows exponents: read off long recurrences, beside their closed forms."""

from __future__ import annotations

import numpy as np

from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import FigureTable, Series, StudyFigure
from limitbench.theories.mean_field import MeanField
from limitbench.theories.mean_field.asymptotic_laws import power_law, saturating_law
from limitbench.theories.mean_field.exponents import exponent_table, saturating_cosine

#: sigma_v^2/b at which delta is read.
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
_BLOCKS = 20_000


def exponents(evidence: Evidence) -> StudyFigure:
    """R, mu and 1 - e* against A, delta against sigma_v^2/(sigma_v^2 + sigma_a^2)."""
    powers = np.linspace(0.53, 0.92, 40)
    laws = [power_law(MeanField("full", f"relu-{a:.6f}")) for a in powers]
    table = [row for row in exponent_table() if row.activation.startswith("relu-")]
    lines = {
        "gain exponent": ("R", [law.gain_exponent for law in laws]),
        "cosine exponent": ("μ", [law.decay for law in laws]),
        "limit cosine": ("1 − e*", [1 - law.limit_cosine for law in laws]),
    }
    series, worst = [], []
    for quantity, (symbol, line) in lines.items():
        rows = [row for row in table if row.quantity == quantity]
        x = np.array([float(row.activation.removeprefix("relu-")) for row in rows])
        gap = quantity == "limit cosine"
        y = np.array([1 - row.measured if gap else row.measured for row in rows])
        right = np.array([1 - row.predicted if gap else row.predicted for row in rows])
        series += [Series(symbol, x, y), Series(f"{symbol}, closed form", powers, np.array(line), "theory")]
        worst.append(f"{symbol} {100 * np.abs(y / right - 1).max():.2g} %")
    shares = np.linspace(0.05, 1.0, 39)
    fields = [MeanField("full", "erf", sigma_v2=2 * float(v), sigma_a2=2 * (1 - float(v))) for v in _SHARES]
    delta = np.array([saturating_cosine(field, _BLOCKS)[1].measured for field in fields])
    decays = [saturating_law(field).decay for field in fields]
    closed = [
        saturating_law(MeanField("full", "erf", sigma_v2=2 * float(v), sigma_a2=2 * (1 - float(v)))).decay
        for v in shares
    ]
    series += [Series("δ", np.array(_SHARES), delta), Series("δ, closed form", shares, np.array(closed), "theory")]
    worst.append(f"δ {100 * np.abs(delta / decays - 1).max():.2g} %")
    return StudyFigure(
        "exponents",
        "Exponents of depth",
        "A of relu-A (R, μ, 1 − e*) or σ_v²/(σ_v² + σ_a²) of erf (δ)",
        "exponent",
        tuple(series),
        "Points are read off recurrences of up to 200,000 blocks, lines are closed forms. relu-A: χ₀/χ_l ~ l^R, least "
        f"4 at A = 2/3; |e_l − e*| ~ l^−μ beside e*. erf: |e_l − e*| ~ l^−δ, from 1 − 2/π to 1/2. Largest relative "
        f"deviations: {', '.join(worst)}.",
        y_log=True,
        table=FigureTable(
            "Exponents of depth, read off long recurrences beside their closed forms",
            ("activation", "what", "measured", "predicted", "measured / predicted − 1"),
            tuple(
                (row.activation, row.quantity, row.measured, row.predicted, _relative(row.measured, row.predicted))
                for row in exponent_table()
            ),
        ),
    )


def _relative(measured: float, predicted: float) -> float:
    """`measured` against `predicted`; undefined where nothing but zero is predicted."""
    return measured / predicted - 1 if predicted else float("nan")
