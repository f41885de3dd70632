"""Others are told of each end of a record, at least once.

    outcome, `unpublished` ──► event ──► confirmed ──► the mark goes ──► the delivery is answered
             │                   │            │
             └───────────────────┴────────────┴── it ends here: the delivery comes again, finds the
                                                  outcome and the mark, and publishes

The mark is written with the outcome, so that no end goes by in silence; only records that were
finished with EVENTS_TOPIC have one. A deletion leaves no place for a mark: its event goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from describer.errors import StoreError, VersionConflictError
from describer.publishing.message import of_deleted, of_finished
from describer.publishing.port import Publisher
from describer.records.record import Record
from describer.records.store import REMOVE, Store

# Each round means that somebody wrote in between.
_ROUNDS = 5


class Announcer:
    """Publishes what became of records, or nothing where there is no topic."""

    def __init__(self, store: Store, publisher: Publisher | None) -> None:
        self._store = store
        self._publisher = publisher

    async def finished(self, record_id: str) -> bool:
        """Publish the outcome of a record, if that is not confirmed yet.

        Returns:
            Whether there was something to publish.

        Raises:
            PublishError, StoreError, TokenError: no clear answer; it may be published all the same.
        """
        if self._publisher is None:
            return False
        published = ""
        for _ in range(_ROUNDS):
            snapshot = await self._store.read(record_id)
            if snapshot is None or not Record.parse(snapshot.fields).unpublished:
                return bool(published)
            message = of_finished(record_id, snapshot.fields)
            if message.id != published:
                await self._publisher.publish(message)
                published = message.id
            try:
                await self._store.update(
                    record_id, {"unpublished": REMOVE}, version=snapshot.version
                )
            except VersionConflictError:
                continue
            return True
        raise StoreError(f"the record changed {_ROUNDS} times while its event was confirmed")

    async def deleted(self, record_id: str, fields: Mapping[str, Any]) -> None:
        """Publish that a record goes with its object.

        Args:
            record_id: the record's.
            fields: OBJECT_FIELDS, each with what the record is of.

        Raises:
            PublishError, TokenError: no clear answer; it may be published all the same.
        """
        if self._publisher is not None:
            await self._publisher.publish(of_deleted(record_id, fields))

    async def close(self) -> None:
        """Close the connections."""
        if self._publisher is not None:
            await self._publisher.close()
