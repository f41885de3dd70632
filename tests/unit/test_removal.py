"""The record goes with its object, whatever comes first, late or twice."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from describer.delivery.event import FINALIZED, REMOVALS
from describer.delivery.pipeline import Answer, Pipeline
from describer.errors import BucketError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import Version
from describer.settings import Settings
from describer.values import Upload
from tests import virtual
from tests.pictures import JPEG

IDENTITY = record_id("uploads", "a.jpg")
DELETED, ARCHIVED = (
    "google.cloud.storage.object.v1.deleted",
    "google.cloud.storage.object.v1.archived",
)


@dataclass
class Bench:
    """One instance with DELETE_RECORDS, and a bucket in which generation 1 of a.jpg stands."""

    settings: Settings = field(default_factory=lambda: Settings(delete_records=True))
    model: ScriptedModel = field(default_factory=lambda: ScriptedModel([text_script("A cat.")]))
    store: MemoryStore = field(default_factory=lambda: MemoryStore(virtual.now))
    bucket: MemoryBucket = field(default_factory=lambda: MemoryBucket({"a.jpg": JPEG}))

    def __post_init__(self) -> None:
        self.bucket.generations["a.jpg"] = 1
        images = Images(self.settings, self.bucket)
        self.pipeline = Pipeline(self.settings, self.store, self.model, images, now=virtual.now)

    async def deliver(
        self, event_type: str = FINALIZED, generation: int = 1, **changes: Any
    ) -> Answer:
        """Deliver one event."""
        time = changes.pop("time", virtual.now())
        payload = {
            "bucket": "uploads",
            "name": "a.jpg",
            "generation": str(generation),
            "contentType": "image/jpeg",
            "size": "9",
            **changes,
        }
        attributes = {"type": event_type, "id": "1", "time": time.isoformat()}
        return await self.pipeline.deliver(attributes, payload)

    @property
    def record(self) -> dict[str, Any] | None:
        """The record, if there is one."""
        return self.store.documents().get(IDENTITY)

    async def by_hand(self) -> None:
        """Have a person write the description."""
        found = await self.store.read(IDENTITY)
        assert found is not None
        fields = {"description": "My cat Tom.", "source": "person"}
        await self.store.update(IDENTITY, fields, version=found.version)


def bench(scenario: Callable[[Bench], Awaitable[None]], **values: Any) -> Bench:
    """Run a scenario in virtual time."""

    async def work() -> Bench:
        made = Bench(**values)
        await scenario(made)
        return made

    return virtual.run(work())


@pytest.mark.parametrize("event_type", sorted(REMOVALS))
def test_the_record_goes_with_the_object(event_type: str) -> None:
    """By the event of a bucket without versions, and of one with them; a second one finds none."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"
        del b.bucket.generations["a.jpg"]
        assert await b.deliver(event_type) == Answer(200, "deleted")
        assert b.record is None
        assert await b.deliver(event_type) == Answer(200, "skipped", "no record")

    bench(scenario)


@pytest.mark.parametrize("live", [1, 2])
def test_an_object_that_stands_keeps_its_record(live: int) -> None:
    """An overwrite tells of the generation before, and so does the end of an old version."""

    async def scenario(b: Bench) -> None:
        await b.deliver()
        b.bucket.generations["a.jpg"] = live
        assert await b.deliver(DELETED) == Answer(200, "superseded")
        assert b.record is not None

    bench(scenario)


def test_a_late_event_of_a_deletion_leaves_the_next_upload_alone() -> None:
    """Also where that one is gone as well: its own event tells so."""

    async def scenario(b: Bench) -> None:
        b.bucket.generations["a.jpg"] = 2
        assert (await b.deliver(generation=2)).outcome == "described"
        del b.bucket.generations["a.jpg"]
        assert await b.deliver(DELETED, 1) == Answer(200, "superseded")
        assert b.record is not None
        assert await b.deliver(DELETED, 2) == Answer(200, "deleted")

    bench(scenario)


def test_a_persons_text_stays() -> None:
    """Nobody else has it."""

    async def scenario(b: Bench) -> None:
        await b.deliver()
        await b.by_hand()
        del b.bucket.generations["a.jpg"]
        assert await b.deliver(DELETED) == Answer(200, "by_person")
        assert b.record is not None

    bench(scenario)


def test_without_the_setting_the_record_stays() -> None:
    """And nothing is asked of the bucket."""

    async def scenario(b: Bench) -> None:
        await b.deliver()
        del b.bucket.generations["a.jpg"]
        assert (await b.deliver(DELETED)).outcome == "skipped"
        assert (await b.deliver()).outcome == "duplicate"
        assert b.record is not None

    bench(scenario, settings=Settings())


def test_filters_keep_no_record_that_is_there() -> None:
    """They may be newer than it; another bucket's events are not ours."""
    settings = Settings(delete_records=True, buckets=("uploads",))

    async def scenario(b: Bench) -> None:
        await b.deliver()
        del b.bucket.generations["a.jpg"]
        assert (await b.deliver(DELETED, bucket="other")).outcome == "skipped"
        assert (await b.deliver(DELETED, contentType="text/plain", size="0")).outcome == "deleted"

    bench(scenario, settings=settings)


def test_a_deletion_without_a_generation_is_malformed() -> None:
    """As an upload without one is."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(DELETED, generation=0)).status == 400

    bench(scenario)


@pytest.mark.parametrize("changes", [{}, {"contentType": "image/x-nikon-nef"}, {"size": "9" * 9}])
def test_an_upload_that_is_told_of_after_its_deletion_leaves_no_record(
    changes: dict[str, Any],
) -> None:
    """However it ends; the deletion's event came first, and does not come again."""

    async def scenario(b: Bench) -> None:
        del b.bucket.generations["a.jpg"]
        assert (await b.deliver(DELETED)).outcome == "skipped"
        assert (await b.deliver(**changes)).outcome == "gone"
        assert b.record is None

    bench(scenario)


def test_a_deletion_ends_the_work_under_way() -> None:
    """The delivery notices by its next write, asks no more of the model, and writes nothing."""
    model = ScriptedModel([Script([Chunk("A "), 100.0, Chunk("cat.", "stop")])])
    settings = Settings(delete_records=True, chunk_timeout_seconds=200, lease_seconds=300)

    async def scenario(b: Bench) -> None:
        work = asyncio.create_task(b.deliver())
        await asyncio.sleep(10)
        del b.bucket.generations["a.jpg"]
        assert await b.deliver(DELETED) == Answer(200, "deleted")
        assert (await work).outcome == "gone"
        assert b.record is None

    bench(scenario, model=model, settings=settings)


def test_a_record_that_an_operator_deletes_is_made_anew() -> None:
    """Its object stands, so the delivery that was at it comes again."""
    model = ScriptedModel(
        [Script([Chunk("A "), 9.0, Chunk("cat.", "stop")]), text_script("A cat.")]
    )

    async def scenario(b: Bench) -> None:
        work = asyncio.create_task(b.deliver())
        await asyncio.sleep(5)
        b.store.discard(IDENTITY)
        assert await work == Answer(
            503, "lease_lost", "the record was deleted while it was written"
        )
        assert (await b.deliver()).outcome == "described"

    bench(scenario, model=model)


def test_a_bucket_that_does_not_answer_comes_again() -> None:
    """For the deletion, and for the upload, whose text stands already and is not paid twice."""

    class Silent(MemoryBucket):
        async def live_generation(self, upload: Upload) -> int | None:
            raise BucketError("no answer")

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        assert (await b.deliver()).status == 503
        assert (await b.deliver(DELETED)).status == 503
        assert b.record is not None
        assert len(b.model.begun) == 1

    bench(scenario, bucket=Silent({"a.jpg": JPEG}))


def test_an_upload_between_the_look_and_the_delete_is_kept() -> None:
    """The delete names the version that it has looked at."""

    class Raced(MemoryStore):
        async def delete(self, record_id: str, *, version: Version) -> None:
            if newer:
                b.bucket.generations["a.jpg"] = 2
                assert (await b.deliver(generation=newer.pop())).outcome == "described"
            await super().delete(record_id, version=version)

    newer = [2]
    b: Bench

    async def work() -> None:
        nonlocal b
        b = Bench(store=Raced(virtual.now))
        await b.deliver()
        del b.bucket.generations["a.jpg"]
        assert await b.deliver(DELETED) == Answer(200, "superseded")
        assert b.record is not None
        assert b.record["generation"] == 2

    virtual.run(work())


def test_a_late_copy_of_an_old_event_costs_nothing() -> None:
    """Of a deleted generation nobody remembers that it was paid for; the bucket is asked first."""

    async def scenario(b: Bench) -> None:
        old = virtual.now()
        await b.deliver()
        del b.bucket.generations["a.jpg"]
        assert (await b.deliver(DELETED)).outcome == "deleted"
        b.bucket.generations["a.jpg"] = 2
        await asyncio.sleep(11)
        assert (await b.deliver(time=old)).outcome == "gone"
        assert b.record is not None
        assert b.record["status"]["outcome"] == "gone"
        assert len(b.model.begun) == 1
        assert (await b.deliver(generation=2)).outcome == "described"

    bench(scenario)
