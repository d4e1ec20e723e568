"""`shaped-smooth`: smooth activations stretched towards the identity (arXiv 2206.02768, 2310.12079).

phi_s(x) = s phi(x/s), s = a n^p. At rate 1/2 and depth proportional to width the norm follows an SDE of its own whose
coefficient beta = (3/4 phi''^2 + phi''')/a^2 decides between explosion, collapse and a stationary law; below rate 1/2
noise vanishes and an ODE draws correlations to 1/2.
"""

from __future__ import annotations

import xarray as xr

from limitbench.networks.smooth_mlp import SmoothMLP
from limitbench.numerics.activations import ACTIVATIONS, activation_of
from limitbench.studies.axes import ASPECT, DEPTH, RHO0, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.shaped_smooth.cells import CRITICAL, beta, late_explosion, late_stationary, time
from limitbench.studies.shaped_smooth.claims import claims
from limitbench.studies.shaped_smooth.figures import figures
from limitbench.theories.shaped_smooth import (
    CovarianceODE,
    ExplosionProbability,
    NormSDE,
    SmoothCovarianceSDE,
    SmoothInfiniteWidth,
    StationaryNorm,
)


def _network(cell: Cell) -> SmoothMLP:
    return SmoothMLP(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        activation=str(cell["activation"]),
        scale=float(cell["scale"]),
        rate=float(cell["rate"]),
        norm0=float(cell["norm0"]),
        rho0=float(cell["rho0"]),
    )


def _check(cell: Cell) -> None:
    activation_of(str(cell["activation"]))


def _infinite_width(cell: Cell) -> SmoothInfiniteWidth:
    return SmoothInfiniteWidth(
        depth=int(cell["depth"]),
        width=int(cell["width"]),
        activation=str(cell["activation"]),
        scale=float(cell["scale"]),
        rate=float(cell["rate"]),
        norm0=float(cell["norm0"]),
        rho0=float(cell["rho0"]),
    )


def _covariance(
    cell: Cell, theory: type[SmoothCovarianceSDE] | type[CovarianceODE]
) -> SmoothCovarianceSDE | CovarianceODE:
    activation = activation_of(str(cell["activation"]))
    return theory(
        time=time(cell),
        second=activation.second,
        third=activation.third,
        scale=float(cell["scale"]),
        norm0=float(cell["norm0"]),
        rho0=float(cell["rho0"]),
    )


def _critical(cell: Cell) -> str | None:
    return None if float(cell["rate"]) == CRITICAL else "the SDE's rate is 1/2"


def _subcritical(cell: Cell) -> str | None:
    return None if float(cell["rate"]) < CRITICAL else "the ODE's rate is below 1/2"


def _late_explosion(cell: Cell) -> str | None:
    return _critical(cell) or (None if late_explosion(cell) else "needs beta > 0 and a time at which nothing is open")


def _late_stationary(cell: Cell) -> str | None:
    return _critical(cell) or (None if late_stationary(cell) else "needs beta < -1 and a time beyond relaxation")


THEORIES = (
    StudyTheory(
        "infinite-width",
        "infinite width",
        _infinite_width,
        formula=r"V^{ab}_{\ell+1}=c\,\mathbb E[\varphi_s(u)\varphi_s(v)],\quad (u,v)\sim\mathcal N(0,V_\ell)",
    ),
    StudyTheory(
        "smooth-ode",
        "covariance ODE",
        lambda cell: _covariance(cell, CovarianceODE),
        _subcritical,
        formula=r"V'=\beta V(V-1),\quad \rho'=\frac{\varphi''(0)^2}{4a^2}V(1-\rho)(1-2\rho)",
    ),
    StudyTheory(
        "covariance-sde",
        "covariance SDE (simulated)",
        lambda cell: _covariance(cell, SmoothCovarianceSDE),
        _critical,
        formula=r"dV=b(V)\,dt+\Sigma(V)^{1/2}dB,\quad \Sigma_{ab,cd}=V^{ac}V^{bd}+V^{ad}V^{bc}",
    ),
    StudyTheory(
        "norm-sde",
        "norm SDE (solved)",
        lambda cell: NormSDE(time=time(cell), beta=beta(cell), norm0=float(cell["norm0"])),
        _critical,
        formula=(
            r"dV=\beta V(V-1)\,dt+\sqrt2\,V\,dB,\quad "
            r"\beta=\frac{1}{a^2}\bigl(\frac34\varphi''(0)^2+\varphi'''(0)\bigr)"
        ),
    ),
    StudyTheory(
        "explosion-probability",
        "explosion probability, t → ∞",
        lambda cell: ExplosionProbability(beta=beta(cell), norm0=float(cell["norm0"])),
        _late_explosion,
        formula=r"\mathbb P(V\text{ explodes})=P(\beta+1,\beta V_0),\quad \beta>0",
    ),
    StudyTheory(
        "stationary",
        "stationary Gamma law, t → ∞",
        lambda cell: StationaryNorm(beta=beta(cell), norm0=float(cell["norm0"])),
        _late_stationary,
        formula=r"V_\infty\sim\operatorname{Gamma}(|\beta|-1,\,|\beta|),\quad \beta<-1",
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="shaped-smooth",
    version=1,
    title="Smooth shaped networks: explosion, collapse or a stationary norm",
    question="When a smooth activation is stretched towards the identity, what are the laws of norm and correlation?",
    reference="Li, Nica & Roy 2022, arXiv 2206.02768; Li & Nica 2023, arXiv 2310.12079",
    axes=(
        Axis(
            "activation",
            "str",
            ("tanh",),
            f"One of {', '.join(ACTIVATIONS)}, or module:name of a SmoothActivation.",
            symbol="φ",
        ),
        Axis("scale", "float", (1.0,), "a in φ_s(x) = s φ(x/s), s = a n^p.", lower=1e-3, upper=1e6, symbol="a"),
        Axis("rate", "float", (0.5,), "Shaping exponent p in s = a n^p.", lower=0.01, upper=0.5, symbol="p"),
        Axis("norm0", "float", (1.0,), "V₀, squared norm of both inputs.", lower=1e-6, upper=1e3, symbol="V₀"),
        RHO0,
        WIDTH,
        ASPECT,
        DEPTH,
    ),
    observables=("correlation", "log_gap", "log_norm", "exploded"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {
                "activation": ("root", "tanh"),
                "scale": (0.7, 1.0),
                "rate": (0.5,),
                "norm0": (1.0,),
                "rho0": (0.3,),
                "width": (32, 64),
                "aspect": (1.0, 3.0),
            },
            samples=8192,
            samples_at={64: 4096},
        ),
        "standard": Preset(
            {
                "activation": ("arcsinh", "root", "shifted-tanh", "tanh"),
                "scale": (0.6, 0.7, 1.0, 1.5),
                "rate": (0.5,),
                "norm0": (1.0,),
                "rho0": (0.3,),
                "width": (32, 128, 512),
                "aspect": (1.0, 3.0, 4.0),
            },
            samples=8192,
            samples_at={128: 2048, 512: 512},
        ),
        "full": Preset(
            {
                "activation": ("arcsinh", "root", "shifted-tanh", "silu", "softplus", "tanh"),
                "scale": (0.6, 0.7, 1.0, 1.5),
                "rate": (0.25, 0.5),
                "norm0": (1.0, 3.0),
                "rho0": (0.3,),
                "width": (32, 128, 512),
                "aspect": (0.125, 1.0, 2.0, 3.0, 4.0),
            },
            samples=16384,
            samples_at={128: 4096, 512: 1024},
        ),
    },
    claims=_claims,
    figures=_figures,
    # columns of few networks at large widths: a block of 4096 would hold them all
    block_samples={"exact": 512, "dense": 256},
    check=_check,
    formula=(
        r"z_{\ell+1}=\sqrt{c/n}\,W_\ell\,\varphi_s(z_\ell),\quad " r"\varphi_s(x)=s\,\varphi(x/s),\quad s=a\,n^{p}"
    ),
)
