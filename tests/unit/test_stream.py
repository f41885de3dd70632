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
    Usage,
)
from describer.model import error_for
from describer.stream import MAX_EVENT_BYTES, Chunk, Decoder


def chunks(*pieces: bytes) -> list[Chunk]:
    decoder = Decoder(error_for)
    found = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return found + list(decoder.end())


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


LINES = st.sampled_from(["", ": keep-alive", "event: x", "words", "words\u2028é \u0085 words"])
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
        ({"choices": [{"index": 1, "delta": {"content": "x"}}]}, Chunk()),
        ({"choices": [{"finish_reason": "stop"}]}, Chunk("", "stop")),
        ({"choices": [{"finishReason": "MAX_TOKENS"}]}, Chunk("", "length")),
        ({"choices": [{"finish_reason": "SAFETY"}]}, Chunk("", "content_filter")),
        ({"usage": {"total_tokens": 3}}, Chunk(usage=Usage(0, 0, 3))),
        ({"usage": {"prompt_tokens": "3", "total_tokens": 10**400}}, Chunk()),
        ({"usage": []}, Chunk()),
        ([{"choices": [{"delta": {"content": "x"}}]}], Chunk("x")),
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
        (event({"choices": [{"delta": {"content": ["x"]}}]}), StreamBrokenError),
        (event({"choices": [{"finish_reason": "tool_calls"}]}), StreamBrokenError),
        (event({"choices": [{"delta": {"refusal": "I will not"}}]}), BlockedError),
        (event({"promptFeedback": {"blockReason": "SAFETY"}}), BlockedError),
        (event({"error": {"code": 503, "message": "m"}}), ModelBusyError),
        (event([{"error": {"code": "429", "status": "RESOURCE_EXHAUSTED"}}]), ModelBusyError),
        (event({"error": {"code": 400, "message": "m"}}), ModelRejectedError),
        (event({"error": {"code": "oops", "message": "m"}}), StreamBrokenError),
        (event({"error": "text"}), StreamBrokenError),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_says_what_broke(body: bytes, expected: type[DescriberError]) -> None:
    """Errors inside the stream are classified like answers; nonsense is a broken stream."""
    with pytest.raises(DescriberError) as caught:
        chunks(body)
    assert type(caught.value) is expected


def test_bytes_that_are_no_event_stream_give_no_chunk() -> None:
    """An HTML page with status 200 ends as a stream without a finish reason."""
    assert chunks(b"<html>\n<body>Sign in</body>\n</html>") == []
