"""What every network family must pass: subclass `NetworkContract` with a fixture `network` in a test module.

Laws are compared by rank statistics, whose false-alarm probability is known whatever the law, atoms and NaN included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy import special, stats

from limitbench.errors import InputError
from limitbench.networks.base import SAMPLERS, Network, Sampler
from limitbench.statistics.observables import OBSERVABLES

#: Two-sided size of one comparison that exceeds this: 8e-11, so that 10,000 comparisons raise a false alarm with
#: probability below 1e-6 in all.
CRITICAL = 6.5
#: A deviation of this size shows a power of 99 % with confidence 99 %: it has unit standard deviation about its mean,
#: so the mean is above CRITICAL + 2.33 but for 1 time in 100.
POWERFUL = CRITICAL + 2 * 2.33

Values = Float[np.ndarray, " _"]


def deviations(first: Values, second: Values) -> dict[str, float]:
    """Standard-normal deviations between the laws of two samples: location, scale, shape, undefined values.

    Location and scale compare the mean rank and the mean squared rank about the middle (Mann-Whitney, Mood), shape is
    the Kolmogorov-Smirnov p-value on the same scale; -inf and inf are ordinary values, NaN is counted apart.
    Values are rounded to 12 decimals first: rounding must not split an atom (orthogonal or parallel narrow features).
    """
    undefined = np.isnan(first), np.isnan(second)
    found = {"undefined": _permutation_deviation(undefined[0].astype(float), undefined[1].astype(float))}
    a, b = np.round(first[~undefined[0]], 12), np.round(second[~undefined[1]], 12)
    if min(len(a), len(b)) > 1:
        rank = stats.rankdata(np.concatenate([a, b]))
        rank = rank / (len(rank) + 1) - 0.5
        found["location"] = _permutation_deviation(rank[: len(a)], rank[len(a) :])
        found["scale"] = _permutation_deviation(rank[: len(a)] ** 2, rank[len(a) :] ** 2)
        size = np.sqrt(len(a) * len(b) / (len(a) + len(b)))
        pvalue = special.kolmogorov(size * stats.ks_2samp(a, b, method="asymp").statistic)
        found["shape"] = float(stats.norm.isf(np.clip(pvalue, 1e-300, 1.0) / 2))
    return found


def largest_deviation(
    first: Mapping[str, Float[np.ndarray, "networks depths"]],
    second: Mapping[str, Float[np.ndarray, "networks depths"]],
) -> float:
    """The largest deviation over all observables and depths."""
    return max(
        abs(deviation)
        for name in first
        for column in range(first[name].shape[1])
        for deviation in deviations(first[name][:, column], second[name][:, column]).values()
    )


def _permutation_deviation(a: Values, b: Values) -> float:
    """Difference of two means over its standard deviation when labels are permuted; 0 where all scores are equal."""
    spread = np.concatenate([a, b]).std(ddof=1)
    return float((a.mean() - b.mean()) / (spread * np.sqrt(1 / len(a) + 1 / len(b)))) if spread > 0 else 0.0


@pytest.mark.parametrize("sampler", SAMPLERS)
class NetworkContract:
    """Seeds, shapes and streams. Subclasses give a fixture `network` of depth at least 3.

    Attributes:
        own_observables: names that it gives beyond the catalogue of `statistics.observables`.
    """

    own_observables: ClassVar[tuple[str, ...]] = ()

    def test_batch_sizes_divide_the_blocks_of_a_study(self, network: Network, sampler: Sampler) -> None:
        """A block is a whole number of batches: 4096 networks if exact, 256 if dense."""
        size = network.batch_size(sampler)
        assert size & (size - 1) == 0
        assert {"exact": 4096, "dense": 256}[sampler] % size == 0

    def test_samples_are_float64_observables_of_the_catalogue(self, network: Network, sampler: Sampler) -> None:
        """One float64 variable per observable with dims (sample, depth), or (sample,) at the final layer."""
        along = network.sample(3, depths=[1, network.depth], sampler=sampler)
        final = network.sample(3, sampler=sampler)
        assert tuple(along.data_vars) == network.observables
        for name in network.observables:
            assert name in OBSERVABLES or name in self.own_observables
            assert along[name].dims == ("sample", "depth")
            assert along[name].shape == (3, 2)
            assert along[name].dtype == np.float64
            np.testing.assert_array_equal(along[name].values[:, -1], final[name].values)

    def test_parameters_are_canonical_and_free_of_depth(self, network: Network, sampler: Sampler) -> None:
        """Parameters survive JSON, so they name the same stream on every machine."""
        parameters = dict(network.parameters)
        assert json.loads(json.dumps(parameters, allow_nan=False)) == parameters
        assert "depth" not in parameters

    def test_recorded_depths_do_not_alter_the_stream(self, network: Network, sampler: Sampler) -> None:
        """Any choice of depths records the same path."""
        every = network.sample(2, depths=range(1, network.depth + 1), sampler=sampler)
        some = network.sample(2, depths=[2, network.depth], sampler=sampler)
        for name in network.observables:
            np.testing.assert_array_equal(every[name].sel(depth=[2, network.depth]), some[name])

    def test_a_larger_sample_extends_a_smaller_one(self, network: Network, sampler: Sampler) -> None:
        """The first networks stay the same across a batch boundary."""
        size = network.batch_size(sampler)
        small, large = (network.sample(n, sampler=sampler) for n in (size - 1 or 1, size + 1))
        for name in network.observables:
            np.testing.assert_array_equal(small[name], large[name][: small.sizes["sample"]])

    def test_seeds_and_batches_are_different_streams(self, network: Network, sampler: Sampler) -> None:
        """No two seeds and no two batches share numbers; one seed gives the same numbers twice."""
        batches = {(seed, batch): network.batch_seed(seed, batch, sampler) for seed in range(3) for batch in range(3)}
        assert len(set(batches.values())) == len(batches)
        draws = [network.sample(8, seed=seed, sampler=sampler) for seed in (0, 0, 1)]
        name = network.observables[-1]
        np.testing.assert_array_equal(draws[0][name], draws[1][name])
        assert (draws[0][name] != draws[2][name]).any()

    def test_numbers_do_not_depend_on_the_number_of_threads(self, network: Network, sampler: Sampler) -> None:
        """Bit for bit on one and on several threads."""
        threads, drawn = torch.get_num_threads(), []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                drawn.append(network.sample(network.batch_size(sampler), sampler=sampler))
        finally:
            torch.set_num_threads(threads)
        for name in network.observables:
            np.testing.assert_array_equal(drawn[0][name], drawn[1][name])
            np.testing.assert_array_equal(drawn[0][name], drawn[2][name])

    @pytest.mark.parametrize("depths", [[], [0], [2, 1], [1, 1], [10**9]])
    def test_bad_depths_are_named(self, network: Network, sampler: Sampler, depths: list[int]) -> None:
        """Depths are increasing and within 1 .. depth."""
        with pytest.raises(InputError, match="depths"):
            network.sample(1, depths=depths, sampler=sampler)

    @pytest.mark.parametrize("n", [0, -1])
    def test_bad_numbers_of_networks_are_named(self, network: Network, sampler: Sampler, n: int) -> None:
        """At least one network."""
        with pytest.raises(InputError, match="n: got"):
            network.sample(n, sampler=sampler)
