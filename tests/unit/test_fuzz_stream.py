"""Whatever bytes a model sends become a description, or one of the documented errors."""

import itertools
import json
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from describer.errors import DescriberError, PermanentError, TransientError
from describer.model.description import Accumulator, Description
from describer.model.stream import Decoder, read_chunk
from describer.model.translation import error_for, error_for_response
from tests.unit.test_description import shown
from tests.unit.test_fuzz_event import any_json, any_text

# Every key that the decoder looks at.
KEYS = st.sampled_from(
    [
        *("choices", "delta", "content", "index", "finish_reason", "finishReason", "refusal"),
        *("error", "code", "message", "status", "type", "promptFeedback", "prompt_feedback"),
        *("usage", "prompt_tokens", "completion_tokens", "total_tokens", "role"),
        *("object", "message", "text", "innererror"),
    ]
)
WORDS = st.sampled_from(["stop", "length", "SAFETY", "MAX_TOKENS", "other", "503", "429", "200"])
# Values where the protocol has its words: what a server that is nearly right would send.
near_protocol = st.recursive(
    any_json | WORDS,
    lambda inner: st.dictionaries(KEYS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=12,
)


def gather(pieces: list[bytes]) -> Description | DescriberError:
    """Read a body in these pieces to its end."""
    decoder, gathered = Decoder(error_for), Accumulator()
    try:
        for chunk in (chunk for piece in pieces for chunk in decoder.feed(piece)):
            gathered.add(chunk)
            gathered.text.encode()
        for chunk in decoder.end():
            gathered.add(chunk)
        return gathered.finish()
    except DescriberError as exc:
        return exc


def check(result: Description | DescriberError) -> None:
    if isinstance(result, Description):
        assert result.text
        assert result.text == result.text.strip()
        result.text.encode()
        assert result.finish_reason in {"stop", "length"}
    else:
        assert isinstance(result, PermanentError | TransientError)
        # It goes into the record and the answer.
        str(result).encode()


@given(st.lists(near_protocol, max_size=4), st.booleans(), st.data())
@limits(deadline=None)
def test_any_json_in_the_stream(events: list[Any], done: bool, data: st.DataObject) -> None:
    """Shapes that no server should send end in the same errors as those that some do."""
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    body += b"data: [DONE]\n\n" if done else b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    ends = [0, *cuts, len(body)]
    check(gather([body[a:b] for a, b in itertools.pairwise(ends)]))


@given(near_protocol, st.binary(max_size=3), st.integers(0, 30))
@limits(deadline=None)
def test_any_json_as_the_whole_body(content: Any, after: bytes, cut: int) -> None:
    """Also cut off, or followed by something."""
    body = json.dumps(content).encode() + after
    check(gather([body[:cut], body[cut:]]))
    check(gather([body[:-cut]]))


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"data:", b"\n", b"\r", b"{", b"["])))
@limits(deadline=None)
def test_any_bytes_in_the_stream(pieces: list[bytes]) -> None:
    """Garbage too."""
    check(gather(pieces))


@given(st.lists(any_text, max_size=6), st.sampled_from(["stop", "length"]))
@limits(deadline=None)
def test_text_survives_as_it_was_sent(deltas: list[str], reason: str) -> None:
    """Whatever the model says, cut anywhere, is recorded; control characters are not."""
    events: list[Any] = [{"choices": [{"delta": {"content": delta}}]} for delta in deltas]
    events.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    result = gather([b"data: %b\n\n" % json.dumps(event).encode() for event in events])
    sent = "".join(deltas).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if sent := shown(sent):
        assert isinstance(result, Description)
        assert result.text == sent
    else:
        assert isinstance(result, DescriberError)


@pytest.mark.parametrize("key", ["error", "message", "promptFeedback", "refusal", "finish_reason"])
def test_nesting_at_the_interpreters_limit_is_a_broken_stream(key: str) -> None:
    """What can still be decoded may be too deep to be written out again."""
    for depth in [*range(1, 20), *range(800, 1100)]:
        nested = f"{'[' * depth}1{']' * depth}"
        content = {
            "message": f'{{"error": {{"message": {nested}}}}}',
            "promptFeedback": f'{{"promptFeedback": {{"blockReason": {nested}}}}}',
            "refusal": f'{{"choices": [{{"delta": {{"refusal": {nested}}}}}]}}',
            "finish_reason": f'{{"choices": [{{"finish_reason": {nested}}}]}}',
        }.get(key, f'{{"{key}": {nested}}}')
        with pytest.raises(DescriberError):
            read_chunk(content.encode(), error_for)


@given(
    st.integers(300, 599),
    st.binary(max_size=80)
    | any_json.map(lambda value: json.dumps(value).encode())
    | near_protocol.map(lambda value: json.dumps({"error": value}).encode())
    | near_protocol.map(lambda value: json.dumps([{"error": value}]).encode()),
    st.sampled_from(["", "1", "nan", "-1", "1e99", "inf", "Fri, 31 Dec 2027 23:59:59 GMT", "x"]),
)
@example(400, b'[{"error": {"message": "\\ud800"}}]', "")
@example(503, b"[" * 100_000, "")
@limits(deadline=None)
def test_any_error_answer_is_classified(status: int, body: bytes, after: str) -> None:
    """Every status and body gives one of our errors, with a wait that is none or sensible."""
    response = httpx2.Response(status, content=body, headers={"retry-after": after})
    error = error_for_response(response)
    check(error)
    wait = getattr(error, "retry_after_seconds", None)
    assert wait is None or 0 <= wait <= 86_400
