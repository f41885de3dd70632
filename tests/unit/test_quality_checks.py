"""What the checks see, and what they do not; on answers whose scores are known beforehand."""

import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from describer.model.outputs import Wanted
from local.quality.__main__ import SET, scored
from local.quality.sheets import FAULTS, Fault, Sheet, perfect, sheets, with_fault
from operate.quality import pictures as pictures_module
from operate.quality.checks import (
    SCORES,
    Answer,
    alike,
    check,
    count_sentences,
    count_words,
    quotations,
)
from operate.quality.pictures import KINDS, Picture, Point, SetError, load_labels, load_set

PICTURES = load_set(SET)
ALL = Wanted(outputs=("alt_text", "decorative", "text_in_image", "tags"), tags=("cat", "dog"))


def picture(**fields: Any) -> Picture:
    usual = {
        "file": "IMG_1.jpg",
        "path": Path("IMG_1.jpg"),
        "digest": "0",
        "facts": (Point("a cat", {"": ("cat",), "de": ("Katze*",)}),),
    }
    return Picture(**{**usual, **fields})


def scores_of(text: str, /, language: str = "en", **fields: Any) -> dict[str, float]:
    return check(Answer("described", text, text), picture(**fields), language, Wanted())


@pytest.mark.parametrize("sheet", sheets(PICTURES), ids=lambda sheet: sheet.name)
def test_a_planted_fault_lowers_exactly_its_score(sheet: Sheet) -> None:
    """By as much as was counted beforehand, and no other; the perfect answers lose nothing."""
    found = {name: one.mean for name, one in scored(sheet.lines).scores.items()}
    assert set(found) == set(SCORES)
    lowered = {name: mean for name, mean in found.items() if mean < 1}
    expected = {sheet.score: pytest.approx(sheet.expected)} if sheet.score else {}
    assert lowered == expected


def test_every_score_has_a_fault_that_it_is_meant_to_see() -> None:
    """So that a check that always passes is found out."""
    assert {fault.score for fault in FAULTS} == set(SCORES)


def test_the_references_in_german_are_perfect_too() -> None:
    """Wordings, opening, language and the rest, in the set's second language."""
    for one in PICTURES:
        found = check(Answer("described", text=one.reference["de"]), one, "de", Wanted())
        assert set(found.values()) == {1.0}, (one.file, found)
    assert len(perfect(PICTURES, "de").lines) == 2 * len(PICTURES)


@pytest.mark.parametrize("seed", [2, 3])
def test_it_does_not_matter_which_half_is_chosen(seed: int) -> None:
    """The expectation is counted from the pictures, not fitted to one choice."""
    fault: Fault = next(fault for fault in FAULTS if fault.score == "traps")
    sheet = with_fault(fault, PICTURES, seed)
    assert scored(sheet.lines).scores["traps"].mean == pytest.approx(sheet.expected)


def test_the_shipped_set_has_every_kind_and_is_small() -> None:
    """Thirty pictures of at most 640 pixels, each in both languages, with labels of both sorts."""
    assert {one.kind for one in PICTURES} == set(KINDS)
    assert 24 <= len(PICTURES) <= 40
    files = [path for path in SET.iterdir() if path.suffix in {".jpg", ".png", ".webp"}]
    assert {path.name for path in files} == {one.file for one in PICTURES}
    assert sum(path.stat().st_size for path in SET.iterdir()) < 2_500_000
    for one in PICTURES:
        with PIL.Image.open(one.path) as image:
            assert max(image.size) <= 640
        assert one.languages == {"en", "de"} == set(one.reference) == set(one.alt_text)
        assert len(one.facts) >= 2
        assert one.traps
    claims, pairs = load_labels(SET)
    assert len(claims) >= 50
    assert len(pairs) >= 10
    assert {label.picture for label in claims} == {one.file for one in PICTURES}
    assert {label.picture for label in pairs} <= {one.file for one in PICTURES}
    readme = (SET / "README.md").read_text(encoding="utf-8")
    assert all(f"`{one.file}`" in readme or f"`{one.path.stem}`" in readme for one in PICTURES)


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("A dog sleeps.", True),
        ("There is no dog.", False),
        ("Not a single dog is there.", False),
        ("A cat without a collar beside a dog.", True),
        ("Kein Hund, nur ein dog.", True),
        ("A dogma is written down.", False),
    ],
)
def test_a_trap_is_claimed_unless_it_is_denied(text: str, *, claimed: bool) -> None:
    """By a word such as no, at most three words before."""
    trap = Point("a dog", {"": ("dog",)})
    assert scores_of(text, traps=(trap,))["traps"] == float(not claimed)


@pytest.mark.parametrize(
    ("wording", "text", "found"),
    [
        ("cat", "A cat.", True),
        ("cat", "A catalogue.", False),
        ("orange*", "An oranges-only shop.", True),
        ("two men", "Two\nmen walk.", True),
        ("猫", "一只猫在窗台上。", True),
        ("84.50", "In all 84.50 euros.", True),
        ("84.50", "In all 84x50 euros.", False),
    ],
)
def test_a_fact_is_found_by_whole_words(wording: str, text: str, *, found: bool) -> None:
    """Whatever the case and the space between them; * stands for any ending."""
    fact = Point("it", {"": (wording,)})
    assert scores_of(text, facts=(fact,))["recall"] == float(found)


def test_facts_are_looked_for_in_the_language_that_the_text_is_in() -> None:
    """So that a text in the wrong language loses that score alone."""
    fact = Point("a cat", {"en": ("cat",), "de": ("Katze*",)})
    text = "Eine getigerte Katze sitzt auf der Fensterbank und blickt hinaus in den Garten."
    found = scores_of(text, "en", facts=(fact,), sentences=(1, 5), words=(5, 50))
    assert {name for name, value in found.items() if value < 1} == {"language"}


@pytest.mark.parametrize(
    ("tag", "text", "good"),
    [
        ("en", "A brown tabby cat looks straight at you.", True),
        ("en-GB", "A brown tabby cat looks straight at you.", True),
        ("de", "A brown tabby cat looks straight at you.", False),
        ("de-CH", "Eine braune Katze blickt geradeaus.", True),
        ("fr", "Un chat brun regarde droit vers l'appareil et le fond est flou.", True),
        ("nb", "En brun katt ser rett mot kameraet, og bakgrunnen er helt uskarp og grå.", True),
        ("zh-Hant", "一只棕色的虎斑猫正看着镜头。", True),
        ("en", 'A card says "Bei 180 Grad 45 Minuten backen und dann auskühlen lassen".', True),
    ],
)
def test_the_language_is_told(tag: str, text: str, *, good: bool) -> None:
    """By its first part, whatever script or region; what is quoted may be in another."""
    assert scores_of(text, tag)["language"] == float(good)


@pytest.mark.parametrize(
    ("quoted", "share"),
    [
        ("LIBRARY CLOSED", 1.0),
        ("library closed", 1.0),
        ("LIBRARY CL0SED", 1.0),
        ("LIBRARY OPEN", 0.0),
        ("LIBRARY CLOSED on Friday for the whole of the summer", 0.0),
    ],
)
def test_a_quotation_has_to_stand_in_the_picture(quoted: str, share: float) -> None:
    """But for one letter in ten, and for capitals."""
    text = ("LIBRARY CLOSED", "on Friday")
    assert scores_of(f'A sign says "{quoted}".', text=text)["quotes"] == share
    assert "quotes" not in scores_of(f'A sign says "{quoted}".', text=None)


def test_quotations_of_several_languages_are_read() -> None:
    """Straight, English, German and French ones, without the punctuation at their end."""
    text = '"one," “two” „drei“ «quatre» 「五」 and 5" of nothing'
    assert list(quotations(text)) == ["one", "two", "drei", "quatre", "五"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("It costs 84.50 euros. Paid.", 2),
        ("Vom 4. Mai bis heute. Ja.", 2),
        ("No end", 1),
        ('She says "Stop." He goes.', 2),
        ("一只猫。一只狗。", 2),
        ("It ends with 27.", 1),
    ],
)
def test_sentences_are_counted(text: str, sentences: int) -> None:
    """Decimals and dates end none."""
    assert count_sentences(text) == sentences


def test_words_are_counted_where_none_are_written_apart_too() -> None:
    """Two signs for a word."""
    assert count_words("It's 84.50 euros, 9:47 sharp") == 5
    assert count_words("一只猫在窗台") == 3


@pytest.mark.parametrize(
    ("text", "kind", "good"),
    [
        ("This image shows a cat.", "photo", False),
        ("In the picture, a cat sits.", "art", False),
        ("Das Bild zeigt eine Katze.", "photo", False),
        ("A photo of a cat.", "photo", False),
        ("A black-and-white photograph of a cat.", "photo", False),
        ("**This image** shows a cat.", "photo", False),
        ("A screenshot of a form.", "screenshot", True),
        ("A bar chart has five bars.", "chart", True),
        ("The chart shows five bars.", "chart", False),
        ("A picture frame hangs on a wall.", "photo", True),
        ("A photographer bends forward.", "photo", True),
    ],
)
def test_the_opening_is_the_subject(text: str, kind: str, *, good: bool) -> None:
    """Or a medium that matters, which a photograph is not."""
    assert scores_of(text, kind=kind)["opening"] == float(good)


@pytest.mark.parametrize(
    "text", ["# A cat", "- a cat\n- a dog", "A <b>cat</b>.", "[cat](x)", "A cat.\n\nA dog.", "`c`"]
)
def test_markup_is_seen(text: str) -> None:
    """Headings, lists, tags, links, code, a second paragraph."""
    assert scores_of(text)["markup"] == 0


@pytest.mark.parametrize("text", ["A 3 - 1 win, 50 % < 60 %.", "Line one,\nline two."])
def test_what_is_no_markup_is_left_alone(text: str) -> None:
    """Signs in a sentence, and a single line end."""
    assert scores_of(text)["markup"] == 1


@pytest.mark.parametrize(
    ("alt", "good"),
    [
        ("A brown cat", True),
        ("Image of a brown cat", False),
        ("Foto von einer Katze", False),
        ("IMG_1", False),
        ("A cat, IMG_1.jpg", False),
        ("x" * 151, False),
        ("A cat\nand a dog", False),
        ("", False),
        (None, False),
    ],
)
def test_alternative_text_keeps_the_rules(alt: str | None, *, good: bool) -> None:
    """As the model wrote it, before the function mends it."""
    raw = json.dumps({"description": "A cat sits.", "altText": alt, "decorative": False})
    found = check(Answer("described", raw, "A cat sits."), picture(), "en", ALL)
    assert found["alt"] == float(good)
    assert found["json"] == 0


def test_a_decorative_picture_may_have_no_alternative_text() -> None:
    """As W3C's decision tree has it."""
    raw = json.dumps({"description": "A line.", "altText": ""})
    answer = Answer("described", raw, "A line.")
    assert check(answer, picture(decorative=True), "en", ALL)["alt"] == 1
    assert check(answer, picture(decorative=None), "en", ALL)["alt"] == 0


def test_likeness_is_of_each_pair() -> None:
    """And none of one text alone."""
    assert alike(["a"]) is None
    assert alike(["abcd", "abcd", "abcd"]) == 1
    assert alike(["abcd", "abcd", "wxyz"]) == pytest.approx(1 / 3)


def test_the_schema_says_what_is_read() -> None:
    """Keys, kinds and what must be there."""
    schema = json.loads((SET.parent / "set.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == pictures_module._KEYS
    assert tuple(schema["properties"]["kind"]["enum"]) == KINDS
    assert schema["required"] == ["file", "facts"]
    bounds = {name: schema["properties"][name]["default"] for name in ("words", "sentences")}
    assert bounds == {"words": [*pictures_module.WORDS], "sentences": [*pictures_module.SENTENCES]}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "expected a JSON object"),
        ('{"file": "b.png", "facts": ["x"]}', "there is no b.png"),
        ('{"file": "../a.png", "facts": ["x"]}', "there is no ../a.png"),
        ('{"file": "a.png"}', "facts: expected a list"),
        ('{"file": "a.png", "facts": []}', "at least one"),
        ('{"file": "a.png", "facts": [{"name": "x"}]}', "item 1: expected wordings"),
        ('{"file": "a.png", "facts": ["x|*"]}', "expected a list of words"),
        ('{"file": "a.png", "facts": ["x"], "kind": "film"}', "one of photo"),
        ('{"file": "a.png", "facts": ["x"], "trap": []}', "unknown keys trap"),
        ('{"file": "a.png", "facts": ["x"], "words": [5, 1]}', "the least and the most"),
        ('{"file": "a.png", "facts": ["x"], "text": "x"}', "a list of lines"),
        ('{"file": "a.png", "facts": ["x"], "reference": "x"}', "texts by language"),
        ('{"file": "a.png", "facts": ["x"], "decorative": 1}', "true or false"),
        ("", "no pictures"),
    ],
)
def test_a_set_that_is_wrong_says_where(tmp_path: Path, line: str, fault: str) -> None:
    """With the file, the line and what would be accepted."""
    (tmp_path / "a.png").touch()
    (tmp_path / "set.jsonl").write_text(line)
    with pytest.raises(SetError, match=fault):
        load_set(tmp_path)


def test_a_folder_that_is_no_set_is_told_so(tmp_path: Path) -> None:
    """With where to read on."""
    with pytest.raises(SetError, match=r"there is no .*set.jsonl; docs/quality.md"):
        load_set(tmp_path)


@pytest.mark.parametrize("line", ['{"picture": "a"}', '{"picture": "a", "claim": "x", "true": 1}'])
def test_a_label_that_is_wrong_says_where(tmp_path: Path, line: str) -> None:
    """Both sorts are named."""
    (tmp_path / "labels.jsonl").write_text(line)
    with pytest.raises(SetError, match="line 1: expected picture, claim and true"):
        load_labels(tmp_path)
