"""The whole run: what is measured in which order, and what is kept of it."""

from __future__ import annotations

import asyncio
import compileall
import contextlib
import datetime as dt
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks import conversion, inside, machine
from benchmarks.contestants import (
    BEST,
    FLOOR,
    HERE,
    OURS,
    PEER,
    PROFILED,
    Contestant,
    Running,
    cores,
)
from benchmarks.conversion import Conversion
from benchmarks.load import run_load
from benchmarks.measure import Rig, Sample, Start, Writes, median
from benchmarks.model import ModelServer, Pace
from benchmarks.store import Counts, Store, counting
from local.servers.emulators import firestore_emulator
from local.servers.function import ROOT

ROUNDS = 3
AT_ONCE = 200
LEVELS = (1, 8, 40, 80)
# What the Terraform module deploys with.
DEPLOYED_AT_ONCE = 80
SPREAD_SECONDS = 4.0
CHUNKS = (10, 40, 160, 480)
CHUNKS_AT_ONCE = 40
# Streams long enough that all of a thousand are under way before the first one ends, and that
# they begin no faster than one core can take them.
HELD, HELD_PACE, HELD_SPREAD_SECONDS = 1000, Pace(chunks=40, seconds=18.0), 14.0
# Whole rounds of the sample's eight threads: all of 200 would take it a minute at the same pace.
ENOUGH_OF_PEER = 16
WRITES_IMAGES, WRITES_SECONDS = 10, (2.0, 6.0)
# The emulator's runtime compiles what is used often: its first thousands of calls are slower.
_WARM_TRIPS, _TRIPS = 2000, 200

Tell = Callable[[str], None]


@dataclass
class Results:
    """All that was measured in one run."""

    began: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat("T", "minutes"))
    machine: dict[str, str] = field(default_factory=machine.describe)
    samples: list[Sample] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    writes: list[Writes] = field(default_factory=list)
    imports: dict[str, dict[str, float]] = field(default_factory=dict)
    profile: dict[str, float] = field(default_factory=dict)
    calls: list[tuple[str, float, float]] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)
    idle_round_trip_ms: float = 0.0
    stolen_share: float = 0.0

    def of(
        self, contestant: str, at_once: int, *, spread: bool = False, chunks: int = 40
    ) -> list[Sample]:
        """Give the samples of one load; none is an empty list."""
        asked = (contestant, at_once, spread, chunks)
        return [one for one in self.samples if asked == one.load]


@contextlib.asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    """Run what all contestants share, on the other cores."""
    core, others = cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, others)
    model = ModelServer()
    await model.start()
    # As the buildpack does on deployment; packages are compiled when they are installed.
    for source in (ROOT / "main.py", ROOT / "describer", HERE / "peer"):
        (compileall.compile_dir if source.is_dir() else compileall.compile_file)(source, quiet=1)
    try:
        with firestore_emulator() as firestore:
            store = Store(firestore.host)
            env = {
                "OPENAI_BASE_URL": model.url,
                "MODEL": "stand-in",
                "FIRESTORE_EMULATOR_HOST": firestore.host,
                "STORAGE_EMULATOR_HOST": model.storage_url,
            }
            yield Rig(model, store, core, env)
            await store.close()
    finally:
        await model.stop()
        os.sched_setaffinity(0, before)


async def quick(tell: Tell) -> Results:
    """One round: 200 at once, and 80 evenly over time; and conversion."""
    results = Results()
    async with rigged() as rig:
        await _round_trip(rig, results)
        for contestant in (PEER, BEST, FLOOR, OURS):
            await _turn(rig, contestant, results, tell, spread=(DEPLOYED_AT_ONCE,))
    await _conversion(results, tell)
    return results


async def full(tell: Tell) -> Results:
    """Everything, in turns."""
    results = Results()
    began, stolen = time.monotonic(), machine.stolen_seconds()
    async with rigged() as rig:
        await _round_trip(rig, results)
        order = [PEER, BEST, FLOOR, OURS]
        for number in range(ROUNDS):
            for contestant in order:
                quick = contestant in (FLOOR, OURS)
                evenly = [DEPLOYED_AT_ONCE] if number == 1 or (quick and number == 0) else []
                await _turn(
                    rig,
                    contestant,
                    results,
                    tell,
                    levels=LEVELS if number == 0 else (),
                    spread=[*evenly, AT_ONCE] if quick and number == 1 else evenly,
                    chunks=CHUNKS if number == 2 else (),
                )
            order.reverse()
        await _held(rig, results, tell)
        await _writes(rig, results, tell)
        await _cold(rig, results, tell)
        await _profile(rig, results, tell)
    await _conversion(results, tell)
    stolen = machine.stolen_seconds() - stolen
    results.stolen_share = stolen / (time.monotonic() - began) / (os.cpu_count() or 1)
    return results


async def _turn(
    rig: Rig,
    contestant: Contestant,
    results: Results,
    tell: Tell,
    *,
    levels: Sequence[int] = (),
    spread: Sequence[int] = (),
    chunks: Sequence[int] = (),
) -> None:
    """Start one contestant, and put it through its loads."""
    slow = contestant is PEER
    tell(f"{contestant.title}: start")
    async with rig.running(contestant) as (running, start):
        results.starts.append(start)
        await rig.warm_up(running)

        # More than its eight threads take the sample longer than all else together.
        for at_once in levels[:2] if slow else levels:
            tell(f"{contestant.title}: {at_once} at once")
            results.samples.append(await rig.sample(running, at_once))
        for at_once in () if slow else spread:
            tell(f"{contestant.title}: {at_once} at once, evenly over time")
            sample = await rig.sample(running, at_once, seconds=SPREAD_SECONDS)
            results.samples.append(sample)
        for count in () if slow else chunks:
            tell(f"{contestant.title}: {count} chunks")
            pace = Pace(chunks=count)
            results.samples.append(await rig.sample(running, CHUNKS_AT_ONCE, pace=pace))
        tell(f"{contestant.title}: {AT_ONCE} at once")
        enough = ENOUGH_OF_PEER if slow else None
        await rig.warm_up(running, at_once=enough or AT_ONCE)
        results.samples.append(await rig.sample(running, AT_ONCE, enough=enough))


async def _round_trip(rig: Rig, results: Results) -> None:
    trips = [await rig.store.round_trip() for _ in range(_WARM_TRIPS + _TRIPS)]
    results.idle_round_trip_ms = median(trips[_WARM_TRIPS:]) * 1000


async def _held(rig: Rig, results: Results, tell: Tell) -> None:
    tell(f"{OURS.title}: {HELD} streams held")
    async with rig.running(OURS) as (running, _):
        await rig.warm_up(running)
        sample = await rig.sample(running, HELD, pace=HELD_PACE, over=HELD_SPREAD_SECONDS)
        results.samples.append(sample)


async def _writes(rig: Rig, results: Results, tell: Tell) -> None:
    tell("Writes per image")
    async with contextlib.AsyncExitStack() as stack:
        counted = []
        for contestant in (PEER, FLOOR, OURS):
            host, counts = await stack.enter_async_context(counting(rig.store.host))
            begun = rig.running(contestant, FIRESTORE_EMULATOR_HOST=host)
            running, _ = await stack.enter_async_context(begun)
            counted.append((running, counts))
        for seconds in WRITES_SECONDS:
            found = (_writes_of(rig, running, counts, seconds) for running, counts in counted)
            results.writes += await asyncio.gather(*found)


async def _writes_of(rig: Rig, running: Running, counts: Counts, seconds: float) -> Writes:
    counts.clear()
    rig.model.pace = Pace(seconds=seconds)
    load = await run_load(running.server.port, WRITES_IMAGES)
    images = len(load.deliveries)
    calls = sum(counts.calls.values())
    return Writes(running.contestant.key, seconds, counts.writes / images, calls / images)


async def _cold(rig: Rig, results: Results, tell: Tell) -> None:
    """Start with no compiled bytecode, then with it and the interpreter's own import times."""
    for contestant in (PEER, OURS):
        with tempfile.TemporaryDirectory(prefix="bytecode-") as folder:
            tell(f"{contestant.title}: start without bytecode")
            empty = rig.running(contestant, compiled=False, PYTHONPYCACHEPREFIX=folder)
            async with empty as (_, start):
                results.starts.append(start)
        tell(f"{contestant.title}: imports")
        async with rig.running(contestant, PYTHONPROFILEIMPORTTIME="1") as (running, _):
            results.imports[contestant.key] = inside.imports(running.server.log)


async def _profile(rig: Rig, results: Results, tell: Tell) -> None:
    tell("Profile")
    async with rig.running(PROFILED) as (running, _):
        rig.model.pace = Pace()
        await run_load(running.server.port, AT_ONCE)
        await _ended(running)
        results.profile, results.calls = inside.profile(running.server.log.with_suffix(".profile"))


async def _conversion(results: Results, tell: Tell) -> None:
    """Beside nothing else: each side takes all of a core."""

    def measure() -> None:
        for one in conversion.measure(conversion.SHORT):
            tell(f"Conversion: {one.title}")
            results.conversions.append(one)

    tell("Conversion")
    await asyncio.to_thread(measure)


async def _ended(running: Running) -> None:
    running.server.process.terminate()
    await asyncio.to_thread(running.server.process.wait, 30)
