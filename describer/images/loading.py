"""The image part of the request: a `gs://` URI, or the bytes of exactly that generation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from describer.errors import (
    DescriberError,
    ImageTooLargeError,
    ObjectGoneError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.images.bucket import Bucket
from describer.images.formats import HEAD_BYTES, likely_image_type, sniff
from describer.images.image import Image
from describer.images.room import Buffer, Room, Share
from describer.settings import Settings
from describer.values import Upload

_MB = 1_000_000
# For a server of which it is said only by IMAGE_INPUT that it reads gs://.
URI_BYTES_LIMIT = 30 * _MB

# Bytes of all images that one instance holds, each from its download until it is sent and the
# model has begun to answer. What finds no room waits.
INLINE_BYTES_AT_ONCE = 64 * _MB
# Longer is better spent outside, where another instance may take it.
ROOM_TIMEOUT_SECONDS = 60.0


class Images:
    """Makes image parts. The bucket is read only where an image part needs it."""

    def __init__(self, settings: Settings, bucket: Bucket) -> None:
        """Share one instance's memory among the images that are read into it.

        Args:
            settings: decide between URI and bytes, and the limits.
            bucket: where images are read.
        """
        self._settings = settings
        self._bucket = bucket
        self._room = Room(INLINE_BYTES_AT_ONCE)

    def check(self, upload: Upload) -> None:
        """Refuse at once what the event alone tells cannot be sent.

        Raises:
            UnsupportedImageError, ImageTooLargeError: never will work.
        """
        content_type = likely_image_type(upload)
        if content_type is not None and content_type not in self._accepts:
            raise _unsupported(content_type, self._accepts)
        self._check_size(upload.size, *self._limit())

    @asynccontextmanager
    async def room_for(self, upload: Upload) -> AsyncIterator[Share]:
        """Wait until the instance has memory for the image, and keep it at most for the block.

        Without this, a burst of large images would exceed the instance's memory, which ends all
        work in it at once, and its redelivery likewise.

        Raises:
            NoRoomError: it was not this image's turn in time.
        """
        share = await self._room.take(self._needed(upload), timeout_seconds=ROOM_TIMEOUT_SECONDS)
        try:
            yield share
        finally:
            share.release()

    async def load(self, upload: Upload, share: Share) -> Image:
        """Make the image part for one upload.

        Args:
            upload: one that `check` lets pass.
            share: from `room_for`; once the image is sent, it is given back.

        Raises:
            UnsupportedImageError, ImageTooLargeError, UnreadableImageError: never will work.
            ObjectGoneError: this generation is not there any more.
            BucketError: Cloud Storage failed or refused.
        """
        content_type = likely_image_type(upload)
        if content_type is None:
            # Of what is no image, not more is read than tells so.
            content_type = _sendable(await self._head(upload), self._accepts)
        if self._by_uri:
            return Image(content_type, upload.size, uri=upload.uri)
        limit, limit_name = self._limit()
        content = share.buffer()
        whole = await self._bucket.read(upload, content)
        if not whole and share.size < limit:
            # It unpacks to more than its declared size.
            await share.exchange(limit, timeout_seconds=ROOM_TIMEOUT_SECONDS)
            content = share.buffer()
            whole = await self._bucket.read(upload, content)
        if not whole:
            self._check_size(limit + 1, limit, limit_name)
        share.shrink()
        content_type = _sendable(content.head(HEAD_BYTES), self._accepts)
        return Image(content_type, content.size, content=content, sent=share.release)

    async def is_gone(self, upload: Upload) -> bool:
        """Ask whether this generation is certainly not there; False when nobody can tell."""
        try:
            await self._head(upload)
        except ObjectGoneError:
            return True
        except DescriberError:
            return False
        return False

    async def is_overwritten(self, upload: Upload) -> bool:
        """Ask whether another generation stands there now; False when nobody can tell.

        An address names no generation: after an overwrite, the model may have read the newer one.
        """
        try:
            live = await self._bucket.live_generation(upload)
        except DescriberError:
            return False
        return live not in {None, upload.generation}

    @property
    def _accepts(self) -> frozenset[str]:
        return self._settings.server.accepts

    @property
    def _by_uri(self) -> bool:
        return not self._settings.always_inline

    def _needed(self, upload: Upload) -> int:
        """Give the bytes that may come: more than declared where they are stored packed."""
        if self._by_uri:
            return 0
        limit, _ = self._limit()
        packed = upload.content_encoding not in {"", "identity"}
        return limit if packed or upload.size is None else min(limit, upload.size)

    def _limit(self) -> tuple[int, str]:
        server = self._settings.server
        if self._by_uri:
            model, name = server.uri_limit_bytes, "the model's limit for a gs:// image"
            model = URI_BYTES_LIMIT if model is None else model
        else:
            model, name = server.inline_limit_bytes, "the server's limit for bytes in a request"
        if self._settings.max_image_bytes <= model:
            return self._settings.max_image_bytes, "MAX_IMAGE_BYTES"
        return model, name

    @staticmethod
    def _check_size(size: int | None, limit: int, limit_name: str) -> None:
        if size is not None and size > limit:
            raise ImageTooLargeError(
                f"{size} bytes or more, over {limit_name} of {limit} bytes; "
                "upload a smaller rendition"
            )

    async def _head(self, upload: Upload) -> bytes:
        head = Buffer(HEAD_BYTES)
        try:
            await self._bucket.read(upload, head)
            return head.head(HEAD_BYTES)
        finally:
            head.close()


def _sendable(head: bytes, accepts: frozenset[str]) -> str:
    content_type = sniff(head)
    if content_type is None:
        raise UnreadableImageError(
            f"the bytes are no image that is known; they begin {head[:16]!r}"
        )
    if content_type not in accepts:
        raise _unsupported(content_type, accepts)
    return content_type


def _unsupported(content_type: str, accepts: frozenset[str]) -> UnsupportedImageError:
    taken = ", ".join(sorted(accepts))
    return UnsupportedImageError(
        f"the model's server takes no {content_type[:80]} but {taken}; convert the image before "
        "the upload, or say with MODEL_SERVER what the server is"
    )
