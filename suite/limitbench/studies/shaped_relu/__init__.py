"""`shaped-relu`: the covariance SDE of shaped ReLU networks and its critical exponent (2206.02768, 2310.12079)."""

from limitbench.studies.shaped_relu.study import STUDY as STUDY
