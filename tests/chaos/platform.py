"""What stands around the function in a run: instances that die and come back, and Eventarc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from local.servers.events import Headers
from local.servers.function import FunctionServer, start_function
from local.servers.processes import Server, accepts

# The platform gives an instance ten seconds between SIGTERM and SIGKILL.
# Source: https://docs.cloud.google.com/run/docs/container-contract#instance-shutdown
GRACE_SECONDS = 10.0
# Eventarc's backoff of 10 s to 600 s and its 24 h, shortened.
# Source: https://docs.cloud.google.com/eventarc/docs/retry-events
FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS = 0.2, 2.0
RETENTION_SECONDS = 150.0
# A request that was in the listening socket's queue at SIGTERM may never be taken out of it.
_QUEUE_SECONDS = 0.5


@dataclass(eq=False)
class Incarnation:
    """One process of the function, from its start to its end.

    Attributes:
        told_at: when it got SIGTERM.
        killed_at: when it got SIGKILL, before it had ended by itself.
    """

    server: FunctionServer
    told_at: float | None = None
    killed_at: float | None = None


@dataclass(eq=False)
class Delivery:
    """One arrival of an event at one process.

    Attributes:
        status: HTTP status; 0 if there was no answer.
    """

    event_id: str
    object_name: str
    generation: int
    incarnation: Incarnation
    began: float
    ended: float | None = None
    status: int = 0
    why: str = ""

    @property
    def cut(self) -> bool:
        """Whether its process ended under it."""
        to = self.incarnation
        ended = self.ended or time.monotonic()
        return to.killed_at is not None and self.began <= to.killed_at <= ended + 0.1

    @property
    def excused(self) -> bool:
        """Whether there could be no answer, since its process was dying."""
        told = self.incarnation.told_at
        return self.cut or (told is not None and self.began > told - _QUEUE_SECONDS)


class Slot:
    """One place for an instance: the process in it may be replaced."""

    def __init__(self, number: int, env: Mapping[str, str]) -> None:
        self.number = number
        self.past: list[Incarnation] = []
        self.current: Incarnation | None = None
        self._env = env
        self._replacing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start a process and wait until it listens."""
        server = start_function(self._env)
        for _ in range(600):
            if await asyncio.to_thread(accepts, server):
                break
            if server.process.poll() is not None:
                raise RuntimeError(f"the function does not start:\n{server.tail()}")
            await asyncio.sleep(0.05)
        self.current = Incarnation(server)
        self.past.append(self.current)

    def kill(self) -> None:
        """End the process as a crash does, at once, and start another."""
        dying, self.current = self.current, None
        if dying is None:
            return
        dying.killed_at = time.monotonic()
        _signal(dying.server, signal.SIGKILL)
        self._replacing = asyncio.ensure_future(self._replace(dying))

    def terminate(self) -> None:
        """End the process as the platform does, and start another meanwhile."""
        dying, self.current = self.current, None
        if dying is None:
            return
        dying.told_at = time.monotonic()
        # To the server's master alone, as to a container's first process.
        os.kill(dying.server.process.pid, signal.SIGTERM)
        self._replacing = asyncio.ensure_future(self._replace(dying))

    async def _replace(self, dying: Incarnation) -> None:
        reaped = asyncio.ensure_future(self._reap(dying))
        await self.start()
        await reaped

    async def _reap(self, dying: Incarnation) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        # A process has no event to wait for.
        while dying.server.process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if dying.server.process.poll() is None and dying.killed_at is None:
            dying.killed_at = time.monotonic()
        await asyncio.to_thread(dying.server.stop, 0.1)

    async def stop(self) -> None:
        """End it for good, and wait for those that are still ending."""
        if self._replacing is not None:
            await self._replacing
        if self.current is not None:
            await asyncio.to_thread(self.current.server.stop, GRACE_SECONDS)


class Eventarc:
    """Delivers each event until it is acknowledged; at least once, in no order.

    Attributes:
        deliveries: all that were begun.
        dropped: ids of events that were never acknowledged within the retention.
    """

    def __init__(self, slots: list[Slot], seed: int, *, at_once: int = 10_000) -> None:
        """Start with no events.

        Args:
            slots: where events are delivered to, one at random each time.
            seed: of the choice and of the backoff's jitter.
            at_once: deliveries under way; others wait, as for an instance's concurrency.
        """
        self._slots = slots
        self._gate = asyncio.Semaphore(at_once)
        self._chance = random.Random(seed)
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(90.0, connect=5.0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
        )
        self._under_way: set[asyncio.Task[None]] = set()
        self.deliveries: list[Delivery] = []
        self.dropped: list[str] = []
        self.on_delivery: Callable[[Delivery], None] = lambda _: None

    def publish(
        self, name: str, generation: int, event: tuple[Headers, bytes], *, copies: int = 1
    ) -> None:
        """Deliver an event from now on, the first time `copies` times at once."""
        pending = _Event(name, generation, event)
        for copy in range(copies):
            self._spawn(self._deliver_until_acknowledged(pending, first=copy == 0))

    async def quiet(self) -> None:
        """Wait until every event is acknowledged or dropped, and nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver_until_acknowledged(self, event: _Event, *, first: bool) -> None:
        event_id = event.event[0]["ce-id"]
        deadline = time.monotonic() + RETENTION_SECONDS
        backoff = FIRST_BACKOFF_SECONDS
        while time.monotonic() < deadline:
            async with self._gate:
                status = await self._deliver(event)
            event.acknowledged = event.acknowledged or status == 200
            # A copy that was begun at the same time is not repeated by itself.
            if event.acknowledged or not first:
                return
            await asyncio.sleep(backoff * self._chance.uniform(0.5, 1.5))
            backoff = min(backoff * 1.7, LAST_BACKOFF_SECONDS)
        self.dropped.append(event_id)

    async def _deliver(self, event: _Event) -> int:
        target = await self._some_instance()
        headers, body = event.event
        delivery = Delivery(
            headers["ce-id"], event.name, event.generation, target, time.monotonic()
        )
        self.deliveries.append(delivery)
        try:
            answer = await self._client.post(target.server.url, headers=headers, content=body)
            delivery.status = answer.status_code
        except httpx2.HTTPError as exc:
            delivery.why = f"{type(exc).__name__}: {exc}"
        delivery.ended = time.monotonic()
        self.on_delivery(delivery)
        return delivery.status

    async def _some_instance(self) -> Incarnation:
        for _ in range(600):
            up = [slot.current for slot in self._slots if slot.current is not None]
            if up:
                return self._chance.choice(up)
            await asyncio.sleep(0.05)
        raise RuntimeError("no instance came up within 30 s")


@dataclass(eq=False)
class _Event:
    name: str
    generation: int
    event: tuple[Headers, bytes]
    acknowledged: bool = field(default=False)


async def freeze(server: Server, seconds: float) -> None:
    """Stop a process for a while, as a hung machine does."""
    _signal(server, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        _signal(server, signal.SIGCONT)


def _signal(server: Server, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, number)
