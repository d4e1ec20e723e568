"""`unshaped-relu`: the collapse of correlations in networks with fixed slopes (arXiv 2310.12079, 2302.09712).

At fixed slopes 1 - rho_l falls as q/l^2. At infinite width q is a constant; at depth proportional to width q is a
process in t = l/n that starts from one singular value, whatever the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import xarray as xr

from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.studies.axes import ASPECT, DEPTH, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.unshaped_relu.claims import ledger
from limitbench.studies.unshaped_relu.figures import draw
from limitbench.theories.unshaped_relu import (
    AngleLaw,
    FiniteStartSDE,
    FiniteWidthChain,
    InfiniteWidth,
    MatchedDiscrete,
    SingularStartSDE,
    WithoutItoDrift,
)
from limitbench.theories.unshaped_relu.base import UnshapedTheory
from limitbench.theories.unshaped_relu.q_sde import QTheory


def _network(cell: Cell) -> UnshapedMLP:
    return UnshapedMLP(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        slope_minus=float(cell["slope_minus"]),
        rho0=float(cell["rho0"]),
    )


T = TypeVar("T", bound=UnshapedTheory)


def _theory(cell: Cell, theory: type[T]) -> T:
    return theory(int(cell["depth"]), int(cell["width"]), float(cell["slope_minus"]), float(cell["rho0"]))


def _angle_law(cell: Cell, small_angles: bool) -> AngleLaw:
    return AngleLaw(
        int(cell["depth"]),
        int(cell["width"]),
        float(cell["slope_minus"]),
        float(cell["rho0"]),
        small_angles=small_angles,
    )


def _no_angle_law(cell: Cell) -> str | None:
    if cell["slope_minus"] != 0 or float(cell["rho0"]) < 0:
        return "the angle law is that of ReLU and acute angles"
    return _no_expansion(cell)


def _no_expansion(cell: Cell) -> str | None:
    return "expansions in 1/n need a width of at least 8" if int(cell["width"]) < 8 else None


def _not_yet(theory: type[QTheory]) -> Callable[[Cell], str | None]:
    """Skips the first layers, in which the law of q is that of no network."""
    return lambda cell: f"needs {why}" if (why := _theory(cell, theory).impossible) else None


THEORIES = (
    StudyTheory(
        "infinite-width",
        "infinite width",
        lambda cell: _theory(cell, InfiniteWidth),
        formula=(
            r"\rho_{\ell+1}=\rho_\ell+\alpha(\sin\theta_\ell-\theta_\ell\cos\theta_\ell),\quad " r"\rho=\cos\theta"
        ),
    ),
    StudyTheory(
        "q-sde",
        "SDE of q, singular start",
        lambda cell: _theory(cell, SingularStartSDE),
        formula=(
            r"dq=\Bigl[\frac{2q}{t}-\frac{\alpha}{3}\frac{(2q)^{3/2}}{t}+\kappa q\Bigr]dt+2\sqrt\kappa\,q\,dB,\quad "
            r"q_{0+}=k_0^{-2}"
        ),
    ),
    StudyTheory(
        "q-sde-finite-start",
        "SDE of q, finite-width start",
        lambda cell: _theory(cell, FiniteStartSDE),
        _not_yet(FiniteStartSDE),
        formula=(
            r"dw=(\kappa w+k_0)\,dt-\sqrt\kappa\,w\,dB,\quad "
            r"w_0=\frac{1}{n\sqrt{1-\rho_0}},\quad q=\frac{t^2}{w^2}"
        ),
    ),
    StudyTheory(
        "q-sde-no-drift",
        "SDE of q without + κq",
        lambda cell: _theory(cell, WithoutItoDrift),
        _not_yet(WithoutItoDrift),
        formula=r"dq=\Bigl[\frac{2q}{t}-\frac{\alpha}{3}\frac{(2q)^{3/2}}{t}\Bigr]dt+2\sqrt\kappa\,q\,dB",
    ),
    StudyTheory(
        "matched-discrete",
        "exact map, limiting noise",
        lambda cell: _theory(cell, MatchedDiscrete),
        formula=(
            r"\ln g_{\ell+1}=\ln f(g_\ell)-\frac{\kappa}{n}+\sqrt{\frac{4\kappa}{n}}\,\xi_\ell,\quad " r"g=1-\rho"
        ),
    ),
    StudyTheory(
        "angle-law",
        "layerwise angle law",
        lambda cell: _angle_law(cell, False),
        skip=_no_angle_law,
        formula=r"\ln\sin^2\theta_{\ell+1}\sim\mathcal N\bigl(\mu(\theta_\ell),\sigma^2(\theta_\ell)\bigr)",
    ),
    StudyTheory(
        "angle-law-small-angles",
        "angle law, published small-angle constants",
        lambda cell: _angle_law(cell, True),
        skip=_no_angle_law,
        formula=(
            r"\ln\frac{\sin^2\theta_{\ell+1}}{\sin^2\theta_\ell}"
            r"\sim\mathcal N\Bigl(-\frac{2\theta_\ell}{3\pi}-r(n),\frac{8n}{(n+5)^2}\Bigr),\quad "
            r"r(n)=\frac2n+O(n^{-2})"
        ),
    ),
    StudyTheory(
        "finite-width-chain",
        "finite-width chain",
        lambda cell: _theory(cell, FiniteWidthChain),
        skip=_no_expansion,
        formula=(
            r"\mathbb E z_{\ell+1}=\bar z(z_\ell)+\frac{m_1}{n}+\frac{m_2}{n^2},\quad "
            r"\kappa_2=\frac{v_1}{n}+\frac{v_2}{n^2},\quad \kappa_3=\frac{k}{n^2},\quad z=\operatorname{artanh}\rho"
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return ledger(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return draw(Evidence(STUDY, tree))


STUDY = Study(
    name="unshaped-relu",
    version=1,
    title="Unshaped ReLU networks: the SDE of q",
    question="With fixed slopes, what is the law of l² (1 − ρ_l) when depth and width grow together?",
    reference="Li & Nica 2023, arXiv 2310.12079; Jakub & Nica 2023, arXiv 2302.09712",
    axes=(
        Axis(
            "slope_minus",
            "float",
            (0.0,),
            "Slope of negative arguments; 0 is ReLU, that of positive arguments is 1.",
            lower=-0.99,
            upper=0.99,
            symbol="s₋",
        ),
        Axis("rho0", "float", (0.3,), "Correlation of the two inputs.", lower=-1.0, upper=1 - 1e-12, symbol="ρ₀"),
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("log_q", "log_norm"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {"slope_minus": (0.0, 0.5), "rho0": (0.3, 0.995), "width": (32, 64), "aspect": (0.25, 0.5, 1.0)},
            samples=16384,
        ),
        "standard": Preset(
            {
                "slope_minus": (0.0, 0.5),
                "rho0": (0.3, 0.995),
                "width": (32, 64, 128, 256, 512),
                "aspect": (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
            },
            samples=32768,
            samples_at={256: 8192, 512: 4096},
        ),
        "full": Preset(
            {
                "slope_minus": (-0.5, 0.0, 0.2, 0.5),
                "rho0": (-0.3, 0.3, 0.9, 0.995),
                "width": (32, 64, 128, 256, 512, 1024),
                "aspect": (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0),
            },
            samples=32768,
            samples_at={256: 16384, 512: 12288, 1024: 12288},
        ),
    },
    claims=_claims,
    figures=_figures,
    formula=(
        r"z_{\ell+1}=\sqrt{c/n}\,W_\ell\,\varphi(z_\ell),\quad "
        r"\varphi(x)=\max(x,0)+s_-\min(x,0),\quad q_\ell=\ell^2(1-\rho_\ell)"
    ),
)
