"""`unshaped-relu`: the collapse of correlations in networks with fixed slopes (arXiv 2310.12079, 2302.09712)."""

from limitbench.studies.unshaped_relu.study import STUDY as STUDY
