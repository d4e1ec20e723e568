"""`deep-linear-posterior`: what labels tell a deep linear network (arXiv 2411.15267)."""

from limitbench.studies.deep_linear_posterior.study import STUDY as STUDY
