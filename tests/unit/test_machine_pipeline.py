"""An executable model: uploads, deliveries, crashes, faults and clocks in any order.

The real pipeline runs on several instances over one store, in virtual time. Hypothesis chooses what
happens and shrinks what breaks. After every step the writes since the last one are judged; at the
end all faults are healed, everything is delivered until it is acknowledged, and the records are
judged.
"""

# ruff: noqa: D102 - the name of a rule or an invariant says it
from __future__ import annotations

import asyncio
import contextvars
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from describer.delivery.event import FINALIZED
from describer.delivery.pipeline import Answer, Pipeline
from describer.errors import (
    BlockedError,
    ModelAccessError,
    ModelBusyError,
    ModelMissingError,
    ModelTimeoutError,
    RecordExistsError,
    StoreError,
    StreamBrokenError,
    VersionConflictError,
)
from describer.images.image import Image
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.prompt import Instructions
from describer.model.stream import Chunk
from describer.publishing.memory import MemoryPublisher
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import CALL_SECONDS, Fields, Snapshot, Version
from describer.settings import Settings
from describer.values import Usage
from tests.pictures import JPEG
from tests.virtual import EPOCH, VirtualLoop

SETTINGS = Settings(
    image_input="uri", max_attempts=8, models=("google/second",), fallback_after_seconds=30
)
NAMES = ("a.jpg", "b.jpg")
INSTANCES = 3
# With one such freeze in a lease's time, a worker that keeps trying never loses its lease.
LONGEST_FREEZE_SECONDS = 20.0
GRACE_SECONDS = 10.0
SKEW_SECONDS = 30.0
WORDS = tuple(f"word{place} " for place in range(8))

STOP = Chunk("", "stop")
ALSO = Chunk("also", "stop")
SCRIPTS: dict[str, tuple[float | Exception | Chunk | None, ...]] = {
    # None is a chunk of text, ALSO one with a finish reason, STOP one without text, a number a
    # pause; a text that is not ended by an error ends well.
    "good": (0.3, None, 0.3, None, 0.3, None),
    "slow": (20.0, None, 40.0, None, 40.0, None, 40.0, None),
    "at once": (),
    "cut": (0.3, None, 1.5, None, StreamBrokenError("cut")),
    "silent": (0.3, None, 45.0, ModelTimeoutError("silence")),
    "endless": (30.0, None) * 9,
    "ends each chunk": (ALSO, 3.0, ALSO, 9.0, ALSO, 1.5, ALSO),
    "ends first": (STOP, 9.0, None, 3.0, None),
    "ends before the last": (0.3, None, STOP, 3.0, None),
    "usage late": (0.3, None, STOP, 4.0, Chunk(usage=Usage(1, 2, 3))),
    "usage never": (0.3, None, STOP, 300.0),
    "cut after the end": (0.3, None, STOP, 1.5, StreamBrokenError("cut")),
    "blocked": (0.3, None, BlockedError("no", finish_reason="content_filter")),
}
REFUSALS = {
    "busy": ModelBusyError("429", http_status=429),
    "denied": ModelAccessError("403", http_status=403),
    "retired": ModelMissingError("404", http_status=404),
}

current: contextvars.ContextVar[Delivery] = contextvars.ContextVar("current")


@dataclass
class Event:
    """One upload, or its end, as the deliveries tell of it."""

    name: str
    generation: int
    time: datetime
    acknowledged: bool = False
    type: str = FINALIZED


@dataclass(eq=False)
class Delivery:
    """One arrival of an event at an instance."""

    event: Event
    instance: Instance
    answer: Answer | None = None
    crashed: bool = False
    cut_off: bool = False


@dataclass
class Begin:
    """The model began on a generation for a delivery: paid."""

    delivery: Delivery
    text: str
    model: str
    writes_before: int


@dataclass(eq=False)
class Instance:
    """One process: a pipeline, its connection to the store, and a clock that is wrong by `skew`."""

    pipeline: Pipeline
    link: Link
    alive: bool = True
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class World:
    """What the instances share."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.store = MemoryStore(lambda: EPOCH + timedelta(seconds=self.loop.time()))
        self.bucket = MemoryBucket(dict.fromkeys(NAMES, JPEG))
        self.publisher: MemoryPublisher | None = None
        self.begun: dict[tuple[str, int], list[Begin]] = {}
        # Requests that were not refused, those included that were cancelled on their way.
        self.asked: Counter[tuple[str, int]] = Counter()
        self.scripts: list[str] = []
        self.faults: list[str] = []
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.late: list[Callable[[], Awaitable[object]]] = []
        self.landed_late = False
        self.trouble_at = -1000.0

    async def never(self) -> None:
        """What a dead process does."""
        await asyncio.Event().wait()


class Link:
    """One instance's way to the store, with what may go wrong on it. A `Store`."""

    def __init__(self, world: World, alive: Callable[[], bool]) -> None:
        self._world = world
        self._alive = alive
        self.joined = asyncio.Event()
        self.joined.set()

    async def create(self, record_id: str, fields: Fields) -> Version:
        return await self._write(lambda: self._world.store.create(record_id, fields), CALL_SECONDS)

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        return await self._write(
            lambda: self._world.store.update(record_id, fields, version=version), timeout_seconds
        )

    async def delete(self, record_id: str, *, version: Version) -> None:
        async def delete() -> Version:
            await self._world.store.delete(record_id, version=version)
            return None

        await self._write(delete, CALL_SECONDS)

    async def read(self, record_id: str) -> Snapshot | None:
        await self._arrive(CALL_SECONDS, None)
        if self._fault() is not None:
            raise StoreError("injected: not read")
        found = await self._world.store.read(record_id)
        await self._alive_or_never()
        return found

    async def clock(self) -> datetime:
        return await self._world.store.clock()

    async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        return await self._world.store.read_many(record_ids)

    async def read_note(self, name: str) -> Mapping[str, Any]:
        return await self._world.store.read_note(name)

    async def write_note(self, name: str, fields: Fields) -> None:
        await self._world.store.write_note(name, fields)

    async def find(
        self, equal: Mapping[str, str | bool], *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        return await self._world.store.find(equal, limit=limit)

    async def add(self, counter: str, by: int) -> int:
        return await self._world.store.add(counter, by)

    async def _write(
        self, write: Callable[[], Awaitable[Version]], timeout_seconds: float
    ) -> Version:
        await self._arrive(timeout_seconds, write)
        fault = self._fault()
        if fault == "refused":
            raise StoreError("injected: not written")
        version = await write()
        await self._alive_or_never()
        if fault == "answer lost, tried again":
            # As the client's own retry does, which meets the precondition of its first try. What
            # happens in between, a person's edit say, must not be overwritten.
            await asyncio.sleep(1.5)
            await self._alive_or_never()
            version = await write()
        if fault == "answer lost":
            raise StoreError("injected: written, but not told")
        return version

    async def _arrive(
        self, timeout_seconds: float, write: Callable[[], Awaitable[Version]] | None
    ) -> None:
        await self._alive_or_never()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._world.thawed.wait()
                await self.joined.wait()
        except TimeoutError as exc:
            if write is not None:
                # The request is on its way, and lands when the store wakes up.
                self._world.late.append(write)
            raise StoreError("injected: frozen") from exc
        await self._alive_or_never()

    async def _alive_or_never(self) -> None:
        if not self._alive():
            await self._world.never()

    def _fault(self) -> str | None:
        if not self._world.faults:
            return None
        self._world.trouble_at = self._world.loop.time()
        return self._world.faults.pop(0)


class LedgerModel:
    """A model that plays scripts and keeps the ledger of what was paid. A `Model`."""

    def __init__(self, world: World, alive: Callable[[], bool]) -> None:
        self._world = world
        self._alive = alive

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        world = self._world
        delivery = current.get()
        key = (delivery.event.name, delivery.event.generation)
        world.asked[key] += 1
        await asyncio.sleep(0.05)
        if not self._alive():
            await world.never()
        name = self._script(delivery.event)
        if name in REFUSALS:
            world.asked[key] -= 1
            raise REFUSALS[name]
        paid = world.begun.setdefault(key, [])
        for before in paid:
            answer = before.delivery.answer
            broke = before.delivery.crashed or before.delivery.cut_off
            broke = broke or (answer is not None and answer.status != 200)
            # The release is written, and its answer on the way.
            broke = broke or any(
                fields.get("generation") == key[1]
                and "lease" not in fields
                and fields["status"]["state"] == "PROCESSING"
                for _, fields in world.store.writes[before.writes_before :]
            )
            assert broke, f"{key} is paid for again while or after an attempt that did not break"
        number = sum(map(len, world.begun.values()))
        steps = SCRIPTS[name]
        # What ends each chunk, or ends before any text, does so with the first piece, too.
        first = steps[0] if steps else None
        texts = [step for step in steps if step is None or step is ALSO]
        pieces = [f"text {number} of {key[0]} {key[1]}: ", *WORDS[: len(texts)]]
        written = len(world.store.writes)
        paid.append(Begin(delivery, "".join(pieces).strip(), instructions.model, written))

        async def chunks() -> AsyncIterator[Chunk]:
            left = list(pieces)
            if first is STOP:
                yield STOP
            yield Chunk(left.pop(0), "stop" if first is ALSO else None)
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if step is None or step is ALSO:
                    yield Chunk(left.pop(0), None if step is None else "stop")
                elif isinstance(step, Chunk):
                    yield step
                else:
                    await asyncio.sleep(step)
            yield Chunk("", finish_reason="stop")

        yield chunks()

    def _script(self, _: Event) -> str:
        """Say how it answers for an upload."""
        return self._world.scripts.pop(0) if self._world.scripts else "good"

    async def close(self) -> None:
        """Nothing is held open."""


class _Output:
    """Standard output of all instances."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        self.lines.append(json.loads(text))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class PipelineMachine(RuleBasedStateMachine):
    """See the module."""

    settings = SETTINGS
    model: type[LedgerModel] = LedgerModel

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.events: list[Event] = []
        self.deliveries: list[Delivery] = []
        self.raised: list[BaseException] = []
        self.judged = 0
        self.last: dict[str, Mapping[str, Any]] = {}
        self.owners: dict[tuple[str, int, int, int], str] = {}
        self.by_hand: set[str] = set()
        self.erased: set[str] = set()
        self.instances: list[Instance] = []
        self.landing: set[asyncio.Task[None]] = set()
        self.output = _Output()
        self.stdout = sys.stdout
        sys.stdout = self.output

    @initialize(skews=st.tuples(*[st.floats(-SKEW_SECONDS, SKEW_SECONDS)] * INSTANCES))
    def begin(self, skews: tuple[float, ...]) -> None:
        self.instances = [self.start(skew) for skew in skews]
        self.upload(0)

    # What happens.

    @rule(name=st.integers(0, len(NAMES) - 1))
    @precondition(lambda self: len(self.events) < 5)
    def upload(self, name: int) -> None:
        generation = len(self.events) + 1
        self.events.append(Event(NAMES[name], generation, self.now()))

    @rule(
        event=st.integers(0, 7), at=st.lists(st.integers(0, INSTANCES - 1), min_size=1, max_size=5)
    )
    def deliver(self, event: int, at: list[int]) -> None:
        for number in at:
            self.post(self.events[event % len(self.events)], self.instances[number])

    @rule(turns=st.integers(1, 12))
    def a_moment(self, turns: int) -> None:
        for _ in range(turns):
            self.run(0)

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 3.0, 12.0, 31.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(seconds)

    @rule(times=st.integers(1, 20), every=st.sampled_from([0.7, 3.0, 5.0, 11.0]))
    def everything_is_delivered_again(self, times: int, every: float) -> None:
        for turn in range(times):
            for event in self.events:
                if not event.acknowledged:
                    self.post(event, self.instances[turn % INSTANCES])
            self.run(every)

    @rule(number=st.integers(0, INSTANCES - 1), skew=st.floats(-SKEW_SECONDS, SKEW_SECONDS))
    def crash(self, number: int, skew: float) -> None:
        self.kill(self.instances[number])
        self.instances[number] = self.start(skew)

    @rule(number=st.integers(0, INSTANCES - 1), skew=st.floats(-SKEW_SECONDS, SKEW_SECONDS))
    def sigterm(self, number: int, skew: float) -> None:
        instance, told_at = self.instances[number], self.world.loop.time()
        instance.pipeline.shut_down()

        def grace_is_over() -> None:
            well = self.world.trouble_at < told_at and instance.link.joined.is_set()
            if well and instance.tasks:
                self.raised.append(AssertionError("not done within the grace time"))
            self.kill(instance)

        self.world.loop.call_later(GRACE_SECONDS, grace_is_over)
        self.instances[number] = self.start(skew)

    @rule(script=st.sampled_from([*SCRIPTS, *REFUSALS]))
    @precondition(lambda self: len(self.world.scripts) < 3)
    def the_model_will(self, script: str) -> None:
        self.world.scripts.append(script)

    @rule(seconds=st.floats(0.1, LONGEST_FREEZE_SECONDS))
    @precondition(lambda self: self.calm())
    def the_store_freezes(self, seconds: float) -> None:
        self.world.trouble_at = self.world.loop.time() + seconds
        self.world.thawed.clear()
        self.world.loop.call_later(seconds, self.thaw)

    @rule(number=st.integers(0, INSTANCES - 1), seconds=st.floats(1.0, 150.0))
    def an_instance_is_cut_off_from_the_store(self, number: int, seconds: float) -> None:
        instance = self.instances[number]
        instance.link.joined.clear()
        for delivery in self.deliveries:
            # Its lease may end while it works: another one takes over, and pays again.
            delivery.cut_off = delivery.cut_off or delivery.instance is instance
        self.world.loop.call_later(seconds, instance.link.joined.set)

    @rule(
        kinds=st.lists(
            st.sampled_from(["refused", "answer lost", "answer lost, tried again"]),
            min_size=1,
            max_size=3,
        )
    )
    @precondition(lambda self: self.calm())
    def the_store_fails(self, kinds: list[str]) -> None:
        self.world.trouble_at = self.world.loop.time()
        self.world.faults = kinds

    @rule(name=st.sampled_from(NAMES))
    @precondition(lambda self: self.calm())
    def a_person_describes(self, name: str) -> None:
        identity = record_id("uploads", name)

        async def edit() -> None:
            fields = {"description": f"{name} by hand", "source": "person"}
            while found := await self.world.store.read(identity):
                try:
                    await self.world.store.update(identity, fields, version=found.version)
                except VersionConflictError:
                    continue
                # What was written before it is judged without it.
                self.judge()
                self.by_hand.add(identity)
                return

        self.world.loop.run_until_complete(edit())

    @rule(name=st.sampled_from(NAMES))
    @precondition(lambda self: self.calm() and len(self.events) > 3 and not self.erased)
    def an_operator_deletes(self, name: str) -> None:
        identity = record_id("uploads", name)
        self.judge()
        self.world.store.discard(identity)
        self.last.pop(identity, None)
        self.by_hand.discard(identity)
        self.erased.add(identity)
        for claimed in [key for key in self.owners if key[0] == identity]:
            del self.owners[claimed]
        # Whoever deletes a record asks for another description, and pays for it.
        for key in [key for key in self.world.begun if key[0] == name]:
            del self.world.begun[key]
        # A worker that was at it may pass the model's door before it notices.
        for delivery in self.deliveries:
            delivery.crashed = delivery.crashed or delivery.event.name == name

    # What must hold.

    @invariant()
    def no_delivery_raises(self) -> None:
        assert not self.raised, self.raised

    @invariant()
    def every_write_is_sound(self) -> None:
        self.judge()

    @invariant()
    def one_line_for_each_answer(self) -> None:
        answered = [d.answer for d in self.deliveries if d.answer]
        assert sorted(a.outcome for a in answered) == sorted(
            line["outcome"] for line in self.output.lines
        )
        for line in self.output.lines:
            assert (line["severity"] == "ERROR") == (line["outcome"] in {"gave_up", "rejected"})

    def judge(self) -> None:
        """Judge the writes since the last time."""
        for identity, fields in self.world.store.writes[self.judged :]:
            self.judge_write(identity, fields)
        self.judged = len(self.world.store.writes)

    def judge_write(self, identity: str, fields: Mapping[str, Any]) -> None:
        if not fields:
            self.judge_deletion(identity)
            return
        status, before = fields["status"], self.last.get(identity)
        generation, attempt = fields["generation"], status["attempt"]
        self.last[identity] = fields
        if fields.get("source") == "person":
            assert fields["description"].endswith("by hand")
        elif "description" in fields:
            assert status["state"] == "COMPLETED"
            begun = self.world.begun.get((fields["name"], generation), [])
            written = [b.model for b in begun if b.text == fields["description"]]
            assert written == [fields["model"]] or identity in self.erased
        assert ("lease" in fields) <= (status["state"] == "PROCESSING")
        assert ("partialText" in fields) <= ("lease" in fields)
        if "lease" in fields:
            # A try that was refused leaves the attempt to the next delivery.
            key = (identity, generation, attempt, status.get("refusals", 0))
            owner = fields["lease"]["owner"]
            assert self.owners.setdefault(key, owner) == owner, "two owners of one attempt"
        if before is None:
            return
        assert generation >= before["generation"], "an older generation wrote"
        if identity in self.by_hand:
            assert fields.get("source") == "person", "a person's text was overwritten"
        if generation == before["generation"]:
            # Giving up counts the attempts that were made, not the one that was still refused.
            undone = status.get("outcome") == "gave_up" and bool(status.get("refusals"))
            assert attempt >= before["status"]["attempt"] - undone, "an older attempt wrote"
            finished = before["status"]["state"] != "PROCESSING"
            # That its event is published is written beside it.
            same = fields["status"] == before["status"]
            by_hand = fields.get("source") == "person"
            assert not finished or same or by_hand, "an outcome was overwritten"

    def judge_deletion(self, identity: str) -> None:
        raise AssertionError(f"{identity} was deleted")

    def teardown(self) -> None:
        try:
            if self.instances:
                self.heal()
                self.deliver_until_quiet()
                self.no_delivery_raises()
                self.judge()
                self.one_line_for_each_answer()
                self.judge_end()
        finally:
            sys.stdout = self.stdout
            self.close()

    def judge_end(self) -> None:
        newest = {event.name: event.generation for event in self.events}
        documents = self.world.store.documents()
        for name, generation in newest.items():
            identity = record_id("uploads", name)
            # A record that was deleted after its events were acknowledged comes back, if at all,
            # by a late duplicate, and nobody delivers that one again.
            if identity in self.erased or documents[identity].get("source") == "person":
                continue
            fields = documents[identity]
            assert fields["generation"] == generation
            assert fields["status"]["state"] in {"COMPLETED", "ERRORED"}
            assert "lease" not in fields
            if self.world.trouble_at < 0:
                # With a store that was always well, each try that was refused is known as such.
                key = (name, generation)
                died = sum(
                    d.crashed or d.cut_off
                    for d in self.deliveries
                    if (d.event.name, d.event.generation) == key
                )
                tries = self.world.asked[key] + died
                assert fields["status"]["attempt"] <= max(1, tries), "a refusal was counted"
            if fields["status"]["outcome"] == "gave_up":
                assert fields["status"]["attempt"] == SETTINGS.max_attempts
                assert "last cause: " in fields["status"]["message"]
        assert set(documents) <= {record_id("uploads", name) for name in newest}

    # How it is done.

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.world.loop.time())

    def calm(self) -> bool:
        quiet = self.world.loop.time() - self.world.trouble_at
        return quiet > SETTINGS.lease_seconds and not self.world.faults

    def start(self, skew: float) -> Instance:
        def alive() -> bool:
            return instance.alive

        link = Link(self.world, alive)
        pipeline = Pipeline(
            self.settings,
            link,
            self.model(self.world, alive),
            Images(self.settings, self.world.bucket),
            self.world.publisher,
            now=lambda: self.now() + timedelta(seconds=skew),
        )
        instance = Instance(pipeline, link)
        return instance

    def kill(self, instance: Instance) -> None:
        """End a process: nothing of it reaches the outside any more."""
        instance.alive = False
        for delivery in self.deliveries:
            if delivery.instance is instance and delivery.answer is None:
                delivery.crashed = True
        for task in instance.tasks:
            task.cancel()

    def post(self, event: Event, instance: Instance) -> None:
        delivery = Delivery(event, instance, cut_off=not instance.link.joined.is_set())
        self.deliveries.append(delivery)
        context = contextvars.copy_context()
        context.run(current.set, delivery)
        task = self.world.loop.create_task(self.arrive(delivery), context=context)
        instance.tasks.add(task)
        task.add_done_callback(instance.tasks.discard)

    async def arrive(self, delivery: Delivery) -> None:
        event = delivery.event
        attributes = {
            "type": event.type,
            "id": f"{event.name}-{event.generation}",
            "time": event.time.isoformat(),
        }
        payload = {
            "bucket": "uploads",
            "name": event.name,
            "generation": str(event.generation),
            "contentType": "image/jpeg",
            "size": "1000",
        }
        try:
            delivery.answer = await delivery.instance.pipeline.deliver(attributes, payload)
        except Exception as exc:  # noqa: BLE001 - the invariants judge it
            if not delivery.crashed:
                self.raised.append(exc)
            return
        event.acknowledged = event.acknowledged or delivery.answer.status == 200
        if delivery.answer.status != 200 and self.calm() and not delivery.cut_off:
            self.judge_release(event)

    def judge_release(self, event: Event) -> None:
        """Nobody is at work on it any more, so nobody may hold it."""
        at_work = any(
            d.event.name == event.name and (d.answer is None or d.crashed or d.cut_off)
            for d in self.deliveries
        )
        fields = self.world.store.documents().get(record_id("uploads", event.name), {})
        if not at_work and "lease" in fields:
            self.raised.append(AssertionError(f"a lease that nobody holds: {fields}"))

    def run(self, seconds: float) -> None:
        self.world.loop.run_until_complete(asyncio.sleep(seconds))

    def thaw(self) -> None:
        async def land(write: Callable[[], Awaitable[object]]) -> None:
            try:
                await write()
            except (RecordExistsError, VersionConflictError):
                return
            self.world.landed_late = True

        self.world.thawed.set()
        for write in self.world.late:
            task = self.world.loop.create_task(land(write))
            self.landing.add(task)
            task.add_done_callback(self.landing.discard)
        self.world.late.clear()

    def heal(self) -> None:
        self.world.faults.clear()
        self.world.scripts.clear()
        self.thaw()
        for instance in self.instances:
            instance.link.joined.set()

    def deliver_until_quiet(self) -> None:
        for _ in range(30):
            self.run(SETTINGS.lease_seconds + 1)
            waiting = [event for event in self.events if not event.acknowledged]
            if not waiting and not any(instance.tasks for instance in self.instances):
                return
            for event in waiting:
                self.post(event, self.instances[0])
        raise AssertionError("deliveries never become quiet")

    def close(self) -> None:
        loop = self.world.loop
        while left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=30))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.mark.filterwarnings("error")
def test_any_history_ends_as_one_honest_record() -> None:
    """Nothing lost, nothing paid twice, whatever happens in whatever order."""
    run_state_machine_as_test(
        PipelineMachine,
        settings=limits(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_request_that_is_cancelled_on_its_way_counts() -> None:
    """Found by chance: nobody can tell whether the model had begun when SIGTERM came."""
    machine = PipelineMachine()
    machine.begin((0.0,) * INSTANCES)
    machine.deliver(event=0, at=[0])
    machine.a_moment(turns=1)
    machine.sigterm(number=0, skew=0.0)
    machine.teardown()
