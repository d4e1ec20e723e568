"""Both families pass the contract of `limitbench.testing.networks`, on narrow, wide and unequal layers."""

import pytest

from limitbench.networks.base import Network
from limitbench.networks.deep_linear import DeepLinear
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.testing.networks import NetworkContract


class TestShapedMLP(NetworkContract):
    @pytest.fixture(
        params=[
            ShapedMLP(5, 4),
            ShapedMLP(4, 100, c_plus=1.0),
            ShapedMLP(3, widths=(33, 7, 70), rate=0.0, c_minus=-1.0),
            ShapedMLP(6, 9, gram=((2.0,),)),
            ShapedMLP(3, 8, gram=((1.0, 0.5, 0.0), (0.5, 2.0, 0.0), (0.0, 0.0, 3.0))),
        ],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param


class TestDeepLinear(NetworkContract):
    @pytest.fixture(
        params=[DeepLinear(5, 6), DeepLinear(3, 64, outputs=1), DeepLinear(4, widths=(9, 3, 33, 5), outputs=3)],
        ids=str,
    )
    def network(self, request: pytest.FixtureRequest) -> Network:
        return request.param
