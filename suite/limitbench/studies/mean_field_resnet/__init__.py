"""`mean-field-resnet`: skip connections turn exponential signal and gradient dynamics into powers of depth."""

from limitbench.studies.mean_field_resnet.study import STUDY as STUDY
