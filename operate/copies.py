"""Texts into copies of pictures, as XMP: the picture itself stays as it is, byte for byte.

    JPEG   an APP1 segment, behind JFIF's and Exif's
    PNG    an `iTXt` chunk, before the picture

Source: Adobe, XMP Specification Part 3, 1.1.3 (JPEG) and 1.1.5 (PNG)
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from describer.images.formats import type_of
from describer.images.structure import Ends, jpeg_segments, png_chunks
from operate.xmp import PROPERTIES, description, packet

_JPEG_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_MARK = b"XML:com.adobe.xmp\0\0\0\0\0"
# The length of a segment counts itself.
_MOST_JPEG_BYTES = 0xFFFF - 2


def with_texts(content: bytes, fields: Mapping[str, Any]) -> bytes | None:
    """Give a copy of a picture that holds the texts of its record.

    None where it cannot: it is neither JPEG nor PNG, has texts of its own, or no room for these.
    """
    whole = Ends(len(content), content)
    found = type_of(content[:64], None)
    if found == "image/jpeg":
        return _into_jpeg(content, whole, fields)
    return _into_png(content, whole, fields) if found == "image/png" else None


def _into_jpeg(content: bytes, whole: Ends, fields: Mapping[str, Any]) -> bytes | None:
    before, place, end = b"", 2, 2
    for marker, start, size in jpeg_segments(whole):
        payload = whole.at(start, size)
        if marker == 0xE0 or (marker == 0xE1 and payload.startswith(b"Exif\0\0")):
            place = end = start + size
        elif marker == 0xE1 and payload.startswith(_JPEG_MARK):
            before, place, end = payload[len(_JPEG_MARK) :], start - 4, start + size
            break
    made = _merged(before, fields)
    if made is None or len(_JPEG_MARK) + len(made) > _MOST_JPEG_BYTES:
        return None
    segment = _JPEG_MARK + made
    head = struct.pack(">BBH", 0xFF, 0xE1, len(segment) + 2)
    return content[:place] + head + segment + content[end:]


def _into_png(content: bytes, whole: Ends, fields: Mapping[str, Any]) -> bytes | None:
    before, place, end = b"", 0, 0
    for kind, start, size in png_chunks(whole):
        if kind == b"IDAT" and not place:
            place = end = start - 8
        if kind == b"iTXt" and whole.at(start, size).startswith(_PNG_MARK.split(b"\0")[0] + b"\0"):
            if not whole.at(start, size).startswith(_PNG_MARK):
                return None
            before, place, end = whole.at(start + 22, size - 22), start - 8, start + size + 4
            break
    made = _merged(before, fields)
    if made is None or not place:
        return None
    chunk = b"iTXt" + _PNG_MARK + made
    written = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:place] + written + content[end:]


def _merged(before: bytes, fields: Mapping[str, Any]) -> bytes | None:
    """Put the texts beside what the packet of the file says, which nobody reads here as XML."""
    if not before:
        return packet(fields)
    head, end, tail = before.rpartition(b"</rdf:RDF>")
    if not end or any(re.search(rb"[:<]" + name.encode() + rb"\b", before) for name in PROPERTIES):
        return None
    return head + description(fields) + end + tail
