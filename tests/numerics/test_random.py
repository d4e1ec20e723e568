"""Streams: reproducible, independent, of the right law, from either generator; and who may use which."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from limitbench.errors import InputError
from limitbench.numerics import random, vsl
from limitbench.numerics.random import Stream, best_generator, check_generator, stream_seed

VSL = pytest.param(
    "vsl", marks=[pytest.mark.vsl, pytest.mark.skipif(vsl.version() is None, reason="needs limitbench[fast]")]
)
generators = pytest.mark.parametrize("generator", ["torch", VSL])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
COUNT = 2**18
#: Critical value of |Z| at a false-alarm probability of 1e-6 for all of a test's statistics together.
CRITICAL = 5.5


def normals(generator, dtype, seed=1):
    return Stream(seed, generator=generator).normal_(torch.empty(COUNT, dtype=dtype))


def moments(z):
    """Standardised errors of mean, variance, skewness, kurtosis and of the correlation of neighbours."""
    z = z.double()
    n = len(z)
    values = [z.mean(), (z**2).mean() - 1, (z**3).mean(), (z**4).mean() - 3, (z[1:] * z[:-1]).mean()]
    return [float(v) * math.sqrt(n / var) for v, var in zip(values, (1, 2, 15, 96, 1), strict=True)]


@generators
@dtypes
def test_normals_have_the_law_of_normals(generator, dtype):
    z = normals(generator, dtype)
    assert max(map(abs, moments(z))) < CRITICAL
    assert stats.kstest(z.double().numpy(), "norm").pvalue > 1e-6


@generators
def test_the_law_test_notices_a_wrong_deviation(generator):
    assert max(map(abs, moments(1.02 * normals(generator, torch.float32)))) > CRITICAL


@generators
@dtypes
def test_uniforms_have_the_law_of_uniforms(generator, dtype):
    u = Stream(2, generator=generator).uniform_(torch.empty(COUNT, dtype=dtype), -1.0, 3.0)
    assert float(u.min()) >= -1.0
    assert float(u.max()) <= 3.0
    assert stats.kstest(u.double().numpy(), "uniform", args=(-1.0, 4.0)).pvalue > 1e-6


@generators
@dtypes
def test_a_stream_is_reproducible_and_another_seed_is_another_stream(generator, dtype):
    first = normals(generator, dtype)
    assert torch.equal(first, normals(generator, dtype))
    for seed in (0, 2, 2**63 - 1, *([1 + 2**32] if generator == "vsl" else [])):
        other = normals(generator, dtype, seed)
        assert not (first == other).any() or (first == other).double().mean() < 1e-3
        assert abs(float((first.double() * other.double()).mean())) * math.sqrt(COUNT) < CRITICAL


@generators
def test_filling_in_parts_goes_on_in_the_stream(generator):
    stream, parts = Stream(1, generator=generator), torch.empty(3, 1024)
    for part in parts:
        stream.normal_(part)
    assert len(np.unique(parts.numpy())) > 3000


@pytest.mark.vsl
@pytest.mark.skipif(vsl.version() is None, reason="needs limitbench[fast]")
def test_more_than_one_call_of_the_library_fills_all(monkeypatch):
    whole = Stream(7, generator="vsl").normal_(torch.empty(5000))
    monkeypatch.setattr(vsl, "_LONGEST", 1024)
    pieces = Stream(7, generator="vsl").normal_(torch.full((5000,), math.nan))
    assert torch.isfinite(pieces).all()
    assert torch.equal(whole[:1024], pieces[:1024])


@pytest.mark.vsl
@pytest.mark.skipif(vsl.version() is None, reason="needs limitbench[fast]")
@pytest.mark.parametrize("out", [torch.empty(4, 4).T[:2], torch.empty(4, dtype=torch.int32), torch.empty(8)[::2]])
def test_memory_that_cannot_be_filled_is_refused(out):
    with pytest.raises(ValueError, match="expected contiguous floats"):
        Stream(1, generator="vsl").normal_(out)


def test_torch_streams_are_those_of_a_torch_generator():
    expected = torch.empty(100).normal_(generator=torch.Generator().manual_seed(9))
    assert torch.equal(Stream(9).normal_(torch.empty(100)), expected)


@generators
def test_another_stream_is_named_by_seed_and_parts(generator):
    stream = Stream(4, generator=generator)
    other = stream.another("gradient", 3)
    assert (other.seed, other.generator) == (stream_seed(4, "gradient", 3), generator)
    assert not torch.equal(other.normal_(torch.empty(50)), stream.normal_(torch.empty(50)))


def test_without_the_library_torch_is_the_best_and_vsl_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(vsl, "_library", lambda: None)
    assert best_generator("cpu") == "torch"
    with pytest.raises(InputError, match=r"^generator: got 'vsl', expected torch; vsl needs limitbench\[fast\]"):
        check_generator("vsl", "cpu")
    with pytest.raises(InputError, match="limitbench"):
        Stream(0, generator="vsl")


def test_the_environment_may_forbid_vsl(monkeypatch):
    monkeypatch.setattr(vsl, "version", lambda: "2026")
    monkeypatch.delenv("LIMITBENCH_GENERATOR")
    assert best_generator("cpu") == "vsl"
    monkeypatch.setenv("LIMITBENCH_GENERATOR", "torch")
    assert best_generator("cpu") == "torch"
    monkeypatch.setenv("LIMITBENCH_GENERATOR", "mkl")
    with pytest.raises(InputError, match=r"^LIMITBENCH_GENERATOR: got 'mkl', expected torch or vsl$"):
        best_generator("cpu")


def test_vsl_is_for_the_cpu_alone():
    with pytest.raises(InputError, match="torch on cuda"):
        check_generator("vsl", "cuda")
    assert best_generator("cuda") == "torch"


def test_an_unknown_generator_is_named():
    with pytest.raises(InputError, match="torch or vsl"):
        Stream(0, generator="numpy")
    assert random.GENERATORS == ("torch", "vsl")
