"""`shaped-smooth`: smooth activations stretched towards the identity (arXiv 2206.02768, 2310.12079)."""

from limitbench.studies.shaped_smooth.study import STUDY as STUDY
