"""The ports without a network: a store with Firestore's promises, a scripted model, a bucket.

For tests, and for trying the pipeline where no emulator is installed.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from describer.delivery.event import Upload
from describer.errors import ObjectGoneError, RecordExistsError, VersionConflictError
from describer.images.loading import Image
from describer.images.room import Buffer, FullError
from describer.model.prompt import Instructions
from describer.model.stream import Chunk
from describer.records.store import CALL_SECONDS, REMOVE, Fields, Snapshot, Version


@dataclass(slots=True)
class _Document:
    fields: dict[str, Any]
    version: int
    written_at: datetime


class MemoryStore:
    """See `describer.records.store.Store`.

    Attributes:
        writes: every write that landed, as (record id, fields after it), in order.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Start empty.

        Args:
            clock: the store's own clock.
        """
        self._clock = clock
        self._documents: dict[str, _Document] = {}
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

    def delete(self, record_id: str) -> None:
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


class MemoryBucket:
    """See `describer.images.bucket.Bucket`. Objects by name alone."""

    def __init__(self, objects: Mapping[str, bytes] | None = None) -> None:
        self._objects = objects or {}

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        await asyncio.sleep(0)
        content = self._objects.get(upload.name)
        if content is None:
            raise ObjectGoneError(f"there is no {upload.name}")
        try:
            into.write(content)
        except FullError:
            return False
        return True


@dataclass(slots=True)
class Script:
    """What a scripted model does once: steps in order, each a chunk, a pause or an error."""

    steps: Iterable[Chunk | float | Exception] = ()
    refusal: Exception | None = None


@dataclass(slots=True)
class ScriptedModel:
    """See `describer.model.chat.Model`. Plays scripts in order, the last one over and over.

    Attributes:
        begun: requests that were accepted, and so paid for, as (model, image's address or size).
        hung_up: how many were left before their end.
    """

    scripts: list[Script]
    begun: list[tuple[str, str]] = field(default_factory=list)
    hung_up: int = 0

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        await asyncio.sleep(0)
        if script.refusal is not None:
            raise script.refusal
        self.begun.append((instructions.model, image.uri or f"{image.size} bytes"))
        image.sent()
        ended = False

        async def chunks() -> AsyncIterator[Chunk]:
            nonlocal ended
            for step in script.steps:
                if isinstance(step, Exception):
                    ended = True
                    raise step
                if isinstance(step, Chunk):
                    yield step
                else:
                    await asyncio.sleep(step)
            ended = True

        try:
            yield chunks()
        finally:
            self.hung_up += not ended

    async def close(self) -> None:
        """See `Model.close`."""


def text_script(text: str, *, chunk_seconds: float = 0.0, size: int = 12) -> Script:
    """Make the script of a text that comes in pieces and ends well."""
    steps: list[Chunk | float | Exception] = []
    for at in range(0, len(text), size):
        steps += [chunk_seconds, Chunk(text[at : at + size])]
    return Script([*steps, Chunk("", finish_reason="stop")])
