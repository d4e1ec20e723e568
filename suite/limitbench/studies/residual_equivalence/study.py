"""`residual-equivalence`: shaped MLPs and residual networks share one ODE (Li & Nica 2023, arXiv 2310.12079).

An MLP whose slopes are shaped with its depth, 1 + c_pm d^-1/2, and a residual network with branches of size d^-1/2 and
slopes s_pm have the same correlation at layer l = t d where c_+ - c_- = s_+ - s_-; their fluctuations differ.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.networks.covariances import CovarianceMLP
from limitbench.networks.resnet import ResNet
from limitbench.studies.axes import WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory, Value
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.residual_equivalence.claims import ledger
from limitbench.studies.residual_equivalence.figures import drawn
from limitbench.theories.base import Theory
from limitbench.theories.equivalence import GaussianFluctuation, InfiniteWidth, KernelFluctuation, ShapingODE
from limitbench.theories.shaped_relu import FiniteWidthChain

NETWORKS = ("resnet", "resnet-normalised", "shaped-mlp")
#: Squared norms of the three inputs; input 3 has correlation 1/2 with input 1 and rho0/2 with input 2.
_NORMS = (1.0, 2.0, 0.5)
#: Of the mean slope and half their difference: the plain network's norm grows by e^h, h at most 200, and is squared.
_LARGEST = 10.0


def _gram(cell: Cell) -> tuple[tuple[float, ...], ...]:
    rho = float(cell["rho0"])
    correlations = ((1.0, rho, 0.5), (rho, 1.0, rho / 2), (0.5, rho / 2, 1.0))
    return tuple(
        tuple(math.sqrt(_NORMS[a] * _NORMS[b]) * correlations[a][b] if a != b else _NORMS[a] for b in range(3))
        for a in range(3)
    )


def _constants(cell: Cell) -> tuple[float, float]:
    """The two numbers that are c_pm of the MLP and slopes s_pm of the residual networks."""
    mean, half = float(cell["slope_mean"]), float(cell["slope_difference"]) / 2
    return mean + half, mean - half


def _growth(cell: Cell) -> float:
    """h = (s_+^2 + s_-^2)/2, the rate at which the plain residual network's squared norm grows."""
    plus, minus = _constants(cell)
    return (plus**2 + minus**2) / 2


def _layers(cell: Cell) -> int:
    """l = t d."""
    return round(float(cell["time"]) * int(cell["depth"]))


def _block(cell: Cell) -> tuple[float, float, float, float]:
    """(skip, branch, s_+, s_-) of z' = skip z + branch n^-1/2 W phi(z); the MLP is skip = 0."""
    plus, minus = _constants(cell)
    step = 1 / int(cell["depth"])
    if cell["network"] == "shaped-mlp":
        plus, minus = 1 + plus * math.sqrt(step), 1 + minus * math.sqrt(step)
        return 0.0, math.sqrt(2 / (plus**2 + minus**2)), plus, minus
    scale = 1 / math.sqrt(1 + _growth(cell) * step) if cell["network"] == "resnet-normalised" else 1.0
    return scale, scale * math.sqrt(step), plus, minus


def _network(cell: Cell) -> Network:
    depth, width = _layers(cell), int(cell["width"])
    skip, branch, plus, minus = _block(cell)
    if cell["network"] == "shaped-mlp":
        return CovarianceMLP(depth, width, slope_plus=plus, slope_minus=minus, gram=_gram(cell))
    return ResNet(depth, width, skip=skip, branch=branch, slope_plus=plus, slope_minus=minus, gram=_gram(cell))


def _check(cell: Cell) -> None:
    layers = float(cell["time"]) * int(cell["depth"])
    if layers < 0.5 or abs(layers - round(layers)) > 1e-9:
        accepted = f"a value for which time x depth is a positive integer (at depth {cell['depth']} it is {layers:g})"
        raise InputError("time", cell["time"], accepted)
    plus, minus = (1 + c / math.sqrt(int(cell["depth"])) for c in _constants(cell))
    if cell["network"] == "shaped-mlp" and plus == 0 == minus:
        raise InputError("slope_mean", cell["slope_mean"], "slopes of the shaped MLP that are not both 0")


def _ode(cell: Cell) -> Theory:
    growth = _growth(cell) if cell["network"] == "resnet" else 0.0
    return ShapingODE(float(cell["time"]), float(cell["slope_difference"]), _gram(cell), growth)


def _infinite_width(cell: Cell) -> Theory:
    skip, branch, plus, minus = _block(cell)
    return InfiniteWidth(_layers(cell), plus, minus, skip, branch, _gram(cell))


def _kernel_fluctuation(cell: Cell) -> Theory:
    skip, branch, plus, minus = _block(cell)
    return KernelFluctuation(_layers(cell), int(cell["width"]), plus, minus, skip, branch, _gram(cell))


def _gaussian_fluctuation(cell: Cell) -> Theory:
    return GaussianFluctuation(
        float(cell["time"]),
        float(cell["slope_difference"]),
        float(cell["rho0"]),
        int(cell["depth"]),
        int(cell["width"]),
    )


def _chain(cell: Cell) -> Theory:
    plus, minus = (c / math.sqrt(int(cell["depth"])) for c in _constants(cell))
    return FiniteWidthChain(
        depth=_layers(cell),
        width=int(cell["width"]),
        c_plus=plus,
        c_minus=minus,
        rate=0.0,
        rho0=float(cell["rho0"]),
    )


def _only_mlp(cell: Cell) -> str | None:
    if cell["network"] == "shaped-mlp":
        return None
    return "a theory of MLPs: a residual network fluctuates by n^-1/2, not by (d/n)^1/2"


THEORIES = (
    StudyTheory(
        "ode",
        "common ODE",
        _ode,
        formula=(
            r"\frac{d\rho}{dt}=\nu(\rho)=\frac{\Delta^2}{2\pi}"
            r"\bigl(\sqrt{1-\rho^2}-\rho\arccos\rho\bigr)"
        ),
    ),
    StudyTheory(
        "infinite-width",
        "infinite width",
        _infinite_width,
        formula=(
            r"V_{\ell+1}=\mathrm{skip}^2V_\ell+\mathrm{branch}^2\,\mathbb E[\varphi(z)\varphi(z)^\top],\quad "
            r"z\sim\mathcal N(0,V_\ell)"
        ),
    ),
    StudyTheory(
        "gaussian-fluctuation",
        "ODE + Gaussian fluctuation",
        _gaussian_fluctuation,
        _only_mlp,
        formula=r"\rho_\ell\sim\mathcal N\bigl(\rho_t,\frac dn s_t\bigr),\quad s'=2\nu'(\rho)s+(1-\rho^2)^2",
    ),
    StudyTheory(
        "kernel-fluctuation",
        "infinite width + CLT",
        _kernel_fluctuation,
        formula=(
            r"\sqrt n\,(V_d-\mathbb E V_d)\to z_dz_d^\top-V_d+U_d,\quad "
            r"U_{\ell+1}=\mathrm{skip}^2U_\ell+\mathrm{branch}^2\bigl(\xi_\ell+K'(V_\ell)[U_\ell]\bigr)"
        ),
    ),
    StudyTheory(
        "finite-width-chain",
        "finite-width chain",
        _chain,
        _only_mlp,
        formula=(
            r"\mathbb E z_{\ell+1}=\bar z(z_\ell)+\frac{m_1}{n}+\frac{m_2}{n^2},\quad "
            r"\kappa_2=\frac{v_1}{n}+\frac{v_2}{n^2},\quad \kappa_3=\frac{k}{n^2},\quad z=\operatorname{artanh}\rho"
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return ledger(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return drawn(Evidence(STUDY, tree))


_SHEET: dict[str, tuple[Value, ...]] = {
    "network": NETWORKS,
    "slope_difference": (3.0,),
    "slope_mean": (-0.5, 0.0),
    "rho0": (-0.2,),
}

STUDY = Study(
    name="residual-equivalence",
    version=1,
    title="Shaped MLPs and residual networks: one ODE",
    question="Does a residual network behave as an MLP whose activation is shaped with its depth?",
    reference="Li & Nica 2023, arXiv 2310.12079",
    axes=(
        Axis(
            "network", "str", NETWORKS, "Shaped MLP, or residual network, plain or of constant norm.", choices=NETWORKS
        ),
        Axis(
            "slope_difference",
            "float",
            (3.0,),
            "Δ = c₊ − c₋ of the MLP, s₊ − s₋ of the residual networks.",
            lower=0.0,
            upper=2 * _LARGEST,
            symbol="Δ",
        ),
        Axis(
            "slope_mean",
            "float",
            (0.0,),
            "(c₊ + c₋)/2 of the MLP, (s₊ + s₋)/2 of the residual networks; Δ = 1, −1/2 is the ReLU residual network.",
            lower=-_LARGEST,
            upper=_LARGEST,
            symbol="c̄",
        ),
        Axis("rho0", "float", (-0.2,), "Correlation of inputs 1 and 2.", lower=-1.0, upper=1.0, symbol="ρ₀"),
        Axis(
            "time",
            "float",
            (1.0,),
            "Time t = l/d; time x depth must be an integer.",
            lower=0.0,
            upper=1.0,
            symbol="t",
            open_lower=True,
        ),
        WIDTH,
        Axis(
            "depth", "int", (16,), "d, the layers at time 1, which set the shaping.", lower=1, upper=10**6, symbol="d"
        ),
    ),
    observables=(
        "correlation",
        "log_norm",
        *(f"covariance_{ab}" for ab in ("11", "12", "13", "22", "23", "33")),
    ),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            _SHEET | {"slope_mean": (0.0,), "time": (0.5, 1.0), "width": (64, 256), "depth": (8, 16)},
            samples=4096,
        ),
        "standard": Preset(
            _SHEET | {"time": (0.25, 0.5, 1.0), "width": (64, 256, 1024), "depth": (8, 16, 32)},
            samples=8192,
            samples_at={256: 4096, 1024: 2048},
        ),
        "full": Preset(
            _SHEET
            | {
                "slope_difference": (1.0, 3.0),
                "rho0": (-0.2, 0.0),
                "time": (0.25, 0.5, 0.75, 1.0),
                "width": (64, 256, 1024, 4096),
                "depth": (8, 16, 32, 64),
            },
            samples=16384,
            samples_at={1024: 4096, 4096: 2048},
        ),
    },
    claims=_claims,
    block_samples={"exact": 2048, "dense": 256},
    check=_check,
    figures=_figures,
    formula=(
        r"z_{\ell+1}=z_\ell+\frac{1}{\sqrt{dn}}W_\ell\,\varphi(z_\ell)\quad\text{against}"
        r"\quad z_{\ell+1}=\sqrt{\frac cn}\,W_\ell\,\varphi_s(z_\ell),\quad "
        r"s_\pm=1+c_\pm d^{-1/2}"
    ),
)
