"""The whole run: what is measured in which order, and what is kept of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from benchmarks.contestants import BEST, FLOOR, OURS, PEER, Contestant, cores
from benchmarks.measure import Rig, Sample, Start
from benchmarks.model import ModelServer
from benchmarks.store import Store
from local.emulators import firestore_emulator

AT_ONCE = 200
DEPLOYED_AT_ONCE = 80
# Whole rounds of its eight threads: all of 200 would take it a minute, at the same pace.
ENOUGH_OF_PEER = 24
_TRIPS = 200


@dataclass
class Results:
    """All that was measured."""

    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    idle_round_trip_ms: float = 0.0


Tell = Callable[[str], None]


@contextlib.asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    """Run what all contestants share, on the other cores."""
    core, others = cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, others)
    model = ModelServer()
    await model.start()
    try:
        with firestore_emulator() as firestore:
            store = Store(firestore.host)
            env = {"OPENAI_BASE_URL": model.url, "FIRESTORE_EMULATOR_HOST": firestore.host}
            yield Rig(model, store, core, env)
            await store.close()
    finally:
        await model.stop()
        os.sched_setaffinity(0, before)


async def quick(tell: Tell) -> Results:
    """One round of 200 at once, and 80 spread over time."""
    results = Results()
    async with rigged() as rig:
        await _round_trip(rig, results)
        for contestant in (PEER, BEST, FLOOR, OURS):
            await _two_hundred(rig, contestant, results, tell, spread_seconds=4.0)
    return results


async def _two_hundred(
    rig: Rig, contestant: Contestant, results: Results, tell: Tell, spread_seconds: float = 0.0
) -> None:
    tell(f"{contestant.title}: {AT_ONCE} at once")
    with rig.running(contestant) as running:
        results.starts.append(await rig.first_event(running))
        await rig.warm_up(running)
        enough = ENOUGH_OF_PEER if contestant is PEER else None
        results.samples.append(await rig.sample(running, AT_ONCE, enough=enough))
        if spread_seconds and contestant is not PEER:
            tell(f"{contestant.title}: {DEPLOYED_AT_ONCE} at once, spread over time")
            spread = await rig.sample(running, DEPLOYED_AT_ONCE, seconds=spread_seconds)
            results.samples.append(spread)


async def _round_trip(rig: Rig, results: Results) -> None:
    trips = sorted([await rig.store.round_trip() for _ in range(_TRIPS)])
    results.idle_round_trip_ms = trips[_TRIPS // 2] * 1000
