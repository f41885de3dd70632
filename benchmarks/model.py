"""A model server that costs little: raw HTTP/1.1, one clock for all streams, no look at the image.

The events have the shape that Vertex AI's OpenAI-compatible endpoint sends: the role with each
delta, no `finish_reason` before the last chunk, and the usage on that one.

Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/examples
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

TICK_SECONDS = 0.004
TEXT = (
    "A tabby cat looks up from a wide windowsill of pale stone, its paws close together and its "
    "tail laid around them, while behind it the low evening sun turns the roofs of a town orange."
)
WORDS_PER_CHUNK = 3
BACKLOG = 4096
IMAGE_BYTES = 100_000

_NAME = re.compile(rb'"(gs://[^"]+)"')
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_OBJECT = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n"
    b'{"generation":"1"}'
)
# As large as the events say: looked at before its address is sent.
_IMAGE = b"\xff\xd8\xff\xda\0\2" + bytes(IMAGE_BYTES - 8) + b"\xff\xd9"
_CONTENT = (
    b"HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\ncontent-length: %d\r\n\r\n" % IMAGE_BYTES
) + _IMAGE


@dataclass(frozen=True)
class Pace:
    """How long an answer takes, and into how many chunks of equal distance it is cut."""

    chunks: int = 40
    seconds: float = 2.2


@dataclass(slots=True)
class Answer:
    """One answer, on the clock of time.monotonic().

    Attributes:
        arrived: when the request was read.
        ended: when the last byte was given to the socket; 0 while it is under way.
    """

    arrived: float
    ended: float = 0.0


class ModelServer:
    """Answers any number of requests at once, and remembers when.

    Attributes:
        pace: of the answers that begin from now on.
        answers: the latest answer for each image, by its `gs://` URI.
        under_way: streams that have begun and not ended.
        most: the most streams that were ever under way at once.
        hung_up: streams whose reader went before the end.
        lag: the longest that the clock was behind its time, in seconds.
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self.port = 0
        self.reset()
        self._due: dict[int, list[_Stream]] = defaultdict(list)
        self._next_tick = 0
        self._ticking = False
        self._server: asyncio.Server | None = None

    def reset(self) -> None:
        """Forget what was."""
        self.answers: dict[str, Answer] = {}
        self.under_way = self.most = self.hung_up = 0
        self.lag = 0.0

    @property
    def url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.storage_url}/v1"

    @property
    def storage_url(self) -> str:
        """For STORAGE_EMULATOR_HOST: each object there may be, at its first generation."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def begin(self, connection: _Connection, uri: str, *, whole: bool) -> None:
        """Answer one request, from now on."""
        answer = self.answers[uri] = Answer(time.monotonic())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        stream = _Stream(connection, answer, *_plan(self.pace, whole=whole))
        if not whole:
            connection.transport.write(_HEAD)
        self._schedule(stream)

    def _schedule(self, stream: _Stream) -> None:
        tick = max(int(stream.due / TICK_SECONDS) + 1, self._next_tick)
        self._due[tick].append(stream)
        if not self._ticking:
            self._ticking = True
            self._next_tick = int(time.monotonic() / TICK_SECONDS)
            self._wait()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_at(self._next_tick * TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        self.lag = max(self.lag, now - self._next_tick * TICK_SECONDS)
        while self._next_tick <= now / TICK_SECONDS:
            tick = self._next_tick
            self._next_tick += 1
            for stream in self._due.pop(tick, ()):
                if self._advance(stream, now):
                    self._schedule(stream)
        if self._due:
            self._wait()
        else:
            self._ticking = False

    def _advance(self, stream: _Stream, now: float) -> bool:
        """Send what is due; tell whether there is more to come."""
        if stream.connection.transport.is_closing():
            self.under_way -= 1
            self.hung_up += 1
            return False
        stream.connection.transport.write(b"".join(stream.take(now)))
        if not stream.ended:
            return True
        self.under_way -= 1
        stream.answer.ended = time.monotonic()
        return False


class _Stream:
    """What is left to be sent of one answer."""

    __slots__ = ("_distance", "_pieces", "_sent", "answer", "connection", "due", "ended")

    def __init__(
        self, connection: _Connection, answer: Answer, pieces: tuple[bytes, ...], distance: float
    ) -> None:
        self.connection = connection
        self.answer = answer
        self.ended = False
        self.due = answer.arrived + distance
        self._pieces = pieces
        self._distance = distance
        self._sent = 0

    def take(self, now: float) -> Iterator[bytes]:
        while not self.ended and self.due <= now:
            yield self._pieces[self._sent]
            self._sent += 1
            self.due += self._distance
            self.ended = self._sent == len(self._pieces)


class _Connection(asyncio.Protocol):
    """Reads requests one after another; of what is asked, only the image's URI matters."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._got = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET "):
            self._got = b""
            self.transport.write(_CONTENT if b"alt=media" in head else _OBJECT)
            return
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        if length is None or len(body) < int(length[1]):
            return
        self._got = b""
        name = _NAME.search(body)
        whole = re.search(rb'"stream": *true', body) is None
        self._server.begin(self, name[1].decode() if name else "", whole=whole)


@functools.lru_cache(maxsize=64)
def _plan(pace: Pace, *, whole: bool) -> tuple[tuple[bytes, ...], float]:
    """Give the bytes of each piece of an answer, and the seconds before each."""
    words = itertools.cycle(TEXT.split())
    texts = ["".join(f"{next(words)} " for _ in range(WORDS_PER_CHUNK)) for _ in range(pace.chunks)]
    usage = _usage(pace.chunks)
    if whole:
        message = {"role": "assistant", "content": "".join(texts)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        body = json.dumps(_envelope("chat.completion", choice) | {"usage": usage}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return (head % len(body) + body,), pace.seconds
    pieces = []
    for place, text in enumerate(texts, 1):
        choice = {"delta": {"content": text, "role": "assistant"}, "index": 0, "logprobs": None}
        chunk = _envelope("chat.completion.chunk", choice)
        if place == pace.chunks:
            choice["finish_reason"] = "stop"
            chunk["usage"] = usage
        event = b"data: %b\n\n" % json.dumps(chunk).encode()
        pieces.append(b"%x\r\n%b\r\n" % (len(event), event))
    pieces[-1] += b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    return tuple(pieces), pace.seconds / pace.chunks


def _envelope(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "choices": [choice],
        "created": 1790000000,
        "id": "benchmark",
        "model": "google/gemini-3.5-flash-lite",
        "object": kind,
        "system_fingerprint": "",
    }


def _usage(chunks: int) -> dict[str, Any]:
    completion = chunks * WORDS_PER_CHUNK
    return {
        "completion_tokens": completion,
        "completion_tokens_details": {"reasoning_tokens": 0},
        "extra_properties": {"google": {"traffic_type": "ON_DEMAND"}},
        "prompt_tokens": 1270,
        "total_tokens": 1270 + completion,
    }
