"""Which decoder takes which type; it takes nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from describer.images.worker.job import Job, Picture
from describer.images.worker.pillow import heif, pillow_decoder
from describer.images.worker.vips import by_vips, svg, tiff


def _png(job: Job, source: BinaryIO) -> Picture:
    """Of an animated PNG libvips sees the first frame alone."""
    animated = b"acTL" in os.pread(source.fileno(), 1 << 16, 0).partition(b"IDAT")[0]
    decode = pillow_decoder("PNG") if animated else by_vips
    return decode(job, source)


DECODERS: dict[str, Callable[[Job, BinaryIO], Picture]] = {
    "image/jpeg": by_vips,
    "image/png": _png,
    "image/webp": partial(by_vips, animated=True),
    "image/gif": partial(by_vips, animated=True),
    "image/tiff": tiff,
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
