"""The image part of the request: a `gs://` URI, or the bytes of exactly that generation."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from describer.errors import (
    BucketError,
    DescriberError,
    ImageTooLargeError,
    ObjectGoneError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.event import Upload, likely_image_type
from describer.settings import Settings

if TYPE_CHECKING:
    from google.cloud import storage

# Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/overview
SENDABLE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})

_MB = 1_000_000
# Source: the model cards of Gemini 3.5 Flash-Lite and 3 Flash, "Technical specifications".
URI_BYTES_LIMIT = 30 * _MB
VERTEX_INLINE_BYTES_LIMIT = 7 * _MB
# OpenAI-compatible servers differ; this is what the common ones take.
OTHER_INLINE_BYTES_LIMIT = 20 * _MB

# Bytes of all images inside requests of one instance: each is held some three times over, encoded
# and in the request, until its description is done. What finds no room waits.
INLINE_BYTES_AT_ONCE = 64 * _MB

HEAD_BYTES = 64
# The storage client's own connection pool holds ten; more threads would only open and drop.
_THREADS = 10
# One call; and all tries of one load. Both well inside the lease, which the heartbeat renews.
_CALL_TIMEOUT_SECONDS = (5.0, 20.0)
_LOAD_TIMEOUT_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Image:
    """What is sent for the picture.

    Attributes:
        url: `gs://bucket/name`, or `data:image/...;base64,...`.
        content_type: as found in the bytes where they were read, else as declared or named.
        size: bytes; None if neither event nor bytes told.
    """

    url: str
    content_type: str
    size: int | None


def sniff(head: bytes) -> str | None:
    """Tell an image's type by its first bytes, or None if it is no image known here.

    Source: the signatures of https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern;
    ISO/IEC 14496-12 (`ftyp`) and ISO/IEC 23008-12 (brands) for HEIF and AVIF.
    """
    for signature, content_type in _SIGNATURES:
        if head.startswith(signature):
            return content_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _heif_type(head)
    if b"<svg" in head[:HEAD_BYTES].lower():
        return "image/svg+xml"
    return None


_SIGNATURES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL ", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
)


def _heif_type(head: bytes) -> str | None:
    """Tell HEIC, HEIF and AVIF apart by the major brand, then by the compatible ones."""
    box = head[: min(int.from_bytes(head[:4], "big"), HEAD_BYTES)]
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))]
    for brand in brands:
        if brand in {b"avif", b"avis"}:
            return "image/avif"
        if brand in {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}:
            return "image/heic"
    return "image/heif" if {b"mif1", b"msf1", b"heif"} & set(brands) else None


class Images:
    """Makes image parts. Cloud Storage is asked only where an image part needs it."""

    def __init__(self, settings: Settings, connect: Callable[[], storage.Client]) -> None:
        """Keep how to connect; nothing is opened before the first use.

        Args:
            settings: decide between URI and bytes, and the limits.
            connect: makes the client; called once, in a worker thread.
        """
        self._settings = settings
        self._connect = connect
        self._client: storage.Client | None = None
        self._connecting = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        self._free_bytes = INLINE_BYTES_AT_ONCE
        self._freed = asyncio.Event()

    async def load(self, upload: Upload) -> Image:
        """Make the image part for one upload.

        Raises:
            UnsupportedImageError, ImageTooLargeError, UnreadableImageError: never will work.
            ObjectGoneError: this generation is not there any more.
            BucketError: Cloud Storage failed or refused.
        """
        content_type = likely_image_type(upload)
        if content_type is not None and content_type not in SENDABLE_TYPES:
            raise _unsupported(content_type)
        self._check_size(upload.size, self._settings.max_image_bytes, "MAX_IMAGE_BYTES")
        if self._by_uri(upload):
            if content_type is None:
                content_type = _sendable(await self._read(upload, HEAD_BYTES))
            self._check_size(upload.size, URI_BYTES_LIMIT, "the model's limit for a gs:// image")
            return Image(upload.uri, content_type, upload.size)
        limit, limit_name = self._inline_limit()
        self._check_size(upload.size, limit, limit_name)
        content = await self._read(upload, limit + 1)
        self._check_size(len(content), limit, limit_name)
        content_type = _sendable(content[:HEAD_BYTES])
        encoded = base64.b64encode(content).decode("ascii")
        return Image(f"data:{content_type};base64,{encoded}", content_type, len(content))

    @asynccontextmanager
    async def room_for(self, upload: Upload) -> AsyncIterator[None]:
        """Wait until the instance has memory for the image, and keep it for the block.

        Without this, a burst of large images would exceed the instance's memory, which ends all
        work in it at once, and its redelivery likewise.
        """
        needed = 0
        if not self._by_uri(upload):
            limit, _ = self._inline_limit()
            needed = min(limit if upload.size is None else upload.size, limit)
        while self._free_bytes < needed:
            await self._freed.wait()
        self._free_bytes -= needed
        try:
            yield
        finally:
            self._free_bytes += needed
            # Wakes all that wait now; who finds too little waits on.
            self._freed.set()
            self._freed.clear()

    async def is_gone(self, upload: Upload) -> bool:
        """Ask whether this generation is certainly not there; False when nobody can tell."""
        try:
            await self._read(upload, 1)
        except ObjectGoneError:
            return True
        except DescriberError:
            return False
        return False

    def _by_uri(self, upload: Upload) -> bool:
        if self._settings.image_input != "auto":
            return self._settings.image_input == "uri"
        return self._settings.on_vertex and (upload.size or 0) <= URI_BYTES_LIMIT

    def _inline_limit(self) -> tuple[int, str]:
        model = VERTEX_INLINE_BYTES_LIMIT if self._settings.on_vertex else OTHER_INLINE_BYTES_LIMIT
        if self._settings.max_image_bytes <= model:
            return self._settings.max_image_bytes, "MAX_IMAGE_BYTES"
        return model, "the limit for image bytes inside a request"

    @staticmethod
    def _check_size(size: int | None, limit: int, limit_name: str) -> None:
        if size is not None and size > limit:
            raise ImageTooLargeError(
                f"{size} bytes or more, over {limit_name} of {limit} bytes; "
                "upload a smaller rendition"
            )

    async def _read(self, upload: Upload, most: int) -> bytes:
        """Read at most `most` bytes of this generation, in a thread of our own."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_SECONDS):
                client = await self._storage()
                return await loop.run_in_executor(self._threads, _download, client, upload, most)
        except TimeoutError as exc:
            raise BucketError(
                f"Cloud Storage gave no answer within {_LOAD_TIMEOUT_SECONDS:g} s"
            ) from exc

    async def _storage(self) -> storage.Client:
        if self._client is None:
            async with self._connecting:
                if self._client is None:
                    loop = asyncio.get_running_loop()
                    self._client = await loop.run_in_executor(
                        self._threads, _guarded(self._connect)
                    )
        return self._client


def _guarded(connect: Callable[[], storage.Client]) -> Callable[[], storage.Client]:
    from google.auth.exceptions import GoogleAuthError

    def call() -> storage.Client:
        try:
            return connect()
        except (GoogleAuthError, OSError) as exc:
            raise BucketError(f"no Cloud Storage client: {type(exc).__name__}: {exc}") from exc

    return call


class _FullError(Exception):
    """Enough bytes have come."""


class _Capped(io.BytesIO):
    """Takes up to `most` bytes, also of a body that unpacks to more than its stored size."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, chunk: Any, /) -> int:
        super().write(chunk[: max(0, self._most - self.tell())])
        if self.tell() >= self._most:
            raise _FullError
        return len(chunk)


def _download(client: storage.Client, upload: Upload, most: int) -> bytes:
    """Fetch the start of exactly this generation, or all of it where that is shorter.

    Source: https://docs.cloud.google.com/storage/docs/json_api/v1/objects/get (`generation`)
    """
    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption
    from google.cloud.storage.retry import DEFAULT_RETRY
    from requests import RequestException

    sink = _Capped(most)
    blob = client.bucket(upload.bucket).blob(upload.name, generation=upload.generation)
    try:
        blob.download_to_file(
            sink,
            timeout=_CALL_TIMEOUT_SECONDS,
            retry=DEFAULT_RETRY.with_timeout(_LOAD_TIMEOUT_SECONDS / 2),
            checksum=None if most <= HEAD_BYTES else "auto",
        )
    except _FullError:
        pass
    except api.NotFound as exc:
        raise ObjectGoneError(
            f"generation {upload.generation} was deleted or overwritten before it was read"
        ) from exc
    except (api.GoogleAPIError, DataCorruption, GoogleAuthError, RequestException, OSError) as exc:
        status = getattr(exc, "code", None)
        raise BucketError(
            f"reading the object failed: {type(exc).__name__}: {str(exc)[:300]}",
            http_status=int(status) if isinstance(status, int) else None,
        ) from exc
    return sink.getvalue()


def _sendable(head: bytes) -> str:
    content_type = sniff(head)
    if content_type is None:
        raise UnreadableImageError(
            f"the bytes are no image that is known; they begin {head[:16]!r}"
        )
    if content_type not in SENDABLE_TYPES:
        raise _unsupported(content_type)
    return content_type


def _unsupported(content_type: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        f"the model does not take {content_type[:80]}; "
        "convert the image to JPEG, PNG, WebP, HEIC or HEIF before the upload"
    )
