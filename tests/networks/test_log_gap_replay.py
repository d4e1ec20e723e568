"""`log_gap` of the exact sampler against a 40-digit replay of the same normals: 1e-3 relative at any depth and size.

The pair kernel works with float32 elements; a layer's pre-activations are h_1 = -g and h_2 = h_1 + sigma xi + (1-rho) g
of its own normals (g, xi), so that nothing random separates the two.
"""

import math
from functools import cache

import mpmath
import numpy as np
import pytest
import torch

from limitbench.networks import shaped_pair
from limitbench.networks.unshaped_mlp import UnshapedMLP
from limitbench.numerics.random import Stream

SEED, BATCH, DEPTH = 11, 2, 512
DEPTHS = (1, 8, 64, 256, DEPTH)
TOLERANCE = 1e-3


def layers_of(width, slope_minus):
    return UnshapedMLP(DEPTH, width, slope_minus=slope_minus)._shaped.layers


def sampled(width, slope_minus, rho0):
    stream = Stream(SEED)
    layers = layers_of(width, slope_minus)
    gaps, _ = shaped_pair.sample_pair(layers, rho0, depths=DEPTHS, batch=BATCH, stream=stream)
    return gaps.numpy()[0]


def normals(width):
    """The float32 normals (g, xi) of every layer, as the sampler draws them."""
    stream, buffer = Stream(SEED), torch.empty(2 * BATCH * width)
    return [stream.normal_(buffer).view(2, BATCH, width).numpy().copy() for _ in range(DEPTH)]


@cache
def replayed(width, slope_minus, rho0):
    """ln(1 - rho) of the first network with 40 digits, from the Gram matrix of the features themselves."""
    slope, found = mpmath.mpf(slope_minus), []
    with mpmath.workdps(40):
        gap = mpmath.mpf(math.exp(math.log1p(-rho0)))
        for depth, layer in enumerate(normals(width), start=1):
            g, xi = ([mpmath.mpf(float(x)) for x in row] for row in layer[:, 0])
            sigma = mpmath.sqrt(gap * (2 - gap))
            first = [-a for a in g]
            second = [-a + sigma * b + gap * a for a, b in zip(g, xi, strict=True)]
            first, second = ([h if h > 0 else slope * h for h in row] for row in (first, second))
            aa, bb, ab = mpmath.fdot(first, first), mpmath.fdot(second, second), mpmath.fdot(first, second)
            gap = 1 - ab / mpmath.sqrt(aa * bb)
            if depth in DEPTHS:
                found.append(float(mpmath.log(gap)))
    return np.array(found)


def replayed_by_gram(width, slope_minus, rho0, dtype):
    """The same in `dtype`, 1 - rho as a difference of Gram entries."""
    gap = np.full((BATCH, 1), math.exp(math.log1p(-rho0)), dtype)
    found = []
    for depth, (g, xi) in enumerate(normals(width), start=1):
        second = -g + np.sqrt(gap * (2 - gap)) * xi + gap * g
        a, b = (np.where(h > 0, h, slope_minus * h).astype(dtype) for h in (-g.astype(dtype), second))
        gap = 1 - ((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1)))[:, None]
        gap = np.clip(gap, 0, 2).astype(dtype)
        if depth in DEPTHS:
            found.append(float(gap[0, 0]))
    with np.errstate(divide="ignore"):
        return np.log(found)


@pytest.mark.parametrize(
    ("width", "slope_minus", "rho0"), [(64, 0.0, 0.3), (64, 0.0, 1 - 1e-11), (33, 0.5, 0.3), (24, 0.5, 0.3)]
)
def test_log_gap_is_that_of_the_same_weights_in_forty_digits(width, slope_minus, rho0):
    ours, exact = sampled(width, slope_minus, rho0), replayed(width, slope_minus, rho0)
    np.testing.assert_allclose(ours, exact, rtol=0, atol=TOLERANCE)
    if rho0 > 0.9:
        assert exact.min() < math.log(1e-12)


def test_differences_of_gram_entries_would_be_noticed():
    """The companion: in float64 they lose 1e-3 of gaps below 1e-13, in float32 all of it."""
    setting = (64, 0.0, 1 - 1e-11)
    exact = replayed(*setting)
    for dtype in (np.float32, np.float64):
        assert np.abs(replayed_by_gram(*setting, dtype) - exact).max() > TOLERANCE
