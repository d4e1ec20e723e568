"""Blocks that the backward pass draws a second time are those of the forward pass, to the last bit."""

import pytest
import torch

from limitbench.networks import conditioned, mean_field_exact, resnet_exact
from limitbench.networks.mean_field import MeanFieldNet
from limitbench.networks.resnet import ResNet
from limitbench.numerics.random import Stream

SEGMENT, SEGMENTS = 8, 3
DEPTH = SEGMENT * SEGMENTS
#: Networks, and the matrices of a block.
NETWORKS = {
    "resnet": (ResNet(DEPTH, 3, gradient=True, balanced=True), 1),
    "resnet-jacobian": (ResNet(DEPTH, 3, gradient=True, jacobian=True, slope_plus=2.0, slope_minus=-3.0), 1),
    "mean-field-relu": (MeanFieldNet(DEPTH, 3, activation="relu", rho0=0.3), 2),
    "mean-field-tanh": (MeanFieldNet(DEPTH, 3, network="reduced"), 1),
}


def matrices(monkeypatch, name):
    """What the passes see of every matrix of every segment, forward and then again: two lists in the same order."""
    network, each = NETWORKS[name]
    forward, seen = conditioned.forward, []

    def remembered(features, drawn, stream):
        found = forward(features, drawn, stream)
        seen.append(torch.cat([found.basis.flatten(), found.drawn.flatten()]))
        return found

    monkeypatch.setattr(conditioned, "forward", remembered)
    for module in (resnet_exact, mean_field_exact):
        monkeypatch.setattr(module, "SEGMENT", SEGMENT)
    network.sample_batch(3, depths=[DEPTH])
    segments = [seen[start : start + SEGMENT * each] for start in range(0, len(seen), SEGMENT * each)]
    assert len(segments) == SEGMENTS + SEGMENTS - 1  # all but the last one twice, backward
    return segments[: SEGMENTS - 1], segments[SEGMENTS:][::-1]


def same(first, again):
    return all(torch.equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_that_are_drawn_twice_are_the_same(monkeypatch, name):
    assert same(*matrices(monkeypatch, name))


@pytest.mark.parametrize("name", NETWORKS)
def test_another_stream_would_be_noticed(monkeypatch, name):
    streams = iter(range(10**6))
    monkeypatch.setattr(Stream, "another", lambda self, *parts: Stream(next(streams)))
    assert not same(*matrices(monkeypatch, name))
