"""The image part of the request: a `gs://` URI, or the bytes of exactly that generation.

sent by address ◄── both ends are read, and show a whole picture of an accepted kind
                ◄── they do not tell: all of it is read, and does
sent inside     ◄── all of it is read; converted, where it is odd, too large or not accepted
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from describer.errors import (
    DescriberError,
    ImageTooLargeError,
    ObjectGoneError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.images.bucket import Bucket
from describer.images.convert import RESERVED_BYTES, Converter, NeedsMemoryError, Order
from describer.images.formats import (
    CONVERTIBLE_TYPES,
    HEAD_BYTES,
    UNSUPPORTED_TYPES,
    likely_image_type,
    type_of,
)
from describer.images.image import Image
from describer.images.room import Buffer, Room, Share
from describer.images.structure import (
    ENDING_IN_A_MARKER,
    Content,
    Ends,
    MiddleError,
    is_cut,
    oddity,
    pixels,
)
from describer.settings import Settings
from describer.values import Upload

_MB = 1_000_000
# For a server of which it is said only by IMAGE_INPUT that it reads gs://.
URI_BYTES_LIMIT = 30 * _MB
# Read of either end of an image that may be sent by its address: what a camera puts before the
# picture, its Exif with a preview (64 KiB at most) and its colours, and what a PNG puts behind it.
END_BYTES = 128 * 1024

# Bytes of all images that one instance holds, each from its download until it is sent and the
# model has begun to answer. What finds no room waits. The largest that may be read fits, and so
# does, beside the converter's own reserve, what a photograph of 24 megapixels takes to decode.
INLINE_BYTES_AT_ONCE = 150 * _MB
# Longer is better spent outside, where another instance may take it.
ROOM_TIMEOUT_SECONDS = 60.0


class Images:
    """Makes image parts. Of what is sent by its address only both ends are read."""

    def __init__(
        self, settings: Settings, bucket: Bucket, converter: Converter | None = None
    ) -> None:
        """Share one instance's memory among the images that are read into it.

        Args:
            settings: decide between URI and bytes, and the limits.
            bucket: where images are read.
            converter: for what the server does not take; one of its own if none is given.
        """
        self._settings = settings
        self._takes = settings.server
        self._bucket = bucket
        self._room = Room(INLINE_BYTES_AT_ONCE)
        self._converter = converter or Converter()

    def close(self) -> None:
        """End the converter."""
        self._converter.stop()

    def check(self, upload: Upload) -> None:
        """Refuse at once what the event alone tells cannot be sent.

        Raises:
            UnsupportedImageError, ImageTooLargeError: never will work.
        """
        content_type = likely_image_type(upload)
        if content_type in UNSUPPORTED_TYPES:
            raise _unsupported(content_type)
        self._check_size(upload.size)

    @asynccontextmanager
    async def room_for(self, upload: Upload) -> AsyncIterator[Share]:
        """Wait until the instance has memory for the image, and keep it at most for the block.

        Without this, a burst of large images would exceed the instance's memory, which ends all
        work in it at once, and its redelivery likewise.

        Raises:
            NoRoomError: it was not this image's turn in time.
        """
        needed = 0 if self._goes_by_uri(upload) else self._needed(upload)
        share = await self._room.take(needed, timeout_seconds=ROOM_TIMEOUT_SECONDS)
        try:
            yield share
        finally:
            share.release()

    async def load(self, upload: Upload, share: Share, metadata: Sequence[str] = ()) -> Image:
        """Make the image part for one upload.

        Args:
            upload: one that `check` lets pass.
            share: from `room_for`; once the image is sent, it is given back.
            metadata: names of those that are to be looked for in the image's bytes.

        Raises:
            UnsupportedImageError, ImageTooLargeError, UnreadableImageError: never will work.
            ObjectGoneError: this generation is not there any more.
            BucketError: Cloud Storage failed or refused.
        """
        by_uri = self._goes_by_uri(upload)
        if by_uri:
            sendable = await self._sendable_by_its_ends(upload, tail=bool(metadata))
            if sendable is not None:
                content_type, ends = sendable
                found = await _metadata(content_type, ends, metadata)
                return Image(content_type, upload.size, uri=upload.uri, metadata=found)
            await share.exchange(self._needed(upload), timeout_seconds=ROOM_TIMEOUT_SECONDS)
        elif likely_image_type(upload) is None:
            # Of what is no image, not more is read than tells so.
            _known(await self._head(upload), None)
        return await self._whole(upload, share, metadata, by_uri=by_uri)

    async def _sendable_by_its_ends(self, upload: Upload, *, tail: bool) -> tuple[str, Ends] | None:
        """Read both ends, and give type and ends of what can be sent as it is; None: or it may not.

        Args:
            tail: read the end also where the beginning tells enough.

        Raises:
            UnsupportedImageError, ImageTooLargeError, UnreadableImageError: they tell enough.
        """
        likely, size = likely_image_type(upload), upload.size or 0
        end = b""
        if size <= 2 * END_BYTES:
            head = await self._bucket.read_range(upload, 0, 2 * END_BYTES)
            size = len(head)
        elif tail or likely in ENDING_IN_A_MARKER:
            head, end = await asyncio.gather(
                self._bucket.read_range(upload, 0, END_BYTES), self._tail(upload, size)
            )
        else:
            head = await self._bucket.read_range(upload, 0, END_BYTES)
        content_type = _known(head[:HEAD_BYTES], likely)
        ends = Ends(size, head, end)
        as_it_is = self._told_by(content_type, ends)
        if as_it_is is None and len(head) < size and not end:
            ends = Ends(size, head, await self._tail(upload, size))
            as_it_is = self._told_by(content_type, ends)
        return (content_type, ends) if as_it_is else None

    def _told_by(self, content_type: str, ends: Ends) -> bool | None:
        """See `_check_content`; None: the ends do not tell."""
        try:
            return self._check_content(content_type, ends)
        except MiddleError:
            return None

    async def _tail(self, upload: Upload, size: int) -> bytes:
        return await self._bucket.read_range(upload, size - END_BYTES, END_BYTES)

    async def _whole(
        self, upload: Upload, share: Share, metadata: Sequence[str], *, by_uri: bool
    ) -> Image:
        content = await self._read(upload, share)
        size, head = content.size, content.head(HEAD_BYTES)
        likely = likely_image_type(upload)
        content_type = _known(head, likely)
        as_it_is = self._check_content(content_type, content)
        found = await _metadata(content_type, content, metadata)
        if as_it_is and by_uri:
            share.release()
            return Image(content_type, size, uri=upload.uri, metadata=found)
        if as_it_is and size <= self._takes.inline_limit_bytes:
            return Image(content_type, size, content=content, sent=share.release, metadata=found)
        content, words = await self._converted(upload, share, content, content_type)
        return Image(
            content_type,
            size,
            content=content,
            sent=share.release,
            converted=words,
            metadata=found,
        )

    def _check_content(self, content_type: str, content: Content) -> bool:
        """Tell whether the server can be sent it as it is.

        Raises:
            UnreadableImageError, ImageTooLargeError: it is cut; it is a bomb.
            MiddleError: of two ends, which do not tell.
        """
        if is_cut(content_type, content):
            raise UnreadableImageError(
                f"the file ends before the picture does, after {content.size} bytes; "
                "upload it again"
            )
        count, most = pixels(content_type, content), self._settings.max_image_pixels
        if count > most:
            raise ImageTooLargeError(f"{count} pixels, over MAX_IMAGE_PIXELS of {most}")
        return content_type in self._takes.accepts and oddity(content_type, content) is None

    async def _read(self, upload: Upload, share: Share) -> Buffer:
        """Read all of it: again with more room, if it unpacks to more than its declared size."""
        most = self._most_bytes()
        for size in (share.size, min(self._takes.inline_limit_bytes, most), most):
            if size < share.size:
                continue
            if size > share.size:
                await share.exchange(size, timeout_seconds=ROOM_TIMEOUT_SECONDS)
            content = share.buffer()
            if await self._bucket.read(upload, content):
                share.shrink()
                return content
        self._check_size(most + 1)
        raise AssertionError(most)

    async def _converted(
        self, upload: Upload, share: Share, content: Buffer, content_type: str
    ) -> tuple[Buffer, str]:
        """Make a JPEG of it that the server takes; the share holds it in the image's place."""
        order = Order(
            content_type,
            max_side=self._settings.max_image_side,
            max_pixels=self._settings.max_image_pixels,
            max_bytes=self._takes.inline_limit_bytes,
        )
        into = share.another(order.max_bytes)
        try:
            try:
                words = await self._converter.convert(content, into, order)
            except NeedsMemoryError as exc:
                # To wait with room in hand could be for ever; so it is given back, and read again.
                needs = content.size + exc.needs - RESERVED_BYTES
                if needs > INLINE_BYTES_AT_ONCE:
                    most = INLINE_BYTES_AT_ONCE + RESERVED_BYTES - content.size
                    raise ImageTooLargeError(
                        f"{exc}, and there are {most // _MB} MB for it; upload a smaller rendition"
                    ) from exc
                await share.exchange(needs, timeout_seconds=ROOM_TIMEOUT_SECONDS)
                content = share.buffer()
                await self._bucket.read(upload, content)
                order = replace(order, memory_bytes=exc.needs)
                words = await self._converter.convert(content, into, order)
        except BaseException:
            into.close()
            raise
        share.replace(into)
        return into, words

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

    async def live_generation(self, upload: Upload) -> int | None:
        """See `Bucket.live_generation`."""
        return await self._bucket.live_generation(upload)

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Bucket.list_objects`."""
        return await self._bucket.list_objects(bucket, start=start, limit=limit)

    def _goes_by_uri(self, upload: Upload) -> bool:
        """Tell whether the address may be sent; what the bytes are may speak against it."""
        packed = upload.content_encoding not in {"", "identity"}
        if self._settings.always_inline or packed or upload.size is None:
            return False
        limit = self._takes.uri_limit_bytes
        if upload.size > (URI_BYTES_LIMIT if limit is None else limit):
            return False
        content_type = likely_image_type(upload)
        return content_type is None or content_type in self._takes.accepts

    def _needed(self, upload: Upload) -> int:
        """Give the bytes that may come: more than declared where they are stored packed."""
        most = self._most_bytes()
        packed = upload.content_encoding not in {"", "identity"}
        if packed or upload.size is None:
            return min(most, self._takes.inline_limit_bytes)
        return min(most, upload.size)

    def _most_bytes(self) -> int:
        return min(self._settings.max_image_bytes, INLINE_BYTES_AT_ONCE)

    def _check_size(self, size: int | None) -> None:
        if size is None or size <= self._most_bytes():
            return
        if size > self._settings.max_image_bytes:
            name = f"MAX_IMAGE_BYTES of {self._settings.max_image_bytes}"
        else:
            name = f"what an instance holds, {INLINE_BYTES_AT_ONCE} bytes"
        raise ImageTooLargeError(f"{size} bytes or more, over {name}; upload a smaller rendition")

    async def _head(self, upload: Upload) -> bytes:
        head = Buffer(HEAD_BYTES)
        try:
            await self._bucket.read(upload, head)
            return head.head(HEAD_BYTES)
        finally:
            head.close()


async def _metadata(content_type: str, content: Content, names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {}
    # Not before they are asked for: most have no use for it.
    from describer.images import embedded

    return await embedded.read(content_type, content, names)


def _known(head: bytes, likely: str | None) -> str:
    """Take what the bytes are, or say why it is nothing to describe."""
    found = type_of(head, likely)
    if found in CONVERTIBLE_TYPES:
        return found
    if found is not None:
        raise _unsupported(found)
    if likely and likely not in CONVERTIBLE_TYPES:
        raise _unsupported(likely)
    raise UnreadableImageError(f"the bytes are no image that is known; they begin {head[:16]!r}")


def _unsupported(content_type: str) -> UnsupportedImageError:
    reason = UNSUPPORTED_TYPES.get(content_type, "a format that nothing here reads")
    return UnsupportedImageError(f"{content_type[:80]} is {reason}")
