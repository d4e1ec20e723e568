"""`log-gaussian-resnet`: the log-Gaussian limit of ReLU ResNets at initialisation (arXiv 2106.04013)."""

from limitbench.studies.log_gaussian_resnet.study import STUDY as STUDY
