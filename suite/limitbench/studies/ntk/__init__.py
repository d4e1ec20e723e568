"""`ntk`: how far the neural tangent kernel of a finite network is from its infinite-width value."""

from limitbench.studies.ntk.study import STUDY as STUDY
