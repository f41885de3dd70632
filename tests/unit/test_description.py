"""Chunks become a description, and only a finish reason proves that it is whole."""

import asyncio
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from describer.errors import (
    BlockedError,
    DescriberError,
    EmptyDescriptionError,
    ModelBusyError,
    ModelTimeoutError,
    ModelUnreachableError,
    PermanentError,
    StreamBrokenError,
)
from describer.images.image import Image
from describer.model.description import (
    MAX_TEXT_CHARACTERS,
    QUIET_SECONDS,
    Accumulator,
    Description,
    describe,
)
from describer.model.prompt import instructions_for
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.model.thinking import BLOCKS
from describer.settings import Settings
from describer.values import Usage
from tests import virtual

INSTRUCTIONS = instructions_for("a.jpg", Settings())
IMAGE = Image("image/jpeg", 1, uri="gs://b/a.jpg")


def play(*scripts: Script) -> tuple[Description | DescriberError, ScriptedModel, float]:
    """Describe with these scripts; give result or error, the model, and the virtual seconds."""
    model = ScriptedModel(list(scripts))

    async def work() -> tuple[Description | DescriberError, ScriptedModel, float]:
        try:
            result: Description | DescriberError = await describe(model, INSTRUCTIONS, IMAGE)
        except DescriberError as exc:
            result = exc
        return result, model, virtual.seconds()

    return virtual.run(work())


def shown(text: str) -> str:
    """Give what is left of a text without control characters, which come one by one here."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    return "".join(kept).strip()


CONTROLS = "\0\t\n\r\x1b\x7f\x85\x9fa "


@given(st.text() | st.text(CONTROLS), st.data())
def test_any_split_of_a_text_gives_that_text(text: str, data: st.DataObject) -> None:
    """Even between the two halves of a surrogate pair, as JSON escapes may be split."""
    assume(not text.lstrip().startswith(tuple(BLOCKS)) and "</think>" not in text)
    units = text.encode("utf-16-le", "surrogatepass")
    halves = [
        units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)
    ]
    gathered = Accumulator()
    while halves:
        size = data.draw(st.integers(1, len(halves)))
        gathered.add(Chunk("".join(halves[:size])))
        gathered.text.encode()
        halves = halves[size:]
    gathered.add(Chunk(finish_reason="stop"))
    if expected := shown(text):
        assert gathered.finish().text == expected
    else:
        with pytest.raises(EmptyDescriptionError):
            gathered.finish()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([Chunk("A cat", "stop")], "described"),
        ([Chunk("A c"), Chunk("at", "length")], "truncated"),
        ([Chunk("A c"), Chunk("at", "length"), Chunk("", "stop")], "truncated"),
        ([Chunk("A", "stop"), Chunk(" c", "length"), Chunk("\n", "stop")], "truncated"),
        ([Chunk(" \n", "stop")], EmptyDescriptionError),
        ([Chunk("", "length", Usage(9, 0, 99))], EmptyDescriptionError),
        ([Chunk("A cat"), Chunk("", "content_filter")], BlockedError),
        ([Chunk("A cat")], StreamBrokenError),
        ([], StreamBrokenError),
    ],
    ids=repr,
)
def test_the_end_decides_the_outcome(
    chunks: list[Chunk], expected: str | type[DescriberError]
) -> None:
    """One row for each way in which a stream can end by itself."""
    result, _, _ = play(Script(chunks))
    if isinstance(expected, str):
        assert isinstance(result, Description)
        assert result.outcome == expected
    else:
        assert type(result) is expected
        if isinstance(result, PermanentError) and chunks:
            assert result.usage == chunks[-1].usage


def test_usage_may_come_on_any_chunk() -> None:
    """The last one counts, also after the finish reason."""
    first, last = Usage(1, 1, 2), Usage(5, 6, 12)
    result, _, _ = play(Script([Chunk("a", usage=first), Chunk("b", "stop"), Chunk(usage=last)]))
    assert result == Description("ab", "stop", last)


STOP = Chunk("", "stop")
SILENCE: list[Chunk | float | Exception] = [45.0, ModelTimeoutError("silence")]


@pytest.mark.parametrize(
    "steps",
    [
        [Chunk("A "), Chunk("cat", "stop"), 4.9, Chunk(" sleeps."), 9.0, Chunk("", "stop")],
        [Chunk("A ", "stop"), 9.0, Chunk("cat", "stop"), 9.0, Chunk(" sleeps.", "stop")],
        [Chunk("A ", "stop"), Chunk("cat", "stop"), Chunk(" sleeps.", "stop"), *SILENCE],
        [Chunk("A "), Chunk("cat", "stop"), 3.0, Chunk(" sleeps.")],
        [Chunk("A "), STOP, 3.0, Chunk("cat"), 9.0, Chunk(" sleeps."), Chunk("", "stop"), *SILENCE],
        [STOP, 40.0, Chunk("A "), 9.0, Chunk("cat sleeps.")],
        [Chunk("A "), Chunk("", "length"), 4.0, Chunk("cat sleeps.", "stop")],
    ],
    ids=range(7),
)
def test_text_after_a_finish_reason_belongs_to_the_text(
    steps: list[Chunk | float | Exception],
) -> None:
    """Servers send it with each chunk, or before the last text, or first of all."""
    result, _, _ = play(Script(steps))
    assert result == Description("A cat sleeps.", "stop", None)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([Chunk("A "), Chunk("cat", "stop"), 1.0, StreamBrokenError("cut")], StreamBrokenError),
        ([Chunk("A cat", "stop"), 9.0, StreamBrokenError("cut")], StreamBrokenError),
        ([Chunk("A "), STOP, Chunk("cat"), *SILENCE], ModelTimeoutError),
        ([STOP, *SILENCE], ModelTimeoutError),
        ([STOP, Chunk(" "), *SILENCE], ModelTimeoutError),
        ([Chunk("A "), Chunk("", "content_filter"), Chunk("cat", "stop")], BlockedError),
        ([Chunk("", "content_filter"), 3600.0], BlockedError),
    ],
    ids=range(7),
)
def test_what_is_no_end_of_a_text(
    steps: list[Chunk | float | Exception], expected: type[DescriberError]
) -> None:
    """A connection that breaks, silence in the midst of it, the filter's word."""
    result, _, _ = play(Script(steps))
    assert type(result) is expected


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([Chunk("A "), Chunk("cat", "stop"), 3600.0], QUIET_SECONDS),
        ([Chunk("A "), Chunk("cat", "stop"), Chunk("\n"), 3600.0], QUIET_SECONDS),
        ([Chunk("A cat", "stop"), *SILENCE], 45.0),
    ],
    ids=["soon", "a line end after it", "the only chunk, as with a server that ends each"],
)
def test_silence_after_a_finish_reason_ends_the_text(
    steps: list[Chunk | float | Exception], seconds: float
) -> None:
    """Where the body has no end. The chunk time-out is the client's, which ends the silence."""
    result, _, took = play(Script(steps))
    assert result == Description("A cat", "stop", None)
    assert took == seconds


def test_what_the_filter_refused_is_not_shown() -> None:
    """Not even as partial text."""
    seen: list[str] = []
    script = Script([Chunk("One"), Chunk(" cat", "content_filter"), Chunk(" sleeps", "stop")])

    async def work() -> None:
        with pytest.raises(BlockedError):
            await describe(
                ScriptedModel([script]),
                INSTRUCTIONS,
                IMAGE,
                on_text=lambda text: seen.append(text.text),
            )

    virtual.run(work())
    assert seen == ["One"]


@pytest.mark.parametrize("size", [1, 999, 70_000, 10**6])
def test_a_text_too_long_for_the_record_is_truncated(size: int) -> None:
    """It is paid for once. Memory and the record's size are bounded; the model is hung up on."""
    endless = Script([Chunk("x" * size)] * (MAX_TEXT_CHARACTERS // size + 2))
    result, model, _ = play(endless)
    assert result == Description("x" * MAX_TEXT_CHARACTERS, "length", None)
    assert result.outcome == "truncated"
    assert model.hung_up == 1
    longest = Script([Chunk("x" * MAX_TEXT_CHARACTERS), Chunk("", "stop")])
    assert play(longest)[0] == Description("x" * MAX_TEXT_CHARACTERS, "stop", None)


def test_a_text_of_control_characters_is_empty() -> None:
    """Nothing of it could be shown."""
    result, _, _ = play(Script([Chunk("\0\x1b\r\n"), Chunk("", "stop")]))
    assert type(result) is EmptyDescriptionError


def test_a_refusal_that_cost_nothing_is_tried_once_more() -> None:
    """After at least a second, and only once."""
    busy = Script(refusal=ModelBusyError("429"))
    result, model, seconds = play(busy, text_script("A cat"))
    assert isinstance(result, Description)
    assert 1 <= seconds <= 2
    result, model, _ = play(busy, busy, text_script("A cat"))
    assert isinstance(result, ModelBusyError)
    assert model.begun == []


@pytest.mark.parametrize(
    "script",
    [
        Script(refusal=ModelUnreachableError("refused")),
        Script(refusal=ModelBusyError("429", retry_after_seconds=60)),
        Script([Chunk("A"), ModelBusyError("503 inside the stream")]),
        Script([Chunk("A"), StreamBrokenError("cut")]),
    ],
    ids=["no answer", "a long wait asked for", "busy midway", "cut midway"],
)
def test_everything_else_is_left_to_a_redelivery(script: Script) -> None:
    """What may have cost something, or wants a long wait, is not tried again here."""
    result, _, seconds = play(script, text_script("A cat"))
    assert isinstance(result, DescriberError)
    assert seconds == 0


def test_leaving_early_hangs_up() -> None:
    """A cancelled description stops reading, and so paying."""
    model = ScriptedModel([text_script("A cat sleeps", chunk_seconds=10)])

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await describe(model, INSTRUCTIONS, IMAGE)

    virtual.run(work())
    assert model.hung_up == 1


THOUGHT = "A cat? <b> I'm sorry, no: </thin k> Wait."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"<think>{THOUGHT}</think>\n\nA cat sleeps.", "A cat sleeps."),
        (f"\n<think>\n{THOUGHT}\n</think>A cat sleeps.", "A cat sleeps."),
        (f"[THINK]{THOUGHT}[/THINK]A cat sleeps.", "A cat sleeps."),
        (f"<thinking>{THOUGHT}</thinking><think></think> A cat sleeps.", "A cat sleeps."),
        (f"{THOUGHT}\n</think>\n\nA cat sleeps.", "A cat sleeps."),
        ("The page reads <think>no</think> in red.", "The page reads <think>no</think> in red."),
        ("<thistle> is written on it.", "<thistle> is written on it."),
        ("<thi", "<thi"),
    ],
)
@given(st.data())
def test_thinking_is_no_part_of_a_text(said: str, expected: str, data: st.DataObject) -> None:
    """Wherever its tags are cut. Inside the text, tags are what the picture shows."""
    gathered, rest = Accumulator(), said
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        gathered.add(Chunk(rest[:size]))
        rest = rest[size:]
        if said.lstrip()[:1] in "<[":
            assert expected.startswith(gathered.text)
    gathered.add(Chunk("", "stop"))
    assert gathered.finish().text == expected


def test_thinking_that_spent_all_tokens_is_an_empty_text() -> None:
    """And the message says what to do."""
    result, _, _ = play(Script([Chunk("<think>A cat or"), Chunk(" a dog", "length")]))
    assert type(result) is EmptyDescriptionError
    assert "MAX_OUTPUT_TOKENS" in str(result)


def test_much_thinking_takes_no_room_of_the_text() -> None:
    """Its length is bounded by tokens; the text's by the record."""
    thought = [Chunk("<think>"), *[Chunk("x" * 70_000)] * 9, Chunk("</think>A cat.", "stop")]
    assert play(Script(thought))[0] == Description("A cat.", "stop", None)


def test_thinking_is_not_shown() -> None:
    """Not even as partial text."""
    seen: list[str] = []
    script = Script(
        [Chunk("<th"), Chunk("ink>A dog"), Chunk("?</think>One"), Chunk(" cat", "stop")]
    )

    async def work() -> None:
        model = ScriptedModel([script])
        await describe(model, INSTRUCTIONS, IMAGE, on_text=lambda text: seen.append(text.text))

    virtual.run(work())
    assert seen == ["One", "One cat"]
