"""What is known of image formats: by their first bytes, by declared type, by name. Pure."""

from __future__ import annotations

import mimetypes

from describer.values import Upload

# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/overview
SENDABLE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
HEAD_BYTES = 64


def sniff(head: bytes) -> str | None:
    """Tell an image's type by its first bytes, or None if it is no image known here.

    Source: the signatures of https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern;
    ISO/IEC 14496-12 (`ftyp`) and ISO/IEC 23008-12 (brands) for HEIF and AVIF.
    """
    for signature, content_type in _SIGNATURES:
        if head.startswith(signature):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _heif_type(head)
    if b"<svg" in head[:HEAD_BYTES].lower():
        return "image/svg+xml"
    return None


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
)


def _heif_type(head: bytes) -> str | None:
    """Tell HEIC, HEIF and AVIF apart by the major brand, then by the compatible ones."""
    box = head[: min(int.from_bytes(head[:4], "big"), HEAD_BYTES)]
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))]
    for brand in brands:
        if brand in {b"avif", b"avis"}:
            return "image/avif"
        if brand in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}:
            return "image/heic"
    return "image/heif" if {b"mif1", b"msf1", b"heif"} & set(brands) else None


# What an uploader sends who does not know; the last is what curl says of any bytes. The name, then
# the bytes, tell more.
_UNTOLD_TYPES = frozenset(
    {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/x-www-form-urlencoded",
    }
)
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
}


_EXTENSIONS = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "jfif": "image/jpeg",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}


# The built-in table alone: the module's functions would read the machine's own files as well.
_OTHER_TYPES = mimetypes.MimeTypes()


def likely_image_type(upload: Upload) -> str | None:
    """Tell the image type from the declared type, else from the name's extension.

    Returns:
        An `image/...` type; "" if it is something else; None if only the bytes can tell, which is
        also so where another type is declared for the name of an image that can be sent.
    """
    declared = _ALIASES.get(upload.content_type, upload.content_type)
    if declared.startswith("image/"):
        return declared
    stem, dot, extension = upload.name.rpartition("/")[2].rpartition(".")
    known = _EXTENSIONS.get(extension.lower()) if stem and dot else None
    if declared not in _UNTOLD_TYPES:
        return None if known in SENDABLE_TYPES else ""
    if known is None and stem and dot and _OTHER_TYPES.guess_type(f"x.{extension}")[0]:
        return ""
    return known
