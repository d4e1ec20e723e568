"""`weight-universality`: which claims about Gaussian networks survive other weights."""

from limitbench.studies.weight_universality.study import STUDY as STUDY
