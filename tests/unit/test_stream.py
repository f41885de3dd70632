"""Bytes become chunks, whatever servers make of the format."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from describer.errors import (
    BlockedError,
    DescriberError,
    ModelBusyError,
    ModelRejectedError,
    StreamBrokenError,
)
from describer.model.stream import MAX_EVENT_BYTES, Chunk, Decoder, read_chunk
from describer.model.translation import error_for
from describer.values import Usage


def chunks(*pieces: bytes) -> list[Chunk]:
    decoder = Decoder(error_for)
    found = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return found + list(decoder.end())


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


LINES = st.sampled_from(["", ": keep-alive", "event: x", "words", "words\u2028é \u0085 words"])
INNER = "ResponsibleAIPolicyViolation"
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDS)), st.booleans(), st.data())
def test_chunks_do_not_depend_on_where_the_bytes_are_cut(
    parts: list[tuple[str, bytes]],
    ended: bool,
    data: st.DataObject,
) -> None:
    r"""\r\n may be cut in two; other Unicode line ends are text; the last end may be missing."""
    texts = [text for text, _ in parts if text.startswith("words")]
    rest = b"".join(
        (_delta(text) if text.startswith("words") else text.encode()) + end for text, end in parts
    )
    if not ended:
        rest = rest.rstrip(b"\r\n")
    pieces = []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert [chunk.text for chunk in chunks(*pieces)] == texts


def _delta(text: str) -> bytes:
    content = {"choices": [{"delta": {"content": text}}]}
    return b"data: " + json.dumps(content, ensure_ascii=False).encode()


def test_a_line_without_end_is_refused() -> None:
    """Memory is bounded whatever the server sends."""
    with pytest.raises(StreamBrokenError, match="over 1048576 bytes"):
        chunks(*[b"x" * 65536] * (MAX_EVENT_BYTES // 65536 + 1))


def test_reads_the_shape_that_vertex_sends() -> None:
    """No finish reason until the last chunk, which has text and usage as well."""
    usage = {"prompt_tokens": 27, "completion_tokens": 45, "total_tokens": 576}
    body = (
        event({"choices": [{"delta": {"role": "assistant", "content": "A "}, "index": 0}]})
        + b": keep-alive\r\nevent: x\nid: 3\n\n"
        + event(
            {
                "choices": [{"delta": {"content": "cat"}, "finish_reason": "stop", "index": 0}],
                "usage": usage,
            }
        )
        + b"data: [DONE]\n\ndata: rubbish after the end\n\n"
    )
    assert chunks(body) == [Chunk("A "), Chunk("cat", "stop", Usage(27, 45, 576))]


def served(traffic_type: object) -> dict[str, Any]:
    """How Vertex AI says how it served a request."""
    google = {"google": {"traffic_type": traffic_type}}
    return {"usage": {"total_tokens": 3, "extra_properties": google}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, Chunk()),
        ({"choices": []}, Chunk()),
        ({"choices": None}, Chunk()),
        ({"choices": [None, 3]}, Chunk()),
        ({"choices": [{}]}, Chunk()),
        ({"choices": [{"delta": None}]}, Chunk()),
        ({"choices": [{"delta": {"content": None}}]}, Chunk()),
        ({"choices": [{"delta": {"content": "x"}}]}, Chunk("x")),
        ({"choices": [{"delta": {"reasoning_content": "hm", "content": None}}]}, Chunk()),
        ({"choices": [{"delta": {"reasoning": "hm", "content": "x"}}]}, Chunk("x")),
        ({"choices": [{"index": 1, "delta": {"content": "x"}}]}, Chunk()),
        ({"choices": [{"finish_reason": "stop"}]}, Chunk("", "stop")),
        ({"choices": [{"finishReason": "MAX_TOKENS"}]}, Chunk("", "length")),
        ({"choices": [{"finish_reason": "SAFETY"}]}, Chunk("", "content_filter")),
        ({"usage": {"total_tokens": 3}}, Chunk(usage=Usage(0, 0, 3))),
        ({"usage": {"prompt_tokens": "3", "total_tokens": 10**400}}, Chunk()),
        ({"usage": []}, Chunk()),
        (served("ON_DEMAND_FLEX"), Chunk(usage=Usage(0, 0, 3, "ON_DEMAND_FLEX"))),
        *((served(said), Chunk(usage=Usage(0, 0, 3))) for said in (7, None, "a b", "X" * 41)),
        ([{"choices": [{"delta": {"content": "x"}}]}], Chunk("x")),
        (
            {
                "choices": [
                    {
                        "delta": {
                            "content": [
                                {"type": "thinking", "thinking": []},
                                {"type": "text", "text": "x"},
                                {"text": "y"},
                            ]
                        }
                    }
                ]
            },
            Chunk("xy"),
        ),
    ],
    ids=lambda value: json.dumps(value)[:70] if not isinstance(value, Chunk) else "",
)
def test_copes_with_what_is_missing(content: Any, expected: Chunk) -> None:
    """Servers leave out every part now and then."""
    assert chunks(event(content)) == [expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: {\n\n", StreamBrokenError),
        (b'data: {"choices": [{"delta": {"content": "cu', StreamBrokenError),
        (b"data: " + b"[" * 100_000 + b"\n", StreamBrokenError),
        (b"data: \xff\xfe\n\n", StreamBrokenError),
        (b"data: 3\n\n", StreamBrokenError),
        (b"data: []\n\n", StreamBrokenError),
        (b"data: {\n" + b"data: \n" * 2 + b"data: x\n\n", StreamBrokenError),
        (event({"choices": [{"delta": {"content": ["x"]}}]}), StreamBrokenError),
        (event({"choices": [{"delta": {"content": [{"type": "image"}]}}]}), StreamBrokenError),
        (event({"choices": [{"delta": {"content": [{"refusal": "no"}]}}]}), BlockedError),
        (event({"choices": [{"finish_reason": "tool_calls"}]}), StreamBrokenError),
        (event({"choices": [{"delta": {"refusal": "I will not"}}]}), BlockedError),
        (event({"promptFeedback": {"blockReason": "SAFETY"}}), BlockedError),
        (event({"prompt_feedback": {"block_reason": "SAFETY"}}), BlockedError),
        (event({"error": {"code": 503, "message": "m"}}), ModelBusyError),
        (event([{"error": {"code": "429", "status": "RESOURCE_EXHAUSTED"}}]), ModelBusyError),
        (event({"error": {"code": 400, "message": "m"}}), ModelRejectedError),
        (event({"error": {"code": "oops", "message": "m"}}), StreamBrokenError),
        (event({"error": "text"}), StreamBrokenError),
        (event({"error": {"code": "content_filter", "message": "m"}}), BlockedError),
        (event({"error": {"code": None, "type": "content_filter"}}), BlockedError),
        (event({"error": {"code": 400, "innererror": {"code": INNER}}}), BlockedError),
        (event({"error": {"code": "x", "innererror": {"code": INNER}}}), BlockedError),
        (b"event: error\ndata: overloaded\n\n", StreamBrokenError),
        (b"event: error\ndata: {\ndata: }\n\n", StreamBrokenError),
        (b"event: error\n\n", StreamBrokenError),
        (b'data: {"message": "m"}\nevent: error\n\n', StreamBrokenError),
        (b'event: error\ndata: {"code": 429, "message": "m"}\n\n', ModelBusyError),
        (b'event: error\ndata: {"error": {"code": 400}}', ModelRejectedError),
        (b'{"error": {"code": 429, "message": "m"}}', ModelBusyError),
        (b'[{"error": {"code": 400, "message": "m"}}]', ModelRejectedError),
        (b'{"error": {"code": "content_filter"}}', BlockedError),
        (b'{"detail": "m"}', StreamBrokenError),
        (b'{"choices": [{"message": {"content": "cu', StreamBrokenError),
        (b'{"choices": [{"delta": {}}]}\n{"choices": []}\n', StreamBrokenError),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_says_what_broke(body: bytes, expected: type[DescriberError]) -> None:
    """Errors inside the stream are classified like answers; nonsense is a broken stream."""
    with pytest.raises(DescriberError) as caught:
        chunks(body)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"Sign in",
        b"\xef\xbb\xbfdata: {}",
        b" data: {}",
        b"data : {}",
        b'Data: {"choices": []}',
        b'{"choices": []}',
        b"\x00",
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [b"", event({})], ids=["first", "later"])
def test_a_line_that_is_no_field_is_never_skipped(before: bytes, line: bytes) -> None:
    """Text may have been in it. What came is told."""
    if not before and line.strip(b" \xef\xbb\xbf").startswith((b"data: ", b"{")):
        # Mark and blanks at the body's start are no part of it; a brace begins a whole answer.
        return
    with pytest.raises(StreamBrokenError, match="no event stream but") as caught:
        chunks(before + line + b"\n\n" + event({}))
    assert repr(line)[2:-1] in str(caught.value)


@pytest.mark.parametrize("line", [b"x-id: 3", b"retry", b"data", b"id: {", b":{", b"  "], ids=repr)
def test_other_fields_are_ignored_as_the_standard_says(line: bytes) -> None:
    """None of them can hold a chunk."""
    said = event({"choices": [{"delta": {"content": "A"}}]})
    assert chunks(said + line + b"\n" + said) == [Chunk("A")] * 2


@given(st.data())
def test_the_byte_order_mark_is_no_part_of_the_body(data: st.DataObject) -> None:
    """Else the first chunk is lost, and the rest would pass for the whole."""
    body = b"\xef\xbb\xbf" + data.draw(st.sampled_from([b"", b"\n", b"\r\n \xef\xbb\xbf"]))
    body += event({"choices": [{"delta": {"content": "A"}}]})
    cut = data.draw(st.integers(0, len(body)))
    assert chunks(body[:cut], body[cut:]) == [Chunk("A")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
@pytest.mark.parametrize("after", [b"", b"\n", b"\n\n"], ids=["cut off", "ended", "and blank"])
def test_data_over_several_lines_is_joined(end: bytes, after: bytes) -> None:
    """As the standard says; and the blank line that some leave out is not needed otherwise."""
    content = {"choices": [{"delta": {"content": "A"}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(content, indent=1).replace("\n", "\ndata: ").encode() + after
    assert chunks(body.replace(b"\n", end)) == [Chunk("A", "stop")]
    lines = b"".join(event({"choices": [{"delta": {"content": c}}]})[:-1] for c in "AB")
    assert chunks(lines + b"data: [DONE]\n<html>\n") == [Chunk("A"), Chunk("B")]


def test_all_lines_of_an_event_together_are_bounded() -> None:
    """As one line is, and a body that is one JSON."""
    for first, more in ((b"data: {\n", b"data: 1\n" * 8192), (b"{", b" " * 65536)):
        with pytest.raises(StreamBrokenError, match="over 1048576 bytes"):
            chunks(first, *[more] * (MAX_EVENT_BYTES // 8192 + 2))


@given(st.data())
def test_a_whole_completion_is_taken(data: st.DataObject) -> None:
    """A server that does not stream has been paid, too."""
    content = data.draw(st.sampled_from(["A cat", [{"type": "text", "text": "A cat"}]]))
    answer = {
        "object": "chat.completion",
        "choices": [{"message": {"content": content}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    whole = (
        data.draw(st.sampled_from([b"", b"\n ", b"\xef\xbb\xbf"]))
        + json.dumps(
            data.draw(st.sampled_from([answer, [answer]])),
            indent=data.draw(st.sampled_from([None, 1])),
        ).encode()
    )
    cut = data.draw(st.integers(0, len(whole)))
    expected = [Chunk("A cat", "length", Usage(1, 2, 3))]
    assert chunks(whole[:cut], whole[cut:]) == expected
    assert chunks(event(answer)) == expected


def test_a_last_chunk_that_repeats_all_text_says_it_once() -> None:
    """Only a completion that calls itself whole is asked for its message."""
    choice = {"message": {"content": "A cat"}, "finish_reason": "stop"}
    assert chunks(event({"choices": [choice], "object": "chat.completion.chunk"})) == [
        Chunk("", "stop")
    ]


def test_ratings_without_a_block_are_no_refusal() -> None:
    """The native API tells them beside a text, too."""
    rated = {"promptFeedback": {"safetyRatings": [{"category": "X", "probability": "LOW"}]}}
    choice = {"choices": [{"delta": {"content": "A cat"}, "finish_reason": "stop"}]}
    assert read_chunk(json.dumps(rated | choice).encode(), error_for) == Chunk("A cat", "stop")
