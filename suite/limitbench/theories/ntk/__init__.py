"""Neural tangent kernels of ReLU and shaped ReLU networks: infinite width, and exact moments at finite width.

The networks are those of `shaped_relu` with one output; K sums over all d + 1 weight matrices, inputs have norm 1.
"""

from limitbench.theories.ntk.infinite_width import InfiniteWidth
from limitbench.theories.ntk.log_normal import LogNormal
from limitbench.theories.ntk.moments import relative_second_moment

__all__ = ["InfiniteWidth", "LogNormal", "relative_second_moment"]
