"""How a request goes out without copies of its image, and how little of an error is read."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import httpx2
import openai

from describer.images.image import Image
from describer.model.translation import LIBRARY_ERRORS

# Of an error answer, what is read and kept, as sent and unpacked: a sentence, not a book.
_ERROR_BYTES = 16 * 1024
_ERROR_SECONDS = 2.0


# A multiple of three, so that the pieces' base64 joins; some packets long.
_PIECE_BYTES = 48 * 1024
# Where the image goes; nobody can have written it into a prompt.
PLACEHOLDER = uuid4().hex


class Body:
    """A request's JSON, with the image's base64 made while it is sent: no copy is ever held.

    Attributes:
        size: in bytes, known beforehand.
    """

    def __init__(self, request: Mapping[str, Any], image: Image | None) -> None:
        """Make the JSON around the image, or with its address, or with none."""
        head, _, tail = json.dumps(request).partition(PLACEHOLDER)
        self._image = image
        self._content = None if image is None else image.content
        self._sent = self._answered = False
        self._head, self._tail = head.encode(), tail.encode()
        self.size = len(self._head) + len(self._tail)
        if image is not None and image.content is not None:
            self._head += f"data:{image.sent_type};base64,".encode()
            self.size = len(self._head) + (image.content.size + 2) // 3 * 4 + len(self._tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body from its beginning, as often as it is sent."""
        self._sent = False
        yield self._head
        if self._content is not None:
            for piece in self._content.pieces(_PIECE_BYTES):
                yield binascii.b2a_base64(piece, newline=False)
        yield self._tail
        self._sent = True
        self._give_back()

    def answered(self) -> None:
        """Note that the request is taken, and will not be sent again."""
        self._answered = True
        self._give_back()

    def _give_back(self) -> None:
        # An answer may begin before all is sent, and all may be sent for an answer that is no.
        if self._image is not None and self._sent and self._answered:
            self._image.sent()


class HttpClient(openai.DefaultAioHttpClient):
    """The client library's own over aiohttp; of an error answer only the beginning is read.

    aiohttp's parser is in C: a chunk costs less than half of what it does over the usual transport.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send as ever; an error answer comes whole and closed, cut to _ERROR_BYTES."""
        response = await super().send(request, **options)
        whole = response.is_success or response.is_closed
        return response if whole else await _cut(response)


async def _cut(response: httpx2.Response) -> httpx2.Response:
    """Read the beginning of an error answer, in bounded time; what fails meanwhile is no matter."""
    content = bytearray()
    with contextlib.suppress(TimeoutError, *LIBRARY_ERRORS):
        async with asyncio.timeout(_ERROR_SECONDS):
            async for piece in response.aiter_raw():
                content += piece
                if len(content) >= _ERROR_BYTES:
                    break
    with contextlib.suppress(TimeoutError, *LIBRARY_ERRORS):
        async with asyncio.timeout(_ERROR_SECONDS):
            await response.aclose()
    encoding = response.headers.get("content-encoding", "")
    # Not the type: the client decodes with the charset that it names, whatever that is.
    kept = {"retry-after", "x-request-id"}
    return httpx2.Response(
        response.status_code,
        headers=[(name, value) for name, value in response.headers.items() if name in kept],
        content=_unpacked(bytes(content[:_ERROR_BYTES]), encoding),
        request=response.request,
        extensions={k: v for k, v in response.extensions.items() if k == "reason_phrase"},
    )


def _unpacked(content: bytes, encoding: str) -> bytes:
    """Undo gzip or zlib up to _ERROR_BYTES; what cannot be undone stays as it is."""
    if not encoding or encoding == "identity":
        return content
    try:
        return zlib.decompressobj(wbits=47).decompress(content, _ERROR_BYTES)
    except zlib.error:
        return content
