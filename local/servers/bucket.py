"""Buckets on this machine: uploads to fake-gcs-server, and local files read as objects."""

import asyncio
import json
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from describer.errors import BucketError, ObjectGoneError
from describer.images.room import Buffer, FullError
from describer.values import Upload
from local.http import call
from local.standin import samples

BUCKET = "uploads"
SAMPLES = samples.SAMPLES
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})


def images_in(paths: list[Path]) -> list[Path]:
    """Give the files named, and for a folder the images in it, in order of their names.

    Raises:
        FileNotFoundError: a path that is not there, or a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder.")
        inside = sorted(p for p in path.iterdir() if is_image(p)) if path.is_dir() else [path]
        if not inside:
            raise FileNotFoundError(f"{path}: no images in it ({', '.join(sorted(SUFFIXES))}).")
        found += inside
    return found


def is_image(path: Path) -> bool:
    """Tell by the name whether a file is an image that can be described."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def content_type_of(path: Path) -> str:
    """Give the type that an uploader would declare, by the file's name."""
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def create_bucket(storage_url: str, bucket: str = BUCKET) -> None:
    """Create a bucket in fake-gcs-server.

    Raises:
        OSError: it is there already, so that this is the server of somebody else.
    """
    body = json.dumps({"name": bucket}).encode()
    try:
        _post(f"{storage_url}/storage/v1/b?project=local", body, "application/json")
    except OSError as exc:
        raise OSError(f"{exc}: another demo took this port meanwhile; start again") from exc


def upload_url(storage_url: str, name: str, bucket: str = BUCKET) -> str:
    """Give the address that takes an object's bytes in a POST."""
    query = f"uploadType=media&name={quote(name, safe='')}"
    return f"{storage_url}/upload/storage/v1/b/{bucket}/o?{query}"


def upload(storage_url: str, path: Path, name: str | None = None, bucket: str = BUCKET) -> int:
    """Upload a file, and give the generation of the object made from it.

    Raises:
        OSError: the file cannot be read, or nothing answers at `storage_url`.
    """
    url = upload_url(storage_url, name or path.name, bucket)
    return int(_post(url, path.read_bytes(), content_type_of(path))["generation"])


class LocalFiles:
    """See `describer.images.bucket.Bucket`: local files as the objects of any bucket, by name."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    async def read(self, upload: Upload, into: Buffer) -> bool:
        """See `Bucket.read`."""
        file = self._files.get(upload.name)
        if file is None:
            raise ObjectGoneError(f"there is no {upload.name}")
        try:
            into.write(await asyncio.to_thread(file.read_bytes))
        except FullError:
            return False
        except OSError as exc:
            raise BucketError(f"{file}: {exc.strerror}") from exc
        return True

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        """See `Bucket.read_range`."""
        whole = Buffer(start + size)
        try:
            await self.read(upload, whole)
            return whole.at(start, size)
        finally:
            whole.close()

    async def live_generation(self, upload: Upload) -> int | None:
        """See `Bucket.live_generation`: a file has but one."""
        return upload.generation if upload.name in self._files else None

    async def list_objects(
        self, bucket: str, *, start: str, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """See `Bucket.list_objects`: nobody asks for it here."""
        raise BucketError(f"{bucket} is no bucket: {len(self._files)} files, {start=}, {limit=}")


def _post(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    response = call(
        "POST", url, body=body, headers={"Content-Type": content_type}, timeout_seconds=60
    )
    if not response.is_success:
        raise OSError(f"{url}: {response.status_code} {response.reason_phrase}")
    answer: dict[str, Any] = response.json()
    return answer
