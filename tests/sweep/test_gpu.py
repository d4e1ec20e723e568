"""Shares of a GPU and batches that find no room on it. The sharing is Ray's, on a card that it is only told of."""

import dataclasses
import os
import time

import pytest
import torch

from limitbench.config import run_options
from limitbench.errors import InputError
from limitbench.networks.shaped_mlp import ShapedMLP
from limitbench.numerics import gpu_memory
from limitbench.sweep.dispatch_cost import Idler, idle_job
from limitbench.sweep.pool import Ready
from limitbench.sweep.ray_pool import RayPool, room
from limitbench.sweep.run import run
from limitbench.testing.toy import STUDY


@pytest.mark.parametrize(
    ("resources", "share", "workers"),
    [
        ({"CPU": 8.0, "GPU": 2.0}, 1.0, 2),
        ({"CPU": 8.0, "GPU": 2.0}, 0.25, 8),
        ({"CPU": 3.0, "GPU": 2.0}, 0.25, 3),
        ({"CPU": 64.0, "GPU": 1.0}, 0.1, 10),
        ({"CPU": 64.0, "GPU": 2.0}, 0.6, 2),
        ({"CPU": 8.0}, 0.5, 0),
        ({"CPU": 8.0, "GPU": 2.0}, 0.0, 8),
    ],
)
def test_a_node_has_room_for_whole_shares_of_each_card(resources, share, workers):
    assert room(resources, share) == workers


@pytest.fixture
def crowded(monkeypatch):
    """A batch for which the card has no room, so often."""
    monkeypatch.setattr(gpu_memory, "PAUSE_SECONDS", 0.0)
    real, left = ShapedMLP.sample_batch, [0]

    def draw(self, *args, **options):
        if left[0] > 0:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **options)

    monkeypatch.setattr(ShapedMLP, "sample_batch", draw)
    return left


def test_a_batch_waits_for_room_and_its_numbers_stay_the_same(crowded):
    network = ShapedMLP(2, 40)
    undisturbed = network.sample(10)
    crowded[0] = gpu_memory.TRIES - 1
    assert network.sample(10).equals(undisturbed)
    assert crowded[0] == 0


def test_a_batch_that_never_finds_room_fails(crowded):
    crowded[0] = gpu_memory.TRIES
    with pytest.raises(torch.OutOfMemoryError):
        ShapedMLP(2, 40).sample(10)


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "half", "1e-9"])
def test_a_share_that_is_none_is_named(share):
    with pytest.raises(InputError, match=rf"^--gpu-share: got '?{share}'?, expected a number from 0.01 to 1"):
        run_options({"studies": ["shaped-relu"], "gpu-share": share})


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_the_library_refuses_it_too(share, tmp_path):
    with pytest.raises(InputError, match=r"^gpu_share: got .*, expected a number from 0.01 to 1$"):
        run(STUDY, out=tmp_path, gpu_share=share)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_is_refused_where_there_is_none(tmp_path):
    with pytest.raises(InputError, match=r"^device: got 'cuda'"):
        run(STUDY, out=tmp_path, device="cuda")
    assert not list(tmp_path.iterdir())


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_share_a_card():
    import ray

    ray.init(num_cpus=4, num_gpus=1, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    job = idle_job(1)[0]
    meaning = job.spec.meaning.model_copy(update={"device": "cuda"})
    job = dataclasses.replace(job, spec=job.spec.model_copy(update={"meaning": meaning}))
    pool = RayPool(job, "limitbench-test-share", gpu_share=0.5, worker=Idler)
    try:
        assert pool.capacity() == 2
        for worker in range(3):
            pool.start(worker)
        ready, deadline = [], time.monotonic() + 60.0
        while len(ready) < 2 and time.monotonic() < deadline:
            ready += pool.wait(0.2)
        assert len(ready) == 2
        assert all(isinstance(news, Ready) for news in ready)
        assert ray.available_resources().get("GPU", 0.0) == 0.0
        assert pool.wait(1.0) == []  # the third finds no room
    finally:
        pool.close()
        ray.shutdown()
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
