"""What is asked for besides the description, and how it is read while it is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from describer.model.outputs import Outputs, Wanted, completed, lacking, read, visible
from describer.settings import ALT_TEXT, OUTPUTS

ALL = Wanted(OUTPUTS, languages=("en", "de"))
WHOLE = {
    "description": 'A tabby cat looks up. "Milk", says the bowl: 1 {l}.',
    "altText": "A tabby cat looks up from a bowl",
    "decorative": False,
    "textInImage": "Milk\n1 {l}",
    "tags": ["cat", "bowl"],
    "descriptions": {"de": "Eine getigerte Katze blickt auf."},
}
FIELDS = {
    **{name: value for name, value in WHOLE.items() if name != "description"},
    "descriptions": {"en": WHOLE["description"], **WHOLE["descriptions"]},  # type: ignore[dict-item]
}


@pytest.mark.parametrize(
    "frame",
    ["{}", "```json\n{}\n```", "```\n{}```", "Here it is:\n{}\nI hope that helps.", " {}\n\n"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_reads_the_object_whatever_stands_around_it(frame: str, indent: int | None) -> None:
    """Fences and words are the habit of servers without a schema."""
    answer = frame.replace("{}", json.dumps(WHOLE, indent=indent))
    assert read(answer, ALL, cut=False) == Outputs(str(WHOLE["description"]), FIELDS)


@given(at=st.integers(0, 400), escaped=st.booleans(), fenced=st.booleans())
def test_what_is_visible_only_grows_and_is_never_json(at: int, escaped: bool, fenced: bool) -> None:
    """At any cut, also inside an escape, a fence or a key."""
    text = 'Zwei Kätzchen 🐈\n😀 \\ "x" {y}: [z]'
    whole = {**WHOLE, "description": text}
    answer = ("```json\n" if fenced else "") + json.dumps(whole, ensure_ascii=escaped)
    seen = visible(answer[:at])
    assert text.startswith(seen)
    if at >= len(answer):
        assert seen == text


def test_a_cut_answer_keeps_what_is_whole() -> None:
    """The description is said to be cut; any other field that is not whole is absent."""
    answer = json.dumps(WHOLE)
    assert read(answer[:40], ALL, cut=True) == Outputs("A tabby cat looks up.")
    until_tags = answer[: answer.index('"bowl"') + 3]
    assert set(read(until_tags, ALL, cut=True).fields) == {
        "altText",
        "decorative",
        "textInImage",
        "tags",
    }
    assert read(until_tags, ALL, cut=True).fields["tags"] == ["cat"]
    inside_alt = answer[: answer.index("looks up from")]
    assert read(inside_alt, ALL, cut=True).fields == {}


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 5000, "1e999999", "NaN"])
def test_a_number_of_any_size_is_no_fault(number: str) -> None:
    """It was paid for; `int` refuses over 4,300 digits by an error of its own."""
    answer = f'{{"description": "A cat.", "confidence": {number}, "altText": "A cat"}}'
    assert read(answer, Wanted((ALT_TEXT,)), cut=False) == Outputs("A cat.", {"altText": "A cat"})
    assert visible(answer) == "A cat."
    assert lacking(answer, Wanted((ALT_TEXT,))) == ()


@pytest.mark.parametrize(
    ("answer", "description"),
    [
        ("A cat on a sill.", "A cat on a sill."),
        ("A cat beside a sign that says {no}.", "A cat beside a sign that says {no}."),
        ("{broken", ""),
        ("```json\n{broken", ""),
        ("{}", ""),
        ('{"description": 7}', ""),
        ('{"description": ["A cat."]}', ""),
        ('{"text": "A cat."}', ""),
        ('["A cat."]', '["A cat."]'),
        ("", ""),
        ('{"description": "A\ncat."}', "A\ncat."),
        ('{"description": "A cat.",}', "A cat."),
        ('{"description": "A cat\\q."}', "A cat"),
        ('{"description": "A cat \\ud83d."}', "A cat \ufffd."),
        ('{"description": "A cat.", "tags": NaN}', "A cat."),
        ('{"description": ' + "[" * 60_000, ""),
        ('{"description": "A\\u0000 c\\u001bat\\r\\n."}', "A cat\n."),
    ],
)
def test_an_answer_in_another_form(answer: str, description: str) -> None:
    """Prose in place of the object is the description; a broken object is never shown."""
    assert read(answer, ALL, cut=False).description == description


def read_one(name: str, value: Any, **wanted: Any) -> Any:
    """Read an answer with one further field; give what is made of it, or None."""
    answer = json.dumps({"description": "A cat.", name: value})
    return read(answer, Wanted(OUTPUTS, **wanted), cut=False).fields.get(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("A cat on a sill", "A cat on a sill"),
        ("  A cat\n on a sill ", "A cat on a sill"),
        ("Image of a cat on a sill", "A cat on a sill"),
        ("A photograph showing two cats", "Two cats"),
        ("Image of", "Image of"),
        ("A cat. It sleeps on a sill.", "A cat."),
        ("A cat that sleeps on a sill all day", "A cat that sleeps…"),
        ("A cat sat, and it slept there", "A cat sat, and it…"),
        ("一只猫在睡觉。它的窝在一个很大的窗台上面，阳光照进来。", "一只猫在睡觉。"),  # noqa: RUF001
        ("Donaudampfschifffahrtsgesellschaft", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_alt_text_is_one_short_line(value: Any, text: str | None) -> None:
    """Ended at a sentence or else at a word, never in one; absent where that leaves nothing."""
    assert read_one("altText", value, alt_text_characters=20) == text


@given(st.text(max_size=300), st.integers(20, 200))
def test_alt_text_is_never_longer_than_allowed(value: str, most: int) -> None:
    """Whatever the model wrote."""
    text = read_one("altText", value, alt_text_characters=most)
    assert text is None or 0 < len(text) <= most + 1
    assert text is None or "\n" not in text


@pytest.mark.parametrize(
    ("value", "vocabulary", "tags"),
    [
        (["cat", "Cat", " cat ", "", "sill"], (), ["cat", "sill"]),
        (["CAT", "dog", "window sill"], ("Cat", "Window Sill"), ["Cat", "Window Sill"]),
        (["dog"], ("cat",), None),
        (["x" * 61, 7, None, ["a"], "b"], (), ["b"]),
        ("cat", (), None),
        ({}, (), None),
        ([str(n) for n in range(50)], (), [str(n) for n in range(20)]),
    ],
)
def test_tags_are_each_given_once(
    value: Any, vocabulary: tuple[str, ...], tags: list[str] | None
) -> None:
    """Unknown ones dropped where there is a vocabulary, in whose spelling they stand."""
    assert read_one("tags", value, tags=vocabulary) == tags


@pytest.mark.parametrize("value", ["true", 1, None, "no"])
def test_decorative_is_true_or_false_or_absent(value: Any) -> None:
    """It is a suggestion; a guess at one would be none."""
    assert read_one("decorative", value) is None
    assert read_one("decorative", value=True) is True


def test_further_languages_stand_beside_the_first() -> None:
    """Only those that were asked for, and that are there."""
    answer = json.dumps({"description": "A cat.", "descriptions": {"de": "Eine Katze.", "fr": ""}})
    found = read(answer, Wanted(languages=("en", "de", "fr")), cut=False)
    assert found.fields == {"descriptions": {"en": "A cat.", "de": "Eine Katze."}}
    assert read(answer, Wanted(OUTPUTS), cut=False).fields == {}


def test_what_was_not_asked_for_is_not_taken() -> None:
    """A model may be generous."""
    assert read(json.dumps(WHOLE), Wanted(("tags",)), cut=False).fields == {"tags": ["cat", "bowl"]}


@pytest.mark.parametrize(
    "wanted", [ALL, Wanted(("tags",), ("Cat", "Dog")), Wanted(languages=("en", "de"))]
)
def test_schema_is_strict_and_told_in_words(wanted: Wanted) -> None:
    """Every key is required, none else allowed, and the words name the same keys in order."""
    schema = wanted.schema()
    keys = list(schema["properties"])
    assert keys[0] == "description"
    assert schema["required"] == keys
    assert schema["additionalProperties"] is False
    rules = wanted.rules()
    places = [rules.index(f'"{key}":') for key in keys]
    assert places == sorted(places)
    for tag in (*wanted.tags, *wanted.languages[1:]):
        assert tag in rules


def test_without_more_it_is_no_object() -> None:
    """The usual case is plain text, as it streams best."""
    assert not Wanted().structured
    assert Wanted(languages=("en", "de")).structured


# --- what a second call may bring

EVERY = ("description", "altText", "decorative", "textInImage", "tags", "descriptions")
BUT_SEEN = ("altText", "tags", "descriptions")


def without(*keys: str, **changes: Any) -> str:
    return json.dumps({k: v for k, v in {**WHOLE, **changes}.items() if k not in keys})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json.dumps(WHOLE), ()),
        (f"```json\n{json.dumps(WHOLE, indent=2)}\n```", ()),
        (without(textInImage="", tags=[], altText=""), ()),
        (without("tags"), ("tags",)),
        (without(tags="cat, bowl", altText=None), ("altText", "tags")),
        (without(descriptions={"fr": "Un chat."}), ("descriptions",)),
        (without("decorative", "textInImage"), ()),
        (without(decorative="no"), ("decorative",)),
        ("A cat.", BUT_SEEN),
        (
            "**description:** A cat.\n**decorative:** no",
            (*BUT_SEEN[:1], "decorative", *BUT_SEEN[1:]),
        ),
        ('{"text": "A cat."}', ("description", *BUT_SEEN)),
        ('{"description": "A cat, "Tom"."', ("description", *BUT_SEEN)),
        # The fault comes after all that was asked for.
        (json.dumps(WHOLE)[:-1], ()),
    ],
)
def test_what_an_answer_lacks(answer: str, expected: tuple[str, ...]) -> None:
    """An empty field is an answer; what only the picture tells lacks only where it was told."""
    assert lacking(answer, ALL) == expected


@given(st.text(alphabet='{}[]":,abc \\\n'), st.text(alphabet='{}[]":,abc \\\n'))
def test_any_two_answers_give_fields_of_their_form(first: str, second: str) -> None:
    """Whatever was broken: no field but those asked for, each of its type."""
    names = lacking(first, ALL)
    found = read(first, ALL, cut=False)
    made = completed(found, read(second, ALL, cut=False), names, ALL)
    assert set(made.fields) <= set(EVERY[1:])
    assert made.description.startswith(found.description)
    assert made.fields.items() >= found.fields.items() or "descriptions" in found.fields


def test_a_description_that_a_fault_cut_goes_on() -> None:
    """But none becomes another."""
    found = read('{"description": "A cat, "Tom", sleeps.", "altText": "A cat"}', ALL, cut=False)
    assert found.description == "A cat,"
    names = ("description", "altText")
    for other, expected in (
        ('A cat, "Tom", sleeps.', 'A cat, "Tom", sleeps.'),
        ("A dog.", "A cat,"),
    ):
        whole = Outputs(other, {"altText": "A", "tags": ["x"]})
        assert completed(found, whole, names, ALL) == Outputs(expected, {"altText": "A"})
    assert (
        completed(Outputs("A cat."), Outputs("A cat. A dog."), ("tags",), ALL).description
        == "A cat."
    )


def test_languages_are_filled_in_one_by_one() -> None:
    """What the first answer said in a language stays; the first is the description's own."""
    wanted = Wanted((), languages=("en", "de", "fr"))
    found = read('{"description": "A cat.", "descriptions": {"de": "Katze."}}', wanted, cut=False)
    answer = {"description": "Cat!", "descriptions": {"de": "Kater.", "fr": "Un chat."}}
    other = read(json.dumps(answer), wanted, cut=False)
    made = completed(found, other, ("descriptions",), wanted)
    assert made.fields == {"descriptions": {"en": "A cat.", "de": "Katze.", "fr": "Un chat."}}
