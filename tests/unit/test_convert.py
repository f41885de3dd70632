"""The converter: a process of its own, which nothing that it is given can take along."""

import asyncio
import contextlib
import io
import os
import random
import signal
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pillow_heif
import pillow_jxl  # noqa: F401 - registers itself
import psutil
import pytest
import pyvips
from PIL import Image, ImageCms

from describer.errors import (
    ConverterError,
    DescriberError,
    ImageTooLargeError,
    PermanentError,
    UnreadableImageError,
)
from describer.images import convert as module
from describer.images.convert import Converter, NeedsMemoryError, Order
from describer.images.formats import CONVERTIBLE_TYPES, sniff
from describer.images.room import Buffer
from describer.images.worker.decoders import DECODERS

pillow_heif.register_heif_opener()
vips: Any = pyvips.Image

RED, GREEN, BLUE = (220, 30, 30), (30, 170, 60), (40, 60, 210)


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    made = Converter(seconds=20)
    yield made
    made.stop()


def order(content_type: str, **changes: Any) -> Order:
    values: dict[str, Any] = {"max_side": 512, "max_pixels": 50_000_000, "max_bytes": 1_000_000}
    return Order(content_type, **(values | changes))


def convert(
    converter: Converter, content: bytes, content_type: str | None = None, **changes: Any
) -> tuple[Image.Image, str]:
    """Give the JPEG, and the words."""
    buffer, into = Buffer(len(content)), Buffer(changes.get("max_bytes", 1_000_000))
    buffer.write(content)
    try:
        wanted = order(content_type or sniff(content[:512]) or "", **changes)
        words = asyncio.run(converter.convert(buffer, into, wanted))
        image = Image.open(io.BytesIO(into.head(into.size)), formats=["JPEG"])
        image.load()
        return image, words
    finally:
        buffer.close()
        into.close()


def picture(mode: str = "RGB", size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Make one with a red left, a green right above, and a blue right below."""
    made = Image.new("RGB", size, RED)
    half = size[0] // 2
    made.paste(GREEN, (half, 0, size[0], size[1] // 2))
    made.paste(BLUE, (half, size[1] // 2, size[0], size[1]))
    return made.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def looks(image: Image.Image, colours: tuple[Any, Any, Any], tolerance: int = 30) -> None:
    width, height = image.size
    places = ((width // 4, height // 2), (3 * width // 4, height // 4))
    for place, colour in zip((*places, (3 * width // 4, 3 * height // 4)), colours, strict=True):
        found: Any = image.convert("RGB").getpixel(place)
        assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) <= tolerance, found


def float_tiff() -> bytes:
    made = vips.new_from_array([[0.0, 0.0, 5.0, 9.0]] * 3).cast("float")
    return bytes(made.resize(20, kernel="nearest").tiffsave_buffer())


def sgi() -> bytes:
    return saved(picture(), "SGI")


FORMATS = [
    ("image/jpeg", saved(picture(), "JPEG", quality=95)),
    ("image/jpeg", saved(picture(), "JPEG", progressive=True, quality=95)),
    ("image/png", saved(picture(), "PNG")),
    ("image/png", saved(picture().quantize(16), "PNG")),
    ("image/webp", saved(picture(), "WEBP", lossless=True)),
    ("image/gif", saved(picture(), "GIF")),
    ("image/tiff", saved(picture(), "TIFF")),
    ("image/tiff", saved(picture(), "TIFF", compression="tiff_lzw")),
    ("image/bmp", saved(picture(), "BMP")),
    ("image/x-icon", saved(picture(size=(64, 64)), "ICO", sizes=[(16, 16), (64, 64)])),
    ("image/icns", saved(picture(size=(64, 64)), "ICNS")),
    ("image/jp2", saved(picture(), "JPEG2000")),
    ("image/avif", saved(picture(), "AVIF")),
    ("image/heic", saved(picture(), "HEIF", quality=90)),
    ("image/jxl", saved(picture(), "JXL")),
    ("image/x-portable-anymap", saved(picture(), "PPM")),
    ("image/x-tga", saved(picture(), "TGA")),
    ("image/x-pcx", saved(picture(), "PCX")),
    ("image/x-sgi", sgi()),
    ("image/vnd-ms.dds", saved(picture(), "DDS")),
    ("image/qoi", saved(picture(), "QOI")),
]


@pytest.mark.parametrize(("content_type", "content"), FORMATS)
def test_every_format_gives_the_same_picture(
    converter: Converter, content_type: str, content: bytes
) -> None:
    """Red on the left, green and blue on the right, whatever it came as."""
    image, words = convert(converter, content, content_type)
    looks(image, (RED, GREEN, BLUE))
    assert words.startswith("converted to JPEG")


def test_all_that_is_promised_has_a_decoder() -> None:
    """And none is there that nothing is sent to."""
    assert set(DECODERS) == CONVERTIBLE_TYPES


def test_colours_are_what_they_were(converter: Converter) -> None:
    """CMYK with and without a profile, YCCK, wide gamut by its profile, grey with alpha."""
    # As printers' inks, which reach no such blue.
    printed = ((230, 40, 40), (40, 160, 90), (70, 72, 130))
    looks(convert(converter, saved(picture("CMYK"), "JPEG", quality=95))[0], printed, 50)
    looks(convert(converter, saved(picture("CMYK"), "TIFF"))[0], printed, 50)
    # A profile that calls red what is green: it is honoured if the colours are exchanged.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    swapped = bytearray(profile)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"):
        content = saved(picture(), kind, icc_profile=bytes(swapped))
        image, _ = convert(converter, content)
        found: Any = image.getpixel((20, 30))
        assert found[1] > found[0], kind


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "PNG"])
def test_a_photograph_stands_upright(converter: Converter, kind: str) -> None:
    """By its Exif, of which nothing is sent; and its own size is told upright, too."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "Ada"
    content = saved(picture(size=(900, 600)).transpose(Image.Transpose.ROTATE_90), kind, exif=exif)
    image, words = convert(converter, content)
    assert image.size == (512, 341)
    assert not {"exif", "xmp", "photoshop"} & set(image.info)
    assert "scaled from 900x600 to 512x341" in words
    looks(image, (RED, GREEN, BLUE))


def lettering(colour: tuple[int, int, int], size: int = 200) -> Image.Image:
    """Thin bars of a colour on nothing."""
    made = Image.new("RGBA", (size, size), (*colour, 0))
    for place in range(20, size - 20, 20):
        made.paste((*colour, 255), (place, 20, place + 4, size - 20))
    return made


@pytest.mark.parametrize(
    ("colour", "background"),
    [((255, 255, 255), "black"), ((0, 0, 0), "white"), ((230, 40, 40), "white")],
)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "ICO", "AVIF"])
def test_lettering_on_nothing_stays_readable(
    converter: Converter, kind: str, colour: tuple[int, int, int], background: str
) -> None:
    """White on white would vanish."""
    image, words = convert(converter, saved(lettering(colour), kind))
    assert f"on {background}" in words
    bar: Any = image.convert("RGB").getpixel((22 * image.width // 200, image.height // 2))
    beside: Any = image.convert("RGB").getpixel((32 * image.width // 200, image.height // 2))
    assert abs(sum(bar) - sum(beside)) > 200


def test_black_and_white_lettering_on_nothing_stay_readable_both(converter: Converter) -> None:
    """On grey."""
    both = lettering((255, 255, 255))
    both.paste(lettering((0, 0, 0)).crop((0, 0, 100, 200)), (0, 0))
    _, words = convert(converter, saved(both, "PNG"))
    assert "on grey" in words


def test_what_is_opaque_is_laid_on_nothing(converter: Converter) -> None:
    """An alpha that hides nothing is no word worth."""
    _, words = convert(converter, saved(picture("RGBA"), "PNG"))
    assert words == "converted to JPEG"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("PNG", {}),
        ("AVIF", {}),
    ],
)
def test_the_first_frame_that_shows_something_is_taken(
    converter: Converter, kind: str, options: dict[str, Any]
) -> None:
    """And how many there are is said."""
    blank = Image.new("RGB", (90, 60), (255, 255, 255))
    other = picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    into = io.BytesIO()
    blank.save(
        into, kind, save_all=True, append_images=[picture(), other, blank], duration=100, **options
    )
    image, words = convert(converter, into.getvalue())
    assert "number 2 of 4 frames" in words
    looks(image, (RED, GREEN, BLUE), 45)


def test_a_document_shows_its_first_page(converter: Converter) -> None:
    """Blank or not: it is the first."""
    into = io.BytesIO()
    picture().save(into, "TIFF", save_all=True, append_images=[picture("L"), picture("1")])
    image, words = convert(converter, into.getvalue())
    assert "first of 3 pages" in words
    looks(image, (RED, GREEN, BLUE))


def test_numbers_that_are_no_shades_are_shown_from_dark_to_bright(converter: Converter) -> None:
    """Float, twelve bits in sixteen, and more than four bands."""
    image, _ = convert(converter, float_tiff())
    row = [int(image.convert("L").getpixel((place, 30))) for place in (20, 50, 70)]  # type: ignore[arg-type]
    assert row[0] < 20
    assert 100 < row[1] < 180
    assert row[2] > 235
    row16 = struct.pack("<90H", *[300] * 45, *[4000] * 45)
    deep = Image.frombytes("I;16", (90, 60), row16 * 60)
    for kind in ("PNG", "TIFF"):
        image, _ = convert(converter, saved(deep, kind))
        dark, bright = (image.convert("L").getpixel((place, 30)) for place in (20, 70))
        assert (dark < 40, bright > 235) == (True, True), kind  # type: ignore[operator]
    many = vips.new_from_array([[1.0, 200.0]]).resize(40, kernel="nearest").cast("uchar")
    many = many.bandjoin([many] * 6).copy(interpretation="multiband")
    convert(converter, bytes(many.tiffsave_buffer()))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 60">%s</svg>'
SHAPES = b"".join(
    b'<rect x="%d" y="%d" width="45" height="60" fill="rgb(%d,%d,%d)"/>' % (x, y, *colour)
    for x, y, colour in ((0, 0, RED), (45, -30, GREEN), (45, 30, BLUE))
)


def test_an_svg_is_drawn(converter: Converter) -> None:
    """In its own proportions, and large enough to be looked at."""
    image, words = convert(converter, SVG % SHAPES, max_side=1024)
    looks(image, (RED, GREEN, BLUE))
    assert "drawn at 1024x683" in words


def test_an_svg_reaches_neither_files_nor_other_hosts(converter: Converter, tmp_path: Path) -> None:
    """What it refers to stays out of the picture."""
    outside = tmp_path / "outside.png"
    picture().save(outside)
    for place in (outside.as_uri(), str(outside), "http://127.0.0.1:1/a.png"):
        inside = (
            b'<rect width="90" height="60" fill="white"/><image width="90" height="60" href="%s"/>'
        )
        image, _ = convert(converter, SVG % (inside % place.encode()))
        looks(image, ((255, 255, 255),) * 3)


def test_an_svg_that_unfolds_for_ever_ends(converter: Converter) -> None:
    """Entities within entities, as in the billion laughs."""
    laughs = b'<!DOCTYPE svg [<!ENTITY a "ha">'
    for place in range(1, 12):
        name = bytes([97 + place])
        laughs += b"<!ENTITY %s '%s'>" % (name, b"&%s;" % bytes([96 + place]) * 10)
    content = laughs + b"]>" + SVG % b"<desc>&l;</desc>"
    with pytest.raises(PermanentError):
        convert(converter, content, "image/svg+xml")


def test_what_is_too_large_to_send_is_scaled_down(converter: Converter) -> None:
    """To the longest side; then by quality; then further, until it fits."""
    noise = saved(Image.effect_noise((1500, 1000), 200).convert("RGB"), "PNG")
    image, words = convert(converter, noise)
    assert image.size == (512, 341)
    image, words = convert(converter, noise, max_side=1500, max_bytes=60_000)
    assert max(image.size) < 1500
    assert f"scaled from 1500x1000 to {image.width}x{image.height}" in words
    with pytest.raises(ImageTooLargeError, match="has 10 bytes or fewer"):
        convert(converter, noise, max_bytes=10)


def test_text_stays_legible_at_the_default_side(converter: Converter) -> None:
    """Stripes two pixels wide, as of small print, in colours that subsampling would smear."""
    stripes = Image.new("RGB", (2000, 400), (255, 255, 255))
    for place in range(0, 2000, 4):
        stripes.paste((200, 0, 0), (place, 0, place + 2, 400))
    image, words = convert(converter, saved(stripes, "BMP"), max_side=3072)
    assert "scaled" not in words
    reds: Any = [image.getpixel((place, 200)) for place in range(400, 440)]
    inked = [red[1] < 70 for red in reds]
    assert inked == [place % 4 < 2 for place in range(400, 440)]


# --- hostile files


def bomb(width: int, height: int) -> bytes:
    """Make a PNG of one colour that is small as a file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(bytes(width * 3 + 1)) for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", rows + packed.flush())
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "HEIF"])
def test_a_bomb_is_refused_by_what_it_says_of_itself(converter: Converter, kind: str) -> None:
    """Before it is decoded, and by pixels, not by bytes."""
    content = saved(Image.new("RGB", (3000, 3000)), kind)
    with pytest.raises(ImageTooLargeError, match=r"(3000x3000|9000000x1) pixels, over"):
        convert(converter, content, max_pixels=1_000_000)


def test_a_bomb_below_the_limit_takes_a_few_lines_of_memory(converter: Converter) -> None:
    """A hundred times its file, a line at a time."""
    image, _ = convert(converter, bomb(7000, 7000))
    assert image.size == (512, 512)


@pytest.mark.parametrize(("content_type", "content"), FORMATS)
def test_half_a_file_is_unreadable_and_never_half_a_picture(
    converter: Converter, content_type: str, content: bytes
) -> None:
    """Whatever the decoder would make of it."""
    if content_type in {"image/x-icon", "image/icns"}:
        pytest.skip("its first half may hold a whole picture of another size")
    with pytest.raises((UnreadableImageError, NeedsMemoryError)):
        convert(converter, content[: len(content) // 2], content_type)


@pytest.mark.parametrize("seed", range(4))
def test_broken_files_end_in_an_outcome(converter: Converter, seed: int) -> None:
    """Any byte changed anywhere: a picture, or one of the documented errors, and soon."""
    chance = random.Random(seed)
    for content_type, content in FORMATS:
        broken = bytearray(content)
        for _ in range(chance.choice((1, 3, 30))):
            broken[chance.randrange(4, len(broken))] = chance.randrange(256)
        began = time.monotonic()
        with contextlib.suppress(NeedsMemoryError, PermanentError):
            convert(converter, bytes(broken), content_type)
        assert time.monotonic() - began < 25


def test_memory_is_asked_for_before_it_is_taken(converter: Converter) -> None:
    """What is decoded whole needs more than what comes in lines."""
    noise = Image.effect_noise((3000, 2000), 50).convert("RGB")
    convert(converter, saved(noise, "JPEG"))
    with pytest.raises(NeedsMemoryError) as caught:
        convert(converter, saved(noise, "BMP"), memory_bytes=80_000_000)
    assert 80_000_000 < caught.value.needs < 120_000_000
    convert(converter, saved(noise, "BMP"), memory_bytes=caught.value.needs)


# --- the process


def in_worker(program: str, tmp_path: Path) -> Converter:
    """Give a converter whose process runs this before it begins, in place of a decoder's defect."""
    made = Converter(seconds=2)
    folder = tmp_path / "pyvips"
    folder.mkdir()
    original = Path(pyvips.__file__).parent
    text = (
        f"import sys; sys.path.remove({str(tmp_path)!r}); del sys.modules['pyvips']\n"
        f"import pyvips\n"
        f"def broken(*a, **k):\n{program}\n"
        f"pyvips.Image.new_from_source = broken\n"
    )
    assert original.exists()
    (folder / "__init__.py").write_text(text)
    return made


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Converter]]:
    """Make converters whose decoder does what it is told to."""
    made: list[Converter] = []

    def make(program: str) -> Converter:
        monkeypatch.syspath_prepend(str(tmp_path))
        made.append(in_worker(program, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.stop()


PNG = saved(picture(), "PNG")


@pytest.mark.parametrize(
    ("program", "expected", "words"),
    [
        ("  import time; time.sleep(60)", ImageTooLargeError, "longer than 2 s"),
        ("  while True: pass", ImageTooLargeError, "longer than 2 s"),
        ("  import os; os.abort()", UnreadableImageError, "SIGABRT"),
        ("  import ctypes; ctypes.string_at(0)", UnreadableImageError, "SIGSEGV"),
        ("  import os; os._exit(3)", UnreadableImageError, "exit code 3"),
        ("  return [bytearray(4 << 30)]", ImageTooLargeError, "more than 96 MB"),
    ],
    ids=["hangs", "spins", "aborts", "crashes", "exits", "asks for 4 GB"],
)
def test_what_befalls_the_decoder_ends_that_image_alone(
    broken: Callable[[str], Converter], program: str, expected: type[DescriberError], words: str
) -> None:
    """In bounded time; and the next image has a decoder again."""
    converter = broken(program)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(expected, match=words):
            convert(converter, PNG)
    assert time.monotonic() - began < 12
    image, _ = convert(converter, saved(picture(), "BMP"))
    looks(image, (RED, GREEN, BLUE))


def refused(call: str) -> str:
    return (
        f"  import os, socket, subprocess, ctypes\n"
        f"  try:\n    {call}\n"
        f"  except PermissionError as exc: raise SystemExit(77) from exc\n"
        f"  raise SystemExit(78)"
    )


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="another kernel shuts nothing")
@pytest.mark.parametrize(
    "call",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open('/tmp/written', 'w')",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_a_decoder_taken_over_reaches_nothing(
    broken: Callable[[str], Converter], call: str
) -> None:
    """No network, no file, no program, no other process: the kernel refuses."""
    converter = broken(refused(call))
    with pytest.raises(UnreadableImageError, match="exit code 77"):
        convert(converter, PNG)


def test_the_process_knows_nothing_of_the_function(
    converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its keys nor its open files."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret-1")
    converter.stop()
    convert(converter, PNG)
    process = psutil.Process(converter.pid)
    assert "secret-1" not in str(process.environ())
    assert set(process.environ()) <= {
        *module._PASSED_ON,
        *("LC_ALL", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"),
        "VIPS_CONCURRENCY",
    }
    opened = [os.readlink(file) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert {name for name in opened if not name.startswith("socket:")} == {"/dev/null"}
    assert sum(name.startswith("socket:") for name in opened) == 1


def test_one_process_serves_them_all_and_begins_with_the_first(converter: Converter) -> None:
    """None before an image needs it; and a killed one is replaced without a word."""
    mine = Converter()
    pids = [mine.pid]
    try:
        for _ in range(2):
            convert(mine, PNG)
            pids.append(mine.pid)
        nothing, pid, again = pids
        assert (nothing, again) == (None, pid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        convert(mine, PNG)
    finally:
        mine.stop()


def test_a_process_that_does_not_start_is_no_fault_of_the_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The delivery comes again."""
    (tmp_path / "pyvips.py").write_text("raise ImportError('no libvips here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConverterError, match="no libvips here"):
        convert(Converter(), PNG)
    (tmp_path / "pyvips.py").write_text("import os; os._exit(9)")
    with pytest.raises(ConverterError, match="exit code 9"):
        convert(Converter(), PNG)


def test_a_delivery_that_ends_ends_the_decoding(broken: Callable[[str], Converter]) -> None:
    """At once: a shutdown has seconds; and the buffers are nobody's any more."""
    converter = broken("  import time; time.sleep(60)")
    buffer, into = Buffer(len(PNG)), Buffer(1000)
    buffer.write(PNG)

    async def work() -> float:
        task = asyncio.create_task(converter.convert(buffer, into, order("image/png")))
        await asyncio.sleep(1)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(work()) < 1
    assert converter.pid is None
    buffer.close()
    into.close()


def test_images_are_converted_one_after_the_other_and_the_loop_runs_on(
    converter: Converter,
) -> None:
    """The memory of one is what it takes; and nobody else waits."""
    content = saved(Image.effect_noise((3000, 2000), 50).convert("RGB"), "PNG")
    convert(converter, PNG)

    async def one() -> str:
        buffer, into = Buffer(len(content)), Buffer(1_000_000)
        buffer.write(content)
        try:
            return await converter.convert(buffer, into, order("image/png"))
        finally:
            buffer.close()
            into.close()

    async def work() -> tuple[list[str], float]:
        longest, before = 0.0, time.monotonic()
        tasks: list[Awaitable[str]] = [asyncio.ensure_future(one()) for _ in range(4)]
        while not all(task.done() for task in tasks):  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        return [await task for task in tasks], longest

    words, longest = asyncio.run(work())
    assert len(words) == 4
    assert longest < 0.5
