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
    system = start(MODEL_SERVER="vllm")
    system.model.reset()
    found = asyncio.run(run(load, system.function, gcs.url))
    system = replace(system, bucket=system.bucket.client.bucket(found.bucket))
    assert found.statuses == [200] * load.count
    assert system.outcomes() == {"described": load.count}
    assert system.paid() == load.count
    assert found.peak_mib < LIMIT_MIB
    small = [wait for wait, one in zip(found.waited, load.pictures, strict=False) if one.small]
    # Each in its turn: none waits until all the large ones are done.
    assert not small or sum(small) / len(small) < 0.8 * found.seconds
