"""The records in Firestore, as an operator reads and changes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from google.api_core import exceptions as api
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from describer.errors import TokenError
from describer.records.record import record_id
from describer.records.store import REMOVE, Fields
from describer.settings import Settings
from operate.address import Address

_PAGE = 1000
# What tells whether a picture's work is done, and by what it was done.
_STATE = (
    "name bucket uri generation source description status lease usage model language promptHash "
    "unpublished"
)
STATE = tuple(_STATE.split())


class ChangedError(Exception):
    """The record is not what it was when it was read: somebody else has written."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as read.

    Attributes:
        id: of its document.
        fields: as many as were asked for.
        version: for `update` and `delete`.
        read_at: by the store's clock.
        unchanged_seconds: since it was last written, by the same clock.
    """

    id: str
    fields: Mapping[str, Any]
    version: object
    read_at: datetime
    unchanged_seconds: float

    @property
    def name(self) -> str:
        """The object's; records are listed in the order of `uri`, so it is taken from there."""
        return str(self.fields.get("uri", "")).removeprefix("gs://").partition("/")[2]

    @property
    def status(self) -> Mapping[str, Any]:
        """The map of that name."""
        found = self.fields.get("status")
        return found if isinstance(found, Mapping) else {}

    @property
    def outcome(self) -> str:
        """The outcome, or "" while there is none."""
        return str(self.status.get("outcome") or "")


class Records(Protocol):
    """The port; `FirestoreRecords` stands behind it."""

    def get(self, bucket: str, name: str) -> Stored | None:
        """Read one object's record, or None."""

    def below(self, address: Address | None, only: Sequence[str] = ()) -> Iterator[Stored]:
        """Give the records of an address, or all, in the order of their `uri`; flat in memory.

        Args:
            only: fields to read; all if empty.
        """

    def update(self, stored: Stored, fields: Fields) -> object:
        """Replace the named fields of exactly what was read; REMOVE removes. Gives the new version.

        Raises:
            ChangedError: it is not that any more.
        """

    def delete(self, stored: Stored) -> None:
        """Delete exactly what was read.

        Raises:
            ChangedError: it is not that any more.
        """


class FirestoreRecords:
    """See `Records`.

    Attributes:
        collection: the client's own, for what only a listener can do.
    """

    def __init__(self, client: firestore.Client, collection: str) -> None:
        self._client = client
        self.collection = client.collection(collection)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get(self, bucket: str, name: str) -> Stored | None:
        """See `Records.get`."""
        found = self.collection.document(record_id(bucket, name)).get()
        return _stored(found) if found.exists else None

    def below(self, address: Address | None, only: Sequence[str] = ()) -> Iterator[Stored]:
        """See `Records.below`. The index of the single field `uri` is enough.

        A page at a time: one long query would end with a time-out of the service.
        """
        if address is not None and address.exact:
            found = self.get(address.bucket, address.name)
            yield from [found] if found else []
            return
        query = self.collection.order_by("uri").limit(_PAGE)
        if only:
            query = query.select(list(only))
        start = "" if address is None else address.uri
        page = query.where(filter=FieldFilter("uri", ">=", start))
        while True:
            # Whole, since what is done with each may take longer than a stream stays open.
            documents = list(page.stream())
            for document in documents:
                if not document.get("uri").startswith(start):
                    return
                yield _stored(document)
            if len(documents) < _PAGE:
                return
            page = query.where(filter=FieldFilter("uri", ">", documents[-1].get("uri")))

    def update(self, stored: Stored, fields: Fields) -> object:
        """See `Records.update`."""
        changes = {
            name: firestore.DELETE_FIELD if value is REMOVE else value
            for name, value in fields.items()
        }
        option = self._client.write_option(last_update_time=stored.version)
        try:
            written = self.collection.document(stored.id).update(changes, option=option)
        except (api.FailedPrecondition, api.NotFound) as exc:
            raise ChangedError(stored.id) from exc
        return written.update_time

    def delete(self, stored: Stored) -> None:
        """See `Records.delete`."""
        option = self._client.write_option(last_update_time=stored.version)
        try:
            self.collection.document(stored.id).delete(option=option)
        except (api.FailedPrecondition, api.NotFound) as exc:
            raise ChangedError(stored.id) from exc


def _stored(document: Any) -> Stored:
    unchanged = (document.read_time - document.update_time).total_seconds()
    read_at = document.read_time.astimezone(UTC)
    return Stored(document.id, document.to_dict(), document.update_time, read_at, unchanged)


def connect(settings: Settings) -> FirestoreRecords:
    """Connect to Firestore, or to the emulator at FIRESTORE_EMULATOR_HOST.

    Raises:
        TokenError: no project can be found.
    """
    try:
        client = firestore.Client(
            project=settings.google_cloud_project, database=settings.firestore_database
        )
    except OSError as exc:
        raise TokenError("no project: set GOOGLE_CLOUD_PROJECT") from exc
    return FirestoreRecords(client, settings.firestore_collection)
