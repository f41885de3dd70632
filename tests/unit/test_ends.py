"""What is sent by its address: its ends are looked at first, and all of it if they do not tell."""

import asyncio
import io
import random
import struct
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from describer.errors import (
    BucketError,
    ImageTooLargeError,
    ObjectGoneError,
    PermanentError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.images.convert import Converter, Order
from describer.images.image import Image
from describer.images.loading import END_BYTES, INLINE_BYTES_AT_ONCE, Images
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer
from describer.images.structure import Ends, MiddleError, is_cut, oddity, pixels
from describer.settings import Settings
from describer.values import Upload
from tests.corpus import cases, photo, saved, series, turned

MB = 1_000_000


class Counting(MemoryBucket):
    """Notes what is read, and how many reads were under way at once."""

    def __init__(self, content: bytes) -> None:
        super().__init__({"a": content})
        self.size = len(content)
        self.ranges: list[tuple[int, int]] = []
        self.whole = self.under_way = self.most = 0

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        self.whole += 1
        return await super().read(upload, into)

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        found = await super().read_range(upload, start, size)
        self.under_way -= 1
        self.ranges.append((start, len(found)))
        return found


class Noted(Converter):
    """Converts nothing; notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Order] = []

    async def convert(self, content: Buffer, into: Buffer, order: Order) -> str:
        """See `Converter.convert`."""
        self.orders.append(order)
        into.write(b"jpeg")
        return "converted"


def load(bucket: Counting, declared: str, metadata: Sequence[str] = (), **settings: Any) -> Image:
    """Load its image on Vertex AI."""
    what = Upload("b12", "a", 1, declared, bucket.size, "e")

    async def work() -> Image:
        images = Images(Settings(**settings), bucket, Noted())
        async with images.room_for(what) as share:
            image = await images.load(what, share, metadata)
            if image.uri is not None:
                # Nothing is held for what the model reads itself.
                async with asyncio.timeout(0), AsyncExitStack() as stack:
                    await stack.enter_async_context(
                        images.room_for(Upload("b", "a", 1, "image/gif", INLINE_BYTES_AT_ONCE, "e"))
                    )
            return image

    return asyncio.run(work())


def jpeg(middle: int = 0, *, before: bytes = b"", end: bytes = b"\xff\xd9") -> bytes:
    """Make what has a JPEG's ends: a frame of 90 x 60 pixels, and a scan of zeros."""
    frame = b"\xff\xc0\0\x0b\x08" + struct.pack(">HHB", 60, 90, 1) + bytes(3)
    return b"\xff\xd8" + before + frame + b"\xff\xda\0\2" + bytes(middle) + end


def png(middle: int, *, end: bytes = b"\0\0\0\0IEND\xae\x42\x60\x82") -> bytes:
    """Make what has a PNG's ends: many parts of zeros."""
    part = struct.pack(">I", 8192) + b"IDAT" + bytes(8192 + 4)
    return saved(photo(), "PNG")[:33] + part * (middle // len(part)) + end


def webp(size: int) -> bytes:
    """Make a WebP that is as long as it says, of zeros but for its head."""
    whole = saved(photo(), "WEBP")
    return whole[:4] + struct.pack("<I", size - 8) + whole[8:30] + bytes(size - 30)


def heic(size: int) -> bytes:
    """Make the boxes of a HEIC."""
    head = b"\0\0\0\x18ftypheic" + bytes(12) + b"\0\0\0\x10meta" + bytes(8)
    return head + struct.pack(">I", size - len(head)) + b"mdat" + bytes(size - len(head) - 8)


def heic_with_its_index_last(size: int) -> bytes:
    """Make the same in another order: a box of what all others mean stands at the end."""
    head, index = b"\0\0\0\x18ftypheic" + bytes(12), b"\0\0\0\x10meta" + bytes(8)
    picture = size - len(head) - len(index)
    return head + struct.pack(">I", picture) + b"mdat" + bytes(picture - 8) + index


HEAD, TAIL = (0, END_BYTES), (5 * MB - END_BYTES, END_BYTES)
LONG_EXIF = (b"\xff\xe1\xff\xff" + bytes(65533)) * 3


@pytest.mark.parametrize(
    ("content", "declared", "ranges"),
    [
        (jpeg(900), "image/jpeg", [(0, 921)]),
        (jpeg(5 * MB - 21), "image/jpeg", [HEAD, TAIL]),
        (jpeg(5 * MB - 21), "", [HEAD, TAIL]),
        (png(5 * MB), "image/png", [HEAD, (len(png(5 * MB)) - END_BYTES, END_BYTES)]),
        (webp(5 * MB), "image/webp", [HEAD]),
        (heic(5 * MB), "image/heic", [HEAD]),
        (heic_with_its_index_last(5 * MB), "image/heic", [HEAD, TAIL]),
        (webp(5 * MB), "", [HEAD]),
        # The type lies, and is no matter.
        (jpeg(5 * MB - 21), "image/webp", [HEAD, TAIL]),
    ],
    ids=[
        "small",
        "jpeg",
        "untold",
        "png",
        "webp",
        "heic",
        "heic, index last",
        "untold webp",
        "lying",
    ],
)
def test_a_sound_image_is_sent_by_its_address_after_a_look_at_its_ends(
    content: bytes, declared: str, ranges: list[tuple[int, int]]
) -> None:
    """In one round trip where its type is told; no byte is read twice, nor one of the middle."""
    bucket = Counting(content)
    image = load(bucket, declared)
    assert image.uri == "gs://b12/a"
    assert (sorted(bucket.ranges), bucket.whole) == (ranges, 0)
    at_once = declared in {"image/jpeg", "image/png"}
    assert bucket.most == (len(ranges) if at_once else 1)


@pytest.mark.parametrize(
    "content",
    [
        # A film behind the picture, as telephones put there, without the bytes of an end in it.
        jpeg(MB) + b"\0\0\0\x18ftypmp42" + bytes(MB),
        jpeg(MB, before=LONG_EXIF),
        png(MB) + b"of another program" * 9000,
    ],
    ids=["film", "long head", "trailer"],
)
def test_where_the_ends_do_not_tell_all_is_read_and_the_address_is_sent(content: bytes) -> None:
    """Through the room, whose memory is back before the model is asked."""
    declared = "image/jpeg" if content[:2] == b"\xff\xd8" else "image/png"
    bucket = Counting(content)
    image = load(bucket, declared)
    assert (image.uri, image.converted, bucket.whole) == ("gs://b12/a", None, 1)


@pytest.mark.parametrize(
    ("content", "declared", "whole"),
    [
        (jpeg(900, end=b""), "image/jpeg", 0),
        (jpeg(5 * MB, end=b""), "image/jpeg", 1),
        # The size was set beforehand, and never filled.
        (jpeg(5 * MB)[:-4] + bytes(4), "image/jpeg", 1),
        (png(5 * MB, end=b""), "image/png", 1),
        (png(5 * MB)[:-12], "image/png", 1),
        (webp(5 * MB)[:-9000], "image/webp", 0),
        (heic(5 * MB)[:-1], "image/heic", 0),
    ],
    ids=["small", "jpeg", "zeros", "png", "png without its end", "webp", "heic"],
)
def test_a_truncated_image_is_never_described_as_if_whole(
    content: bytes, declared: str, whole: int
) -> None:
    """By the head alone, if that tells; else after all of it was read."""
    bucket = Counting(content)
    with pytest.raises(UnreadableImageError, match="ends before the picture does, after"):
        load(bucket, declared)
    assert bucket.whole == whole


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (saved(photo(), "JPEG", exif=turned(6)), "image/jpeg"),
        (saved(photo(mode="CMYK"), "JPEG"), "image/jpeg"),
        (saved(photo(mode="RGBA"), "PNG"), "image/png"),
        (saved(photo(mode="P"), "PNG", transparency=0), "image/png"),
        (series("PNG", [photo(), photo(mode="L").convert("RGB")]), "image/png"),
        (series("WEBP", [photo(), photo(mode="L").convert("RGB")]), "image/webp"),
        (saved(photo(), "BMP"), "image/jpeg"),
        (saved(photo((900, 900), "RGBA"), "PNG", compress_level=0), "image/png"),
    ],
    ids=["turned", "CMYK", "alpha", "a hole", "film", "webp film", "lying", "large"],
)
def test_what_would_be_seen_otherwise_is_read_and_converted(content: bytes, declared: str) -> None:
    """As on any other server."""
    bucket = Counting(content)
    image = load(bucket, declared)
    assert (image.uri, image.converted, bucket.whole) == (None, "converted", 1)


@pytest.mark.parametrize(
    ("content", "declared", "expected", "words"),
    [
        (jpeg(), "image/jpeg", ImageTooLargeError, "5400 pixels, over MAX_IMAGE_PIXELS of 5000"),
        (png(0), "image/png", ImageTooLargeError, "64000 pixels"),
        (webp(9000), "image/webp", ImageTooLargeError, "64000 pixels"),
        (b"%PDF-1.7", "image/jpeg", UnsupportedImageError, "PDF"),
        (b"<!DOCTYPE html>", "image/jpeg", UnreadableImageError, "no image that is known"),
    ],
    ids=["jpeg", "png", "webp", "document", "page"],
)
def test_a_bomb_and_what_is_no_image_are_not_sent(
    content: bytes, declared: str, expected: type[PermanentError], words: str
) -> None:
    """Told by the head, before the model is asked."""
    with pytest.raises(expected, match=words):
        load(Counting(content), declared, max_image_pixels=5000)


def test_a_deleted_object_is_gone_and_a_bucket_that_fails_is_asked_again() -> None:
    """Before the model is asked for anything."""

    class Closed(MemoryBucket):
        async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
            raise BucketError("403: no role")

    async def work(bucket: MemoryBucket) -> None:
        images, what = Images(Settings(), bucket), Upload("b", "a", 1, "image/jpeg", 5 * MB, "e")
        async with images.room_for(what) as share:
            await images.load(what, share)

    with pytest.raises(ObjectGoneError):
        asyncio.run(work(MemoryBucket()))
    with pytest.raises(BucketError):
        asyncio.run(work(Closed()))


def test_what_is_stored_packed_or_of_unknown_size_is_read_whole() -> None:
    """The bytes of its ends would be those of the packing; of its end, nobody knows where."""

    async def work(**changes: Any) -> Image:
        values: dict[str, Any] = {"size": 921, **changes}
        what = Upload("b", "a", 1, "image/jpeg", event_id="e", **values)
        images = Images(Settings(), MemoryBucket({"a": jpeg(900)}))
        async with images.room_for(what) as share:
            return await images.load(what, share)

    assert asyncio.run(work()).uri is not None
    assert asyncio.run(work(content_encoding="gzip")).uri is None
    assert asyncio.run(work(size=None)).uri is None


FILES = [case for case in cases() if len(case.content) > 200]


@given(st.sampled_from(FILES), st.integers(16, 4000), st.integers(0, 4000), st.data())
def test_two_ends_tell_what_the_whole_tells_or_nothing(
    case: Any, head: int, tail: int, data: st.DataObject
) -> None:
    """Of every file of the corpus, and of each with its end cut off: never something else."""
    content = case.content[: data.draw(st.integers(1, len(case.content)))]
    if data.draw(st.booleans()):
        content = case.content
    whole = Buffer(len(content))
    whole.write(content)
    tail = min(tail, max(0, len(content) - head))
    ends = Ends(len(content), content[:head], content[len(content) - tail :])
    kind = data.draw(st.sampled_from(("image/jpeg", "image/png", "image/webp", "image/heic")))
    for tell in (is_cut, oddity, pixels):
        try:
            found = tell(kind, ends)
        except MiddleError:
            continue
        assert found == tell(kind, whole), tell
    whole.close()


def test_most_photographs_tell_by_their_ends() -> None:
    """Of the size and with the Exif, preview and profile that a camera gives them."""
    noise = Pictures.frombytes("RGB", (1500, 1000), random.Random(1).randbytes(4_500_000))
    into, preview = io.BytesIO(), saved(photo((160, 120)), "JPEG")
    noise.save(into, "JPEG", quality=95, icc_profile=bytes(60_000), exif=preview[:60_000])
    bucket = Counting(into.getvalue())
    assert bucket.size > 2 * END_BYTES
    image = load(bucket, "image/jpeg")
    assert (image.uri, bucket.whole) == ("gs://b12/a", 0)
