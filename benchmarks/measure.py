"""One load on one contestant becomes one sample."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from benchmarks.contestants import Contestant, Running, launch
from benchmarks.load import Load, run_load
from benchmarks.model import ModelServer, Pace
from benchmarks.store import Store

MIB = 1024 * 1024
DEFAULT_PACE = Pace()
_WARM_UP = Pace(chunks=8, seconds=0.05)
_WARM_UP_IMAGES, _WARM_UP_SECONDS = 40, 0.6
_SETTLE_SECONDS = 0.2
_STARTS = 3
_FIRST_SECONDS = 20.0
_TRIP_EVERY_SECONDS = 0.05
_TRIPS_PER_LOOK = 8


@dataclass(frozen=True)
class Sample:
    """What one load gave.

    Attributes:
        contestant: its key.
        at_once: deliveries under way at any time.
        spread: whether they came evenly over time, or all at once.
        chunks, stream_seconds: of each answer of the model.
        images: answered deliveries.
        images_per_second: from the first one sent to the last answer.
        cpu_ms: user and system time of the contestant per image.
        added_ms: p50, p95 and p99 of the delivery's time less the model's own.
        before_ms: median of its part until the model has the request.
        after_ms: median of its part from the model's last byte on.
        round_trip_ms: median of one Commit, asked now and then during the load.
        memory_mib: proportional set size of the contestant, the most of what was seen.
        refused: deliveries that were not answered with 200.
        held: streams that were under way at the same time.
        late_ms: how late the model server itself was at worst.
    """

    contestant: str
    at_once: int
    spread: bool
    chunks: int
    stream_seconds: float
    images: int
    images_per_second: float
    cpu_ms: float
    added_ms: tuple[float, float, float]
    before_ms: float
    after_ms: float
    round_trip_ms: float
    memory_mib: float
    refused: int
    held: int
    late_ms: float

    @property
    def load(self) -> tuple[str, int, bool, int]:
        """What was asked of whom."""
        return self.contestant, self.at_once, self.spread, self.chunks


@dataclass(frozen=True)
class Start:
    """One start of a contestant.

    Attributes:
        port_seconds: from the start of the process until it listened.
        first_seconds: until its first event was answered, less the model's own time.
    """

    contestant: str
    compiled: bool
    port_seconds: float
    first_seconds: float


@dataclass(frozen=True)
class Writes:
    """What one contestant asks of the store for one image.

    Attributes:
        writes: documents written.
        calls: all calls.
    """

    contestant: str
    stream_seconds: float
    writes: float
    calls: float


@dataclass(frozen=True)
class Rig:
    """What all contestants share."""

    model: ModelServer
    store: Store
    core: set[int]
    env: dict[str, str]

    @contextlib.asynccontextmanager
    async def running(
        self, contestant: Contestant, *, compiled: bool = True, **env: str
    ) -> AsyncIterator[tuple[Running, Start]]:
        """Run a contestant, which has answered its first event: the one that builds its clients.

        Args:
            contestant: is started again if it hangs: the sample does now and then, since it
                builds its clients before its server forks.
            compiled: whether its bytecode is there, for the result.
            env: variables on top of the contestant's own.
        """
        for last in [False] * (_STARTS - 1) + [True]:
            running = launch(contestant, self.core, {**self.env, **env})
            self.model.pace = Pace(chunks=1, seconds=0.0)
            load = await run_load(running.server.port, 1, timeout_seconds=_FIRST_SECONDS)
            if load.deliveries and not load.refused:
                break
            running.stop()
            if last:
                raise RuntimeError(f"{contestant.title} fails:\n{running.server.tail()}")
        try:
            first = running.port_seconds + load.seconds
            yield running, Start(contestant.key, compiled, running.port_seconds, first)
        finally:
            running.stop()

    async def warm_up(self, running: Running, *, at_once: int = 0) -> None:
        """Send short answers: evenly, until all code was used, or at once, to open connections."""
        self.model.pace = _WARM_UP
        images, seconds = (at_once, 0.0) if at_once else (_WARM_UP_IMAGES, _WARM_UP_SECONDS)
        load = await run_load(running.server.port, images, spread_seconds=seconds)
        if load.refused or load.unanswered:
            raise RuntimeError(f"{running.contestant.title} fails:\n{running.server.tail()}")

    async def sample(
        self,
        running: Running,
        at_once: int,
        *,
        pace: Pace = DEFAULT_PACE,
        seconds: float = 0.0,
        over: float = 0.0,
        enough: int | None = None,
    ) -> Sample:
        """Load a contestant.

        Args:
            running: which.
            at_once: deliveries under way at any time.
            pace: of the model.
            seconds: have them come evenly for so long, as many as that takes, instead of at once.
            over: have just `at_once` of them come evenly over so long.
            enough: see `run_load`.
        """
        await asyncio.sleep(_SETTLE_SECONDS)
        model = self.model
        model.pace = pace
        model.reset()
        total = round(at_once / pace.seconds * seconds) if seconds else at_once
        trips: list[float] = []
        memory: list[int] = []
        watching = asyncio.create_task(self._watch(running, trips, memory))
        before = running.cpu()
        load = await run_load(
            running.server.port, total, spread_seconds=seconds or over, enough=enough
        )
        cpu = running.cpu() - before
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        memory.append(running.memory())
        images = len(load.deliveries)
        before_and_after = _added(load, model)
        return Sample(
            contestant=running.contestant.key,
            at_once=at_once,
            spread=bool(seconds or over),
            chunks=pace.chunks,
            stream_seconds=pace.seconds,
            images=images,
            images_per_second=images / load.seconds,
            cpu_ms=cpu / images * 1000,
            added_ms=quantiles([before + after for before, after in before_and_after]),
            before_ms=median([before for before, _ in before_and_after]),
            after_ms=median([after for _, after in before_and_after]),
            round_trip_ms=median(trips) * 1000,
            memory_mib=max(memory) / MIB,
            refused=load.refused + (0 if enough else load.unanswered),
            held=model.most,
            late_ms=model.lag * 1000,
        )

    async def _watch(self, running: Running, trips: list[float], memory: list[int]) -> None:
        """Ask for the store's round trip and the contestant's memory now and then."""
        while True:
            for _ in range(_TRIPS_PER_LOOK):
                await asyncio.sleep(_TRIP_EVERY_SECONDS)
                trips.append(await self.store.round_trip())
            memory.append(running.memory())


def median(values: Sequence[float]) -> float:
    """Give the median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Give p50, p95 and p99; for few values the highest stands for the last two."""
    ordered = sorted(values)
    last = len(ordered) - 1
    p50, p95, p99 = (ordered[round(share * last)] for share in (0.5, 0.95, 0.99))
    return p50, p95, p99


def _added(load: Load, model: ModelServer) -> list[tuple[float, float]]:
    """Give each delivery's time before and after the model's own, in milliseconds."""
    found = []
    for delivery in load.deliveries:
        answer = model.answers.get(delivery.uri)
        if answer is not None and answer.ended:
            before, after = answer.arrived - delivery.sent, delivery.answered - answer.ended
            found.append((before * 1000, after * 1000))
    return found or [(0.0, 0.0)]
