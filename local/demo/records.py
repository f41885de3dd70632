"""The records as they change: from Firestore's listener, or from the in-memory store."""

import contextlib
import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.cloud import firestore  # type: ignore[import-untyped,unused-ignore]

_LISTEN_AGAIN_SECONDS = 0.5

Fields = Mapping[str, Any]
# Gives all records as they are now, by object name.
Records = Callable[[], Mapping[str, Fields]]


@dataclass(frozen=True)
class View:
    """What one record says, as far as it is shown.

    Attributes:
        state: `PROCESSING`, `COMPLETED`, `ERRORED`, or `UPLOADED` before there is a record.
        outcome: as in the record, or "".
        text: the finished description, or the partial one.
        message: why it failed, or why it is tried again.
        first_text_at, completed_at: as in the record.
        total_tokens: what it cost, where the model said.
    """

    state: str = "UPLOADED"
    outcome: str = ""
    text: str = ""
    message: str = ""
    attempt: int = 0
    first_text_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    total_tokens: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in {"COMPLETED", "ERRORED"}


def view_of(fields: Fields | None) -> View:
    """Read a record; None for one that is not there yet."""
    if fields is None:
        return View()
    status, usage = fields.get("status") or {}, fields.get("usage") or {}
    return View(
        state=status.get("state", ""),
        outcome=status.get("outcome", ""),
        text=fields.get("description") or fields.get("partialText") or "",
        message=status.get("message", ""),
        attempt=status.get("attempt", 0),
        first_text_at=status.get("firstTextTime"),
        completed_at=status.get("completeTime"),
        total_tokens=usage.get("totalTokens"),
    )


@contextlib.contextmanager
def firestore_records(host: str, project: str, collection: str) -> Iterator[Records]:
    """Listen to a collection in the Firestore emulator until the block ends."""
    before = os.environ.get("FIRESTORE_EMULATOR_HOST")
    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    try:
        client = firestore.Client(project=project)
    finally:
        if before is None:
            del os.environ["FIRESTORE_EMULATOR_HOST"]
        else:
            os.environ["FIRESTORE_EMULATOR_HOST"] = before
    listener = _Listener(client.collection(collection))
    try:
        yield listener.records
    finally:
        listener.stop()
        client.close()  # type: ignore[no-untyped-call,unused-ignore]


class _Listener:
    """Firestore's own listener, begun anew should its stream end: it does not do that itself."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._known: dict[str, Fields] = {}
        self._begin()

    def records(self) -> Mapping[str, Fields]:
        """Give the records by object name, as last heard of."""
        if not self._watch.is_active and time.monotonic() > self._begun + _LISTEN_AGAIN_SECONDS:
            self._begin()
        with self._lock:
            return dict(self._known)

    def stop(self) -> None:
        """Stop listening."""
        self._watch.unsubscribe()

    def _begin(self) -> None:
        self._begun = time.monotonic()
        self._watch: Any = self._collection.on_snapshot(self._changed)

    def _changed(self, documents: list[Any], _: Any, __: Any) -> None:
        records = [document.to_dict() for document in documents]
        with self._lock:
            self._known = {record["name"]: record for record in records}
