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

from describer.errors import BlockedError, DescriberError, StreamBrokenError, Usage

# A chunk is some hundred bytes; only a broken or hostile server sends more than this in one line.
MAX_EVENT_BYTES = 1024 * 1024

_LENGTH = frozenset({"length", "max_tokens"})
_STOP = frozenset({"stop", "end_turn", "eos", "eos_token", "stop_sequence"})
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
        self.done = False

    def feed(self, piece: bytes) -> Iterator[Chunk]:
        """Take some bytes, wherever they are cut, and give what is complete now.

        Raises:
            StreamBrokenError: not JSON, JSON that is no chunk, or a line longer than
                MAX_EVENT_BYTES.
            DescriberError: what `error_for` made.
        """
        return self._chunks(self._lines(piece))

    def end(self) -> Iterator[Chunk]:
        """Give what the last line holds where the body ends without a line end; see `feed`."""
        lines, self._rest = self._rest.splitlines(), b""
        return self._chunks(lines)

    def _lines(self, piece: bytes) -> list[bytes]:
        r"""Cut at \n, \r\n or \r, and keep back what may go on."""
        lines = (self._rest + piece).splitlines(keepends=True)
        # A line that ends in \r may have its \n still to come.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if len(self._rest) > MAX_EVENT_BYTES:
            raise StreamBrokenError(f"a line of over {MAX_EVENT_BYTES} bytes in the stream")
        return lines

    def _chunks(self, lines: list[bytes]) -> Iterator[Chunk]:
        for line in lines:
            if self.done or not line.startswith(b"data:"):
                continue
            content = line[5:].strip()
            if content == b"[DONE]":
                self.done = True
            elif content:
                yield read_chunk(content, self._error_for)


def read_chunk(content: bytes, error_for: Callable[[int | None, str], DescriberError]) -> Chunk:
    """Decode one event's JSON; see `Decoder.feed`."""
    try:
        event = json.loads(content.decode(errors="surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise StreamBrokenError(f"broken JSON in the stream: {content[:80]!r}") from exc
    if isinstance(event, list) and len(event) == 1:
        event = event[0]
    if not isinstance(event, dict):
        raise StreamBrokenError(f"no chunk in the stream but {content[:80]!r}")
    if event.get("error"):
        raise error_for(*read_error(event["error"]))
    feedback = event.get("promptFeedback") or event.get("prompt_feedback")
    if feedback:
        raise BlockedError(f"the safety filter refused the request: {str(feedback)[:200]}")
    choice = _first(event.get("choices"))
    delta = choice.get("delta")
    text, refusal = "", None
    if isinstance(delta, dict):
        text, refusal = delta.get("content") or "", delta.get("refusal")
    if not isinstance(text, str):
        raise StreamBrokenError(f"the delta's content is {type(text).__name__}, not text")
    if refusal:
        raise BlockedError(f"the model refused: {str(refusal)[:200]}")
    return Chunk(text, _finish_reason(choice), _usage(event.get("usage")))


def read_error(error: object) -> tuple[int | None, str]:
    """Take code and message out of an error object of either OpenAI's or Google's shape."""
    if not isinstance(error, Mapping):
        return None, str(error)[:500]
    code = error.get("code")
    number = int(str(code)) if re.fullmatch(r"[0-9]{3}", str(code), re.ASCII) else None
    words = [str(error[key]) for key in ("status", "type", "message") if error.get(key)]
    if number is None and code:
        words.insert(0, str(code))
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
    return Usage(prompt, completion, max(total, prompt + completion))
