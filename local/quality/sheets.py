"""Answer sheets for a set: a perfect one, and one for each fault; their scores are known before.

What the references say is taken for a model's answer. Each fault is planted in the answers for half
of the pictures, which a seed chooses, and is meant to lower one score: by how much, is counted here
and not by the code that is tried.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operate.quality.pictures import Picture, Point

# What the sheets' answers are read by.
ENVIRON = {
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    "MODEL": "answer-sheets",
    "OUTPUTS": "alt_text,decorative,text_in_image,tags",
    "TAGS": "photo,screenshot,chart,document,art",
    "IMAGE_INPUT": "inline",
}
REPEATS = 2
_NONSENSE = "Zorvex quimble"
_FILLER = ", seen as plainly as all the rest of it is"

Parts = dict[str, Any]
# One line of a file of answers.
Line = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which answers can be wrong.

    Attributes:
        score: the only one that it is meant to lower.
        plant: changes the parts of an answer; gives the line's further fields.
        left: what the score of the picture is with the fault in its answers.
        applies: tells of which pictures' answers it can be planted in.
    """

    name: str
    score: str
    plant: Callable[[Picture, Parts, int], Mapping[str, str] | None]
    left: Callable[[Picture], float] = lambda _: 0.0
    applies: Callable[[Picture], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Sheet:
    """Answers for a whole set.

    Attributes:
        score: the one that is lowered, "" if none is.
        expected: its mean, as counted beforehand.
    """

    name: str
    score: str
    expected: float
    lines: tuple[Line, ...]


def perfect(pictures: Sequence[Picture], language: str = "en") -> Sheet:
    """Give the answers without fault."""
    lines = [
        _line(picture, _parts(picture, language)) for _ in range(REPEATS) for picture in pictures
    ]
    return Sheet("perfect", "", 1.0, tuple(lines))


def with_fault(fault: Fault, pictures: Sequence[Picture], seed: int) -> Sheet:
    """Plant a fault in half of the pictures' answers that it can be planted in."""
    able = [picture for picture in pictures if fault.applies(picture)]
    chosen = {picture.file for picture in random.Random(seed).sample(able, (len(able) + 1) // 2)}
    lines = []
    for repeat in range(REPEATS):
        for picture in pictures:
            parts = _parts(picture, "en")
            more = fault.plant(picture, parts, repeat) if picture.file in chosen else None
            lines.append(_line(picture, parts, more or {}))
    # Of a picture whose perfect answer quotes nothing, nothing is said but where nonsense is.
    scored = [
        picture
        for picture in pictures
        if fault.score != "quotes" or picture.file in chosen or _quotes(picture)
    ]
    left = [fault.left(picture) if picture.file in chosen else 1.0 for picture in scored]
    return Sheet(fault.name, fault.score, sum(left) / len(left), tuple(lines))


def _parts(picture: Picture, language: str) -> Parts:
    return {
        "description": picture.reference[language],
        "altText": picture.alt_text[language],
        "decorative": picture.decorative,
        "textInImage": "\n".join(picture.text or ()),
        "tags": [picture.kind],
    }


def _line(picture: Picture, parts: Parts, more: Mapping[str, str] | None = None) -> Line:
    answer = json.dumps(parts, ensure_ascii=False)
    return {"picture": picture.file, "answer": answer} | dict(more or {})


def _before_the_end(text: str, words: str) -> str:
    """Put words before the last full stop, or after a quotation that has it inside."""
    return f"{text[:-1]}{words}." if text.endswith(".") else f"{text}{words}."


def _without(text: str, point: Point) -> str:
    for wording in point.wordings["en"]:
        form = re.escape(wording.rstrip("*")) + (r"\w*" if wording.endswith("*") else "")
        text = re.sub(rf"(?<!\w){form}(?!\w)", "something", text, flags=re.IGNORECASE)
    return text


def _forgettable(picture: Picture) -> str | None:
    """Give the text less one fact whose words stand in no quotation and serve no other fact."""
    text = picture.reference["en"]
    for fact in picture.facts:
        less = _without(text, fact)
        others = (other for other in picture.facts if other is not fact)
        whole = all(_without(less, other) != less for other in others)
        if whole and re.findall('"[^"]*"', less) == re.findall('"[^"]*"', text):
            return less
    return None


def _quotes(picture: Picture) -> int:
    return picture.reference["en"].count('"') // 2


def _changes(key: str, change: Callable[[Picture, Any], Any]) -> Callable[..., None]:
    def plant(picture: Picture, parts: Parts, _: int) -> None:
        parts[key] = change(picture, parts[key])

    return plant


def _end_with(reason: str) -> Callable[..., Mapping[str, str]]:
    return lambda *_: {"finishReason": reason}


def _fence(_: Picture, parts: Parts, __: int) -> Mapping[str, str]:
    return {"answer": f"```json\n{json.dumps(parts, ensure_ascii=False)}\n```"}


def _differ(_: Picture, parts: Parts, repeat: int) -> None:
    parts["description"] = _before_the_end(parts["description"], _FILLER * repeat)


def _likeness_left(picture: Picture) -> float:
    """2 * common / sum of lengths: the longer text has all of the shorter, and the filler."""
    length = len(picture.reference["en"])
    return 2 * length / (2 * length + len(_before_the_end(".", _FILLER)) - 1)


_DESCRIPTION = "description"
FAULTS: tuple[Fault, ...] = (
    Fault("cut by the token limit", "answered", _end_with("length")),
    Fault("refused by the filter", "answered", _end_with("content_filter")),
    Fault(
        "“This image shows”",
        "opening",
        _changes(_DESCRIPTION, lambda _, text: f"This image shows {text[0].lower()}{text[1:]}"),
    ),
    Fault(
        "far too long",
        "length",
        _changes(_DESCRIPTION, lambda _, text: _before_the_end(text, ", and so on" * 50)),
    ),
    Fault(
        "too many sentences",
        "sentences",
        _changes(_DESCRIPTION, lambda _, text: text + " It is so." * 5),
    ),
    Fault("in bold type", "markup", _changes(_DESCRIPTION, lambda _, text: f"**{text}**")),
    Fault(
        "in German",
        "language",
        _changes(_DESCRIPTION, lambda picture, _: picture.reference["de"]),
    ),
    Fault(
        "one fact left out",
        "recall",
        _changes(_DESCRIPTION, lambda picture, _: _forgettable(picture)),
        lambda picture: 1 - 1 / len(picture.facts),
        lambda picture: _forgettable(picture) is not None,
    ),
    Fault(
        "one trap claimed",
        "traps",
        _changes(
            _DESCRIPTION,
            lambda picture, text: _before_the_end(
                text, f", besides {picture.traps[0].wordings['en'][0].rstrip('*')}"
            ),
        ),
        lambda picture: 1 - 1 / len(picture.traps),
    ),
    Fault(
        "a quotation made up",
        "quotes",
        _changes(
            _DESCRIPTION,
            lambda _, text: _before_the_end(text, f', beside the words "{_NONSENSE}"'),
        ),
        lambda picture: _quotes(picture) / (_quotes(picture) + 1),
    ),
    Fault(
        "“I'm unable to tell”",
        "refusal",
        _changes(_DESCRIPTION, lambda _, text: f"{text} I'm unable to tell more."),
    ),
    Fault(
        "the file's name as alternative text",
        "alt",
        _changes("altText", lambda picture, _: picture.file),
    ),
    Fault(
        "decorative said wrongly",
        "decorative",
        _changes("decorative", lambda _, decorative: not decorative),
    ),
    Fault(
        "other text read in the picture",
        "text",
        _changes("textInImage", lambda _, text: "" if text else _NONSENSE),
    ),
    Fault("a tag of its own", "tags", _changes("tags", lambda *_: [_NONSENSE])),
    Fault("a fence around the object", "json", _fence),
    Fault("not alike the second time", "alike", _differ, _likeness_left),
)


def sheets(pictures: Sequence[Picture], seed: int = 1) -> tuple[Sheet, ...]:
    """Give all of them."""
    return (perfect(pictures), *(with_fault(fault, pictures, seed) for fault in FAULTS))
