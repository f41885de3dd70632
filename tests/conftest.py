"""Fixtures for the real parts, each started once; what is not installed is said, not hidden."""

import os
from collections.abc import Iterator

import pytest
from google.cloud import storage

from local.servers.emulators import (
    firestore_emulator,
    gcs_server,
    missing_parts,
    why_no_firestore,
    why_no_gcs,
)
from local.servers.model import StandInServer, standin_server
from local.servers.processes import Server


def pytest_configure(config: pytest.Config) -> None:
    """Gate the branches only where the tests that take them can run."""
    coverage = config.pluginmanager.getplugin("_cov")
    if coverage is not None and missing_parts():
        coverage.options.cov_fail_under = 0


def missing(reason: str) -> None:
    """Skip for a part that is not installed; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def firestore_server() -> Iterator[Server]:
    """The official Firestore emulator."""
    if reason := why_no_firestore():
        missing(reason)
    with firestore_emulator() as server:
        os.environ["FIRESTORE_EMULATOR_HOST"] = server.host
        yield server
        os.environ.pop("FIRESTORE_EMULATOR_HOST", None)


@pytest.fixture(scope="session")
def gcs() -> Iterator[Server]:
    """A Cloud Storage emulator."""
    if reason := why_no_gcs():
        missing(reason)
    with gcs_server() as server:
        os.environ["STORAGE_EMULATOR_HOST"] = server.url
        yield server
        os.environ.pop("STORAGE_EMULATOR_HOST", None)


@pytest.fixture
def bucket(gcs: Server) -> "storage.Bucket":
    """An empty bucket of its own."""
    client = storage.Client(project="demo-describer")
    made: storage.Bucket = client.create_bucket(f"uploads-{os.urandom(4).hex()}")
    return made


@pytest.fixture(scope="session")
def _standin(request: pytest.FixtureRequest) -> Iterator[StandInServer]:
    # It reads gs:// images from there, whichever of the two a test of this process asks for first.
    storage_url = "" if why_no_gcs() else request.getfixturevalue("gcs").url
    with standin_server(storage_url=storage_url) as server:
        yield server


@pytest.fixture
def standin(_standin: StandInServer) -> StandInServer:
    """The model stand-in, without scripts, its log empty."""
    _standin.reset()
    _standin.pace(0)
    return _standin
