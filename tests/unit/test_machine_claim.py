"""One model of the record for both stores: whatever claims, writes and crashes come in any order.

Finer than the pipeline's machine: here Hypothesis chooses each single write of each owner. The
same rules run against the store in memory and against Firestore's emulator, so that the one can
stand in for the other.
"""

# ruff: noqa: D102 - the name of a rule says it
from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
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
from describer.records.record import asked_again, record_id
from describer.records.store import CALL_SECONDS, Fields, Snapshot, Store, Version
from describer.settings import Settings
from describer.values import Upload
from local.servers.processes import Server
from tests.virtual import EPOCH

LEASE_SECONDS = 60.0
SETTINGS = Settings(lease_seconds=LEASE_SECONDS, max_attempts=4)
BUCKET, NAME = "uploads", "a.jpg"
IDENTITY = record_id(BUCKET, NAME)
BY_HAND: Fields = {"description": "by hand", "source": "person"}


class Clocked:
    """A store whose own clock the machine turns, and that may lose the answer of a write.

    Attributes:
        meanwhile: the next write's answer is lost; this happens before the client tries again.
        landed: called when a write has landed, before anything else can happen.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds = 0.0
        self.written_at = 0.0
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.landed: Callable[[], None] = lambda: None

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Create, twice if the first answer is lost."""
        return await self._write(lambda: self._store.create(record_id, fields))

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """Update, twice if the first answer is lost."""
        return await self._write(lambda: self._store.update(record_id, fields, version=version))

    async def delete(self, record_id: str, *, version: Version) -> None:
        """See `Store.delete`."""
        await self._store.delete(record_id, version=version)

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

    async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """See `Store.read_many`."""
        return await self._store.read_many(record_ids)

    async def read_note(self, name: str) -> Mapping[str, Any]:
        """See `Store.read_note`."""
        return await self._store.read_note(name)

    async def write_note(self, name: str, fields: Fields) -> None:
        """See `Store.write_note`."""
        await self._store.write_note(name, fields)

    async def find(
        self, equal: Mapping[str, str | bool], *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Store.find`."""
        return await self._store.find(equal, limit=limit)

    async def add(self, counter: str, by: int) -> int:
        """See `Store.add`."""
        return await self._store.add(counter, by)

    async def _write(self, write: Callable[[], Awaitable[Version]]) -> Version:
        version = await self._try(write)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is None:
            return version
        await meanwhile()
        return await self._try(write)

    async def _try(self, write: Callable[[], Awaitable[Version]]) -> Version:
        version = await write()
        self.written_at = self.seconds
        self.landed()
        return version


# What may come between a write that landed and the client's next try of it, the answer being lost.
MEANWHILE = ("nothing", "note", "person", "delete", "overwrite", "takeover", "ask again")
lost_answers = st.none() | st.sampled_from(MEANWHILE)


@dataclass
class Model:
    """What the record should say, worked out without looking at it.

    Attributes:
        stands: the finished text of this generation, which stays while it is described again.
        wrote: who wrote it last, people left aside.
    """

    generation: int = 0
    attempt: int = 0
    state: str = "none"
    holder: str | None = None
    renewed_at: float = 0.0
    text: str | None = None
    stands: str | None = None
    wrote: str | None = None
    by_hand: bool = False

    def end(self, state: str, text: str | None = None) -> None:
        self.state, self.text, self.holder = state, None, None
        self.stands = self.stands if text is None else text


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
        self.taken: list[Held] = []
        self.yielded: set[str] = set()

    def make_store(self) -> Store:
        """Give an empty store."""
        raise NotImplementedError

    def delete(self) -> None:
        """Delete the record, past the store's port."""
        raise NotImplementedError

    def do(self, work: Coroutine[Any, Any, None]) -> Any:
        """Run what a rule does; give the claims that were taken meanwhile."""
        self.taken = []
        self.runner.run(work)
        return multiple(*self.taken)

    @rule()
    def the_object_is_overwritten(self) -> None:
        self.generations = min(4, self.generations + 1)

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0, 59.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.store.seconds += seconds

    @rule(target=claims, older=st.integers(0, 3), skew=st.floats(-30, 30), lost=lost_answers)
    def a_delivery_claims(self, older: int, skew: float, lost: str | None) -> Any:
        """Skew: its clock, against which no other is ever compared."""
        return self.do(self.claims_one(max(1, self.generations - older), skew=skew, lost=lost))

    async def claims_one(self, generation: int, *, skew: float, lost: str | None = None) -> None:
        self.owners += 1
        owner = f"owner {self.owners}"
        upload = Upload(BUCKET, NAME, generation, "image/jpeg", 1, f"event {generation}")
        expected = self.expected(generation, owner)

        def landed() -> None:
            if self.model.holder == owner:
                # It wrote, a person wrote, it saw that, and ends.
                assert self.model.by_hand
                self.model.end("COMPLETED")
            elif self.expected(generation, owner) is GaveUpError and self.model.state != "none":
                self.model.end("ERRORED")
                self.model.wrote = owner
            else:
                same = generation == self.model.generation
                self.model = Model(
                    generation,
                    self.next_attempt(generation),
                    "PROCESSING",
                    owner,
                    self.store.seconds,
                    stands=self.model.stands if same else None,
                    wrote=owner,
                )

        found: object
        try:
            with self.losing(lost, landed, generation):
                found = await claim(
                    self.store, upload, owner=owner, settings=SETTINGS, now=self.clock(skew)
                )
        except (LeaseHeldError, GaveUpError) as exc:
            found = type(exc)
        expected = self.expected(generation, owner)
        if isinstance(found, NothingToDo):
            assert found.outcome == expected
        elif isinstance(found, Claim):
            assert expected == found.draft.attempt
            self.taken.append(Held(owner, generation, found.draft.attempt, found))
        else:
            assert found is expected

    def next_attempt(self, generation: int) -> int:
        return 1 if generation > self.model.generation else self.model.attempt + 1

    def expected(self, generation: int, owner: str) -> object:
        """Say what a claim must come to: a word, an error, or the number of the attempt."""
        model = self.model
        if model.wrote == owner and model.state == "ERRORED":
            return GaveUpError
        if model.by_hand:
            return "by_person"
        if model.holder == owner:
            return model.attempt
        if generation < model.generation:
            return "superseded"
        if generation > model.generation:
            return 1
        if model.state in {"COMPLETED", "ERRORED"}:
            return "duplicate"
        if model.holder and self.store.seconds - model.renewed_at < LEASE_SECONDS:
            return LeaseHeldError
        attempt = self.next_attempt(generation)
        return attempt if attempt <= SETTINGS.max_attempts else GaveUpError

    @rule(target=claims, held=claims, lost=lost_answers, text=st.text(min_size=1, max_size=5))
    def it_writes_partial_text(self, held: Held, lost: str | None, text: str) -> Any:
        def landed() -> None:
            self.model.renewed_at = self.store.seconds
            self.model.text = text

        return self.do(self.write(held, held.claim.partial(text), landed, lost=lost))

    @rule(target=claims, held=claims, lost=lost_answers)
    def it_renews_its_lease(self, held: Held, lost: str | None) -> Any:
        def landed() -> None:
            self.model.renewed_at = self.store.seconds

        return self.do(self.write(held, held.claim.renew(), landed, lost=lost))

    @rule(target=claims, held=consumes(claims), lost=lost_answers)
    def it_releases(self, held: Held, lost: str | None) -> Any:
        def landed() -> None:
            self.model.end("PROCESSING")

        return self.do(self.write(held, held.claim.release("for now"), landed, lost=lost))

    @rule(
        target=claims,
        held=consumes(claims),
        lost=lost_answers,
        text=st.text(min_size=1, max_size=5),
    )
    def it_completes(self, held: Held, lost: str | None, text: str) -> Any:
        def landed() -> None:
            self.model.end("COMPLETED", text)

        work = held.claim.complete(Description(text, "stop", None))
        return self.do(self.write(held, work, landed, lost=lost))

    @rule(target=claims, held=consumes(claims), lost=lost_answers)
    def it_fails_for_good(self, held: Held, lost: str | None) -> Any:
        def landed() -> None:
            self.model.end("ERRORED")

        work = held.claim.fail(EmptyDescriptionError("nothing"))
        return self.do(self.write(held, work, landed, lost=lost))

    @rule(held=consumes(claims))
    def it_crashes(self, held: Held) -> None:
        """Nothing is written any more; the lease stays until it ends."""

    @rule()
    def somebody_adds_a_field_of_their_own(self) -> None:
        """An edit of what is not ours costs nobody the lease, and is kept."""
        self.do(self.edit({"note": "mine"}))

    @rule()
    def a_person_describes(self) -> None:
        """Never overwritten from then on."""
        self.do(self.edit(BY_HAND))

    @rule()
    def an_operator_deletes(self) -> None:
        self.delete()
        self.model = Model()

    @rule()
    def an_operator_has_it_described_again(self) -> None:
        """What is finished is free again, its attempts counted anew; its text stays meanwhile."""
        self.do(self.ask_again())

    async def ask_again(self) -> None:
        found = await self.store.read(IDENTITY)
        if self.model.state in {"COMPLETED", "ERRORED"} and not self.model.by_hand:
            assert found is not None
            with self.losing(None, lambda: None, 0):
                fields = asked_again(found.fields, self.clock(0.0)())
                await self.store.update(IDENTITY, fields, version=found.version)
            self.model.end("PROCESSING")
            self.model.attempt, self.model.wrote = 0, "an operator"

    async def edit(self, fields: Fields) -> None:
        found = await self.store.read(IDENTITY)
        if found is not None:
            with self.losing(None, lambda: None, 0):
                await self.store.update(IDENTITY, fields, version=found.version)
            self.model.renewed_at = self.store.seconds
            self.model.by_hand = self.model.by_hand or fields is BY_HAND

    @contextlib.contextmanager
    def losing(
        self, lost: str | None, landed: Callable[[], None], generation: int
    ) -> Iterator[None]:
        """Have the model follow each write that lands, and something happen before its retry."""

        async def meanwhile() -> None:
            assert lost is not None
            with self.losing(None, lambda: None, 0):
                await self.happens(lost, generation)

        before = self.store.landed, self.store.meanwhile
        self.store.landed = landed
        self.store.meanwhile = None if lost is None else meanwhile
        try:
            yield
        finally:
            self.store.landed, self.store.meanwhile = before

    async def happens(self, what: str, generation: int) -> None:
        match what:
            case "note":
                await self.edit({"note": "mine"})
            case "person":
                await self.edit(BY_HAND)
            case "delete":
                self.an_operator_deletes()
            case "ask again":
                await self.ask_again()
            case "overwrite":
                self.generations = max(self.generations, generation + 1)
                await self.claims_one(generation + 1, skew=0.0)
            case "takeover":
                self.store.seconds += LEASE_SECONDS + 1
                await self.claims_one(generation, skew=0.0)

    async def write(
        self,
        held: Held,
        work: Coroutine[Any, Any, None],
        landed: Callable[[], None],
        *,
        lost: str | None,
    ) -> None:
        """Do one write of a claim; it must land exactly if the claim still holds the record."""
        landings, yielded, lost_to = 0, False, None

        def lands() -> None:
            nonlocal landings, yielded
            landings += 1
            assert self.model.holder == held.owner
            self.model.wrote = held.owner
            yielded = self.model.by_hand
            if yielded:
                self.model.end("COMPLETED")
            else:
                landed()

        try:
            with self.losing(lost, lands, held.generation):
                await work
        except LeaseLostError as exc:
            lost_to = exc
        if landings and self.model.wrote == held.owner:
            # It stands, whatever happened meanwhile; beside a person's text nothing goes on.
            assert not (self.model.holder and self.model.by_hand)
            assert (lost_to is not None) == yielded
            if lost_to is not None:
                self.yielded.add(held.owner)
                assert lost_to.superseded
        else:
            assert lost_to is not None
            newer = self.model.generation > held.generation
            assert lost_to.superseded == (newer or held.owner in self.yielded)

    @invariant()
    def the_record_says_what_the_model_says(self) -> None:
        found, model = self.runner.run(self.store.read(IDENTITY)), self.model
        if found is None:
            assert model.state == "none"
            return
        fields = found.fields
        status = fields["status"]
        assert (fields["generation"], status["attempt"]) == (model.generation, model.attempt)
        assert status["state"] == model.state
        assert fields.get("lease", {}).get("owner") == model.holder
        if model.by_hand:
            assert {"description", "source"} <= set(fields)
            assert {name: fields[name] for name in BY_HAND} == BY_HAND
            return
        assert fields.get("description") == model.stands
        assert fields.get("partialText") == model.text

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
        self.memory = MemoryStore(lambda: EPOCH)
        return self.memory

    def delete(self) -> None:
        self.memory.discard(IDENTITY)


def empty_firestore() -> FirestoreStore:
    """Connect to a database of its own in the emulator."""
    return build_store(Settings(google_cloud_project=new_project()))


def new_project() -> str:
    return f"demo-{os.urandom(4).hex()}"


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
            project = new_project()
            self.connection = build_store(Settings(google_cloud_project=project))
            self.library = firestore.Client(project=project, credentials=AnonymousCredentials())
            return self.connection

        def delete(self) -> None:
            self.library.collection("descriptions").document(IDENTITY).delete()

        def teardown(self) -> None:
            self.library.close()
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
