"""Chunks become a description, and only a finish reason proves that it is whole."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from describer.describe import MAX_TEXT_CHARACTERS, Accumulator, Description, describe
from describer.errors import (
    BlockedError,
    DescriberError,
    EmptyDescriptionError,
    ModelBusyError,
    ModelUnreachableError,
    PermanentError,
    StreamBrokenError,
    Usage,
)
from describer.image import Image
from describer.memory import Script, ScriptedModel, text_script
from describer.prompt import instructions_for
from describer.settings import Settings
from describer.stream import Chunk
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


@given(st.text(), st.data())
def test_any_split_of_a_text_gives_that_text(text: str, data: st.DataObject) -> None:
    """Even between the two halves of a surrogate pair, as JSON escapes may be split."""
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
    if text.strip():
        assert gathered.finish().text == text.strip()
    else:
        with pytest.raises(EmptyDescriptionError):
            gathered.finish()


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([Chunk("A cat", "stop")], "described"),
        ([Chunk("A c"), Chunk("at", "length")], "truncated"),
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


@pytest.mark.parametrize("after", [StreamBrokenError("cut"), 3600.0], ids=["cut", "silence"])
def test_what_fails_after_the_finish_reason_loses_nothing(after: Exception | float) -> None:
    """The text is whole; only usage might have followed."""
    result, _, seconds = play(Script([Chunk("A cat", "stop"), after]))
    assert result == Description("A cat", "stop", None)
    assert seconds < 5


def test_a_text_without_end_is_broken_off() -> None:
    """Memory and the record's size are bounded, and the model is hung up on."""
    endless = Script([Chunk("x" * 1000)] * (MAX_TEXT_CHARACTERS // 1000 + 2))
    result, model, _ = play(endless)
    assert isinstance(result, StreamBrokenError)
    assert model.hung_up == 1


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
