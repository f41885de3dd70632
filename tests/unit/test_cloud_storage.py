"""What stands between the storage client and a buffer, without a server."""

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from google.auth.credentials import Credentials
from google.cloud import storage

from describer.errors import BucketError
from describer.images.cloud_storage import CloudStorage, Unpacking
from describer.images.room import Buffer, FullError
from describer.values import Upload

MIB = 1024 * 1024
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40


@pytest.mark.parametrize("size", [2, 7, 1000, 10**6])
def test_a_packed_object_may_have_several_members(size: int) -> None:
    """As bgzip writes it; only the first of them would be a picture that is cut."""
    packed = gzip.compress(PICTURE[:3000]) + gzip.compress(b"") + gzip.compress(PICTURE[3000:])
    buffer = Buffer(len(PICTURE))
    sink = Unpacking(buffer)
    for start in range(0, len(packed), size):
        sink.write(packed[start : start + size])
    assert not sink.cut
    assert buffer.head(MIB) == PICTURE
    sink.seek(0)
    sink.write(packed[:-9])
    assert sink.cut


def test_what_is_packed_is_unpacked_piece_by_piece() -> None:
    """The buffer is accounted for, the way into it is not."""
    packed = gzip.compress(bytes(64 * MIB))
    sink = Unpacking(Buffer(20 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(FullError):
            sink.write(packed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sink.tell() == 20 * MIB
    assert peak < MIB


def test_what_follows_a_packed_object_is_not_kept() -> None:
    """Zeros fill up a block; anything else is no gzip, and not to be held in memory."""
    sink = Unpacking(Buffer(len(PICTURE)))
    sink.write(gzip.compress(PICTURE))
    tracemalloc.start()
    try:
        for _ in range(20):
            sink.write(bytes(MIB))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < MIB
    assert not sink.cut
    with pytest.raises(zlib.error):
        sink.write(b"x" * MIB)


@pytest.mark.parametrize(
    "error", [KeyError("access_token"), TypeError("null"), OverflowError("no date")], ids=repr
)
def test_nonsense_of_the_token_server_is_transient(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's library does not look what the token server's answer holds."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)

    class Broken(Credentials):
        def refresh(self, _: object) -> None:
            raise error

    client = storage.Client(project="p", credentials=Broken())  # type: ignore[no-untyped-call]
    upload = Upload("b-b", "a.jpg", 1, "image/jpeg", None, "e")
    with pytest.raises(BucketError, match=type(error).__name__):
        asyncio.run(CloudStorage(lambda: client).read(upload, Buffer(9)))
    with pytest.raises(BucketError, match=type(error).__name__):
        asyncio.run(CloudStorage(lambda: client).read_range(upload, 0, 9))
