"""`relu-gradients`: how gradients spread from layer to layer, and why only the sum of inverse widths matters."""

from limitbench.studies.relu_gradients.study import STUDY as STUDY
