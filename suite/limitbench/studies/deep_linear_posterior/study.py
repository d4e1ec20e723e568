"""`deep-linear-posterior`: deep linear networks that have seen labels (arXiv 2411.15267).

At fixed depth and infinite width the posterior is Gaussian process regression: depth plays no part and outputs ignore
each other. With L/N -> alpha it is a mixture of regressions over the mixing matrix Q, which labels tilt: scales adapt
to the size of the labels, and outputs with equal (opposite) labels become positively (negatively) coupled. That the
posterior is such a mixture is the paper's; weights, moments and the finite-size laws follow from the definitions and
are checked by networks. The number of training inputs is fixed: for P ~ N another limit applies.
"""

from __future__ import annotations

from dataclasses import replace

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.linear_posterior import LinearPosterior
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.deep_linear_posterior.claims import claims
from limitbench.studies.deep_linear_posterior.figures import figures
from limitbench.studies.deep_linear_posterior.tasks import LABELS, aspect, finite, limit, nngp, task
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure

#: Largest L/N that the theories tabulate, and the smallest width of their quadrature.
_DEEPEST, _NARROWEST = 8.0, 4


def _network(cell: Cell) -> LinearPosterior:
    return LinearPosterior(int(cell["depth"]), int(cell["width"]), task(cell))


def _check(cell: Cell) -> None:
    if aspect(cell) > _DEEPEST:
        raise InputError("depth", cell["depth"], f"at most {_DEEPEST:g} times the width")


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="deep-linear-posterior",
    version=1,
    title="The posterior of deep linear networks: outputs that labels couple",
    question="What does a deep linear network predict once it has seen labels, when depth grows with width?",
    reference="Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267",
    axes=(
        Axis(
            "labels",
            "str",
            LABELS,
            "one: one output, three training inputs; equal, opposite: two outputs with equal or opposite labels, two "
            "training inputs.",
            choices=LABELS,
        ),
        Axis(
            "noise",
            "float",
            (0.2,),
            "Variance T of the Gaussian likelihood of the labels.",
            lower=0.0,
            upper=1e6,
            symbol="T",
            open_lower=True,
        ),
        replace(WIDTH, lower=_NARROWEST),
        ASPECT,
        DEPTH,
    ),
    observables=("posterior_output_1", "posterior_output_2", "output_1", "output_2", "log_weight"),
    network=_network,
    theories=(
        StudyTheory(
            "infinite-width",
            "infinite width (NNGP)",
            nngp,
            formula=(
                r"\text{mean }Y(K+TI)^{-1}k_0,\quad " r"\text{covariance }I\bigl(k_{00}-k_0^\top(K+TI)^{-1}k_0\bigr)"
            ),
        ),
        StudyTheory(
            "proportional-limit",
            "proportional limit",
            limit,
            formula=(
                r"\ln Q\sim\mathcal N(-\alpha,2\alpha)\;(D=1),\quad "
                r"dG=G\,dA,\;Q_\alpha=G_\alpha G_\alpha^\top\;(D=2)"
            ),
        ),
        StudyTheory(
            "finite-mixture",
            "exact finite-size mixture",
            finite,
            formula=(
                r"Q=GG^\top,\quad G=T_1\cdots T_L,\quad (T_\ell)_{ii}^2\sim\frac1N\chi^2_{N-i+1},\quad "
                r"(T_\ell)_{21}\sim\mathcal N\bigl(0,\frac1N\bigr)"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {"labels": LABELS, "noise": (0.2,), "width": (8, 32), "aspect": (0.125, 0.5, 1.0, 2.0)}, samples=65536
        ),
        "standard": Preset(
            {
                "labels": LABELS,
                "noise": (0.05, 0.2),
                "width": (8, 32, 128),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0),
            },
            samples=131072,
            samples_at={128: 32768},
        ),
        "full": Preset(
            {
                "labels": LABELS,
                "noise": (0.02, 0.05, 0.1, 0.2),
                "width": (8, 16, 32, 64, 128, 256),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0),
            },
            samples=1048576,
        ),
    },
    claims=_claims,
    block_samples={"exact": 16384, "dense": 1024},
    check=_check,
    figures=_figures,
    formula=r"p(Q\mid Y)\propto p(Q)\,\mathcal N(\operatorname{vec}Y;\,0,\,Q\otimes K+T\,I)",
)
