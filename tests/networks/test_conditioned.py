"""A Gaussian matrix used forward and backward without being drawn, against one that is.

Family-wise false-alarm probability below 1e-6 (`testing.networks.CRITICAL`); planted defects must deviate so far that
the power against each is at least 99 % (`testing.networks.POWERFUL`).
"""

import numpy as np
import pytest
import torch

from limitbench.networks import conditioned
from limitbench.numerics.random import Stream
from limitbench.testing.networks import CRITICAL, POWERFUL, largest_deviation

BATCH = 16_384


def features_of(columns, entries, seed=1, batch=BATCH):
    """Features that change from network to network, columns of unequal length and not orthogonal."""
    drawn = torch.randn(columns, batch, entries, dtype=torch.float64, generator=Stream(seed).torch)
    return drawn.cumsum(0) * torch.arange(1.0, columns + 1.0, dtype=torch.float64)[:, None, None]


def gradients_of(product, columns):
    """Gradients that depend on G F, as those of a network do, one apiece for the first `columns` columns."""
    return torch.tanh(product[:columns]) + 0.5


def twice(features, units, gradients, seed, *, back=conditioned.backward):
    """G F and G'V by what is to be tested."""
    stream = Stream(seed)
    seen = conditioned.forward(features.clone(), torch.empty(*features.shape[:2], units), stream)
    product = seen.product(len(features))
    return product, back(seen, gradients_of(product, gradients), stream)


def twice_by_a_matrix(features, units, gradients, seed):
    matrix = torch.randn(features.shape[1], units, features.shape[2], dtype=torch.float64, generator=Stream(seed).torch)
    product = torch.einsum("bun,cbn->cbu", matrix, features)
    return product, torch.einsum("bun,cbu->cbn", matrix, gradients_of(product, gradients))


def statistics(product, back):
    """Lengths, single entries, and products of both passes."""
    values = {"forward": product.square().sum((0, 2)), "backward": back.square().sum((0, 2))}
    values |= {"entry": back[0, :, 0], "last": back[-1, :, -1], "gradients": (back[0] * back[-1]).sum(1)}
    values["entries"] = back[0, :, 0] * product[0, :, 0]
    values["lengths"] = values["forward"].log() - values["backward"].log()
    return {name: value.numpy()[:, None] for name, value in values.items()}


SHAPES = [(1, 1, 1, 1), (1, 4, 3, 1), (2, 3, 2, 1), (2, 4, 4, 2), (5, 3, 4, 3), (3, 8, 2, 3)]  # columns, n, units, k


@pytest.mark.parametrize(("columns", "entries", "units", "gradients"), SHAPES)
def test_products_have_the_law_of_a_matrix(columns, entries, units, gradients):
    features = features_of(columns, entries)
    found = statistics(*twice(features, units, gradients, seed=2))
    real = statistics(*twice_by_a_matrix(features, units, gradients, seed=3))
    assert largest_deviation(found, real) < CRITICAL


def fresh(seen, gradients, stream):
    return conditioned.backward(seen._replace(basis=torch.zeros_like(seen.basis)), gradients, stream)


def not_projected(seen, gradients, stream):
    """B C'V + xi in place of B C'V + (I - B B') xi."""
    known = torch.einsum("kbu,cbu,kbn->cbn", seen.drawn.double(), gradients, seen.basis)
    return known + fresh(seen, gradients, stream)


def first_feature_alone(seen, gradients, stream):
    alone = conditioned.Seen(seen.basis[:1], seen.drawn[:1], seen.triangle[:1, :1])
    return conditioned.backward(alone, gradients, stream)


def gradients_of_their_own(seen, gradients, stream):
    """A matrix of its own for every gradient."""
    return torch.cat([conditioned.backward(seen, gradient[None], stream) for gradient in gradients])


@pytest.mark.parametrize(
    ("defect", "shape"),
    [
        (fresh, (1, 4, 3, 1)),
        (fresh, (5, 3, 4, 3)),
        (not_projected, (1, 4, 3, 1)),
        (not_projected, (3, 8, 2, 3)),
        (first_feature_alone, (2, 4, 4, 2)),
        (gradients_of_their_own, (3, 8, 2, 3)),
    ],
)
def test_defect_is_noticed(defect, shape):
    columns, entries, units, gradients = shape
    features = features_of(columns, entries)
    found = statistics(*twice(features, units, gradients, seed=2, back=defect))
    real = statistics(*twice_by_a_matrix(features, units, gradients, seed=3))
    assert largest_deviation(found, real) > POWERFUL


def awkward():
    """Features of every rank, and of extreme lengths."""
    full = features_of(3, 6, batch=8)
    zero = torch.zeros_like(full[:1])
    return {
        "duplicated": torch.cat([full, full]),
        "opposite": torch.cat([full[:1], -full[:1], full[1:2]]),
        "zero": torch.cat([zero, full, zero]),
        "dependent": torch.cat([full, full.sum(0, keepdim=True)]),
        "nearly dependent": torch.cat([full[:1], full[:1] + 1e-9 * full[1:2], full[:1] + 1e-15 * full[2:]]),
        "more than entries": features_of(9, 4, batch=8),
        "tiny and huge": torch.cat([1e-140 * full[:1], 1e140 * full[1:]]),
        "all zero": zero,
    }


@pytest.mark.parametrize("name", awkward())
def test_features_of_any_rank(name):
    """G F and G'V are the products of one matrix: <G f, v> = <f, G'v>; B is orthonormal or zero and B R = F."""
    features = awkward()[name]
    columns, batch, entries = features.shape
    scale = torch.linalg.vector_norm(features, dim=2).clamp_min(1e-300)
    seen = conditioned.forward(features.clone(), torch.empty(columns, batch, 5), Stream(1))
    torch.testing.assert_close(
        conditioned.combine(seen.triangle, seen.basis) / scale[:, :, None],
        features / scale[:, :, None],
        rtol=0,
        atol=1e-14,
    )
    overlaps = torch.einsum("jbn,kbn->bjk", seen.basis, seen.basis)
    used = overlaps.diagonal(dim1=1, dim2=2).round()
    torch.testing.assert_close(overlaps, torch.diag_embed(used), rtol=0, atol=1e-14)
    assert (used.sum(1) <= entries).all()
    product = seen.product(columns)
    assert torch.isfinite(product).all()
    gradients = torch.randn(2, batch, 5, dtype=torch.float64, generator=Stream(2).torch)
    back = conditioned.backward(seen, torch.cat([gradients, gradients[:1], 0.0 * gradients]), Stream(3))
    torch.testing.assert_close(back[2], back[0], rtol=0, atol=1e-13)
    assert not back[3:].any()
    one = torch.einsum("abn,cbn->abc", product / scale[:, :, None], gradients)
    two = torch.einsum("abn,cbn->abc", features / scale[:, :, None], back[:2])
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_some_columns_of_a_product_are_those_of_all():
    seen = conditioned.forward(features_of(3, 6, batch=8), torch.empty(3, 8, 5), Stream(1))
    assert torch.equal(seen.product(2), seen.product(3)[:2])
    assert seen.drawn.dtype == torch.float32
    assert np.isfinite(seen.product(3).numpy()).all()
