"""Which records are being written, and which have just been finished.

Two queries, neither of which grows with the collection: what is under way, whatever it is; and what
has been uploaded since, which holds those that are finished between two looks, too. A generation is
the time of the upload in microseconds; that Cloud Storage does not promise, so what is under way is
asked for by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.cloud.firestore_v1.base_query import FieldFilter

from describer.records.record import PROCESSING, record_id
from operate.address import Address
from operate.listener import Fields, Listener

if TYPE_CHECKING:
    from operate.records import FirestoreRecords

_SILENT_SECONDS = 30.0
# What was uploaded just before is often still to begin.
_BEFORE = timedelta(minutes=10)
# A listener holds all that it speaks of.
_MOST_RECENT = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """One look.

    Attributes:
        under_way: records that are not finished, by id.
        finished: those that have been finished since the last look, in that order.
    """

    under_way: Mapping[str, Fields]
    finished: list[Fields]


class Follower:
    """Looks at the records again and again."""

    def __init__(
        self,
        records: FirestoreRecords,
        address: Address | None,
        *,
        most_recent: int = _MOST_RECENT,
    ) -> None:
        """Begin to listen.

        Args:
            address: what is told of; None: of all.
            most_recent: records that the listener holds before it lets go of the older half.
        """
        self._most_recent = most_recent
        self._collection = records.collection
        self._address = address
        # Fails aloud where access is missing, where a listener would fall silent; and tells the
        # time by the store's clock.
        now = self._collection.document(record_id("none", "none")).get().read_time
        self._began = now.astimezone(UTC)
        self._told: set[tuple[str, datetime]] = set()
        going = FieldFilter("status.state", "==", PROCESSING)
        self._under_way = self._listen(self._collection.where(filter=going))
        self._recent = self._listen(self._since(self._began - _BEFORE))

    def close(self) -> None:
        """Stop listening."""
        self._under_way.stop()
        self._recent.stop()

    def look(self) -> Seen:
        """Tell what is so now, and what has been finished since the last time."""
        under_way = {
            name: fields
            for name, fields in self._under_way.documents().items()
            if self._is_meant(fields)
        }
        recent = self._recent.documents()
        left = [name for name in self._under_way.left() if name not in recent]
        found = {**recent, **self._read(left)}
        finished = [
            (ended, name, fields)
            for name, fields in found.items()
            if (ended := _ended(fields)) and ended > self._began and self._is_meant(fields)
        ]
        fresh = [one for one in finished if (one[1], one[0]) not in self._told]
        self._told |= {(name, ended) for ended, name, _ in fresh}
        if len(recent) > self._most_recent:
            self._begin_anew(recent)
        fresh.sort(key=lambda one: one[0])
        return Seen(
            {name: fields for name, fields in under_way.items() if not _ended(found.get(name, {}))},
            [fields for _, _, fields in fresh],
        )

    def _listen(self, query: Any) -> Listener:
        return Listener(query, silent_seconds=_SILENT_SECONDS)

    def _since(self, moment: datetime) -> Any:
        least = int(moment.timestamp() * 1_000_000)
        return self._collection.where(filter=FieldFilter("generation", ">=", least))

    def _begin_anew(self, recent: Mapping[str, Fields]) -> None:
        """Let go of the older half: what of it is not finished is asked for by itself."""
        generations = sorted(int(fields["generation"]) for fields in recent.values())
        middle = datetime.fromtimestamp(generations[len(generations) // 2] / 1_000_000, UTC)
        self._recent.stop()
        self._recent = self._listen(self._since(middle))
        self._told = {one for one in self._told if one[1] > middle}

    def _read(self, names: list[str]) -> dict[str, Fields]:
        return {
            name: fields
            for name in names
            if (fields := self._collection.document(name).get().to_dict()) is not None
        }

    def _is_meant(self, fields: Fields) -> bool:
        address = self._address
        return address is None or (
            fields.get("bucket") == address.bucket and address.holds(str(fields.get("name")))
        )


def _ended(fields: Fields) -> datetime | None:
    status = fields.get("status")
    ended = status.get("completeTime") if isinstance(status, Mapping) else None
    return ended if isinstance(ended, datetime) else None


@contextlib.contextmanager
def following(
    records: FirestoreRecords, address: Address | None, **options: int
) -> Iterator[Follower]:
    """Follow the records until the end of the block; for the options see `Follower`."""
    follower = Follower(records, address, **options)
    try:
        yield follower
    finally:
        follower.close()
