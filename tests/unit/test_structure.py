"""What an image's structure tells: that it is cut, or odd."""

import io
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from describer.images.room import Buffer
from describer.images.structure import (
    is_cut,
    is_raw_tiff,
    jpeg_coefficient_bytes,
    oddity,
    pixels,
    png_whole_bytes,
    webp_is_lossless,
    webp_pixels,
)

pillow_heif.register_heif_opener()


def buffer(content: bytes) -> Buffer:
    made = Buffer(len(content) + 100)
    made.write(content)
    return made


def saved(mode: str, kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    picture = Image.effect_noise((90, 60), 80).convert("RGB").convert(mode)
    picture.save(into, kind, **options)
    return into.getvalue()


def frames(kind: str, **options: Any) -> bytes:
    into = io.BytesIO()
    pictures = [Image.effect_noise((30, 20), 80).convert("RGB") for _ in range(3)]
    pictures[0].save(into, kind, save_all=True, append_images=pictures[1:], **options)
    return into.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved("RGB", "JPEG", exif=exif)


WHOLE = [
    pytest.param("image/jpeg", saved("RGB", "JPEG"), id="jpeg"),
    pytest.param("image/jpeg", saved("L", "JPEG", progressive=True), id="progressive"),
    pytest.param("image/jpeg", saved("RGB", "JPEG") + b"trailer" * 99, id="a camera's trailer"),
    pytest.param("image/png", saved("RGB", "PNG"), id="png"),
    pytest.param("image/png", saved("P", "PNG"), id="palette"),
    pytest.param("image/webp", saved("RGB", "WEBP"), id="webp"),
    pytest.param("image/webp", saved("RGB", "WEBP", lossless=True), id="lossless"),
    pytest.param("image/gif", saved("P", "GIF"), id="gif"),
    pytest.param("image/heic", saved("RGB", "HEIF"), id="heic"),
    pytest.param("image/avif", saved("RGB", "AVIF"), id="avif"),
]


@pytest.mark.parametrize(("content_type", "content"), WHOLE)
def test_a_whole_picture_is_whole_and_half_of_it_is_cut(content_type: str, content: bytes) -> None:
    """Wherever it is cut, from behind its head to before its last ones."""
    assert not is_cut(content_type, buffer(content))
    assert oddity(content_type, buffer(content)) in {None, "maybe animated"}
    end = len(content) - (7 * 99 if content.endswith(b"trailer") else 0)
    for size in (40, end // 3, end // 2, end - 20):
        assert is_cut(content_type, buffer(content[:size])), size


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/webp", "image/heic"])
def test_nothing_is_taken_for_whole_that_holds_nothing(content_type: str) -> None:
    """No bytes, one, or the same one over and over: an answer, and no endless search."""
    for content in (b"", b"\xff", b"\xff" * 3000):
        is_cut(content_type, buffer(content))
        oddity(content_type, buffer(content))


def test_a_preview_inside_does_not_end_the_picture() -> None:
    """The end of the thumbnail in a photograph's Exif is not the photograph's."""
    preview = saved("RGB", "JPEG")
    segment = b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview
    whole = saved("RGB", "JPEG")
    content = whole[:2] + segment + whole[2:]
    assert not is_cut("image/jpeg", buffer(content))
    assert is_cut("image/jpeg", buffer(content[:-300]))


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("image/jpeg", saved("CMYK", "JPEG"), "CMYK"),
        ("image/jpeg", turned(), "turned"),
        ("image/png", saved("RGBA", "PNG"), "transparent"),
        ("image/png", saved("LA", "PNG"), "transparent"),
        ("image/png", saved("P", "PNG", transparency=0), "transparent"),
        ("image/png", saved("I;16", "PNG"), "16 bits"),
        ("image/png", frames("PNG"), "animated"),
        ("image/webp", frames("WEBP"), "animated"),
        ("image/gif", frames("GIF"), "maybe animated"),
    ],
)
def test_what_servers_make_something_else_of_is_odd(
    content_type: str, content: bytes, expected: str
) -> None:
    """Colours inverted, on its side, without its background, or one frame of many."""
    assert oddity(content_type, buffer(content)) == expected


@pytest.mark.parametrize("lossless", [True, False])
def test_a_transparent_webp_is_odd(lossless: bool) -> None:
    """Both kinds say so in places of their own."""
    picture = Image.new("RGBA", (20, 20), (255, 0, 0, 90))
    into = io.BytesIO()
    picture.save(into, "WEBP", lossless=lossless)
    assert oddity("image/webp", buffer(into.getvalue())) == "transparent"


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("image/jpeg", saved("RGB", "JPEG"), 5400),
        ("image/jpeg", saved("L", "JPEG", progressive=True), 5400),
        ("image/jpeg", b"\xff\xd8\xff\xda\0\2", 0),
        ("image/png", saved("RGB", "PNG"), 5400),
        ("image/png", saved("RGB", "PNG")[:20], 0),
        ("image/webp", saved("RGB", "WEBP"), 5400),
        ("image/heic", saved("RGB", "HEIF"), 0),
    ],
)
def test_pixels_are_told_by_the_head(content_type: str, content: bytes, expected: int) -> None:
    """Before anybody decodes them; 0 where it does not say."""
    assert pixels(content_type, buffer(content)) == expected


def test_what_is_decoded_whole_is_reckoned() -> None:
    """Progressive JPEG by its coefficients, interlaced PNG, and WebP without loss."""
    full = saved("RGB", "JPEG", progressive=True, subsampling="4:4:4")
    half = saved("RGB", "JPEG", progressive=True, subsampling="4:2:0")
    assert jpeg_coefficient_bytes(buffer(full)) == 90 * 60 * 6
    assert jpeg_coefficient_bytes(buffer(half)) == 90 * 60 * 3
    assert jpeg_coefficient_bytes(buffer(saved("RGB", "JPEG"))) == 0
    assert png_whole_bytes(buffer(saved("RGB", "PNG"))) == 0
    head = saved("RGB", "PNG")[:28] + b"\1"
    assert png_whole_bytes(buffer(head)) == 90 * 60 * 4
    assert webp_is_lossless(buffer(saved("RGB", "WEBP", lossless=True)))
    assert not webp_is_lossless(buffer(saved("RGB", "WEBP")))
    for content in (
        saved("RGB", "WEBP"),
        saved("RGB", "WEBP", lossless=True),
        saved("RGB", "WEBP", exif=b"Exif\0\0"),
    ):
        assert webp_pixels(buffer(content)) == 90 * 60


def tiff(*tags: tuple[int, int]) -> bytes:
    entries = b"".join(
        tag.to_bytes(2, "little")
        + b"\4\0"
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, value in tags
    )
    return b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + bytes(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tiff((0xFE, 1), (0x14A, 8)), True),
        (tiff((0xC612, 1)), True),
        (b"II*\0\x10\0\0\0CR\2\0", True),
        # A pyramid's smaller levels hang below the large one; pages are no previews.
        (tiff((0xFE, 0), (0x14A, 8)), False),
        (tiff((0xFE, 2)), False),
        (saved("RGB", "TIFF"), False),
        (b"II*\0", False),
        (b"II*\0\xff\xff\xff\xff\0\0\0\0", False),
    ],
)
def test_a_cameras_raw_file_is_told_from_a_tiff(content: bytes, expected: bool) -> None:
    """Its first picture is a thumbnail, which would be described for the photograph."""
    assert is_raw_tiff(buffer(content)) is expected
