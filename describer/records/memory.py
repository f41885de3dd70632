"""A store in memory with Firestore's promises: for tests, and where no emulator is installed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from describer.errors import RecordExistsError, VersionConflictError
from describer.records.store import CALL_SECONDS, REMOVE, Fields, Snapshot, Version


@dataclass(slots=True)
class _Document:
    fields: dict[str, Any]
    version: int
    written_at: datetime


class MemoryStore:
    """See `describer.records.store.Store`.

    Attributes:
        writes: every write that landed, as (record id, fields after it), in order; of a deletion
            there are none after it.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Start empty.

        Args:
            clock: the store's own clock.
        """
        self._clock = clock
        self._documents: dict[str, _Document] = {}
        self._counters: dict[str, int] = {}
        self._notes: dict[str, Mapping[str, Any]] = {}
        self._versions = 0
        self.writes: list[tuple[str, Mapping[str, Any]]] = []

    async def create(self, record_id: str, fields: Fields) -> Version:
        """See `Store.create`."""
        await asyncio.sleep(0)
        if record_id in self._documents:
            raise RecordExistsError(f"{record_id} exists")
        return self._write(record_id, {}, fields)

    async def read(self, record_id: str) -> Snapshot | None:
        """See `Store.read`."""
        await asyncio.sleep(0)
        found = self._documents.get(record_id)
        if found is None:
            return None
        now = self._clock()
        unchanged = (now - found.written_at).total_seconds()
        return Snapshot(copy.deepcopy(found.fields), found.version, unchanged, now)

    async def clock(self) -> datetime:
        """See `Store.clock`."""
        await asyncio.sleep(0)
        return self._clock()

    async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """See `Store.read_many`."""
        found = {record_id: await self.read(record_id) for record_id in record_ids}
        return {record_id: snapshot for record_id, snapshot in found.items() if snapshot}

    async def read_note(self, name: str) -> Mapping[str, Any]:
        """See `Store.read_note`."""
        await asyncio.sleep(0)
        return copy.deepcopy(self._notes.get(name, {}))

    async def write_note(self, name: str, fields: Fields) -> None:
        """See `Store.write_note`."""
        await asyncio.sleep(0)
        self._notes[name] = copy.deepcopy(dict(fields))

    async def find(
        self, equal: Mapping[str, str | bool], *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Store.find`."""
        await asyncio.sleep(0)
        fitting = [
            fields
            for fields in self.documents().values()
            if all(_at(fields, path) == value for path, value in equal.items())
        ]
        return fitting[:limit]

    async def add(self, counter: str, by: int) -> int:
        """See `Store.add`."""
        await asyncio.sleep(0)
        self._counters[counter] = self._counters.get(counter, 0) + by
        return self._counters[counter]

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,  # noqa: ARG002
    ) -> Version:
        """See `Store.update`."""
        await asyncio.sleep(0)
        found = self._documents.get(record_id)
        if found is None or found.version != version:
            raise VersionConflictError(f"{record_id} is not at version {version}")
        return self._write(record_id, found.fields, fields)

    async def delete(self, record_id: str, *, version: Version) -> None:
        """See `Store.delete`."""
        await asyncio.sleep(0)
        found = self._documents.get(record_id)
        if found is None or found.version != version:
            raise VersionConflictError(f"{record_id} is not at version {version}")
        del self._documents[record_id]
        self.writes.append((record_id, {}))

    def discard(self, record_id: str) -> None:
        """Delete a document, as an operator would."""
        self._documents.pop(record_id, None)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Give a copy of every document by its id."""
        return {key: copy.deepcopy(found.fields) for key, found in self._documents.items()}

    def _write(self, record_id: str, before: dict[str, Any], fields: Fields) -> int:
        after = {**before, **copy.deepcopy(dict(fields))}
        after = {name: value for name, value in after.items() if value is not REMOVE}
        self._versions += 1
        self._documents[record_id] = _Document(after, self._versions, self._clock())
        self.writes.append((record_id, copy.deepcopy(after)))
        return self._versions


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """Give the value at a path such as `status.state`, or None."""
    value: Any = fields
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
