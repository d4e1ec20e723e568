"""One S3 server for all tests of a process that want one."""

import pytest

from limitbench.testing.s3 import s3_server


@pytest.fixture(scope="session")
def s3_session():
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_session, monkeypatch):
    """The server without faults, found through the environment."""
    for name, value in s3_session.environment.items():
        monkeypatch.setenv(name, value)
    s3_session.inject({})
    yield s3_session
    s3_session.inject({})
