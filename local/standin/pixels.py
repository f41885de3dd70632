"""What can be measured in a picture, in plain sentences. Nothing here claims to see."""

import io

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

OPENING = "A stand-in, which does not see, measured this:"

# Colour shares settle well below this edge, and a busy server measures many pictures.
_SAMPLE_EDGE = 48
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_COLOURS = {
    "black": (0, 0, 0),
    "dark grey": (70, 70, 70),
    "grey": (128, 128, 128),
    "light grey": (190, 190, 190),
    "white": (255, 255, 255),
    "red": (230, 20, 20),
    "brown": (120, 72, 30),
    "beige": (220, 190, 150),
    "orange": (250, 130, 10),
    "yellow": (245, 235, 40),
    "green": (20, 140, 40),
    "turquoise": (40, 200, 200),
    "blue": (20, 40, 240),
    "dark blue": (15, 20, 95),
    "light blue": (140, 180, 240),
    "magenta": (210, 20, 200),
    "pink": (250, 180, 190),
}


class UnreadableImageError(ValueError):
    """The bytes are not a picture that can be decoded."""


def text_for(image: bytes) -> str:
    """Describe a picture by its format, size, shape and main colours.

    Raises:
        UnreadableImageError: not a picture, or a broken one.
    """
    if image[4:8] == b"ftyp" and image[8:12] in _HEIF_BRANDS:
        return (
            f"{OPENING} a HEIF file of {len(image):,} bytes, told by its first bytes, "
            "for which no decoder is at hand."
        )
    try:
        with Image.open(io.BytesIO(image)) as opened:
            return f"{OPENING} {_frame(opened)}. {_area(opened)}"
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise UnreadableImageError(f"Not a picture that can be decoded: {error}") from error


def _frame(opened: Image.Image) -> str:
    """Say format, size and shape as shown, which the metadata may turn."""
    width, height = opened.size
    if opened.getexif().get(ExifTags.Base.Orientation, 1) in {5, 6, 7, 8}:
        width, height = height, width
    shape = "square" if width == height else "landscape" if width > height else "portrait"
    kind = (opened.format or "unknown").replace("WEBP", "WebP")
    return f"a {kind} picture of {width} by {height} pixels, {shape}"


def _area(opened: Image.Image) -> str:
    """Say which colours fill it; what is transparent has none."""
    # Lets the JPEG decoder skip most of its work; other formats ignore it.
    opened.draft("RGB", (_SAMPLE_EDGE * 4, _SAMPLE_EDGE * 4))
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I"):
        # Converted directly, sixteen bits are cut off at 255 rather than scaled.
        upright = upright.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    sample = upright.convert("RGBA").resize((_SAMPLE_EDGE,) * 2, Image.Resampling.BOX)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in _COLOURS.values() for part in colour])
    nearest = sample.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    opaque = sample.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).convert("1")
    counts = zip(nearest.histogram(opaque), _COLOURS, strict=False)
    shares = sorted(((count / _SAMPLE_EDGE**2, name) for count, name in counts), reverse=True)
    named = [name for share, name in shares[:3] if share >= 0.02]
    return f"By area its main colours are {', '.join(named) or 'none at all'}."
