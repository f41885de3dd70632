"""Pillow, for what libvips does not read; libheif, for HEIC."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pillow_heif
import pillow_jxl  # noqa: F401 - registers itself
from PIL import Image, ImageOps

from describer.images.worker.job import (
    BASE_BYTES,
    FRAMES_TRIED,
    Job,
    Picture,
    RefusedError,
    check_memory,
    check_pixels,
)
from describer.images.worker.vips import VipsImage, is_blank, vips_errors, with_profile

# TIFF's is what Exif is read with; none but the one named for a job is ever asked.
_PLUGINS: tuple[str, ...] = ("Avif", "Bmp", "Cur", "Dds", "Icns", "Ico", "Jpeg2K", "Pcx", "Png")
_PLUGINS += ("Ppm", "Psd", "Qoi", "Sgi", "Tga", "Tiff")


def prepare() -> None:
    """Load what is asked for, while files can still be opened."""
    Image.preinit()
    for plugin in _PLUGINS:
        importlib.import_module(f"PIL.{plugin}ImagePlugin")
    # Ours is checked instead; its own is a warning, and another number.
    Image.MAX_IMAGE_PIXELS = None
    pillow_heif.options.DECODE_THREADS = 1


def pillow_decoder(name: str, bytes_a_pixel: float = 6) -> Callable[[Job, BinaryIO], Picture]:
    """Make a decoder of one of Pillow's plugins alone.

    Args:
        name: the plugin's, as Pillow knows it.
        bytes_a_pixel: of memory, as measured.
    """

    def decode(job: Job, source: BinaryIO) -> Picture:
        return _by_pillow(job, source, name, bytes_a_pixel)

    return decode


def _by_pillow(job: Job, source: BinaryIO, name: str, bytes_a_pixel: float) -> Picture:
    source.seek(0)
    with _pillow_errors(), Image.open(source, formats=[name]) as image:
        width, height = image.size
        check_pixels(job, width, height)
        check_memory(job, BASE_BYTES + int(width * height * bytes_a_pixel))
        frames = int(getattr(image, "n_frames", 1)) if name in {"PNG", "AVIF", "TIFF"} else 1
        tried = 1 if name == "TIFF" else min(frames, FRAMES_TRIED)
        for place in range(tried):
            if frames > 1:
                image.seek(place)
            turned = image.getexif().get(0x0112) in {5, 6, 7, 8}
            # In place: a copy has all its pixels again.
            ImageOps.exif_transpose(image, in_place=True)
            shown = _from_pillow(image, job.max_side)
            if tried == 1 or not is_blank(shown):
                break
        else:
            image.seek(0)
            place, shown = 0, _from_pillow(image, job.max_side)
        if turned:
            width, height = height, width
        return Picture(shown, width, height, frames, place + 1, pages=name == "TIFF")


def _from_pillow(image: Any, side: int) -> Any:
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "CMYK", "L"} else None
    if image.mode.startswith(("I", "F")):
        return _from_deep_pillow(image, side)
    transparent = image.has_transparency_data or image.mode in {"La", "RGBa"}
    wanted = "RGBA" if transparent else "RGB"
    if image.mode != wanted and (image.mode != "CMYK" or profile is None):
        image = image.convert(wanted)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    bands = len(image.getbands())
    made = VipsImage.new_from_memory(image.tobytes(), *image.size, bands, "uchar")
    made = made.copy(interpretation="cmyk" if image.mode == "CMYK" else "srgb")
    return with_profile(made, profile)


def _from_deep_pillow(image: Any, side: int) -> Any:
    """Sixteen bits, or numbers: Pillow itself would cut them off at 255."""
    image = image.convert("F") if image.mode != "F" else image
    made = VipsImage.new_from_memory(image.tobytes(), *image.size, 1, "float")
    low, high = made.min(), made.max()
    made = ((made - low) * (255 / (high - low)) if high > low else made * 0).cast("uchar")
    made = made.copy(interpretation="b-w").colourspace("srgb")
    return made.thumbnail_image(side, height=side, size="down").copy_memory()


def heif(job: Job, source: BinaryIO) -> Picture:
    """HEIC by libheif, whose plane goes to libvips as it is: Pillow would copy it to four bands."""
    source.seek(0)
    with _pillow_errors():
        found = pillow_heif.open_heif(source, convert_hdr_to_8bit=True, bgr_mode=False)
        count, image = len(found), found[found.primary_index]
        width, height = image.size
        check_pixels(job, width, height)
        check_memory(job, BASE_BYTES + int(width * height * 5.5))
        bands = {"RGB": 3, "RGBA": 4, "L": 1, "LA": 2}.get(image.mode.split(";")[0], 0)
        if not bands:
            raise RefusedError("unsupported", f"HEIF of the kind {image.mode}")
        plane, stride = image.data, image.stride
    with vips_errors():
        made = VipsImage.new_from_memory(plane, stride // bands, height, bands, "uchar")
        made = made.crop(0, 0, width, height)
        made = made.copy(interpretation="srgb" if bands > 2 else "b-w")
        made = made.thumbnail_image(job.max_side, height=job.max_side, size="down")
        profile: Any = image.info.get("icc_profile")
        made = with_profile(made, profile)
    return Picture(made, width, height, count, found.primary_index + 1)


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    # Decoders in Python fail in as many ways as bytes can be wrong.
    except Exception as exc:
        words = f"{type(exc).__name__}: {' '.join(str(exc).split())[:200]}"
        raise RefusedError("unreadable", f"the bytes cannot be decoded: {words}") from exc
