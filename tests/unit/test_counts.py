"""What must not grow, counted rather than timed."""

import gc
import json
import sys
from collections import Counter
from typing import Any

import pytest

from describer.delivery.pipeline import Pipeline
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.description import Accumulator
from describer.model.scripted import Script, ScriptedModel
from describer.model.stream import Chunk, Decoder
from describer.model.translation import error_for
from describer.records.memory import MemoryStore
from describer.settings import Settings
from local.servers.events import cloud_event
from tests import virtual
from tests.pictures import JPEG

NO_STORAGE: Any = None


class CountingStore(MemoryStore):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__(virtual.now)
        self.calls: Counter[str] = Counter()

    async def create(self, *args: Any, **kwargs: Any) -> object:
        """Count, then create."""
        self.calls["create"] += 1
        return await super().create(*args, **kwargs)

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        """Count, then read."""
        self.calls["read"] += 1
        return await super().read(*args, **kwargs)

    async def update(self, *args: Any, **kwargs: Any) -> object:
        """Count, then update."""
        self.calls["update"] += 1
        return await super().update(*args, **kwargs)


@pytest.mark.parametrize(
    ("seconds", "updates"), [(0.0, 1), (0.9, 1), (1.9, 2), (2.1, 2), (9.5, 9)], ids=str
)
def test_store_calls_of_one_image(seconds: float, updates: int) -> None:
    """One create, one write a second while text comes, one for the outcome; never a read."""
    steps: list[Any] = []
    for _ in range(40):
        steps += [seconds / 40, Chunk("three more words ")]

    async def work() -> CountingStore:
        store = CountingStore()
        settings = Settings()
        model = ScriptedModel([Script([*steps, Chunk("", "stop")])])
        images = Images(settings, MemoryBucket({"a.jpg": JPEG}))
        pipeline = Pipeline(settings, store, model, images, now=virtual.now)
        headers, body = cloud_event("b12", "a.jpg", 1)
        attributes = {key.removeprefix("ce-"): value for key, value in headers.items()}
        await pipeline.deliver(attributes, json.loads(body))
        return store

    assert virtual.run(work()).calls == {"create": 1, "update": updates}


def test_a_chunk_leaves_nothing_behind_but_its_text() -> None:
    """Blocks of memory kept after a thousand chunks and after three thousand, compared.

    The least of several, since threads of other tests may still be at work in this process.
    """
    line = b'data: {"choices":[{"delta":{"content":"word "},"index":0}]}\n\n'

    def kept(count: int) -> int:
        decoder, gathered = Decoder(error_for), Accumulator()
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(count):
            for chunk in decoder.feed(line):
                gathered.add(chunk)
        assert len(gathered.text) == 5 * count - 1
        gc.collect()
        return sys.getallocatedblocks() - before

    kept(1000)
    few, many = (min(kept(count) for _ in range(5)) for count in (1000, 3000))
    assert many - few < 200
