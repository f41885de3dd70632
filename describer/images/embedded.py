"""What an image's own metadata say: EXIF, IPTC-IIM and XMP, found without decoding the picture.

    JPEG   EXIF and XMP in APP1 segments, IPTC in Photoshop's APP13
    PNG    EXIF in `eXIf`, XMP in an `iTXt` that is not packed
    WebP   EXIF and XMP in chunks behind the picture
    TIFF   EXIF's own tags, XMP and IPTC in two more

All bytes are a stranger's. Whatever is odd, too large or not to be decoded is passed over: a field
is absent rather than wrong. Nothing here packs out, and XML with a document type, without which
there are no entities, is not read.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from describer.images.structure import Content, MiddleError, jpeg_segments, png_chunks
from describer.metadata import KINDS
from describer.threads import in_thread

_PACKET_BYTES = 256 * 1024
_VALUE_BYTES = 16 * 1024
_ENTRIES = 200
_CHUNKS = 1000
_DEPTH = 40

At: TypeAlias = Callable[[int, int], bytes]

# Source: Exif 3.0, 4.6; the XP tags: https://exiftool.org/TagNames/EXIF.html
_EXIF = {
    "exif:ImageDescription": 0x010E,
    "exif:Artist": 0x013B,
    "exif:DateTimeOriginal": 0x9003,
    "exif:UserComment": 0x9286,
    "exif:XPTitle": 0x9C9B,
    "exif:XPComment": 0x9C9C,
    "exif:XPKeywords": 0x9C9E,
    "exif:XPSubject": 0x9C9F,
}
_EXIF_DIRECTORY, _XMP_TAG, _IPTC_TAG = 0x8769, 0x02BC, 0x83BB
_TAGS = {*_EXIF.values(), _EXIF_DIRECTORY, _XMP_TAG, _IPTC_TAG}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 129: 1}
# Datasets of record 2. Source: IPTC-IIM 4.2, chapter 6
_IPTC = {
    "iptc:ObjectName": 5,
    "iptc:Headline": 105,
    "iptc:Caption-Abstract": 120,
    "iptc:Keywords": 25,
    "iptc:DateCreated": 55,
    "iptc:By-line": 80,
    "iptc:Sub-location": 92,
    "iptc:City": 90,
    "iptc:Province-State": 95,
    "iptc:Country-PrimaryLocationName": 101,
}
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_LANG = "http://www.w3.org/XML/1998/namespace lang"
_XMP = {
    f"{_NAMESPACES[prefix]} {local}": name
    for name, (source, prefix, local) in ((n, n.split(":")) for n in KINDS if n.count(":") == 2)
}


@dataclass(frozen=True, slots=True)
class Packets:
    """The metadata as they stand in the file.

    Attributes:
        exif: values by tag, of both directories.
        big_endian: how EXIF writes what is longer than a byte.
    """

    exif: Mapping[int, bytes] = field(default_factory=dict)
    big_endian: bool = False
    iptc: bytes = b""
    xmp: bytes = b""


async def read(content_type: str, content: Content, names: Iterable[str]) -> dict[str, str]:
    """Give the text of each of these fields that the image has, by name; not bounded yet.

    Args:
        content_type: what the bytes are; nothing is found in other types than the four above.
        content: the image, or its ends.
        names: of KINDS.
    """
    packets = _find(content_type, content)
    # From here on on copies: the image may be given back meanwhile.
    return await in_thread(texts_in, packets, frozenset(names))


def texts_in(packets: Packets, names: frozenset[str]) -> dict[str, str]:
    """Decode the fields that are wanted."""
    found = {
        name: _exif_text(name, packets.exif[tag], big_endian=packets.big_endian)
        for name, tag in _EXIF.items()
        if name in names and tag in packets.exif
    }
    if packets.iptc and not names.isdisjoint(_IPTC):
        found |= _iptc_texts(packets.iptc)
    if packets.xmp and not names.isdisjoint(_XMP.values()):
        found |= _xmp_texts(packets.xmp)
    return {name: text for name, text in found.items() if text and name in names}


def _find(content_type: str, content: Content) -> Packets:
    """Copy the packets out: a few hops."""
    find = {
        "image/jpeg": _in_jpeg,
        "image/png": _in_png,
        "image/webp": _in_webp,
        "image/tiff": _in_tiff,
    }.get(content_type)
    try:
        return Packets() if find is None else find(content)
    except MiddleError:
        return Packets()


def _in_jpeg(content: Content) -> Packets:
    exif = iptc = xmp = b""
    for marker, start, size in jpeg_segments(content):
        if marker not in {0xE1, 0xED}:
            continue
        begin = content.at(start, min(size, len(_XMP_MARK)))
        if begin.startswith(_EXIF_MARK) and not exif:
            exif = content.at(start, size)[len(_EXIF_MARK) :]
        elif begin.startswith(_XMP_MARK) and not xmp:
            xmp = content.at(start, size)[len(_XMP_MARK) :]
        elif begin.startswith(_IRB_MARK) and not iptc:
            iptc = _iptc_of_photoshop(content.at(start, size)[len(_IRB_MARK) :])
    return _packets(exif, iptc, xmp)


# Sources: Adobe, XMP Specification Part 3, 1.1.3; Photoshop File Formats, "Image Resource Blocks"
_EXIF_MARK = b"Exif\0\0"
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
_IRB_MARK = b"Photoshop 3.0\0"


def _iptc_of_photoshop(blocks: bytes) -> bytes:
    place = 0
    while blocks[place : place + 4] == b"8BIM" and place + 12 <= len(blocks):
        kind, name_size = struct.unpack_from(">HB", blocks, place + 4)
        place += 6 + (name_size + 2) // 2 * 2
        size = int.from_bytes(blocks[place : place + 4], "big")
        if kind == 0x0404:
            return blocks[place + 4 : place + 4 + size]
        place += 4 + (size + 1) // 2 * 2
    return b""


def _in_png(content: Content) -> Packets:
    exif = xmp = b""
    try:
        chunks = png_chunks(content)
    except MiddleError:
        # Of what stands behind the picture nothing is known then.
        chunks = png_chunks(content, b"IDAT")
    for kind, start, size in chunks:
        if size > _PACKET_BYTES:
            continue
        if kind == b"eXIf" and not exif:
            exif = _known(content, start, size)
        elif kind == b"iTXt" and not xmp:
            key, _, rest = _known(content, start, size).partition(b"\0")
            if key == b"XML:com.adobe.xmp" and rest[:1] == b"\0":
                # Two bytes on packing, then a language and a translated key, each ended by 0.
                xmp = rest[2:].split(b"\0", 2)[-1]
    return _packets(exif, b"", xmp)


def _in_webp(content: Content) -> Packets:
    exif = xmp = b""
    place = 12
    for _ in range(_CHUNKS):
        head = _known(content, place, 8)
        if len(head) < 8:
            break
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF" and size <= _PACKET_BYTES:
            exif = _known(content, place + 8, size).removeprefix(_EXIF_MARK)
        elif head[:4] == b"XMP " and size <= _PACKET_BYTES:
            xmp = _known(content, place + 8, size)
        place += 8 + (size + 1) // 2 * 2
    return _packets(exif, b"", xmp)


def _known(content: Content, start: int, size: int) -> bytes:
    """Copy some bytes; none of what lies between two ends."""
    try:
        return content.at(start, size)
    except MiddleError:
        return b""


def _in_tiff(content: Content) -> Packets:
    found, big_endian = _exif_values(content.at)
    return Packets(found, big_endian, found.get(_IPTC_TAG, b""), found.get(_XMP_TAG, b""))


def _packets(exif: bytes, iptc: bytes, xmp: bytes) -> Packets:
    found, big_endian = _exif_values(lambda start, size: exif[start : start + size])
    return Packets(found, big_endian, iptc, xmp)


def _exif_values(at: At) -> tuple[dict[int, bytes], bool]:
    """Give what the first directory and EXIF's own hold of our tags, and the order of bytes."""
    head = at(0, 8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        return {}, False
    (place,) = struct.unpack_from(f"{order}4xI", head)
    found = _directory(at, order, place)
    if len(further := found.get(_EXIF_DIRECTORY, b"")) == 4:
        (place,) = struct.unpack(f"{order}I", further)
        found |= _directory(at, order, place)
    return found, order == ">"


def _directory(at: At, order: str, place: int) -> dict[int, bytes]:
    entries = at(place, 2 + 12 * _ENTRIES)
    found: dict[int, bytes] = {}
    for start in range(2, len(entries) - 11, 12):
        if start >= 2 + 12 * struct.unpack_from(f"{order}H", entries)[0]:
            break
        tag, kind, count = struct.unpack_from(f"{order}HHI", entries, start)
        size = _SIZES.get(kind, 0) * count
        most = _PACKET_BYTES if tag in {_XMP_TAG, _IPTC_TAG} else _VALUE_BYTES
        if tag not in _TAGS or not 0 < size <= most:
            continue
        # What fits stands in the entry itself.
        if size <= 4:
            found[tag] = entries[start + 8 : start + 8 + size]
        else:
            (there,) = struct.unpack_from(f"{order}I", entries, start + 8)
            found[tag] = at(there, size)
    return found


def _exif_text(name: str, value: bytes, *, big_endian: bool) -> str:
    if name.startswith("exif:XP"):
        return _decoded(value, "utf-16-le")
    if name == "exif:UserComment":
        code, value = value[:8], value[8:]
        if code == b"UNICODE\0":
            return _decoded(value, "utf-16-be" if big_endian else "utf-16-le")
        if code not in {b"ASCII\0\0\0", bytes(8)}:
            return ""
    return _decoded(value)


def _decoded(value: bytes, *encodings: str) -> str:
    for encoding in encodings or ("utf-8",):
        try:
            return value.decode(encoding).partition("\0")[0]
        except UnicodeDecodeError:
            continue
    return ""


def _iptc_texts(packet: bytes) -> dict[str, str]:
    found: dict[int, list[str]] = {}
    # Where none is said it is what ExifTool takes it for, unless it happens to be UTF-8.
    # Source: https://exiftool.org/ExifTool.html#CharsetIPTC
    encodings: tuple[str, ...] = ("utf-8", "cp1252")
    place = 0
    while packet[place : place + 1] == b"\x1c" and place + 5 <= len(packet):
        record, dataset, size = struct.unpack_from(">BBH", packet, place + 1)
        # Over 32,767 bytes it says how long its length is; no text has so many.
        if size & 0x8000:
            break
        value = packet[place + 5 : place + 5 + size]
        if (record, dataset) == (1, 90):
            encodings = ("utf-8",)
        elif record == 2:
            found.setdefault(dataset, []).append(_decoded(value, *encodings))
        place += 5 + size
    return {name: _joined(found[dataset]) for name, dataset in _IPTC.items() if dataset in found}


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(text for text in texts if text.strip())


def _xmp_texts(packet: bytes) -> dict[str, str]:
    """Read the properties of the image itself, as far as the XML is well-formed."""
    from xml.parsers import expat

    reader = _XmpReader()
    # Named here, or the packet could name any codec that Python has.
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    with contextlib.suppress(expat.ExpatError, _RefusedError):
        parser.Parse(packet, True)  # noqa: FBT003
    return reader.found


class _RefusedError(Exception):
    """No XML that is read here."""


class _XmpReader:
    """Takes expat's events.

        rdf:RDF > rdf:Description (photoshop:City="...") > photoshop:City > "..."
                                                         > dc:title > rdf:Alt > rdf:li > "..."
                                                         > dc:subject > rdf:Bag > rdf:li > "..."

    Attributes:
        found: texts by name.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._path: list[str] = []
        self._name = ""
        self._items: list[tuple[str, list[str]]] = []

    def refuse(self, *_: object) -> None:
        """End at a document type."""
        raise _RefusedError

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        """See expat's StartElementHandler."""
        self._path.append(element)
        if len(self._path) > _DEPTH:
            raise _RefusedError
        above = self._path[-3:]
        if above[-2:] == [f"{_RDF}RDF", f"{_RDF}Description"]:
            for key, value in attributes.items():
                self._keep(_XMP.get(key, ""), value)
        elif above[:2] == [f"{_RDF}RDF", f"{_RDF}Description"]:
            self._name, self._items = _XMP.get(element, ""), [("", [])]
        elif element == f"{_RDF}li" and self._name:
            self._items.append((attributes.get(_LANG, ""), []))

    def end(self, _: str) -> None:
        """See expat's EndElementHandler."""
        self._path.pop()
        if self._name and self._path[-1:] == [f"{_RDF}Description"]:
            self._keep(self._name, self._value())
            self._name = ""

    def text(self, text: str) -> None:
        """See expat's CharacterDataHandler."""
        if self._name:
            self._items[-1][1].append(text)

    def _value(self) -> str:
        """Join a list; of several languages take the default, or the first."""
        items = [(language, "".join(parts).strip()) for language, parts in self._items]
        said = {language: text for language, text in reversed(items) if language and text}
        if said:
            return said.get("x-default") or next(reversed(said.values()))
        return _joined(text for _, text in items)

    def _keep(self, name: str, text: str) -> None:
        if name and text.strip():
            self.found.setdefault(name, text)
