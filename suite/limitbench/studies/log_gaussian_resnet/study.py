"""`log-gaussian-resnet`: the log-Gaussian limit of ReLU ResNets at initialisation (arXiv 2106.04013).

When depth grows with width, the squared norm of one input is exp of a normal variable whose mean and variance grow
with d/n. Layers are correlated and fewer than half of the ReLUs are active in a vanilla network; Balanced networks
have neither. Infinite width sees none of it. Networks of up to 32 units also carry a tangent, for the Jacobian's norm.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.networks.resnet import ResNet
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.log_gaussian_resnet.claims import claims
from limitbench.studies.log_gaussian_resnet.evidence import BALANCED, VANILLA
from limitbench.studies.log_gaussian_resnet.figures import figures
from limitbench.theories.log_gaussian import InfiniteWidth, LogGaussian, LogGaussianBase, LogGaussianFiniteDepth

#: Up to this width networks also carry a tangent for `log_jacobian`, which doubles their cost.
JACOBIAN_WIDTH = 32


def _network(cell: Cell) -> ResNet:
    """Skip alpha and branch lambda sqrt(2) with alpha^2 + lambda^2 = 1, so that s = 1."""
    weight, width = float(cell["residual_weight"]), int(cell["width"])
    return ResNet(
        depth=int(cell["depth"]),
        width=width,
        skip=math.sqrt(weight),
        branch=math.sqrt(2 * (1 - weight)),
        balanced=cell["network"] == BALANCED,
        outputs=int(cell["outputs"]),
        jacobian=width <= JACOBIAN_WIDTH,
    )


def _time(cell: Cell) -> float:
    return float(cell["depth"]) / float(cell["width"])


def _infinite_width(cell: Cell) -> InfiniteWidth:
    return InfiniteWidth(outputs=int(cell["outputs"]), width=int(cell["width"]))


def _base(cell: Cell) -> LogGaussianBase:
    return LogGaussianBase(_time(cell), float(cell["residual_weight"]), int(cell["outputs"]))


def _base_is_the_limit(cell: Cell) -> str | None:
    return "layers are independent: this is the log-Gaussian limit itself" if cell["network"] == BALANCED else None


def _limit(cell: Cell) -> LogGaussian:
    balanced = cell["network"] == BALANCED
    return LogGaussian(_time(cell), float(cell["residual_weight"]), balanced, int(cell["outputs"]))


def _finite_depth(cell: Cell) -> LogGaussianFiniteDepth:
    return LogGaussianFiniteDepth(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        residual_weight=float(cell["residual_weight"]),
        balanced=cell["network"] == BALANCED,
        outputs=int(cell["outputs"]),
    )


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="log-gaussian-resnet",
    version=1,
    title="ReLU ResNets: the log-Gaussian limit",
    question="When depth grows with width, what is the law of a ReLU ResNet's norm and output at initialisation?",
    reference="Li, Nica & Roy 2021, arXiv 2106.04013",
    axes=(
        Axis(
            "network",
            "str",
            (BALANCED, VANILLA),
            "vanilla, or balanced: each neuron and layer reflects its ReLU by a random sign.",
            choices=(BALANCED, VANILLA),
        ),
        Axis(
            "residual_weight",
            "float",
            (0.5,),
            "Weight alpha^2 of the skip; the branch has lambda^2 = 1 - alpha^2, and 0 is a ReLU MLP.",
            lower=0.0,
            upper=0.999,
            symbol="α²",
        ),
        Axis("outputs", "int", (10,), "Number of outputs D.", lower=1, upper=2**20, symbol="D"),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("log_norm", "log_output", "log_jacobian", "active_fraction", "relu_share"),
    network=_network,
    theories=(
        StudyTheory(
            "infinite-width",
            "infinite width (NNGP)",
            _infinite_width,
            formula=r"\ln\frac{|z_d|^2}{s^d|z_0|^2}=0",
        ),
        StudyTheory(
            "log-gaussian-base",
            "log-Gaussian, independent layers",
            _base,
            skip=_base_is_the_limit,
            formula=(
                r"\ln\frac{|z_d|^2}{s^d|z_0|^2}\sim\mathcal N\bigl(-\frac{\beta t}{2},\beta t\bigr),\quad "
                r"\beta=\frac{5\lambda^4+4\alpha^2\lambda^2}{s^2}"
            ),
        ),
        StudyTheory(
            "log-gaussian",
            "log-Gaussian",
            _limit,
            formula=(
                r"\ln\frac{|z_d|^2}{s^d|z_0|^2}\sim\mathcal N(mt,vt),\quad "
                r"v=\beta+\frac{2\lambda^4}{s^2}\sum_{r\ge1}K(c^r),\quad "
                r"m=-\frac\beta2-\frac{\lambda^4}{s^2}\sum_{r\ge1}\bigl[K(c^r)-M(c^r)\bigr]"
            ),
        ),
        StudyTheory(
            "log-gaussian-finite-depth",
            "log-Gaussian, finite-depth sums",
            _finite_depth,
            formula=(
                r"\ln\frac{|z_d|^2}{s^d|z_0|^2}\sim\mathcal N(m_dt,v_dt),\quad "
                r"\sum_{r\ge1}\to\sum_{r=1}^{d-1}\bigl(1-\frac rd\bigr)"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {
                "network": (BALANCED, VANILLA),
                "residual_weight": (0.5,),
                "outputs": (10,),
                "width": (16, 32, 64),
                "depth": (1, 2, 4, 16, 64),
            },
            samples=16384,
        ),
        "standard": Preset(
            {
                "network": (BALANCED, VANILLA),
                "residual_weight": (0.5, 0.9),
                "outputs": (10,),
                "width": (16, 32, 64, 128, 256),
                "depth": (1, 2, 4, 8, 16, 32, 64, 128, 256),
            },
            samples=32768,
            samples_at={256: 24576},
        ),
        "full": Preset(
            {
                "network": (BALANCED, VANILLA),
                "residual_weight": (0.0, 0.1, 0.25, 0.5, 0.75, 0.9),
                "outputs": (1, 10),
                "width": (16, 32, 64, 128, 256),
                "depth": (1, 2, 4, 8, 16, 24, 32, 33, 34, 35, 40, 64, 128, 192, 256),
            },
            samples=131072,
        ),
    },
    claims=_claims,
    figures=_figures,
    formula=(
        r"z_{\ell+1}=\alpha z_\ell+\lambda\sqrt{2/n}\,W_{\ell+1}\,z_\ell^+,\quad " r"s=\alpha^2+\lambda^2,\quad t=d/n"
    ),
)
