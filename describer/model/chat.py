"""The model port, and the real one behind the OpenAI client.

Every exception of the client, its transport and google-auth is translated here, and only here,
for what concerns the model.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import aiohttp.http_exceptions
import httpx2
import openai

from describer.errors import (
    BlockedError,
    DescriberError,
    ModelAccessError,
    ModelBusyError,
    ModelDisconnectedError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    StreamBrokenError,
)
from describer.images.loading import Image
from describer.model.prompt import REQUEST, Instructions
from describer.model.stream import Chunk, Decoder, read_error

if TYPE_CHECKING:
    from describer.model.token import AccessToken


_DRAIN_SECONDS = 0.5
# Of an error answer, what is read and kept, as sent and unpacked: a sentence, not a book.
_ERROR_BYTES = 16 * 1024
_ERROR_SECONDS = 2.0
# A multiple of three, so that the pieces' base64 joins; some packets long.
_PIECE_BYTES = 48 * 1024


class Model(Protocol):
    """A model that streams its answer."""

    def stream(
        self, instructions: Instructions, image: Image
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Ask for a description.

        Entering means that the model has begun (and costs), and that the image's bytes are given
        back as soon as they are sent; leaving early hangs up.

        Raises:
            TransientError, PermanentError: on entering and while iterating.
        """

    async def close(self) -> None:
        """Close the connections; nothing is asked afterwards."""


def vertex_base_url(project: str, location: str) -> str:
    """Give the OpenAI-compatible endpoint of Vertex AI in a location.

    `global` has no prefix, the multi-regions `us` and `eu` a host of their own kind.

    Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/migrate/openai/examples
    """
    if location == "global":
        host = "aiplatform.googleapis.com"
    elif location in {"us", "eu"}:
        host = f"aiplatform.{location}.rep.googleapis.com"
    else:
        host = f"{location}-aiplatform.googleapis.com"
    return f"https://{host}/v1/projects/{project}/locations/{location}/endpoints/openapi"


# Where the image goes; nobody can have written it into a prompt.
_PLACEHOLDER = uuid4().hex


class Body:
    """A request's JSON, with the image's base64 made while it is sent: no copy is ever held.

    Attributes:
        size: in bytes, known beforehand.
    """

    def __init__(self, request: Mapping[str, Any], image: Image) -> None:
        """Make the JSON around the image, or with its address."""
        head, _, tail = json.dumps(request).partition(_PLACEHOLDER)
        self._image = image
        self._sent = self._answered = False
        self._head, self._tail = head.encode(), tail.encode()
        self.size = len(self._head) + len(self._tail)
        if image.content is not None:
            self._head += f"data:{image.content_type};base64,".encode()
            self.size = len(self._head) + (image.content.size + 2) // 3 * 4 + len(self._tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body from its beginning, as often as it is sent."""
        self._sent = False
        yield self._head
        if self._image.content is not None:
            for piece in self._image.content.pieces(_PIECE_BYTES):
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
        if self._sent and self._answered:
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
    kept = {"content-type", "retry-after", "x-request-id"}
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


class OpenAIModel:
    """Any server that speaks OpenAI's Chat Completions, Vertex AI among them."""

    def __init__(self, client: openai.AsyncOpenAI, token: AccessToken | None = None) -> None:
        """Wrap a client whose own retries are off: one layer owns them, and it is not this one.

        Args:
            client: with `max_retries=0` and a read time-out of one silence between chunks.
            token: renewed once when the server answers 401.
        """
        self._client = client
        self._token = token
        host = urlsplit(str(client.base_url)).hostname or ""
        # OpenAI's newer models refuse the older name; other servers may not know the newer one.
        self._limit_name = "max_completion_tokens" if host.endswith("openai.com") else "max_tokens"

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        body = Body(self._request(instructions, image), image)
        response = await self._begin(body)
        body.answered()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(response.aclose)
            yield await stack.enter_async_context(aclosing(_chunks(response)))

    async def close(self) -> None:
        """See `Model.close`."""
        await self._client.close()

    async def _begin(self, body: Body) -> httpx2.Response:
        """Send the request, once more with a new token after a 401, up to the answer's head."""
        try:
            try:
                return await self._post(body)
            except openai.AuthenticationError as exc:
                if self._token is None:
                    raise
                # The one that was sent: the client's own may have been renewed meanwhile.
                sent = exc.response.request.headers.get("authorization", "")
                self._token.refuse(sent.removeprefix("Bearer "))
                return await self._post(body)
        except LIBRARY_ERRORS as exc:
            raise translate(exc) from exc

    async def _post(self, body: Body) -> httpx2.Response:
        # The client's documented call for any endpoint. `chat.completions.create` would hold the
        # whole request as one string, and give a stream that keeps response and request alive in
        # a reference cycle. Any other encoding than none could unpack to any size.
        headers = {"Content-Length": str(body.size), "Accept-Encoding": "identity"}
        response: httpx2.Response = await self._client.post(
            "/chat/completions",
            content=body,
            cast_to=httpx2.Response,
            options={"headers": headers},
            stream=True,
        )
        return response

    def _request(self, instructions: Instructions, image: Image) -> dict[str, Any]:
        # No temperature, penalties or the like: current Gemini ignores or refuses them.
        return {
            "model": instructions.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._limit_name: instructions.max_output_tokens,
            "messages": [
                {"role": "system", "content": instructions.system},
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": image.uri or _PLACEHOLDER}},
                        {"type": "text", "text": REQUEST},
                    ],
                },
            ],
        }


async def _chunks(response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
    decoder = Decoder(error_for)
    pieces = response.aiter_bytes()
    try:
        async for piece in pieces:
            for chunk in decoder.feed(piece):
                yield chunk
            if decoder.done:
                await _drain(pieces)
                return
        for chunk in decoder.end():
            yield chunk
    except LIBRARY_ERRORS as exc:
        raise translate(exc) from exc


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read to the body's end: a connection left before it cannot be used again."""
    with contextlib.suppress(TimeoutError, *LIBRARY_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in pieces:
                pass


def translate(exc: Exception) -> DescriberError:
    """Turn any error of the client or its transport into one of ours."""
    if isinstance(exc, openai.APIStatusError):
        return error_for_response(exc.response)
    # The transport's own error tells more than what the layers above made of it.
    found = next((e for e in _causes(exc) if isinstance(e, aiohttp.ClientError)), None)
    cause = found or exc.__cause__ or exc
    for library_error, ours in TRANSLATIONS:
        if isinstance(cause, library_error) or isinstance(exc, library_error):
            return ours(f"{type(cause).__name__}: {str(cause)[:300]}")
    return StreamBrokenError(f"{type(exc).__name__}: {str(exc)[:300]}")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Give an error and what it came from, outermost first."""
    step: BaseException | None = exc
    while step is not None:
        yield step
        step = step.__cause__


# The first that fits wins, so the narrower stand first.
TRANSLATIONS: tuple[tuple[type[Exception], type[DescriberError]], ...] = (
    (aiohttp.ConnectionTimeoutError, ModelUnreachableError),
    (aiohttp.ServerTimeoutError, ModelTimeoutError),
    (aiohttp.ClientConnectorError, ModelUnreachableError),
    (aiohttp.ClientConnectionError, ModelDisconnectedError),
    (aiohttp.ClientError, StreamBrokenError),
    (httpx2.ConnectError, ModelUnreachableError),
    (httpx2.ConnectTimeout, ModelUnreachableError),
    (httpx2.PoolTimeout, ModelUnreachableError),
    (openai.APITimeoutError, ModelTimeoutError),
    (openai.APIConnectionError, ModelDisconnectedError),
    (openai.APIResponseValidationError, StreamBrokenError),
    (openai.APIError, StreamBrokenError),
    (openai.LengthFinishReasonError, StreamBrokenError),
    (openai.ContentFilterFinishReasonError, BlockedError),
    (openai.OAuthError, ModelAccessError),
    (openai.WebSocketConnectionClosedError, ModelDisconnectedError),
    (openai.WebSocketQueueFullError, ModelBusyError),
    (openai.OpenAIError, ModelAccessError),
    (httpx2.TimeoutException, ModelTimeoutError),
    (httpx2.TransportError, StreamBrokenError),
    (httpx2.HTTPError, StreamBrokenError),
    (httpx2.StreamError, StreamBrokenError),
    (httpx2.InvalidURL, StreamBrokenError),
    (aiohttp.http_exceptions.HttpProcessingError, StreamBrokenError),
    (OSError, ModelDisconnectedError),
)
# What may come out of a request or a response; errors of ours pass.
LIBRARY_ERRORS = tuple({theirs for theirs, _ in TRANSLATIONS})


def error_for_response(response: httpx2.Response) -> DescriberError:
    """Classify an error answer by its status and by what its body says."""
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError, httpx2.ResponseNotRead):
        content = None
    if isinstance(content, list) and content:
        content = content[0]
    error: object = content.get("error", content) if isinstance(content, Mapping) else None
    message = read_error(error)[1] if error else response.reason_phrase
    return error_for(response.status_code, message, _retry_after(response))


# A fresh project answers 400 until the service agent that reads the bucket exists.
# Source: https://github.com/GoogleCloudPlatform/generative-ai/issues/1308
_PROVISIONING = "service agents are being provisioned"
_BLOCKED_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")


def error_for(
    status: int | None, message: str, retry_after_seconds: float | None = None
) -> DescriberError:
    """Classify an error by its HTTP status, sent as such or as a code inside a stream.

    Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/reference/models/api-errors
    """
    blocked = any(code in message for code in _BLOCKED_CODES)
    if status is None:
        text = f"the model sent an error: {message}"
        return BlockedError(text) if blocked else StreamBrokenError(text)
    text = f"the model answered {status}: {message}"
    if status in {408, 409, 425, 429, 499} or status >= 500:
        return ModelBusyError(text, http_status=status, retry_after_seconds=retry_after_seconds)
    if status in {401, 402, 403, 404, 405, 407, 410} or status < 400:
        return ModelAccessError(text, http_status=status)
    if _PROVISIONING in message.lower():
        return ModelBusyError(text, http_status=status, retry_after_seconds=60.0)
    if blocked:
        return BlockedError(text)
    return ModelRejectedError(text)


def _retry_after(response: httpx2.Response) -> float | None:
    """Read Retry-After in seconds; the form with a date is not used by model servers."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None
