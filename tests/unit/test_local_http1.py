"""The small server under the stand-in, spoken to in plain bytes."""

import asyncio
import gc

import pytest

from local.servers.processes import LOOPBACK, free_port
from local.standin.http1 import Handler, Reply, Request, serving


async def echo(request: Request, reply: Reply) -> None:
    await reply.send(200, [request.method, request.path, request.body.decode()])


async def say(*parts: bytes, handler: Handler = echo) -> bytes:
    """Send the parts on one connection, then give all that came back."""
    port = free_port()
    async with serving(handler, LOOPBACK, port):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()
    return answer


async def test_reads_a_body_in_chunks() -> None:
    """A body whose length is not told beforehand arrives whole, chunk extensions left out."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await say(head, b"3\r\none\r\n", b"3;x=y\r\ntwo\r\n0\r\n\r\n")
    assert answer.endswith(b'["POST", "/a", "onetwo"]')


async def test_serves_one_request_after_the_other() -> None:
    """A connection stays open, also for requests that were sent at once."""
    asked = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await say(asked % 1 + asked % 2, asked % 3)
    assert [b'"/%d"' % number in answer for number in (1, 2, 3)] == [True] * 3


async def test_asks_for_a_body_that_is_held_back() -> None:
    """A client that waits for leave to send its body gets it."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    port = free_port()
    async with serving(echo, LOOPBACK, port):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(head)
        leave = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(b"ok")
        answer = await asyncio.wait_for(reader.readuntil(b"]"), 5)
        writer.close()
        await writer.wait_closed()
    assert leave.startswith(b"HTTP/1.1 100 ")
    assert b'"ok"' in answer


@pytest.mark.parametrize(
    "head", [b"no HTTP\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
async def test_hangs_up_on_what_is_no_http(head: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A broken request is the client's fault: no answer, and no traceback of ours."""
    assert await say(head) == b""
    gc.collect()
    assert caplog.records == []


async def test_closes_when_the_client_wants_no_second_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That end is in order: the answer is whole, and nothing is logged."""
    answer = await say(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    gc.collect()
    assert answer.endswith(b'["GET", "/a", ""]')
    assert caplog.records == []


async def test_a_handlers_fault_is_not_taken_for_a_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Answering twice is a fault of ours, and is told."""

    async def twice(_: Request, reply: Reply) -> None:
        await reply.send(200, 1)
        await reply.send(200, 2)

    await say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", handler=twice)
    gc.collect()
    assert ["LocalProtocolError" in str(record.exc_info) for record in caplog.records] == [True]
