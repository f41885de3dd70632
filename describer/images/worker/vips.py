"""libvips: reads lines as they are needed, and shrinks while it decodes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyvips

from describer.images.structure import (
    jpeg_coefficient_bytes,
    png_whole_bytes,
    webp_is_lossless,
    webp_pixels,
)
from describer.images.worker.job import (
    BASE_BYTES,
    FRAMES_TRIED,
    MB,
    File,
    Job,
    Picture,
    RefusedError,
    check_memory,
    check_pixels,
)
from describer.images.worker.limits import limit_memory

# Its own types give each number as one of many.
VipsImage: Any = pyvips.Image

# A frame of one colour, to the eye.
_BLANK_DEVIATION = 1.5
# An SVG icon of 24 pixels is drawn larger: it has no pixels of its own.
_DRAWN_SIDE = 1024
# All other loaders of libvips are off, whatever a file begins with.
_LOADERS = ("Jpeg", "Png", "Webp", "Gif", "Nsgif", "Tiff", "Svg")


def prepare() -> None:
    """Shut what is not asked for."""
    pyvips.cache_set_max(0)
    pyvips.operation_block_set("VipsForeignLoad", True)  # noqa: FBT003
    for loader in _LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{loader}", False)  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class _Head:
    """What a file says of itself; the loader's own object would hold a canvas."""

    width: int
    height: int
    bands: int
    number: str
    frames: int
    turned: bool
    converts: bool

    @classmethod
    def read(cls, source: BinaryIO) -> _Head:
        image = VipsImage.new_from_source(_open(source), "", access="sequential")

        def field(name: str) -> int:
            return int(image.get(name)) if image.get_typeof(name) else 0

        profile = bool(image.get_typeof("icc-profile-data"))
        return cls(
            image.width,
            image.height,
            image.bands,
            image.format,
            frames=max(1, field("n-pages")),
            turned=field("orientation") in {5, 6, 7, 8},
            converts=profile or image.interpretation == "cmyk",
        )


def by_vips(job: Job, source: BinaryIO, *, pages: bool = False, animated: bool = False) -> Picture:
    """Decode the first page, or the first frame that shows something."""
    with vips_errors():
        if job.content_type == "image/webp":
            # Asked of the system for the whole canvas, of which hardly a page is ever touched.
            pixels = webp_pixels(File(source))
            check_pixels(job, pixels, 1)
            limit_memory(job.memory_bytes + pixels * 4)
        head = _Head.read(source)
        width, height = head.width, head.height
        check_pixels(job, width, height)
        check_memory(job, _vips_needs(job.content_type, source, head))
        if head.number not in {"uchar", "ushort"}:
            return Picture(_measured(source, job), width, height, head.frames, 1, pages)
        image = first = None
        tried = min(head.frames, FRAMES_TRIED) if animated else 1
        for place in range(tried):
            image = _thumbnail(source, job, head, place).copy_memory()
            if tried == 1 or not is_blank(image):
                break
            first = first or image
        else:
            place, image = 0, first
        if head.turned:
            width, height = height, width
        return Picture(image, width, height, head.frames, place + 1, pages)


def _open(source: BinaryIO) -> Any:
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(source.fileno())


def _decode(source: BinaryIO, job: Job, options: list[str]) -> Any:
    """Begin to decode: a picture that is cut, or whose pixels cannot be had, is none.

    `thumbnail_source`, which does all that follows in one call, forgets about `fail_on`.
    """
    strict = "error" if job.content_type == "image/tiff" else "truncated"
    return VipsImage.new_from_source(
        _open(source), f"[{','.join(options)}]", access="sequential", fail_on=strict
    )


def _thumbnail(source: BinaryIO, job: Job, head: _Head, place: int) -> Any:
    """Scale down, upright, to 8 bits of sRGB."""
    options = [f"page={place}"] if head.frames > 1 else []
    shrink = max(head.width, head.height) / job.max_side
    if job.content_type == "image/jpeg":
        # While it is decoded, by a power of two; the rest afterwards, and well.
        options.append(f"shrink={max(n for n in (1, 2, 4, 8) if n <= max(1, shrink))}")
    elif job.content_type == "image/webp" and shrink > 1:
        options.append(f"scale={1 / shrink}")
    image = _decode(source, job, options)
    if head.number == "ushort":
        return _srgb(_from_sixteen_bits(image, job))
    image = image.thumbnail_image(
        job.max_side,
        height=job.max_side,
        size="down",
        # Asked for where there is nothing to convert from, it takes five times the time.
        **({"output_profile": "srgb"} if head.converts else {}),
    )
    return _srgb(image)


def _srgb(image: Any) -> Any:
    alpha = image.hasalpha()
    if image.bands > 4 or (image.bands == 4 and not alpha) or (image.bands == 2 and not alpha):
        # Of many bands nobody knows which are colours; the first are the usual ones.
        image = image[:3] if image.bands >= 3 else image[0]
    return image.colourspace("srgb").cast("uchar")


def _from_sixteen_bits(image: Any, job: Job) -> Any:
    """Scale down; twelve bits in sixteen, as of microscopes and X-rays, would be all but black."""
    scale = job.max_side / max(image.width, image.height)
    image = (image.resize(scale) if scale < 1 else image).copy_memory().autorot()
    if image.hasalpha():
        return image
    if image.interpretation == "cmyk":
        return (image >> 8).cast("uchar").copy(interpretation="cmyk")
    most, kind = image.max(), image.interpretation
    if 0 < most < 8192:
        image = (image * (65_535 / most)).cast("ushort").copy(interpretation=kind)
    if image.get_typeof("icc-profile-data"):
        with contextlib.suppress(pyvips.Error):
            return image.icc_transform("srgb", embedded=True)
    return image


def _measured(source: BinaryIO, job: Job) -> Any:
    """Show numbers that are no shades, as in float TIFF: from the darkest to the brightest."""
    image = _decode(source, job, [])
    if image.format in {"complex", "dpcomplex"}:
        image = image.abs()
    scale = job.max_side / max(image.width, image.height)
    image = image[:3] if image.bands >= 3 else image[0]
    image = image.cast("float")
    image = (image == image).ifthenelse(image, 0)  # noqa: PLR0124 - NaN is not equal to itself
    image = (image.abs() < 1e30).ifthenelse(image, 0)
    image = (image.resize(scale, kernel="linear") if scale < 1 else image).copy_memory()
    low, high = image.min(), image.max()
    if high > low:
        # A few bright points must not leave the rest black.
        steps = ((image - low) * (65_535 / (high - low))).cast("ushort")
        bottom, top = steps.percent(0.5), steps.percent(99.5)
        low, high = (
            low + (high - low) * bottom / 65_535,
            low + (high - low) * max(top, bottom + 1) / 65_535,
        )
        image = (image - low) / (high - low)
    else:
        image = image * 0
    image = (image > 0).ifthenelse(image, 0)
    image = (image < 1).ifthenelse(image, 1)
    if image.bands == 3:
        image = image**0.4545
    kind = "srgb" if image.bands == 3 else "b-w"
    return (image * 255).cast("uchar").copy(interpretation=kind).colourspace("srgb")


def is_blank(image: Any) -> bool:
    """Tell a frame of one colour, or of nothing."""
    if image.width * image.height < 2:
        return True
    if image.hasalpha():
        alpha = image[image.bands - 1]
        if alpha.max() == 0:
            return True
        if alpha.min() < 255 and alpha.deviate() > _BLANK_DEVIATION:
            return False
        image = image[: image.bands - 1]
    return bool(max(band.deviate() for band in image.bandsplit()) < _BLANK_DEVIATION)


def _vips_needs(content_type: str, source: BinaryIO, head: _Head) -> int:
    """Reckon what libvips will hold: lines, but for what can only be decoded whole.

    Bytes a pixel were measured; `python -m benchmarks.conversion`.
    """
    pixels = head.width * head.height
    lines = head.width * head.bands * (2 if head.number == "ushort" else 1) * 600
    whole = 0
    content = File(source)
    if content_type == "image/jpeg":
        whole = jpeg_coefficient_bytes(content)
    elif content_type == "image/png":
        whole = png_whole_bytes(content)
    elif content_type == "image/gif":
        whole = pixels * 4
    elif content_type == "image/webp":
        whole = pixels * (9 if head.frames > 1 else 5 if webp_is_lossless(content) else 0)
    return BASE_BYTES + min(lines, pixels * 8) + whole


def svg(job: Job, source: BinaryIO) -> Picture:
    """Draw an SVG. The library draws from these bytes alone: it has no place to look elsewhere."""
    content = os.pread(source.fileno(), 8 * MB, 0)
    with vips_errors():
        head = VipsImage.svgload_buffer(content)
        if b"<text" in content and not _has_fonts():
            raise RefusedError(
                "unsupported", "an SVG with text, and there are no fonts to draw it with"
            )
        longest = max(head.width, head.height)
        side = min(job.max_side, max(_DRAWN_SIDE, longest))
        check_memory(job, BASE_BYTES + side * side * 8)
        image = VipsImage.svgload_buffer(content, scale=side / longest)
        image = image.copy_memory()
        size = f"{image.width}x{image.height}"
        return Picture(image, image.width, image.height, notes=(f"drawn at {size}",))


def _has_fonts() -> bool:
    try:
        return bool(VipsImage.text("Ag", dpi=72).max() > 0)
    except pyvips.Error:
        return False


def with_profile(image: Any, profile: bytes | None) -> Any:
    """Bring colours to sRGB by the profile that the file carried."""
    if profile:
        tagged = image.copy()
        tagged.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        # A profile that is none is no reason to show nothing.
        with contextlib.suppress(pyvips.Error):
            return tagged.icc_transform("srgb", embedded=True).copy_memory()
    return image.colourspace("srgb").copy_memory()


@contextlib.contextmanager
def vips_errors() -> Iterator[None]:
    """Translate what libvips says."""
    try:
        yield
    except pyvips.Error as exc:
        words = " ".join(str(exc.detail or exc.message).split())[:200]
        if "out of memory" in words or "Cannot allocate" in words:
            raise RefusedError("too_large", f"decoding it takes too much memory: {words}") from exc
        raise RefusedError("unreadable", f"the bytes cannot be decoded: {words}") from exc
