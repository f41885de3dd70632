"""A proxy before the Firestore emulator: sees each call, and may hold, fail or lose a unary one.

gRPC's generic handlers pass the bytes on as they are; who judges may read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from local.servers.processes import LOOPBACK

# Calls of the service that answer with a stream; all others that are used here give one answer.
_STREAMED = frozenset({"BatchGetDocuments", "RunQuery"})
_OWN_HEADERS = ("user-agent", "te", "content-type")


@dataclass(frozen=True)
class Verdict:
    """What happens to one call: by default it passes.

    Attributes:
        before: done before the call is passed on.
        after: done once the store has answered, before the answer is passed on.
        status: answered so; the store never hears of it.
        lost: the store does it, and the answer is UNAVAILABLE.
    """

    before: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] | None = None
    status: str | None = None
    lost: bool = False


PASS = Verdict()
# Given the method's name without its service, and the request.
Judge = Callable[[str, bytes], Verdict]


class StoreProxy(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore]
    """One client's way to the store.

    Attributes:
        host: `127.0.0.1:PORT`, the value for FIRESTORE_EMULATOR_HOST.
    """

    def __init__(self, emulator: str, judge: Judge) -> None:
        """Stand before this emulator. Streamed calls are shown to the judge, and always pass."""
        self._judge = judge
        self._channel = grpc.aio.insecure_channel(emulator)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.host = ""

    async def __aenter__(self) -> StoreProxy:
        """Start; see `start`."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; see `stop`."""
        await self.stop()

    async def start(self) -> None:
        """Listen on a free port."""
        port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        self.host = f"{LOOPBACK}:{port}"

    async def stop(self) -> None:
        """Close both sides."""
        await self._server.stop(None)
        await self._channel.close()

    def service(self, details: Any) -> Any:
        """Give the handler of a method, as gRPC asks for it."""
        method = details.method

        # gRPC tells by the handler's kind whether it is awaited or iterated.
        async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
            self._judge(_name(method), request)
            call: Any = self._channel.unary_stream(method)
            try:
                async for answer in call(request, metadata=_headers(context)):
                    yield bytes(answer)
            except grpc.aio.AioRpcError as exc:
                await context.abort(exc.code(), exc.details() or "")

        async def unary(request: bytes, context: Any) -> Any:
            return await self._unary(method, request, context)

        if _name(method) in _STREAMED:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _unary(self, method: str, request: bytes, context: Any) -> Any:
        verdict = self._judge(_name(method), request)
        if verdict.before is not None:
            await verdict.before()
        if verdict.status is not None:
            await context.abort(grpc.StatusCode[verdict.status], "injected")
        # Not cancelled with the caller: what was sent is done, whoever waits for it.
        answer = await asyncio.shield(asyncio.ensure_future(self._pass(method, request, context)))
        if verdict.after is not None:
            await verdict.after()
        if isinstance(answer, grpc.aio.AioRpcError):
            await context.abort(answer.code(), answer.details() or "")
        if verdict.lost:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected: the answer is lost")
        return answer

    async def _pass(self, method: str, request: bytes, context: Any) -> Any:
        call: Any = self._channel.unary_unary(method)
        try:
            return bytes(await call(request, metadata=_headers(context)))
        except grpc.aio.AioRpcError as exc:
            return exc


def _name(method: str) -> str:
    return method.rpartition("/")[2]


def _headers(context: Any) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in context.invocation_metadata()
        if key not in _OWN_HEADERS and not key.startswith(("grpc-", ":"))
    ]
