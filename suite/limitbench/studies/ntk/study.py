"""`ntk`: how far the neural tangent kernel of a finite network is from its infinite-width value.

At infinite width the kernel at initialisation is one number per pair of inputs. In a network of depth d and width n the
log of K_11 fluctuates with a variance of order d/n, whatever the width: only d much smaller than n is infinite width.
"""

from __future__ import annotations

import xarray as xr

from limitbench.networks.ntk import TangentKernel
from limitbench.studies.axes import ASPECT, DEPTH, RHO0, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.ntk.claims import claims
from limitbench.studies.ntk.figures import figures
from limitbench.theories.ntk import InfiniteWidth, LogNormal


def _network(cell: Cell) -> TangentKernel:
    return TangentKernel(
        int(cell["depth"]), int(cell["width"]), rate=float(cell["rate"]), rho0=float(cell["rho0"]), c_minus=-1.0
    )


def _infinite_width(cell: Cell) -> InfiniteWidth:
    return InfiniteWidth(int(cell["depth"]), int(cell["width"]), rate=float(cell["rate"]), rho0=float(cell["rho0"]))


def _log_normal(cell: Cell) -> LogNormal:
    return LogNormal(int(cell["depth"]), int(cell["width"]), rate=float(cell["rate"]))


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="ntk",
    version=1,
    title="The neural tangent kernel at finite width",
    question="Is the tangent kernel of a network of this depth and width that of infinite width?",
    reference="Jacot, Gabriel & Hongler 2018, arXiv 1806.07572; Hanin & Nica 2019, arXiv 1909.05989",
    axes=(
        RHO0,
        Axis(
            "rate",
            "float",
            (0.0,),
            "Exponent p of the negative slope 1 - n^-p; 0 is ReLU.",
            lower=0.0,
            upper=10,
            symbol="p",
        ),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("log_ntk", "ntk_ratio", "ntk_12"),
    network=_network,
    theories=(
        StudyTheory(
            "infinite-width",
            "infinite width (NTK)",
            _infinite_width,
            formula=(
                r"\Theta_\ell=\rho_\ell+\rho'_\ell\,\Theta_{\ell-1},\quad "
                r"\rho'_\ell=\frac{d\rho_\ell}{d\rho_{\ell-1}},\quad \Theta_0=\rho_0"
            ),
        ),
        StudyTheory(
            "log-normal",
            "log-normal, exact moments",
            _log_normal,
            formula=(
                r"\ln\frac{K_{11}}{d+1}\sim\mathcal N\bigl(-\frac v2,v\bigr),\quad "
                r"v=\ln\frac{\mathbb E K^2}{(\mathbb E K)^2}\approx\bigl(\frac{7\kappa}{3}-1\bigr)\frac dn"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {"rho0": (0.3,), "rate": (0.0, 0.5), "width": (16, 64, 256), "depth": (2, 8, 32)},
            samples=8192,
            samples_at={256: 4096},
        ),
        "standard": Preset(
            {"rho0": (0.3,), "rate": (0.0, 0.5), "width": (16, 32, 64, 128, 256), "depth": (2, 4, 8, 16, 32, 64)},
            samples=16384,
            samples_at={128: 8192, 256: 8192},
        ),
        "full": Preset(
            {
                "rho0": (-0.5, 0.3, 0.9),
                "rate": (0.0, 0.25, 0.5),
                "width": (16, 32, 64, 128, 256, 512, 1024),
                "depth": (2, 4, 8, 16, 32, 64, 128),
            },
            samples=65536,
            samples_at={256: 32768, 512: 16384, 1024: 8192},
        ),
    },
    claims=_claims,
    figures=_figures,
    formula=r"K(x,x')=\sum_\theta\partial_\theta f(x)\,\partial_\theta f(x')",
)
