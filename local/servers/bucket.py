"""Buckets on this machine: uploads to fake-gcs-server, and the images in a folder."""

import json
import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

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


def _post(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    response = call(
        "POST", url, body=body, headers={"Content-Type": content_type}, timeout_seconds=60
    )
    if not response.is_success:
        raise OSError(f"{url}: {response.status_code} {response.reason_phrase}")
    answer: dict[str, Any] = response.json()
    return answer
