"""`norm-variance`: one number for every architecture, the variance of the log norm per sum of inverse widths.

Linear, Balanced, leaky, ReLU and residual networks at initialisation all have log-Gaussian norms when depth grows with
width; they differ in one constant, the slope of Var ln V_d/V_0 in sum_l 1/n_l. Infinite width says 0 for all of them.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.networks.base import Network
from limitbench.networks.resnet import ResNet
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.surviving_norm import SurvivingNorm
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.norm_variance.claims import claims, figures
from limitbench.studies.norm_variance.families import FAMILIES, RESIDUAL_WEIGHT, family, time, widths_of
from limitbench.theories.base import Theory
from limitbench.theories.log_gaussian import (
    FiniteWidthPerceptron,
    InfiniteWidth,
    LogGaussian,
    LogGaussianFiniteDepth,
    LogGaussianPerceptron,
)


def _network(cell: Cell) -> Network:
    chosen, depth = family(cell), int(cell["depth"])
    if chosen.slope is None:
        alpha, branch = math.sqrt(RESIDUAL_WEIGHT), math.sqrt(2 * (1 - RESIDUAL_WEIGHT))
        return SurvivingNorm(
            ResNet(depth=depth, width=int(cell["width"]), skip=alpha, branch=branch, balanced=chosen.balanced)
        )
    widths = {"widths": widths_of(cell)} if chosen.alternating else {"width": int(cell["width"])}
    return SurvivingNorm(ShapedMLP(depth=depth, **widths, c_minus=chosen.slope - 1.0, rate=0.0, gram=((1.0,),)))


def _limit(cell: Cell) -> Theory:
    chosen = family(cell)
    if chosen.slope is None:
        return LogGaussian(time(cell), RESIDUAL_WEIGHT, chosen.balanced)
    return LogGaussianPerceptron(time(cell), 1.0, chosen.slope)


def _finite_depth(cell: Cell) -> LogGaussianFiniteDepth:
    depth, width = int(cell["depth"]), int(cell["width"])
    return LogGaussianFiniteDepth(depth, width, RESIDUAL_WEIGHT, family(cell).balanced)


def _exact(cell: Cell) -> FiniteWidthPerceptron:
    return FiniteWidthPerceptron(widths_of(cell), 1.0, family(cell).slope or 0.0)


def _not_exact(cell: Cell) -> str | None:
    return "the exact law of a residual network is not known" if family(cell).residual else None


def _no_sums(cell: Cell) -> str | None:
    return None if family(cell).residual else "no correlations between layers"


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="norm-variance",
    version=1,
    title="One constant per architecture: the variance of the log norm",
    question="How fast does the squared norm of one input spread with depth, in networks of every kind and width?",
    reference="Hanin & Nica 2018, arXiv 1812.05994; Li, Nica & Roy 2021, arXiv 2106.04013; "
    "Li & Nica 2023, arXiv 2310.12079; Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267",
    axes=(
        Axis(
            "network",
            "str",
            ("relu",),
            "linear, leaky (slopes 1 and 1/2), relu; relu-alternating: widths n, 3n, n, ...; balanced, resnet: equal "
            "weights of skip and branch.",
            choices=tuple(FAMILIES),
        ),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("log_norm",),
    network=_network,
    theories=(
        StudyTheory(
            "infinite-width",
            "infinite width (NNGP)",
            lambda cell: InfiniteWidth(),
            formula=r"\ln\frac{V_d}{V_0}=0",
        ),
        StudyTheory(
            "log-gaussian",
            "log-Gaussian, the family's constant",
            _limit,
            formula=(
                r"\ln\frac{V_d}{V_0}\sim\mathcal N(mt,vt),\quad "
                r"v=3\kappa-1\text{ for MLPs},\quad \kappa=\frac{2(s_+^4+s_-^4)}{(s_+^2+s_-^2)^2}"
            ),
        ),
        StudyTheory(
            "log-gaussian-finite-depth",
            "log-Gaussian, finite-depth sums",
            _finite_depth,
            skip=_no_sums,
            formula=(
                r"\ln\frac{V_d}{V_0}\sim\mathcal N(m_dt,v_dt),\quad "
                r"\sum_{r\ge1}\to\sum_{r=1}^{d-1}\bigl(1-\frac rd\bigr)"
            ),
        ),
        StudyTheory(
            "finite-width",
            "exact finite-size law",
            _exact,
            skip=_not_exact,
            formula=(
                r"\ln\frac{V_d}{V_0}=\sum_\ell\ln\frac{c}{n_\ell}"
                r"\bigl(s_+^2\chi^2_{K_\ell}+s_-^2\chi^2_{n_\ell-K_\ell}\bigr),\quad "
                r"K_\ell\sim\operatorname{Bin}(n_\ell,\frac12)"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {"network": tuple(FAMILIES), "width": (16, 64, 256, 1024, 4096), "depth": (16,)},
            samples=8192,
            samples_at={1024: 4096, 4096: 2048},
        ),
        "standard": Preset(
            {"network": tuple(FAMILIES), "width": (16, 32, 64, 128, 256, 512, 1024, 4096), "depth": (4, 16, 64)},
            samples=32768,
            samples_at={256: 16384, 512: 16384, 1024: 16384, 4096: 2048},
        ),
        "full": Preset(
            {
                "network": tuple(FAMILIES),
                "width": (16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
                "depth": (4, 8, 16, 32, 64, 128),
            },
            samples=65536,
            samples_at={2048: 16384, 4096: 8192},
        ),
    },
    claims=_claims,
    block_samples={"exact": 2048, "dense": 256},
    figures=_figures,
    formula=r"\operatorname{Var}\ln\frac{V_d}{V_0}\to v\,t,\quad t=\sum_\ell\frac1{n_\ell}",
)
