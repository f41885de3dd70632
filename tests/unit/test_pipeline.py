"""From event to record and answer, over the in-memory store and a scripted model.

Time is virtual, so leases expire and streams stall without anybody waiting.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from describer.delivery.pipeline import Answer, Delivery, Pipeline
from describer.delivery.reconcile import Report
from describer.errors import (
    BlockedError,
    BucketError,
    ModelAccessError,
    ModelBusyError,
    ModelDisconnectedError,
    ModelMissingError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    StreamBrokenError,
    TokenError,
)
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer
from describer.model.description import Accumulator
from describer.model.outputs import OUTPUT_FIELDS
from describer.model.scripted import Script, ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.records.memory import MemoryStore
from describer.records.record import asked_again, record_id
from describer.records.store import REMOVE, Fields, Version
from describer.settings import LONGEST_LEASE_SECONDS, Settings
from describer.values import Upload, Usage
from local.servers.events import cloud_event
from local.servers.function import ROOT
from tests import virtual
from tests.pictures import JPEG

TEXT = "A tabby cat looks up from a windowsill."
IDENTITY = record_id("b12", "a.jpg")
ODD_NAME = 'a\n{"severity": "ERROR"}\u2028.jpg'


@dataclass
class Bench:
    """One instance and its surroundings."""

    model: ScriptedModel = field(default_factory=lambda: ScriptedModel([text_script(TEXT)]))
    environ: dict[str, str] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=lambda: MemoryStore(virtual.now))

    def __post_init__(self) -> None:
        self.pipeline = self.instance()

    def instance(self) -> Pipeline:
        """Give another instance over the same store and model."""
        settings = Settings.from_env(self.environ)
        images = Images(settings, MemoryBucket(dict.fromkeys(("a.jpg", "b.jpg", ODD_NAME), JPEG)))
        return Pipeline(settings, self.store, self.model, images, now=virtual.now)

    async def deliver(
        self,
        generation: int = 1,
        *,
        pipeline: Pipeline | None = None,
        economy: bool = False,
        **changes: Any,
    ) -> Answer:
        """Deliver one event; `changes` are passed on to `cloud_event`."""
        changes = {"time": virtual.now(), **changes}
        headers, body = cloud_event("b12", changes.pop("name", "a.jpg"), generation, **changes)
        attributes = {key.removeprefix("ce-"): value for key, value in headers.items()}
        if economy:
            attributes["economy"] = "true"
        return await (pipeline or self.pipeline).deliver(attributes, json.loads(body))

    @property
    def record(self) -> dict[str, Any]:
        """The record of `a.jpg`."""
        return self.store.documents()[IDENTITY]

    @property
    def status(self) -> dict[str, Any]:
        """Its status."""
        status: dict[str, Any] = self.record["status"]
        return status


def bench(scenario: Callable[[Bench], Awaitable[None]], **values: Any) -> Bench:
    """Run a scenario in virtual time."""

    async def work() -> Bench:
        made = Bench(**values)
        await scenario(made)
        return made

    return virtual.run(work())


def test_an_upload_is_described_once() -> None:
    """The finished record has every field of the contract, and none of the work."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver() == Answer(200, "described")
        assert await b.deliver() == Answer(200, "duplicate")

    b = bench(scenario)
    assert len(b.model.begun) == 1
    record = b.record
    status = record.pop("status")
    assert record == {
        "schemaVersion": 1,
        "uri": "gs://b12/a.jpg",
        "bucket": "b12",
        "name": "a.jpg",
        "generation": 1,
        "contentType": "image/jpeg",
        "size": 1,
        "md5Hash": record["md5Hash"],
        "description": TEXT,
        "source": "model",
        "model": "google/gemini-3.5-flash-lite",
        "language": "en",
        "promptHash": record["promptHash"],
        "finishReason": "stop",
    }
    assert (status["state"], status["outcome"], status["attempt"]) == ("COMPLETED", "described", 1)
    times = [status[f"{t}Time"] for t in ("start", "firstText", "update", "complete")]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("named", "language", "ignored"),
    [
        ("de-CH", "de-CH", None),
        ("klingon please", "en", "describer-language 'klingon please' is no tag"),
    ],
)
def test_the_object_may_name_its_language(
    named: str, language: str, ignored: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no tag costs nobody the description, and the log says so in words."""

    async def scenario(b: Bench) -> None:
        overrides = {"metadata": {"describer-language": named}}
        assert await b.deliver(overrides=overrides) == Answer(200, "described")

    assert bench(scenario).record["language"] == language
    told = json.loads(capsys.readouterr().out).get("ignored")
    assert told is None if ignored is None else told.startswith(ignored)


@pytest.mark.parametrize(
    ("script", "state", "outcome"),
    [
        (Script([Chunk("A cat", "length", Usage(1, 2, 3))]), "COMPLETED", "truncated"),
        (Script([Chunk("", "stop", Usage(1, 0, 9))]), "ERRORED", "empty"),
        (Script([Chunk("A c"), Chunk("", "content_filter")]), "ERRORED", "blocked"),
        (Script([BlockedError("refused")]), "ERRORED", "blocked"),
        (Script(refusal=ModelRejectedError("the model answered 400")), "ERRORED", "rejected"),
    ],
    ids=["truncated", "empty", "blocked", "refused", "rejected"],
)
def test_each_end_of_a_stream_is_recorded(script: Script, state: str, outcome: str) -> None:
    """Once, acknowledged, with what it cost; no text but a finished one."""

    async def scenario(b: Bench) -> None:
        answers = [(await b.deliver()).outcome for _ in range(2)]
        assert answers == [outcome, "duplicate"]

    b = bench(scenario, model=ScriptedModel([script]))
    assert (b.status["state"], b.status["outcome"]) == (state, outcome)
    assert ("description" in b.record) is (state == "COMPLETED")
    assert ("message" in b.status) is (state == "ERRORED")
    assert not {"partialText", "lease"} & set(b.record)
    chunks = [step for step in script.steps if isinstance(step, Chunk)]
    assert ("usage" in b.record) is any(chunk.usage for chunk in chunks)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"content_type": "image/x-nikon-nef"}, "unsupported"),
        ({"size_bytes": 200 * 2**20}, "too_large"),
    ],
)
def test_an_image_that_cannot_be_sent_costs_nothing(changes: dict[str, Any], outcome: str) -> None:
    """Its record says why."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(**changes)).outcome == outcome

    b = bench(scenario)
    assert b.status["outcome"] == outcome
    assert b.model.begun == []


@pytest.mark.parametrize(
    "script",
    [
        Script(refusal=ModelAccessError("404", http_status=404)),
        Script(refusal=ModelBusyError("429", http_status=429, retry_after_seconds=99)),
        Script([Chunk("A c"), StreamBrokenError("cut")]),
        Script([Chunk("A cat")]),
        Script([Chunk("A c"), 1e9]),
    ],
    ids=["configuration", "busy", "cut", "no finish reason", "silence"],
)
def test_what_may_work_later_comes_again(script: Script) -> None:
    """503, the lease is free at once, the cause is in the record; the next attempt ends it."""

    async def scenario(b: Bench) -> None:
        answer = await b.deliver()
        assert (answer.status, answer.outcome) == (503, "retry")
        assert b.status["state"] == "PROCESSING"
        assert b.status["message"] == answer.message
        assert not {"lease", "partialText", "description"} & set(b.record)
        assert b.status.get("refusals", 0) == (script.refusal is not None)
        assert await b.deliver() == Answer(200, "described")
        # Only what the model may have begun, and so may have been paid, counts as an attempt.
        assert b.status["attempt"] == (2 if script.refusal is None else 1)
        assert "message" not in b.status

    bench(scenario, model=ScriptedModel([script, text_script(TEXT)]))


def test_attempts_run_out() -> None:
    """After MAX_ATTEMPTS the record keeps the last cause, and the event is acknowledged."""

    async def scenario(b: Bench) -> None:
        answers = [await b.deliver() for _ in range(4)]
        assert [a.status for a in answers] == [503, 503, 503, 200]
        assert answers[-1].outcome == "gave_up"

    script = Script([Chunk("A c"), StreamBrokenError("cut by a proxy")])
    b = bench(scenario, model=ScriptedModel([script]), environ={"MAX_ATTEMPTS": "3"})
    assert b.status["outcome"] == "gave_up"
    assert b.status["attempt"] == 3
    assert "cut by a proxy" in b.status["message"]


def test_refusals_are_no_attempts_and_end_by_age_alone() -> None:
    """A model that is out of quota for most of a day costs the upload nothing but time."""

    async def scenario(b: Bench) -> None:
        upload_time = virtual.now()
        for _ in range(130):
            answer = await b.deliver(time=upload_time)
            assert answer.status == 503
            await asyncio.sleep(600)
        assert (b.status["attempt"], b.status["refusals"]) == (1, 130)
        b.model.scripts = [Script([Chunk("A c"), StreamBrokenError("cut")]), refused]
        assert (await b.deliver(time=upload_time)).status == 503
        assert "refusals" not in b.status
        assert (await b.deliver(time=upload_time)).status == 503
        assert (b.status["attempt"], b.status["refusals"]) == (2, 1)
        await asyncio.sleep(5000)
        assert (await b.deliver(time=upload_time)).outcome == "gave_up"
        assert (b.status["attempt"], b.status["refusals"]) == (1, 1)

    refused = Script(refusal=ModelBusyError("the model answered 429: no quota", http_status=429))
    b = bench(scenario, model=ScriptedModel([refused]))
    assert "MAX_EVENT_AGE_SECONDS" in b.status["message"]
    assert "no quota" in b.status["message"]


@pytest.mark.parametrize(
    ("refusal", "counts"),
    [
        (ModelBusyError("503", http_status=503, retry_after_seconds=99), False),
        (ModelAccessError("403", http_status=403), False),
        (TokenError("no access token"), False),
        (ModelUnreachableError("no connection"), False),
        (ModelDisconnectedError("broke before the answer"), True),
        (ModelTimeoutError("silence before the answer"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_counts_as_an_attempt(refusal: Exception, counts: bool) -> None:
    """What may have been paid for; a refusal and what came before the request cannot have been."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        assert b.status.get("refusals", 0) == (not counts)
        assert (await b.deliver()).outcome == "described"
        assert b.status["attempt"] == 1 + counts

    bench(scenario, model=ScriptedModel([Script(refusal=refusal), text_script(TEXT)]))


def test_an_image_that_cannot_be_read_for_now_costs_no_attempt() -> None:
    """The bucket's failures come before the model."""

    class Closed(MemoryBucket):
        async def read(self, upload: Upload, into: Buffer) -> bool:
            raise BucketError("403: no role")

    async def scenario(b: Bench) -> None:
        settings = Settings(image_input="inline")
        pipeline = Pipeline(settings, b.store, b.model, Images(settings, Closed()), now=virtual.now)
        for _ in range(9):
            assert (await b.deliver(pipeline=pipeline)).status == 503
        assert (b.status["attempt"], b.status["refusals"]) == (1, 9)

    bench(scenario)


@pytest.mark.parametrize(
    ("live", "outcome"), [(1, "described"), (2, "gone"), (None, "described")], ids=str
)
def test_an_address_is_asked_for_its_generation_again(live: int | None, outcome: str) -> None:
    """The model reads whatever stands there; a deleted object was read before, or not at all."""

    async def scenario(b: Bench) -> None:
        bucket = MemoryBucket({"a.jpg": JPEG})
        if live is not None:
            bucket.generations["a.jpg"] = live
        images = Images(Settings(), bucket)
        pipeline = Pipeline(Settings(), b.store, b.model, images, now=virtual.now)
        assert (await b.deliver(pipeline=pipeline)).outcome == outcome

    b = bench(scenario, model=ScriptedModel([Script([Chunk("A cat", "stop", Usage(1, 2, 3))])]))
    assert b.status["outcome"] == outcome
    assert ("description" in b.record) is (outcome == "described")
    assert b.record["usage"]["totalTokens"] == 3


def test_a_bucket_that_does_not_answer_loses_no_text() -> None:
    """The text is paid for; were there a newer generation, its own event would make the record."""

    class Closed(MemoryBucket):
        async def live_generation(self, upload: Upload) -> int | None:
            raise BucketError("503")

    async def scenario(b: Bench) -> None:
        pipeline = Pipeline(
            Settings(),
            b.store,
            b.model,
            Images(Settings(), Closed({"a.jpg": JPEG})),
            now=virtual.now,
        )
        assert (await b.deliver(pipeline=pipeline)).outcome == "described"

    bench(scenario)


def test_bytes_of_a_generation_are_not_asked_for_again() -> None:
    """What was read pinned cannot have been another."""

    async def scenario(b: Bench) -> None:
        bucket = MemoryBucket({"a.jpg": JPEG})
        bucket.generations["a.jpg"] = 2
        settings = Settings(image_input="inline")
        pipeline = Pipeline(settings, b.store, b.model, Images(settings, bucket), now=virtual.now)
        assert (await b.deliver(pipeline=pipeline)).outcome == "described"

    bench(scenario)


OBJECT = {
    "description": TEXT,
    "altText": "A tabby cat on a windowsill",
    "decorative": False,
    "textInImage": "",
    "tags": ["cat", "Windowsill", "cat"],
    "descriptions": {"de": "Eine getigerte Katze.", "fr": "Un chat."},
}
ASKED = {
    "OUTPUTS": "alt_text,decorative,text_in_image,tags",
    "TAGS": "Cat,Dog",
    "DESCRIPTION_LANGUAGE": "en,de",
}


def test_what_is_asked_for_besides_is_recorded() -> None:
    """The description grows without a piece of JSON; a field is absent rather than wrong."""

    async def scenario(b: Bench) -> None:
        await b.deliver()

    script = text_script(json.dumps(OBJECT), chunk_seconds=0.5)
    b = bench(scenario, model=ScriptedModel([script]), environ=ASKED)
    partial = [fields["partialText"] for _, fields in b.store.writes if "partialText" in fields]
    assert len(partial) > 3
    assert all(TEXT.startswith(text) for text in partial)
    record = b.record
    assert record["description"] == TEXT
    assert record["altText"] == "A tabby cat on a windowsill"
    assert record["decorative"] is False
    assert "textInImage" not in record
    assert record["tags"] == ["Cat"]
    assert record["descriptions"] == {"en": TEXT, "de": "Eine getigerte Katze."}
    assert record["language"] == "en"


def test_a_newer_generation_begins_without_what_was_asked_for_before() -> None:
    """Nothing of another picture stays behind."""

    async def scenario(b: Bench) -> None:
        await b.deliver()
        b.environ.clear()
        await b.deliver(2, pipeline=b.instance())

    scripts = [text_script(json.dumps(OBJECT)), text_script(TEXT)]
    b = bench(scenario, model=ScriptedModel(scripts), environ=dict(ASKED))
    assert b.record["generation"] == 2
    assert not set(OUTPUT_FIELDS) & set(b.record)


PAID = Usage(10, 5, 15)
PROSE = Script([Chunk(TEXT), Chunk("", "stop", PAID)])
WHOLE = Script([Chunk(json.dumps(OBJECT)), Chunk("", "stop", PAID)])


def test_an_answer_without_form_is_put_into_form_once() -> None:
    """By one more call without the picture, paid and counted; the description stays its own."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"
        assert (await b.deliver(name="b.jpg")).outcome == "over_limit"

    other = {**OBJECT, "description": "Other words.", "altText": "A cat"}
    second = Script([Chunk(json.dumps(other)), Chunk("", "stop", PAID)])
    environ = {**ASKED, "DAILY_LIMIT": "2"}
    b = bench(scenario, model=ScriptedModel([PROSE, second]), environ=environ)
    record = b.record
    assert [what for _, what in b.model.begun] == ["gs://b12/a.jpg", "an answer"]
    assert (record["description"], record["altText"], record["tags"]) == (TEXT, "A cat", ["Cat"])
    assert record["descriptions"] == {"en": TEXT, "de": "Eine getigerte Katze."}
    # Nobody has looked for those a second time.
    assert not {"decorative", "textInImage"} & set(record)
    assert (record["repaired"], record["finishReason"]) == (True, "stop")
    assert record["usage"] == {"promptTokens": 20, "completionTokens": 10, "totalTokens": 30}
    assert b.status["attempt"] == 1


@pytest.mark.parametrize(
    "second",
    [
        Script(refusal=ModelBusyError("429", http_status=429)),
        Script(refusal=ModelRejectedError("the model answered 400")),
        Script(refusal=ModelUnreachableError("no connection")),
        Script([Chunk('{"altText": "A'), StreamBrokenError("cut")]),
        Script([Chunk('{"altText": "A cat"}')]),
        Script([Chunk('{"altText": "A cat"}', "length")]),
        Script([Chunk('{"altText": "A cat"}', "content_filter")]),
        Script([BlockedError("refused")]),
        Script([Chunk("I'm sorry, but I can't help with that.", "stop")]),
        Script([Chunk("", "stop")]),
        Script([Chunk("{" * 5_000, "stop")]),
        Script([Chunk('{"altText": "A cat'), 1e9]),
        PROSE,
    ],
    ids=[
        *("busy", "rejected", "unreachable", "broken", "no end", "length", "filtered", "blocked"),
        *("refusal", "empty", "braces", "silence", "prose again"),
    ],
)
def test_a_repair_that_fails_costs_nobody_the_description(second: Script) -> None:
    """Fields are absent then, and it is not tried again."""

    async def scenario(b: Bench) -> None:
        began = virtual.seconds()
        assert (await b.deliver()).outcome == "described"
        # Within what the stream may take, the picture's own call included.
        assert virtual.seconds() - began <= 241
        assert (await b.deliver()).outcome == "duplicate"

    asked: list[Script] = [PROSE, second, Script([AssertionError("a third call")])]
    b = bench(scenario, model=ScriptedModel(asked), environ=ASKED)
    assert b.record["description"] == TEXT
    assert b.record["repaired"] is False
    assert not set(OUTPUT_FIELDS) & set(b.record)
    assert len(b.model.scripts) == 1
    assert not {"lease", "partialText"} & set(b.record)


@pytest.mark.parametrize(
    ("script", "environ", "outcome"),
    [
        (WHOLE, ASKED, "described"),
        (PROSE, {}, "described"),
        (Script([Chunk(TEXT, "length")]), ASKED, "truncated"),
        (Script([Chunk(TEXT), Chunk("", "content_filter")]), ASKED, "blocked"),
        (Script([Chunk("I'm sorry, but I can't help with that.", "stop")]), ASKED, "blocked"),
        (Script([Chunk("", "stop")]), ASKED, "empty"),
        (PROSE, {"OUTPUTS": "decorative,text_in_image"}, "described"),
    ],
    ids=["whole", "not asked", "length", "filtered", "refusal", "empty", "of the picture"],
)
def test_nothing_is_repaired_that_needs_none_or_cannot_be(
    script: Script, environ: dict[str, str], outcome: str
) -> None:
    """A cut answer would be cut again, and what only the picture tells is not made up."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == outcome

    b = bench(scenario, model=ScriptedModel([script]), environ=environ)
    assert len(b.model.begun) == 1
    assert "repaired" not in b.record


@pytest.mark.parametrize(
    ("second", "outcome"), [(WHOLE, "described"), (PROSE, "empty"), (Script([]), "empty")]
)
def test_an_object_too_broken_for_a_description_gets_one_try(second: Script, outcome: str) -> None:
    """Without it there would be none; what was paid for is told either way."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == outcome

    broken = Script([Chunk('{"descr: "A tabby cat'), Chunk("", "stop", PAID)])
    b = bench(scenario, model=ScriptedModel([broken, second]), environ=ASKED)
    assert b.record.get("description") == (TEXT if outcome == "described" else None)
    assert b.record["usage"]["totalTokens"] == (15 if second.steps == [] else 30)


@pytest.mark.parametrize(("limit", "calls"), [(1, ["over"]), (2, ["busy", "b.jpg"])])
def test_a_repair_is_a_call_of_the_day(
    limit: int, calls: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused by the brake, or given back where the model refused it; the log says which."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"
        last = await b.deliver(name="b.jpg")
        assert last.outcome == ("over_limit" if limit == 1 else "described")

    busy = Script(refusal=ModelBusyError("429", http_status=429))
    scripts = [PROSE, WHOLE] if limit == 1 else [PROSE, busy, WHOLE]
    environ = {**ASKED, "DAILY_LIMIT": str(limit)}
    b = bench(scenario, model=ScriptedModel(scripts), environ=environ)
    assert (b.record["description"], b.record["repaired"]) == (TEXT, False)
    assert len(b.model.begun) == limit
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["repaired"] is False
    assert line["repair_error"].startswith("DAILY_LIMIT of 1" if limit == 1 else "429")


def test_a_shutdown_in_the_midst_of_a_repair_writes_the_description() -> None:
    """It is whole; the second call is given a moment, and hung up on."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        b.pipeline.shut_down()
        began = virtual.seconds()
        assert (await working).outcome == "described"
        assert virtual.seconds() - began <= 3.1

    scripts = [PROSE, Script([Chunk('{"altText": "A'), 1e9])]
    b = bench(scenario, model=ScriptedModel(scripts), environ=ASKED)
    assert (b.record["description"], b.record["repaired"]) == (TEXT, False)
    assert b.model.hung_up == 1


def test_no_repair_begins_at_a_shutdown() -> None:
    """There is no time for it; the description is written at once."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(1.5)
        b.pipeline.shut_down()
        assert (await working).outcome == "described"

    ending = Script([Chunk(TEXT), Chunk("", "stop"), 2.0, Chunk("", None, PAID)])
    b = bench(scenario, model=ScriptedModel([ending, WHOLE]), environ=ASKED)
    assert (b.record["description"], b.record["repaired"]) == (TEXT, False)
    assert len(b.model.begun) == 1


def test_a_worker_that_dies_in_the_midst_of_a_repair_costs_one_attempt() -> None:
    """As any that broke after the model had begun; meanwhile its lease is kept up."""

    async def scenario(b: Bench) -> None:
        dying = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(100)
        assert (await b.deliver(pipeline=b.instance())).outcome == "lease_held"
        b.pipeline._release = None  # type: ignore[method-assign, assignment]
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        assert (b.status["state"], "description" in b.record) == ("PROCESSING", False)
        await asyncio.sleep(61)
        assert (await b.deliver(pipeline=b.instance())).outcome == "described"
        assert (await b.deliver()).outcome == "duplicate"

    scripts = [PROSE, Script([Chunk('{"altText": "A'), 1e9]), PROSE, WHOLE]
    b = bench(scenario, model=ScriptedModel(scripts), environ=ASKED)
    picture, answer = "gs://b12/a.jpg", "an answer"
    assert [what for _, what in b.model.begun] == [picture, answer, picture, answer]
    assert (b.status["attempt"], b.record["repaired"]) == (2, True)


def test_whether_it_was_repaired_goes_with_the_text() -> None:
    """Along with a text that is reused; gone with a newer generation's."""

    async def scenario(b: Bench) -> None:
        await b.deliver(**SAME_BYTES)
        await b.deliver(name="b.jpg", **SAME_BYTES)
        assert b.store.documents()[record_id("b12", "b.jpg")]["repaired"] is True
        await b.deliver(2)

    scripts = [PROSE, WHOLE, WHOLE]
    b = bench(scenario, model=ScriptedModel(scripts), environ={**ASKED, "REUSE": "true"})
    assert "repaired" not in b.record


def test_a_refusal_in_place_of_the_object_is_blocked() -> None:
    """Prose in place of the object is the description, if it is one."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "blocked"

    b = bench(
        scenario,
        model=ScriptedModel([text_script("I'm sorry, but I can't help with that request.")]),
        environ=ASKED,
    )
    assert not any("partialText" in fields for _, fields in b.store.writes)


def test_a_reused_text_brings_what_it_was_made_with() -> None:
    """All fields of the one call that was paid."""

    async def scenario(b: Bench) -> None:
        await b.deliver(**SAME_BYTES)
        await b.deliver(name="b.jpg", **SAME_BYTES)

    model = ScriptedModel([text_script(json.dumps(OBJECT))])
    b = bench(scenario, model=model, environ={**ASKED, "REUSE": "true"})
    other = b.store.documents()[record_id("b12", "b.jpg")]
    assert {name: other.get(name) for name in OUTPUT_FIELDS} == {
        name: b.record.get(name) for name in OUTPUT_FIELDS
    }
    assert len(b.model.begun) == 1


def test_the_brake_ends_what_comes_after_the_days_limit() -> None:
    """Recorded, acknowledged, unpaid; what the model refuses uses nothing up."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        assert (await b.deliver()).outcome == "described"
        assert await b.deliver(name="b.jpg") == Answer(200, "over_limit", ANY)
        assert (await b.deliver(name="b.jpg")).outcome == "duplicate"

    busy = Script(refusal=ModelAccessError("403", http_status=403))
    model = ScriptedModel([busy, text_script(TEXT), text_script(TEXT)])
    b = bench(scenario, model=model, environ={"DAILY_LIMIT": "1"})
    record = b.store.documents()[record_id("b12", "b.jpg")]
    assert (record["status"]["state"], record["status"]["outcome"]) == ("ERRORED", "over_limit")
    assert "DAILY_LIMIT of 1" in record["status"]["message"]
    assert len(b.model.begun) == 1


SAME_BYTES: dict[str, Any] = {"overrides": {"md5Hash": "rL0Y20zC+Fzt72VPzMSk2A=="}}
TITLED: dict[str, Any] = {"overrides": {**SAME_BYTES["overrides"], "metadata": {"title": "Sphinx"}}}


def test_the_same_bytes_get_the_same_words_unpaid() -> None:
    """Under another name, and over the same one; the record says whose text it is."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(**SAME_BYTES)).outcome == "described"
        first = b.record
        assert (await b.deliver(name="b.jpg", **SAME_BYTES)).outcome == "described"
        b.store.discard(record_id("b12", "b.jpg"))
        assert (await b.deliver(2, **SAME_BYTES)).outcome == "described"
        made = ("description", "model", "language", "promptHash", "source", "md5Hash")
        assert {name: b.record[name] for name in made} == {name: first[name] for name in made}
        assert (b.record["generation"], b.record["reusedFrom"]) == (2, "gs://b12/a.jpg")
        assert not {"usage", "lease"} & set(b.record)

    script = Script([Chunk(TEXT, "stop", Usage(1, 2, 3))])
    b = bench(scenario, model=ScriptedModel([script]), environ={"REUSE": "true"})
    assert len(b.model.begun) == 1


def test_the_record_names_the_metadata_that_were_quoted() -> None:
    """By name, not by value; also where the text is another's, and not for a text without."""
    quoted: list[Any] = []

    async def scenario(b: Bench) -> None:
        for number, event in enumerate((TITLED, TITLED, SAME_BYTES, TITLED), 1):
            name = "b.jpg" if number == 4 else "a.jpg"
            assert (await b.deliver(number, name=name, **event)).outcome == "described"
            record = b.store.documents()[record_id("b12", name)]
            quoted.append((record.get("metadataQuoted"), "reusedFrom" in record))

    b = bench(scenario, environ={"USE_METADATA": "custom:title,custom:note", "REUSE": "true"})
    one = ["custom:title"]
    # The second and the third time nothing is left of the generation before.
    assert quoted == [(one, False), (one, True), (None, False), (one, False)]
    assert "Sphinx" not in json.dumps(b.store.documents(), default=str)


@pytest.mark.parametrize(
    ("environ", "change", "second"),
    [
        ({"REUSE": "false"}, {}, SAME_BYTES),
        ({"REUSE": "true"}, {}, {}),
        ({"REUSE": "true"}, {}, {"overrides": {"md5Hash": None}}),
        ({"REUSE": "true"}, {"PROMPT": "In verse."}, SAME_BYTES),
        ({"REUSE": "true"}, {"MODEL": "google/gemini-3.8-flash"}, SAME_BYTES),
        ({"REUSE": "true", "USE_METADATA": "custom:title"}, {}, TITLED),
        ({"REUSE": "true"}, {"USE_METADATA": "exif:Artist"}, SAME_BYTES),
    ],
    ids=["off", "other bytes", "no digest", "other words", "other model", "caption", "fields"],
)
def test_what_differs_is_described(
    environ: dict[str, str], change: dict[str, str], second: dict[str, Any]
) -> None:
    """A text is reused only where the model would have been asked the same."""

    async def scenario(b: Bench) -> None:
        await b.deliver(**SAME_BYTES)
        b.environ |= change
        await b.deliver(name="b.jpg", pipeline=b.instance(), **second)

    assert len(bench(scenario, environ=environ).model.begun) == 2


@pytest.mark.parametrize(
    ("script", "by_hand"),
    [
        (Script([Chunk("A cat", "length")]), {}),
        (Script([Chunk("", "stop")]), {}),
        (text_script(TEXT), {"source": "person", "description": "My cat."}),
    ],
    ids=["truncated", "empty", "by a person"],
)
def test_only_a_models_whole_text_is_reused(script: Script, by_hand: Fields) -> None:
    """What was cut would stay cut, and a person wrote for one picture."""

    async def scenario(b: Bench) -> None:
        await b.deliver(**SAME_BYTES)
        found = await b.store.read(IDENTITY)
        assert found is not None
        await b.store.update(IDENTITY, by_hand, version=found.version)
        await b.deliver(name="b.jpg", **SAME_BYTES)

    assert (
        len(bench(scenario, model=ScriptedModel([script]), environ={"REUSE": "true"}).model.begun)
        == 2
    )


def test_a_defect_before_the_model_began_costs_no_attempt() -> None:
    """An instance without memory, say, gives no image up that another could describe."""

    class Broken(MemoryBucket):
        async def read(self, upload: Upload, into: Buffer) -> bool:
            raise MemoryError

    async def scenario(b: Bench) -> None:
        settings = Settings(image_input="inline")
        pipeline = Pipeline(settings, b.store, b.model, Images(settings, Broken()), now=virtual.now)
        for _ in range(9):
            with pytest.raises(MemoryError):
                await b.deliver(pipeline=pipeline)
        assert (b.status["attempt"], b.status["refusals"]) == (1, 9)
        assert (await b.deliver()).outcome == "described"

    bench(scenario)


@pytest.mark.parametrize("hours", [-23, 23])
def test_age_is_told_by_the_stores_clock(hours: int) -> None:
    """A clock that is hours ahead ends no upload, and one that is behind keeps none for ever."""

    async def scenario(b: Bench) -> None:
        def wrong() -> datetime:
            return virtual.now() + timedelta(hours=hours)

        images = Images(Settings(), MemoryBucket(dict.fromkeys(("a.jpg", "b.jpg", ODD_NAME), JPEG)))
        pipeline = Pipeline(Settings(), b.store, b.model, images, now=wrong)
        upload_time = virtual.now()
        assert (await b.deliver(pipeline=pipeline, time=upload_time)).status == 503
        assert (await b.deliver(pipeline=pipeline, time=upload_time)).status == 503
        await asyncio.sleep(24 * 3600)
        assert (await b.deliver(pipeline=pipeline, time=upload_time)).outcome == "gave_up"

    busy = Script(refusal=ModelAccessError("403", http_status=403))
    bench(scenario, model=ScriptedModel([busy]))


def test_age_runs_out() -> None:
    """An event that is too old is recorded as given up, also if it never was tried."""

    async def scenario(b: Bench) -> None:
        long_ago = virtual.now() - timedelta(days=1)
        assert (await b.deliver(time=long_ago)).outcome == "gave_up"

    b = bench(scenario)
    assert b.status["outcome"] == "gave_up"
    assert b.model.begun == []


def test_a_lease_that_was_edited_to_last_for_ever_does_not() -> None:
    """None is given for longer than the settings allow."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        found = await b.store.read(IDENTITY)
        assert found is not None
        lease = {"owner": "somebody", "expireTime": virtual.now() + timedelta(days=9)}
        await b.store.update(IDENTITY, {"lease": lease}, version=found.version)
        assert (await b.deliver()).outcome == "lease_held"
        await asyncio.sleep(LONGEST_LEASE_SECONDS)
        assert (await b.deliver()).outcome == "described"

    busy = Script(refusal=ModelAccessError("403", http_status=403))
    bench(scenario, model=ScriptedModel([busy, text_script(TEXT)]))


def test_one_of_many_deliveries_at_once_does_the_work() -> None:
    """The others are told to come again, and find it done then."""

    async def scenario(b: Bench) -> None:
        instances = [b.instance() for _ in range(5)]
        waves = (b.deliver(pipeline=instances[n % 5]) for n in range(20))
        answers = [answer.outcome for answer in await asyncio.gather(*waves)]
        assert sorted(answers) == ["described", *["lease_held"] * 19]
        assert (await b.deliver()).outcome == "duplicate"

    slow = ScriptedModel([text_script(TEXT, chunk_seconds=2)])
    assert len(bench(scenario, model=slow).model.begun) == 1


def test_a_dead_workers_image_is_taken_over_when_its_lease_has_run_out() -> None:
    """Not before; and what the dead one left is gone."""

    async def scenario(b: Bench) -> None:
        dying = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        # Neither released nor noticed, as by kill -9.
        b.pipeline._release = None  # type: ignore[method-assign, assignment]
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        assert "partialText" in b.record
        other = b.instance()
        await asyncio.sleep(40)
        held = await b.deliver(pipeline=other)
        assert (held.status, held.outcome) == (503, "lease_held")
        await asyncio.sleep(20)
        assert (await b.deliver(pipeline=other)).outcome == "described"

    scripts = [Script([Chunk("A c"), 1e9]), text_script(TEXT)]
    b = bench(scenario, model=ScriptedModel(scripts))
    assert b.status["attempt"] == 2
    assert b.record["description"] == TEXT


def test_the_lease_outlives_a_long_wait_for_the_first_text() -> None:
    """Renewed while nothing comes, so that nobody pays a second time for the same bytes."""

    async def scenario(b: Bench) -> None:
        first = asyncio.ensure_future(b.deliver())
        for _ in range(20):
            await asyncio.sleep(10)
            assert (await b.deliver(pipeline=b.instance())).outcome == "lease_held"
        assert (await first).outcome == "described"

    late = Script([205.0, Chunk(TEXT, "stop")])
    assert len(bench(scenario, model=ScriptedModel([late])).model.begun) == 1


def test_a_newer_generation_takes_over_while_the_older_streams() -> None:
    """The older writer notices, hangs up, and is acknowledged; the record is the newer's."""

    async def scenario(b: Bench) -> None:
        older = asyncio.ensure_future(b.deliver(1))
        await asyncio.sleep(10)
        assert await b.deliver(2, pipeline=b.instance()) == Answer(200, "described")
        answer = await older
        assert (answer.status, answer.outcome) == (200, "superseded")
        assert (await b.deliver(1)).outcome == "superseded"

    scripts = [text_script("An old dog. " * 9, chunk_seconds=3), text_script(TEXT)]
    b = bench(scenario, model=ScriptedModel(scripts))
    assert (b.record["generation"], b.record["description"]) == (2, TEXT)
    assert b.model.hung_up == 1


def test_a_newer_generation_replaces_everything_of_the_older() -> None:
    """Also an outcome without text, whose fields must not linger."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(1)).outcome == "described"
        found = await b.store.read(IDENTITY)
        assert found is not None
        await b.store.update(IDENTITY, {"approved": {"by": "ada"}}, version=found.version)
        b.model.scripts = [Script(refusal=ModelRejectedError("the model answered 400"))]
        assert (await b.deliver(2)).outcome == "rejected"

    b = bench(scenario)
    assert not {"description", "source", "finishReason", "usage", "approved"} & set(b.record)


def test_a_text_stays_while_its_image_is_described_again() -> None:
    """Until the new one is finished, with what is said of it; a failure does not take it away."""
    old = {"model": "google/gemini-3.5-flash-lite", "language": "en", "description": TEXT}

    async def ask(b: Bench) -> None:
        found = await b.store.read(IDENTITY)
        assert found is not None
        fields = asked_again(found.fields, virtual.now())
        await b.store.update(IDENTITY, fields, version=found.version)
        assert old.items() <= b.record.items()

    async def scenario(b: Bench) -> None:
        await b.deliver()
        french = Bench(environ={"DESCRIPTION_LANGUAGE": "fr"}, store=b.store, model=b.model)
        b.model.scripts = [
            Script([Chunk("Non", finish_reason="content_filter")]),
            Script([Chunk("Un ch"), StreamBrokenError("cut")]),
            text_script("Un chat.", chunk_seconds=3, size=4),
        ]
        await ask(b)
        assert (await french.deliver()).outcome == "blocked"
        assert (b.status["state"], b.status["attempt"]) == ("ERRORED", 1)
        assert old.items() <= b.record.items()
        assert b.record["finishReason"] == "stop"
        await ask(b)
        assert (await french.deliver()).status == 503
        working = asyncio.ensure_future(french.deliver())
        await asyncio.sleep(5)
        assert b.record["partialText"]
        assert old.items() <= b.record.items()
        assert (await working).outcome == "described"

    b = bench(scenario)
    assert (b.record["description"], b.record["language"]) == ("Un chat.", "fr")
    assert (b.status["outcome"], b.status["attempt"]) == ("described", 2)
    assert not {"partialText", "lease"} & set(b.record)


def test_partial_text_grows_at_most_once_a_second() -> None:
    """From the first second on; never under the name of the finished text."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"

    text = "word " * 80
    b = bench(scenario, model=ScriptedModel([text_script(text, chunk_seconds=0.1, size=5)]))
    writes = [fields for _, fields in b.store.writes]
    times = [fields["status"]["updateTime"] for fields in writes]
    partial = [fields["partialText"] for fields in writes if "partialText" in fields]
    assert len(partial) in {7, 8}
    assert all(later.startswith(sooner) for sooner, later in itertools.pairwise(partial))
    # The last write is the outcome, which waits for nothing.
    gaps = [b - a for a, b in itertools.pairwise(times[:-1])]
    assert min(gaps) >= timedelta(seconds=1)
    assert ["description" in fields for fields in writes] == [False] * (len(writes) - 1) + [True]
    assert len(writes) <= 2 + 8


def test_a_text_by_a_person_is_never_overwritten() -> None:
    """Neither by the same generation, nor by a newer one, nor while the model writes."""

    async def by_hand(b: Bench) -> None:
        found = await b.store.read(IDENTITY)
        assert found is not None
        fields = {"description": "My cat Tom.", "source": "person"}
        await b.store.update(IDENTITY, fields, version=found.version)

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        await by_hand(b)
        assert (await working).status == 200
        assert (await b.deliver(2)).outcome == "by_person"

    b = bench(scenario, model=ScriptedModel([text_script(TEXT, chunk_seconds=3)]))
    assert b.record["description"] == "My cat Tom."
    assert b.record["source"] == "person"
    assert b.status["state"] == "COMPLETED"
    assert not {"lease", "partialText"} & set(b.record)


def test_somebodys_edit_of_another_field_does_not_cost_the_lease() -> None:
    """The record may carry fields of the app; they stay."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        found = await b.store.read(IDENTITY)
        assert found is not None
        await b.store.update(IDENTITY, {"album": "cats"}, version=found.version)
        assert (await working).outcome == "described"

    b = bench(scenario, model=ScriptedModel([text_script(TEXT, chunk_seconds=3)]))
    assert b.record["album"] == "cats"


def test_a_record_deleted_meanwhile_is_written_by_the_next_delivery() -> None:
    """Nothing is lost, and the deleted record is not brought back by the old writer."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        b.store.discard(IDENTITY)
        assert (await working).status == 503
        assert IDENTITY not in b.store.documents()
        assert (await b.deliver()).outcome == "described"

    bench(scenario, model=ScriptedModel([text_script(TEXT, chunk_seconds=3)]))


@pytest.mark.parametrize(
    ("after", "outcome", "seconds", "usage"),
    [
        ([Chunk("", "stop"), 2.5, Chunk(usage=Usage(1, 2, 3))], "described", 1.0, True),
        ([Chunk("", "length"), 60.0], "truncated", 3.0, False),
        ([Chunk("", "content_filter"), 60.0], "blocked", 3.0, False),
        ([Chunk("", "stop"), 2.5, Chunk(" It sleeps."), 60.0], "retry", 3.0, False),
        ([Chunk("", "stop"), 0.5, Chunk(" It sleeps."), 60.0], "retry", 0.0, False),
    ],
    ids=["usage follows", "nothing follows", "blocked", "text follows", "text came"],
)
def test_a_text_that_had_ended_at_the_shutdown_is_written(
    after: list[Chunk | float | Exception], outcome: str, seconds: float, usage: bool
) -> None:
    """It is whole and paid for. Its usage is given a moment; a text that goes on is given up."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(1.5)
        b.pipeline.shut_down()
        began = virtual.seconds()
        answer = await working
        assert answer.outcome == outcome
        assert virtual.seconds() - began == pytest.approx(seconds)
        assert answer.status == (503 if outcome == "retry" else 200)

    b = bench(scenario, model=ScriptedModel([Script([Chunk(TEXT), *after])]))
    assert b.record.get("description") == (TEXT if outcome in {"described", "truncated"} else None)
    assert not {"lease", "partialText"} & set(b.record)
    assert ("usage" in b.record) is usage


def test_a_text_whose_stream_is_over_is_written_at_the_shutdown() -> None:
    """Also where each chunk said so: only a partial write was still waited for."""

    class Slow(MemoryStore):
        async def update(self, record_id: str, fields: Fields, **kwargs: Any) -> Version:
            if "partialText" in fields and fields["partialText"] is not REMOVE:
                await asyncio.sleep(1.5)
            return await super().update(record_id, fields, **kwargs)

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(1.5)
        b.pipeline.shut_down()
        assert (await working).outcome == "described"

    script = Script([Chunk("A c", "stop"), 1.2, Chunk("at", "stop")])
    b = bench(scenario, model=ScriptedModel([script]), store=Slow(virtual.now))
    assert b.record["description"] == "A cat"


def test_a_server_that_ends_each_chunk_is_not_believed_at_the_shutdown() -> None:
    """Its first chunk says that the text has ended."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(1)
        b.pipeline.shut_down()
        assert (await working).outcome == "retry"

    bench(scenario, model=ScriptedModel([Script([Chunk("A c", "stop"), 9.0, Chunk("at", "stop")])]))


def test_a_text_that_has_ended_is_written_when_the_streams_time_is_over() -> None:
    """Only its usage was waited for."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"

    script = Script([Chunk("A c"), 237.0, Chunk("at", "stop"), 60.0])
    assert bench(scenario, model=ScriptedModel([script])).record["description"] == "A cat"


def test_a_shutdown_releases_at_once() -> None:
    """Inside the grace time, with 503, so that another instance takes it without waiting."""

    async def scenario(b: Bench) -> None:
        working = asyncio.ensure_future(b.deliver())
        await asyncio.sleep(5)
        b.pipeline.shut_down()
        began = virtual.seconds()
        answer = await working
        assert (answer.status, answer.outcome) == (503, "retry")
        assert virtual.seconds() - began < 5
        assert "lease" not in b.record
        assert (await b.deliver()).status == 503
        assert (await b.deliver(pipeline=b.instance())).outcome == "described"

    scripts = [Script([Chunk("A c"), 1e9]), text_script(TEXT)]
    b = bench(scenario, model=ScriptedModel(scripts))
    assert b.model.hung_up == 1


def test_what_is_not_ours_leaves_no_record() -> None:
    """Acknowledged or refused, each in one log line."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver(name="a.txt", content_type="text/plain") == Answer(
            200, "skipped", "not an image"
        )
        other = {"id": "x", "type": "google.cloud.pubsub.topic.v1.messagePublished"}
        assert (await b.pipeline.deliver(other, {"message": {}})).outcome == "skipped"
        answer = await b.pipeline.deliver({"id": "x"}, {"bucket": "b12"})
        assert (answer.status, answer.outcome) == (400, "malformed")

    assert bench(scenario).store.documents() == {}


def test_what_gets_no_record_takes_none_away() -> None:
    """Such as an overwrite by an empty object: the record still tells of its own generation."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "described"
        before = b.store.documents()
        empty = {"bucket": "b12", "name": "a.jpg", "generation": "99", "size": "0"}
        event = {"id": "x", "type": "google.cloud.storage.object.v1.finalized"}
        assert (await b.pipeline.deliver(event, empty)).outcome == "skipped"
        assert b.store.documents() == before

    bench(scenario)


def test_a_defect_of_ours_frees_the_lease_and_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    """The one thing that ends as an exception; the record names its class alone."""

    async def scenario(b: Bench) -> None:
        with pytest.raises(ZeroDivisionError):
            await b.deliver()

    b = bench(scenario, model=ScriptedModel([Script([ZeroDivisionError("secret")])]))
    assert "lease" not in b.record
    assert b.status["message"] == "a defect: ZeroDivisionError"
    assert json.loads(capsys.readouterr().out)["severity"] == "ERROR"


def test_each_delivery_is_one_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With constant message and values in fields; no name can break or forge a line."""

    async def scenario(b: Bench) -> None:
        await b.deliver(name=ODD_NAME, id="e7")
        await b.deliver(name=ODD_NAME, id="e8")

    script = Script([0.5, Chunk("A cat", "stop", Usage(3, 4, 9))])
    environ = {"GOOGLE_CLOUD_PROJECT": "p-1"}
    bench(scenario, model=ScriptedModel([script]), environ=environ)
    out = capsys.readouterr().out
    assert out.isascii()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["outcome"] for line in lines] == ["described", "duplicate"]
    first = lines[0]
    assert (first["message"], first["severity"], first["status"]) == ("delivery", "INFO", 200)
    assert (first["object_name"], first["bucket"], first["generation"]) == (ODD_NAME, "b12", "1")
    assert (first["event_id"], first["attempt"], first["total_tokens"]) == ("e7", 1, 9)
    assert "first_text_seconds" in first


MODELS = {"MODEL": "m/first", "MODELS": "m/second,m/third", "FALLBACK_AFTER_SECONDS": "100"}
MISSING = Script(refusal=ModelMissingError("the model answered 404", http_status=404))
BUSY = Script(refusal=ModelBusyError("429", http_status=429, retry_after_seconds=99))


def test_a_retired_model_is_replaced_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the first of MODELS that is there; the record says which, and nothing is paid twice."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver() == Answer(200, "described")

    model = ScriptedModel([MISSING, MISSING, text_script(TEXT)])
    b = bench(scenario, model=model, environ=MODELS)
    assert [begun for begun, _ in b.model.begun] == ["m/third"]
    assert (b.record["model"], b.status["attempt"]) == ("m/third", 1)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["model"], line["passed_over"]) == ("m/third", "m/first, m/second")


def test_a_profiles_own_models_take_the_place_of_the_general_ones() -> None:
    """For the names that it matches; others fall back on MODELS."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == (await b.deliver(name="b.jpg")).outcome == "described"

    profiles = [{"pattern": "b.*", "models": ["m/own"]}]
    scripts = [MISSING, text_script(TEXT), MISSING, text_script(TEXT)]
    environ = {**MODELS, "PROFILES": json.dumps(profiles)}
    b = bench(scenario, model=ScriptedModel(scripts), environ=environ)
    assert [begun for begun, _ in b.model.begun] == ["m/second", "m/own"]


def test_a_busy_model_is_waited_for_and_then_replaced() -> None:
    """For FALLBACK_AFTER_SECONDS from its first refusal; the next upload asks it first again."""

    async def scenario(b: Bench) -> None:
        for seconds in (0, 60, 39):
            await asyncio.sleep(seconds)
            assert (await b.deliver()).status == 503
        assert b.status["refusals"] == 3
        b.model.scripts = [BUSY, text_script(TEXT)]
        await asyncio.sleep(1.5)
        assert await b.deliver() == Answer(200, "described")
        assert await b.deliver(2) == Answer(200, "described")

    b = bench(scenario, model=ScriptedModel([BUSY]), environ=MODELS)
    assert [begun for begun, _ in b.model.begun] == ["m/second", "m/first"]


def test_no_patience_is_no_waiting() -> None:
    """FALLBACK_AFTER_SECONDS of 0 asks the next one in the same delivery."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver() == Answer(200, "described")

    environ = {**MODELS, "FALLBACK_AFTER_SECONDS": "0"}
    b = bench(scenario, model=ScriptedModel([BUSY, text_script(TEXT)]), environ=environ)
    assert b.record["model"] == "m/second"


CHEAP = Script([Chunk(TEXT, "stop", Usage(5, 4, 9, "ON_DEMAND_FLEX"))])
NOT_OFFERED = Script(refusal=ModelRejectedError("400: Flex API is not supported for model: m"))


def test_the_cheaper_lane_is_asked_where_the_event_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And nowhere else; how it was served stands in record and log."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver(economy=True) == Answer(200, "described")
        assert await b.deliver(name="b.jpg") == Answer(200, "described")

    b = bench(scenario, model=ScriptedModel([CHEAP, text_script(TEXT)]))
    assert b.model.lanes == [True, False]
    assert b.record["usage"]["trafficType"] == "ON_DEMAND_FLEX"
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["economy"], first["traffic_type"]) == (True, "ON_DEMAND_FLEX")
    assert "economy" not in second


@pytest.mark.parametrize("refusal", [NOT_OFFERED, MISSING], ids=["not offered for it", "not there"])
def test_what_the_cheaper_lane_does_not_offer_takes_the_ordinary_one(
    refusal: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, in the same delivery: nothing was begun, and no picture is lost for a price."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver(economy=True) == Answer(200, "described")

    ordinary = Script([Chunk(TEXT, "stop", Usage(5, 4, 9, "ON_DEMAND"))])
    b = bench(scenario, model=ScriptedModel([refusal, ordinary]))
    assert b.model.lanes == [True, False]
    assert (b.status["attempt"], len(b.model.begun)) == (1, 1)
    assert "trafficType" not in b.record["usage"]
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["economy"] is False


def test_what_both_lanes_reject_is_rejected() -> None:
    """A wrong request is wrong in both; an error inside the answer is that of the model asked."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(economy=True)).outcome == "rejected"
        assert (await b.deliver(2, economy=True)).outcome == "rejected"

    inside = Script([Chunk("A c"), ModelRejectedError("400 inside")])
    model = ScriptedModel([NOT_OFFERED, NOT_OFFERED, inside])
    assert bench(scenario, model=model).model.lanes == [True, False, True]


def test_a_refusal_by_the_cheaper_lane_is_no_call_of_the_day() -> None:
    """Otherwise DAILY_LIMIT would let half of the pictures pass."""

    async def scenario(b: Bench) -> None:
        for name in ("a.jpg", "b.jpg"):
            assert await b.deliver(name=name, economy=True) == Answer(200, "described")
        assert (await b.deliver(2, economy=True)).outcome == "over_limit"

    scripts = [NOT_OFFERED, text_script(TEXT)] * 2
    b = bench(scenario, model=ScriptedModel(scripts), environ={"DAILY_LIMIT": "2"})
    assert b.model.lanes == [True, False] * 2


@pytest.mark.parametrize(
    ("second", "told"), [("ON_DEMAND", None), ("ON_DEMAND_FLEX", "ON_DEMAND_FLEX")]
)
def test_a_repair_is_asked_in_the_ordinary_lane(second: str, told: str | None) -> None:
    """Two prices in one record are told as the whole one: costs are never told too low."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver(economy=True) == Answer(200, "described")

    served = ("ON_DEMAND_FLEX", second)
    scripts = [Script([Chunk(TEXT, "stop", Usage(9, 4, 13, name))]) for name in served]
    b = bench(scenario, model=ScriptedModel(scripts), environ=ASKED)
    assert b.model.lanes == [True, False]
    assert b.record["usage"].get("trafficType") == told
    assert b.record["usage"]["totalTokens"] == 26


def test_a_busy_cheaper_lane_is_waited_for_as_a_busy_model_is() -> None:
    """Refusals cost nothing; after FALLBACK_AFTER_SECONDS the ordinary lane has it."""

    async def scenario(b: Bench) -> None:
        for seconds in (0, 60, 39):
            await asyncio.sleep(seconds)
            assert (await b.deliver(economy=True)).status == 503
        assert set(b.model.lanes) == {True}
        b.model.scripts = [BUSY, text_script(TEXT)]
        await asyncio.sleep(1.5)
        assert await b.deliver(economy=True) == Answer(200, "described")
        assert b.model.lanes[-2:] == [True, False]

    environ = {"MODEL": "m/first", "FALLBACK_AFTER_SECONDS": "100"}
    assert len(bench(scenario, model=ScriptedModel([BUSY]), environ=environ).model.begun) == 1


def test_models_that_others_fall_back_on_take_the_ordinary_lane() -> None:
    """After both lanes of the first model have refused."""

    async def scenario(b: Bench) -> None:
        assert await b.deliver(economy=True) == Answer(200, "described")

    environ = {"MODEL": "m/first", "MODELS": "m/second"}
    model = ScriptedModel([MISSING, MISSING, text_script(TEXT)])
    b = bench(scenario, model=model, environ=environ)
    assert b.model.lanes == [True, False, False]
    assert b.record["model"] == "m/second"


def test_the_cheaper_lane_has_one_attempt() -> None:
    """What may have been paid there and came to nothing is not waited for again."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver(economy=True)).status == 503
        assert await b.deliver(economy=True) == Answer(200, "described")

    timeout = Script(refusal=ModelTimeoutError("not done within STREAM_TIMEOUT_SECONDS"))
    b = bench(scenario, model=ScriptedModel([timeout, text_script(TEXT)]))
    assert b.model.lanes == [True, False]


def test_without_any_model_it_comes_again() -> None:
    """Refusals of several models are one try that cost nothing."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        assert (b.status["attempt"], b.status["refusals"]) == (1, 1)

    assert bench(scenario, model=ScriptedModel([MISSING]), environ=MODELS).model.begun == []


@pytest.mark.parametrize(
    "script",
    [
        Script([Chunk("A c"), StreamBrokenError("cut")]),
        Script([Chunk("A c"), ModelMissingError("404 inside the stream", http_status=404)]),
        Script([ModelBusyError("503 inside the stream", http_status=503)]),
        Script(refusal=ModelTimeoutError("silence before the answer")),
        Script(refusal=ModelUnreachableError("no connection")),
    ],
    ids=["cut", "begun", "begun without text", "perhaps begun", "nobody there"],
)
def test_what_may_have_been_paid_is_not_asked_of_another_model(script: Script) -> None:
    """Nor is a server that does not answer at all, where the others are as well."""

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).status == 503
        assert (await b.deliver()).outcome == "described"

    environ = {**MODELS, "FALLBACK_AFTER_SECONDS": "0"}
    b = bench(scenario, model=ScriptedModel([script, text_script(TEXT)]), environ=environ)
    assert {begun for begun, _ in b.model.begun} == {"m/first"}


def test_a_model_that_refuses_in_prose_is_blocked_and_not_replaced() -> None:
    """It was paid for, and its words are not shown."""
    words = "I'm sorry, but I can't help with that request."
    partial: list[Any] = []

    class Watched(MemoryStore):
        async def update(self, *arguments: Any, **named: Any) -> Version:
            version = await super().update(*arguments, **named)
            partial.extend(d.get("partialText") for d in self.documents().values())
            return version

    async def scenario(b: Bench) -> None:
        assert (await b.deliver()).outcome == "blocked"

    script = text_script(words, chunk_seconds=1.5)
    b = bench(
        scenario,
        model=ScriptedModel([script]),
        environ=MODELS,
        store=Watched(virtual.now),
    )
    assert b.status["outcome"] == "blocked"
    assert "description" not in b.record
    assert not any(partial)
    assert len(b.model.begun) == 1


def test_the_page_names_every_field_of_the_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks the log needs to know what can be in it."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    table = page.partition("## The log line")[2].partition("```")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    async def scenario(b: Bench) -> None:
        delivery = Delivery("owner", 0.0)
        delivery.upload = Upload("b12", "a.jpg", 1, "image/jpeg", 1, "1")
        delivery.attempt = delivery.refusals = 1
        delivery.waited = delivery.first_text = 1.0
        delivery.converted = delivery.model = delivery.reused_from = "x"
        delivery.passed_over = ["y"]
        delivery.ignored, delivery.repaired = "z", False
        delivery.gathered = Accumulator()
        delivery.gathered.repair_failure = ModelBusyError("busy")
        delivery.usage = Usage(1, 2, 3, "ON_DEMAND")
        delivery.economy = True
        delivery.error = ModelBusyError("busy", http_status=429)
        delivery.report = Report().fields()
        assert all(getattr(delivery, one.name) is not None for one in fields(delivery))
        b.pipeline._write_log(delivery, Answer(503, "retry", "busy"))

    bench(scenario)
    (line,) = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)) == named | {"severity", "message"}
