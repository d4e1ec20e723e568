"""Weights that are not Gaussian: what their ensemble changes in the law of one input's squared norm."""

from limitbench.theories.ensembles.ensemble_perceptron import EnsemblePerceptron
from limitbench.theories.ensembles.pytorch_default import PytorchDefault

__all__ = ["EnsemblePerceptron", "PytorchDefault"]
