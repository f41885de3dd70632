"""The real client and transport against a server that speaks HTTP badly, on a socket of ours."""

import asyncio
import base64
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from describer.errors import (
    DescriberError,
    ModelBusyError,
    ModelError,
    ModelRejectedError,
    StreamBrokenError,
)
from describer.images.image import Image
from describer.images.room import Buffer
from describer.model.chat import OpenAIModel
from describer.model.prompt import Instructions
from describer.model.stream import Chunk
from describer.model.transport import Body, HttpClient

MIB = 1024 * 1024
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
INSTRUCTIONS = Instructions("m", "en", 9, "Say what you see.")
URI = Image("image/jpeg", 1, uri="gs://b/a.jpg")
EVENT = (
    b'data: {"choices":[{"delta":{"content":"A cat"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@asynccontextmanager
async def model_at(serve: Serve) -> AsyncIterator[OpenAIModel]:
    """Run a server on a free port, and give the model that asks it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="key",
        max_retries=0,
        http_client=HttpClient(timeout=5),
    )
    model = OpenAIModel(client)
    try:
        yield model
    finally:
        await model.close()
        server.close()


def ask(serve: Serve, image: Image = URI) -> list[Chunk]:
    """Stream one answer."""

    async def work() -> list[Chunk]:
        async with (
            asyncio.timeout(8),
            model_at(serve) as model,
            model.stream(INSTRUCTIONS, image) as chunks,
        ):
            return [chunk async for chunk in chunks]

    return asyncio.run(work())


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    (size,) = [
        int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower()[:15] == b"content-length:"
    ]
    return head, await reader.readexactly(size)


def answering(*pieces: bytes, then: float = 0.0) -> Serve:
    """Read the request, send these bytes, wait, hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await asyncio.sleep(then)

    return serve


def endless(head: bytes, piece: bytes) -> Serve:
    """Read the request, send the head, and the piece for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return serve


BOMB = gzip.compress(bytes(100 * MIB), compresslevel=9)
BUSY = b"HTTP/1.1 503 Busy\r\n"
PACKED = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ERROR = b'{"error":{"message":"come back later"}}'


@pytest.mark.parametrize(
    ("serve", "expected", "words"),
    [
        (answering(BUSY + b"Content-Length: 39\r\n\r\n" + ERROR), ModelBusyError, "later"),
        (answering(BUSY + b"Content-Length: 99\r\n\r\n" + ERROR), ModelBusyError, "later"),
        (answering(BUSY + b"Content-Length: 99\r\n\r\n", ERROR, then=6), ModelBusyError, "later"),
        (answering(BUSY + CHUNKED + b"27\r\n" + ERROR + b"\r\nxyz\r\n"), ModelError, ""),
        (
            answering(BUSY + PACKED % len(ERROR), ERROR),
            ModelBusyError,
            "later",
        ),
        (
            answering(
                BUSY
                + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
                % len(gzip.compress(ERROR))
                + gzip.compress(ERROR)
            ),
            ModelBusyError,
            "later",
        ),
        (
            answering(BUSY + PACKED % len(BOMB), BOMB),
            ModelBusyError,
            "503",
        ),
        (endless(BUSY + CHUNKED, b"10000\r\n" + bytes(65_536) + b"\r\n"), ModelBusyError, "503"),
        (endless(b"HTTP/1.1 400 No\r\n\r\n", b"x" * 65_536), ModelRejectedError, "400"),
        (answering(b"HTTP/1.1 nonsense\r\n\r\n"), StreamBrokenError, "nonsense|status"),
        (answering(b"nonsense\r\n\r\n"), StreamBrokenError, ""),
        (
            answering(OK + b"X-Long: " + b"y" * 9000 + b"\r\n\r\n" + EVENT),
            StreamBrokenError,
            "",
        ),
        (answering(OK + CHUNKED + b"xyz\r\n" + EVENT), StreamBrokenError, ""),
        (answering(OK + CHUNKED + b"5\r\ndata:\r\nxyz\r\n"), StreamBrokenError, ""),
        (answering(b""), ModelError, ""),
        (answering(b"HTTP/1.1 200"), ModelError, ""),
        (
            answering(b"HTTP/1.1 307 No\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"),
            ModelError,
            "",
        ),
        (
            answering(
                b"HTTP/1.1 307 No\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n"
                % (b"a" * 99)
            ),
            StreamBrokenError,
            "Unicode",
        ),
        (answering(b"HTTP/1.1 429 \xfc\r\n\r\n"), StreamBrokenError, "surrogates"),
        (
            answering(BUSY + b"Content-Type: text/html; charset=rot13\r\n\r\n" + ERROR),
            ModelBusyError,
            "later",
        ),
    ],
    ids=[
        "error",
        "error body cut",
        "error body stalled",
        "error body with a broken chunk",
        "error body falsely gzip",
        "error body gzip",
        "error body a bomb",
        "error body endless",
        "error body endless without a length",
        "bad status line",
        "no HTTP",
        "header too long",
        "first chunk broken",
        "second chunk broken",
        "hung up",
        "hung up in the head",
        "redirected to nowhere",
        "redirected to no name",
        "reason that is not UTF-8",
        "charset that is none",
    ],
)
def test_a_broken_answer_is_one_of_our_errors(
    serve: Serve, expected: type[DescriberError], words: str
) -> None:
    """Wherever it breaks; soon, and with little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(expected, match=words or None):
            ask(serve)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def content(size: int) -> Buffer:
    buffer = Buffer(size)
    buffer.write(bytes(n % 251 for n in range(size)))
    return buffer


@pytest.mark.parametrize("size", [1, 2, 3, 49_151, 49_152, 49_153, 200_000])
def test_the_bytes_go_out_as_a_data_url_whose_length_is_told_beforehand(size: int) -> None:
    """Made piece by piece, and made again where the request is sent again."""
    bodies: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        assert b"chunked" not in head.lower()
        assert b"accept-encoding: identity\r\n" in head.lower()
        bodies.append(body)
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(EVENT) + EVENT)

    buffer = content(size)
    image = Image("image/jpeg", size, content=buffer)
    assert ask(serve, image) == [Chunk("A cat", "stop")]
    parts = json.loads(bodies[0])["messages"][1]["content"]
    expected = base64.b64encode(buffer.head(size)).decode()
    assert parts[0]["image_url"]["url"] == f"data:image/jpeg;base64,{expected}"

    async def twice() -> list[bytes]:
        body = Body({"a": "b"}, image)
        return [b"".join([piece async for piece in body]) for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first == second


async def _sse_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer before the request is read, which it never is."""
    writer.write(OK + b"\r\n" + EVENT[:20])
    await asyncio.sleep(3)


async def _read_then_sse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK + b"\r\n")
    await asyncio.sleep(3)


@pytest.mark.parametrize(
    ("serve", "given_back"), [(_read_then_sse, True), (_sse_at_once, False)], ids=["read", "unread"]
)
def test_the_bytes_are_given_back_when_they_are_sent_and_taken(
    serve: Serve, given_back: bool
) -> None:
    """Not before: a server that answers without reading would have them held unaccounted."""

    async def work() -> bool:
        calls: list[Any] = []
        image = Image("a/b", 9_000_000, content=content(9_000_000), sent=lambda: calls.append(1))
        async with model_at(serve) as model, model.stream(INSTRUCTIONS, image):
            await asyncio.sleep(0.2)
            return bool(calls)

    assert asyncio.run(work()) is given_back


def test_a_refusal_before_the_request_is_read_is_that_refusal() -> None:
    """As gateways do with what is too large for them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(6)

    image = Image("a/b", 9_000_000, content=content(9_000_000))
    with pytest.raises(ModelRejectedError, match="413"):
        ask(serve, image)
