"""`mean-field-resnet`: signals and gradients of residual networks at infinite width, and how finite ones follow.

Two inputs of unit mean square; a loss whose gradient is independent of the network, so that one network gives lengths,
angles, distances and the gradients of all layers and parameters.
"""

from __future__ import annotations

import xarray as xr

from limitbench.errors import InputError
from limitbench.networks.base import Network
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.numerics.mean_field_names import canonical_name
from limitbench.studies.axes import DEPTH, LAYER, WIDTH
from limitbench.studies.base import Axis, Cell, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.mean_field_resnet.cells import DEFAULTS, FULL, NETWORKS, architecture, sigmas
from limitbench.studies.mean_field_resnet.figures import drawn
from limitbench.studies.mean_field_resnet.ledger import ledger
from limitbench.theories.base import Theory
from limitbench.theories.mean_field import Asymptotics, GaussianFluctuations, Recurrences
from limitbench.theories.mean_field.recurrence import Architecture


def _network(cell: Cell) -> Network:
    network, activation, rho0 = architecture(cell), str(cell["activation"]), float(cell["rho0"])
    depth, width = int(cell["depth"]), int(cell["width"])
    return MeanFieldNet(depth, width, network=network, activation=activation, rho0=rho0, **sigmas(cell))


def _where(cell: Cell) -> tuple[int, int, Architecture, str]:
    return int(cell["depth"]), int(cell["layer"]), architecture(cell), str(cell["activation"])


def _recurrences(cell: Cell) -> Theory:
    return Recurrences(*_where(cell), rho0=float(cell["rho0"]), **sigmas(cell))


def _asymptotics(cell: Cell) -> Theory:
    return Asymptotics(*_where(cell), rho0=float(cell["rho0"]), **sigmas(cell))


def _fluctuations(cell: Cell) -> Theory:
    return GaussianFluctuations(*_where(cell), rho0=float(cell["rho0"]), width=int(cell["width"]), **sigmas(cell))


def _check(cell: Cell) -> None:
    known, _ = canonical_name(cell["activation"])
    if known != cell["activation"]:
        raise InputError("activation", cell["activation"], f"{known}, its one name")


def _claims(tree: xr.DataTree) -> list[Claim]:
    return ledger(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return drawn(Evidence(STUDY, tree))


STUDY = Study(
    name="mean-field-resnet",
    version=1,
    title="Mean field residual networks on the edge of chaos",
    question="How do lengths, angles and gradients evolve with depth in residual networks, and from which width on do "
    "finite networks follow?",
    reference="Yang & Schoenholz 2017, arXiv 1712.08969",
    axes=(
        Axis("activation", "str", ("tanh",), "tanh, erf, relu, or relu-A for max(x, 0)^A with A in (1/2, 1)."),
        Axis(
            "network",
            "str",
            (FULL,),
            "reduced: x + phi(w x + b); full: x + v phi(w x + b) + a; plain: phi(w x + b), the control. sigma_v2 and "
            "sigma_a2 are those of full networks alone.",
            choices=NETWORKS,
        ),
        Axis(
            "sigma_v2",
            "float",
            (DEFAULTS["sigma_v2"],),
            "N times the variance of the entries of v.",
            lower=0.0,
            upper=1e6,
            open_lower=True,
            symbol="σ_v²",
        ),
        Axis(
            "sigma_w2",
            "float",
            (DEFAULTS["sigma_w2"],),
            "N times the variance of the entries of w.",
            lower=0.0,
            upper=1e6,
            open_lower=True,
            symbol="σ_w²",
        ),
        Axis(
            "sigma_a2",
            "float",
            (DEFAULTS["sigma_a2"],),
            "Variance of the entries of a.",
            lower=0.0,
            upper=1e6,
            symbol="σ_a²",
        ),
        Axis(
            "sigma_b2",
            "float",
            (DEFAULTS["sigma_b2"],),
            "Variance of the entries of b.",
            lower=0.0,
            upper=1e6,
            symbol="σ_b²",
        ),
        Axis("rho0", "float", (0.0,), "Correlation of the two inputs.", lower=-1.0, upper=1.0, symbol="ρ₀"),
        WIDTH,
        DEPTH,
        LAYER,
    ),
    observables=(
        "log_length",
        "log_preactivation",
        "cosine",
        "covariance_12",
        "log_distance",
        "log_chi",
        "log_chi_b",
        "log_chi_w",
        "log_chi_v",
        "log_chi_a",
    ),
    network=_network,
    theories=(
        StudyTheory(
            "recurrences",
            "mean field recurrences",
            _recurrences,
            formula=(
                r"q_\ell=\sigma_w^2p_{\ell-1}+\sigma_b^2,\quad "
                r"p_\ell=p_{\ell-1}+\sigma_v^2\,\mathbb E\varphi(\sqrt{q_\ell}\,g)^2+\sigma_a^2,\quad "
                r"\chi_{\ell-1}=\bigl[1+\sigma_v^2\sigma_w^2\,\mathbb E\varphi'(\sqrt{q_\ell}\,g)^2\bigr]\chi_\ell"
            ),
        ),
        StudyTheory(
            "asymptotics",
            "asymptotic laws in depth",
            _asymptotics,
            formula=(
                r"\tanh:\;p_\ell\sim b\,\ell,\quad \ln\frac{\chi_0}{\chi_\ell}\sim A\sqrt\ell+B\ln\ell,\quad "
                r"|e_\ell-e^*|=\Theta(\ell^{-\delta})"
            ),
        ),
        StudyTheory(
            "gaussian-fluctuations",
            "recurrences + 1/N fluctuations",
            _fluctuations,
            formula=r"\ln x_\ell\sim\mathcal N\bigl(\ln\bar x_\ell-\frac v2,v\bigr),\quad v=\frac{c_\ell}{N}",
        ),
    ),
    presets={
        "quick": Preset(
            {
                "activation": ("relu", "tanh"),
                "network": NETWORKS,
                "width": (32, 64, 128),
                "depth": (12,),
                "layer": (1, 7, 12),
            },
            samples=2048,
        ),
        "standard": Preset(
            {
                "activation": ("erf", "relu", "relu-0.55", "relu-0.85", "tanh"),
                "network": NETWORKS,
                "width": (64, 128, 256, 512),
                "depth": (24,),
                "layer": (1, 2, 4, 8, 13, 18, 24),
            },
            samples=4096,
            # at 4096 one cell of D = 0.049(4), on the margin, would be decided by chance
            samples_at={512: 6144},
        ),
        "full": Preset(
            {
                "activation": ("erf", "relu", "relu-0.55", "relu-0.65", "relu-0.75", "relu-0.85", "tanh"),
                "network": NETWORKS,
                "width": (64, 128, 256, 512, 1024),
                "depth": (24, 50),
                "layer": (1, 2, 4, 8, 13, 18, 24, 26, 38, 50),
            },
            samples=8192,
            samples_at={512: 4096, 1024: 2048},
        ),
    },
    claims=_claims,
    block_samples={"exact": 2048, "dense": 256},
    check=_check,
    figures=_figures,
    formula=r"h_\ell=w_\ell x_{\ell-1}+b_\ell,\quad x_\ell=v_\ell\,\varphi(h_\ell)+a_\ell+x_{\ell-1}",
)
