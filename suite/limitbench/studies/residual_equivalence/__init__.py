"""`residual-equivalence`: shaped MLPs and residual networks share one ODE (Li & Nica 2023, arXiv 2310.12079)."""

from limitbench.studies.residual_equivalence.study import STUDY as STUDY
