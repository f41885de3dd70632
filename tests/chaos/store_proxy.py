"""Between one instance and the Firestore emulator: sees each call, and may fail or lose it.

gRPC's generic handlers pass the bytes on as they are. Commits are read to tell which step of a
delivery they are, so that a fault can strike at exactly that step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.cloud.firestore_v1 import types

from local.servers.processes import LOOPBACK

_CommitRequest: Any = types.CommitRequest.pb()
_SERVICE = "/google.firestore.v1.Firestore/"
_OWN_HEADERS = ("user-agent", "te", "content-type")


@dataclass(frozen=True)
class Commit:
    """One write of a record, as it passes.

    Attributes:
        step: `claim`, `partial`, `renewal`, `release` or `outcome`.
        has_description, state: what it writes, for the rule that partial text is no description.
    """

    record_id: str
    step: str
    state: str
    has_description: bool


class Verdict:
    """What happens to one call: by default it passes."""

    def __init__(
        self,
        *,
        before: Callable[[], Awaitable[None]] | None = None,
        after: Callable[[], Awaitable[None]] | None = None,
        status: str | None = None,
        lost: bool = False,
    ) -> None:
        """Say what happens.

        Args:
            before: done before the call is passed on.
            after: done once the store has answered, before the answer is passed on.
            status: answered so; the store never hears of it.
            lost: the store does it, and the answer is UNAVAILABLE.
        """
        self.before = before
        self.after = after
        self.status = status
        self.lost = lost


Judge = Callable[[Commit], Verdict]


class StoreProxy(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore]
    """One instance's way to the store.

    Attributes:
        host: `127.0.0.1:PORT`, the value for FIRESTORE_EMULATOR_HOST.
    """

    def __init__(self, emulator: str, judge: Judge) -> None:
        self._judge = judge
        self._channel = grpc.aio.insecure_channel(emulator)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.host = ""

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
        if details.method == f"{_SERVICE}Commit":
            return grpc.unary_unary_rpc_method_handler(self._commit)
        if details.method == f"{_SERVICE}BatchGetDocuments":
            return grpc.unary_stream_rpc_method_handler(self._read)
        return None

    async def _commit(self, request: bytes, context: Any) -> Any:
        verdict = self._judge(read_commit(request))
        if verdict.before is not None:
            await verdict.before()
        if verdict.status is not None:
            await context.abort(grpc.StatusCode[verdict.status], "injected")
        # Not cancelled with the caller: what was sent is done, whoever waits for it.
        answer = await asyncio.shield(asyncio.ensure_future(self._pass(request, context)))
        if verdict.after is not None:
            await verdict.after()
        if isinstance(answer, grpc.aio.AioRpcError):
            await context.abort(answer.code(), answer.details() or "")
        if verdict.lost:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "injected: the answer is lost")
        return answer

    async def _pass(self, request: bytes, context: Any) -> Any:
        call: Any = self._channel.unary_unary(f"{_SERVICE}Commit")
        try:
            return bytes(await call(request, metadata=_headers(context)))
        except grpc.aio.AioRpcError as exc:
            return exc

    async def _read(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        call: Any = self._channel.unary_stream(f"{_SERVICE}BatchGetDocuments")
        try:
            async for answer in call(request, metadata=_headers(context)):
                yield bytes(answer)
        except grpc.aio.AioRpcError as exc:
            await context.abort(exc.code(), exc.details() or "")


def read_commit(request: bytes) -> Commit:
    """Tell which step of a delivery a commit is; see `records/record.py` for the shapes."""
    (write,) = _CommitRequest.FromString(request).writes
    fields = write.update.fields
    state = fields["status"].map_value.fields["state"].string_value
    if "uri" in fields:
        step = "claim"
    elif state in {"COMPLETED", "ERRORED"}:
        step = "outcome"
    elif "lease" not in fields:
        step = "release"
    else:
        step = "partial" if "partialText" in fields else "renewal"
    return Commit(
        write.update.name.rpartition("/")[2], step, state, has_description="description" in fields
    )


def _headers(context: Any) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in context.invocation_metadata()
        if key not in _OWN_HEADERS and not key.startswith(("grpc-", ":"))
    ]
