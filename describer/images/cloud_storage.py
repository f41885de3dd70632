"""Cloud Storage behind the bucket port.

Every exception of the storage client, its transport and google-auth is translated here, and only
here, for what concerns the bucket.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from describer.errors import BucketError, ObjectGoneError, UnreadableImageError
from describer.images.room import Buffer, FullError
from describer.threads import in_thread
from describer.values import Upload

if TYPE_CHECKING:
    from google.cloud import storage

P = ParamSpec("P")
T = TypeVar("T")

# What `resource_of` takes of a listing.
LISTED_FIELDS = (
    "name,bucket,generation,size,contentType,contentEncoding,md5Hash,timeCreated,metadata"
)

# The storage client's own connection pool holds ten; more at once would only open and drop.
_AT_ONCE = 10
# One call; and all tries of one read. Both well inside the lease, which the heartbeat renews.
_CALL_TIMEOUT_SECONDS = (5.0, 20.0)
_READ_TIMEOUT_SECONDS = 40.0


_GZIP = b"\x1f\x8b"
# Unpacked at once: nobody accounts for it, and the traceback of a full buffer may hold it.
_PIECE_BYTES = 256 * 1024


class Unpacking:
    """Writes into a buffer what is stored, unpacked with bounds where it is packed.

    The storage client would unpack each piece whole, to any size.
    """

    def __init__(self, into: Buffer) -> None:
        self._into = into
        self._inflate: Any = None
        self._begun = False

    @property
    def cut(self) -> bool:
        """Whether the packed bytes ended before their end."""
        return self.packed and not self._inflate.eof

    @property
    def packed(self) -> bool:
        """Whether it began as gzip does."""
        return self._inflate is not None

    def write(self, chunk: bytes) -> int:
        """See `Buffer.write`."""
        if not self._begun and chunk.startswith(_GZIP):
            self._inflate = zlib.decompressobj(wbits=31)
        self._begun = True
        if self._inflate is None:
            return self._into.write(chunk)
        size = len(chunk)
        while chunk:
            if self._inflate.eof:
                # Another member may follow, after zeros that fill up a block.
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    break
                self._inflate = zlib.decompressobj(wbits=31)
            # One more than fits, which tells that there is more.
            space = min(_PIECE_BYTES, self._into.capacity - self.tell() + 1)
            self._into.write(self._inflate.decompress(chunk, space))
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
        return size

    def seek(self, place: int) -> None:
        """Begin anew, as the client does where a retry cannot go on in the middle."""
        self.__init__(self._into)  # type: ignore[misc]
        self._into.seek(place)

    def tell(self) -> int:
        """See `Buffer.tell`."""
        return self._into.tell()


class CloudStorage:
    """See `Bucket`."""

    def __init__(self, connect: Callable[[], storage.Client]) -> None:
        """Keep how to connect; nothing is opened before the first read.

        Args:
            connect: makes the client; called once, in a thread.
        """
        self._connect = connect
        self._client: storage.Client | None = None
        self._connecting = asyncio.Lock()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        return await self._ask(_download, upload, into)

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        return await self._ask(_download_range, upload, start, size)

    async def live_generation(self, upload: Upload) -> int | None:
        """See `Bucket.live_generation`."""
        return await self._ask(_live_generation, upload)

    async def _ask(
        self, call: Callable[Concatenate[storage.Client, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Have a call of the client made in a thread, in its turn and in bounded time."""
        try:
            async with self._slots, asyncio.timeout(_READ_TIMEOUT_SECONDS):
                return await in_thread(call, await self._connected(), *args, **kwargs)
        except TimeoutError as exc:
            raise BucketError(
                f"Cloud Storage gave no answer within {_READ_TIMEOUT_SECONDS:g} s"
            ) from exc

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Bucket.list_objects`."""
        return await self._ask(_listed, bucket, start, limit)

    async def _connected(self) -> storage.Client:
        async with self._connecting:
            if self._client is None:
                self._client = await in_thread(_connected, self._connect)
        return self._client


def _connected(connect: Callable[[], storage.Client]) -> storage.Client:
    from google.auth.exceptions import GoogleAuthError

    try:
        return connect()
    except (GoogleAuthError, OSError) as exc:
        raise BucketError(f"no Cloud Storage client: {type(exc).__name__}: {exc}") from exc


def _download(client: storage.Client, upload: Upload, into: Buffer) -> bool:
    """See `Bucket.read`; blocks.

    Source: https://docs.cloud.google.com/storage/docs/json_api/v1/objects/get (`generation`)
    """
    from google.api_core import exceptions as api
    from google.cloud.storage.retry import DEFAULT_RETRY

    sink = Unpacking(into)
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        blob.download_to_file(
            sink,
            raw_download=True,
            timeout=_CALL_TIMEOUT_SECONDS,
            retry=DEFAULT_RETRY.with_timeout(_READ_TIMEOUT_SECONDS / 2),
        )
    except FullError:
        return False
    except zlib.error as exc:
        raise UnreadableImageError(f"the packed object cannot be unpacked: {exc}") from exc
    except api.NotFound as exc:
        _check_bucket(client, upload)
        raise _gone(upload) from exc
    except _library_errors() as exc:
        raise _bucket_error("reading the object failed", exc) from exc
    if sink.packed != (blob.content_encoding == "gzip"):
        raise UnreadableImageError(
            f"the object's Content-Encoding is {blob.content_encoding or 'none'}, "
            f"and its bytes are {'packed' if sink.packed else 'not packed'}"
        )
    if sink.cut:
        raise UnreadableImageError("the packed object ends before its end")
    return True


def _download_range(client: storage.Client, upload: Upload, start: int, size: int) -> bytes:
    """See `Bucket.read_range`; blocks."""
    from google.api_core import exceptions as api
    from google.cloud.storage.retry import DEFAULT_RETRY

    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        found: bytes = blob.download_as_bytes(
            start=start,
            end=start + size - 1,
            raw_download=True,
            # There is none of a part.
            checksum=None,
            timeout=_CALL_TIMEOUT_SECONDS,
            retry=DEFAULT_RETRY.with_timeout(_READ_TIMEOUT_SECONDS / 2),
        )
    except api.RequestRangeNotSatisfiable:
        return b""
    except api.NotFound as exc:
        _check_bucket(client, upload)
        raise _gone(upload) from exc
    except _library_errors() as exc:
        raise _bucket_error("reading the object failed", exc) from exc
    return found


def _gone(upload: Upload) -> ObjectGoneError:
    return ObjectGoneError(
        f"generation {upload.generation} was deleted or overwritten before it was read"
    )


def _live_generation(client: storage.Client, upload: Upload) -> int | None:
    """See `Bucket.live_generation`; blocks."""
    try:
        blob = client.bucket(upload.bucket).get_blob(
            upload.name, timeout=_CALL_TIMEOUT_SECONDS, retry=None
        )
        return None if blob is None else int(blob.generation)
    except _library_errors() as exc:
        raise _bucket_error("reading the object's generation failed", exc) from exc


def _listed(
    client: storage.Client, bucket: str, start: str, limit: int
) -> Sequence[Mapping[str, Any]]:
    """See `Bucket.list_objects`; blocks. Cloud Storage lists in the order of UTF-8 bytes.

    Source: https://docs.cloud.google.com/storage/docs/listing-objects
    """
    try:
        found = client.list_blobs(
            bucket,
            start_offset=start or None,
            max_results=limit,
            fields=f"items({LISTED_FIELDS}),nextPageToken",
            timeout=_CALL_TIMEOUT_SECONDS,
        )
        return [resource_of(blob) for blob in found]
    except _library_errors() as exc:
        raise _bucket_error(f"listing {bucket} failed", exc) from exc


def resource_of(blob: storage.Blob) -> dict[str, Any]:
    """Give an object as the JSON API does, in the fields that an event is read from."""
    resource = {
        "kind": "storage#object",
        "bucket": blob.bucket.name,
        "name": blob.name,
        "generation": str(blob.generation),
        "size": None if blob.size is None else str(blob.size),
        "contentType": blob.content_type,
        "contentEncoding": blob.content_encoding,
        "md5Hash": blob.md5_hash,
        "metadata": blob.metadata,
        "timeCreated": None if blob.time_created is None else blob.time_created.isoformat(),
    }
    return {name: value for name, value in resource.items() if value is not None}


def _check_bucket(client: storage.Client, upload: Upload) -> None:
    """Tell a missing bucket, which answers a read like a missing object, by listing it."""
    try:
        found = client.list_blobs(
            upload.bucket,
            prefix=upload.name,
            max_results=1,
            timeout=_CALL_TIMEOUT_SECONDS,
            retry=None,
        )
        next(iter(found), None)
    except _library_errors() as exc:
        raise _bucket_error("the object is not found, nor can its bucket be listed", exc) from exc


def _library_errors() -> tuple[type[Exception], ...]:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption
    from requests import RequestException

    library = (GoogleAPIError, DataCorruption, GoogleAuthError, RequestException, OSError)
    # As in token.py: nobody looks what the token server's answer holds.
    return (*library, TypeError, ValueError, AttributeError, LookupError, ArithmeticError)


def _bucket_error(what: str, exc: Exception) -> BucketError:
    status = getattr(exc, "code", None)
    return BucketError(
        f"{what}: {type(exc).__name__}: {str(exc)[:300]}",
        http_status=int(status) if isinstance(status, int) else None,
    )
