"""What the stand-in measures in a picture, against pictures whose facts are known."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from local.servers.bucket import SAMPLES, images_in
from local.standin.pixels import (
    CLOSING,
    OPENING,
    UnreadableImageError,
    colour_name,
    measure,
    text_for,
)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def plain(colour: Any, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP"])
def test_tells_format_and_size(kind: str) -> None:
    """Format, pixels and bytes are those of the file."""
    image = encoded(plain("red", (300, 200)), kind)
    facts = measure(image)
    assert (facts.kind, facts.width, facts.height) == (kind, 300, 200)
    assert facts.size_bytes == len(image)
    assert "300 by 200 pixels, landscape at 3:2" in text_for(image)


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
    assert colour_name(colour) == name
    assert measure(encoded(plain(colour))).colours == ((name, 1.0),)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_names_every_colour(pixel: tuple[int, int, int]) -> None:
    """There is no colour without a name."""
    assert colour_name(pixel).replace(" ", "").isalpha()


def test_gives_colours_by_share() -> None:
    """A quarter of blue in red is told as that, the greater one first."""
    image = plain((255, 0, 0), (80, 40))
    image.paste((0, 0, 255), (0, 0, 20, 40))
    (first, red), (second, blue) = measure(encoded(image)).colours
    assert (first, second) == ("red", "blue")
    assert [red, blue] == pytest.approx([0.75, 0.25])
    assert "red with 75% and blue with 25%" in text_for(encoded(image))


@pytest.mark.parametrize(
    ("light_part", "half"),
    [((0, 0, 60, 20), "upper"), ((0, 20, 60, 40), "lower"), ((0, 0, 30, 40), "left")],
)
def test_tells_where_it_is_lighter(light_part: tuple[int, int, int, int], half: str) -> None:
    """The lighter half is named."""
    image = plain("black")
    image.paste((255, 255, 255), light_part)
    assert f"its {half} half is the lighter one" in text_for(encoded(image))


def test_tells_transparency() -> None:
    """A half that is transparent is told, and its hidden colour does not count."""
    image = plain((0, 0, 255, 0), mode="RGBA")
    image.paste((255, 0, 0, 255), (0, 0, 30, 40))
    facts = measure(encoded(image))
    assert facts.transparent == pytest.approx(0.5)
    assert facts.colours == (("red", 1.0),)
    assert "50% of it is transparent" in text_for(encoded(image))


def test_reads_date_camera_and_orientation() -> None:
    """Metadata is told as it stands, and a picture stored on its side is measured upright."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.Model] = "Acme One"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    facts = measure(encoded(plain("red", (90, 60)), "JPEG", exif=exif))
    assert (facts.width, facts.height) == (60, 90)
    assert (facts.taken, facts.camera) == ("2024-05-06 07:08:09", "Acme One")


def test_scales_sixteen_bits() -> None:
    """A middle grey of sixteen bits is of medium brightness, not white."""
    facts = measure(encoded(Image.new("I;16", (20, 20), 32768)))
    assert facts.brightness == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("sample", images_in([SAMPLES]), ids=lambda path: path.name)
def test_describes_each_sample_in_60_to_90_words(sample: Any) -> None:
    """The samples are small, and their texts say first what they are."""
    assert sample.stat().st_size < 120_000
    text = text_for(sample.read_bytes())
    assert text.startswith(OPENING)
    assert text.endswith(CLOSING)
    assert 60 <= len(text.split()) <= 90


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
