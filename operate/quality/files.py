"""Local files in a bucket's place: what the function reads from Cloud Storage is read from here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from describer.errors import BucketError, ObjectGoneError
from describer.images.room import Buffer, FullError
from describer.values import Upload


class LocalFiles:
    """See `describer.images.bucket.Bucket`: local files as the objects of any bucket, by name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        file = self._files.get(upload.name)
        if file is None:
            raise ObjectGoneError(f"there is no {upload.name}")
        try:
            into.write(await asyncio.to_thread(file.read_bytes))
        except FullError:
            return False
        except OSError as exc:
            raise BucketError(f"{file}: {exc.strerror}") from exc
        return True

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        whole = Buffer(start + size)
        try:
            await self.read(upload, whole)
            return whole.at(start, size)
        finally:
            whole.close()

    async def live_generation(self, upload: Upload) -> int | None:
        """See `Bucket.live_generation`: a file has but one."""
        return upload.generation if upload.name in self._files else None

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Bucket.list_objects`: nobody asks for it here."""
        raise BucketError(f"{bucket} is no bucket: {len(self._files)} files, {start=}, {limit=}")
