"""What is known of image formats: by their first bytes, by declared type, by name. Pure."""

from __future__ import annotations

import mimetypes

from describer.values import Upload

# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/overview
SENDABLE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
# What is converted to JPEG where the server does not take it, or not as it is.
CONVERTIBLE_TYPES = SENDABLE_TYPES | {
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/icns",
    "image/jp2",
    "image/jxl",
    "image/qoi",
    "image/svg+xml",
    "image/tiff",
    "image/vnd-ms.dds",
    "image/vnd.adobe.photoshop",
    "image/x-cursor",
    "image/x-icon",
    "image/x-pcx",
    "image/x-portable-anymap",
    "image/x-sgi",
    "image/x-tga",
}
# What is known, and left: no library here draws it without running it, or without files.
UNSUPPORTED_TYPES = {
    "application/pdf": "a PDF document, not an image; export its page as PNG",
    "application/postscript": "PostScript (EPS), which is a program; export it as PNG or SVG",
    "image/emf": "a Windows metafile; export it as PNG or SVG",
    "image/vnd.radiance": "Radiance HDR; export it as JPEG, PNG or TIFF",
    "image/x-exr": "OpenEXR; export it as JPEG, PNG or TIFF",
    "image/x-raw": "a camera's raw file; export it as JPEG",
    "image/x-xcf": "a GIMP project; export it as PNG",
}
HEAD_BYTES = 512


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
    if head[:3] == b"\0\0\1" and head[3:4] == b"\0" and head[4:6] > b"\0\0":
        return "image/x-icon"
    # A Targa of the usual kind begins alike, with zeros where a cursor has its number of sizes.
    if head[:3] == b"\0\0\2" and head[3:4] == b"\0" and head[4:6] > b"\0\0":
        return "image/x-cursor"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "image/x-portable-anymap"
    if head[:3] in {b"Pf\n", b"PF\n"}:
        return "image/x-portable-anymap"
    if b"<svg" in head.lower() and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "image/svg+xml"
    return None


# What a type without a signature of its own may begin with; asked only where it is declared.
_BY_NAME_ALONE = {"image/x-tga": range(12), "image/x-pcx": (10,)}


def type_of(head: bytes, likely: str | None) -> str | None:
    """Tell the type by the first bytes, or take the likely one where they cannot contradict it."""
    found = sniff(head)
    if found is None and likely in _BY_NAME_ALONE and head:
        place = 2 if likely == "image/x-tga" else 0
        if head[place : place + 1] and head[place] in _BY_NAME_ALONE[likely]:
            return likely
    return found


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"FUJIFILMCCD-RAW", "image/x-raw"),
    (b"IIRO", "image/x-raw"),
    (b"IIRS", "image/x-raw"),
    (b"IIU\x00", "image/x-raw"),
    (b"FOVb", "image/x-raw"),
    (b"icns", "image/icns"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"DDS ", "image/vnd-ms.dds"),
    (b"qoif", "image/qoi"),
    (b"\x01\xda", "image/x-sgi"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"\xc5\xd0\xd3\xc6", "application/postscript"),
    (b"\xd7\xcd\xc6\x9a", "image/emf"),
    (b"\x01\x00\x00\x00\x58\x00\x00\x00", "image/emf"),
    (b"#?RADIANCE", "image/vnd.radiance"),
    (b"#?RGBE", "image/vnd.radiance"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"gimp xcf ", "image/x-xcf"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
)


def _heif_type(head: bytes) -> str | None:
    """Tell HEIC, HEIF and AVIF apart by the major brand, then by the compatible ones."""
    box = head[: min(int.from_bytes(head[:4], "big"), 128)]
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))]
    if brands[0] == b"crx ":
        return "image/x-raw"
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
    "image/apng": "image/png",
    "image/vnd.mozilla.apng": "image/png",
    "image/x-webp": "image/webp",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heif",
    "image/avif-sequence": "image/avif",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/x-windows-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "image/x-tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/ico": "image/x-icon",
    "image/icon": "image/x-icon",
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/x-win-bitmap": "image/x-cursor",
    "image/x-icns": "image/icns",
    "image/jpx": "image/jp2",
    "image/jpeg2000": "image/jp2",
    "image/jpeg2000-image": "image/jp2",
    "image/x-jp2": "image/jp2",
    "image/j2k": "image/jp2",
    "image/x-j2c": "image/jp2",
    "image/x-portable-bitmap": "image/x-portable-anymap",
    "image/x-portable-graymap": "image/x-portable-anymap",
    "image/x-portable-pixmap": "image/x-portable-anymap",
    "image/x-portable-floatmap": "image/x-portable-anymap",
    "image/x-targa": "image/x-tga",
    "image/tga": "image/x-tga",
    "image/targa": "image/x-tga",
    "image/pcx": "image/x-pcx",
    "image/vnd.zbrush.pcx": "image/x-pcx",
    "image/sgi": "image/x-sgi",
    "image/x-rgb": "image/x-sgi",
    "image/x-dds": "image/vnd-ms.dds",
    "image/vnd.ms-dds": "image/vnd-ms.dds",
    "image/x-qoi": "image/qoi",
    "image/psd": "image/vnd.adobe.photoshop",
    "image/x-psd": "image/vnd.adobe.photoshop",
    "image/x-photoshop": "image/vnd.adobe.photoshop",
    "image/svg": "image/svg+xml",
    "image/svg-xml": "image/svg+xml",
    "image/x-eps": "application/postscript",
    "image/eps": "application/postscript",
    "image/wmf": "image/emf",
    "image/x-wmf": "image/emf",
    "image/x-emf": "image/emf",
    "image/hdr": "image/vnd.radiance",
    "image/aces": "image/x-exr",
    **dict.fromkeys(
        (
            "image/x-adobe-dng",
            "image/dng",
            "image/x-canon-cr2",
            "image/x-canon-cr3",
            "image/x-canon-crw",
            "image/x-fuji-raf",
            "image/x-nikon-nef",
            "image/x-olympus-orf",
            "image/x-panasonic-rw2",
            "image/x-pentax-pef",
            "image/x-sony-arw",
        ),
        "image/x-raw",
    ),
}


_EXTENSIONS = {
    "apng": "image/png",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "cur": "image/x-cursor",
    "dds": "image/vnd-ms.dds",
    "dib": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "icns": "image/icns",
    "ico": "image/x-icon",
    "j2c": "image/jp2",
    "j2k": "image/jp2",
    "jfif": "image/jpeg",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jp2": "image/jp2",
    "jpf": "image/jp2",
    "jpx": "image/jp2",
    "jxl": "image/jxl",
    "pbm": "image/x-portable-anymap",
    "pcx": "image/x-pcx",
    "pfm": "image/x-portable-anymap",
    "pgm": "image/x-portable-anymap",
    "png": "image/png",
    "pnm": "image/x-portable-anymap",
    "ppm": "image/x-portable-anymap",
    "psd": "image/vnd.adobe.photoshop",
    "qoi": "image/qoi",
    "rgb": "image/x-sgi",
    "sgi": "image/x-sgi",
    "svg": "image/svg+xml",
    "tga": "image/x-tga",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    **dict.fromkeys(
        ("arw", "cr2", "cr3", "crw", "dng", "nef", "orf", "pef", "raf", "rw2"), "image/x-raw"
    ),
    **dict.fromkeys(("emf", "wmf"), "image/emf"),
    "exr": "image/x-exr",
    "hdr": "image/vnd.radiance",
    "xcf": "image/x-xcf",
}


# The built-in table alone: the module's functions would read the machine's own files as well.
_OTHER_TYPES = mimetypes.MimeTypes()


def likely_image_type(upload: Upload) -> str | None:
    """Tell the image type from the declared type, else from the name's extension.

    Returns:
        An `image/...` type; "" if it is something else; None if only the bytes can tell, which is
        also so where another type is declared for the name of an image that can be sent or
        converted.
    """
    declared = _ALIASES.get(upload.content_type, upload.content_type)
    # A type that only some programs know is one of an image as well.
    if declared.startswith("image/") or upload.content_type.startswith("image/"):
        return declared
    stem, dot, extension = upload.name.rpartition("/")[2].rpartition(".")
    known = _EXTENSIONS.get(extension.lower()) if stem and dot else None
    if declared not in _UNTOLD_TYPES:
        return None if known in CONVERTIBLE_TYPES else ""
    if known is None and stem and dot and _OTHER_TYPES.guess_type(f"x.{extension}")[0]:
        return ""
    return known
