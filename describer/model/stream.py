"""The response's bytes become chunks: server-sent events, decoded and checked.

The chunks are decoded here rather than by the client library's typed stream, because servers
leave out choices, deltas and finish reasons, wrap errors into lists, and end without telling;
the typed stream passes some of that on as None, some as AttributeError and some as a silent end.

Sources: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream;
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from describer.errors import BlockedError, DescriberError, StreamBrokenError
from describer.values import Usage

# A chunk is some hundred bytes; only a broken or hostile server sends more than this in one line.
MAX_EVENT_BYTES = 1024 * 1024

_MARK = b"\xef\xbb\xbf"
_BLANK_START = re.compile(rb"\A(?:\xef\xbb\xbf|[ \t\r\n])+")
_FIELDS = frozenset({b"data", b"event", b"id", b"retry"})
_FIELD_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*\Z")

_LENGTH = frozenset({"length", "max_tokens"})
_STOP = frozenset({"stop", "end_turn", "eos", "eos_token", "stop_sequence"})
# Source: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType
_TRAFFIC_TYPE = re.compile(r"[A-Z_]{1,40}\Z")
# The native API's words, which gateways in front of Gemini pass through.
# Source: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#FinishReason
_BLOCKED = frozenset(
    {
        "blocklist",
        "content_filter",
        "image_prohibited_content",
        "image_safety",
        "prohibited_content",
        "recitation",
        "safety",
        "spii",
    }
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One streamed piece: any part of it may be missing.

    Attributes:
        finish_reason: `stop`, `length` or `content_filter`, whatever the server calls it.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Decoder:
    """Takes a response's body as it comes, and gives the chunks in it.

    The body is an event stream, or one whole JSON object, as from a server that does not stream.

    Attributes:
        done: whether `[DONE]` was read; what comes after it is of no interest.
    """

    def __init__(self, error_for: Callable[[int | None, str], DescriberError]) -> None:
        """Begin a body.

        Args:
            error_for: makes the error for one that is sent inside the stream, from its code
                (None if it has none) and its message.
        """
        self._error_for = error_for
        self._rest = b""
        self._begun = False
        self._whole: list[bytes] | None = None
        self._size = 0
        self._name = b""
        self._data: list[bytes] = []
        self.done = False

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Take some bytes, wherever they are cut, and give what is complete now.

        Raises:
            StreamBrokenError: not JSON, JSON that is no chunk, a line that is no field of an
                event, or more than MAX_EVENT_BYTES for one event.
            DescriberError: what `error_for` made.
        """
        if not self._begun:
            piece = self._beginning(piece)
        if self._whole is None:
            return self._chunks(self._lines(piece))
        self._count(piece)
        self._whole.append(piece)
        return iter(())

    def end(self) -> Iterator[Chunk]:
        """Give what is left where the body ends without a line end; see `feed`."""
        if self._whole is not None:
            yield read_chunk(b"".join(self._whole), self._error_for, whole=True)
            return
        lines, self._rest = self._rest.splitlines(), b""
        yield from self._chunks([*lines, b""])

    def _beginning(self, piece: bytes) -> bytes:
        """Give the body's first bytes after mark and blanks, or none until they have come."""
        seen = _BLANK_START.sub(b"", self._rest + piece)
        self._rest = b""
        if _MARK.startswith(seen):
            self._rest = seen
            return b""
        self._begun = True
        if seen.startswith((b"{", b"[")):
            self._whole = []
        return seen

    def _lines(self, piece: bytes) -> list[bytes]:
        r"""Cut at \n, \r\n or \r, and keep back what may go on."""
        if not self._begun:
            return []
        lines = (self._rest + piece).splitlines(keepends=True)
        # A line that ends in \r may have its \n still to come.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._rest) > MAX_EVENT_BYTES:
            raise StreamBrokenError(f"a line of over {MAX_EVENT_BYTES} bytes in the stream")
        return lines

    def _chunks(self, lines: list[bytes]) -> Iterator[Chunk]:
        for line in lines:
            if self.done:
                return
            if not line.strip():
                yield from self._event(ended=True)
                if self._name == b"error":
                    raise self._error_for(None, "an error event")
                self._name = b""
            elif self._is_data(line) and len(self._data) == 1:
                # Some servers leave out the blank line, so what is whole is taken at once; JSON
                # that goes on in a second line is not whole in its first.
                yield from self._event(ended=False)

    def _is_data(self, line: bytes) -> bool:
        """Keep the line if it is data; refuse it if text might be lost with it."""
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.strip()
        if name == b"data":
            if not value:
                return False
            self._count(value)
            self._data.append(value)
            return True
        if name == b"event":
            self._name = value
        elif name and name not in _FIELDS and (b"{" in value or not _FIELD_NAME.match(name)):
            # The standard ignores unknown fields; no chunk is in one without a brace.
            raise StreamBrokenError(f"no event stream but {line[:80]!r}")
        return False

    def _event(self, *, ended: bool) -> Iterator[Chunk]:
        """Give the chunk whose data has come; if the event may go on, only if it is whole."""
        if not self._data:
            return
        content = b"\n".join(self._data)
        if content == b"[DONE]":
            self.done = True
            return
        if self._name == b"error":
            if ended:
                raise _sent_error(content, self._error_for)
            return
        try:
            event = _json(content)
        except ValueError as exc:
            if not ended:
                return
            raise StreamBrokenError(f"broken JSON in the stream: {content[:80]!r}") from exc
        self._data.clear()
        self._size = 0
        yield _chunk(event, content, self._error_for, whole=False)

    def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            raise StreamBrokenError(f"an event of over {MAX_EVENT_BYTES} bytes in the stream")


def read_chunk(
    content: bytes,
    error_for: Callable[[int | None, str], DescriberError],
    *,
    whole: bool = False,
) -> Chunk:
    """Decode one event's JSON, or a whole completion; see `Decoder.feed`."""
    try:
        event = _json(content)
    except ValueError as exc:
        raise StreamBrokenError(f"broken JSON in the stream: {content[:80]!r}") from exc
    return _chunk(event, content, error_for, whole=whole)


def _json(content: bytes) -> object:
    try:
        return json.loads(content.decode(errors="surrogatepass"))
    except RecursionError as exc:
        raise StreamBrokenError(f"broken JSON in the stream: {content[:80]!r}") from exc


def _chunk(
    event: object,
    content: bytes,
    error_for: Callable[[int | None, str], DescriberError],
    *,
    whole: bool,
) -> Chunk:
    if isinstance(event, list) and len(event) == 1:
        event = event[0]
    if not isinstance(event, dict):
        raise StreamBrokenError(f"no chunk in the stream but {content[:80]!r}")
    if event.get("error"):
        raise error_for(*read_error(event["error"]))
    feedback = event.get("promptFeedback") or event.get("prompt_feedback")
    if isinstance(feedback, dict) and (feedback.get("blockReason") or feedback.get("block_reason")):
        raise BlockedError(f"the safety filter refused the request: {str(feedback)[:200]}")
    if whole and not event.get("choices"):
        raise StreamBrokenError(f"no event stream and no completion but {content[:80]!r}")
    choice = _first(event.get("choices"))
    text, refusal = "", None
    if delta := _delta(choice, whole=whole or event.get("object") == "chat.completion"):
        text, refusal = _text(delta.get("content")), delta.get("refusal")
    if refusal:
        raise BlockedError(f"the model refused: {str(refusal)[:200]}")
    return Chunk(text, _finish_reason(choice), _usage(event.get("usage")))


def _delta(choice: Mapping[str, Any], *, whole: bool) -> Mapping[str, Any]:
    """Take the part with the text, which has another name in a completion that is whole.

    A stream's last chunk may repeat all text under that name.
    """
    names = ("message", "delta") if whole else ("delta",)
    found = (choice.get(name) for name in names)
    return next((part for part in found if isinstance(part, dict)), {})


def _text(content: object) -> str:
    """Give a delta's content, which some servers send as a list of parts."""
    if isinstance(content, str):
        return content
    if not content:
        return ""
    texts = [_part(part) for part in content] if isinstance(content, list) else [None]
    if None in texts:
        raise StreamBrokenError(f"the delta's content is {type(content).__name__}, not text")
    return "".join(text for text in texts if text)


def _part(part: object) -> str | None:
    if not isinstance(part, dict):
        return None
    if part.get("refusal"):
        raise BlockedError(f"the model refused: {str(part['refusal'])[:200]}")
    text = "" if part.get("type") in {"thinking", "reasoning"} else part.get("text")
    return text if isinstance(text, str) else None


def _sent_error(
    content: bytes, error_for: Callable[[int | None, str], DescriberError]
) -> DescriberError:
    """Make the error that an `event: error` tells, whatever its data is."""
    try:
        error = _json(content)
    except ValueError:
        error = content[:500].decode(errors="replace")
    if isinstance(error, dict):
        error = error.get("error") or error
    return error_for(*read_error(error))


def read_error(error: object) -> tuple[int | None, str]:
    """Take code and message out of an error object of either OpenAI's or Google's shape."""
    if not isinstance(error, Mapping):
        return None, str(error)[:500]
    code = error.get("code")
    number = int(str(code)) if re.fullmatch(r"[0-9]{3}", str(code), re.ASCII) else None
    words = [str(error[key]) for key in ("status", "type", "message") if error.get(key)]
    if number is None and code:
        words.insert(0, str(code))
    inner = error.get("innererror")
    if isinstance(inner, Mapping) and inner.get("code"):
        words.insert(0, str(inner["code"]))
    return number, ": ".join(words)[:500]


def _first(choices: object) -> Mapping[str, Any]:
    """Take the choice with index 0, which alone was asked for, or an empty one."""
    if not isinstance(choices, list):
        return {}
    found = (c for c in choices if isinstance(c, dict) and c.get("index") in (0, None))
    return next(found, {})


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    # Early versions of the endpoint misspelt the key.
    reason = choice.get("finish_reason") or choice.get("finishReason")
    if not reason:
        return None
    folded = str(reason).lower()
    if folded in _STOP:
        return "stop"
    if folded in _LENGTH:
        return "length"
    if folded in _BLOCKED:
        return "content_filter"
    raise StreamBrokenError(f"the stream ended with the finish reason {str(reason)[:80]!r}")


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(key) for key in ("prompt_tokens", "completion_tokens", "total_tokens")]
    prompt, completion, total = (n if type(n) is int and 0 <= n < 2**53 else 0 for n in counts)
    if not (prompt or completion or total):
        return None
    return Usage(prompt, completion, max(total, prompt + completion), _traffic_type(usage))


def _traffic_type(usage: Mapping[str, Any]) -> str | None:
    """Give what Vertex AI alone tells: how the request was served, and so what it costs."""
    found: object = usage
    for key in ("extra_properties", "google", "traffic_type"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) and _TRAFFIC_TYPE.match(found) else None
