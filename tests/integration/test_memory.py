"""The memory of an instance as deployed, measured from outside while it sends large images."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import SAMPLE, System

MB = 1_000_000
# The function's default `available_memory` is 512 MiB.
LIMIT_MIB = 400


@contextmanager
def peak_of(master: int) -> Iterator[Callable[[], float]]:
    """Sample the memory of a process and its children; gives the peak in MiB, shared pages once."""
    peak = 0.0
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        total = 0
        for process in [str(master), *children]:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        peak = max(peak, total / 1024)

    def watch() -> None:
        while not ended.wait(0.02):
            sample()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: peak
    finally:
        ended.set()
        thread.join()


def padded(size: int) -> bytes:
    """Make a picture of that many bytes: what follows its end is of no interest."""
    return SAMPLE + bytes(size - len(SAMPLE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "packed"),
    [([15 * MB] * 60, False), ([20 * MB] * 10 + [2 * MB] * 50, False), ([20 * MB] * 30, True)],
    ids=["sixty of 15 MB", "ten of 20 MB among fifty of 2 MB", "thirty of 20 MB, packed"],
)
def test_large_images_stay_within_the_memory_deployed(
    start: Callable[..., System], sizes: list[int], packed: bool
) -> None:
    """All at once, each held once and until it is sent; all are described, and paid for once."""
    system = start()
    system.model.reset()
    contents = {size: padded(size) for size in set(sizes)}
    events = []
    for place, size in enumerate(sizes):
        content = contents[size]
        blob = system.bucket.blob(f"{place}.webp")
        if packed:
            content = gzip.compress(content, compresslevel=1)
            blob.content_encoding = "gzip"
        blob.upload_from_string(content, content_type="image/webp")
        events.append(system.event(blob.name, blob.generation, "image/webp", len(content)))
    with peak_of(system.function.process.pid) as peak:
        answers = system.post(*events)
        time.sleep(0.1)
    assert [answer.status_code for answer in answers] == [200] * len(sizes)
    assert system.outcomes() == {"described": len(sizes)}
    assert system.paid() == len(sizes)
    assert peak() < LIMIT_MIB
