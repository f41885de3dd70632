"""The model behind the OpenAI client: Vertex AI, or any server that speaks Chat Completions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from describer.errors import DescriberError, ModelAccessError, ModelMissingError, StreamBrokenError
from describer.images.image import Image
from describer.model.prompt import Instructions
from describer.model.stream import Chunk, Decoder
from describer.model.translation import LIBRARY_ERRORS, error_for, translate
from describer.model.transport import PLACEHOLDER, Body
from describer.servers import SERVERS, Server, kind_of

if TYPE_CHECKING:
    from openai._types import RequestOptions

    from describer.model.token import AccessToken


_DRAIN_SECONDS = 0.5
# A request may wait for its turn for minutes there: whoever asks bounds the whole of it.
_ECONOMY_TIMEOUT = httpx2.Timeout(None, connect=10.0)
# Servers of one's own often ask for no key, but the client insists on one.
NO_KEY = "none"


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

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        token: AccessToken | None = None,
        server: Server | None = None,
    ) -> None:
        """Wrap a client whose own retries are off: one layer owns them, and it is not this one.

        Args:
            client: with `max_retries=0` and a read time-out of one silence between chunks.
            token: renewed once when the server answers 401.
            server: what it takes; None: what the client's address tells.
        """
        self._client = client
        self._token = token
        self._server = server or SERVERS[kind_of(str(client.base_url))]
        self._error_for = partial(error_for, permanent=self._server.permanent)

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        body = Body(self._request(instructions, image), image)
        response = await self._begin(body, economy=instructions.economy)
        body.answered()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(response.aclose)
            yield await stack.enter_async_context(aclosing(self._chunks(response)))

    async def close(self) -> None:
        """See `Model.close`."""
        await self._client.close()

    async def _begin(self, body: Body, *, economy: bool) -> httpx2.Response:
        """Send the request, once more with a new token after a 401, up to the answer's head."""
        try:
            try:
                return await self._post(body, economy=economy)
            except openai.AuthenticationError as exc:
                if self._token is None:
                    raise
                # The one that was sent: the client's own may have been renewed meanwhile.
                sent = exc.response.request.headers.get("authorization", "")
                self._token.refuse(sent.removeprefix("Bearer "))
                return await self._post(body, economy=economy)
        except LIBRARY_ERRORS as exc:
            raise self._with_remedy(translate(exc, self._error_for)) from exc

    def _with_remedy(self, error: DescriberError) -> DescriberError:
        """Say which credentials were refused: servers say only that there is something wrong."""
        if not isinstance(error, ModelAccessError) or error.http_status not in {400, 401}:
            return error
        if isinstance(error, ModelMissingError):
            return error
        if self._token is not None:
            which = "Vertex AI refused the application default credentials"
        elif self._client.api_key == NO_KEY:
            which = "OPENAI_API_KEY is not set"
        else:
            which = "OPENAI_API_KEY was refused"
        return ModelAccessError(f"{which}: {error}", http_status=error.http_status)

    async def _post(self, body: Body, *, economy: bool) -> httpx2.Response:
        # The client's documented call for any endpoint. `chat.completions.create` would hold the
        # whole request as one string, and give a stream that keeps response and request alive in
        # a reference cycle. Any other encoding than none could unpack to any size.
        headers = {"Content-Length": str(body.size), "Accept-Encoding": "identity"}
        options: RequestOptions = {"headers": headers}
        if economy and self._server.economy is not None:
            name, value = self._server.economy
            headers[name] = value
            options["timeout"] = _ECONOMY_TIMEOUT
        response: httpx2.Response = await self._client.post(
            "/chat/completions",
            content=body,
            cast_to=httpx2.Response,
            options=options,
            stream=True,
        )
        return response

    def _request(self, instructions: Instructions, image: Image | None) -> dict[str, Any]:
        # No temperature, penalties or the like: current Gemini ignores or refuses them.
        server = self._server
        request = {
            "model": instructions.model,
            "stream": True,
            server.limit_name: instructions.max_output_tokens,
            "messages": [
                {"role": server.system_role, "content": instructions.system},
                {"role": "user", "content": self._content(instructions, image)},
            ],
        }
        if instructions.reasoning_effort is not None:
            request["reasoning_effort"] = instructions.reasoning_effort
        wanted = instructions.wanted
        if wanted.structured and server.structured == "json_schema":
            schema = {"name": "description", "strict": True, "schema": wanted.schema()}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif wanted.structured and server.structured == "json_object":
            request["response_format"] = {"type": "json_object"}
        if server.stream_options:
            request["stream_options"] = {"include_usage": True}
        return request

    def _content(self, instructions: Instructions, image: Image | None) -> str | list[Any]:
        if image is None:
            return instructions.request
        url = image.uri or PLACEHOLDER
        address = {"url": url}
        if instructions.image_detail is not None:
            address["detail"] = instructions.image_detail
        return [
            {
                "type": "image_url",
                "image_url": address if self._server.image_url == "object" else url,
            },
            {"type": "text", "text": instructions.request},
        ]

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
        decoder = Decoder(self._error_for)
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
            raise translate(exc, self._error_for) from exc
        except StreamBrokenError as exc:
            kind = response.headers.get("content-type", "no Content-Type")
            if kind.startswith("text/event-stream"):
                raise
            # A login page, a gateway's own words, an answer of another API.
            raise StreamBrokenError(f"the model answered {kind[:80]}: {exc}") from exc


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read to the body's end: a connection left before it cannot be used again."""
    with contextlib.suppress(TimeoutError, *LIBRARY_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in pieces:
                pass
