"""`deep-linear`: outputs of deep linear networks (Bassetti, Ladelli & Rotondo 2024, arXiv 2411.15267)."""

from limitbench.studies.deep_linear.study import STUDY as STUDY
