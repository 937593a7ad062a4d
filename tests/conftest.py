"""Fixtures of the black-box tests: one server a worker, a new bucket a test."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.clients import Tools, s3_client  # noqa: E402
from harness.raw import Raw  # noqa: E402
from harness.server import ExternalServer, Server  # noqa: E402

EXTERNAL = os.environ.get("MILLPOND_TEST_ENDPOINT")

# Names below .localhost do not resolve on every machine, so the tests bring their own resolution.
_getaddrinfo = socket.getaddrinfo


def _resolve(host, *args, **kwargs):
    if isinstance(host, str) and (host == "localhost" or host.endswith(".localhost")):
        host = "127.0.0.1"
    return _getaddrinfo(host, *args, **kwargs)


socket.getaddrinfo = _resolve

_counter = itertools.count(1)
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


def pytest_collection_modifyitems(items):
    if not EXTERNAL:
        return
    skip = pytest.mark.skip(reason="MILLPOND_TEST_ENDPOINT is set: a server of its own cannot be started")
    for item in items:
        if item.get_closest_marker("restarts"):
            item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            server = value if isinstance(value, (Server, ExternalServer)) else None
            if server:
                tail = server.log_tail()
                if tail:
                    report.sections.append((f"server log ({server.endpoint})", tail))
                break


@pytest.fixture(scope="session")
def server():
    if EXTERNAL:
        yield ExternalServer(EXTERNAL)
        return
    # Tests of slow clients wait for these limits; the defaults are made for real networks.
    running = Server(args=["--log-format", "json"]).start()
    yield running
    died = not running.alive()
    running.close()
    assert not died, "the server ended during the tests"


@pytest.fixture
def make_server(request):
    """Starts further servers: make_server(args=[...], env={...}); all are stopped at the end of the test."""
    made: list[Server] = []

    def make(start: bool = True, **options) -> Server:
        one = Server(**options)
        made.append(one)
        return one.start() if start else one

    yield make
    for one in made:
        if request.session.testsfailed:
            print(f"--- log of {one.endpoint}\n{one.log_tail()}")
        one.close()


@pytest.fixture(scope="session")
def s3(server):
    return s3_client(server)


@pytest.fixture(scope="session")
def raw(server) -> Raw:
    return Raw(server.endpoint, server.access_key, server.secret_key, server.region)


@pytest.fixture
def tools(server, tmp_path) -> Tools:
    return Tools(server, tmp_path / "home")


@pytest.fixture
def bucket_name(request) -> str:
    """A bucket name that no other test uses; the bucket does not exist."""
    return f"t-{_WORKER}-{os.getpid()}-{next(_counter)}"


@pytest.fixture
def bucket(s3, bucket_name) -> str:
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def versioned(s3, bucket) -> str:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket
