"""Bootstrap over whole networks: one set of resampling weights for every cell, theory and observable of a column.

Networks are put into groups and groups are resampled, so a replicate of a cdf on k nodes costs a matrix product
replicates x groups x k instead of a pass over the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Int

from limitbench.errors import InputError
from limitbench.statistics.base import Law
from limitbench.statistics.laws import Empirical

REPLICATES = 1000
#: Most groups of networks; the variance of the bootstrap is right up to a factor 1 - 1/GROUPS.
GROUPS = 512
#: Nodes per cell at which replicates of the cdf are held.
NODES = 128
#: Bits of a group's sum: with weights that add to at most 512 = 2^9, sums over groups stay below 2^53.
_BITS = 42


@dataclass(frozen=True, eq=False)
class Resampling:
    """Multinomial weights of groups of networks, the same for the same (networks, seed, replicates).

    Attributes:
        group: group of each network: contiguous runs of nearly equal length.
        weights: how often each group occurs in each replicate.
        seed: seed of the weights.
        references: weights of the draws of each estimated law met so far, so that cells share them.
    """

    group: Int[np.ndarray, " networks"]
    weights: Float32[np.ndarray, "replicates groups"]
    seed: int
    references: dict[int, tuple[Law, Float32[np.ndarray, "replicates reference_groups"]]] = field(default_factory=dict)

    @classmethod
    def build(cls, networks: int, *, seed: int, replicates: int = REPLICATES) -> Resampling:
        """Weights for `networks` networks; raises `InputError` below two networks."""
        if networks < 2:
            raise InputError("samples", f"{networks} networks", "at least two networks")
        groups = min(networks, GROUPS)
        weights = _shared_weights(seed, replicates, groups)
        return cls(np.arange(networks) * groups // networks, weights, seed)

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return int(self.weights.shape[0])

    def keep(self, rows: np.ndarray) -> Resampling:
        """The same weights for the networks that the mask `rows` keeps."""
        return Resampling(self.group[rows], self.weights, self.seed, self.references)

    def cdf_noise(
        self, order: Int[np.ndarray, " networks"], ranks: Int[np.ndarray, " nodes"]
    ) -> Float32[np.ndarray, "replicates nodes"]:
        """F*_N - F_N at the order statistics with the given ranks; `order` sorts the samples."""
        bins = np.repeat(np.arange(ranks.size + 1), np.diff(ranks + 1, prepend=0, append=order.size))
        return _grouped_noise(self.weights, self.group[order], bins, ranks.size)

    def means(self, values: Float[np.ndarray, "networks columns"]) -> Float[np.ndarray, "replicates columns"]:
        """Means of the columns over each replicate."""
        starts = np.searchsorted(self.group, np.arange(self.weights.shape[1]))
        sizes = np.diff(starts, append=self.group.size)
        sums = np.zeros((sizes.size, values.shape[1]))
        sums[sizes > 0] = np.add.reduceat(values, starts[sizes > 0], axis=0)
        # in whole units below 2^-40 of the largest sum every product and sum is exact: the same bits from any BLAS
        unit = np.exp2(np.ceil(np.log2(np.maximum(np.abs(sums).max(axis=0), np.finfo(float).tiny))) - _BITS)
        totals = self.weights.astype(float) @ np.column_stack([np.rint(sums / unit), sizes])
        return np.asarray(totals[:, :-1] * unit / totals[:, -1:])

    def reference_noise(
        self, law: Law, x: Float[np.ndarray, " nodes"], mass: Float[np.ndarray, " nodes"]
    ) -> Float[np.ndarray, "replicates nodes"]:
        """F*_M - F_M at `x` of a law estimated by M draws: resampled once per replicate, shared by all cells.

        A law that does not hold its draws gets the limit: Brownian bridges at F(x), over √M.
        """
        size = law.reference_size
        if size is None:
            return np.zeros((self.replicates, x.size))
        if id(law) not in self.references:
            rng = np.random.default_rng([self.seed, 1, len(self.references)])
            # the law is kept so that its id stays its own
            self.references[id(law)] = (law, _multinomial(rng, self.replicates, min(size, GROUPS)))
        weights = self.references[id(law)][1]
        if isinstance(law, Empirical):
            group = np.arange(size) * weights.shape[1] // size
            return _grouped_noise(weights, group, np.searchsorted(x, law.draws, side="left"), x.size).astype(float)
        # the weights serve as the normals of the bridges, so cells share them here too
        steps = (weights - 1.0)[:, : weights.shape[1] - weights.shape[1] % 2]
        levels = np.arange(1, steps.shape[1] + 1) / steps.shape[1]
        path = np.cumsum(steps, axis=1) / math.sqrt(steps.shape[1])
        bridge = path - levels * path[:, -1:]
        at = np.clip(np.searchsorted(levels, mass), 0, levels.size - 1)
        return np.asarray(bridge[:, at] / math.sqrt(size), dtype=float)


@lru_cache(maxsize=4)
def _shared_weights(seed: int, replicates: int, groups: int) -> Float32[np.ndarray, "replicates groups"]:
    """The weights that all observables of a column share."""
    weights = _multinomial(np.random.default_rng([seed, 0]), replicates, groups)
    weights.setflags(write=False)
    return weights


def _multinomial(rng: np.random.Generator, replicates: int, groups: int) -> Float32[np.ndarray, "replicates groups"]:
    chosen = rng.integers(groups, size=(replicates, groups)) + groups * np.arange(replicates)[:, None]
    return np.bincount(chosen.ravel(), minlength=replicates * groups).reshape(replicates, groups).astype(np.float32)


def _grouped_noise(
    weights: Float32[np.ndarray, "replicates groups"],
    group: Int[np.ndarray, " draws"],
    bins: Int[np.ndarray, " draws"],
    nodes: int,
) -> Float32[np.ndarray, "replicates nodes"]:
    """F* - F at nodes; `bins` is the first node at or above each draw (`nodes` where there is none)."""
    groups = weights.shape[1]
    table = np.bincount(group * (nodes + 1) + bins, minlength=groups * (nodes + 1)).reshape(groups, nodes + 1)
    counts = np.cumsum(table, axis=1)
    mass = counts[:, :-1].sum(axis=0) / group.size
    # sums of integers below 2^24 are exact in single precision, so the product has the same bits for any BLAS threads
    exact = np.float32 if group.size < 2**20 else np.float64
    drawn = weights.astype(exact, copy=False) @ counts.astype(exact)
    noise = drawn[:, :-1] / drawn[:, -1:].astype(float)
    noise -= mass
    return np.asarray(noise, dtype=np.float32)
