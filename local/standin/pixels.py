"""What can be measured in a picture, in plain sentences. Nothing here claims to see."""

import colorsys
import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageFilter, ImageOps, ImageStat, UnidentifiedImageError

OPENING = "Stand-in description, measured from the pixels, not seen:"
CLOSING = "This stand-in writes English only."

# Colour shares settle well below this edge, and a busy server measures many pictures.
_SAMPLE_EDGE = 48
_RATIOS = ((1, 1), (5, 4), (4, 3), (3, 2), (16, 10), (16, 9), (2, 1))
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

Pixel = tuple[int, int, int]


class UnreadableImageError(ValueError):
    """The bytes are not a picture that can be decoded."""


@dataclass(frozen=True)
class Measured:
    """Facts of one picture.

    Attributes:
        kind: file format as its decoder names it.
        width, height: in pixels, as shown (after the orientation in the metadata).
        size_bytes: size of the file.
        colours: name and share of the area, greatest first.
        brightness: mean luminance, 0 black to 1 white.
        contrast: standard deviation of the luminance; 0.5 is the most there can be.
        detail: share of the sample that lies on an edge.
        upper, lower, left, right: mean luminance of that half.
        transparent: share of pixels that are not opaque.
        taken, camera: from the metadata, where present.
        frames: more than one in an animation.
    """

    kind: str
    width: int
    height: int
    size_bytes: int
    colours: tuple[tuple[str, float], ...]
    brightness: float
    contrast: float
    detail: float
    upper: float
    lower: float
    left: float
    right: float
    transparent: float
    taken: str | None
    camera: str | None
    frames: int


def text_for(image: bytes) -> str:
    """Describe a picture by what can be measured in it, in some 60 to 90 words.

    Raises:
        UnreadableImageError: not a picture, or a broken one.
    """
    if image[4:8] == b"ftyp" and image[8:12] in _HEIF_BRANDS:
        return (
            f"{OPENING} a HEIF file of {_size(len(image))}, told by its first bytes. "
            f"Its pixels stay closed, since no decoder for this format is at hand. {CLOSING}"
        )
    return words(measure(image))


def measure(image: bytes) -> Measured:
    """Measure a picture.

    Raises:
        UnreadableImageError: not a picture, or a broken one.
    """
    try:
        with Image.open(io.BytesIO(image)) as opened:
            return _measure(opened, len(image))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise UnreadableImageError(f"Not a picture that can be decoded: {error}") from error


def words(facts: Measured) -> str:
    """Put the facts into sentences."""
    return " ".join(
        (
            f"{OPENING} a {facts.kind} picture of {facts.width} by {facts.height} pixels,"
            f" {_shape(facts.width, facts.height)}, {_size(facts.size_bytes)} in size.",
            _colours(facts.colours),
            f"On the whole it is {_brightness(facts.brightness)} with {_contrast(facts.contrast)}"
            f" contrast and {_detail(facts.detail)}; {_halves(facts)}.",
            _extras(facts),
            CLOSING,
        )
    )


def colour_name(pixel: Pixel) -> str:
    """Name a colour with one of some fifteen plain words."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in pixel))
    degrees = hue * 360
    if value < 0.16:
        return "black"
    if saturation < 0.13:
        return "white" if value > 0.87 else "light grey" if value > 0.62 else _grey(value)
    if saturation < 0.26 and value < 0.3:
        return "dark grey"
    if degrees < 12 or degrees >= 335:
        return _reddish(saturation, value)
    if degrees < 48:
        return _orangish(saturation, value)
    if degrees < 68:
        return "olive" if value < 0.5 else "yellow" if saturation > 0.4 else "beige"
    if degrees < 165:
        return "dark green" if value < 0.4 else "green"
    if degrees < 195:
        return "turquoise"
    if degrees < 255:
        return "dark blue" if value < 0.4 else "light blue" if saturation < 0.45 else "blue"
    return "violet" if degrees < 300 else "magenta"


def _measure(opened: Image.Image, size_bytes: int) -> Measured:
    kind = (opened.format or "unknown").replace("WEBP", "WebP")
    frames = getattr(opened, "n_frames", 1)
    exif = opened.getexif()
    width, height = opened.size
    if exif.get(ExifTags.Base.Orientation, 1) in {5, 6, 7, 8}:
        width, height = height, width
    # Lets the JPEG decoder skip most of its work; other formats ignore it.
    opened.draft("RGB", (_SAMPLE_EDGE * 4, _SAMPLE_EDGE * 4))
    upright = _eight_bits(ImageOps.exif_transpose(opened)).convert("RGBA")
    sample = upright.resize((_SAMPLE_EDGE, _SAMPLE_EDGE), Image.Resampling.BOX)
    opaque = sample.convert("RGB")
    light = opaque.convert("L")
    stat = ImageStat.Stat(light)
    half = _SAMPLE_EDGE // 2
    return Measured(
        kind=kind,
        width=width,
        height=height,
        size_bytes=size_bytes,
        colours=_shares(sample),
        brightness=stat.mean[0] / 255,
        contrast=stat.stddev[0] / 255,
        detail=_edges(light),
        upper=_mean(light.crop((0, 0, _SAMPLE_EDGE, half))),
        lower=_mean(light.crop((0, half, _SAMPLE_EDGE, _SAMPLE_EDGE))),
        left=_mean(light.crop((0, 0, half, _SAMPLE_EDGE))),
        right=_mean(light.crop((half, 0, _SAMPLE_EDGE, _SAMPLE_EDGE))),
        transparent=1 - ImageStat.Stat(sample.getchannel("A")).mean[0] / 255,
        taken=_taken(exif),
        camera=_camera(exif),
        frames=frames,
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Converted directly, sixteen bits are cut off at 255 rather than scaled.
    return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _shares(sample: Image.Image) -> tuple[tuple[str, float], ...]:
    colours = sample.getcolors(_SAMPLE_EDGE**2) or []
    counts: Counter[str] = Counter()
    for count, pixel in colours:
        assert isinstance(pixel, tuple)
        red, green, blue, alpha = pixel
        if alpha:
            counts[colour_name((red, green, blue))] += count
    total = counts.total() or 1
    return tuple((name, count / total) for name, count in counts.most_common())


def _mean(light: Image.Image) -> float:
    return ImageStat.Stat(light).mean[0] / 255


def _edges(light: Image.Image) -> float:
    # The filter leaves the outermost pixels as they are, so they would count as edges.
    inner = light.filter(ImageFilter.FIND_EDGES).crop((1, 1, _SAMPLE_EDGE - 1, _SAMPLE_EDGE - 1))
    histogram = inner.histogram()
    return sum(histogram[48:]) / sum(histogram)


def _taken(exif: Image.Exif) -> str | None:
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    taken = inner.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    day, _, clock = str(taken or "").strip("\0 ").partition(" ")
    return f"{day.replace(':', '-')} {clock}".strip() or None


def _camera(exif: Image.Exif) -> str | None:
    make = str(exif.get(ExifTags.Base.Make) or "").strip("\0 ")
    model = str(exif.get(ExifTags.Base.Model) or "").strip("\0 ")
    return (model if model.startswith(make) else f"{make} {model}").strip() or None


def _grey(value: float) -> str:
    return "grey" if value > 0.32 else "dark grey"


def _reddish(saturation: float, value: float) -> str:
    if saturation < 0.45:
        return "pink" if value > 0.65 else "brown"
    return "red" if value > 0.5 else "dark red" if saturation > 0.6 else "brown"


def _orangish(saturation: float, value: float) -> str:
    if value < 0.58 or (saturation > 0.3 and value < 0.68):
        return "brown"
    if saturation < 0.45:
        return "beige"
    return "orange" if saturation > 0.55 else "light brown"


def _size(size_bytes: int) -> str:
    for unit, name in ((1_000_000, "MB"), (1_000, "kB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size_bytes} bytes"


def _shape(width: int, height: int) -> str:
    long, short = max(width, height), min(width, height)
    near, far = min(_RATIOS, key=lambda pair: abs(math.log(pair[0] / pair[1] * short / long)))
    close = abs(near / far - long / short) < 0.02
    if long == short:
        return "square"
    if width > height:
        return f"landscape at {near}:{far}" if close else f"landscape at {width / height:.2f}:1"
    return f"portrait at {far}:{near}" if close else f"portrait at 1:{height / width:.2f}"


def _colours(shares: tuple[tuple[str, float], ...]) -> str:
    named = [f"{name} with {share:.0%}" for name, share in shares[:4] if share >= 0.02]
    if not named:
        return "It is wholly transparent."
    if shares[0][1] > 0.98:
        return f"Its whole area is {shares[0][0]}."
    return f"By share of the area its main colours are {_list(named)}."


def _brightness(mean: float) -> str:
    limits = ((0.15, "very dark"), (0.35, "dark"), (0.62, "of medium brightness"), (0.85, "bright"))
    return next((word for limit, word in limits if mean < limit), "very bright")


def _contrast(deviation: float) -> str:
    limits = ((0.02, "no"), (0.12, "low"), (0.24, "medium"))
    return next((word for limit, word in limits if deviation < limit), "high")


def _detail(edges: float) -> str:
    limits = ((0.02, "smooth areas throughout"), (0.15, "few edges"), (0.4, "many edges"))
    return next((word for limit, word in limits if edges < limit), "fine detail almost everywhere")


def _halves(facts: Measured) -> str:
    vertical, level = facts.upper - facts.lower, facts.left - facts.right
    if max(abs(vertical), abs(level)) < 0.04:
        return "light is spread evenly over it"
    if abs(vertical) >= abs(level):
        return f"its {'upper' if vertical > 0 else 'lower'} half is the lighter one"
    return f"its {'left' if level > 0 else 'right'} half is the lighter one"


def _extras(facts: Measured) -> str:
    frames = f"It holds {facts.frames} frames. " if facts.frames > 1 else ""
    clear = (
        f"{facts.transparent:.0%} of it is transparent"
        if facts.transparent > 0.005
        else "It has no transparent parts"
    )
    known = []
    if facts.taken:
        known.append(f"{facts.taken} as the time of the shot")
    if facts.camera:
        known.append(f"{facts.camera} as the camera")
    metadata = f"gives {_list(known)}" if known else "names neither a date nor a camera"
    return f"{frames}{clear}, and its metadata {metadata}."


def _list(items: Iterable[str]) -> str:
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
