"""Reads from Cloud Storage that go wrong, through the real storage client."""

import asyncio
import gzip
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from google.cloud import storage

from describer.delivery.event import read_upload
from describer.errors import BucketError, ObjectGoneError, UnreadableImageError
from describer.images.bucket import Bucket
from describer.images.cloud_storage import CloudStorage
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer
from describer.settings import Settings
from describer.values import Upload
from local.servers.function import ROOT

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 40
JPEG_OF_5_MB = b"\xff\xd8\xff\xda\0\2" + bytes(4_999_992) + b"\xff\xd9"


def read(bucket: Any, name: str, generation: int) -> bytes:
    """Read an object of up to 1 MB; `bucket` is one, or a name."""
    client = storage.Client(project="p")
    bucket_name = bucket if isinstance(bucket, str) else bucket.name

    async def work() -> bytes:
        buffer = Buffer(1_000_000)
        upload = Upload(bucket_name, name, generation, "image/jpeg", None, "e")
        assert await CloudStorage(lambda: client).read(upload, buffer)
        return buffer.head(1_000_000)

    try:
        return asyncio.run(work())
    finally:
        client.close()


def put(bucket: Any, content: bytes, encoding: str | None = None) -> int:
    blob = bucket.blob("a.jpg")
    blob.content_encoding = encoding
    blob.upload_from_string(content, content_type="image/jpeg")
    return int(blob.generation)


def test_a_packed_object_is_unpacked(bucket: storage.Bucket) -> None:
    """As it is stored by `gsutil cp -Z`."""
    assert read(bucket, "a.jpg", put(bucket, gzip.compress(JPEG), "gzip")) == JPEG


def test_what_is_called_packed_and_is_not_is_unreadable(bucket: storage.Bucket) -> None:
    """No redelivery will change it."""
    with pytest.raises(UnreadableImageError, match="is gzip, and its bytes are not packed"):
        read(bucket, "a.jpg", put(bucket, JPEG, "gzip"))
    with pytest.raises(UnreadableImageError, match="ends before its end"):
        read(bucket, "a.jpg", put(bucket, gzip.compress(JPEG)[:-9], "gzip"))
    with pytest.raises(UnreadableImageError, match="is none, and its bytes are packed"):
        read(bucket, "a.jpg", put(bucket, gzip.compress(JPEG)))


def test_a_range_is_read_of_exactly_one_generation(bucket: storage.Bucket) -> None:
    """As it is stored; fewer bytes at the end, none behind it; the same of the double."""
    client = storage.Client(project="p")
    packed = gzip.compress(JPEG)

    def ranges(real: Bucket, content: bytes, generation: int) -> list[bytes]:
        upload = Upload(bucket.name, "a.jpg", generation, "image/jpeg", len(content), "e")

        async def work() -> list[bytes]:
            size = len(content)
            places = ((0, 9), (5, 100), (size - 9, 9), (size - 9, 99), (0, 2 * size), (size, 9))
            return [await real.read_range(upload, start, count) for start, count in places]

        return asyncio.run(work())

    try:
        for content, encoding in ((JPEG, None), (packed, "gzip")):
            generation = put(bucket, content, encoding)
            found = ranges(CloudStorage(lambda: client), content, generation)
            assert found == ranges(MemoryBucket({"a.jpg": content}), content, generation)
            assert (found[0], found[2], found[5]) == (content[:9], content[-9:], b"")
        with pytest.raises(ObjectGoneError):
            ranges(CloudStorage(lambda: client), JPEG, generation + 1)
        with pytest.raises(ObjectGoneError):
            ranges(MemoryBucket(), JPEG, generation)
    finally:
        client.close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (JPEG_OF_5_MB, "gs://"),
        (JPEG_OF_5_MB[:-2], "ends before the picture does, after 4999998 bytes"),
    ],
    ids=["whole", "cut"],
)
def test_an_image_is_looked_at_before_its_address_is_sent(
    bucket: storage.Bucket, content: bytes, expected: str
) -> None:
    """In the real storage, through the real client."""
    client = storage.Client(project="p")
    upload = Upload(bucket.name, "a.jpg", put(bucket, content), "image/jpeg", len(content), "e")

    async def work() -> str | None:
        images = Images(Settings(), CloudStorage(lambda: client))
        async with images.room_for(upload) as share:
            return (await images.load(upload, share)).uri

    try:
        if expected == "gs://":
            assert asyncio.run(work()) == f"gs://{bucket.name}/a.jpg"
        else:
            with pytest.raises(UnreadableImageError, match=expected):
                asyncio.run(work())
    finally:
        client.close()


def test_a_missing_object_is_gone(bucket: storage.Bucket) -> None:
    """It, or this generation of it."""
    with pytest.raises(ObjectGoneError):
        read(bucket, "a.jpg", put(bucket, JPEG) + 1)


def test_a_missing_bucket_is_not_gone(bucket: storage.Bucket) -> None:
    """It may be a matter of configuration, and nobody has deleted the object."""
    with pytest.raises(BucketError, match="bucket"):
        read("no-such-bucket", "a.jpg", 1)
    client = storage.Client(project="p")
    upload = Upload("no-such-bucket", "a.jpg", 1, "image/jpeg", 9, "e")
    try:
        with pytest.raises(BucketError, match="bucket"):
            asyncio.run(CloudStorage(lambda: client).read_range(upload, 0, 9))
    finally:
        client.close()


def test_live_generation_is_what_stands_there(bucket: storage.Bucket) -> None:
    """Another one after an overwrite, none after a delete."""
    client = storage.Client(project="p")

    def live(name: str) -> int | None:
        upload = Upload(bucket.name, name, 1, "image/jpeg", None, "e")
        return asyncio.run(CloudStorage(lambda: client).live_generation(upload))

    try:
        assert put(bucket, JPEG) == live("a.jpg")
        assert put(bucket, JPEG[:99]) == live("a.jpg")
        bucket.blob("a.jpg").delete()
        assert live("a.jpg") is None
    finally:
        client.close()


def test_a_listing_goes_on_where_it_stopped(bucket: storage.Bucket) -> None:
    """In the order of UTF-8, in pages, with all that an event is read from."""
    client = storage.Client(project="p")
    names = sorted(
        ["a.jpg", "b/ü.jpg", "b/\U0001f408.jpg", "b/\uffee.jpg", "c.jpg"], key=str.encode
    )
    for name in names:
        bucket.blob(name).upload_from_string(JPEG, content_type="image/jpeg")
    found: list[Mapping[str, Any]] = []

    async def work() -> None:
        storage_bucket = CloudStorage(lambda: client)
        while True:
            start = str(found[-1]["name"]) if found else ""
            page = await storage_bucket.list_objects(bucket.name, start=start, limit=3)
            found.extend(resource for resource in page if resource["name"] != start)
            if len(page) < 3:
                break
        with pytest.raises(BucketError, match="listing no-such-bucket failed"):
            await storage_bucket.list_objects("no-such-bucket", start="", limit=3)

    try:
        asyncio.run(work())
    finally:
        client.close()
    assert [resource["name"] for resource in found] == names
    uploads = [read_upload({}, resource) for resource in found]
    assert {(u.bucket, u.content_type, u.size) for u in uploads} == {
        (bucket.name, "image/jpeg", len(JPEG))
    }
    assert all(upload.event_time and upload.md5_hash for upload in uploads)


HANG = """
import asyncio
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from describer.images.cloud_storage import CloudStorage
from describer.values import Upload
from describer.images.room import Buffer

async def work():
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    upload = Upload("b-b", "a.jpg", 1, "image/jpeg", None, "e")
    async with asyncio.timeout(1):
        await CloudStorage(lambda: client).read(upload, Buffer(9))

try:
    asyncio.run(work())
except TimeoutError:
    print("given up", flush=True)
"""


def test_a_read_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    """The platform gives ten seconds, of which the streams need some."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"PATH": "", "STORAGE_EMULATOR_HOST": url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", HANG]
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"given up\n"
        began = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - began < 3
