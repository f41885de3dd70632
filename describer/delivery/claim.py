"""The lease: may this delivery do the work, and is it still the one that may write?

    create ──► ours ──► update ──► update ──► outcome
      │ exists           each under the version of the write before: a fence
      ▼
    read ─► decide ─► done / superseded / held / gave up
               └────► update under the version read ──► ours

A claim costs one round trip when the record is new. A transaction would cost more, re-run its
body on contention, and take seconds on a contended document.

Source: https://firebase.google.com/docs/firestore/reference/rest/v1/Precondition
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

from describer.errors import (
    GaveUpError,
    LeaseHeldError,
    LeaseLostError,
    PermanentError,
    RecordExistsError,
    StoreError,
    VersionConflictError,
)
from describer.model.description import Description
from describer.records.record import Draft, Record, record_id
from describer.records.store import (
    CALL_SECONDS,
    LAST_CALL_SECONDS,
    REMOVE,
    Fields,
    Snapshot,
    Store,
    Version,
)
from describer.settings import Settings
from describer.values import Upload

Now: TypeAlias = Callable[[], datetime]

# Each round means that another delivery wrote in between; soon one of them holds the lease.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """The record says already what there is to say.

    Attributes:
        outcome: `duplicate` (this generation has its outcome), `superseded` (the record speaks
            of a newer one) or `by_person` (someone wrote the description by hand).
    """

    outcome: Literal["duplicate", "superseded", "by_person"]


@dataclass(frozen=True, slots=True)
class Take:
    """The record is free: claim it as this attempt.

    Attributes:
        refusals: tries of this attempt so far, which all ended before the model began.
        refused_since: when the first of them did, by its own instance's clock.
        again: a text of this generation stands, which stays until a new one is finished.
    """

    attempt: int
    last_message: str = ""
    refusals: int = 0
    refused_since: datetime | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Another delivery's lease on this generation is live for some seconds yet."""

    seconds: float


def decide(snapshot: Snapshot, generation: int) -> Take | Held | NothingToDo:
    """Say what the record allows a delivery of this generation to do. Pure.

    A lease has expired when the record has stood unchanged, by the store's clock, for as long
    as the lease was given for, by its owner's clock. Two instances' clocks are never compared.
    """
    record = Record.parse(snapshot.fields)
    if record.written_by_person:
        return NothingToDo("by_person")
    if record.generation > generation:
        return NothingToDo("superseded")
    if record.generation < generation:
        return Take(attempt=1)
    if record.finished:
        return NothingToDo("duplicate")
    if record.lease_owner and snapshot.unchanged_seconds < record.lease_seconds:
        return Held(record.lease_seconds - snapshot.unchanged_seconds)
    if record.lease_owner:
        silent = f"attempt {record.attempt} ended without a word; its instance died or hung"
        return Take(record.attempt + 1, silent, again=record.has_text)
    if record.refusals:
        return Take(
            record.attempt,
            record.message,
            record.refusals,
            record.refused_since,
            again=record.has_text,
        )
    return Take(record.attempt + 1, record.message, again=record.has_text)


class Claim:
    """One delivery's right to write one record: every write of it goes through here.

    Every method raises LeaseLostError once another writer has the record, and StoreError when
    the store gave no clear answer.

    Attributes:
        draft: what the next write will say; replaced as the work goes on.
        before: the record as it was when it was claimed; empty if there was none.
    """

    def __init__(
        self,
        store: Store,
        draft: Draft,
        version: Version,
        now: Now,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self._store = store
        self._version = version
        self._now = now
        self._id = record_id(draft.upload.bucket, draft.upload.name)
        self._yielded: LeaseLostError | None = None
        self.draft = draft
        self.before = before or {}

    async def partial(self, text: str) -> None:
        """Write the text so far and renew the lease."""
        await self._write(self.draft.partial(text, self._now()))

    async def renew(self) -> None:
        """Renew the lease."""
        await self._write(self.draft.renewed(self._now()))

    async def release(
        self, message: str, *, refused: bool = False, timeout_seconds: float = CALL_SECONDS
    ) -> None:
        """Let any delivery take over at once, and leave the cause for it.

        Args:
            refused: the model certainly did not begin, so that this was no attempt.
        """
        fields = self.draft.released(message, self._now(), refused=refused)
        await self._write(fields, timeout_seconds)

    async def complete(self, description: Description) -> None:
        """Write the finished text. The claim is spent."""
        await self._write(self.draft.completed(description, self._now()), LAST_CALL_SECONDS)

    async def reuse(self, found: Mapping[str, Any]) -> None:
        """Write the text of another record. The claim is spent."""
        await self._write(self.draft.reused(found, self._now()), LAST_CALL_SECONDS)

    async def fail(self, error: PermanentError) -> None:
        """Write the outcome of a permanent error. The claim is spent."""
        await self._write(self.draft.errored(error, self._now()), LAST_CALL_SECONDS)

    async def yield_to_person(self) -> None:
        """End the work on a record that someone described by hand. The claim is spent."""
        await self._write(self.draft.yielded_to_person(self._now()))

    async def _write(self, wanted: Fields, timeout_seconds: float = CALL_SECONDS) -> None:
        """Write under the version of the write before, so that a lost lease cannot overwrite.

        On a conflict the record is read: the conflict may be our own write whose answer was
        lost, or somebody's edit of a field that is not ours, or the one and then the other.
        Nothing is written under a version before it was looked at what that says.
        """
        if self._yielded:
            raise self._yielded
        fields, person = wanted, False
        for _ in range(_ROUNDS):
            try:
                self._version = await self._store.update(
                    self._id, fields, version=self._version, timeout_seconds=timeout_seconds
                )
                break
            except VersionConflictError:
                snapshot = await self._store.read(self._id)
            landed = snapshot is not None and _landed(snapshot, fields)
            if landed and fields["lease"] is REMOVE:
                # The claim is spent: whatever was written since is not ours to judge.
                break
            self._version, person = self._if_still_ours(snapshot)
            if landed and not person:
                break
            fields = self.draft.yielded_to_person(self._now()) if person else wanted
        else:
            raise StoreError(f"the record changed {_ROUNDS} times while it was written")
        if person:
            # Kept: the last write may come after a partial one that was told this to no effect.
            self._yielded = LeaseLostError("a person has written the description", superseded=True)
            raise self._yielded

    def _if_still_ours(self, snapshot: Snapshot | None) -> tuple[Version, bool]:
        """Give the version to write on, and whether a person's text stands there now."""
        if snapshot is None:
            raise LeaseLostError("the record was deleted while it was written", superseded=False)
        record = Record.parse(snapshot.fields)
        if record.generation > self.draft.upload.generation:
            raise LeaseLostError(
                f"generation {record.generation} has taken the record over", superseded=True
            )
        if record.lease_owner != self.draft.owner:
            raise LeaseLostError(
                f"attempt {record.attempt}, of another delivery, has the record", superseded=False
            )
        return snapshot.version, record.written_by_person


async def claim(
    store: Store, upload: Upload, *, owner: str, settings: Settings, now: Now
) -> Claim | NothingToDo:
    """Take the lease on one generation of an object, unless its work is done.

    Args:
        upload: bucket, object name and generation; together the idempotency key.
        owner: unique to this delivery; only this owner may renew, record or release.
        now: the clock, for the times in the record. Age ends an upload only by the store's.

    Raises:
        LeaseHeldError: another owner's lease is live. Transient: let it propagate.
        LeaseLostError: the claim landed, and the record was written by others at once.
        GaveUpError: attempts or age ran out; it is recorded already.
        StoreError: the store gave no clear answer.
    """
    identity = record_id(upload.bucket, upload.name)
    started_at = now()
    draft = Draft(
        upload,
        owner,
        1,
        settings.lease_seconds,
        started_at,
        publish=settings.events_topic is not None,
    )
    if upload.age_seconds(started_at) <= settings.max_event_age_seconds:
        try:
            return Claim(store, draft, await store.create(identity, draft.claimed()), now)
        except RecordExistsError:
            pass
    reason: PermanentError | None = None
    fields: Fields = {}
    for _ in range(_ROUNDS):
        snapshot = await store.read(identity)
        if reason and snapshot and _landed(snapshot, fields):
            # Our giving up landed although its answer was lost.
            raise reason
        if snapshot is not None and _is_ours(snapshot, draft):
            return await _taken(Claim(store, draft, snapshot.version, now), snapshot)
        step = Take(attempt=1) if snapshot is None else decide(snapshot, upload.generation)
        if isinstance(step, NothingToDo):
            return step
        if isinstance(step, Held):
            raise LeaseHeldError(
                f"another delivery holds the lease for {step.seconds:.0f} s more",
                retry_after_seconds=step.seconds,
            )
        # The event's time is Google's; so is the store's clock, while ours may be hours off.
        age = upload.age_seconds(snapshot.read_at if snapshot else await store.clock())
        reason = _reason_to_give_up(step, age, settings)
        draft = replace(
            draft,
            attempt=step.attempt,
            refusals=step.refusals,
            refused_since=step.refused_since,
            again=step.again,
        )
        fields = draft.claimed()
        if reason is not None:
            # The attempts that were made are counted, not the one that is not.
            draft = replace(draft, attempt=max(1, step.attempt - 1))
            fields = {**draft.claimed(), **draft.errored(reason, started_at)}
        try:
            if snapshot is None:
                version = await store.create(identity, fields)
            else:
                version = await store.update(identity, fields, version=snapshot.version)
        except (RecordExistsError, VersionConflictError):
            continue
        if reason is not None:
            raise reason
        return Claim(store, draft, version, now, snapshot.fields if snapshot else None)
    raise StoreError(f"the record changed {_ROUNDS} times while it was claimed")


async def _taken(taken: Claim, snapshot: Snapshot) -> Claim | NothingToDo:
    """Take up a claim whose answer was lost, unless a person has written meanwhile."""
    if not Record.parse(snapshot.fields).written_by_person:
        return taken
    await taken.yield_to_person()
    return NothingToDo("by_person")


def _landed(snapshot: Snapshot, fields: Fields) -> bool:
    """Tell a write of ours that landed although its answer was lost.

    Status and lease are in each write and no two writes' are equal; people edit other fields.
    """
    lease = None if fields["lease"] is REMOVE else fields["lease"]
    found = snapshot.fields
    return bool(found.get("status") == fields["status"]) and found.get("lease") == lease


def _is_ours(snapshot: Snapshot, draft: Draft) -> bool:
    """Tell a claim of ours that landed although its answer was lost."""
    record = Record.parse(snapshot.fields)
    return record.lease_owner == draft.owner and record.generation == draft.upload.generation


def _reason_to_give_up(step: Take, age: float, settings: Settings) -> PermanentError | None:
    cause = f"; last cause: {step.last_message}" if step.last_message else ""
    if step.attempt > settings.max_attempts:
        return GaveUpError(f"gave up after {step.attempt - 1} attempts{cause}")
    if age > settings.max_event_age_seconds:
        return GaveUpError(
            f"gave up: the upload is {age:.0f} s old, over MAX_EVENT_AGE_SECONDS of "
            f"{settings.max_event_age_seconds:g}{cause}"
        )
    return None
