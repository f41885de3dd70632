"""A bucket in memory, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from describer.errors import ObjectGoneError
from describer.images.room import Buffer, FullError
from describer.values import Upload


class MemoryBucket:
    """See `describer.images.bucket.Bucket`. Objects by name alone.

    Attributes:
        generations: what stands under a name now, by name.
        resources: what a listing gives.
    """

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self._objects = {} if objects is None else objects
        self.generations: dict[str, int] = {}
        self.resources: list[Mapping[str, Any]] = []

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        await asyncio.sleep(0)
        content = self._objects.get(upload.name)
        if content is None:
            raise ObjectGoneError(f"there is no {upload.name}")
        try:
            into.write(content)
        except FullError:
            return False
        return True

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        await asyncio.sleep(0)
        content = self._objects.get(upload.name)
        if content is None:
            raise ObjectGoneError(f"there is no {upload.name}")
        return content[start : start + size]

    async def live_generation(self, upload: Upload) -> int | None:
        """See `Bucket.live_generation`."""
        await asyncio.sleep(0)
        return self.generations.get(upload.name)

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Bucket.list_objects`: what `resources` has of the bucket."""
        await asyncio.sleep(0)
        found = (r for r in self.resources if r["bucket"] == bucket and r["name"] >= start)
        return sorted(found, key=lambda resource: str(resource["name"]))[:limit]
