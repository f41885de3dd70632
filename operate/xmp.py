"""XMP sidecar files: the texts of a record where photo programs look for them.

    cat.jpg.xmp    dc:description                       the description
                   Iptc4xmpCore:AltTextAccessibility    the alternative text
                   Iptc4xmpCore:ExtDescrAccessibility   the description, as what extends it
                   dc:subject                           the tags

Sources: https://developer.adobe.com/xmp/docs/xmp-namespaces/iptc4-xmp-core;
https://www.iptc.org/std/photometadata/specification/IPTC-PhotoMetadata
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

_X = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
for _prefix, _namespace in (("x", _X), ("rdf", _RDF), ("dc", _DC), ("Iptc4xmpCore", _IPTC)):
    ET.register_namespace(_prefix, _namespace)
# The names of all that may be said.
PROPERTIES = ("description", "AltTextAccessibility", "ExtDescrAccessibility", "subject")
# XML 1.0 knows none of them, however they are written.
_UNKNOWN_TO_XML = {number: None for number in range(32) if chr(number) not in "\t\n\r"}
_UNKNOWN_TO_XML |= dict.fromkeys((*range(0xD800, 0xE000), 0xFFFE, 0xFFFF))


def sidecar(fields: Mapping[str, Any]) -> bytes:
    """Give the sidecar of a record that has a description."""
    root = _document(fields)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def packet(fields: Mapping[str, Any]) -> bytes:
    """Give the same as a packet for inside a file."""
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
    return begin + _written(_document(fields)) + b'<?xpacket end="w"?>'


def description(fields: Mapping[str, Any]) -> bytes:
    """Give the one element of it that says something, with its namespaces."""
    return _written(_description(fields))


def _written(element: ET.Element) -> bytes:
    # By characters and then encoded, since otherwise an XML declaration stands in front.
    return ET.tostring(element, encoding="unicode").encode()


def _document(fields: Mapping[str, Any]) -> ET.Element:
    root = ET.Element(f"{{{_X}}}xmpmeta")
    ET.SubElement(root, f"{{{_RDF}}}RDF").append(_description(fields))
    return root


def _description(fields: Mapping[str, Any]) -> ET.Element:
    about = ET.Element(f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    language = str(fields.get("language") or "")
    text = str(fields["description"])
    others = fields.get("descriptions")
    texts = {language: text, **(others if isinstance(others, Mapping) else {})}
    _texts(about, f"{{{_DC}}}description", text, texts)
    if alt := fields.get("altText"):
        _texts(about, f"{{{_IPTC}}}AltTextAccessibility", str(alt), {language: alt})
    _texts(about, f"{{{_IPTC}}}ExtDescrAccessibility", text, texts)
    tags = fields.get("tags")
    if isinstance(tags, list) and tags:
        bag = ET.SubElement(ET.SubElement(about, f"{{{_DC}}}subject"), f"{{{_RDF}}}Bag")
        for tag in tags:
            ET.SubElement(bag, f"{{{_RDF}}}li").text = _known(tag)
    return about


def _texts(about: ET.Element, name: str, default: str, texts: Mapping[str, Any]) -> None:
    """Add one text in several languages; the default stands first, as XMP wants it."""
    choices = ET.SubElement(ET.SubElement(about, name), f"{{{_RDF}}}Alt")
    for language, text in {"x-default": default, **texts}.items():
        if language:
            entry = ET.SubElement(choices, f"{{{_RDF}}}li", {_LANGUAGE: language})
            entry.text = _known(text)


def _known(text: object) -> str:
    return str(text).translate(_UNKNOWN_TO_XML)


def place_below(folder: Path, name: str, suffix: str = ".xmp") -> Path | None:
    """Give where an object's sidecar lies; None where its name can be no file's there."""
    parts = PurePosixPath(name).parts
    odd = name.startswith("/") or name.endswith("/") or "//" in name or "\0" in name
    if odd or not parts or {"..", "."} & set(name.split("/")):
        return None
    try:
        too_long = any(len(part.encode()) > 250 for part in parts)
    except UnicodeEncodeError:
        return None
    return None if too_long else folder.joinpath(*parts[:-1], parts[-1] + suffix)
