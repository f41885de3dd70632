"""What is asked for besides the description: in one JSON object, read while it is written. Pure.

Servers that know a schema are given it; of all others it is asked in words, and what they answer
is read with tolerance: fences and words around the object, an object that was cut. A field is
absent rather than wrong.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from describer.settings import (
    ALT_TEXT,
    DECORATIVE,
    TAG_CHARACTERS,
    TAGS,
    TEXT_IN_IMAGE,
)

# What the record may get from an answer besides the description.
OUTPUT_FIELDS = ("altText", "decorative", "textInImage", "tags", "descriptions")

# What only the picture tells: from words alone it would be made up.
_SEEN_ONLY = ("decorative", "textInImage")
_MOST_TAGS = 20
# All of C0 and C1 but tab and newline, and DEL.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_ENDS = re.compile(r"\r\n?")
# The end of a sentence, with the quotes and brackets that may close it; also of Chinese and Hindi.
_SENTENCE_END = re.compile(r"[.!?…]['\"”’»)\]]*(?=\s)|[。！？।]['\"”’»）」]*")  # noqa: RUF001
# Takes line ends in strings. No field is a number, and `int` refuses one of thousands of digits.
_DECODER = json.JSONDecoder(strict=False, parse_int=float)
# What a screen reader says by itself.
_OPENING = re.compile(
    r"(?:an?|the)?\s*(?:image|picture|photo(?:graph)?)\s+(?:of|showing|that shows)\s+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one answer should hold.

    Attributes:
        outputs: of OUTPUTS, besides the description.
        tags: the only tags there are, as they are to be written; empty: any.
        languages: BCP-47 tags; the first is the description's.
        alt_text_characters: longest alternative text.
    """

    outputs: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
    alt_text_characters: int = 150

    @property
    def structured(self) -> bool:
        """Whether the answer is a JSON object, and not just the description."""
        return bool(self.outputs) or len(self.languages) > 1

    def rules(self, description: str = "the description as told above") -> str:
        """Say in words what the object holds.

        Args:
            description: what is to stand under that key.
        """
        lines = [f'"description": {description}, as one string']
        if ALT_TEXT in self.outputs:
            lines.append(
                '"altText": alternative text for a web page, one phrase or short sentence of at '
                f"most {self.alt_text_characters} characters; what matters most comes first; "
                "if the picture is mostly text, that text, as far as it fits; "
                'never "image of" or a file name'
            )
        if DECORATIVE in self.outputs:
            lines.append(
                '"decorative": true only if the picture says nothing, such as a plain background, '
                "a border or a divider"
            )
        if TEXT_IN_IMAGE in self.outputs:
            lines.append(
                '"textInImage": all text that can be read in the picture, exactly and in reading '
                "order, lines apart by \\n; an empty string if there is none"
            )
        if TAGS in self.outputs:
            lines.append('"tags": ' + self._tag_rule())
        if len(self.languages) > 1:
            lines.append(
                '"descriptions": the same description in each of these languages, by tag: '
                + ", ".join(self.languages[1:])
            )
        listed = "\n".join(f"- {line}" for line in lines)
        return (
            "Answer with one JSON object and nothing around it. Its keys, in this order:\n" + listed
        )

    def schema(self) -> dict[str, Any]:
        """Give the object's JSON schema, in the subset that strict servers take.

        Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
        """
        text = {"type": "string"}
        fields: dict[str, Any] = {"description": text}
        if ALT_TEXT in self.outputs:
            fields["altText"] = text
        if DECORATIVE in self.outputs:
            fields["decorative"] = {"type": "boolean"}
        if TEXT_IN_IMAGE in self.outputs:
            fields["textInImage"] = text
        if TAGS in self.outputs:
            item = {"type": "string", "enum": list(self.tags)} if self.tags else text
            fields["tags"] = {"type": "array", "items": item}
        if len(self.languages) > 1:
            fields["descriptions"] = _object(dict.fromkeys(self.languages[1:], text))
        return _object(fields)

    def _tag_rule(self) -> str:
        if self.tags:
            return "those of the following that fit, and no others: " + ", ".join(self.tags)
        return f"up to {_MOST_TAGS} short keywords, the most telling first, singular, lower case"


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was found in an answer.

    Attributes:
        description: "" if there is none.
        fields: the record's further fields, by their names there; what is not usable is absent.
    """

    description: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def clean(text: str) -> str:
    """Give what a record can hold: valid Unicode, of control characters newline and tab alone.

    Surrogate pairs that JSON escapes or chunks split are joined; lone ones, which UTF-8 cannot
    hold, are replaced. Every line end is a newline.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)).strip()


def visible(answer: str) -> str:
    """Give the description as far as it has been written; never a piece of JSON."""
    found = _parse(answer, partial="trailing-strings")
    return _text(found.get("description"))


def read(answer: str, wanted: Wanted, *, cut: bool, prose: bool = True) -> Outputs:
    """Read a whole answer.

    Args:
        answer: all that the model wrote.
        cut: whether its token limit ended it, so that the last string is not whole.
        prose: whether words in place of the object are the description.
    """
    found = _parse(answer, partial="trailing-strings")
    if not found:
        # A broken object is nothing to show.
        return Outputs(_text(answer) if prose and not _begins_as_object(answer) else "")
    whole = _parse(answer, partial="on" if cut else "trailing-strings")
    fields: dict[str, Any] = {
        "altText": _alt_text(whole.get("altText"), wanted.alt_text_characters),
        "decorative": whole["decorative"] if type(whole.get("decorative")) is bool else None,
        "textInImage": _text(whole.get("textInImage")),
        "tags": _tags(whole.get("tags"), wanted.tags),
        "descriptions": _descriptions(whole.get("descriptions"), wanted.languages),
    }
    asked = wanted.schema()["properties"]
    kept = {
        name: value
        for name, value in fields.items()
        if name in asked and value not in ("", [], {}, None)
    }
    description = _text(found.get("description"))
    if "descriptions" in kept and description:
        kept["descriptions"] = {wanted.languages[0]: description} | kept["descriptions"]
    return Outputs(description, kept)


def lacking(answer: str, wanted: Wanted) -> tuple[str, ...]:
    """Name what a whole answer was to hold and does not, and may be had from its words.

    What is there in its own form is not lacking, even if it says nothing. Where a fault ends an
    object, its description may have ended with it.
    """
    found = _parse(answer, partial="trailing-strings")
    schema = wanted.schema()["properties"]
    missing = {key for key in schema if not _is_of(schema[key], found.get(key))}
    if _begins_as_object(answer) and missing:
        missing |= {"description"} if _is_faulty(answer) else set()
    elif read(answer, wanted, cut=False).description:
        missing -= {"description"}
    return tuple(
        key for key in schema if key in missing and (key not in _SEEN_ONLY or key in answer)
    )


def completed(found: Outputs, other: Outputs, names: Iterable[str], wanted: Wanted) -> Outputs:
    """Fill in what was found with these fields of another answer; what there is, stays.

    A description may go on, but not become another.
    """
    description = found.description
    if "description" in names and other.description.startswith(description):
        description = other.description
    fields = {name: other.fields[name] for name in names if name in other.fields}
    fields.update(found.fields)
    if "descriptions" in fields and description:
        first = {wanted.languages[0]: description}
        further = [dict(one.fields.get("descriptions", {})) for one in (other, found)]
        fields["descriptions"] = further[0] | further[1] | first
    return Outputs(description, fields)


def _is_of(schema: Mapping[str, Any], value: object) -> bool:
    """Tell whether a value is of the type that its schema names; in a map, each one."""
    kind = {"string": str, "boolean": bool, "array": list, "object": Mapping}[schema["type"]]
    inner = schema.get("properties", {})
    return isinstance(value, kind) and all(
        isinstance(value, Mapping) and _is_of(inner[key], value.get(key)) for key in inner
    )


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _parse(answer: str, *, partial: str) -> Mapping[str, Any]:
    """Parse the first object in the answer as far as it goes; empty if there is none."""
    # Not before an answer asks for it: most have no use for it.
    import jiter

    begin = answer.find("{")
    if begin < 0:
        return {}
    try:
        # Takes words after the object.
        found, _ = _DECODER.raw_decode(answer, begin)
    except RecursionError:
        return {}
    except json.JSONDecodeError as exc:
        found = None
        mode: Any = partial
        # It is not whole yet, or there is a fault in it, before which all is well.
        for end in (len(answer), exc.pos):
            piece = answer[begin:end].replace("\n", " ").encode("utf-8", "replace")
            with contextlib.suppress(ValueError):
                found = jiter.from_json(piece, partial_mode=mode)
                break
    return found if isinstance(found, dict) else {}


def _is_faulty(answer: str) -> bool:
    try:
        _DECODER.raw_decode(answer, answer.find("{"))
    except (json.JSONDecodeError, RecursionError):
        return True
    return False


def _begins_as_object(answer: str) -> bool:
    return re.match(r"\s*(?:```\w*\s*)?\{", answer) is not None


def _text(value: object) -> str:
    """Give a string, cleaned; "" for anything else."""
    return clean(value) if isinstance(value, str) else ""


def _alt_text(value: object, most: int) -> str:
    """Give one line of at most so many characters, ended at a sentence, else at a word."""
    line = " ".join(_text(value).split())
    opening = _OPENING.match(line)
    if opening is not None and opening.end() < len(line):
        line = line[opening.end()].upper() + line[opening.end() + 1 :]
    if len(line) <= most:
        return line
    ends = [end.end() for end in _SENTENCE_END.finditer(line) if end.end() <= most]
    if ends:
        return line[: ends[-1]]
    cut = line[:most]
    return f"{cut.rpartition(' ')[0].rstrip(' ,;:-')}…" if " " in cut else ""


def _tags(value: object, vocabulary: Iterable[str]) -> list[str]:
    """Give each tag once, in the vocabulary's spelling where there is one."""
    known = {tag.casefold(): tag for tag in vocabulary}
    found: dict[str, str] = {}
    for item in value if isinstance(value, list) else []:
        tag = " ".join(_text(item).split())
        spelt = known.get(tag.casefold(), "") if known else tag
        if spelt and len(spelt) <= TAG_CHARACTERS:
            found.setdefault(spelt.casefold(), spelt)
    return list(found.values())[:_MOST_TAGS]


def _descriptions(value: object, languages: tuple[str, ...]) -> dict[str, str]:
    texts = value if isinstance(value, Mapping) else {}
    return {tag: text for tag in languages[1:] if (text := _text(texts.get(tag)))}
