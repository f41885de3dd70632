"""The store's promises: one suite over the in-memory store and the Firestore emulator."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from describer.build import build_store
from describer.errors import RecordExistsError, VersionConflictError
from describer.records.memory import MemoryStore
from describer.records.store import REMOVE, Store
from describer.settings import Settings

Check = Callable[[Store], Awaitable[None]]
NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "firestore"])
def check(request: pytest.FixtureRequest) -> Callable[[Check], None]:
    """Run a check on an empty store of each kind."""
    if request.param == "memory":
        return lambda what: asyncio.run(what(MemoryStore()))  # type: ignore[arg-type]
    request.getfixturevalue("firestore_server")

    async def on_emulator(what: Check) -> None:
        settings = Settings(google_cloud_project=f"demo-{os.urandom(4).hex()}")
        store = build_store(settings)
        try:
            await what(store)
        finally:
            await store.close()

    return lambda what: asyncio.run(on_emulator(what))


def test_create_makes_what_read_gives(check: Callable[[Check], None]) -> None:
    """All types that the record uses, unchanged; REMOVE leaves a field out."""
    fields = {
        "text": "é\U0001f408\u2028\0",
        "n": 2**53,
        "at": NOW,
        "map": {"a": {"b": 1}},
        "list": ["a", "é", ""],
        "empty list": [],
        "yes": True,
        "x": REMOVE,
    }

    async def what(store: Store) -> None:
        version = await store.create("r1", fields)
        found = await store.read("r1")
        assert found is not None
        assert found.version == version
        assert found.fields == {k: v for k, v in fields.items() if v is not REMOVE}
        assert 0 <= found.unchanged_seconds < 60
        before, at = await store.clock(), datetime.now(UTC)
        assert abs((before - at).total_seconds()) < 60
        assert found.read_at <= before <= await store.clock()

    check(what)


def test_read_of_nothing_is_none(check: Callable[[Check], None]) -> None:
    """Not an error."""

    async def what(store: Store) -> None:
        assert await store.read("r1") is None

    check(what)


def test_create_needs_absence_and_update_presence(check: Callable[[Check], None]) -> None:
    """Each has an error of its own."""

    async def what(store: Store) -> None:
        version = await store.create("r1", {"a": 1})
        with pytest.raises(RecordExistsError):
            await store.create("r1", {"a": 2})
        with pytest.raises(VersionConflictError):
            await store.update("r2", {"a": 1}, version=version)

    check(what)


def test_update_replaces_named_fields_and_keeps_others(check: Callable[[Check], None]) -> None:
    """A map is replaced whole; REMOVE removes, also what is not there."""

    async def what(store: Store) -> None:
        version = await store.create("r1", {"a": {"x": 1, "y": 2}, "b": 1, "c": 1})
        changes = {"a": {"x": 3}, "c": REMOVE, "d": REMOVE}
        await store.update("r1", changes, version=version)
        found = await store.read("r1")
        assert found is not None
        assert found.fields == {"a": {"x": 3}, "b": 1}

    check(what)


def test_each_version_can_be_updated_once(check: Callable[[Check], None]) -> None:
    """The fence: a writer with an old version never writes."""

    async def what(store: Store) -> None:
        first = await store.create("r1", {"n": 0})
        second = await store.update("r1", {"n": 1}, version=first)
        with pytest.raises(VersionConflictError):
            await store.update("r1", {"n": 2}, version=first)
        third = await store.update("r1", {"n": 3}, version=second)
        found = await store.read("r1")
        assert found is not None
        assert (found.fields, found.version) == ({"n": 3}, third)

    check(what)


def test_each_version_can_be_deleted_once(check: Callable[[Check], None]) -> None:
    """Not an old one, nor what is not there; afterwards there is nothing."""

    async def what(store: Store) -> None:
        first = await store.create("r1", {"n": 0})
        second = await store.update("r1", {"n": 1}, version=first)
        with pytest.raises(VersionConflictError):
            await store.delete("r1", version=first)
        await store.delete("r1", version=second)
        assert await store.read("r1") is None
        with pytest.raises(VersionConflictError):
            await store.delete("r1", version=second)
        await store.create("r1", {"n": 2})

    check(what)


@pytest.mark.parametrize("kind", ["create", "update"])
def test_a_race_has_one_winner(check: Callable[[Check], None], kind: str) -> None:
    """Counted over ten rounds of eight."""

    async def what(store: Store) -> None:
        for at in range(10):
            name = f"r{at}"
            if kind == "create":
                racers = [store.create(name, {"n": n}) for n in range(8)]
            else:
                version = await store.create(name, {"n": -1})
                racers = [store.update(name, {"n": n}, version=version) for n in range(8)]
            results = await asyncio.gather(*racers, return_exceptions=True)
            lost = [r for r in results if isinstance(r, RecordExistsError | VersionConflictError)]
            assert len(lost) == 7

    check(what)


def test_find_gives_what_equals(check: Callable[[Check], None]) -> None:
    """All of the fields asked for, other documents not, and no more than asked for."""

    async def what(store: Store) -> None:
        for name in ("r1", "r2", "r3"):
            await store.create(name, {"md5Hash": "m", "promptHash": "p", "name": name})
        await store.create("r4", {"md5Hash": "m", "promptHash": "other"})
        await store.create("r5", {"md5Hash": "m"})
        found = await store.find({"md5Hash": "m", "promptHash": "p"}, limit=5)
        assert sorted(fields["name"] for fields in found) == ["r1", "r2", "r3"]
        assert len(await store.find({"md5Hash": "m", "promptHash": "p"}, limit=2)) == 2
        assert list(await store.find({"md5Hash": "n"}, limit=5)) == []
        await store.create("r6", {"unpublished": True, "status": {"state": "PROCESSING"}})
        await store.create("r7", {"unpublished": False, "status": "PROCESSING"})
        for equal in ({"unpublished": True}, {"status.state": "PROCESSING"}):
            (fields,) = await store.find(equal, limit=5)
            assert fields["unpublished"] is True

    check(what)


def test_read_many_gives_those_that_there_are(check: Callable[[Check], None]) -> None:
    """Each as `read` does; a hundred in one call."""

    async def what(store: Store) -> None:
        versions = {f"r{n}": await store.create(f"r{n}", {"n": n}) for n in range(0, 100, 2)}
        found = await store.read_many([f"r{n}" for n in range(100)])
        assert {name: snapshot.version for name, snapshot in found.items()} == versions
        assert all(snapshot.fields == {"n": int(name[1:])} for name, snapshot in found.items())
        assert all(snapshot.unchanged_seconds >= 0 for snapshot in found.values())

    check(what)


def test_a_note_is_what_was_written_last(check: Callable[[Check], None]) -> None:
    """Beside the records, and none of them."""

    async def what(store: Store) -> None:
        assert dict(await store.read_note("position")) == {}
        await store.write_note("position", {"bucket": "b", "name": "a"})
        await store.write_note("position", {"bucket": "", "name": ""})
        assert dict(await store.read_note("position")) == {"bucket": "", "name": ""}
        assert await store.read("position") is None

    check(what)


def test_add_gives_the_sum(check: Callable[[Check], None]) -> None:
    """From nothing on, at once as well, and beside the records."""

    async def what(store: Store) -> None:
        assert await store.add("2026-11-24", 3) == 3
        sums = await asyncio.gather(*(store.add("2026-11-24", 1) for _ in range(20)))
        assert sorted(sums) == list(range(4, 24))
        assert await store.add("2026-11-25", 1) == 1
        assert await store.read("2026-11-24") is None

    check(what)
