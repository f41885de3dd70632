"""Which image part is sent, and which images are not sent at all."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from describer.errors import ImageTooLargeError, PermanentError, UnsupportedImageError
from describer.event import Upload
from describer.image import (
    INLINE_BYTES_AT_ONCE,
    URI_BYTES_LIMIT,
    VERTEX_INLINE_BYTES_LIMIT,
    Image,
    Images,
    sniff,
)
from describer.settings import Settings
from tests import virtual

NO_STORAGE: Any = None


def upload(**changes: Any) -> Upload:
    values: dict[str, Any] = {
        "bucket": "b12",
        "name": "a.jpg",
        "generation": 1,
        "content_type": "image/jpeg",
        "size": 9,
        "event_id": "e",
    }
    return Upload(**(values | changes))


def load(what: Upload, **environ: str) -> Image:
    """Load where Cloud Storage must not be needed."""

    def connect() -> Any:
        raise AssertionError("Cloud Storage was asked")

    return asyncio.run(Images(Settings.from_env(environ), connect).load(what))


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    box = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(box) + 4).to_bytes(4, "big") + box + b"avif"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (ftyp(b"heic"), "image/heic"),
        (ftyp(b"mif1", b"heic"), "image/heic"),
        (ftyp(b"mif1", b"miaf"), "image/heif"),
        (ftyp(b"mif1", b"avif"), "image/avif"),
        (ftyp(b"avif", b"mif1"), "image/avif"),
        (ftyp(b"isom", b"mp42"), None),
        (b"\xff\xff\xff\xffftypheic", "image/heic"),
        (b"\x00\x00\x00\x00ftyp", None),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"MM\x00*", "image/tiff"),
        (b'<?xml version="1.0"?><SVG', "image/svg+xml"),
        (b"<!DOCTYPE html>", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, expected: str | None) -> None:
    """Signatures; for the HEIF family the brands."""
    assert sniff(head) == expected


def test_vertex_gets_the_uri_and_nobody_reads_the_bytes() -> None:
    """The model reads the bucket itself; the name stays as it is."""
    image = load(upload(name="a b#?%.jpg"))
    assert image == Image("gs://b12/a b#?%.jpg", "image/jpeg", 9)


def test_another_server_gets_the_uri_only_if_told_to() -> None:
    """IMAGE_INPUT=uri is for gateways that read the bucket."""
    image = load(upload(), OPENAI_BASE_URL="http://localhost:1/v1", IMAGE_INPUT="uri")
    assert image.url == "gs://b12/a.jpg"


@pytest.mark.parametrize(
    ("changes", "environ", "expected", "words"),
    [
        ({"content_type": "image/gif"}, {}, UnsupportedImageError, "image/gif"),
        ({"content_type": "", "name": "a.tiff"}, {}, UnsupportedImageError, "image/tiff"),
        ({"size": 101}, {"MAX_IMAGE_BYTES": "100"}, ImageTooLargeError, "MAX_IMAGE_BYTES"),
        ({"size": URI_BYTES_LIMIT + 1}, {"IMAGE_INPUT": "uri"}, ImageTooLargeError, "gs:// image"),
        (
            {"size": VERTEX_INLINE_BYTES_LIMIT + 1},
            {"IMAGE_INPUT": "inline"},
            ImageTooLargeError,
            "inside a request",
        ),
        ({"size": URI_BYTES_LIMIT + 1}, {}, ImageTooLargeError, "inside a request"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_costs(
    changes: dict[str, Any], environ: dict[str, str], expected: type[PermanentError], words: str
) -> None:
    """Told by type and size alone, with the limit's name."""
    with pytest.raises(expected, match=words):
        load(upload(**changes), **environ)


def test_images_inside_requests_never_exceed_the_instances_memory() -> None:
    """As many at once as there is room for, the others wait; nothing is refused for it."""
    settings = Settings(openai_base_url="http://localhost:1/v1")
    held = peak = 0

    async def one(images: Images) -> None:
        nonlocal held, peak
        async with images.room_for(upload(size=10_000_000)):
            held += 10_000_000
            peak = max(peak, held)
            try:
                await asyncio.sleep(1)
            finally:
                held -= 10_000_000

    async def work() -> float:
        images = Images(settings, NO_STORAGE)
        left = asyncio.ensure_future(one(images))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(*(one(images) for _ in range(60)))
        return virtual.seconds()

    assert virtual.run(work()) == pytest.approx(10, abs=0.1)
    assert peak == 60_000_000 <= INLINE_BYTES_AT_ONCE


def test_an_image_sent_by_uri_needs_no_room() -> None:
    """Its bytes never come here."""

    async def work() -> None:
        images = Images(Settings(), NO_STORAGE)
        async with asyncio.timeout(0), AsyncExitStack() as stack:
            for _ in range(200):
                await stack.enter_async_context(images.room_for(upload(size=30_000_000)))

    asyncio.run(work())
