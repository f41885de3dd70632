"""What the metadata of an object may say: in which language it is to be described. Pure.

Whoever may upload an object writes its metadata, so nothing of them is taken as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

LANGUAGE_KEY = "describer-language"
# Language, script and region of RFC 5646, and no more: subtags without end are room for a sentence.
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?")


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
