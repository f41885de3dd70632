"""Images as people upload them, good, odd, broken and hostile, each with what is to come of it.

Made here by the libraries; `test_convert` looks at what becomes of their pixels.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pillow_heif
import pillow_jxl  # noqa: F401 - registers itself
import pyvips
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()
_vips: Any = pyvips.Image

AS_IT_IS = ""


@dataclass(frozen=True)
class Case:
    """One upload.

    Attributes:
        name: of the object; its extension may lie.
        declared: type; None if the uploader told none.
        outcome: what the record is to say.
        words: what `converted`, or else the message, is to hold; AS_IT_IS: nothing was converted.
        found: the type that the record is to say, where it is described.
    """

    name: str
    content: bytes
    declared: str | None
    outcome: str = "described"
    words: str = "converted to JPEG"
    found: str | None = None


def photo(size: tuple[int, int] = (320, 200), mode: str = "RGB") -> Image.Image:
    """Make something with shapes, shades and noise."""
    made = Image.linear_gradient("L").resize(size).convert("RGB")
    made.paste((200, 40, 40), (size[0] // 8, size[1] // 4, size[0] // 2, size[1] * 3 // 4))
    made.paste((30, 90, 200), (size[0] // 2, size[1] // 3, size[0] * 7 // 8, size[1] // 2))
    grain = Image.effect_noise(size, 20).convert("RGB")
    return Image.blend(made, grain, 0.1).convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Give the file."""
    into = io.BytesIO()
    image.save(into, kind, **options)
    return into.getvalue()


def series(kind: str, images: list[Image.Image], **options: Any) -> bytes:
    """Give a file of several frames or pages."""
    return saved(images[0], kind, save_all=True, append_images=images[1:], **options)


def turned(value: int) -> Image.Exif:
    """Give the Exif of a camera that was held so."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def lettering(colour: tuple[int, int, int]) -> Image.Image:
    """Make bars of a colour on nothing."""
    made = Image.new("RGBA", (200, 100), (*colour, 0))
    for place in range(20, 180, 20):
        made.paste((*colour, 255), (place, 20, place + 4, 80))
    return made


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """Make a PNG that says so of its size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packed = zlib.compress(bytes(1000) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def svg(inside: str, head: str = "") -> bytes:
    """Make an SVG."""
    begin = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 60">'
    return f"{head}{begin}{inside}</svg>".encode()


def raw() -> bytes:
    """Make what a camera's raw file begins with: a small picture, and others below it."""
    tags = ((0xFE, 1), (0x100, 160), (0x101, 120), (0x14A, 900))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(2000)


def cases() -> list[Case]:
    """Make all of them."""
    return [
        case for make in (_good, _converted, _odd, _types, _broken, _hostile) for case in make()
    ]


def _good() -> Iterator[Case]:
    """What every server takes, as it is."""
    as_it_is: dict[str, Any] = {"words": AS_IT_IS}
    yield Case("good/photo.jpg", saved(photo(), "JPEG"), "image/jpeg", **as_it_is)
    progressive = saved(photo(), "JPEG", progressive=True)
    yield Case("good/progressive.jpg", progressive, "image/jpeg", **as_it_is)
    yield Case("good/grey.jpg", saved(photo(mode="L"), "JPEG"), "image/jpeg", **as_it_is)
    whole = saved(photo(), "JPEG", exif=turned(1))
    yield Case("good/upright.jpg", whole, "image/jpeg", **as_it_is)
    trailer = saved(photo(), "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(5000)
    yield Case("good/with film.jpg", trailer, "image/jpeg", **as_it_is)
    yield Case("good/photo.png", saved(photo(), "PNG"), "image/png", **as_it_is)
    yield Case("good/palette.png", saved(photo().quantize(32), "PNG"), "image/png", **as_it_is)
    yield Case("good/grey.png", saved(photo(mode="L"), "PNG"), "image/png", **as_it_is)
    yield Case("good/one bit.png", saved(photo(mode="1"), "PNG"), "image/png", **as_it_is)
    yield Case("good/photo.webp", saved(photo(), "WEBP"), "image/webp", **as_it_is)
    lossless = saved(photo(), "WEBP", lossless=True)
    yield Case("good/lossless.webp", lossless, "image/webp", **as_it_is)
    yield Case("good/photo.heic", saved(photo(), "HEIF"), "image/heic", **as_it_is)


def _converted() -> Iterator[Case]:
    """What a server may not take."""
    for kind, extension, declared in (
        ("GIF", "gif", "image/gif"),
        ("TIFF", "tif", "image/tiff"),
        ("BMP", "bmp", "image/bmp"),
        ("AVIF", "avif", "image/avif"),
        ("JPEG2000", "jp2", "image/jp2"),
        ("JXL", "jxl", "image/jxl"),
        ("PPM", "ppm", "image/x-portable-pixmap"),
        ("TGA", "tga", "image/x-tga"),
        ("PCX", "pcx", "image/x-pcx"),
        ("SGI", "sgi", "image/x-sgi"),
        ("DDS", "dds", "image/vnd-ms.dds"),
        ("QOI", "qoi", "image/qoi"),
    ):
        yield Case(f"formats/photo.{extension}", saved(photo(), kind), declared)
    icon = saved(photo((64, 64)), "ICO", sizes=[(16, 16), (64, 64)])
    yield Case("formats/icon.ico", icon, "image/vnd.microsoft.icon")
    yield Case("formats/icon.icns", saved(photo((128, 128)), "ICNS"), "image/x-icns")
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "lzma"):
        content = saved(photo(), "TIFF", compression=compression)
        yield Case(f"formats/{compression}.tif", content, "image/tiff")
    fax = saved(photo(mode="1"), "TIFF", compression="group4")
    yield Case("formats/fax.tif", fax, "image/tiff")
    tiled = bytes(
        _vips.new_from_memory(photo().tobytes(), 320, 200, 3, "uchar")
        .copy(interpretation="srgb")
        .tiffsave_buffer(tile=True, bigtiff=True)
    )
    yield Case("formats/tiled.tif", tiled, "image/tiff")
    shapes = '<rect width="45" height="60" fill="red"/><circle cx="60" cy="30" r="20"/>'
    yield Case("formats/shapes.svg", svg(shapes), "image/svg+xml", words="drawn at 3072x|drawn at")
    prolog = f"<?xml version='1.0'?><!-- {'drawn by a program ' * 10} -->"
    yield Case("formats/prolog.svg", svg(shapes, prolog), "image/svg+xml", words="drawn at")


def _odd() -> Iterator[Case]:
    """What servers take, and make something else of."""
    yield Case("odd/cmyk.jpg", saved(photo(mode="CMYK"), "JPEG"), "image/jpeg")
    yield Case("odd/cmyk.tif", saved(photo(mode="CMYK"), "TIFF"), "image/tiff")
    for value in (3, 6, 8):
        content = saved(photo(), "JPEG", exif=turned(value))
        yield Case(f"odd/turned {value}.jpg", content, "image/jpeg")
    deep = Image.frombytes("I;16", (90, 60), struct.pack("<90H", *range(0, 63_000, 700)) * 60)
    yield Case("odd/16 bits.png", saved(deep, "PNG"), "image/png")
    yield Case("odd/16 bits.tif", saved(deep, "TIFF"), "image/tiff")
    measured = _vips.new_from_array([[0.0, 0.5, 7.5, 90.0]] * 4).resize(30, kernel="nearest")
    yield Case("odd/float.tif", bytes(measured.cast("float").tiffsave_buffer()), "image/tiff")
    for kind, declared in (("PNG", "image/png"), ("WEBP", "image/webp")):
        for colour, background in (((255, 255, 255), "black"), ((0, 0, 0), "white")):
            content = saved(lettering(colour), kind)
            yield Case(
                f"odd/lettering for {background}.{kind.lower()}",
                content,
                declared,
                words=f"on {background}",
            )
    grey = saved(lettering((0, 0, 0)).convert("LA"), "PNG")
    yield Case("odd/grey with alpha.png", grey, "image/png", words="on white")
    hole = saved(photo().quantize(16), "PNG", transparency=3)
    yield Case("odd/palette with a hole.png", hole, "image/png")
    blank = Image.new("RGB", (320, 200), (255, 255, 255))
    frames = [blank, photo(), photo((320, 200), "L").convert("RGB"), blank]
    for kind, declared in (
        ("GIF", "image/gif"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("AVIF", "image/avif"),
    ):
        content = series(kind, frames, duration=80)
        yield Case(f"odd/film.{kind.lower()}", content, declared, words="number 2 of 4 frames")
    yield Case(
        "odd/nothing but white.gif",
        series("GIF", [blank, Image.new("RGB", (320, 200), (250, 250, 250))], duration=80),
        "image/gif",
        words="first of 2 frames",
    )
    pages = series("TIFF", [photo(), photo(mode="L"), photo(mode="1")])
    yield Case("odd/document.tif", pages, "image/tiff", words="first of 3 pages")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    yield Case("odd/a profile for others.tif", saved(photo(), "TIFF", icc_profile=profile), None)
    yield Case("odd/one pixel.gif", saved(photo((1, 1)), "GIF"), "image/gif")
    yield Case("odd/a line.bmp", saved(photo((9000, 1)), "BMP"), None, words="to 3072x1")
    wide = saved(photo((6000, 4000)), "TIFF", compression="tiff_lzw")
    words = "scaled from 6000x4000 to 3072x2048"
    yield Case("odd/large.tif", wide, "image/tiff", words=words)
    # Over the 14 MB of a request.
    noise = Image.frombytes("RGB", (3000, 2500), random.Random(1).randbytes(3000 * 2500 * 3))
    yield Case(
        "odd/heavy.png", saved(noise, "PNG", compress_level=0), "image/png", words="converted"
    )


def _types() -> Iterator[Case]:
    """Types that are missing, generic or wrong; the bytes tell."""
    jpeg, webp, bmp = saved(photo(), "JPEG"), saved(photo(), "WEBP"), saved(photo(), "BMP")
    as_it_is: dict[str, Any] = {"words": AS_IT_IS, "found": "image/jpeg"}
    yield Case("types/none", jpeg, None, **as_it_is)
    yield Case("types/generic.jpg", jpeg, "application/octet-stream", **as_it_is)
    yield Case("types/lower.jpg", jpeg, "image/jpg", **as_it_is)
    yield Case("types/CAPITALS.JPG", jpeg, "IMAGE/JPEG", **as_it_is)
    yield Case("types/parameters.jpg", jpeg, "image/jpeg; charset=binary", **as_it_is)
    yield Case("types/wrong.png", jpeg, "image/png", **as_it_is)
    yield Case("types/unheard of.jpg", jpeg, "image/x-holiday", **as_it_is)
    yield Case("types/really webp.jpg", webp, "image/jpeg", words=AS_IT_IS, found="image/webp")
    yield Case("types/really bmp.jpg", bmp, "image/jpeg", found="image/bmp")
    yield Case("types/really bmp", bmp, None, found="image/bmp")
    yield Case("types/no magic.tga", saved(photo(), "TGA"), None, found="image/x-tga")


def _broken() -> Iterator[Case]:
    """What ends half-way, or is none."""
    cut = "ends before the picture does"
    for kind, extension, words in (
        ("JPEG", "jpg", cut),
        ("PNG", "png", cut),
        ("WEBP", "webp", cut),
        ("HEIF", "heic", cut),
        ("AVIF", "avif", cut),
        ("GIF", "gif", cut),
        ("TIFF", "tif", "cannot be decoded"),
        ("BMP", "bmp", cut),
        ("JPEG2000", "jp2", "cannot be decoded"),
        ("JXL", "jxl", "cannot be decoded"),
        ("PPM", "ppm", "cannot be decoded"),
    ):
        content = saved(photo(), kind)
        half = content[: len(content) // 2]
        yield Case(f"broken/half.{extension}", half, None, "unreadable", words)
    progressive = saved(photo(), "JPEG", progressive=True)
    yield Case("broken/half p.jpg", progressive[:-1500], "image/jpeg", "unreadable", cut)
    # As of an upload that set the size beforehand and never filled it.
    filled = saved(photo(), "JPEG")
    filled = filled[: len(filled) // 2] + bytes(len(filled) // 2)
    yield Case("broken/zeros.jpg", filled, "image/jpeg", "unreadable", cut)
    yield Case("broken/all zeros.jpg", bytes(9000), "image/jpeg", "unreadable", "no image that")
    yield Case(
        "broken/page.jpg", b"<!DOCTYPE html><p>Not found", "image/jpeg", "unreadable", "no im"
    )
    yield Case("broken/error.png", b'{"error": 404}', "image/png", "unreadable", "no image that")
    yield Case("broken/head.png", png(60, 40)[:33], "image/png", "unreadable", cut)
    # Whole by its structure, and of a type that goes as it is: only a decoder can tell.
    yield Case("broken/few rows.png", png(600, 400), None, "rejected", "Unable to process")
    yield Case("broken/empty.svg", b"<svg", "image/svg+xml", "unreadable", "cannot be")
    yield Case("broken/unclosed.svg", svg("<rect"), "image/svg+xml", "unreadable", "cannot be")


def _hostile() -> Iterator[Case]:
    """What is meant to do harm, or is of no use."""
    for kind, extension in (("TIFF", "tif"), ("GIF", "gif"), ("BMP", "bmp")):
        content = bytearray(saved(Image.new("L", (64, 64)), kind))
        if kind == "GIF":
            content[6:10] = struct.pack("<HH", 60_000, 60_000)
        elif kind == "BMP":
            content[18:26] = struct.pack("<ii", 60_000, 60_000)
        else:
            content = bytearray(_big_tiff())
        # libvips believes a GIF's frame rather than its canvas; so large a BMP would be longer.
        end = {
            "GIF": ("described", "converted"),
            "BMP": ("unreadable", "ends before the picture"),
            "TIFF": ("too_large", "MAX_IMAGE_PIXELS"),
        }[kind]
        yield Case(f"hostile/bomb.{extension}", bytes(content), None, *end)
    flat = saved(Image.new("1", (20_000, 15_000)), "TIFF", compression="group4")
    yield Case("hostile/flat.tif", flat, "image/tiff", "too_large", "20000x15000 pixels")
    laughs = "".join(
        f"<!ENTITY {chr(97 + n)} '{f'&{chr(96 + n)};' * 10 if n else 'ha'}'>" for n in range(12)
    )
    unfolding = svg("<desc>&l;</desc>", f"<!DOCTYPE svg [{laughs}]>")
    yield Case("hostile/laughs.svg", unfolding, "image/svg+xml", "unreadable", "no image|cannot")
    outside = svg('<image width="90" height="60" href="file:///etc/passwd"/>')
    yield Case("hostile/outside.svg", outside, "image/svg+xml", words="drawn at")
    yield Case("hostile/raw.nef", raw(), "image/tiff", "unsupported", "raw file")
    yield Case("hostile/raw 2.nef", raw(), None, "unsupported", "raw file")
    yield Case("hostile/page.pdf.jpg", b"%PDF-1.7\n", "image/jpeg", "unsupported", "PDF document")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file"
    yield Case("hostile/script.jpg", script, "image/jpeg", "unsupported", "PostScript")
    yield Case("hostile/film.exr", b"v/1\x01" + bytes(99), None, "unsupported", "OpenEXR")
    two = saved(photo(), "PNG") + saved(photo(), "GIF")
    yield Case("hostile/two in one.png", two, "image/png", words=AS_IT_IS)
    for seed in range(4):
        chance = random.Random(seed)
        content = bytearray(saved(photo(), ("TIFF", "GIF", "JPEG2000", "BMP")[seed]))
        for _ in range(200):
            content[chance.randrange(60, len(content))] = chance.randrange(256)
        yield Case(f"hostile/noise {seed}", bytes(content), None, "unreadable|described", "")


def _big_tiff() -> bytes:
    tags = (
        (256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1),
        (278, 60_000), (279, 1000),
    )  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(2000)


def packed(case: Case) -> bytes:
    """Give the content as it is stored with Content-Encoding gzip."""
    return gzip.compress(case.content, mtime=0)
