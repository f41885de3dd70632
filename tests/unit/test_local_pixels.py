"""What the stand-in measures in a picture, against pictures whose facts are known."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from local.servers.bucket import SAMPLES, images_in
from local.standin.pixels import OPENING, UnreadableImageError, text_for


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def plain(colour: Any, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP"])
def test_tells_format_and_size(kind: str) -> None:
    """Format and pixels are those of the file."""
    image = encoded(plain("red", (300, 200)), kind)
    assert f"a {kind} picture of 300 by 200 pixels, landscape." in text_for(image)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((255, 0, 0), "red"),
        ((0, 128, 0), "green"),
        ((0, 0, 255), "blue"),
        ((255, 255, 0), "yellow"),
        ((255, 128, 0), "orange"),
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "grey"),
        ((120, 72, 30), "brown"),
        ((255, 180, 190), "pink"),
        ((10, 10, 90), "dark blue"),
        ((200, 0, 200), "magenta"),
    ],
)
def test_names_plain_colours(colour: tuple[int, int, int], name: str) -> None:
    """Colours that anyone would name alike are named so, and fill the picture."""
    assert f"main colours are {name}." in text_for(encoded(plain(colour)))


def test_gives_colours_by_share() -> None:
    """A quarter of blue in red comes after it, and a speck of green is left out."""
    image = plain((255, 0, 0), (80, 40))
    image.paste((0, 0, 255), (0, 0, 20, 40))
    image.paste((0, 128, 0), (78, 0, 80, 10))
    assert "colours are red, blue." in text_for(encoded(image))


def test_what_is_transparent_has_no_colour() -> None:
    """The hidden colour of a half that is transparent does not count; nor is a whole one named."""
    image = plain((0, 0, 255, 0), mode="RGBA")
    assert "main colours are none at all." in text_for(encoded(image))
    image.paste((255, 0, 0, 255), (0, 0, 30, 40))
    assert "main colours are red." in text_for(encoded(image))


def test_measures_upright() -> None:
    """A picture stored on its side has the size that it is shown with."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    text = text_for(encoded(plain("red", (90, 60)), "JPEG", exif=exif))
    assert "60 by 90 pixels, portrait" in text


def test_scales_sixteen_bits() -> None:
    """A middle grey of sixteen bits is grey, not white."""
    assert "are grey." in text_for(encoded(Image.new("I;16", (20, 20), 32768)))


@pytest.mark.parametrize("sample", images_in([SAMPLES]), ids=lambda path: path.name)
def test_describes_each_sample(sample: Any) -> None:
    """The samples are small, and so are their texts, but long enough to be seen growing."""
    assert sample.stat().st_size < 120_000
    text = text_for(sample.read_bytes())
    assert text.startswith(OPENING)
    assert 24 <= len(text.split()) <= 35


def test_says_that_heif_stays_closed() -> None:
    """A format without a decoder is named, and nothing is made up about it."""
    text = text_for(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    assert text.startswith(OPENING)
    assert "no decoder" in text


def test_refuses_half_a_picture() -> None:
    """A file that was cut is unreadable, not described by half."""
    image = encoded(Image.effect_noise((200, 200), 90), "JPEG")
    with pytest.raises(UnreadableImageError):
        text_for(image[: len(image) // 2])


@given(st.binary(max_size=200))
def test_no_bytes_break_it(image: bytes) -> None:
    """Whatever the bytes, there is a text or one kind of error."""
    try:
        text = text_for(image)
    except UnreadableImageError:
        return
    assert text.startswith(OPENING)
