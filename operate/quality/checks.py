"""Scores that need no judge, each from 0 (bad) to 1 (good). Pure.

A score is absent where it does not apply: of a picture without text no quotation can be checked,
and of what was not asked for nothing is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

from rapidfuzz import fuzz

from describer.model.outputs import Wanted
from operate.quality.language import is_in, language_of, primary
from operate.quality.pictures import Picture, Point

# As much of a quotation has to stand in the picture: a letter in ten may be misread.
_QUOTE_LIKENESS = 90.0
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")

# What each score is for, in the order of the tables.
SCORES: Mapping[str, str] = {
    "answered": "there is a whole description",
    "opening": "it begins with the subject, not with “This image shows”",
    "length": "it has as many words as the set allows",
    "sentences": "it has as many sentences as the set allows",
    "markup": "it is one paragraph without markup",
    "language": "it is in the language that was asked for",
    "recall": "share of the facts that it mentions",
    "traps": "share of the traps that it does not claim",
    "quotes": "share of its quotations that stand in the picture",
    "refusal": "it does not speak of what it cannot do",
    "alt": "the alternative text keeps the rules",
    "decorative": "whether the picture says nothing is told rightly",
    "text": "likeness of the text in the picture to the real one, word for word",
    "tags": "share of the tags that are from the vocabulary, or are short and in lower case",
    "json": "the answer is the JSON object asked for, and nothing else",
    "alike": "likeness of the texts of repeated calls",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call.

    Attributes:
        outcome: as in the record; `failed` for what the function would try again.
        raw: all that the model wrote.
        text: the description, as the record would get it.
        fields: what was asked for besides, likewise.
        usage: tokens in and out, thinking among the latter; None if the model did not say.
        first_seconds: until the first text, None if none came.
        seconds: to the end; None where nobody was asked.
    """

    outcome: str
    raw: str = ""
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    usage: tuple[int, int] | None = None
    first_seconds: float | None = None
    seconds: float | None = None
    message: str = ""


def check(answer: Answer, picture: Picture, language: str, wanted: Wanted) -> dict[str, float]:
    """Score one answer; see `SCORES`."""
    found: dict[str, float] = {"answered": float(answer.outcome == "described")}
    if not answer.text:
        return found
    text = answer.text
    found |= {
        "opening": float(not _begins_badly(text, picture.kind)),
        "length": _within(count_words(text), picture.words),
        "sentences": _within(count_sentences(text), picture.sentences),
        "markup": float(not _MARKUP.search(text)),
        "language": float(is_in(text, language)),
        "refusal": float(not _REFUSAL.search(text)),
        "recall": 1 - len(missed(text, picture, language)) / len(picture.facts),
    }
    if picture.traps:
        found["traps"] = 1 - len(claimed(text, picture, language)) / len(picture.traps)
    quotes = list(quotations(text))
    if picture.text is not None and quotes:
        found["quotes"] = _share(_stands_in(quote, picture.text) for quote in quotes)
    return found | _check_outputs(answer, picture, wanted)


def missed(text: str, picture: Picture, language: str) -> list[str]:
    """Name the facts that a text does not mention."""
    words_of = _words_of(text, picture, language)
    return [
        fact.name
        for fact in picture.facts
        if not any(_pattern(wording).search(text) for wording in fact.in_language(words_of))
    ]


def claimed(text: str, picture: Picture, language: str) -> list[str]:
    """Name the traps that a text claims."""
    words_of = _words_of(text, picture, language)
    return [trap.name for trap in picture.traps if _claims(text, trap, words_of)]


def alike(texts: Iterable[str]) -> float | None:
    """Give how like the texts of repeated calls are on average; None for fewer than two."""
    pairs = list(combinations(texts, 2))
    if not pairs:
        return None
    return sum(fuzz.ratio(one, other) for one, other in pairs) / len(pairs) / 100


def count_words(text: str) -> int:
    """Count words; where none are written apart, two signs for one."""
    spaceless = len(_SPACELESS.findall(text))
    return len(re.findall(r"\w+(?:['’.,:-]\w+)*", _SPACELESS.sub(" ", text))) + spaceless // 2


def count_sentences(text: str) -> int:
    """Count sentences; the dot of `4. Mai` ends none."""
    ends = re.findall(r"(?:(?<!\b\d)(?<!\b\d\d)\.|[!?…])[\"'”“’»)]*(?:\s|$)|[。！？]", text.strip())
    closed = re.search(r"[.!?…。！？][\"'”“’»)]*$", text.strip())
    last_is_number = re.search(r"\b\d{1,2}\.[\"'”“’»)]*$", text.strip())
    return len(ends) + (0 if closed and not last_is_number else 1)


def quotations(text: str) -> Iterator[str]:
    """Give what stands in quotation marks, without the punctuation at its end."""
    for match in _QUOTATION.finditer(text):
        quote = next(filter(None, match.groups()), "").strip(" \n.,;:")
        if quote:
            yield quote


def json_of(raw: str) -> dict[str, Any] | None:
    """Give the answer's object if it is one and nothing else, else None."""
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _check_outputs(answer: Answer, picture: Picture, wanted: Wanted) -> dict[str, float]:
    """Score what was asked for besides: as the model wrote it, before the function mends it."""
    if not wanted.structured:
        return {}
    whole = json_of(answer.raw)
    written = answer.fields if whole is None else whole
    found = {"json": float(whole is not None and _keeps(whole, wanted))}
    if "alt_text" in wanted.outputs:
        found["alt"] = float(_is_good_alt(written.get("altText"), answer.text, picture, wanted))
    if "decorative" in wanted.outputs and picture.decorative is not None:
        found["decorative"] = float(written.get("decorative") is picture.decorative)
    if "text_in_image" in wanted.outputs and picture.text is not None:
        text = written.get("textInImage")
        found["text"] = _likeness(text if isinstance(text, str) else "", picture.text)
    if "tags" in wanted.outputs:
        found["tags"] = _good_tags(written.get("tags"), wanted)
    return found


def _keeps(whole: Mapping[str, Any], wanted: Wanted) -> bool:
    """Tell whether an object has the schema's keys, with values of their types."""
    properties = wanted.schema()["properties"]
    types = {"string": str, "boolean": bool, "array": list, "object": dict}
    return set(whole) == set(properties) and all(
        isinstance(whole[name], types[schema["type"]]) for name, schema in properties.items()
    )


def _is_good_alt(alt: object, description: str, picture: Picture, wanted: Wanted) -> bool:
    """Tell whether alternative text keeps W3C's rules, as far as letters tell.

    Source: https://www.w3.org/WAI/tutorials/images/tips/
    """
    if not isinstance(alt, str) or not alt.strip():
        # Nothing is right where the picture says nothing.
        return alt == "" and picture.decorative is True
    stem, _, suffix = picture.file.rpartition("/")[2].rpartition(".")
    return (
        len(alt) <= wanted.alt_text_characters
        and "\n" not in alt.strip()
        and not _begins_badly(alt, "photo")
        and not re.search(rf"\.(?:{re.escape(suffix)}|jpe?g|png|webp|gif)\b", alt, re.IGNORECASE)
        and alt.strip().casefold() != stem.casefold()
        and alt.strip() != description
        and not _MARKUP.search(alt)
    )


def _good_tags(tags: object, wanted: Wanted) -> float:
    if not isinstance(tags, list) or not tags:
        return 0.0
    if wanted.tags:
        return _share(tag in wanted.tags for tag in tags)
    return _share(isinstance(tag, str) and tag == tag.lower() and len(tag) <= 60 for tag in tags)


def _likeness(text: str, lines: tuple[str, ...]) -> float:
    """Compare the words of two texts in any order, since that of a chart is a matter of taste."""
    return fuzz.token_sort_ratio(_folded(text), _folded(" ".join(lines))) / 100


def _stands_in(quote: str, lines: tuple[str, ...]) -> bool:
    quote, text = _folded(quote), _folded(" ".join(lines))
    if len(quote) > len(text):
        return fuzz.ratio(quote, text) >= _QUOTE_LIKENESS
    return fuzz.partial_ratio(quote, text) >= _QUOTE_LIKENESS


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _begins_badly(text: str, kind: str) -> bool:
    """Tell whether it begins with the picture in place of what is on it.

    A medium that matters may be named: all but a photograph's.
    """
    bare = text.lstrip("*_#>- \t\n")
    return bool(_OPENING.match(bare) or (kind == "photo" and _MEDIUM.match(bare)))


def _words_of(text: str, picture: Picture, language: str) -> str:
    """Give the language to look for facts in: the text's own, if the set has words in it.

    So that a text in the wrong language loses the score of that, and no other.
    """
    spoken = language_of(text)
    return spoken if spoken in picture.languages else primary(language)


def _claims(text: str, point: Point, language: str) -> bool:
    """Tell whether a trap is claimed: it is not where "no" or the like stands shortly before."""
    return any(
        not _NEGATED.search(text[: match.start()])
        for wording in point.in_language(language)
        for match in _pattern(wording).finditer(text)
    )


@cache
def _pattern(wording: str) -> re.Pattern[str]:
    pieces = [
        re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "")
        for word in wording.split()
    ]
    body = r"\s+".join(pieces)
    if _SPACELESS.search(wording):
        return re.compile(body, re.IGNORECASE)
    return re.compile(rf"(?<!\w){body}(?!\w)", re.IGNORECASE)


def _within(count: int, bounds: tuple[int, int]) -> float:
    return float(bounds[0] <= count <= bounds[1])


def _share(holds: Iterable[bool]) -> float:
    found = list(holds)
    return sum(found) / len(found)


_THING = r"(?:image|picture|photo(?:graph)?|graphic|illustration)"
_OPENING = re.compile(
    rf"(?:(?:this|the|in (?:this|the)|here is an?|here we see an?) {_THING}\b"
    rf"|(?:an? )?{_THING} (?:of|showing|that shows|depicting)\b"
    r"|the (?:screenshot|chart|document|drawing|painting) (?:shows|depicts)\b"
    r"|(?:dieses|das|auf dem|auf diesem) (?:bild|foto)\b"
    r"|(?:ein )?(?:bild|foto) (?:von|mit|eines|einer)\b"
    r"|(?:die|diese) (?:abbildung|aufnahme|grafik) zeigt\b"
    r"|(?:cette|l'|une) ?(?:image|photo)\b|(?:esta|la|una) (?:imagen|foto)\b"
    r"|(?:questa|l'|un')? ?immagine\b|(?:esta|a|uma) (?:imagem|foto)\b)",
    re.IGNORECASE,
)
_MEDIUM = re.compile(
    r"(?:an? )?(?:[\w-]+ ){0,2}(?:photo(?:graph)?|snapshot|close-up photo) (?:of|showing)\b"
    r"|(?:ein(?:e)? )?(?:[\w-]+ )?(?:foto(?:grafie)?|aufnahme) (?:von|mit|eines|einer)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"\*\*|__|`|^\s{0,3}(?:#{1,6}\s|[-*+•]\s|\d+[.)]\s|>\s)|</?[a-z][^>]*>|\[[^\]]+\]\(|\n\s*\n",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTATION = re.compile(r"“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」|\"([^\"]+)\"")
_REFUSAL = re.compile(
    r"\b(?:i (?:can(?:not|'t|’t)|am unable|won't|am not able)|i['’]m (?:unable|not able|sorry)"
    r"|as an ai\b|ich kann (?:\w+ ){0,6}nicht|es tut mir leid|als ki\b|als sprachmodell"
    r"|je ne peux pas|en tant qu['’]ia|lo siento|no puedo|non posso|não posso)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(?:no|not|without|neither|nor|nobody|kein\w*|nicht|ohne|weder|noch|niemand|sans|sin|senza"
    r"|sem)(?:\W+\w+){0,2}\W*\Z",
    re.IGNORECASE,
)
