"""The Firestore emulator, asked directly for a round trip, and behind a proxy that counts."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.cloud.firestore_v1.types import CommitRequest

from local.servers.emulators import PROJECT
from local.servers.store_proxy import PASS, StoreProxy, Verdict

DATABASE = f"projects/{PROJECT}/databases/(default)"
COMMIT = "/google.firestore.v1.Firestore/Commit"
_Request: Any = CommitRequest.pb()


class Store:
    """A client of the emulator with nothing above gRPC. Messages stay bytes."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._channel = grpc.aio.insecure_channel(host)
        self._commit: Any = self._channel.unary_unary(COMMIT)
        request = _Request(database=DATABASE)
        document = request.writes.add().update
        document.name = f"{DATABASE}/documents/probe/probe"
        document.fields["text"].string_value = "A tabby cat looks up from a windowsill. " * 10
        self._probe = request.SerializeToString()

    async def round_trip(self) -> float:
        """Write one document, and give the seconds it took."""
        began = time.perf_counter()
        await self._commit(self._probe, metadata=(("authorization", "Bearer owner"),))
        return time.perf_counter() - began

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


class Counts:
    """What a contestant asked of the store.

    Attributes:
        calls: number of calls by the method's name.
        writes: documents written, as they are billed.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.writes = 0

    def clear(self) -> None:
        """Count from nothing."""
        self.calls.clear()
        self.writes = 0


@contextlib.asynccontextmanager
async def counting(host: str) -> AsyncIterator[tuple[str, Counts]]:
    """Run a proxy in front of the emulator; gives its address and what it has counted."""
    counts = Counts()

    def count(name: str, request: bytes) -> Verdict:
        counts.calls[name] += 1
        if name == "Commit":
            counts.writes += len(_Request.FromString(request).writes)
        return PASS

    async with StoreProxy(host, count) as proxy:
        yield proxy.host, counts
