"""`trainability`: does mean-field theory at initialisation say which networks will train?

Residual tanh and ReLU networks of many depths and weight variances are trained on small images; their test accuracies
are laid beside what the recurrences know before training, the explosion of gradients and the distance of two images.
"""

from __future__ import annotations

import xarray as xr

from limitbench.networks.training_data import DIGITS
from limitbench.studies.base import Axis, Claim, Preset, Study, StudyTheory
from limitbench.studies.evidence import Evidence
from limitbench.studies.figures import StudyFigure
from limitbench.studies.trainability.claims import claims
from limitbench.studies.trainability.designs import DESIGNS, network
from limitbench.studies.trainability.figures import figures
from limitbench.studies.trainability.predictors import initial_recurrences

#: sigma_w^2 from 0.001 to 10, half decades and those of Xavier (1) and He (2).
VARIANCES = (0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1.0, 2.0, 3.16, 10.0)
DEPTHS = (4, 8, 16, 32, 64)


def _claims(tree: xr.DataTree) -> list[Claim]:
    return claims(Evidence(STUDY, tree))


def _figures(tree: xr.DataTree) -> list[StudyFigure]:
    return figures(Evidence(STUDY, tree))


STUDY = Study(
    name="trainability",
    version=1,
    title="Which networks train: gradient explosion and distance of images before training",
    question="Does mean-field theory at initialisation predict the test accuracy of trained networks of every depth?",
    reference="Yang & Schoenholz 2017, arXiv 1712.08969",
    axes=(
        Axis(
            "design",
            "str",
            ("tanh-adam",),
            "Activation and optimiser (Adam 3e-4, SGD 0.01) of full residual networks; reduced- and plain- are other "
            "kinds; faint and bright images have squared norm 0.01 and 100 instead of 1, close ones share 90 % of it.",
            choices=tuple(DESIGNS),
        ),
        Axis("data", "str", (DIGITS,), "digits (scikit-learn), or the name of the IDX files given by --data DIR."),
        Axis(
            "sigma_w2", "float", (1.0,), "Variance σ_w² of √N w.", lower=0.0, upper=1e3, symbol="σ_w²", open_lower=True
        ),
        Axis("width", "int", (96,), "Units N of every layer.", lower=1, upper=4096, symbol="N"),
        Axis("depth", "int", (16,), "Number of blocks L.", lower=1, upper=1024, symbol="L"),
    ),
    observables=("test_accuracy", "train_loss", "diverged", "log_gradient_ratio", "log_image_distance"),
    network=network,
    theories=(
        StudyTheory(
            "recurrences",
            "mean-field recurrences",
            initial_recurrences,
            formula=(
                r"\ln\frac{\chi_0}{\chi_L}=\sum_\ell\ln\bigl[1+"
                r"\sigma_v^2\sigma_w^2\,\mathbb E\varphi'(\sqrt{q_\ell}\,g)^2\bigr],\quad "
                r"s_L=p_L+p'_L-2\gamma_L"
            ),
        ),
    ),
    presets={
        "quick": Preset(
            {"design": ("tanh-adam",), "sigma_w2": (0.001, 0.1, 0.316, 1.0, 2.0, 10.0), "depth": (2, 4, 8, 32)},
            samples=2,
        ),
        "standard": Preset(
            {
                "design": ("tanh-adam", "tanh-sgd", "relu-adam", "relu-adam-faint", "plain-tanh-adam"),
                "sigma_w2": tuple(v for v in VARIANCES if v != 0.00316),
                "depth": DEPTHS,
            },
            samples=6,
        ),
        "full": Preset({"design": tuple(DESIGNS), "sigma_w2": VARIANCES, "depth": DEPTHS}, samples=10),
    },
    claims=_claims,
    block_samples={"exact": 2, "dense": 2},
    most_samples=64,
    figures=_figures,
    formula=(
        r"h_\ell=w_\ell x_{\ell-1}+b_\ell,\quad "
        r"x_\ell=v_\ell\,\varphi(h_\ell)+a_\ell+x_{\ell-1},\quad \operatorname{Var}w_{ij}=\sigma_w^2/N"
    ),
)
