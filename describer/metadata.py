"""What the metadata of an image may say to the model: a language, and what is quoted. Pure.

Whoever may upload an object writes its metadata, so nothing of them is taken as it comes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

LANGUAGE_KEY = "describer-language"
# Of one field; with it, the number of fields bounds all that is quoted.
QUOTED_CHARACTERS = 500

# The fields of EXIF, IPTC-IIM and XMP that may be named, each with its kind. Coordinates are not
# among them: they say where somebody lives, and no picture shows them.
# Sources: https://iptc.org/std/photometadata/specification/IPTC-PhotoMetadata (what is of one kind,
# and the names in XMP), https://exiftool.org/TagNames/ (the other names)
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "exif:ImageDescription": "caption",
        "exif:Artist": "creator",
        "exif:DateTimeOriginal": "date taken",
        "exif:UserComment": "comment",
        "exif:XPTitle": "title",
        "exif:XPComment": "comment",
        "exif:XPKeywords": "keywords",
        "exif:XPSubject": "subject",
        "iptc:ObjectName": "title",
        "iptc:Headline": "headline",
        "iptc:Caption-Abstract": "caption",
        "iptc:Keywords": "keywords",
        "iptc:DateCreated": "date",
        "iptc:By-line": "creator",
        "iptc:Sub-location": "place",
        "iptc:City": "city",
        "iptc:Province-State": "province or state",
        "iptc:Country-PrimaryLocationName": "country",
        "xmp:dc:title": "title",
        "xmp:dc:description": "caption",
        "xmp:dc:subject": "keywords",
        "xmp:dc:creator": "creator",
        "xmp:photoshop:Headline": "headline",
        "xmp:photoshop:DateCreated": "date",
        "xmp:photoshop:City": "city",
        "xmp:photoshop:State": "province or state",
        "xmp:photoshop:Country": "country",
        "xmp:Iptc4xmpCore:Location": "place",
        "xmp:Iptc4xmpCore:AltTextAccessibility": "alternative text",
        "xmp:Iptc4xmpCore:ExtDescrAccessibility": "extended description",
        "xmp:Iptc4xmpExt:PersonInImage": "person shown",
        "xmp:Iptc4xmpExt:Event": "event",
    }
)

# Language, script and region of RFC 5646, and no more: subtags without end are room for a sentence.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?")
_CUSTOM = re.compile(
    r"custom:([^\x00-\x20\x7f,=\"]{1,128})(?:=([^\x00-\x20\x7f,=\"][^\x00-\x1f\x7f,=\"]{0,59}))?"
)
# Joiners, which Persian, Hindi and emoji are written with.
_JOINERS = "\u200c\u200d"
# Tags, fillers and variation selectors but those of emoji: whole sentences can be written in them
# that nobody sees. Of what is ignorable by default, what has no category of its own.
# Source: https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u3164\ufe00-\ufe0d\uffa0\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class MetadataField:
    """One field that may be quoted.

    Attributes:
        source: where it stands: with the object, or in its bytes.
        name: with its source in front, such as `custom:title` or `xmp:dc:title`.
        kind: what it is called to the model, so that no name is taken for a place.
    """

    source: Literal["custom", "exif", "iptc", "xmp"]
    name: str
    kind: str

    @property
    def embedded(self) -> bool:
        """Whether it stands in the image's bytes."""
        return self.source != "custom"

    @classmethod
    def parse(cls, text: str) -> MetadataField:
        """Read `custom:KEY`, `custom:KEY=KIND`, or a name of KINDS in any case.

        Raises:
            ValueError: it is none.
        """
        if custom := _CUSTOM.fullmatch(text):
            key, kind = custom.groups()
            return cls("custom", f"custom:{key}", kind or key)
        name = _NAMES.get(text.lower())
        if name is None:
            raise ValueError(text)
        source: Literal["exif", "iptc", "xmp"] = name.partition(":")[0]  # type: ignore[assignment]
        return cls(source, name, KINDS[name])


_NAMES = {name.lower(): name for name in KINDS}


def language_of(custom: Mapping[str, str]) -> str | None:
    """Give the language that the object's custom metadata name, or None if they name none.

    Raises:
        ValueError: what they name is no language tag.
    """
    named = custom.get(LANGUAGE_KEY, "").strip()
    if not named:
        return None
    if not _LANGUAGE.fullmatch(named):
        raise ValueError(f"{LANGUAGE_KEY} {named[:40]!r} is no tag such as en, de-CH or zh-Hant")
    return named


def quotable(text: str) -> str:
    """Give one line of at most QUOTED_CHARACTERS characters that can be seen; "" if none can.

    What a camera writes where it knows nothing, zeros and blanks, counts as nothing.
    """
    # Not all of a megabyte for what is cut anyway.
    text = text[: 8 * QUOTED_CHARACTERS]
    seen = "".join(" " if c.isspace() else c for c in text if c.isspace() or _is_seen(c))
    line = " ".join(seen.split())
    if not line.strip("0:/- "):
        return ""
    return line if len(line) <= QUOTED_CHARACTERS else f"{line[: QUOTED_CHARACTERS - 1]}…"


def _is_seen(character: str) -> bool:
    if _UNSEEN.match(character):
        return False
    # Controls, formats such as a change of direction, half surrogates, private and unknown ones.
    return unicodedata.category(character)[0] != "C" or character in _JOINERS
