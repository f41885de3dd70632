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
from local.servers.processes import LOOPBACK

DATABASE = f"projects/{PROJECT}/databases/(default)"
COMMIT = "/google.firestore.v1.Firestore/Commit"
# Calls of the service that answer with a stream; all others give one answer.
_STREAMED = frozenset({"BatchGetDocuments", "RunQuery"})
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


class _Proxy(grpc.GenericRpcHandler):
    """Passes every call on as it is."""

    def __init__(self, channel: grpc.aio.Channel, counts: Counts) -> None:
        self._channel = channel
        self._counts = counts

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name in _STREAMED:
            streamed: Any = self._channel.unary_stream(details.method)

            async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
                self._counts.calls[name] += 1
                async for answer in streamed(request, metadata=context.invocation_metadata()):
                    yield answer

            return grpc.unary_stream_rpc_method_handler(stream)
        asked: Any = self._channel.unary_unary(details.method)

        async def answer(request: bytes, context: Any) -> bytes:
            self._counts.calls[name] += 1
            if name == "Commit":
                self._counts.writes += len(_Request.FromString(request).writes)
            try:
                given: bytes = await asked(request, metadata=context.invocation_metadata())
            except grpc.aio.AioRpcError as exc:
                await context.abort(exc.code(), exc.details(), exc.trailing_metadata())
            return given

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.asynccontextmanager
async def counting(host: str) -> AsyncIterator[tuple[str, Counts]]:
    """Run a proxy in front of the emulator; gives its address and what it has counted."""
    counts = Counts()
    async with grpc.aio.insecure_channel(host) as channel:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Proxy(channel, counts),))
        port = server.add_insecure_port(f"{LOOPBACK}:0")
        await server.start()
        try:
            yield f"{LOOPBACK}:{port}", counts
        finally:
            await server.stop(grace=0)
