"""`deep-linear`: outputs of deep linear networks (Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267).

A deep linear network's outputs are Gaussian given the mixing matrix Q_L. Infinite width says Q = I; the proportional
limit sum_l 1/N_l -> alpha says that Q is random, with ln Q_11 ~ N(-alpha, 2 alpha); at finite size the laws of Q_11
and of single outputs are known exactly.
"""

from __future__ import annotations

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.deep_linear import DeepLinear
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.deep_linear.cells import PATTERNS, inverse_widths, layer_widths
from limitbench.studies.deep_linear.claims import mixing_claims
from limitbench.studies.deep_linear.figures import figures
from limitbench.studies.deep_linear.outputs import output_claims
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.theories.deep_linear import FiniteWidth, InfiniteWidth, ProportionalLimit


def _network(cell: Cell) -> DeepLinear:
    depth, outputs = int(cell["depth"]), int(cell["outputs"])
    if cell["widths"] == "equal":
        return DeepLinear(depth=depth, width=int(cell["width"]), outputs=outputs)
    return DeepLinear(depth=depth, widths=layer_widths(cell), outputs=outputs)


def _check(cell: Cell) -> None:
    if int(cell["outputs"]) > int(cell["width"]):
        raise InputError("outputs", cell["outputs"], f"at most the width, {cell['width']}, so that Q is invertible")


THEORIES = (
    StudyTheory(
        "infinite-width",
        "infinite width (NNGP)",
        build=lambda cell: InfiniteWidth(outputs=int(cell["outputs"])),
        formula=r"Q=I",
    ),
    StudyTheory(
        "proportional-limit",
        "proportional limit",
        build=lambda cell: ProportionalLimit(alpha=inverse_widths(cell), outputs=int(cell["outputs"])),
        formula=(r"Q_\alpha=G_\alpha G_\alpha^\top,\quad dG=G\,dA,\quad " r"\ln Q_{11}\sim\mathcal N(-\alpha,2\alpha)"),
    ),
    StudyTheory(
        "finite-width",
        "exact finite-size law",
        build=lambda cell: FiniteWidth(width=layer_widths(cell), outputs=int(cell["outputs"])),
        formula=(
            r"Q=GG^\top,\quad G=T_1\cdots T_L,\quad (T_\ell)_{ii}^2\sim\frac1N\chi^2_{N-i+1},\quad "
            r"(T_\ell)_{ij}\sim\mathcal N\bigl(0,\frac1N\bigr)"
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    evidence = Evidence(STUDY, tree)
    return [*mixing_claims(evidence), *output_claims(evidence)]


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="deep-linear",
    version=2,
    title="Deep linear networks: a mixture of Gaussians",
    question="When depth grows with width, what random covariance do the outputs of a deep linear network share?",
    reference="Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267",
    axes=(
        Axis("outputs", "int", (2,), "Number of outputs D; Q is D x D.", lower=1, upper=64, symbol="D"),
        Axis(
            "widths",
            "str",
            ("equal",),
            "Hidden widths: all n, or n, 3n, n, 3n, ... (then alpha = sum 1/N_l is not d/n).",
            choices=tuple(PATTERNS),
        ),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=(
        "log_q11",
        "q12",
        "log_det",
        "log_lambda_min",
        "log_lambda_max",
        "log_output",
        "output_1",
        "output_2",
    ),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {"outputs": (2,), "widths": ("alternating", "equal"), "width": (16, 32, 64), "aspect": (0.25, 1.0, 4.0)},
            samples=8192,
        ),
        "standard": Preset(
            {
                "outputs": (1, 2, 3),
                "widths": ("alternating", "equal"),
                "width": (16, 32, 64, 128),
                "aspect": (0.25, 0.5, 1.0, 2.0, 4.0),
            },
            samples=16384,
            samples_at={64: 8192, 128: 8192},
        ),
        "full": Preset(
            {
                "outputs": (1, 2, 3, 5),
                "widths": ("alternating", "equal"),
                "width": (8, 16, 32, 64, 128, 256, 512, 1024),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
            },
            samples=131072,
        ),
    },
    claims=_claims,
    figures=_figures,
    check=_check,
    formula=(
        r"S=\frac{1}{\sqrt{N^L}}\,W_{L+1}\cdots W_2\,W_1\frac{X}{\sqrt{N_0}},\quad "
        r"\operatorname{vec}S\mid Q\sim\mathcal N(0,Q\otimes K)"
    ),
)
