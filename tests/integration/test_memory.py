"""The memory of an instance as deployed, measured from outside while it sends large images."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.large import LOADS, Load, run
from local.servers.processes import Server
from tests.integration.conftest import System

# The function's default `available_memory` is 512 MiB.
LIMIT_MIB = 400


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS[1:], ids=lambda load: load.name)
def test_large_images_stay_within_the_memory_deployed(
    start: Callable[..., System], gcs: Server, load: Load
) -> None:
    """All at once, each held once and until it is sent; all are described, and paid for once."""
    system = start()
    system.model.reset()
    found = asyncio.run(run(load, system.function, gcs.url))
    system = replace(system, bucket=system.bucket.client.bucket(found.bucket))
    assert found.statuses == [200] * len(load.sizes)
    assert system.outcomes() == {"described": len(load.sizes)}
    assert system.paid() == len(load.sizes)
    assert found.peak_mib < LIMIT_MIB
