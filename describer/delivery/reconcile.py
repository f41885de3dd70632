"""Finds, from time to time, what was lost on the way, and has it done.

    position ──► 1,000 names ──► made within the window? ──► their records ──► lost? ──► delivered
        ▲             │                                                                 as an upload
        └── names ────┘ for a minute; the next run goes on where this one stopped

An event that the platform drops is told by nothing but the bucket. What is found is delivered in
this process, a few at once: another address of the function, or a queue before it, would ask for
rights that nothing else here needs, while there is hardly ever anything to deliver.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from describer.delivery.announcer import Announcer
from describer.delivery.event import FINALIZED, read_upload, reason_to_skip
from describer.delivery.lost import Unfinished, may_be_on_its_way, state_of
from describer.delivery.removal import remove
from describer.errors import BucketError, MalformedEventError, PublishError, TokenError
from describer.images.loading import Images
from describer.records.record import PROCESSING, record_id
from describer.records.store import Snapshot, Store
from describer.settings import Settings
from describer.values import Upload

REQUESTED = "describer.reconcile.v1.requested"

# Nothing is begun after it; what is begun ends within the time that one delivery takes.
_LOOKING_SECONDS = 60.0
_PAGE = 1000
_RECORDS_AT_ONCE = 100
_DELIVERIES_AT_ONCE = 10
# Records without their event, or stuck without their object: hardly ever any.
_FOUND_AT_ONCE = 300
_POSITION = "position"


@dataclass(frozen=True, slots=True)
class Window:
    """Which objects are looked at.

    Attributes:
        days: made since so many days.
        minutes: and so many minutes ago or more; what is younger may be on its way.
    """

    days: float
    minutes: float

    @classmethod
    def read(cls, payload: object) -> Window:
        """Read the event's data.

        Raises:
            MalformedEventError: naming what is wrong.
        """
        found = payload if isinstance(payload, Mapping) else {}
        days, minutes = found.get("days", 3), found.get("minutes", 60)
        for name, value, most in (("days", days, 365), ("minutes", minutes, 1440)):
            if type(value) not in {int, float} or not 0 <= value <= most:
                raise MalformedEventError(f"{name} is not a number from 0 to {most}")
        return cls(days, minutes)


@dataclass(slots=True)
class Report:
    """What one run saw and did.

    Attributes:
        looked: objects that were listed.
        lost: objects without an outcome, and records without their event, by why.
        delivered: how those that were delivered were answered.
        published: events that were published only now.
        removed: records that were stuck without an object.
        complete: whether the run came to the end of the last bucket.
    """

    looked: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    published: int = 0
    removed: int = 0
    complete: bool = False

    @property
    def found(self) -> int:
        """How much there was to mend."""
        return self.lost.total() + self.published + self.removed

    def fields(self) -> dict[str, Any]:
        """Give it for a log line."""
        return {
            "looked": self.looked,
            "found": self.found,
            "lost": dict(self.lost),
            "delivered": dict(self.delivered),
            "published": self.published,
            "removed": self.removed,
            "complete": self.complete,
        }


class Reconciler:
    """Compares buckets with records."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        images: Images,
        announcer: Announcer,
        *,
        deliver: Callable[[Mapping[str, Any], object], Awaitable[str]],
        now: Callable[[], datetime],
    ) -> None:
        """Keep what to look at.

        Args:
            deliver: handles an event as any other, and gives the outcome.
        """
        self._settings = settings
        self._store = store
        self._images = images
        self._announcer = announcer
        self._deliver = deliver
        self._now = now

    async def run(self, window: Window, report: Report) -> None:
        """Look for a minute at most, and wait for what was delivered.

        Args:
            report: gets what is seen and done; it counts also where the run breaks off.

        Raises:
            BucketError: one of the buckets was not looked at to its end.
            StoreError: the next run goes on.
        """
        began = asyncio.get_running_loop().time()
        slots = asyncio.Semaphore(_DELIVERIES_AT_ONCE)
        deliveries = []

        async def deliver(resource: Mapping[str, Any]) -> None:
            # Without any time it has no age, and is not given up at once.
            payload = {key: value for key, value in resource.items() if key != "timeCreated"}
            event = {"type": FINALIZED, "id": f"reconcile-{uuid.uuid4()}"}
            try:
                report.delivered[await self._deliver(event, payload)] += 1
            finally:
                slots.release()

        try:
            # Half the time, so that there is some left for what no record tells.
            await self._mend_records(window, report, began + _LOOKING_SECONDS / 2)
            async for resource in self._lost(window, report, began + _LOOKING_SECONDS):
                await slots.acquire()
                deliveries.append(asyncio.create_task(deliver(resource)))
        finally:
            # A defect has been logged by the delivery itself.
            await asyncio.gather(*deliveries, return_exceptions=True)

    async def _lost(
        self, window: Window, report: Report, until: float
    ) -> AsyncIterator[Mapping[str, Any]]:
        """List from where the last run stopped, and give what is lost.

        Raises:
            BucketError: of a bucket that did not answer, after all others; the round begins anew.
        """
        position = await self._store.read_note(_POSITION)
        bucket, after = (str(position.get(name, "")) for name in ("bucket", "name"))
        failure: BucketError | None = None
        for current in sorted(self._settings.buckets):
            if current < bucket:
                continue
            after = after if current == bucket else ""
            more = True
            while more:
                try:
                    page = await self._images.list_objects(current, start=after, limit=_PAGE)
                except BucketError as exc:
                    # One that is gone, or may not be read, keeps nobody from the others.
                    failure = exc
                    break
                more = len(page) == _PAGE
                for first in range(0, len(page), _RECORDS_AT_ONCE):
                    resources = page[first : first + _RECORDS_AT_ONCE]
                    for resource, why in await self._judged(resources, window):
                        if asyncio.get_running_loop().time() >= until:
                            await self._stop_at(current, after)
                            if failure is not None:
                                raise failure
                            return
                        if resource["name"] == after:
                            # Seen as the last one before.
                            continue
                        after = str(resource["name"])
                        report.looked += 1
                        if why:
                            report.lost[why] += 1
                            yield resource
                await self._stop_at(current, after)
        await self._stop_at("", "")
        if failure is not None:
            raise failure
        report.complete = True

    async def _stop_at(self, bucket: str, name: str) -> None:
        await self._store.write_note(_POSITION, {"bucket": bucket, "name": name})

    async def _judged(
        self, resources: Sequence[Mapping[str, Any]], window: Window
    ) -> list[tuple[Mapping[str, Any], str]]:
        """Say of each object why it is lost; "" if it is not."""
        now = self._now()
        asked: dict[str, Upload] = {}
        for resource in resources:
            upload = _upload(resource)
            if upload is None or reason_to_skip(FINALIZED, upload, self._settings):
                continue
            made = upload.event_time
            if made is not None and now - timedelta(days=window.days) <= made:
                asked[record_id(upload.bucket, upload.name)] = upload
        records = await self._store.read_many(list(asked)) if asked else {}
        lost = {
            upload.name: _why(upload, records.get(identity), now, window.minutes * 60)
            for identity, upload in asked.items()
        }
        return [(resource, lost.get(str(resource["name"]), "")) for resource in resources]

    async def _mend_records(self, window: Window, report: Report, until: float) -> None:
        """Look after records that are found by what they say: told to nobody, or stuck.

        One that cannot be mended holds up neither the others nor what comes after.
        """
        before = self._now() - timedelta(minutes=window.minutes)
        if self._settings.events_topic is not None:
            for upload in await self._said({"unpublished": True}, "completeTime", before):
                if upload.bucket not in self._settings.buckets:
                    # Another deployment's, which shares the collection.
                    continue
                if asyncio.get_running_loop().time() >= until:
                    return
                try:
                    identity = record_id(upload.bucket, upload.name)
                    report.published += await self._announcer.finished(identity)
                except (PublishError, TokenError):
                    report.lost["event not published"] += 1
                    report.delivered[PublishError.outcome] += 1
                    break
        if self._settings.delete_records:
            for upload in await self._said({"status.state": PROCESSING}, "updateTime", before):
                if asyncio.get_running_loop().time() >= until:
                    return
                try:
                    removal = await remove(self._store, self._images, self._announcer, upload)
                except (BucketError, PublishError, TokenError):
                    # Such as in a bucket that is not among BUCKETS any more, nor may be read.
                    continue
                report.removed += removal == "deleted"

    async def _said(
        self, equal: Mapping[str, str | bool], since: str, before: datetime
    ) -> list[Upload]:
        """Find the objects of records that have said so for long enough."""
        found = []
        for fields in await self._store.find(equal, limit=_FOUND_AT_ONCE):
            status = fields.get("status")
            said = status.get(since) if isinstance(status, Mapping) else None
            upload = _upload(fields)
            if upload and isinstance(said, datetime) and said < before:
                found.append(upload)
        return found


def _upload(resource: Mapping[str, Any]) -> Upload | None:
    """Read an object, from a listing or a record; None for what no event could tell of."""
    try:
        return read_upload({}, resource)
    except MalformedEventError:
        return None


def _why(upload: Upload, snapshot: Snapshot | None, now: datetime, seconds: float) -> str:
    unchanged = snapshot.unchanged_seconds if snapshot else None
    if may_be_on_its_way(upload.event_time, unchanged, now, seconds):
        return ""
    fields = snapshot.fields if snapshot else None
    state = state_of(upload.generation, fields, unchanged or 0.0)
    return state.why if isinstance(state, Unfinished) else ""
