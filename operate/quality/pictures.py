"""A set of pictures: a folder with `set.jsonl` in it, and perhaps `labels.jsonl`.

The schema is `set.schema.json` beside this file; docs/quality.md tells how to make a set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from describer.errors import DescriberError

KINDS = ("photo", "screenshot", "chart", "document", "art")
# A description's length where the set does not say otherwise; the prompt asks for the sentences.
WORDS, SENTENCES = (20, 130), (2, 5)
# For wordings of any language.
ANY = ""

_KEYS = frozenset(
    {"file", "kind", "facts", "traps", "text", "reference", "altText", "decorative"}
    | {"words", "sentences"}
)


class SetError(DescriberError):
    """A set cannot be used as it is; says where and why."""


@dataclass(frozen=True, slots=True)
class Point:
    """A fact that must be mentioned, or a trap that must not be claimed.

    Attributes:
        wordings: what counts as saying it, by language; `*` at a word's end stands for any ending.
    """

    name: str
    wordings: Mapping[str, tuple[str, ...]]

    def in_language(self, language: str) -> tuple[str, ...]:
        """Give the wordings of a language and those of any."""
        return self.wordings.get(ANY, ()) + self.wordings.get(language, ())


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and what is true of it.

    Attributes:
        text: all text that can be read in it, lines apart; None where nobody has said.
        reference: a description by a person, by language.
        decorative: None where nobody has said.
        digest: SHA-256 of its bytes.
    """

    file: str
    path: Path
    digest: str
    facts: tuple[Point, ...]
    kind: str = "photo"
    traps: tuple[Point, ...] = ()
    text: tuple[str, ...] | None = None
    reference: Mapping[str, str] = field(default_factory=dict)
    alt_text: Mapping[str, str] = field(default_factory=dict)
    decorative: bool | None = None
    words: tuple[int, int] = WORDS
    sentences: tuple[int, int] = SENTENCES

    @property
    def languages(self) -> frozenset[str]:
        """The languages that its facts and traps have wordings in."""
        return frozenset(
            language for point in (*self.facts, *self.traps) for language in point.wordings
        ) - {ANY}


@dataclass(frozen=True, slots=True)
class ClaimLabel:
    """Whether a claim about a picture is true, as a person saw it."""

    picture: str
    claim: str
    true: bool


@dataclass(frozen=True, slots=True)
class PairLabel:
    """Which of two descriptions of a picture is better, as a person saw it."""

    picture: str
    first: str
    second: str
    better: Literal["first", "second", "tie"]


def load_set(folder: Path) -> tuple[Picture, ...]:
    """Read a set.

    Raises:
        SetError: a line is not as it should be, or its picture is not there.
        OSError: the folder cannot be read.
    """
    found: dict[str, Picture] = {}
    if not (folder / "set.jsonl").is_file():
        raise SetError(f"there is no {folder / 'set.jsonl'}; docs/quality.md tells how to make one")
    for where, row in _rows(folder / "set.jsonl"):
        picture = _picture(folder, where, row)
        if picture.file in found:
            raise SetError(f"{where}: {picture.file} stands there twice")
        found[picture.file] = picture
    if not found:
        raise SetError(f"{folder / 'set.jsonl'}: no pictures in it")
    return tuple(found.values())


def load_labels(folder: Path) -> tuple[tuple[ClaimLabel, ...], tuple[PairLabel, ...]]:
    """Read the labels of a set, by which a judge is judged; empty where there are none.

    Raises:
        SetError: a line is not as it should be.
    """
    path = folder / "labels.jsonl"
    claims: list[ClaimLabel] = []
    pairs: list[PairLabel] = []
    for where, row in _rows(path) if path.exists() else ():
        match row:
            case {"picture": str(picture), "claim": str(claim), "true": bool(true)}:
                claims.append(ClaimLabel(picture, claim, true))
            case {
                "picture": str(picture),
                "first": str(first),
                "second": str(second),
                "better": "first" | "second" | "tie" as better,
            }:
                pairs.append(PairLabel(picture, first, second, better))
            case _:
                raise SetError(
                    f"{where}: expected picture, claim and true, or picture, first, second and "
                    "better (first, second or tie)"
                )
    return tuple(claims), tuple(pairs)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise SetError(f"{where}: not JSON: {exc}") from exc
        if not isinstance(row, dict):
            raise SetError(f"{where}: expected a JSON object")
        yield where, row


def _picture(folder: Path, where: str, row: dict[str, Any]) -> Picture:
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise SetError(f"{where}: unknown keys {', '.join(unknown)}")
    file = row.get("file")
    if not isinstance(file, str) or not file:
        raise SetError(f"{where}: file: expected the picture's name")
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise SetError(f"{where}: there is no {file} in {folder}")
    kind = row.get("kind", "photo")
    if kind not in KINDS:
        raise SetError(f"{where}: kind: expected one of {', '.join(KINDS)}")
    facts = _points(f"{where}: facts", row.get("facts"))
    if not facts:
        raise SetError(f"{where}: facts: expected at least one")
    text = row.get("text")
    if text is not None and not _is_texts(text):
        raise SetError(f"{where}: text: expected a list of lines")
    decorative = row.get("decorative")
    if decorative is not None and not isinstance(decorative, bool):
        raise SetError(f"{where}: decorative: expected true or false")
    return Picture(
        file,
        path,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        facts,
        kind,
        _points(f"{where}: traps", row.get("traps", [])),
        None if text is None else tuple(text),
        _by_language(f"{where}: reference", row.get("reference", {})),
        _by_language(f"{where}: altText", row.get("altText", {})),
        decorative,
        _bounds(f"{where}: words", row.get("words", WORDS)),
        _bounds(f"{where}: sentences", row.get("sentences", SENTENCES)),
    )


def _points(where: str, rows: object) -> tuple[Point, ...]:
    """Read facts or traps: each `"cat|kitten"`, or an object with a name and lists by language."""
    if not isinstance(rows, list):
        raise SetError(f"{where}: expected a list")
    return tuple(_point(f"{where}: item {place}", row) for place, row in enumerate(rows, 1))


def _point(where: str, row: object) -> Point:
    if isinstance(row, str):
        name, lists = row.partition("|")[0], {ANY: row.split("|")}
    elif isinstance(row, dict) and isinstance(row.get("name"), str):
        name, lists = row["name"], {key: value for key, value in row.items() if key != "name"}
    else:
        raise SetError(f"{where}: expected wordings such as cat|kitten, or an object with a name")
    wordings: dict[str, tuple[str, ...]] = {}
    for language, words in lists.items():
        if not _is_texts(words) or not all(word.strip(" *") for word in words):
            raise SetError(f"{where}: {language or 'wordings'}: expected a list of words")
        wordings[language] = tuple(word.strip() for word in words)
    if not wordings:
        raise SetError(f"{where}: expected wordings in at least one language")
    return Point(name, wordings)


def _by_language(where: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not _is_texts(list(value.values())):
        raise SetError(f"{where}: expected texts by language")
    return value


def _bounds(where: str, value: object) -> tuple[int, int]:
    match value:
        case [int(least), int(most)] | (int(least), int(most)) if 0 < least <= most:
            return least, most
    raise SetError(f"{where}: expected the least and the most, such as [20, 130]")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
