"""A write lands, its answer is lost, somebody else writes, and only then the client tries again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from describer.delivery.claim import Claim, NothingToDo, claim
from describer.delivery.event import FINALIZED, read_upload
from describer.delivery.pipeline import Pipeline
from describer.delivery.progress import Progress
from describer.errors import EmptyDescriptionError, LeaseHeldError, LeaseLostError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.description import Accumulator, Description
from describer.model.scripted import Script, ScriptedModel
from describer.model.stream import Chunk
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import CALL_SECONDS, Fields, Version
from describer.settings import Settings
from tests import virtual
from tests.pictures import JPEG

ATTRIBUTES = {"id": "1", "type": FINALIZED, "time": virtual.EPOCH.isoformat()}
PAYLOAD = {"bucket": "b-b", "name": "a.jpg", "generation": "7", "contentType": "image/jpeg"}
UPLOAD = read_upload(ATTRIBUTES, PAYLOAD)
NEWER = read_upload(ATTRIBUTES, {**PAYLOAD, "generation": "8"})
IDENTITY = record_id(UPLOAD.bucket, UPLOAD.name)
SETTINGS = Settings(image_input="uri")


class Losing(MemoryStore):
    """Loses the answers of some writes.

    Attributes:
        meanwhile: if set, what happens between the next write's landing and the client's retry.
    """

    def __init__(self) -> None:
        super().__init__(virtual.now)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Create, and perhaps lose the answer."""
        create = super().create
        return await self._told(lambda: create(record_id, fields))

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """Update, and perhaps lose the answer."""
        update = super().update
        return await self._told(lambda: update(record_id, fields, version=version))

    async def _told(self, write: Callable[[], Awaitable[Version]]) -> Version:
        version = await write()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is None:
            return version
        await meanwhile()
        return await write()

    async def person(self) -> None:
        """Describe by hand, as an editor's program would."""
        await self.edit({"description": "By hand.", "source": "person"})

    async def note(self) -> None:
        """Add a field of one's own."""
        await self.edit({"note": "mine"})

    async def edit(self, fields: Fields) -> None:
        """Write whatever version stands there."""
        found = await self.read(IDENTITY)
        assert found is not None
        await self.update(IDENTITY, fields, version=found.version)

    async def erase(self) -> None:
        """Delete the record."""
        self.discard(IDENTITY)

    async def newer(self) -> None:
        """Let a newer generation take the record over."""
        found = await claim(self, NEWER, owner="newer", settings=SETTINGS, now=virtual.now)
        assert isinstance(found, Claim)

    async def takeover(self) -> None:
        """Let another delivery find the lease expired."""
        await asyncio.sleep(SETTINGS.lease_seconds + 1)
        found = await claim(self, UPLOAD, owner="other", settings=SETTINGS, now=virtual.now)
        assert isinstance(found, Claim | NothingToDo)

    @property
    def record(self) -> dict[str, Any]:
        """The record; empty if there is none."""
        return self.documents().get(IDENTITY, {})


async def take(store: Losing, owner: str = "me") -> Claim | NothingToDo:
    return await claim(store, UPLOAD, owner=owner, settings=SETTINGS, now=virtual.now)


WRITES: dict[str, Callable[[Claim], Awaitable[None]]] = {
    "partial": lambda c: c.partial("A cat"),
    "renew": lambda c: c.renew(),
    "release": lambda c: c.release("503"),
    "complete": lambda c: c.complete(Description("A cat.", "stop", None)),
    "fail": lambda c: c.fail(EmptyDescriptionError("nothing")),
}


@pytest.mark.parametrize("way", ["create", "update"])
def test_a_claim_sees_a_persons_text_that_came_before_its_retry(way: str) -> None:
    """And leaves the record finished, with that text."""

    async def work() -> Losing:
        store = Losing()
        if way == "update":
            first = await take(store, "first")
            assert isinstance(first, Claim)
            await first.release("503")
        store.meanwhile = store.person
        assert await take(store) == NothingToDo("by_person")
        return store

    record = virtual.run(work()).record
    assert (record["description"], record["source"]) == ("By hand.", "person")
    assert record["status"]["state"] == "COMPLETED"
    assert "lease" not in record


@pytest.mark.parametrize(
    ("meanwhile", "outcome"),
    [("note", "mine"), ("erase", "mine"), ("newer", "superseded"), ("takeover", "held")],
)
@pytest.mark.parametrize("way", ["create", "update"])
def test_a_claim_is_ours_only_if_it_still_stands(way: str, meanwhile: str, outcome: str) -> None:
    """Whatever came between it and its retry."""

    async def work() -> None:
        store = Losing()
        if way == "update":
            first = await take(store, "first")
            assert isinstance(first, Claim)
            await first.release("503")
        store.meanwhile = getattr(store, meanwhile)
        try:
            found = await take(store)
        except LeaseHeldError:
            assert outcome == "held"
            assert store.record["lease"]["owner"] == "other"
            return
        if isinstance(found, NothingToDo):
            assert (found.outcome, store.record["generation"]) == (outcome, 8)
            return
        assert outcome == "mine"
        await found.complete(Description("A cat.", "stop", None))
        assert store.record["description"] == "A cat."
        assert store.record.get("note") == ("mine" if meanwhile == "note" else None)

    virtual.run(work())


@pytest.mark.parametrize("then", WRITES)
@pytest.mark.parametrize("first", WRITES)
def test_no_write_ever_overwrites_a_person(first: str, then: str) -> None:
    """Neither the one whose answer was lost, nor the next one of the same claim."""

    async def work() -> Losing:
        store = Losing()
        mine = await take(store)
        assert isinstance(mine, Claim)
        store.meanwhile = store.person
        for write in (first, then):
            with contextlib.suppress(LeaseLostError):
                await WRITES[write](mine)
        return store

    record = virtual.run(work()).record
    assert (record["description"], record["source"]) == ("By hand.", "person")
    assert "lease" not in record
    assert "partialText" not in record


@pytest.mark.parametrize("meanwhile", ["erase", "newer", "takeover"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_after_the_record_was_lost_changes_nothing(write: str, meanwhile: str) -> None:
    """It had landed, and what came after it stands."""

    async def work() -> None:
        store = Losing()
        mine = await take(store)
        assert isinstance(mine, Claim)
        store.meanwhile = getattr(store, meanwhile)
        with contextlib.suppress(LeaseLostError):
            await WRITES[write](mine)
        after = store.record
        with contextlib.suppress(LeaseLostError):
            await WRITES["complete"](mine)
        assert store.record == after

    virtual.run(work())


def test_a_person_seen_by_the_last_partial_write_is_seen_by_the_outcome() -> None:
    """The partial write ends after the stream, when nobody waits for what it has to tell."""

    async def work() -> Losing:
        store = Losing()
        mine = await take(store)
        assert isinstance(mine, Claim)
        progress = Progress(mine, flush_seconds=1.0, lease_seconds=60.0)
        gathered = Accumulator()

        async def slow_person() -> None:
            await asyncio.sleep(0.5)
            await store.person()

        async def stream() -> None:
            gathered.add(Chunk("A cat"))
            progress.show(gathered)
            store.meanwhile = slow_person
            await asyncio.sleep(1.2)

        await progress.during(stream())
        with pytest.raises(LeaseLostError):
            await mine.complete(Description("A cat.", "stop", None))
        return store

    record = virtual.run(work()).record
    assert (record["description"], record["source"]) == ("By hand.", "person")


def test_the_whole_delivery_leaves_a_person_alone() -> None:
    """From event to answer, with the person between any write and its retry."""

    async def deliver(at: int) -> tuple[int, Losing]:
        store = Losing()
        writes = 0
        told = store._told

        async def counted(write: Callable[[], Awaitable[Version]]) -> Version:
            nonlocal writes
            writes += 1
            if writes == at:
                store.meanwhile = store.person
            return await told(write)

        store._told = counted  # type: ignore[method-assign]
        steps: list[Any] = []
        for _ in range(5):
            steps += [1.0, Chunk("words ")]
        model = ScriptedModel([Script([*steps, Chunk("", "stop")])])
        pipeline = Pipeline(
            SETTINGS, store, model, Images(SETTINGS, MemoryBucket({"a.jpg": JPEG})), now=virtual.now
        )
        answer = await pipeline.deliver(ATTRIBUTES, PAYLOAD)
        return answer.status, store

    for at in range(1, 7):
        status, store = virtual.run(deliver(at))
        assert status == 200
        assert store.record["description"] == "By hand."
        assert store.record["status"]["state"] == "COMPLETED"
