"""Which language a text is in.

Of the detectors that packages offer, py3langid was taken for its size and its silence: lingua tells
short texts better, but weighs 96 MB to its 4.6 MB, and the texts here are paragraphs.

Source: https://github.com/adbar/py3langid
"""

from __future__ import annotations

import re
from functools import cache

import py3langid

_QUOTED = re.compile(r"[\"“„«][^\"“”„«»]*[\"”“»]")


@cache
def language_of(text: str) -> str:
    """Give the language's two letters; what is quoted may be in another and does not count."""
    language, _ = py3langid.classify(_QUOTED.sub(" ", text))
    return str(language)


def is_in(text: str, tag: str) -> bool:
    """Tell whether a text is in the language of a BCP-47 tag; Norwegian's two count as one."""
    norwegian = {"nb", "nn", "no"}
    spoken, asked = language_of(text), primary(tag)
    return spoken == asked or {spoken, asked} <= norwegian


def primary(tag: str) -> str:
    """Give the language of a BCP-47 tag, without script and region."""
    return tag.partition("-")[0].lower()
