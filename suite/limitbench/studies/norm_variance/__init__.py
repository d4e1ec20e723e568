"""`norm-variance`: one number for every architecture, the variance of the log norm per sum of inverse widths."""

from limitbench.studies.norm_variance.study import STUDY as STUDY
