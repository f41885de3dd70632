"""A small HTTP/1.1 server whose handlers hold the connection itself.

A model server that is to fail in every way, such as a reset before the headers or after byte 1,000,
needs what lies below HTTP, and servers hide that. For loopback and well-behaved clients only.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MAX_HEAD_BYTES = 64 * 1024
BACKLOG = 4096


class HungUpError(ConnectionError):
    """The client closed the connection while the answer was under way."""


class DroppedError(ConnectionError):
    """We dropped the connection on purpose."""


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply:
    """The answer to one request: `send` for a whole one; `open`, `write`, `end` for a stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left: int | None = None
        self.opened = False

    async def send(
        self, status: int, content: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer with a JSON body."""
        body = json.dumps(content).encode()
        fields = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **(headers or {}),
        }
        self._head(status, fields)
        self._writer.write(body)
        await self._writer.drain()

    def open(self) -> None:
        """Send the headers of an event stream, once."""
        if not self.opened:
            fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
            self._head(HTTPStatus.OK, fields)

    async def write(self, body: bytes) -> None:
        """Send a part of the body; nothing is held back.

        Raises:
            HungUpError: the client is gone.
            DroppedError: the limit set by `drop_at` is reached.
        """
        self.open()
        if self._reader.at_eof() or self._writer.is_closing():
            raise HungUpError
        if self._left is not None and len(body) >= self._left:
            self._chunk(body[: self._left])
            self.drop()
        self._chunk(body)
        if self._left is not None:
            self._left -= len(body)
        if self._writer.transport.get_write_buffer_size() > 0:
            try:
                await self._writer.drain()
            except ConnectionError as error:
                raise HungUpError from error

    def end(self) -> None:
        """End the body well."""
        self.open()
        self._writer.write(b"0\r\n\r\n")

    def drop_at(self, size_bytes: int) -> None:
        """Drop the connection as soon as so many bytes of the body are out."""
        self._left = size_bytes

    def drop(self) -> None:
        """Close the connection with the answer unfinished, and raise DroppedError."""
        # close() and not abort(): what was written before should arrive.
        self._writer.close()
        raise DroppedError

    async def pause(self, seconds: float) -> None:
        """Do nothing for a time, or raise HungUpError when the client goes."""
        while True:
            # In slices, so that a client that gives up in a long pause is noticed soon.
            await asyncio.sleep(min(seconds, 0.25))
            if self._reader.at_eof():
                raise HungUpError
            seconds -= 0.25
            if seconds <= 0:
                return

    async def until_gone(self) -> None:
        """Do nothing until the client goes, then raise HungUpError."""
        with contextlib.suppress(ConnectionError):
            await self._reader.read()
        raise HungUpError

    def _head(self, status: int, fields: Mapping[str, str]) -> None:
        self.opened = True
        lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _chunk(self, body: bytes) -> None:
        if body:
            self._writer.write(b"%x\r\n%b\r\n" % (len(body), body))


Handler = Callable[[Request, Reply], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, host: str, port: int) -> AsyncIterator[None]:
    """Listen until the block ends, which drops what is under way; each request goes to the handler.

    Args:
        handler: may be called any number of times at once.
        host: address to listen on.
        port: port to listen on.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader, writer)) is not None:
                await handler(request, Reply(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(connected(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(begin, host, port, limit=MAX_HEAD_BYTES, backlog=BACKLOG)
    try:
        yield
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports close their sockets in the loop's next round.
        await asyncio.sleep(0)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", ""):
        return Request(method, path, headers, await _read_chunked(reader))
    body = await reader.readexactly(int(headers.get("content-length") or 0))
    return Request(method, path, headers, body)


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request" if status == 499 else "Unknown"
