"""The store port on Firestore, one level below the client library's documents.

The library's own document calls spend several milliseconds a write on wrapping each value, which
is as much as all the rest of a delivery. So values are put into the protocol's messages here, and
sent over the library's channel; message types, credentials, error classes and retries stay the
library's. Every error of it is translated here, and only here.

Source: https://firebase.google.com/docs/firestore/reference/rpc/google.firestore.v1
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc.aio
from google.api_core import exceptions as api
from google.api_core.gapic_v1 import routing_header
from google.api_core.retry import AsyncRetry
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.types import firestore as types
from google.protobuf.timestamp_pb2 import Timestamp

from describer.errors import RecordExistsError, StoreError, VersionConflictError
from describer.records.store import CALL_SECONDS, REMOVE, Fields, Snapshot, Version

# The plain protobuf classes under the library's wrappers.
_Commit: Any = types.CommitRequest.pb()
_Committed: Any = types.CommitResponse.pb()
_Get: Any = types.BatchGetDocumentsRequest.pb()
_Got: Any = types.BatchGetDocumentsResponse.pb()
_Query: Any = types.RunQueryRequest.pb()
_Result: Any = types.RunQueryResponse.pb()
_SERVICE = "/google.firestore.v1.Firestore"

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
# More calls at once are not answered sooner, but time out together when a burst fills the loop.
_CALLS_AT_ONCE = 100


class FirestoreStore:
    """See `describer.records.store.Store`."""

    def __init__(
        self,
        channel: Callable[[], grpc.aio.Channel],
        *,
        project: str,
        database: str,
        collection: str,
        metadata: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Keep how to connect; the channel is opened by the first call, on its event loop.

        Args:
            channel: opens a channel to the service; called once.
            metadata: sent with every call, besides the headers that route it.
        """
        self._open = channel
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Any] = {}
        self._slots = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._database = f"projects/{project}/databases/{database}"
        self._parent = f"{self._database}/documents/{collection}"
        self._metadata = (
            ("google-cloud-resource-prefix", self._database),
            routing_header.to_grpc_metadata((("database", self._database),)),
            *metadata,
        )

    async def create(self, record_id: str, fields: Fields) -> Version:
        """See `Store.create`."""
        request = _Commit(database=self._database)
        write = request.writes.add()
        write.current_document.exists = False
        self._put(write, f"{self._parent}/{record_id}", fields)
        return await self._commit(request, CALL_SECONDS)

    async def update(
        self,
        record_id: str,
        fields: Fields,
        *,
        version: Version,
        timeout_seconds: float = CALL_SECONDS,
    ) -> Version:
        """See `Store.update`."""
        request = _Commit(database=self._database)
        write = request.writes.add()
        write.current_document.update_time.CopyFrom(version)
        # A field that the mask names and the document lacks is removed.
        write.update_mask.field_paths.extend(fields)
        self._put(write, f"{self._parent}/{record_id}", fields)
        return await self._commit(request, timeout_seconds)

    async def delete(self, record_id: str, *, version: Version) -> None:
        """See `Store.delete`."""
        request = _Commit(database=self._database)
        write = request.writes.add(delete=f"{self._parent}/{record_id}")
        write.current_document.update_time.CopyFrom(version)
        await self._commit(request, CALL_SECONDS)

    async def read(self, record_id: str) -> Snapshot | None:
        """See `Store.read`."""
        (answer,) = await self._get(f"{self._parent}/{record_id}")
        return _snapshot(answer) if answer.HasField("found") else None

    async def read_many(self, record_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """See `Store.read_many`: in one call, whose answers come in any order."""
        answers = await self._get(*(f"{self._parent}/{record_id}" for record_id in record_ids))
        return {
            answer.found.name.rpartition("/")[2]: _snapshot(answer)
            for answer in answers
            if answer.HasField("found")
        }

    async def read_note(self, name: str) -> Mapping[str, Any]:
        """See `Store.read_note`. The notes stand in a collection of their own."""
        (answer,) = await self._get(f"{self._parent}-notes/{name}")
        return _fields(answer.found)

    async def write_note(self, name: str, fields: Fields) -> None:
        """See `Store.write_note`."""
        request = _Commit(database=self._database)
        self._put(request.writes.add(), f"{self._parent}-notes/{name}", fields)
        await self._commit(request, CALL_SECONDS)

    async def clock(self) -> datetime:
        """See `Store.clock`: each read tells it, also that of a document that does not exist."""
        (answer,) = await self._get(f"{self._parent}/clock")
        moment: datetime = answer.read_time.ToDatetime(tzinfo=UTC)
        return moment

    async def find(
        self, equal: Mapping[str, str | bool], *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Store.find`. Indexes of the single fields are enough for it.

        Source: https://firebase.google.com/docs/firestore/query-data/index-overview
        """
        documents, _, collection = self._parent.rpartition("/")
        request = _Query(parent=documents)
        query = request.structured_query
        query.from_.add(collection_id=collection)
        query.limit.value = limit
        query.where.composite_filter.op = query.where.composite_filter.AND
        for name, value in equal.items():
            field = query.where.composite_filter.filters.add().field_filter
            field.field.field_path, field.op = name, field.EQUAL
            _encode(field.value, value)

        async def all_of_them() -> Sequence[Mapping[str, Any]]:
            found = [a async for a in self._call("RunQuery", request) if a.HasField("document")]
            return [_fields(answer.document) for answer in found]

        async with self._slots:
            results: Sequence[Mapping[str, Any]] = await _in_time(CALL_SECONDS, all_of_them)
            return results

    async def add(self, counter: str, by: int) -> int:
        """See `Store.add`. The counters stand in a collection of their own.

        Source: https://firebase.google.com/docs/firestore/manage-data/add-data#increment_a_numeric_value
        """
        request = _Commit(database=self._database)
        transform = request.writes.add().transform
        transform.document = f"{self._parent}-calls/{counter}"
        field = transform.field_transforms.add(field_path="calls")
        field.increment.integer_value = by
        async with self._slots:
            answer = await _in_time(CALL_SECONDS, lambda: self._call("Commit", request))
        return int(answer.write_results[0].transform_results[0].integer_value)

    async def _get(self, *names: str) -> Sequence[Any]:
        request = _Get(database=self._database, documents=names)

        async def all_of_them() -> Sequence[Any]:
            answers: AsyncIterator[Any] = self._call("BatchGetDocuments", request)
            found = [answer async for answer in answers if answer.WhichOneof("result")]
            if len(found) != len(names):
                raise api.Unknown(f"{len(found)} answers for {len(names)} documents")
            return found

        async with self._slots:
            answers: Sequence[Any] = await _in_time(CALL_SECONDS, all_of_them)
            return answers

    async def close(self) -> None:
        """Close the channel; the next call opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _put(self, write: Any, document: str, fields: Fields) -> None:
        write.update.name = document
        values = write.update.fields
        for name, value in fields.items():
            if value is not REMOVE:
                _encode(values[name], value)

    async def _commit(self, request: Any, timeout_seconds: float) -> Version:
        # The time allowed begins when it is this call's turn: the queue here is not the store's.
        async with self._slots:
            answer = await _in_time(timeout_seconds, lambda: self._call("Commit", request))
        return answer.write_results[0].update_time

    def _call(self, method: str, request: Any) -> Any:
        if self._channel is None:
            self._channel = channel = self._open()
            self._methods = {
                "Commit": channel.unary_unary(
                    f"{_SERVICE}/Commit", _Commit.SerializeToString, _Committed.FromString
                ),
                "RunQuery": channel.unary_stream(
                    f"{_SERVICE}/RunQuery", _Query.SerializeToString, _Result.FromString
                ),
                "BatchGetDocuments": channel.unary_stream(
                    f"{_SERVICE}/BatchGetDocuments", _Get.SerializeToString, _Got.FromString
                ),
            }
        return self._methods[method](request, timeout=_ONE_TRY_SECONDS, metadata=self._metadata)


async def _in_time(timeout_seconds: float, call: Callable[[], Awaitable[Any]]) -> Any:
    """Call with retries that end in time: the library's own go on for a minute and more."""

    async def once() -> Any:
        try:
            return await call()
        except grpc.RpcError as exc:
            raise api.from_grpc_error(exc) from exc

    retry: Any = AsyncRetry(
        predicate=lambda exc: isinstance(exc, TRANSIENT),
        initial=0.1,
        maximum=2.0,
        multiplier=2.0,
        timeout=timeout_seconds,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            return await retry(once)()
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


def _snapshot(answer: Any) -> Snapshot:
    found = answer.found
    unchanged = answer.read_time.ToNanoseconds() - found.update_time.ToNanoseconds()
    read_at = answer.read_time.ToDatetime(tzinfo=UTC)
    return Snapshot(_fields(found), found.update_time, unchanged / 1e9, read_at)


def _fields(document: Any) -> dict[str, Any]:
    return {name: _decode(value) for name, value in document.fields.items()}


def _encode(target: Any, value: Any) -> None:
    """Fill a Value with one of the types that a record has."""
    match value:
        case str():
            target.string_value = value
        case bool():
            target.boolean_value = value
        case int():
            target.integer_value = value
        case datetime():
            target.timestamp_value.FromDatetime(value)
        case list():
            target.array_value.SetInParent()
            for item in value:
                _encode(target.array_value.values.add(), item)
        case Mapping():
            # Also makes an empty map a map.
            target.map_value.SetInParent()
            for name, item in value.items():
                _encode(target.map_value.fields[name], item)
        case _:
            raise TypeError(f"a record has no {type(value).__name__}")


def _decode(value: Any) -> Any:
    """Give a Value as a record's type; what only others write is given as its message."""
    kind = value.WhichOneof("value_type")
    if kind == "map_value":
        return {name: _decode(item) for name, item in value.map_value.fields.items()}
    if kind == "array_value":
        return [_decode(item) for item in value.array_value.values]
    if kind == "timestamp_value":
        moment: Timestamp = value.timestamp_value
        return moment.ToDatetime(tzinfo=UTC)
    return None if kind in {None, "null_value"} else getattr(value, kind)
