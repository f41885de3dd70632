"""Which decoder takes which type; it takes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from describer.images.structure import is_raw_tiff, tiff_tags
from describer.images.worker.job import File, Job, Picture, RefusedError
from describer.images.worker.pillow import heif, pillow_decoder
from describer.images.worker.vips import by_vips, svg

# What this build of libvips says of the kinds of TIFF that it does not read, but Pillow does. What
# is broken stays broken: Pillow would rather show half a picture.
_OTHER_TIFF = ("not configured", "not supported", "field 262", "whole number of bytes")


def _tiff(job: Job, source: BinaryIO) -> Picture:
    if is_raw_tiff(File(source)):
        # It begins with a thumbnail, which would be described for the picture.
        raise RefusedError("unsupported", "a camera's raw file; export it as JPEG")
    try:
        # Of JPEG in TIFF 6.0's own way, in tiles, libvips makes nothing, and says nothing.
        if tiff_tags(File(source)).get(0x0103) != 6:
            return by_vips(job, source, pages=True)
    except RefusedError as exc:
        if exc.kind != "unreadable" or not any(words in str(exc) for words in _OTHER_TIFF):
            raise
    return pillow_decoder("TIFF", 10)(job, source)


def _png(job: Job, source: BinaryIO) -> Picture:
    """Of an animated PNG libvips sees the first frame alone; of a broken one that is enough."""
    if b"acTL" in File(source).at(0, 1 << 16).partition(b"IDAT")[0]:
        try:
            return pillow_decoder("PNG")(job, source)
        except RefusedError as exc:
            if exc.kind != "unreadable":
                raise
    return by_vips(job, source)


DECODERS: dict[str, Callable[[Job, BinaryIO], Picture]] = {
    "image/jpeg": by_vips,
    "image/png": _png,
    "image/webp": partial(by_vips, animated=True),
    "image/gif": partial(by_vips, animated=True),
    "image/tiff": _tiff,
    "image/svg+xml": svg,
    "image/avif": pillow_decoder("AVIF", 7),
    "image/heic": heif,
    "image/heif": heif,
    "image/jxl": pillow_decoder("JXL", 8),
    "image/jp2": pillow_decoder("JPEG2000", 14),
    "image/bmp": pillow_decoder("BMP"),
    "image/x-icon": pillow_decoder("ICO"),
    "image/x-cursor": pillow_decoder("CUR"),
    "image/icns": pillow_decoder("ICNS"),
    "image/x-portable-anymap": pillow_decoder("PPM"),
    "image/x-tga": pillow_decoder("TGA"),
    "image/vnd.adobe.photoshop": pillow_decoder("PSD"),
    "image/vnd-ms.dds": pillow_decoder("DDS"),
    "image/qoi": pillow_decoder("QOI"),
    "image/x-pcx": pillow_decoder("PCX"),
    "image/x-sgi": pillow_decoder("SGI"),
}
