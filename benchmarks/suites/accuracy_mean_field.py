"""Errors of mean-field theory against networks and closed forms; lower is better, a non-finite value raises."""

from __future__ import annotations

import numpy as np
import torch

from limitbench.networks.mean_field import MeanFieldNet
from limitbench.numerics.alpha_relu_kernel import identity_errors
from limitbench.theories.mean_field import MeanField

from .measure import error


class Recurrences:
    """Means of full residual networks of a fixed seed against the recurrences, L = 24, N = 512."""

    params = (["tanh", "erf", "relu", "relu-0.85"],)
    param_names = ("activation",)
    timeout = 300
    layers, width, networks = 24, 512, 1024

    def setup(self, activation: str) -> None:
        torch.set_num_threads(1)
        layers = list(range(1, self.layers + 1))
        drawn = MeanFieldNet(self.layers, self.width, activation=activation).sample(self.networks, depths=layers)
        path = MeanField("full", activation).run(self.layers)
        self.length = np.exp(drawn["log_length"].to_numpy() - path.log_p[1:])
        self.gradient = np.exp(drawn["log_chi"].to_numpy() - path.log_chi[:-1])

    def track_length_error(self, activation: str) -> float:
        """Largest relative error of a mean length; sampling alone gives 0.01."""
        return error(float(np.abs(self.length.mean(axis=0) - 1).max()), noise=0.03)

    def track_gradient_error(self, activation: str) -> float:
        """Largest relative error of a mean squared gradient; sampling alone gives 0.01."""
        return error(float(np.abs(self.gradient.mean(axis=0) - 1).max()), noise=0.03)


class GradientVariance:
    """Variance of ln chi_0/chi_L at N = 256, L = 24 over its leading term; sampling alone gives 0.03."""

    params = (["tanh", "erf", "relu"],)
    param_names = ("activation",)
    timeout = 300

    def track_relative_error(self, activation: str) -> float:
        """Relative error of the variance of 2048 networks of a fixed seed."""
        torch.set_num_threads(1)
        drawn = MeanFieldNet(24, 256, activation=activation).sample(2048, depths=[1])["log_chi"].to_numpy()
        excess = float(drawn.var()) / MeanField("full", activation).log_chi_variance(24, 256) - 1
        return error(abs(excess), noise=0.1)


class Kernel:
    """The four identities of J_alpha."""

    def track_largest_error(self) -> float:
        """Over five powers and four angles."""
        grid = [(a, t) for a in (0.3, 0.6, 0.85, 1.2, 2.0) for t in (0.25, 1.0, 1.8, 2.45)]
        return error(max(max(identity_errors(a, t)) for a, t in grid))
