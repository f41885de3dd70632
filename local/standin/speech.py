"""One answer of the stand-in under way: its text in chunks, and what a script does to it."""

import base64
import functools
import itertools
import json
from dataclasses import dataclass
from typing import Any

from local.standin import faults
from local.standin.asked import RefusedError
from local.standin.faults import Step
from local.standin.http1 import Reply

_ENDING = frozenset({"status", "finish", "drop", "silence", "endless", "whole", "done", "end"})


@dataclass
class Pacing:
    """How fast the stand-in speaks.

    Attributes:
        pace: seconds between two chunks.
        first: seconds before the first one.
        words: words in each chunk.
    """

    pace: float = 0.0
    first: float = 0.0
    words: int = 2


@dataclass
class Entry:
    """What is known of one request.

    Attributes:
        number: from 1, in order of arrival.
        begun, ended: seconds since the epoch; `ended` is None while it is open.
        model: as asked for.
        prompt: all text parts of all messages.
        image: `sha256:...` of inline bytes, the `gs://` URI, or None.
        lane: `flex` where the cheaper one was asked for.
        status: HTTP status answered; 0 before the answer, or if the connection was dropped first.
        chunks: chunks with text that were sent.
        outcome: `open`, `completed`, `refused`, `dropped` (by us) or `hung up` (by the client).
        text: what was sent.
    """

    number: int
    begun: float
    ended: float | None = None
    model: str = ""
    prompt: str = ""
    image: str | None = None
    lane: str = ""
    status: int = 0
    chunks: int = 0
    outcome: str = "open"
    text: str = ""


class Speech:
    """One answer under way: the text in chunks, and what the script does to it."""

    def __init__(self, pacing: Pacing, reply: Reply, entry: Entry, text: str) -> None:
        self._pacing = pacing
        self._reply = reply
        self._entry = entry
        self._set_text(text)

    async def take(self, step: Step) -> bool:  # noqa: PLR0912 - one branch a fault
        """Do one step of `faults`; tell whether the answer has ended with it."""
        kind, reply = faults.kind_of(step), self._reply
        self._entry.status = self._entry.status or (0 if kind in {"wait", "drop"} else 200)
        match step:
            case {"wait": seconds}:
                await reply.pause(seconds)
            case {"delay": seconds}:
                reply.open()
                await reply.pause(seconds)
            case {"text": words}:
                self._set_text(words)
            case {"chunks": count}:
                await self._send(len(self._pieces) if count is None else self._sent + count)
            case {"event": content}:
                await self._event(content)
            case {"chunk": choices}:
                await self._event(self._envelope(choices) | step.get("more", {}))
            case {"raw": content}:
                await reply.write(base64.b64decode(content))
            case {"drop_at": size_bytes}:
                reply.drop_at(size_bytes)
            case {"finish": reason}:
                await self._last(reason, usage=step.get("usage", True), words=step.get("words", ""))
            case {"drop": _}:
                reply.drop()
            case {"silence": _}:
                reply.open()
                await reply.until_gone()
            case {"endless": _}:
                for piece in itertools.cycle(self._pieces):
                    await self._piece(piece)
                    await reply.pause(self._pacing.pace)
            case {"whole": _}:
                await self.whole()
            case {"done": _}:
                await self._end(b"data: [DONE]\n\n")
            case {"end": _}:
                await self._end()
            case _:
                raise RefusedError(step)
        return kind in _ENDING

    async def rest(self) -> None:
        """Send what is left of the text, the last chunk and `[DONE]`."""
        self._entry.status = 200
        await self._send(len(self._pieces) - 1)
        await self._last("stop", usage=True, words=self._next())

    async def whole(self) -> None:
        """Answer without a stream."""
        self._entry.status, self._entry.outcome = 200, "completed"
        self._entry.text = text = "".join(self._pieces)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        answer = self._envelope([choice]) | {"object": "chat.completion", "usage": self._usage()}
        await self._reply.send(200, answer)

    async def _end(self, last: bytes = b"") -> None:
        if last:
            await self._reply.write(last)
        self._reply.end()
        self._entry.outcome = "completed"

    def _set_text(self, text: str) -> None:
        self._pieces = _pieces(text, self._pacing.words)
        self._sent = 0

    async def _send(self, until: int) -> None:
        self._reply.open()
        while self._sent < min(until, len(self._pieces)):
            await self._piece(self._next())

    async def _piece(self, piece: str) -> None:
        entry, pacing = self._entry, self._pacing
        await self._reply.pause(pacing.pace if entry.chunks else pacing.first)
        delta = {"role": "assistant", "content": piece}
        await self._event(self._envelope([{"delta": delta, "index": 0, "logprobs": None}]))
        entry.chunks += 1
        entry.text += piece

    def _next(self) -> str:
        if self._sent >= len(self._pieces):
            return ""
        self._sent += 1
        return self._pieces[self._sent - 1]

    async def _last(self, reason: str | None, *, usage: bool | None, words: str | None) -> None:
        if words:
            await self._reply.pause(self._pacing.pace)
        choice: dict[str, Any] = {"finish_reason": reason, "index": 0, "logprobs": None}
        if words is not None:
            choice["delta"] = {"role": "assistant", "content": words}
        last = self._envelope([choice])
        if usage is not False:
            last["usage"] = self._usage(words) if usage else None
        await self._event(last)
        if words:
            self._entry.chunks += 1
            self._entry.text += words
        await self._end(b"data: [DONE]\n\n")

    async def _event(self, content: Any) -> None:
        await self._reply.write(b"data: %b\n\n" % json.dumps(content).encode())

    def _envelope(self, choices: Any) -> dict[str, Any]:
        return {
            "choices": choices,
            "created": int(self._entry.begun),
            "id": f"stand-in-{self._entry.number}",
            "model": self._entry.model,
            "object": "chat.completion.chunk",
            "system_fingerprint": "",
        }

    def _usage(self, last: str | None = "") -> dict[str, Any]:
        """Count words as if they were tokens, and the picture as none."""
        asked = len(self._entry.prompt.split())
        said = len((self._entry.text + (last or "")).split())
        served = "ON_DEMAND_FLEX" if self._entry.lane == "flex" else "ON_DEMAND"
        return {
            "completion_tokens": said,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "extra_properties": {"google": {"traffic_type": served}},
            "prompt_tokens": asked,
            "total_tokens": asked + said,
        }


@functools.lru_cache(maxsize=4096)
def _pieces(text: str, words: int) -> tuple[str, ...]:
    """Cut a text into chunks of so many words; joined they are the text again."""
    found = text.split(" ")
    cut = [" ".join(found[at : at + words]) for at in range(0, len(found), words)]
    return (*(piece + " " for piece in cut[:-1]), cut[-1])
