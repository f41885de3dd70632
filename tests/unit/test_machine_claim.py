"""One model of the record for both stores: whatever claims, writes and crashes come in any order.

Finer than the pipeline's machine: here Hypothesis chooses each single write of each owner. The
same rules run against the store in memory and against Firestore's emulator, so that the one can
stand in for the other.
"""

# ruff: noqa: D102, PT017 - the name of a rule says it; a rule may raise or not
from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from describer.build import build_store
from describer.delivery.claim import Claim, NothingToDo, claim
from describer.errors import (
    EmptyDescriptionError,
    GaveUpError,
    LeaseHeldError,
    LeaseLostError,
    RecordExistsError,
    VersionConflictError,
)
from describer.model.description import Description
from describer.records.firestore import FirestoreStore
from describer.records.memory import MemoryStore
from describer.records.record import record_id
from describer.records.store import CALL_SECONDS, Fields, Snapshot, Store, Version
from describer.settings import Settings
from describer.values import Upload
from local.servers.processes import Server
from tests.virtual import EPOCH

T = TypeVar("T")

LEASE_SECONDS = 60.0
SETTINGS = Settings(lease_seconds=LEASE_SECONDS, max_attempts=4)
BUCKET, NAME = "uploads", "a.jpg"
IDENTITY = record_id(BUCKET, NAME)


class Clocked:
    """A store whose own clock the machine turns, and that may lose the answer of a write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds = 0.0
        self.written_at = 0.0
        self.loses_answer = False

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Create, twice if the first answer is lost."""
        version = await self._store.create(record_id, fields)
        self.written_at = self.seconds
        if self._lost():
            await self._store.create(record_id, fields)
        return version

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """Update, twice if the first answer is lost."""
        written = await self._store.update(record_id, fields, version=version)
        self.written_at = self.seconds
        if self._lost():
            await self._store.update(record_id, fields, version=version)
        return written

    async def read(self, record_id: str) -> Snapshot | None:
        """Read, with the time that passed on the machine's clock."""
        found = await self._store.read(record_id)
        if found is None:
            return None
        assert 0 <= found.unchanged_seconds < LEASE_SECONDS / 2
        return replace(found, unchanged_seconds=self.seconds - self.written_at)

    async def clock(self) -> datetime:
        """See `Store.clock`."""
        return await self._store.clock()

    def _lost(self) -> bool:
        lost, self.loses_answer = self.loses_answer, False
        return lost


@dataclass
class Model:
    """What the record should say, worked out without looking at it."""

    generation: int = 0
    attempt: int = 0
    state: str = "none"
    holder: str | None = None
    renewed_at: float = 0.0
    text: str | None = None


@dataclass(frozen=True)
class Held:
    """A claim that was taken, as its owner sees it."""

    owner: str
    generation: int
    attempt: int
    claim: Claim


class ClaimMachine(RuleBasedStateMachine):
    """See the module. Subclasses say which store."""

    claims: Bundle[Held] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = Clocked(self.make_store())
        self.model = Model()
        self.owners = 0
        self.generations = 1

    def make_store(self) -> Store:
        """Give an empty store."""
        raise NotImplementedError

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @rule()
    def the_object_is_overwritten(self) -> None:
        self.generations = min(4, self.generations + 1)

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0, 59.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.store.seconds += seconds

    @rule(
        target=claims,
        older=st.integers(0, 3),
        skew=st.floats(-30, 30),
        lost=st.booleans(),
    )
    def a_delivery_claims(self, older: int, skew: float, lost: bool) -> Any:
        """Skew: its clock, against which no other is ever compared."""
        generation = max(1, self.generations - older)
        self.owners += 1
        owner = f"owner {self.owners}"
        upload = Upload(BUCKET, NAME, generation, "image/jpeg", 1, f"event {generation}")
        self.store.loses_answer = lost
        expected, model = self.expected(generation), self.model
        try:
            found = self.do(
                claim(self.store, upload, owner=owner, settings=SETTINGS, now=self.clock(skew))
            )
        except (LeaseHeldError, GaveUpError) as exc:
            assert type(exc) is expected
            if isinstance(exc, GaveUpError):
                self.model = Model(generation, model.attempt, "ERRORED")
            return multiple()
        finally:
            self.store.loses_answer = False
        if isinstance(found, NothingToDo):
            assert found.outcome == expected
            return multiple()
        attempt = 1 if generation > model.generation else model.attempt + 1
        assert expected == attempt == found.draft.attempt
        self.model = Model(generation, attempt, "PROCESSING", owner, self.store.seconds)
        return Held(owner, generation, attempt, found)

    def expected(self, generation: int) -> object:
        """Say what a claim must come to: a word, an error, or the number of the attempt."""
        model = self.model
        if generation < model.generation:
            return "superseded"
        if generation > model.generation:
            return 1
        if model.state in {"COMPLETED", "ERRORED"}:
            return "duplicate"
        if model.holder and self.store.seconds - model.renewed_at < LEASE_SECONDS:
            return LeaseHeldError
        return model.attempt + 1 if model.attempt < SETTINGS.max_attempts else GaveUpError

    @rule(held=claims, lost=st.booleans(), text=st.text(min_size=1, max_size=5))
    def it_writes_partial_text(self, held: Held, lost: bool, text: str) -> None:
        if self.write(held, held.claim.partial(text), lost=lost):
            self.model.renewed_at = self.store.seconds
            self.model.text = text

    @rule(held=claims, lost=st.booleans())
    def it_renews_its_lease(self, held: Held, lost: bool) -> None:
        if self.write(held, held.claim.renew(), lost=lost):
            self.model.renewed_at = self.store.seconds

    @rule(held=consumes(claims), lost=st.booleans())
    def it_releases(self, held: Held, lost: bool) -> None:
        if self.write(held, held.claim.release("for now"), lost=lost):
            self.model.holder = self.model.text = None

    @rule(held=consumes(claims), lost=st.booleans(), text=st.text(min_size=1, max_size=5))
    def it_completes(self, held: Held, lost: bool, text: str) -> None:
        description = Description(text, "stop", None)
        if self.write(held, held.claim.complete(description), lost=lost):
            self.model.state, self.model.holder, self.model.text = "COMPLETED", None, text

    @rule(held=consumes(claims), lost=st.booleans())
    def it_fails_for_good(self, held: Held, lost: bool) -> None:
        if self.write(held, held.claim.fail(EmptyDescriptionError("nothing")), lost=lost):
            self.model.state, self.model.holder, self.model.text = "ERRORED", None, None

    @rule(held=consumes(claims))
    def it_crashes(self, held: Held) -> None:
        """Nothing is written any more; the lease stays until it ends."""

    @rule()
    def somebody_adds_a_field_of_their_own(self) -> None:
        """An edit of what is not ours costs nobody the lease, and is kept."""

        async def edit() -> None:
            found = await self.store.read(IDENTITY)
            if found is not None:
                await self.store.update(IDENTITY, {"note": "mine"}, version=found.version)
                self.model.renewed_at = self.store.seconds

        self.do(edit())

    def write(self, held: Held, work: Coroutine[Any, Any, None], *, lost: bool) -> bool:
        """Do one write of a claim; it must land exactly if the claim still holds the record."""
        model = self.model
        holds = model.holder == held.owner
        self.store.loses_answer = lost
        try:
            self.do(work)
        except LeaseLostError as exc:
            assert not holds
            assert exc.superseded == (model.generation > held.generation)
            return False
        finally:
            self.store.loses_answer = False
        assert holds
        return True

    @invariant()
    def the_record_says_what_the_model_says(self) -> None:
        found, model = self.do(self.store.read(IDENTITY)), self.model
        if found is None:
            assert model.state == "none"
            return
        fields = found.fields
        status = fields["status"]
        assert (fields["generation"], status["attempt"]) == (model.generation, model.attempt)
        assert status["state"] == model.state
        assert fields.get("lease", {}).get("owner") == model.holder
        completed = model.state == "COMPLETED"
        assert fields.get("description") == (model.text if completed else None)
        assert fields.get("partialText") == (None if completed else model.text)

    def clock(self, skew: float) -> Any:
        def now() -> datetime:
            # Each reading differs, as on a real clock: it tells one write from another.
            self.ticks += 1
            return EPOCH + timedelta(seconds=self.store.seconds + skew, microseconds=self.ticks)

        return now

    ticks = 0

    def teardown(self) -> None:
        self.runner.close()


class MemoryClaimMachine(ClaimMachine):
    """Over the store in memory."""

    def make_store(self) -> Store:
        return MemoryStore(lambda: EPOCH)


def empty_firestore() -> FirestoreStore:
    """Connect to a database of its own in the emulator."""
    return build_store(Settings(google_cloud_project=f"demo-{os.urandom(4).hex()}"))


def run(machine: type[ClaimMachine], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=limits(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_store_in_memory_keeps_to_the_model() -> None:
    """Thousands of steps."""
    run(MemoryClaimMachine, examples=150, steps=40)


def test_firestore_keeps_to_the_model(firestore_server: Server) -> None:
    """The same against the emulator, where one collection is one history."""

    class EmulatorClaimMachine(ClaimMachine):
        def make_store(self) -> Store:
            self.connection = empty_firestore()
            return self.connection

        def teardown(self) -> None:
            self.do(self.connection.close())
            super().teardown()

    run(EmulatorClaimMachine, examples=15, steps=30)


def test_both_stores_refuse_alike(firestore_server: Server) -> None:
    """The preconditions that the whole design stands on."""

    async def refusals(store: Store) -> list[type[Exception]]:
        first = await store.create("x", {"a": 1})
        second = await store.update("x", {"b": 2}, version=first)
        errors: list[type[Exception]] = []
        for work in (
            store.create("x", {"a": 3}),
            store.update("x", {"a": 3}, version=first),
            store.update("y", {"a": 3}, version=second),
        ):
            try:
                await work
            except (RecordExistsError, VersionConflictError) as exc:
                errors.append(type(exc))
        found = await store.read("x")
        assert found is not None
        assert dict(found.fields) == {"a": 1, "b": 2}
        assert found.version == second
        assert await store.read("y") is None
        return errors

    async def both() -> None:
        connection = empty_firestore()
        expected = [RecordExistsError, VersionConflictError, VersionConflictError]
        assert await refusals(MemoryStore()) == expected
        assert await refusals(connection) == expected
        await connection.close()

    asyncio.run(both())
