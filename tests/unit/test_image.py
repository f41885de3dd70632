"""Which image part is sent, and which images are not sent at all."""

import asyncio
import errno
import mmap
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from describer.errors import (
    ImageTooLargeError,
    NoRoomError,
    PermanentError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.images.convert import RESERVED_BYTES, Converter, NeedsMemoryError, Order
from describer.images.formats import HEAD_BYTES, sniff, type_of
from describer.images.image import Image
from describer.images.loading import (
    END_BYTES,
    INLINE_BYTES_AT_ONCE,
    URI_BYTES_LIMIT,
    Images,
)
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer
from describer.servers import SERVERS
from describer.settings import Settings
from describer.values import Upload
from tests import virtual
from tests.pictures import JPEG


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


def load(
    what: Upload,
    content: bytes | None = None,
    converter: Converter | None = None,
    metadata: Sequence[str] = (),
    **environ: str,
) -> Image:
    """Check and load; where no content is given, nothing can be read."""

    async def work() -> Image:
        objects = {} if content is None else {what.name: content}
        images = Images(Settings.from_env(environ), MemoryBucket(objects), converter)
        images.check(what)
        async with images.room_for(what) as share:
            return await images.load(what, share, metadata)

    return asyncio.run(work())


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
        (b"\0\0\1\0\2\0", "image/x-icon"),
        (b"\0\0\2\0\1\0", "image/x-cursor"),
        (b"Pf\n", "image/x-portable-anymap"),
        (b"P6 1 1 255\n", "image/x-portable-anymap"),
        (b"\0\0\0\x18ftypcrx ", "image/x-raw"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<!DOCTYPE html>", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, expected: str | None) -> None:
    """Signatures; for the HEIF family the brands."""
    assert sniff(head) == expected


@pytest.mark.parametrize(
    ("head", "likely", "expected"),
    [
        (b"\0\0\2\0\0", "image/x-tga", "image/x-tga"),
        (b"\0\0\x7f\0\0", "image/x-tga", None),
        (b"\x0a\5\1", "image/x-pcx", "image/x-pcx"),
        (b"\x0a", "image/x-tga", None),
        (b"\0\0\2\0\0", "image/png", None),
        (b"GIF89a", "image/x-tga", "image/gif"),
    ],
)
def test_what_has_no_signature_is_taken_at_its_word(
    head: bytes, likely: str, expected: str | None
) -> None:
    """Unless its first bytes speak against it."""
    assert type_of(head, likely) == expected


def test_vertex_gets_the_uri() -> None:
    """The model reads the bucket itself; the name stays as it is."""
    image = load(upload(name="a b#?%.jpg"), JPEG)
    assert (image.uri, image.content_type, image.size) == ("gs://b12/a b#?%.jpg", "image/jpeg", 9)
    assert image.content is None


def test_another_server_gets_the_uri_only_if_told_to() -> None:
    """IMAGE_INPUT=uri is for gateways that read the bucket."""
    image = load(upload(), JPEG, OPENAI_BASE_URL="http://h/v1", MODEL="m", IMAGE_INPUT="uri")
    assert image.uri == "gs://b12/a.jpg"


@pytest.mark.parametrize(
    ("changes", "environ", "expected", "words"),
    [
        ({"content_type": "image/x-nikon-nef"}, {}, UnsupportedImageError, "raw file"),
        ({"content_type": "", "name": "a.exr"}, {}, UnsupportedImageError, "OpenEXR"),
        ({"size": 101}, {"MAX_IMAGE_BYTES": "100"}, ImageTooLargeError, "MAX_IMAGE_BYTES"),
        ({"size": 2**27}, {}, ImageTooLargeError, "MAX_IMAGE_BYTES of 104857600"),
        ({"size": 2**28}, {"MAX_IMAGE_BYTES": str(2**30)}, ImageTooLargeError, "instance holds"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_costs(
    changes: dict[str, Any], environ: dict[str, str], expected: type[PermanentError], words: str
) -> None:
    """Told by type and size alone, with the limit's name."""
    with pytest.raises(expected, match=words):
        load(upload(**changes), None, None, **environ)


class Metered(MemoryBucket):
    """Notes how much each reader takes."""

    def __init__(self, content: bytes) -> None:
        super().__init__({"a": content})
        self.taken: list[int] = []

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        whole = await super().read(upload, into)
        self.taken.append(into.size)
        return whole

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        found = await super().read_range(upload, start, size)
        self.taken.append(len(found))
        return found


@pytest.mark.parametrize("image_input", ["uri", "inline"])
def test_of_what_is_no_image_only_the_first_bytes_are_read(image_input: str) -> None:
    """Where neither type nor name tells, an image costs one read more, all else only that one."""

    async def taken(content: bytes) -> list[int]:
        bucket = Metered(content)
        images = Images(Settings.from_env({**INLINE, "IMAGE_INPUT": image_input}), bucket)
        what = upload(name="a", content_type="", size=len(content))
        async with images.room_for(what) as share:
            try:
                await images.load(what, share)
            except UnreadableImageError:
                assert content[:1] == b"n"
        return bucket.taken

    head, rest = HEAD_BYTES, len(BIG)
    if image_input == "uri":
        head = rest = END_BYTES
    assert asyncio.run(taken(b"no" * 900_000)) == [head]
    assert asyncio.run(taken(BIG)) == [head, rest]


# A JPEG by its beginning and its end.
BIG = b"\xff\xd8\xff\xda\0\2" + bytes(9_999_992) + b"\xff\xd9"
INLINE = {"OPENAI_BASE_URL": "http://localhost:1/v1", "MODEL": "m"}
VERTEX_INLINE_BYTES_LIMIT = SERVERS["vertex"].inline_limit_bytes
OTHER_INLINE_BYTES_LIMIT = SERVERS["unknown"].inline_limit_bytes


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(8) + b"\x08\2\0\0\0" + bytes(4)
END = bytes(4) + b"IEND" + bytes(4)


@pytest.mark.parametrize(
    ("changes", "content", "environ", "limit"),
    [
        ({"content_type": "image/gif"}, b"GIF89a" + bytes(7) + b";", {}, VERTEX_INLINE_BYTES_LIMIT),
        ({"content_type": "", "name": "a.tiff"}, b"II*\0", {}, VERTEX_INLINE_BYTES_LIMIT),
        ({"content_type": "", "name": "a"}, b"BM" + bytes(60), {}, VERTEX_INLINE_BYTES_LIMIT),
        # A wrong type: the bytes tell.
        ({"content_type": "image/x-foo"}, b"BM" + bytes(60), {}, VERTEX_INLINE_BYTES_LIMIT),
        ({"content_type": "image/jpeg"}, b"BM" + bytes(60), INLINE, OTHER_INLINE_BYTES_LIMIT),
        # Too large for its way, but not to be read.
        ({"size": URI_BYTES_LIMIT + 1}, BIG, {}, VERTEX_INLINE_BYTES_LIMIT),
        ({"size": len(BIG)}, BIG, {"IMAGE_INPUT": "inline"}, VERTEX_INLINE_BYTES_LIMIT),
        # What one server takes, another does not.
        (
            {"content_type": "image/webp"},
            b"RIFF\4\0\0\0WEBP",
            INLINE | {"MODEL_SERVER": "llama.cpp"},
            SERVERS["llama.cpp"].inline_limit_bytes,
        ),
    ],
)
def test_what_the_server_does_not_take_is_converted(
    changes: dict[str, Any], content: bytes, environ: dict[str, str], limit: int
) -> None:
    """By type or by size; it is sent inside the request, whatever is sent by URI otherwise."""
    converter = Noted()
    image = load(upload(**({"size": len(content)} | changes)), content, converter, **environ)
    (order,) = converter.orders
    assert (order.max_bytes, order.max_side, order.max_pixels) == (limit, 3072, 200_000_000)
    assert (image.converted, image.sent_type, image.uri) == ("converted", "image/jpeg", None)
    assert (image.size, image.content_type) == (len(content), order.content_type)


def test_what_the_server_takes_goes_as_it_is() -> None:
    """Also under a wrong type; and the converter is not even asked."""
    converter = Noted()
    content = PNG + END
    image = load(upload(content_type="image/gif", size=len(content)), content, converter)
    assert (image.content_type, image.sent_type, image.converted) == ("image/png",) * 2 + (None,)
    assert converter.orders == []


def test_a_picture_that_ends_half_way_is_not_described_as_if_whole() -> None:
    """Servers would: the decoders that they use fill the rest with grey."""
    with pytest.raises(UnreadableImageError, match="ends before the picture does, after 33 bytes"):
        load(upload(size=33), PNG, Noted(), **INLINE)


def test_a_decoder_that_needs_more_memory_is_given_it_from_the_room() -> None:
    """In its turn, with nothing in hand meanwhile; and what there is not in all is said."""

    class Hungry(Noted):
        needs = 200_000_000

        async def convert(self, content: Buffer, into: Buffer, order: Order) -> str:
            if order.memory_bytes < self.needs:
                raise NeedsMemoryError("decoding it takes 200 MB of memory", self.needs)
            assert content.head(9) == BIG[:9]
            return await super().convert(content, into, order)

    converter = Hungry()
    what = upload(content_type="image/tiff", size=len(BIG))
    assert load(what, BIG, converter).converted == "converted"
    assert [order.memory_bytes for order in converter.orders] == [200_000_000]
    converter.needs = INLINE_BYTES_AT_ONCE + RESERVED_BYTES
    with pytest.raises(ImageTooLargeError, match="there are 236 MB for it"):
        load(what, BIG, converter)


async def hold(images: Images, size: int, seconds: float, entered: list[int]) -> float:
    """Take room for one image and keep it; gives the seconds waited."""
    began = virtual.seconds()
    async with images.room_for(upload(size=size)):
        entered.append(size)
        waited = virtual.seconds() - began
        await asyncio.sleep(seconds)
    return waited


def test_images_inside_requests_never_exceed_the_instances_memory() -> None:
    """As many at once as there is room for, the others wait; nothing is refused for it."""
    settings = Settings.from_env(INLINE)
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
        images = Images(settings, MemoryBucket())
        left = asyncio.ensure_future(one(images))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(*(one(images) for _ in range(60)))
        return virtual.seconds()

    assert virtual.run(work()) == pytest.approx(4, abs=0.1)
    assert peak == INLINE_BYTES_AT_ONCE


def test_a_large_image_is_let_in_before_the_small_ones_that_came_later() -> None:
    """With small ones always fitting into what is free, it would wait for ever."""

    async def work() -> tuple[float, list[float]]:
        images = Images(Settings.from_env(INLINE), MemoryBucket())
        order: list[int] = []
        small: list[asyncio.Task[float]] = []
        large: asyncio.Task[float] | None = None
        for place in range(400):
            small.append(asyncio.create_task(hold(images, 5_000_000, 4.0, order)))
            if place == 100:
                large = asyncio.create_task(hold(images, 50_000_000, 4.0, order))
            await asyncio.sleep(0.15)
        assert large is not None
        return await large, await asyncio.gather(*small)

    waited, others = virtual.run(work())
    assert waited < 5.0
    assert max(others) < 10.0


def test_a_burst_of_large_and_small_images_is_served_in_order() -> None:
    """Ten of 20 MB among fifty of 2 MB: nobody is passed by, and none waits over its share."""

    async def work() -> tuple[list[int], list[float], float]:
        images = Images(Settings.from_env(INLINE), MemoryBucket())
        order: list[int] = []
        sizes = ([2_000_000] * 5 + [20_000_000]) * 10
        waits = await asyncio.gather(*(hold(images, size, 1.0, order) for size in sizes))
        assert order == sizes
        return order, waits, virtual.seconds()

    order, waits, total = virtual.run(work())
    # All bytes through the room, a second each time: what the last in line must wait in any case.
    share = sum(order) / INLINE_BYTES_AT_ONCE
    assert total < 2 * share
    assert max(waits) < 2 * share


def test_who_waits_for_room_too_long_is_sent_to_another_instance() -> None:
    """With an outcome of its own; and whoever waited behind takes the turn."""

    async def work() -> float:
        images = Images(Settings.from_env(INLINE), MemoryBucket())
        order: list[int] = []
        tasks = [asyncio.create_task(hold(images, 48_000_000, 90.0, order)) for _ in range(3)]
        tasks.append(asyncio.create_task(hold(images, 48_000_000, 1.0, order)))
        await asyncio.sleep(30)
        behind = asyncio.create_task(hold(images, 4_000_000, 1.0, order))
        with pytest.raises(NoRoomError, match="48000000 bytes within 60 s"):
            await tasks[3]
        waited = await behind
        await asyncio.gather(*tasks[:3])
        return waited

    assert virtual.run(work()) == pytest.approx(30)
    assert NoRoomError.outcome == "no_room"


def test_a_waiting_delivery_that_is_cancelled_takes_nothing() -> None:
    """Neither before its turn, nor at the moment of its turn, nor after."""

    async def work() -> None:
        images = Images(Settings.from_env(INLINE), MemoryBucket())
        order: list[int] = []
        first = [asyncio.create_task(hold(images, 48_000_000, 5.0, order)) for _ in range(3)]
        waiting = [asyncio.create_task(hold(images, 48_000_000, 5.0, order)) for _ in range(6)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        await asyncio.sleep(4)
        # The first have just given back, the next have their turn and do not know it yet.
        for task in waiting[1:]:
            task.cancel()
        await asyncio.gather(*first, *waiting, return_exceptions=True)
        async with asyncio.timeout(0.1), AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(images.room_for(upload(size=48_000_000)))

    virtual.run(work())


def test_an_object_that_unpacks_to_more_is_accounted_with_what_it_takes() -> None:
    """Whether its event says that it is packed or not, and what it does not need is given back."""
    sizes: list[tuple[int, int]] = []

    class Watched(MemoryBucket):
        async def read(self, what: Upload, into: Buffer) -> bool:
            whole = await super().read(what, into)
            sizes.append((into.capacity, into.size))
            return whole

    async def work(encoding: str) -> int:
        images = Images(Settings.from_env(INLINE), Watched({"a.jpg": BIG}))
        packed = upload(size=10_000, content_encoding=encoding)
        async with images.room_for(packed) as share:
            image = await images.load(packed, share)
            assert image.size == len(BIG)
            return share.size

    assert asyncio.run(work("gzip")) == len(BIG)
    assert sizes == [(OTHER_INLINE_BYTES_LIMIT, len(BIG))]
    sizes.clear()
    assert asyncio.run(work("")) == len(BIG)
    assert sizes == [(10_000, 10_000), (OTHER_INLINE_BYTES_LIMIT, len(BIG))]


def test_memory_that_the_system_has_not_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a defect: another instance, or a later try, may have it. And nothing stays taken."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    async def work() -> None:
        images = Images(Settings.from_env(INLINE), MemoryBucket({"a.jpg": BIG}))
        async with images.room_for(upload(size=len(BIG))) as share:
            with monkeypatch.context() as patch:
                patch.setattr(mmap, "mmap", refuse)
                with pytest.raises(NoRoomError, match="10000000 bytes"):
                    await images.load(upload(size=len(BIG)), share)
        async with asyncio.timeout(0), images.room_for(upload(size=INLINE_BYTES_AT_ONCE)):
            pass

    asyncio.run(work())


def test_an_image_that_is_sent_holds_no_memory() -> None:
    """Room and bytes are back while the model still writes."""

    async def work() -> None:
        images = Images(Settings.from_env(INLINE), MemoryBucket({"a.jpg": BIG}))
        async with images.room_for(upload(size=len(BIG))) as share:
            image = await images.load(upload(size=len(BIG)), share)
            image.sent()
            assert share.size == 0
            assert image.content is not None
            with pytest.raises(ValueError, match="closed"):
                image.content.head(1)
            async with asyncio.timeout(0), images.room_for(upload(size=INLINE_BYTES_AT_ONCE)):
                pass

    asyncio.run(work())


def test_an_image_sent_by_uri_needs_no_room() -> None:
    """Its bytes never come here."""

    async def work() -> None:
        images = Images(Settings(), MemoryBucket())
        async with asyncio.timeout(0), AsyncExitStack() as stack:
            for _ in range(200):
                await stack.enter_async_context(images.room_for(upload(size=30_000_000)))

    asyncio.run(work())
