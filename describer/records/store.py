"""The store port: documents with versions, and preconditions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias

# Opaque; only the store that gave it can compare it. Firestore's is the update time.
Version: TypeAlias = object


class Remove(Enum):
    """A value that stands for the absence of the field."""

    REMOVE = "REMOVE"


REMOVE: Final = Remove.REMOVE
Fields: TypeAlias = Mapping[str, Any]

# One call, all its retries included. Claims and partial writes can be done again by the next
# delivery; the last write holds what was paid for, and gets more time.
CALL_SECONDS: Final = 10.0
LAST_CALL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A document as read.

    Attributes:
        fields: top-level fields by name.
        version: to be given to `update`.
        unchanged_seconds: time between its last write and this read, on the store's own clock.
        read_at: the time of this read, on that clock.
    """

    fields: Mapping[str, Any]
    version: Version
    unchanged_seconds: float
    read_at: datetime


class Store(Protocol):
    """Firestore, as far as it is needed here."""

    async def create(self, record_id: str, fields: Fields) -> Version:
        """Write a document that must not exist.

        Raises:
            RecordExistsError: it does; maybe by an earlier try of this very call.
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def read(self, record_id: str) -> Snapshot | None:
        """Read a document, or None if there is none.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def clock(self) -> datetime:
        """Ask for the store's own time.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """Read those of the documents that there are, by id.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def find(
        self, equal: Mapping[str, str | bool], *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Give the fields of at most so many records whose fields have these values.

        Args:
            equal: by path, such as `status.state`.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def add(self, counter: str, by: int) -> int:
        """Add to a counter beside the records, which begins at 0, and give its sum.

        A call whose answer was lost may have added all the same, and may be made again.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def read_note(self, name: str) -> Mapping[str, Any]:
        """Read a note beside the records; empty if there is none.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def write_note(self, name: str, fields: Fields) -> None:
        """Write a note beside the records, whatever stood there.

        Raises:
            StoreError: no clear answer within CALL_SECONDS.
        """

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """Replace the named top-level fields of exactly this version of a document.

        Fields that are not named stay; those named with REMOVE go.

        Raises:
            VersionConflictError: another version is there, or none; maybe by an earlier try
                of this very call.
            StoreError: no clear answer within `timeout_seconds`.
        """

    async def delete(self, record_id: str, *, version: Version) -> None:
        """Delete exactly this version of a document.

        Raises:
            VersionConflictError: another version is there, or none; maybe by an earlier try
                of this very call.
            StoreError: no clear answer within CALL_SECONDS.
        """
