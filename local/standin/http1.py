"""A small HTTP/1.1 server whose handlers hold the connection itself; h11 knows the protocol.

A model server that is to fail in every way, such as a reset before the headers or after byte 1,000,
needs what lies below HTTP, and servers hide that.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11

BACKLOG = 4096
_READ_BYTES = 64 * 1024


class HungUpError(ConnectionError):
    """The client closed the connection while the answer was under way."""


class DroppedError(ConnectionError):
    """We dropped the connection on purpose."""


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        headers: by their names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply:
    """The answer to one request: `send` for a whole one; `open`, `write`, `end` for a stream."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, http: h11.Connection
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._http = http
        self._left: int | None = None
        self.opened = False

    async def send(
        self, status: int, content: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer with a JSON body."""
        body = json.dumps(content).encode()
        fields = {"content-type": "application/json", "content-length": str(len(body))}
        self._head(status, fields | dict(headers or {}))
        self._put(h11.Data(body))
        self._put(h11.EndOfMessage())
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
            self._put(h11.Data(body[: self._left]))
            self.drop()
        self._put(h11.Data(body))
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
        self._put(h11.EndOfMessage())

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
        self._put(h11.Response(status_code=status, headers=list(fields.items())))

    def _put(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")


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
        http = h11.Connection(h11.SERVER)
        try:
            while (request := await _read(reader, writer, http)) is not None:
                await handler(request, Reply(reader, writer, http))
                if http.our_state is h11.MUST_CLOSE:
                    break
                http.start_next_cycle()
        # A client that is gone, or speaks no HTTP. h11's local errors are faults of the handler.
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(connected(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(begin, host, port, backlog=BACKLOG)
    try:
        yield
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports close their sockets in the loop's next round.
        await asyncio.sleep(0)


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, http: h11.Connection
) -> Request | None:
    """Read one request; None once the client has closed."""
    head, body = None, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                writer.write(
                    http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            http.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            fields = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), fields, bytes(body))
        else:
            return None
