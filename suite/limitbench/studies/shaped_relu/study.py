"""`shaped-relu`: the covariance SDE of shaped ReLU networks and its critical exponent (arXiv 2206.02768, 2310.12079).

Slopes 1 + c_pm n^-rate. At rate 1/2 and depth proportional to width the correlation of two inputs follows a stochastic
differential equation; below 1/2 inputs collapse onto each other, above 1/2 the activation's drift drops out.
"""

from __future__ import annotations

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.studies.axes import ASPECT, DEPTH, RHO0, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.shaped_relu.claims import claims
from limitbench.studies.shaped_relu.figures import figures
from limitbench.theories.base import Theory
from limitbench.theories.shaped_relu import (
    CovarianceSDE,
    DriftCorrectedCovarianceSDE,
    DriftlessCovarianceSDE,
    FiniteWidthChain,
    InfiniteWidth,
    InfiniteWidthCLT,
    MatrixCovarianceSDE,
)


def _network(cell: Cell) -> ShapedMLP:
    return ShapedMLP(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rate=float(cell["rate"]),
        rho0=float(cell["rho0"]),
    )


def _check(cell: Cell) -> None:
    width, rate = float(cell["width"]), float(cell["rate"])
    slopes = [1 + float(cell[c]) * width**-rate for c in ("c_plus", "c_minus")]
    if not any(slopes):
        raise InputError("c_plus, c_minus", (cell["c_plus"], cell["c_minus"]), "slopes that are not both zero")


def _time(cell: Cell) -> float:
    return float(cell["depth"]) / float(cell["width"])


def _finite(cell: Cell, theory: type[InfiniteWidth] | type[InfiniteWidthCLT] | type[FiniteWidthChain]) -> Theory:
    """A theory that knows the network's own depth, width and slopes."""
    return theory(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rate=float(cell["rate"]),
        rho0=float(cell["rho0"]),
    )


def _limit(cell: Cell) -> CovarianceSDE:
    return CovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rho0=float(cell["rho0"]),
    )


def _corrected(cell: Cell) -> DriftCorrectedCovarianceSDE:
    return DriftCorrectedCovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        rho0=float(cell["rho0"]),
        width=int(cell["width"]),
        rate=float(cell["rate"]),
    )


def _simulated(cell: Cell) -> MatrixCovarianceSDE:
    rho0 = float(cell["rho0"])
    return MatrixCovarianceSDE(
        time=_time(cell),
        c_plus=float(cell["c_plus"]),
        c_minus=float(cell["c_minus"]),
        gram=((1.0, rho0), (rho0, 1.0)),
    )


THEORIES = (
    StudyTheory(
        "infinite-width",
        "infinite width",
        lambda cell: _finite(cell, InfiniteWidth),
        formula=(
            r"\rho_{\ell+1}=\rho_\ell+\frac{c\,(s_+-s_-)^2}{2\pi}"
            r"\bigl(\sqrt{1-\rho_\ell^2}-\rho_\ell\arccos\rho_\ell\bigr)"
        ),
    ),
    StudyTheory(
        "infinite-width-clt",
        "infinite width + CLT",
        lambda cell: _finite(cell, InfiniteWidthCLT),
        formula=(
            r"s_{\ell+1}=\Bigl(\frac{d\rho_{\ell+1}}{d\rho_\ell}\Bigr)^2s_\ell+\frac{v(\rho_\ell)}{n},\quad "
            r"\rho_d\sim\mathcal N(\bar\rho_d,s_d)"
        ),
    ),
    StudyTheory(
        "covariance-sde",
        "covariance SDE",
        _limit,
        formula=(
            r"d\rho=\Bigl[\nu(\rho)-\frac{\rho(1-\rho^2)}{2}\Bigr]dt+(1-\rho^2)\,dB,\quad "
            r"\nu(\rho)=\frac{(c_+-c_-)^2}{2\pi}\bigl(\sqrt{1-\rho^2}-\rho\arccos\rho\bigr)"
        ),
    ),
    StudyTheory(
        "covariance-sde-corrected",
        "covariance SDE, finite-size drift",
        _corrected,
        formula=(
            r"d\rho=\Bigl[c\,\nu(\rho)-\frac{\rho(1-\rho^2)}{2}\Bigr]dt+(1-\rho^2)\,dB,\quad "
            r"c=\frac{2}{s_+^2+s_-^2}"
        ),
    ),
    StudyTheory(
        "covariance-sde-driftless",
        "covariance SDE, ν = 0",
        lambda cell: DriftlessCovarianceSDE(time=_time(cell), rho0=float(cell["rho0"])),
        formula=(
            r"d\rho=-\frac{\rho(1-\rho^2)}{2}\,dt+(1-\rho^2)\,dB,\quad " r"\ln\frac{V_t}{V_0}\sim\mathcal N(-t,2t)"
        ),
    ),
    StudyTheory(
        "finite-width-chain",
        "finite-width chain",
        lambda cell: _finite(cell, FiniteWidthChain),
        formula=(
            r"\mathbb E z_{\ell+1}=\bar z(z_\ell)+\frac{m_1}{n}+\frac{m_2}{n^2},\quad "
            r"\kappa_2=\frac{v_1}{n}+\frac{v_2}{n^2},\quad \kappa_3=\frac{k}{n^2},\quad z=\operatorname{artanh}\rho"
        ),
    ),
    StudyTheory(
        "matrix-covariance-sde",
        "m-point covariance SDE (Bartlett–Euler)",
        _simulated,
        role="check",
        formula=(
            r"dV=b(V)\,dt+\Sigma(V)^{1/2}dB,\quad b^{ab}=\nu(\rho^{ab})\sqrt{V^{aa}V^{bb}},\quad "
            r"\Sigma_{ab,cd}=V^{ac}V^{bd}+V^{ad}V^{bc}"
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="shaped-relu",
    version=1,
    title="Shaped ReLU networks: the covariance SDE",
    question="When slopes approach 1 at rate n^-p, what are the laws of two inputs' correlation and of the norm?",
    reference="Li, Nica & Roy 2022, arXiv 2206.02768; Li & Nica 2023, arXiv 2310.12079",
    axes=(
        Axis("c_plus", "float", (0.0,), "Slope constant for positive arguments.", lower=-100, upper=100, symbol="c₊"),
        Axis("c_minus", "float", (-1.0,), "Slope constant for negative arguments.", lower=-100, upper=100, symbol="c₋"),
        RHO0,
        Axis(
            "rate",
            "float",
            (0.5,),
            "Shaping exponent p in slopes 1 + c n^-p; 0 is unshaped.",
            lower=0.0,
            upper=10,
            symbol="p",
        ),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("correlation", "log_gap", "log_norm"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {
                "c_plus": (0.0,),
                "c_minus": (-1.0,),
                "rho0": (0.3,),
                "rate": (0.25, 0.5, 1.0),
                "width": (16, 32, 64),
                "aspect": (0.25, 1.0),
            },
            samples=16384,
        ),
        "standard": Preset(
            {
                "c_plus": (0.0, 1.0),
                "c_minus": (-2.0, -1.0),
                "rho0": (0.0,),
                "rate": (0.25, 0.5, 1.0),
                "width": (16, 32, 64, 128, 256),
                "aspect": (0.25, 0.5, 1.0),
            },
            samples=32768,
            samples_at={128: 16384, 256: 8192},
        ),
        "full": Preset(
            {
                "c_plus": (0.0, 1.0),
                "c_minus": (-2.0, -1.0, 0.0),
                "rho0": (-0.3, 0.0, 0.3, 0.9),
                "rate": (0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
                "width": (16, 32, 64, 128, 256, 512),
                "aspect": (0.125, 0.25, 0.5, 1.0, 2.0),
            },
            samples=65536,
            samples_at={256: 16384, 512: 8192},
        ),
    },
    claims=_claims,
    check=_check,
    figures=_figures,
    formula=(
        r"z_{\ell+1}=\sqrt{c/n}\,W_\ell\,\varphi_s(z_\ell),\quad "
        r"\varphi_s(x)=s_+\max(x,0)+s_-\min(x,0),\quad s_\pm=1+c_\pm n^{-p}"
    ),
)
