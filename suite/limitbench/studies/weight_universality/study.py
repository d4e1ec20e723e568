"""`weight-universality`: which claims about Gaussian networks survive other weights.

Uniform, Rademacher and orthogonal matrices and PyTorch's default, in five families, at depth proportional to width.
"""

from __future__ import annotations

import math

import xarray as xr

from limitbench.networks.base import Network
from limitbench.networks.resnet import ResNet
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.networks.weights import WEIGHTS
from limitbench.studies.axes import ASPECT, DEPTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.weight_universality.claims import ledger
from limitbench.studies.weight_universality.figures import drawn
from limitbench.theories import equivalence, shaped_relu
from limitbench.theories.base import Theory
from limitbench.theories.ensembles import EnsemblePerceptron, PytorchDefault
from limitbench.theories.log_gaussian import LogGaussian, LogGaussianFiniteDepth, LogGaussianPerceptron

RHO0 = 0.3
#: c_+, c_- and rate of the MLPs.
SHAPING = {"linear": (0.0, 0.0, 0.0), "relu": (0.0, -1.0, 0.0), "shaped-relu": (0.0, -1.0, 0.5)}
NETWORKS = ("balanced", "linear", "relu", "resnet", "shaped-relu")
#: z' = sqrt(1/2) z + n^-1/2 W phi(z): alpha^2 = lambda^2 = 1/2.
SKIP, BRANCH = math.sqrt(0.5), 1.0


def _slopes(cell: Cell) -> tuple[float, float]:
    plus, minus, rate = SHAPING.get(str(cell["network"]), SHAPING["relu"])
    scale = float(cell["width"]) ** -rate
    return 1 + plus * scale, 1 + minus * scale


def _sizes(cell: Cell) -> tuple[int, int]:
    return int(cell["depth"]), int(cell["width"])


def _network(cell: Cell) -> Network:
    (depth, width), name, weights = _sizes(cell), str(cell["network"]), str(cell["weights"])
    if name in SHAPING:
        plus, minus, rate = SHAPING[name]
        return ShapedMLP(depth, width, c_plus=plus, c_minus=minus, rate=rate, rho0=RHO0, weights=weights)
    balanced = name == "balanced"
    return ResNet(depth, width, skip=SKIP, branch=BRANCH, balanced=balanced, rho0=RHO0, weights=weights)


def _infinite_width(cell: Cell) -> Theory:
    (depth, width), (plus, minus), name = _sizes(cell), _slopes(cell), str(cell["network"])
    residual = name not in SHAPING
    if cell["weights"] == "pytorch":
        return PytorchDefault(depth, width, SKIP if residual else 0.0, BRANCH, plus, minus)
    if residual:
        return equivalence.InfiniteWidth(depth, plus, minus, SKIP, BRANCH, ((1.0, RHO0), (RHO0, 1.0)))
    c_plus, c_minus, rate = SHAPING[name]
    return shaped_relu.InfiniteWidth(depth, width, c_plus, c_minus, rate, RHO0)


def _gaussian_limit(cell: Cell) -> Theory:
    (depth, width), (plus, minus), name = _sizes(cell), _slopes(cell), str(cell["network"])
    time = depth / width
    if name not in SHAPING:
        return LogGaussian(time, 0.5, name == "balanced")
    if name == "relu" or cell["weights"] == "pytorch":  # correlations are 1 to rounding there, nothing to score
        return LogGaussianPerceptron(time, plus, minus)
    c_plus, c_minus, _ = SHAPING[name]
    return shaped_relu.CovarianceSDE(time, c_plus, c_minus, RHO0)


def _gaussian_finite(cell: Cell) -> Theory:
    (depth, width), (plus, minus), name = _sizes(cell), _slopes(cell), str(cell["network"])
    if name not in SHAPING:
        return LogGaussianFiniteDepth(depth, width, 0.5, name == "balanced")
    if name == "relu" or cell["weights"] == "pytorch":
        return EnsemblePerceptron(depth, width, "gaussian", plus, minus)
    c_plus, c_minus, rate = SHAPING[name]
    return shaped_relu.FiniteWidthChain(depth, width, c_plus, c_minus, rate, RHO0)


def _ensemble(cell: Cell) -> Theory:
    return EnsemblePerceptron(*_sizes(cell), str(cell["weights"]), *_slopes(cell))


def _constant(cell: Cell) -> str | None:
    if (cell["network"], cell["weights"]) == ("linear", "orthogonal"):
        return "norms and angles are constant to rounding, D has no unit: see the ledger"
    return None


def _no_correction(cell: Cell) -> str | None:
    if cell["network"] not in SHAPING:
        return "no correction for residual networks"
    if cell["weights"] in ("gaussian", "pytorch"):
        return "for uniform, Rademacher and orthogonal weights"
    return _constant(cell)


THEORIES = (
    StudyTheory(
        "infinite-width",
        "infinite width",
        _infinite_width,
        _constant,
        formula=r"\ln\frac{V_d}{V_0}=0;\quad\text{PyTorch: }v_{\ell+1}=\frac{h}{3}v_\ell+\frac{1}{3n}",
    ),
    StudyTheory(
        "gaussian-limit",
        "limit for Gaussian weights",
        _gaussian_limit,
        _constant,
        formula=(
            r"\ln\frac{V_d}{V_0}\sim\mathcal N(mt,vt),\quad "
            r"d\rho=\Bigl[\nu(\rho)-\frac{\rho(1-\rho^2)}{2}\Bigr]dt+(1-\rho^2)\,dB"
        ),
    ),
    StudyTheory(
        "gaussian-finite",
        "finite size, Gaussian weights",
        _gaussian_finite,
        _constant,
        formula=(
            r"\ln\frac{V_d}{V_0}\sim\mathcal N(m_dt,v_dt),\quad "
            r"\sum_{r\ge1}\to\sum_{r=1}^{d-1}\bigl(1-\frac rd\bigr)"
        ),
    ),
    StudyTheory(
        "ensemble-finite",
        "finite size, these weights",
        _ensemble,
        _no_correction,
        formula=(
            r"\text{variance}+\delta,\;\text{mean}-\frac\delta2,\quad " r"\delta=\frac{(k-3)K}{3n}\sum_\ell S_\ell"
        ),
    ),
)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return ledger(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return drawn(Evidence(STUDY, tree))


STUDY = Study(
    name="weight-universality",
    version=2,
    title="Weights that are not Gaussian",
    question="Which claims about networks with Gaussian weights survive uniform, Rademacher, orthogonal or PyTorch's?",
    reference="Hanin & Nica 2018, arXiv 1812.05994; Li, Nica & Roy 2022, arXiv 2206.02768",
    axes=(
        Axis("network", "str", NETWORKS, "Family; residual networks have α² = λ² = 1/2.", choices=NETWORKS),
        Axis("weights", "str", WEIGHTS, "Ensemble of the weight matrices.", choices=WEIGHTS),
        Axis("width", "int", (32,), "Width n of every hidden layer.", lower=1, upper=1024, symbol="n"),
        ASPECT,
        DEPTH,
    ),
    observables=("log_norm", "correlation", "log_gap"),
    network=_network,
    theories=THEORIES,
    presets={
        "quick": Preset(
            {"network": tuple(SHAPING), "weights": WEIGHTS, "width": (32,), "aspect": (0.5, 1.0)}, samples=4096
        ),
        "standard": Preset(
            {"network": NETWORKS, "weights": WEIGHTS, "width": (16, 32, 64), "aspect": (0.25, 1.0)},
            samples=8192,
            samples_at={64: 2048},
        ),
        "full": Preset(
            {"network": NETWORKS, "weights": WEIGHTS, "width": (16, 32, 64, 128), "aspect": (0.25, 1.0, 2.0)},
            samples=16384,
            samples_at={64: 8192, 128: 2048},
        ),
    },
    claims=_claims,
    block_samples={"exact": 2048, "dense": 256},
    figures=_figures,
    formula=(
        r"z_{\ell+1}=\alpha z_\ell+\lambda\sqrt{c/n}\,W_{\ell+1}\varphi(z_\ell),\quad "
        r"\mathbb E W_{ij}^2=1,\quad \mathbb E W_{ij}^4=k"
    ),
)
