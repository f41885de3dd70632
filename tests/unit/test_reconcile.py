"""What was lost on the way is found: each of it, and nothing else, in bounded time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from describer.delivery import reconcile
from describer.delivery.event import FINALIZED
from describer.delivery.pipeline import Answer, Pipeline
from describer.delivery.reconcile import REQUESTED
from describer.errors import BucketError, ModelBusyError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.publishing.memory import MemoryPublisher
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import Snapshot
from describer.settings import Settings
from describer.values import Upload
from tests import virtual
from tests.pictures import JPEG

HOUR = 3600.0


class Bench:
    """One instance, a bucket `uploads`, and a clock that can be turned on."""

    def __init__(self, *scripts: Script, store: MemoryStore | None = None, **settings: Any) -> None:
        self.settings = Settings(**{"buckets": ("uploads",), **settings})
        self.model = ScriptedModel(list(scripts or [text_script("A cat.")] * 400))
        self.store = store or MemoryStore(virtual.now)
        self.objects: dict[str, bytes] = {}
        self.bucket = MemoryBucket(self.objects)
        self.topic = MemoryPublisher()
        images = Images(self.settings, self.bucket)
        self.pipeline = Pipeline(
            self.settings, self.store, self.model, images, self.topic, now=virtual.now
        )

    def put(self, name: str, generation: int = 1, bucket: str = "uploads", **more: str) -> None:
        """Upload without telling anybody."""
        self.bucket.resources = [
            r for r in self.bucket.resources if (r["bucket"], r["name"]) != (bucket, name)
        ]
        self.bucket.generations[name] = generation
        self.objects[name] = JPEG
        resource = {"bucket": bucket, "name": name, "generation": str(generation), "size": "9"}
        made = {"timeCreated": virtual.now().isoformat(), "contentType": "image/jpeg"}
        self.bucket.resources.append({**resource, **made, **more})

    async def tell(self, name: str) -> Answer:
        """Deliver the event of an object."""
        (resource,) = (r for r in self.bucket.resources if r["name"] == name)
        attributes = {"type": FINALIZED, "id": "1", "time": virtual.now().isoformat()}
        return await self.pipeline.deliver(attributes, resource)

    async def reconcile(self, data: object = None) -> Answer:
        """Run once."""
        return await self.pipeline.deliver({"type": REQUESTED, "id": "r"}, data)

    def outcomes(self) -> dict[str, str]:
        """Give what the records say, by name."""
        documents = self.store.documents().values()
        return {d["name"]: d["status"].get("outcome", "") for d in documents}


def bench(scenario: Callable[[Bench], Awaitable[None]], *scripts: Script, **settings: Any) -> Bench:
    """Run a scenario in virtual time."""

    async def work() -> Bench:
        made = Bench(*scripts, **settings)
        await scenario(made)
        return made

    return virtual.run(work())


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return line


def test_each_loss_is_found_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """By why; mended by the same claim as any upload; the second run finds nothing."""

    async def scenario(b: Bench) -> None:
        b.put("ancient.jpg")
        await asyncio.sleep(80 * HOUR)
        for name in ("done.jpg", "old.jpg", "hand.jpg"):
            b.put(name)
            assert (await b.tell(name)).outcome == "described"
        found = await b.store.read(record_id("uploads", "hand.jpg"))
        assert found is not None
        by_hand = {"description": "Tom.", "source": "person"}
        await b.store.update(record_id("uploads", "hand.jpg"), by_hand, version=found.version)
        b.put("hand.jpg", 2)
        b.put("old.jpg", 2)
        b.put("lost.jpg")
        b.put("notes.txt", contentType="text/plain")
        b.put("folder/")
        b.put("other.jpg", bucket="others")
        b.put("stuck.jpg")
        fields = {"name": "stuck.jpg", "generation": 1, "status": {"state": "PROCESSING"}}
        await b.store.create(record_id("uploads", "stuck.jpg"), fields)
        await asyncio.sleep(2 * HOUR)
        b.put("young.jpg")
        begun = len(b.model.begun)
        assert (await b.reconcile()).outcome == "lost"
        assert len(b.model.begun) == begun + 3
        line = last_line(capsys)
        assert line["lost"] == {"no record": 1, "overwritten since": 1, "not finished": 1}
        assert line["delivered"] == {"described": 3}
        assert (line["severity"], line["found"], line["complete"]) == ("WARNING", 3, True)
        assert (await b.reconcile()).outcome == "reconciled"
        line = last_line(capsys)
        assert (line["severity"], line["found"], line["looked"]) == ("INFO", 0, 9)

    b = bench(scenario)
    assert b.outcomes() == dict.fromkeys(
        ("done.jpg", "old.jpg", "hand.jpg", "lost.jpg", "stuck.jpg"), "described"
    )


def test_what_is_still_being_tried_is_no_loss() -> None:
    """A model that refuses for hours is tried by the event's own deliveries."""
    refused = Script(refusal=ModelBusyError("429", retry_after_seconds=99))

    async def scenario(b: Bench) -> None:
        b.put("a.jpg")
        for _ in range(5):
            await asyncio.sleep(600)
            assert (await b.tell("a.jpg")).status == 503
            assert (await b.reconcile()).outcome == "reconciled"
        await asyncio.sleep(2 * HOUR)
        assert (await b.reconcile()).outcome == "lost"

    bench(scenario, *[refused] * 20)


def test_what_fails_again_is_found_again() -> None:
    """The run itself is well; the next one tries again."""
    refused = Script(refusal=ModelBusyError("429", retry_after_seconds=99))

    async def scenario(b: Bench) -> None:
        b.put("a.jpg")
        await asyncio.sleep(2 * HOUR)
        assert (await b.reconcile()).status == 200
        assert b.outcomes() == {"a.jpg": ""}
        await asyncio.sleep(2 * HOUR)
        assert (await b.reconcile()).outcome == "lost"
        assert b.outcomes() == {"a.jpg": "described"}

    bench(scenario, refused, text_script("A cat."))


def test_a_run_that_has_no_time_left_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, through all buckets; nothing is left out, and nothing is listed twice."""
    monkeypatch.setattr(reconcile, "_PAGE", 10)
    monkeypatch.setattr(reconcile, "_RECORDS_AT_ONCE", 4)
    monkeypatch.setattr(reconcile, "_LOOKING_SECONDS", 1.5)

    class Slow(MemoryStore):
        async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
            await asyncio.sleep(0.7)
            return await super().read_many(record_ids)

    async def scenario(b: Bench) -> None:
        for number in range(30):
            b.put(f"{number:02}.jpg", bucket="others" if number % 3 else "uploads")
        await asyncio.sleep(2 * HOUR)
        answers = [(await b.reconcile()).outcome for _ in range(20)]
        assert answers[:5] == ["lost"] * 5
        assert set(answers[5:]) == {"reconciled"}

    b = bench(scenario, buckets=("uploads", "others"), store=Slow(virtual.now))
    assert b.outcomes() == dict.fromkeys((f"{number:02}.jpg" for number in range(30)), "described")
    assert len(b.model.begun) == 30


def test_ten_are_delivered_at_once_and_none_after_a_minute() -> None:
    """So that a run ends within the function's time; the next one does the rest."""
    at_once = most = 0

    class Counting(ScriptedModel):
        def stream(self, *args: Any) -> Any:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            asyncio.get_running_loop().call_later(4, ended)
            return super().stream(*args)

    def ended() -> None:
        nonlocal at_once
        at_once -= 1

    async def scenario(b: Bench) -> None:
        for number in range(300):
            b.put(f"{number:03}.jpg")
        await asyncio.sleep(2 * HOUR)
        b.pipeline._model = Counting([Script([4.0, *text_script("A cat.").steps])] * 300)
        began = virtual.now()
        await b.reconcile()
        assert 60 < (virtual.now() - began).total_seconds() < 70
        assert most == 10
        described = len(b.outcomes())
        assert 140 <= described <= 160
        await b.reconcile()
        assert len(b.outcomes()) > described + 130

    bench(scenario)


def test_what_was_told_to_nobody_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    """Found by its mark, also where its object is gone; not what may be told yet.

    As long as nothing can be published, each run says so.
    """

    async def scenario(b: Bench) -> None:
        b.put("a.jpg")
        b.topic.failing = True
        assert (await b.tell("a.jpg")).outcome == "unpublished"
        assert (await b.reconcile()).outcome == "reconciled"
        await asyncio.sleep(2 * HOUR)
        b.bucket.resources.clear()
        assert await b.reconcile() == Answer(200, "lost", "1 found that was lost on the way")
        line = last_line(capsys)
        assert line["lost"] == {"event not published": 1}
        assert line["delivered"] == {"unpublished": 1}
        b.topic.failing = False
        assert (await b.reconcile()).outcome == "lost"
        assert (await b.reconcile()).outcome == "reconciled"

    b = bench(scenario, events_topic="events")
    assert len(b.topic.messages) == 1


def test_what_another_deployment_has_not_told_is_left_to_it() -> None:
    """They may share a collection, but have topics of their own."""

    async def scenario(b: Bench) -> None:
        b.put("a.jpg", bucket="others")
        b.topic.failing = True
        b.pipeline._settings = replace(b.settings, buckets=())
        assert (await b.tell("a.jpg")).outcome == "unpublished"
        b.pipeline._settings = b.settings
        b.topic.failing = False
        await asyncio.sleep(2 * HOUR)
        assert (await b.reconcile()).outcome == "reconciled"

    b = bench(scenario, events_topic="events")
    assert b.topic.messages == []


def test_a_claim_that_nobody_looks_after_goes_with_its_object() -> None:
    """With DELETE_RECORDS; where the object stands, it is described."""

    async def scenario(b: Bench) -> None:
        status = {"state": "PROCESSING", "updateTime": virtual.now()}
        for name in ("gone.jpg", "there.jpg"):
            fields = {"bucket": "uploads", "name": name, "generation": 1, "status": status}
            await b.store.create(record_id("uploads", name), fields)
        b.put("there.jpg")
        assert (await b.reconcile()).outcome == "reconciled"
        await asyncio.sleep(2 * HOUR)
        assert (await b.reconcile()).outcome == "lost"

    b = bench(scenario, delete_records=True)
    assert b.outcomes() == {"there.jpg": "described"}


@pytest.mark.parametrize("silent", ["b-1", "b-2"])
def test_a_bucket_that_does_not_answer_keeps_nobody_from_the_other(
    silent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """503; what was found is done, and told, since no run finds it again."""
    (well,) = {"b-1", "b-2"} - {silent}

    class Half(MemoryBucket):
        async def list_objects(
            self, bucket: str, *, start: str, limit: int
        ) -> Sequence[Mapping[str, Any]]:
            if bucket == silent:
                raise BucketError("no answer")
            return await super().list_objects(bucket, start=start, limit=limit)

    async def scenario(b: Bench) -> None:
        half = Half(b.objects)
        b.bucket = half
        b.pipeline._images = Images(b.settings, half)
        b.put("a.jpg", bucket=well)
        await asyncio.sleep(2 * HOUR)
        answer = await b.reconcile()
        assert (answer.status, answer.outcome) == (503, "lost")
        line = last_line(capsys)
        assert (line["severity"], line["lost"]) == ("WARNING", {"no record": 1})
        assert line["cause"] == "1 found that was lost on the way; no answer"
        assert not line["complete"]
        assert b.outcomes() == {"a.jpg": "described"}
        answer = await b.reconcile()
        assert (answer.status, answer.outcome) == (503, "retry")

    bench(scenario, buckets=("b-1", "b-2"))


def test_a_claim_that_cannot_be_looked_after_holds_up_nothing() -> None:
    """Its bucket is not described any more, and may not be read, or hardly answers."""

    class Refusing(MemoryBucket):
        async def live_generation(self, upload: Upload) -> int | None:
            if upload.bucket == "former":
                await asyncio.sleep(8)
                raise BucketError("403")
            return await super().live_generation(upload)

    async def scenario(b: Bench) -> None:
        refusing = Refusing(b.objects)
        b.bucket = refusing
        b.pipeline._images = Images(b.settings, refusing)
        status = {"state": "PROCESSING", "updateTime": virtual.now()}
        for number in range(100):
            fields = {"bucket": "former", "name": f"{number}", "generation": 1, "status": status}
            await b.store.create(record_id("former", f"{number}"), fields)
        b.put("lost.jpg")
        await asyncio.sleep(2 * HOUR)
        began = virtual.now()
        assert (await b.reconcile()).outcome == "lost"
        assert (virtual.now() - began).total_seconds() < 60
        assert b.outcomes()["lost.jpg"] == "described"

    bench(scenario, delete_records=True)


def test_a_shutdown_ends_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the grace time, its line included; the next run finds what this one left."""

    async def scenario(b: Bench) -> None:
        for number in range(100):
            b.put(f"{number:03}.jpg")
        await asyncio.sleep(2 * HOUR)
        run = asyncio.create_task(b.reconcile())
        await asyncio.sleep(6)
        began = virtual.now()
        await b.pipeline.close()
        assert (virtual.now() - began).total_seconds() < 9
        answer = await run
        assert (answer.status, answer.outcome) == (503, "lost")
        line = last_line(capsys)
        assert (line["outcome"], line["complete"]) == ("lost", False)
        done = [name for name, outcome in b.outcomes().items() if outcome]
        assert len(done) == 10
        b.model = ScriptedModel([text_script("A cat.")] * 100)
        images = Images(b.settings, b.bucket)
        b.pipeline = Pipeline(b.settings, b.store, b.model, images, now=virtual.now)
        await asyncio.sleep(2 * HOUR)
        await b.reconcile()
        assert set(b.outcomes().values()) == {"described"}
        assert len(b.outcomes()) == 100

    slow = Script([4.0, *text_script("A cat.").steps])
    bench(scenario, *[slow] * 100)


def test_the_window_is_what_is_asked_for() -> None:
    """Days and minutes; three days and an hour if nothing is said."""

    async def scenario(b: Bench) -> None:
        b.put("a.jpg")
        await asyncio.sleep(10 * 60)
        assert (await b.reconcile({"minutes": 20})).outcome == "reconciled"
        await asyncio.sleep(timedelta(days=2).total_seconds())
        assert (await b.reconcile({"days": 1})).outcome == "reconciled"
        assert (await b.reconcile({"days": 2.5})).outcome == "lost"

    bench(scenario)


@pytest.mark.parametrize(
    "data",
    [{"days": -1}, {"days": "3"}, {"minutes": True}, {"minutes": float("nan")}, {"days": 366}],
)
def test_a_window_that_is_none_is_malformed(data: dict[str, Any]) -> None:
    """And nothing is looked at."""

    async def scenario(b: Bench) -> None:
        assert (await b.reconcile(data)).status == 400

    bench(scenario)
