"""Firestore's own listener, begun anew should its stream end: it does not do that itself."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

Fields = Mapping[str, Any]

_LISTEN_AGAIN_SECONDS = 0.5
_READ_AT_ONCE = 1000
_READ_SECONDS = 5.0


class Listener:
    """The documents of a query, as they change."""

    def __init__(self, query: Any, *, silent_seconds: float) -> None:
        """Begin to listen.

        Args:
            query: or a collection.
            silent_seconds: a listener that hears nothing for so long is not believed, since now and
                then its stream stays open, and silent; then the documents are read.
        """
        self._query = query
        self._silent_seconds = silent_seconds
        self._heard = time.monotonic()
        self._lock = threading.Lock()
        self._known: dict[str, Fields] = {}
        self._left: dict[str, Fields] = {}
        self._begin()

    def documents(self) -> Mapping[str, Fields]:
        """Give the documents by id, as last heard of."""
        if not self._watch.is_active and time.monotonic() > self._begun + _LISTEN_AGAIN_SECONDS:
            self._begin()
        if time.monotonic() > self._heard + self._silent_seconds:
            self._read()
        with self._lock:
            return dict(self._known)

    def left(self) -> Mapping[str, Fields]:
        """Give those that the query does not hold any more, as they were; each of them once."""
        with self._lock:
            left, self._left = self._left, {}
            return {name: fields for name, fields in left.items() if name not in self._known}

    def stop(self) -> None:
        """Stop listening."""
        self._watch.unsubscribe()

    def _begin(self) -> None:
        self._begun = time.monotonic()
        self._watch: Any = self._query.on_snapshot(self._changed)

    def _changed(self, documents: list[Any], _: Any, __: Any) -> None:
        known = {document.id: document.to_dict() for document in documents}
        with self._lock:
            self._left |= {name: old for name, old in self._known.items() if name not in known}
            self._known = known
        self._heard = time.monotonic()

    def _read(self) -> None:
        with contextlib.suppress(GoogleAPICallError):
            found = self._query.limit(_READ_AT_ONCE).get(timeout=_READ_SECONDS)
            if len(found) < _READ_AT_ONCE:
                self._changed(found, None, None)
        self._heard = time.monotonic()
