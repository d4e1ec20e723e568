"""Mean-field theory of residual networks: recurrences, their asymptotic laws, and fluctuations at finite width."""

from limitbench.theories.mean_field.asymptotics import Asymptotics
from limitbench.theories.mean_field.gaussian_fluctuations import GaussianFluctuations
from limitbench.theories.mean_field.recurrence import MeanField, Trajectory
from limitbench.theories.mean_field.recurrences import Recurrences

__all__ = ["Asymptotics", "GaussianFluctuations", "MeanField", "Recurrences", "Trajectory"]
