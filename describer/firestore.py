"""The store port on Firestore. Every error of the library is translated here, and only here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from google.api_core import exceptions as api
from google.api_core.retry import AsyncRetry
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore import DELETE_FIELD, AsyncClient, AsyncDocumentReference

from describer.errors import RecordExistsError, StoreError, VersionConflictError
from describer.store import CALL_SECONDS, REMOVE, Fields, Snapshot, Version

T = TypeVar("T")

# What another try may mend. A write whose answer was lost meets its own precondition then;
# claim.py tells that from a lost lease.
TRANSIENT = (
    api.Aborted,
    api.DeadlineExceeded,
    api.InternalServerError,
    api.ResourceExhausted,
    api.ServiceUnavailable,
    api.Unknown,
)
_ONE_TRY_SECONDS = 5.0


class FirestoreStore:
    """See `describer.store.Store`."""

    def __init__(self, client: AsyncClient, collection: str) -> None:
        self._collection = client.collection(collection)

    async def create(self, record_id: str, fields: Fields) -> Version:
        """See `Store.create`."""
        present = {name: value for name, value in fields.items() if value is not REMOVE}
        written = await _call(CALL_SECONDS, self._document(record_id).create, present)
        return written.update_time

    async def read(self, record_id: str) -> Snapshot | None:
        """See `Store.read`."""
        found = await _call(CALL_SECONDS, self._document(record_id).get)
        if not found.exists:
            return None
        unchanged: Any = _moment(found.read_time) - _moment(found.update_time)
        return Snapshot(found.to_dict() or {}, found.update_time, unchanged.total_seconds())

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """See `Store.update`."""
        values = {n: DELETE_FIELD if v is REMOVE else v for n, v in fields.items()}
        option = AsyncClient.write_option(last_update_time=version)
        document = self._document(record_id)
        written = await _call(timeout_seconds, document.update, values, option=option)
        return written.update_time

    def _document(self, record_id: str) -> AsyncDocumentReference:
        return self._collection.document(record_id)


async def _call(
    timeout_seconds: float, method: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any
) -> T:
    """Call with retries that end in time: the library's own go on for a minute and more."""
    retry = AsyncRetry(
        predicate=lambda exc: isinstance(exc, TRANSIENT),
        initial=0.1,
        maximum=2.0,
        multiplier=2.0,
        timeout=timeout_seconds,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            return await method(*args, retry=retry, timeout=_ONE_TRY_SECONDS, **kwargs)
    except TimeoutError as exc:
        raise StoreError(f"Firestore gave no answer within {timeout_seconds:g} s") from exc
    except (api.GoogleAPIError, GoogleAuthError) as exc:
        raise translate(exc) from exc


TRANSLATIONS: tuple[tuple[type[Exception], type[StoreError]], ...] = (
    (api.AlreadyExists, RecordExistsError),
    (api.FailedPrecondition, VersionConflictError),
    (api.NotFound, VersionConflictError),
    (api.RetryError, StoreError),
    (api.GoogleAPICallError, StoreError),
    (api.GoogleAPIError, StoreError),
    (GoogleAuthError, StoreError),
)


def translate(exc: Exception) -> StoreError:
    """Turn any error of the library into one of ours; the first in TRANSLATIONS that fits."""
    ours = next((ours for theirs, ours in TRANSLATIONS if isinstance(exc, theirs)), StoreError)
    return ours(f"Firestore: {type(exc).__name__}: {str(exc)[:300]}")


def _moment(value: Any) -> datetime:
    """Read either of the two forms in which the library gives times."""
    return value if isinstance(value, datetime) else value.ToDatetime()
