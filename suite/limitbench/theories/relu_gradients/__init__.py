"""Laws of gradients by layer in ReLU and linear networks, with or without dropout: which layers enter, and how.

Depth and width grow together, t = sum of 1/n_l over the layers that enter; infinite width predicts no fluctuation.
"""

from limitbench.theories.relu_gradients.balanced import BalancedLogNormal
from limitbench.theories.relu_gradients.chi_square_products import ChiSquareProducts
from limitbench.theories.relu_gradients.infinite_width import InfiniteWidth
from limitbench.theories.relu_gradients.layers import Layers
from limitbench.theories.relu_gradients.log_normal import LogNormal

__all__ = ["BalancedLogNormal", "ChiSquareProducts", "InfiniteWidth", "Layers", "LogNormal"]
