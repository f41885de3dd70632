"""Posts CloudEvents, and notes when each was sent and answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from benchmarks.model import IMAGE_BYTES
from local.servers.events import cloud_event
from local.servers.processes import LOOPBACK

BUCKET = "benchmark"
_ENOUGH_OF_AN_ANSWER = len("HTTP/1.1 200")


@dataclass(slots=True)
class Delivery:
    """One delivery, on the clock of time.monotonic(); status 0 if it was never answered."""

    uri: str
    sent: float = 0.0
    answered: float = 0.0
    status: int = 0


@dataclass
class Load:
    """What was sent and answered.

    Attributes:
        deliveries: those that were answered, in the order of their answers.
        unanswered: those that were not when the load ended.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    unanswered: int = 0

    @property
    def seconds(self) -> float:
        """From the first one sent to the last answer."""
        first = min(delivery.sent for delivery in self.deliveries)
        return max(delivery.answered for delivery in self.deliveries) - first

    @property
    def refused(self) -> int:
        """Those that were answered, but not with 200."""
        return sum(delivery.status != 200 for delivery in self.deliveries)


class _Posting(asyncio.Protocol):
    """One connection with one request."""

    def __init__(self, delivery: Delivery) -> None:
        self.answered = asyncio.Event()
        self._delivery = delivery
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        self._delivery.sent = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        # The status line never comes in two pieces, and nothing after it is of interest.
        assert len(data) >= _ENOUGH_OF_AN_ANSWER
        self._delivery.status = int(data[9:12])
        self._transport.close()
        self.connection_lost(None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.answered.is_set():
            self._delivery.answered = time.monotonic()
            self.answered.set()


async def run_load(
    port: int,
    total: int,
    *,
    spread_seconds: float = 0.0,
    enough: int | None = None,
    timeout_seconds: float = 120.0,
) -> Load:
    """Send `total` deliveries, all at once or evenly over a time, and wait for their answers.

    Connections are open before, as those of the platform's front end are.

    Args:
        port: where the function listens.
        total: deliveries, each for another image.
        spread_seconds: time from the first to the last one.
        enough: end already after so many answers, where all of them would take too long.
        timeout_seconds: end then in any case.
    """
    load = Load()
    ended = asyncio.Event()
    posts = [_request(port, f"{uuid.uuid4().hex}.jpg") for _ in range(total)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    all_open = asyncio.Barrier(1 if spread_seconds else total)

    async def post(place: int) -> None:
        if spread_seconds:
            await asyncio.sleep(began + place * spread_seconds / total - loop.time())
        uri, request = posts[place]
        delivery = Delivery(uri)
        transport, posting = await loop.create_connection(
            lambda: _Posting(delivery), LOOPBACK, port
        )
        try:
            await all_open.wait()
            posting.send(request)
            await posting.answered.wait()
        finally:
            transport.abort()
        load.deliveries.append(delivery)
        if len(load.deliveries) == (enough or total):
            ended.set()

    with _without_collector():
        tasks = [asyncio.create_task(post(place)) for place in range(total)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await ended.wait()
        load.unanswered = total - len(load.deliveries)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return load


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _request(port: int, name: str) -> tuple[str, bytes]:
    headers, body = cloud_event(BUCKET, name, 1, size_bytes=IMAGE_BYTES)
    lines = ["POST / HTTP/1.1", f"host: {LOOPBACK}:{port}", f"content-length: {len(body)}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return f"gs://{BUCKET}/{name}", "\r\n".join(lines).encode() + b"\r\n\r\n" + body
