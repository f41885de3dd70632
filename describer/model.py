"""The model port, and the real one behind the OpenAI client.

Every exception of the client, its transport and google-auth is translated here, and only here,
for what concerns the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from describer.errors import (
    BlockedError,
    DescriberError,
    ModelAccessError,
    ModelBusyError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    StreamBrokenError,
)
from describer.image import Image
from describer.prompt import REQUEST, Instructions
from describer.stream import Chunk, Decoder, read_error

if TYPE_CHECKING:
    from describer.token import AccessToken


# Never iterated: see stream.py.
_Stream = openai.AsyncStream[object]
_LIBRARY_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError)
_DRAIN_SECONDS = 0.5


class Model(Protocol):
    """A model that streams its answer."""

    def stream(
        self, instructions: Instructions, image: Image
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Ask for a description.

        Entering means that the model has begun (and costs); leaving early hangs up.

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
        response = await self._begin(self._body(instructions, image))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(response.aclose)
            yield await stack.enter_async_context(aclosing(_chunks(response)))

    async def close(self) -> None:
        """See `Model.close`."""
        await self._client.close()

    async def _begin(self, body: dict[str, Any]) -> httpx2.Response:
        """Send the request, once more with a new token after a 401, up to the answer's head."""
        try:
            try:
                return await self._post(body)
            except openai.AuthenticationError:
                if self._token is None:
                    raise
                self._token.refuse()
                return await self._post(body)
        except openai.OpenAIError as exc:
            raise translate(exc) from exc

    async def _post(self, body: dict[str, Any]) -> httpx2.Response:
        # The client's documented call for any endpoint. `chat.completions.create` would walk the
        # body along its type annotations first, which costs more than sending it.
        stream = await self._client.post(
            "/chat/completions",
            body=body,
            cast_to=object,
            stream=True,
            stream_cls=_Stream,
        )
        return stream.response

    def _body(self, instructions: Instructions, image: Image) -> dict[str, Any]:
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
                        {"type": "image_url", "image_url": {"url": image.url}},
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
    except _LIBRARY_ERRORS as exc:
        raise translate(exc) from exc


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read to the body's end: a connection left before it cannot be used again."""
    with contextlib.suppress(TimeoutError, *_LIBRARY_ERRORS):
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
    (aiohttp.ServerTimeoutError, ModelTimeoutError),
    (aiohttp.ClientConnectionError, ModelUnreachableError),
    (aiohttp.ClientError, StreamBrokenError),
    (openai.APITimeoutError, ModelTimeoutError),
    (openai.APIConnectionError, ModelUnreachableError),
    (openai.APIResponseValidationError, StreamBrokenError),
    (openai.APIError, StreamBrokenError),
    (openai.LengthFinishReasonError, StreamBrokenError),
    (openai.ContentFilterFinishReasonError, BlockedError),
    (openai.OAuthError, ModelAccessError),
    (openai.WebSocketConnectionClosedError, ModelUnreachableError),
    (openai.WebSocketQueueFullError, ModelBusyError),
    (openai.OpenAIError, ModelAccessError),
    (httpx2.TimeoutException, ModelTimeoutError),
    (httpx2.TransportError, StreamBrokenError),
    (httpx2.HTTPError, StreamBrokenError),
    (httpx2.StreamError, StreamBrokenError),
)


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
    if status is None:
        return StreamBrokenError(f"the model sent an error: {message}")
    text = f"the model answered {status}: {message}"
    if status in {408, 409, 425, 429, 499} or status >= 500:
        return ModelBusyError(text, http_status=status, retry_after_seconds=retry_after_seconds)
    if status in {401, 402, 403, 404, 405, 407, 410} or status < 400:
        return ModelAccessError(text, http_status=status)
    if _PROVISIONING in message.lower():
        return ModelBusyError(text, http_status=status, retry_after_seconds=60.0)
    if any(code in message for code in _BLOCKED_CODES):
        return BlockedError(text)
    return ModelRejectedError(text)


def _retry_after(response: httpx2.Response) -> float | None:
    """Read Retry-After in seconds; the form with a date is not used by model servers."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None
