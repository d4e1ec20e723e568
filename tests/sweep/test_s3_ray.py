"""Ray workers on an S3 server, every tenth request failing."""

import pytest

from limitbench.sweep.run import run
from limitbench.testing.faults import every
from limitbench.testing.store import assert_same_numbers
from limitbench.testing.toy import STUDY

pytestmark = [
    pytest.mark.cluster,
    # Ray leaves the pipes of its processes and its log files to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_workers_write_the_numbers_of_a_serial_run_into_a_folder(s3, tmp_path):
    grid, url = {"width": [4, 8], "depth": [2]}, f"{s3.url}/{tmp_path.name}"
    s3.inject(every(0.1), seed=4)
    tree = run(STUDY, grid, samples=256, out=url, executor="ray", workers=2)
    assert set(tree["run"]["status"].to_numpy().ravel()) == {"done"}
    counts = s3.counts()
    assert sum(counts.values()) - counts["requests"] > 0.05 * counts["requests"]
    run(STUDY, grid, samples=256, out=tmp_path)
    assert_same_numbers(tmp_path / "toy.zarr", f"{url}/toy.zarr")
