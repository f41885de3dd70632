"""From the picture to the JPEG that is sent."""

from __future__ import annotations

from typing import Any, BinaryIO

from describer.images.worker.decoders import DECODERS
from describer.images.worker.job import Job, RefusedError

# A luma this near to the background's does not stand out from it.
_NEAR = 40
_QUALITIES = (90, 80, 65)
_SMALLEST_SIDE = 64


def convert(job: Job, source: BinaryIO, target: BinaryIO) -> dict[str, Any]:
    """Make the JPEG.

    JPEG for everything: every model server takes it, its size is bounded, and at this quality
    without subsampled colour small coloured lettering stays as sharp as it was.

    Raises:
        RefusedError: it cannot be made.
    """
    picture = DECODERS[job.content_type](job, source)
    image, background = _opaque(picture.image)
    content, width, height = _encoded(image, job.max_bytes)
    target.write(content)
    target.flush()
    notes = [*picture.notes]
    if picture.frames > 1:
        kind = "pages" if picture.pages else "frames"
        place = "first" if picture.frame == 1 else f"number {picture.frame}"
        notes.insert(0, f"{place} of {picture.frames} {kind}")
    if background:
        notes.append(f"on {background}")
    if max(width, height) < max(picture.width, picture.height):
        notes.append(f"scaled from {picture.width}x{picture.height} to {width}x{height}")
    return {"size": len(content), "notes": notes}


def _encoded(image: Any, max_bytes: int) -> tuple[bytes, int, int]:
    while True:
        for quality in _QUALITIES:
            content: bytes = image.jpegsave_buffer(Q=quality, subsample_mode="off", keep="none")
            if len(content) <= max_bytes:
                return content, image.width, image.height
        if max(image.width, image.height) <= _SMALLEST_SIDE:
            raise RefusedError("too_large", f"no JPEG of it has {max_bytes} bytes or fewer")
        image = image.resize(0.7).copy_memory()


def _opaque(image: Any) -> tuple[Any, str]:
    """Lay a transparent picture on what leaves it readable: white, else black, else grey.

    White lettering on nothing, laid on white, would vanish.
    """
    if not image.hasalpha():
        return image, ""
    image = image.copy_memory()
    alpha = image[image.bands - 1]
    if alpha.min() == 255:
        return image[: image.bands - 1], ""
    small = image.thumbnail_image(256, height=256, size="down")
    visible = small[small.bands - 1].cast("float") / 255
    luma = small[: small.bands - 1].colourspace("b-w")[0].cast("float")
    total = visible.avg()
    name, level = "white", 255
    if total > 0:
        lost = {
            level: (((luma - level).abs() < _NEAR).ifthenelse(visible, 0)).avg() / total
            for level in (255, 0, 128)
        }
        # White is what a page is; something else must be clearly better.
        if lost[255] > 0.05:
            level = min(lost, key=lambda one: lost[one])
            name = {255: "white", 0: "black", 128: "grey"}[level]
    return image.flatten(background=[level] * (image.bands - 1)), name
