"""The least that the work costs in this language: bare ASGI, bare httpx2, one bare Commit.

No framework, no checks, no client library over either service; the text is read out of the
stream's JSON and written with protobuf's own classes over one gRPC channel. Run by uvicorn.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import grpc
import httpx2
from google.cloud.firestore_v1.types import CommitRequest, CommitResponse

DATABASE = f"projects/{os.environ.get('GOOGLE_CLOUD_PROJECT', '')}/databases/(default)"
COMMIT = "/google.firestore.v1.Firestore/Commit"
METADATA = (("authorization", "Bearer owner"),)

Message = MutableMapping[str, Any]
_Request: Any = CommitRequest.pb()
_Response: Any = CommitResponse.pb()


class Floor:
    """The clients, built with the first event."""

    def __init__(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        self._http = httpx2.AsyncClient(limits=limits, timeout=None)
        self._url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
        channel = grpc.aio.insecure_channel(os.environ["FIRESTORE_EMULATOR_HOST"])
        self._commit = channel.unary_unary(COMMIT, _Request.SerializeToString, _Response.FromString)

    async def describe(self, event: dict[str, Any]) -> None:
        """Read one stream, and write one record."""
        uri = f"gs://{event['bucket']}/{event['name']}"
        content = [
            {"type": "image_url", "image_url": {"url": uri}},
            {"type": "text", "text": "Describe this image."},
        ]
        asked = {
            "model": "google/gemini-3.5-flash-lite",
            "messages": [{"role": "user", "content": content}],
            "stream": True,
        }
        texts, rest = [], b""
        async with self._http.stream("POST", self._url, json=asked) as response:
            async for piece in response.aiter_raw():
                *events, rest = (rest + piece).split(b"\n\n")
                texts += [
                    json.loads(line[6:])["choices"][0]["delta"]["content"]
                    for line in events
                    if line != b"data: [DONE]"
                ]
        name = hashlib.sha256(uri.encode()).hexdigest()
        request = _Request(database=DATABASE)
        document = request.writes.add().update
        document.name = f"{DATABASE}/documents/floor/{name}"
        document.fields["uri"].string_value = uri
        document.fields["description"].string_value = "".join(texts)
        await self._commit(request, metadata=METADATA)


floor: Floor | None = None


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer one event."""
    global floor  # noqa: PLW0603 - built with the first event, in the loop that serves
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    floor = floor or Floor()
    await floor.describe(json.loads(body))
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"OK"})
