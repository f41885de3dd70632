"""Others are told of each end of a record, at least once, and by the same id each time."""

import asyncio
import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator, ValidationError

from describer.delivery.pipeline import Answer, Pipeline
from describer.errors import ModelRejectedError, PublishError, StoreError, StreamBrokenError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.outputs import OUTPUT_FIELDS
from describer.model.scripted import Script, ScriptedModel
from describer.model.stream import Chunk
from describer.model.token import AccessToken
from describer.model.transport import HttpClient
from describer.publishing import pubsub
from describer.publishing.memory import MemoryPublisher
from describer.publishing.message import Message, of_finished
from describer.publishing.pubsub import PubSub
from describer.records.memory import MemoryStore
from describer.records.record import PUBLIC_FIELDS, record_id
from describer.records.store import CALL_SECONDS, Fields, Version
from describer.settings import Settings
from describer.values import Usage
from tests import virtual
from tests.events_out import SCHEMA, event_of, service
from tests.pictures import JPEG

IDENTITY = record_id("b12", "a.jpg")
SOURCE = "//firestore.googleapis.com/projects/p/databases/(default)/documents/descriptions"
WHOLE = Script([Chunk("A cat.", "stop", Usage(1, 2, 3))])


class Bench:
    """One instance with a topic."""

    def __init__(self, *scripts: Script, store: MemoryStore | None = None, **settings: Any) -> None:
        self.settings = Settings(**{"events_topic": "events", **settings})
        self.model = ScriptedModel(list(scripts or (WHOLE,)))
        self.store = store or MemoryStore(virtual.now)
        self.bucket = MemoryBucket({"a.jpg": JPEG})
        self.bucket.generations["a.jpg"] = 1
        self.topic = MemoryPublisher()
        images = Images(self.settings, self.bucket)
        self.pipeline = Pipeline(
            self.settings, self.store, self.model, images, self.topic, now=virtual.now
        )

    async def deliver(self, kind: str = "finalized", **changes: Any) -> Answer:
        """Deliver one event."""
        payload = {"bucket": "b12", "name": "a.jpg", "generation": "1", "size": "9"}
        attributes = {
            "type": f"google.cloud.storage.object.v1.{kind}",
            "id": "1",
            "time": virtual.now().isoformat(),
        }
        payload |= {"contentType": "image/jpeg", **changes}
        return await self.pipeline.deliver(attributes, payload)

    @property
    def record(self) -> dict[str, Any]:
        """The record."""
        return self.store.documents()[IDENTITY]

    def events(self) -> list[dict[str, Any]]:
        """Give what was published, each checked."""
        return [
            event_of({**message.attributes, "ce-source": SOURCE}, message.content)
            for message in self.topic.messages
        ]


def test_a_description_is_told_once_whole() -> None:
    """With the record as it stands, and the mark gone when that is confirmed."""
    b = Bench()

    async def work() -> None:
        assert (await b.deliver()).outcome == "described"
        assert (await b.deliver()).outcome == "duplicate"

    virtual.run(work())
    (event,) = b.events()
    assert event["type"] == "describer.description.v1.completed"
    assert event["subject"] == IDENTITY
    assert "unpublished" not in b.record
    record = b.record
    complete = record["status"]["completeTime"].isoformat()
    assert event["time"] == complete
    assert event["id"] == f"{IDENTITY}-1-{complete}"
    assert {**event["data"], "status": None} == {**record, "status": None}
    assert event["data"]["status"]["completeTime"] == complete


def test_the_record_is_written_before_it_is_told() -> None:
    """Whoever reads it at the event finds it finished."""
    b = Bench()

    async def look(message: Message) -> None:
        assert b.record["status"]["outcome"] == "described"
        assert b.record["unpublished"] is True

    b.topic.publish = look  # type: ignore[method-assign]
    virtual.run(b.deliver())
    assert "unpublished" not in b.record


@pytest.mark.parametrize(
    ("script", "settings", "outcome"),
    [
        (Script(refusal=ModelRejectedError("the model answered 400")), {}, "rejected"),
        (Script([Chunk("", "stop", Usage(1, 0, 9))]), {}, "empty"),
        (Script([Chunk("A c"), StreamBrokenError("cut")]), {"max_attempts": 1}, "gave_up"),
    ],
)
def test_an_end_without_a_text_is_told(
    script: Script, settings: dict[str, Any], outcome: str
) -> None:
    """Also where the claim itself gave up."""
    b = Bench(script, **settings)

    async def work() -> None:
        while (await b.deliver()).status != 200:
            pass

    virtual.run(work())
    (event,) = b.events()
    assert event["type"] == "describer.description.v1.errored"
    assert event["data"]["status"]["outcome"] == outcome


def test_a_text_reused_and_one_by_hand_are_told() -> None:
    """As whatever ends a record."""
    b = Bench(reuse=True)

    async def work() -> None:
        md5 = "R/zmjrw8WEdJ782MhewOZg=="
        await b.deliver(md5Hash=md5)
        await b.deliver(md5Hash=md5, name="b.jpg")

    virtual.run(work())
    assert [event["data"].get("reusedFrom") for event in b.events()] == [None, "gs://b12/a.jpg"]

    by_hand = Bench(Script([Chunk("A "), 30.0, Chunk("cat.", "stop")]))

    async def write() -> None:
        task = asyncio.create_task(by_hand.deliver())
        await asyncio.sleep(10)
        found = await by_hand.store.read(IDENTITY)
        assert found is not None
        fields = {"description": "Tom.", "source": "person"}
        await by_hand.store.update(IDENTITY, fields, version=found.version)
        assert (await task).outcome == "superseded"

    virtual.run(write())
    assert [event["data"]["description"] for event in by_hand.events()] == ["Tom."]


def test_a_topic_that_is_out_of_order_costs_no_second_call() -> None:
    """The delivery comes again, finds the outcome and its mark, and only publishes."""
    b = Bench()

    async def work() -> None:
        b.topic.failing = True
        for _ in range(2):
            answer = await b.deliver()
            assert (answer.status, answer.outcome) == (503, "unpublished")
            assert b.record["status"]["outcome"] == "described"
            assert b.record["unpublished"] is True
        b.topic.failing = False
        assert (await b.deliver()).outcome == "duplicate"

    virtual.run(work())
    assert len(b.model.begun) == 1
    assert len(b.events()) == 1
    assert "unpublished" not in b.record


def test_a_crash_before_it_is_confirmed_tells_it_again_by_the_same_id() -> None:
    """Consumers know it by that."""

    class Cut(MemoryStore):
        async def update(
            self,
            record_id: str,
            fields: Fields,
            *,
            version: Version,
            timeout_seconds: float = CALL_SECONDS,
        ) -> Version:
            if set(fields) == {"unpublished"} and cuts:
                raise cuts.pop()
            return await super().update(record_id, fields, version=version)

    cuts = [StoreError("no answer")]
    b = Bench(store=Cut(virtual.now))

    async def work() -> None:
        assert (await b.deliver()).status == 503
        assert (await b.deliver()).outcome == "duplicate"

    virtual.run(work())
    first, second = b.events()
    assert first == second
    assert "unpublished" not in b.record


def test_an_edit_meanwhile_is_neither_lost_nor_told_twice() -> None:
    """The mark goes under the version that was read."""
    b = Bench()
    publish = b.topic.publish

    async def edited(message: Message) -> None:
        await publish(message)
        found = await b.store.read(IDENTITY)
        assert found is not None
        await b.store.update(IDENTITY, {"note": "mine"}, version=found.version)

    b.topic.publish = edited  # type: ignore[method-assign]
    assert virtual.run(b.deliver()).outcome == "described"
    assert len(b.events()) == 1
    assert b.record["note"] == "mine"
    assert "unpublished" not in b.record


def test_what_others_write_into_a_record_is_not_told() -> None:
    """Nor does it keep anything from being told, whatever it is."""
    fields = {
        "generation": 1,
        "note": object(),
        "approved": {"by": b"\x00"},
        "status": {"state": "COMPLETED"},
    }
    message = of_finished(IDENTITY, fields)
    assert "note" not in json.loads(message.content)
    assert message.id == f"{IDENTITY}-1-completed"
    assert of_finished(IDENTITY, {"status": {"state": "ERRORED"}}).id == f"{IDENTITY}-0-errored"


@pytest.mark.parametrize("generation", [None, "1", 1], ids=str)
def test_a_record_of_any_shape_is_told_and_goes_with_its_object(generation: object) -> None:
    """An edit by hand takes it out of its shape, but not the object that it was of."""
    b = Bench(delete_records=True)

    async def work() -> None:
        await b.store.create(IDENTITY, {"generation": generation} if generation else {})
        del b.bucket.generations["a.jpg"]
        assert (await b.deliver("deleted")).outcome == "deleted"

    virtual.run(work())
    (event,) = b.events()
    assert event["id"] == f"{IDENTITY}-1-deleted"
    assert (event["data"]["uri"], event["data"]["generation"]) == ("gs://b12/a.jpg", 1)


def test_without_a_topic_nothing_is_marked() -> None:
    """So that a topic that is set later begins with what is finished then."""
    b = Bench(events_topic=None)
    virtual.run(b.deliver())
    assert not any("unpublished" in fields for _, fields in b.store.writes)


def test_a_deletion_is_told_before_the_record_goes() -> None:
    """Which leaves no place for a mark; nothing of its text is told."""
    b = Bench(delete_records=True)

    async def work() -> None:
        await b.deliver()
        del b.bucket.generations["a.jpg"]
        b.topic.failing = True
        assert (await b.deliver("deleted")).outcome == "unpublished"
        assert b.record
        b.topic.failing = False
        assert (await b.deliver("deleted")).outcome == "deleted"

    virtual.run(work())
    _, event = b.events()
    assert event["type"] == "describer.description.v1.deleted"
    assert event["id"] == f"{IDENTITY}-1-deleted"
    assert event["data"]["uri"] == "gs://b12/a.jpg"


def test_a_shutdown_waits_for_what_is_being_told() -> None:
    """The connections are closed after it."""
    b = Bench()
    order: list[str] = []

    async def slow(message: Message) -> None:
        await asyncio.sleep(5)
        order.append("told")

    async def close() -> None:
        order.append("closed")

    b.topic.publish = slow  # type: ignore[method-assign]
    b.topic.close = close  # type: ignore[method-assign]

    async def work() -> None:
        task = asyncio.create_task(b.deliver())
        await asyncio.sleep(3)
        await b.pipeline.close()
        assert (await task).outcome == "described"

    virtual.run(work())
    assert order == ["told", "closed"]


def test_the_schema_has_each_field_that_is_told() -> None:
    """And refuses what is not."""
    schema: Any = SCHEMA.schema
    Draft202012Validator.check_schema(schema)
    assert set(schema["$defs"]["object"]["properties"]) == set(PUBLIC_FIELDS)
    assert set(OUTPUT_FIELDS) <= set(PUBLIC_FIELDS)
    b = Bench()
    virtual.run(b.deliver())
    (good,) = b.events()
    for damage in (
        {"type": "describer.description.v1.errored"},
        {"subject": "a.jpg"},
        {"time": "yesterday"},
        {"data": {**good["data"], "lease": {}}},
        {"data": {name: v for name, v in good["data"].items() if name != "description"}},
    ):
        with pytest.raises(ValidationError):
            SCHEMA.validate({**good, **damage})


class _Credentials:
    """Gives a new token at each refresh."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.count = 0

    @property
    def valid(self) -> bool:
        return self.token is not None

    @property
    def expired(self) -> bool:
        return False

    def refresh(self, request: object) -> None:
        self.count += 1
        self.token = f"token{self.count}"


def publish(
    url: str, *, times: int = 1, token: AccessToken | None = None, topic: str = "t"
) -> list[str]:
    """Publish a message so often; gives what each time was told."""
    message = Message({"ce-id": "1"}, b"{}")

    async def work() -> list[str]:
        http = HttpClient(timeout=httpx2.Timeout(5.0), trust_env=False)
        client = PubSub(http, f"projects/p/topics/{topic}", host=url, source=SOURCE, token=token)
        told = []
        for _ in range(times):
            try:
                await client.publish(message)
                told.append("published")
            except PublishError as exc:
                told.append(str(exc))
        await client.close()
        return told

    return asyncio.run(work())


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_a_refusal_says_what_pubsub_said(status: int) -> None:
    """With its status, and the topic."""
    with service(lambda _: (status, b'{"error": "why"}')) as url:
        (told,) = publish(url)
    assert told == f'Pub/Sub answered {status} for projects/p/topics/t: {{"error": "why"}}'


@pytest.mark.parametrize("body", [b"<html>Sign in first.</html>", b"{}", b""])
def test_an_answer_without_an_id_confirms_nothing(body: bytes) -> None:
    """Whatever its status: a proxy's page would end the mark, and nobody were told."""
    with service(lambda _: (200, body)) as url:
        (told,) = publish(url)
    assert told.startswith("Pub/Sub answered 200 for projects/p/topics/t: ")


def test_a_topic_s_name_is_no_escape() -> None:
    """Pub/Sub's names may hold a percent sign."""
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        seen.append(request.path)
        return 200, b'{"messageIds": ["1"]}'

    with service(answer) as url:
        assert publish(url, topic="a%41b") == ["published"]
    assert seen == ["/v1/projects/p/topics/a%2541b:publish"]


def test_a_message_is_sent_with_its_token_and_source() -> None:
    """As the REST API takes it; after a 401 by another token."""
    seen: list[tuple[str, str | None, Any]] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        body = json.loads(request.rfile.read(int(request.headers["content-length"])))
        seen.append((request.path, request.headers["authorization"], body))
        return (401, b"") if len(seen) == 1 else (200, b'{"messageIds": ["1"]}')

    with service(answer) as url:
        told = publish(url, times=2, token=AccessToken(_Credentials()))
    assert told[0].startswith("Pub/Sub answered 401")
    assert told[1] == "published"
    assert [(path, token) for path, token, _ in seen] == [
        ("/v1/projects/p/topics/t:publish", "Bearer token1"),
        ("/v1/projects/p/topics/t:publish", "Bearer token2"),
    ]
    (sent,) = seen[1][2]["messages"]
    assert sent["attributes"] == {"ce-id": "1", "ce-source": SOURCE}
    assert base64.b64decode(sent["data"]) == b"{}"


def test_no_connection_and_no_answer_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded time."""
    (told,) = publish("http://127.0.0.1:1")
    assert told.startswith("Pub/Sub: Connect")
    monkeypatch.setattr(pubsub, "_ANSWER_SECONDS", 0.2)
    released = threading.Event()

    def answer(_: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        released.wait(10)
        return 200, b""

    with service(answer) as url:
        began = time.monotonic()
        (told,) = publish(url)
        assert time.monotonic() - began < 5
        released.set()
    assert told == "Pub/Sub gave no answer within 0.2 s"
