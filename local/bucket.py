"""Buckets on this machine: uploads to fake-gcs-server, and local files read as objects."""

import json
import mimetypes
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from google.api_core.exceptions import NotFound

BUCKET = "uploads"
SAMPLES = Path(__file__).parent / "samples"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
    """Create a bucket in fake-gcs-server."""
    body = json.dumps({"name": bucket}).encode()
    _post(f"{storage_url}/storage/v1/b?project=local", body, "application/json")


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
    """Local files as the objects of any bucket, by name: what the package asks of a client."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def bucket(self, _: str) -> "LocalFiles":
        """See `google.cloud.storage.Client.bucket`."""
        return self

    def blob(self, name: str, **_: Any) -> "LocalFile":
        """See `google.cloud.storage.Bucket.blob`."""
        if name not in self._files:
            raise NotFound(name)  # type: ignore[no-untyped-call,unused-ignore]
        return LocalFile(self._files[name])


class LocalFile:
    """One of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def download_to_file(self, sink: BinaryIO, **_: Any) -> None:
        """See `google.cloud.storage.Blob.download_to_file`."""
        sink.write(self._path.read_bytes())


def _post(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
    with _OPENER.open(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
        return answer
