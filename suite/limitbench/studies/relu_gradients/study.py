"""`relu-gradients`: how gradients spread from layer to layer, and why only the sum of inverse widths matters.

Norms, Jacobians and gradients of ReLU and linear networks, with dropout or without, are products of independent
chi-squares, one a layer; in the log, beta = (3/p - 1) sum 1/n_l is the variance of each (arXiv 1812.05994). Residual
networks stand beside them: Balanced ones share one law in all directions, vanilla ones do not.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.networks.base import Network
from limitbench.networks.relu_gradients import ReLUGradients
from limitbench.networks.relu_gradients_residual import ResidualGradients
from limitbench.networks.resnet import ResNet
from limitbench.studies.axes import DEPTH, LAYER, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.relu_gradients.claims import claims
from limitbench.studies.relu_gradients.families import MLPS, RESNETS, is_mlp, layers_of
from limitbench.studies.relu_gradients.figures import figures
from limitbench.theories.relu_gradients import BalancedLogNormal, ChiSquareProducts, InfiniteWidth, LogNormal

_NETWORKS = (*MLPS, *RESNETS)


def _network(cell: Cell) -> Network:
    name, depth, width = str(cell["network"]), int(cell["depth"]), int(cell["width"])
    if name in MLPS:
        family = MLPS[name]
        widths = family.widths(width, depth)
        return ReLUGradients(depth, widths=widths, activation=family.activation, keep=family.keep)
    return ResidualGradients(
        ResNet(depth, width, skip=math.sqrt(0.5), balanced=RESNETS[name], jacobian=True, gradient=True)
    )


def _no_mlp(cell: Cell) -> str | None:
    return None if is_mlp(cell) else "a residual network"


def _not_balanced(cell: Cell) -> str | None:
    return None if cell["network"] == "balanced" else "not a Balanced ResNet"


def _blocks_over_width(cell: Cell) -> float:
    return int(cell["layer"]) / int(cell["width"])


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="relu-gradients",
    version=1,
    title="Gradients by layer: products of chi-squares",
    question="How do Jacobians and gradients of ReLU networks spread with depth, and does the arrangement of widths "
    "or the layer matter?",
    reference="Hanin & Nica 2018, arXiv 1812.05994; Hanin 2018, arXiv 1801.03744; "
    "Li, Nica & Roy 2021, arXiv 2106.04013 (residual networks)",
    axes=(
        Axis(
            "network",
            "str",
            ("relu",),
            "relu; relu-unequal: widths n in the first half, 3n in the second; relu-dropout: keeps 80 % of the units; "
            "linear; linear-dropout: keeps 50 %; resnet, balanced: equal weights of skip and branch, layer l is the "
            "network of l blocks.",
            choices=_NETWORKS,
        ),
        WIDTH,
        DEPTH,
        LAYER,
    ),
    observables=("log_norm", "log_jacobian", "log_gradient", "log_weight_gradient", "dead"),
    network=_network,
    theories=(
        StudyTheory(
            "infinite-width",
            "infinite width",
            lambda cell: InfiniteWidth(is_mlp(cell)),
            formula=r"|Ju|^2=1",
        ),
        StudyTheory(
            "log-normal",
            "log-normal",
            lambda cell: LogNormal(layers_of(cell)),
            skip=_no_mlp,
            formula=(
                r"\ln|Ju|^2\sim\mathcal N\bigl(-\frac\beta2,\beta\bigr),\quad "
                r"\beta=\bigl(\frac3p-1\bigr)\sum_\ell\frac1{n_\ell}"
            ),
        ),
        StudyTheory(
            "chi-square-products",
            "exact chi-square products",
            lambda cell: ChiSquareProducts(layers_of(cell)),
            skip=_no_mlp,
            formula=(
                r"|Ju|^2=\prod_\ell\frac{1}{p\,n_\ell}\chi^2_{K_\ell},\quad "
                r"K_\ell\sim\operatorname{Bin}(n_\ell,p)\text{ given }K_\ell>0"
            ),
        ),
        StudyTheory(
            "balanced-log-normal",
            "log-normal, Balanced ResNet",
            lambda cell: BalancedLogNormal(_blocks_over_width(cell)),
            skip=_not_balanced,
            formula=(
                r"\ln|Ju|^2\sim\mathcal N\bigl(-\frac\beta2,\beta\bigr),\quad "
                r"\beta=\frac{5\lambda^4+4\alpha^2\lambda^2}{(\alpha^2+\lambda^2)^2}\frac dn"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {
                "network": ("relu", "relu-unequal", "linear", "resnet", "balanced"),
                "width": (4, 16, 32, 64, 128),
                "depth": (16,),
                "layer": (1, 16),
            },
            samples=8192,
        ),
        "standard": Preset(
            {
                "network": _NETWORKS,
                "width": (4, 8, 16, 32, 64, 128, 256),
                "depth": (16, 64),
                "layer": (1, 16, 32, 48, 64),
            },
            samples=12288,
            samples_at={128: 4096, 256: 4096},
        ),
        "full": Preset(
            {
                "network": _NETWORKS,
                "width": (2, 3, 4, 6, 8, 16, 32, 64, 128, 256),
                "depth": (16, 64, 256),
                "layer": (1, 4, 8, 12, 16, 32, 48, 64, 128, 192, 256),
            },
            samples=16384,
            samples_at={128: 8192, 256: 8192},
        ),
    },
    claims=_claims,
    block_samples={"exact": 2048, "dense": 256},
    figures=_figures,
    formula=(
        r"z_\ell=\sqrt{\frac{1}{p\,n_{\ell-1}}}\,W_\ell\,D_{\ell-1}z_{\ell-1},\quad "
        r"J=\partial z_d/\partial z_0,\quad D\text{ the units that are on, a share }p"
    ),
)
