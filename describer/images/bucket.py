"""The bucket port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from describer.images.room import Buffer
from describer.values import Upload


class Bucket(Protocol):
    """Where uploads lie."""

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """Read exactly this generation into an empty buffer.

        Returns:
            Whether that was all: False if the buffer is full, and there is more.

        Raises:
            ObjectGoneError: this generation is not there any more.
            UnreadableImageError: it is stored as packed, but cannot be unpacked.
            BucketError: the bucket did not answer, or refused.
        """

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """Read some bytes of exactly this generation as they are stored; fewer at the end.

        What is stored packed stays packed.

        Raises:
            ObjectGoneError: this generation is not there any more.
            BucketError: the bucket did not answer, or refused.
        """

    async def live_generation(self, upload: Upload) -> int | None:
        """Give the generation that stands under the object's name now, or None if none does.

        Raises:
            BucketError: the bucket did not answer, or refused.
        """

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Give at most so many live objects in the order of names, from `start` on.

        Returns:
            Each as Cloud Storage's JSON API gives it, in the fields that an event is read from.

        Raises:
            BucketError: the bucket did not answer, or refused.
        """
