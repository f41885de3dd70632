"""What an image's own structure tells without decoding it. Pure, and quick: a few hops.

Model servers decode what they are sent with whatever they have: some take a picture that ends
half-way for a whole one, drop what is transparent, or leave a photograph on its side. What is seen
here to be of that kind is converted before it is sent, or refused.
"""

from __future__ import annotations

import struct
from typing import Protocol

# A file of more parts than this is not looked through to its end.
_HOPS = 20_000

# Of these only the end shows that they are whole; of others the head says how long they are.
ENDING_IN_A_MARKER = frozenset({"image/jpeg", "image/png"})


class Content(Protocol):
    """An image's bytes, to be looked into."""

    @property
    def size(self) -> int:
        """How many there are."""

    def at(self, start: int, size: int) -> bytes:
        """Copy some of them; fewer at the end."""

    def find_last(self, needle: bytes, start: int) -> int:
        """Give where the needle begins the last time, from `start` on; -1 if nowhere."""


class MiddleError(Exception):
    """It takes bytes between a file's ends to tell."""


class Ends:
    """The first and the last bytes of a file as its `Content`: what lies between is not known.

    Whatever asks for that gets `MiddleError`, never a guess.
    """

    def __init__(self, size: int, head: bytes, tail: bytes = b"") -> None:
        self.size = size
        self._head, self._tail = head, tail
        self._tail_start = size - len(tail)

    def at(self, start: int, size: int) -> bytes:
        """See `Content.at`."""
        end = min(start + size, self.size)
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : end - self._tail_start]
        if end > len(self._head):
            raise MiddleError
        return self._head[start:end]

    def find_last(self, needle: bytes, start: int) -> int:
        """See `Content.find_last`."""
        found = self._tail.rfind(needle, max(0, start - self._tail_start))
        if found >= 0:
            return self._tail_start + found
        if len(self._head) < self._tail_start:
            raise MiddleError
        return self._head.rfind(needle, start)


def is_cut(content_type: str, content: Content) -> bool:
    """Tell whether the file ends before the picture does, as of an upload that broke off."""
    look = {
        "image/jpeg": _jpeg_is_cut,
        "image/png": _png_is_cut,
        "image/webp": _webp_is_cut,
        "image/gif": _gif_is_cut,
        "image/bmp": _bmp_is_cut,
        "image/heic": _boxes_are_cut,
        "image/heif": _boxes_are_cut,
        "image/avif": _boxes_are_cut,
    }.get(content_type)
    return look is not None and look(content)


def oddity(content_type: str, content: Content) -> str | None:
    """Name what servers that take this format make something else of; None if there is nothing."""
    if content_type == "image/jpeg":
        return _jpeg_oddity(content)
    if content_type == "image/png":
        return _png_oddity(content)
    if content_type == "image/webp":
        return _webp_oddity(content)
    if content_type == "image/gif":
        # How many frames there are shows only at the end.
        return "maybe animated"
    return None


def pixels(content_type: str, content: Content) -> int:
    """Give how many a JPEG, PNG or WebP says that it has; 0 where that cannot be told."""
    look = {"image/jpeg": _jpeg_pixels, "image/png": _png_pixels, "image/webp": webp_pixels}
    return look[content_type](content) if content_type in look else 0


# --- JPEG: segments up to the first scan. Source: ITU-T T.81, B.1 and B.2


def jpeg_segments(content: Content) -> list[tuple[int, int, int]]:
    """List marker, start and length of each segment up to the first scan, or the break."""
    found: list[tuple[int, int, int]] = []
    place = 2
    for _ in range(_HOPS):
        head = content.at(place, 4)
        if len(head) < 4 or head[0] != 0xFF:
            break
        if head[1] == 0xFF:  # Fill bytes may stand before any marker.
            place += 1
            continue
        length = int.from_bytes(head[2:4], "big")
        found.append((head[1], place + 4, length - 2))
        if head[1] in {0xDA, 0xD9}:
            break
        place += 2 + length
    return found


def _is_frame(marker: int) -> bool:
    return 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}


def _jpeg_is_cut(content: Content) -> bool:
    segments = jpeg_segments(content)
    if not segments or segments[-1][0] != 0xDA:
        # Nothing is known of what begins so oddly, but that it is no whole picture if it ends here.
        return content.find_last(b"\xff\xd9", 2) < 0
    # In the picture itself FF is always followed by 00 or by a marker. What stands behind its
    # end, as cameras put there, is of no interest.
    return content.find_last(b"\xff\xd9", segments[-1][1]) < 0


def _jpeg_pixels(content: Content) -> int:
    for marker, start, _ in jpeg_segments(content):
        if _is_frame(marker) and len(size := content.at(start + 1, 4)) == 4:
            height, width = struct.unpack(">HH", size)
            return int(height * width)
    return 0


def _jpeg_oddity(content: Content) -> str | None:
    segments = jpeg_segments(content)
    if not segments or segments[-1][0] != 0xDA:
        return "broken"
    for marker, start, size in segments:
        if _is_frame(marker) and content.at(start + 5, 1) == b"\x04":
            return "CMYK"
        if marker == 0xE1 and content.at(start, 6) == b"Exif\0\0":
            turn = _orientation(content.at(start + 6, max(0, size - 6)))
            if turn not in {0, 1}:
                return "turned"
    return None


def _orientation(exif: bytes) -> int:
    """Read tag 0x0112 of the first directory; 0 if it is not there. Source: Exif 3.0, 4.6."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return 0
        (place,) = struct.unpack_from(f"{order}4xI", exif)
        (entries,) = struct.unpack_from(f"{order}H", exif, place)
        for entry in range(min(entries, 200)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + 12 * entry)
            if tag == 0x0112 and kind == 3:
                return value if 1 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def jpeg_coefficient_bytes(content: Content) -> int:
    """Give what a progressive JPEG's coefficients take while it is decoded; 0 for others."""
    for marker, start, size in jpeg_segments(content):
        if not _is_frame(marker):
            continue
        frame = content.at(start, size)
        if marker not in {0xC2, 0xC6, 0xCA, 0xCE} or len(frame) < 6:
            return 0
        height, width = struct.unpack_from(">HH", frame, 1)
        factors = [(byte >> 4, byte & 15) for byte in frame[7::3][: frame[5]]]
        across = max((h for h, _ in factors), default=1) or 1
        down = max((v for _, v in factors), default=1) or 1
        share = sum(h * v for h, v in factors) / (across * down)
        return int(width * height * share * 2)
    return 0


# --- PNG: chunks. Source: https://www.w3.org/TR/png-3/


# Empty, and with the checksum that it always has.
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def png_chunks(content: Content, last: bytes = b"IEND") -> list[tuple[bytes, int, int]]:
    """List kind, start and length of each chunk up to the first of a kind, or the break."""
    found: list[tuple[bytes, int, int]] = []
    place = 8
    for _ in range(_HOPS):
        head = content.at(place, 8)
        if len(head) < 8:
            break
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        # The picture's many parts count once.
        if kind != b"IDAT" or not found or found[-1][0] != b"IDAT":
            found.append((kind, place + 8, length))
        if kind == last:
            break
        place += 12 + length
    else:
        found.append((b"IEND", 0, 0))
    return found


def _png_is_cut(content: Content) -> bool:
    if content.at(max(0, content.size - len(_PNG_END)), len(_PNG_END)) == _PNG_END:
        return False
    chunks = png_chunks(content)
    return chunks != [] and chunks[-1][0] != b"IEND"


def _png_pixels(content: Content) -> int:
    size = content.at(16, 8)
    if len(size) < 8:
        return 0
    width, height = struct.unpack(">II", size)
    return int(width * height)


def _png_oddity(content: Content) -> str | None:
    # What tells of it stands before the picture.
    for kind, start, _ in png_chunks(content, b"IDAT"):
        if kind == b"IHDR":
            depth, colour = (*content.at(start + 8, 2), 0, 0)[:2]
            if colour in {4, 6}:
                return "transparent"
            if depth == 16:
                return "16 bits"
        if kind == b"acTL":
            return "animated"
        if kind == b"tRNS":
            return "transparent"
    return None


def png_whole_bytes(content: Content) -> int:
    """Give what an interlaced PNG takes, which is decoded whole; 0 for others."""
    head = content.at(16, 13)
    if len(head) < 13 or not head[12]:
        return 0
    width, height = struct.unpack_from(">II", head)
    return int(width * height * 4 * (2 if head[8] == 16 else 1))


# --- GIF: blocks. Source: GIF89a, 17 to 27


def _gif_is_cut(content: Content) -> bool:
    head = content.at(0, 13)
    if len(head) < 13:
        return True
    place = 13 + _table_bytes(head[10])
    for _ in range(_HOPS):
        kind = content.at(place, 1)
        # Without its last byte it is whole all the same.
        if kind in {b"", b";"}:
            return place > content.size
        if kind == b",":
            # A frame's head, its colours, and one byte before its pixels.
            flags = content.at(place + 9, 1)
            place += 11 + _table_bytes(flags[0] if flags else 0)
        elif kind == b"!":
            place += 2
        else:
            return False
        while size := content.at(place, 1):
            place += 1 + size[0]
            if size == b"\0":
                break
        else:
            return True
    return False


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


# --- WebP: RIFF chunks. Source: RFC 9649


def _webp_is_cut(content: Content) -> bool:
    # A writer may forget the byte that makes the size even.
    return content.size < int.from_bytes(content.at(4, 4), "little") + 7


def _webp_oddity(content: Content) -> str | None:
    kind, flags = content.at(12, 4), content.at(20, 1)
    if kind == b"VP8X" and flags:
        if flags[0] & 0x02:
            return "animated"
        if flags[0] & 0x10:
            return "transparent"
    if kind == b"VP8L" and int.from_bytes(content.at(21, 4), "little") >> 28 & 1:
        return "transparent"
    return None


def webp_pixels(content: Content) -> int:
    """Give how many pixels the canvas has; 0 if that cannot be told."""
    head = content.at(12, 18)
    if len(head) < 18:
        return 0
    if head[:4] == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (12, 15))
    elif head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (14, 16))
    return width * height


def webp_is_lossless(content: Content) -> bool:
    """Tell whether the picture is decoded whole, to four bytes a pixel."""
    place = 12
    for _ in range(50):
        head = content.at(place, 8)
        if len(head) < 8 or head[:4] in {b"VP8L", b"VP8 "}:
            return head[:4] == b"VP8L"
        place += 8 + (int.from_bytes(head[4:], "little") + 1) // 2 * 2
    return False


# --- BMP. Source: BITMAPFILEHEADER and BITMAPINFOHEADER of the Windows API


def _bmp_is_cut(content: Content) -> bool:
    head = content.at(0, 34)
    if len(head) < 34:
        return True
    start, size, width, height, _, depth, packing = struct.unpack_from("<IIiiHHI", head, 10)
    if size < 40 or packing not in {0, 3}:
        return False
    return bool(start + (abs(width) * depth + 31) // 32 * 4 * abs(height) > content.size)


# --- HEIF and AVIF: boxes. Source: ISO/IEC 14496-12, 4.2


def _boxes_are_cut(content: Content) -> bool:
    place = 0
    for _ in range(_HOPS):
        if place == content.size:
            return False
        head = content.at(place, 16)
        if len(head) < 8:
            # Less than a box's head is what some writers leave at the end.
            return False
        length = int.from_bytes(head[:4], "big")
        if length == 0:
            return False
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or place + length > content.size:
            return True
        place += length
    return False


# --- TIFF: the first directory. Source: TIFF 6.0; DNG 1.7


def is_raw_tiff(content: Content) -> bool:
    """Tell a camera's raw file by what it says: its first picture is a small one of several.

    Such a file is a TIFF to others, whose first picture is a thumbnail of 160 pixels.
    """
    if content.at(8, 2) == b"CR" and content.at(0, 2) == b"II":
        return True
    tags = tiff_tags(content)
    # DNGVersion; or SubIFDs below a NewSubfileType that says "reduced".
    return 0xC612 in tags or (0x014A in tags and tags.get(0x00FE, 0) & 1 == 1)


def tiff_tags(content: Content) -> dict[int, int]:
    """Give what the first directory's entries hold in their own four bytes, by tag."""
    head = content.at(0, 8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return {}
    (place,) = struct.unpack_from(f"{order}4xI", head)
    directory = content.at(place, 2 + 12 * 200)
    found: dict[int, int] = {}
    try:
        (entries,) = struct.unpack_from(f"{order}H", directory)
        for entry in range(min(entries, 199)):
            # A short number stands in the first two of the four.
            tag, kind = struct.unpack_from(f"{order}HH", directory, 2 + 12 * entry)
            value = f"{order}H" if kind == 3 else f"{order}I"
            (found[tag],) = struct.unpack_from(value, directory, 10 + 12 * entry)
    except struct.error:
        pass
    return found
