"""Histories that once broke the promise, each as short as it can be told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request

from describer.delivery.claim import Claim, claim
from describer.delivery.event import FINALIZED, read_upload
from describer.delivery.pipeline import Pipeline
from describer.delivery.progress import Progress
from describer.errors import GaveUpError, StoreError, TokenError
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.model.description import Accumulator
from describer.model.scripted import ScriptedModel, text_script
from describer.model.stream import Chunk
from describer.model.token import AccessToken
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import CALL_SECONDS, Fields, Version
from describer.settings import Settings
from tests import virtual
from tests.pictures import JPEG

ATTRIBUTES = {"id": "1", "type": FINALIZED, "time": virtual.EPOCH.isoformat()}
PAYLOAD = {"bucket": "b-b", "name": "a.jpg", "generation": "7", "contentType": "image/jpeg"}
UPLOAD = read_upload(ATTRIBUTES, PAYLOAD)
SETTINGS = Settings(image_input="uri")


class Unwell(MemoryStore):
    """A store that freezes for a while, or loses the answers of some writes.

    Attributes:
        frozen: from when until when, in seconds; a call in between waits, and then fails.
        loses: tells by the fields of a write whether its answer is lost; the client tries again.
    """

    def __init__(
        self,
        *,
        frozen: tuple[float, float] = (0.0, 0.0),
        loses: Callable[[Fields], bool] = lambda _: False,
    ) -> None:
        super().__init__(virtual.now)
        self._frozen = frozen
        self._loses = loses

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Create, and perhaps lose the answer."""
        create = super().create
        return await self._told(lambda: create(record_id, fields), fields)

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
        began, ended = self._frozen
        if began <= virtual.seconds() < ended:
            left = ended - virtual.seconds()
            await asyncio.sleep(min(timeout_seconds, left))
            if left > timeout_seconds:
                raise StoreError("frozen")
        return await self._told(lambda: update(record_id, fields, version=version), fields)

    async def _told(self, write: Callable[[], Awaitable[Version]], fields: Fields) -> Version:
        version = await write()
        return await write() if self._loses(fields) else version


async def claimed(store: MemoryStore) -> Claim:
    """Claim the upload."""
    found = await claim(store, UPLOAD, owner="me", settings=SETTINGS, now=virtual.now)
    assert isinstance(found, Claim)
    return found


def test_a_renewal_that_failed_is_tried_again_before_the_lease_ends() -> None:
    """Else a worker whose store hung for 15 s loses its lease half a minute later, still at work.

    0 claim ── 30 renewal ── 40 failed ── 45 the store is well ── 60 the lease ends
                             └ tried again within seconds, not at 70
    """

    async def work() -> float:
        store = Unwell(frozen=(29.0, 45.0))
        progress = Progress(await claimed(store), flush_seconds=1.0, lease_seconds=60.0)
        stale = 0.0

        async def silent_model() -> None:
            nonlocal stale
            while virtual.seconds() < 200:
                await asyncio.sleep(0.5)
                found = await store.read(record_id(UPLOAD.bucket, UPLOAD.name))
                assert found is not None
                stale = max(stale, found.unchanged_seconds)

        await progress.during(silent_model())
        return stale

    assert virtual.run(work()) < SETTINGS.lease_seconds


def test_text_that_could_not_be_written_comes_with_the_next_write() -> None:
    """A store that failed for a moment costs no text, and no more than a moment."""

    async def work() -> MemoryStore:
        store = Unwell(frozen=(0.5, 12.0))
        progress = Progress(await claimed(store), flush_seconds=1.0, lease_seconds=60.0)
        text = Accumulator()

        async def model() -> None:
            text.add(Chunk("All of it."))
            progress.show(text)
            await asyncio.sleep(15)

        await progress.during(model())
        return store

    (record,) = virtual.run(work()).documents().values()
    assert record["partialText"] == "All of it."


def test_giving_up_is_told_although_the_answer_of_its_write_was_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else the record says gave_up, and no line in the log ever does."""

    async def work() -> MemoryStore:
        store = Unwell(loses=lambda fields: fields["status"].get("outcome") == "gave_up")
        settings = Settings(image_input="uri", max_attempts=1)
        await (await claimed(store)).release("the model answered 403: no role")
        pipeline = Pipeline(
            settings,
            store,
            ScriptedModel([text_script("never asked")]),
            Images(settings, MemoryBucket({"a.jpg": JPEG})),
            now=virtual.now,
        )
        answer = await pipeline.deliver(ATTRIBUTES, PAYLOAD)
        assert (answer.status, answer.outcome) == (200, GaveUpError.outcome)
        return store

    (record,) = virtual.run(work()).documents().values()
    assert record["status"]["outcome"] == "gave_up"
    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert line["severity"] == "ERROR"
    assert "403: no role" in line["cause"]
    assert (line["bucket"], line["object_name"], line["generation"]) == ("b-b", "a.jpg", "7")


def test_a_delivery_that_comes_after_sigterm_takes_no_claim(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would cost an attempt and two writes, in the ten seconds that others need to end."""

    async def work() -> MemoryStore:
        store = MemoryStore(virtual.now)
        pipeline = Pipeline(
            SETTINGS,
            store,
            ScriptedModel([text_script("never asked")]),
            Images(SETTINGS, MemoryBucket({"a.jpg": JPEG})),
            now=virtual.now,
        )
        pipeline.shut_down()
        answer = await pipeline.deliver(ATTRIBUTES, PAYLOAD)
        assert answer.status == 503
        return store

    assert virtual.run(work()).writes == []
    (line,) = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert (line["severity"], line["status"]) == ("WARNING", 503)


class SlowTokenServer:
    """Credentials whose refresh hangs until `gate` opens, and then fails."""

    token: str | None = None
    valid = False
    expired = False

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked = 0

    def refresh(self, request: Request) -> None:
        """Hang, then fail."""
        self.asked += 1
        assert self.gate.wait(30)
        raise TransportError("the metadata server is down")


def test_all_that_wait_for_a_token_fail_together() -> None:
    """One after the other, eighty deliveries would each wait for all time-outs before theirs."""

    async def work() -> int:
        credentials = SlowTokenServer()
        token = AccessToken(credentials)
        waiting = [asyncio.ensure_future(token()) for _ in range(80)]
        for _ in range(5):
            await asyncio.sleep(0)
        waiting[0].cancel()
        credentials.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(isinstance(result, TokenError) for result in results[1:])
        return credentials.asked

    assert asyncio.run(work()) == 1


def test_a_failed_write_is_tried_again_within_seconds_whatever_the_flush_interval() -> None:
    """Thirty seconds later, a lease of sixty could be gone, and the text be paid for twice."""

    async def work() -> list[float]:
        store = Unwell(frozen=(25.0, 55.0))
        claimed_ = await claimed(store)
        progress = Progress(claimed_, flush_seconds=30.0, lease_seconds=60.0)
        gathered = Accumulator()

        async def stream() -> None:
            for _ in range(60):
                gathered.add(Chunk("word "))
                progress.show(gathered)
                await asyncio.sleep(1.0)

        times: list[float] = []
        update = store.update

        async def noting(*args: Any, **kwargs: Any) -> Version:
            times.append(virtual.seconds())
            return await update(*args, **kwargs)

        store.update = noting  # type: ignore[method-assign]
        await progress.during(stream())
        return times

    times = virtual.run(work())
    # Due at half the lease; each try fails after ten seconds, the next comes two later.
    assert times[:3] == pytest.approx([30.0, 42.0, 54.0], abs=0.5)
