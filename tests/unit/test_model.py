"""The real OpenAI client over a transport of ours: what it sends, and what its errors become."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from unittest.mock import ANY

import aiohttp
import aiohttp.http_exceptions
import google.api_core.exceptions
import google.auth.exceptions
import httpx2
import openai
import pytest

from describer.build import build_model
from describer.errors import (
    BlockedError,
    DescriberError,
    ModelAccessError,
    ModelBusyError,
    ModelDisconnectedError,
    ModelError,
    ModelMissingError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    PermanentError,
    RecordExistsError,
    StoreError,
    StreamBrokenError,
    VersionConflictError,
)
from describer.images.image import Image
from describer.model import translation
from describer.model.chat import NO_KEY, OpenAIModel, vertex_base_url
from describer.model.prompt import instructions_for
from describer.model.stream import Chunk
from describer.model.token import AccessToken
from describer.model.translation import LIBRARY_ERRORS, translate
from describer.model.transport import HttpClient
from describer.records import firestore
from describer.servers import SERVERS, Server
from describer.settings import Settings

Handler = Callable[[httpx2.Request], httpx2.Response]
GOOD = b'data: {"choices":[{"delta":{"content":"A cat"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n'


def ask(
    handler: Handler,
    *,
    token: AccessToken | None = None,
    base_url: str = "https://host.example/v1",
    key: str = "key",
    settings: Settings | None = None,
    server: Server | None = None,
    answer: str = "",
    economy: bool = False,
) -> list[Chunk]:
    """Stream one answer through the real client: to a picture, or to an answer to one."""

    async def work() -> list[Chunk]:
        http = HttpClient(transport=httpx2.MockTransport(handler))
        client = openai.AsyncOpenAI(
            base_url=base_url, api_key=token or key, max_retries=0, http_client=http
        )
        instructions = instructions_for("a.jpg", settings or Settings())
        instructions = replace(instructions, economy=economy)
        image = Image("image/jpeg", 1, uri="gs://b/a.jpg")
        asked = (instructions.repairing(answer), None) if answer else (instructions, image)
        async with OpenAIModel(client, token, server).stream(*asked) as chunks:
            return [chunk async for chunk in chunks]

    return asyncio.run(work())


def answering(status: int, body: bytes = b"", **headers: str) -> Handler:
    return lambda _: httpx2.Response(status, content=body, headers=headers)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("global", "https://aiplatform.googleapis.com/v1/projects/p/locations/global"),
        ("us", "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"),
        (
            "europe-west4",
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4",
        ),
    ],
)
def test_each_kind_of_location_has_its_host(location: str, url: str) -> None:
    """The template with the location in front is wrong for three of them."""
    assert vertex_base_url("p", location) == f"{url}/endpoints/openapi"


@pytest.mark.parametrize(
    ("base_url", "limit"),
    [
        ("https://host.example/v1", "max_tokens"),
        ("https://api.openai.com/v1", "max_completion_tokens"),
    ],
)
def test_sends_what_the_endpoint_documents_and_nothing_else(base_url: str, limit: str) -> None:
    """Unsupported parameters are ignored silently or refused, so none is sent."""
    sent: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, content=GOOD)

    assert ask(handler, base_url=base_url) == [Chunk("A cat", "stop")]
    body = json.loads(sent[0].content)
    assert sent[0].url == f"{base_url}/chat/completions"
    assert sent[0].headers["authorization"] == "Bearer key"
    assert set(body) == {"model", "stream", "stream_options", limit, "messages"}
    assert body["model"] == "google/gemini-3.5-flash-lite"
    system, user = body["messages"]
    assert system["role"] == "system"
    assert user["content"][0] == {"type": "image_url", "image_url": {"url": "gs://b/a.jpg"}}


@pytest.mark.parametrize("economy", [False, True])
@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://host.example/v1", None),
        (vertex_base_url("p", "global"), "x-vertex-ai-llm-shared-request-type"),
    ],
)
def test_the_cheaper_lane_is_a_header(base_url: str, name: str | None, *, economy: bool) -> None:
    """Of Vertex AI alone; a request waits for its turn there longer than for a chunk."""
    sent: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, content=GOOD)

    ask(handler, base_url=base_url, economy=economy)
    ask(handler, base_url=base_url)
    first, second = sent
    lane = {"x-vertex-ai-llm-shared-request-type": "flex"} if name and economy else {}
    # The client tells its patience in a header of its own.
    told = "x-stainless-read-timeout"
    assert dict(first.headers) | {told: ANY} == dict(second.headers) | lane | {told: ANY}
    assert first.content == second.content
    patience = first.extensions["timeout"]["read"], second.extensions["timeout"]["read"]
    assert (patience[0] is None) == bool(lane)
    assert patience[1] is not None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        *((s, b"", ModelBusyError) for s in (408, 409, 425, 429, 499, 500, 502, 503, 504, 529)),
        *((s, b"", ModelAccessError) for s in (401, 402, 403)),
        *((s, b"", ModelMissingError) for s in (404, 410)),
        (400, b'{"error":{"message":"Invalid model name passed in model=m"}}', ModelMissingError),
        (400, b'{"error":{"code":"model_not_found","message":"m"}}', ModelMissingError),
        *((s, b"", ModelRejectedError) for s in (400, 413, 415, 422)),
        (400, b'[{"error":{"message":"Service agents are being provisioned"}}]', ModelBusyError),
        (400, b'{"error":{"code":"content_filter","message":"no"}}', BlockedError),
        (400, b'{"error":"plain text"}', ModelRejectedError),
        (400, b"[" * 100_000, ModelRejectedError),
        (503, b"<html>", ModelBusyError),
    ],
    ids=str,
)
def test_an_error_answer_is_classified(
    status: int, body: bytes, expected: type[DescriberError]
) -> None:
    """By its status first, by its words where the status does not tell."""
    with pytest.raises(DescriberError) as caught:
        ask(answering(status, body))
    assert type(caught.value) is expected


def test_the_servers_words_and_retry_after_are_kept() -> None:
    """Also from the list that Google's front end wraps errors in."""
    body = b'[{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}]'
    with pytest.raises(ModelBusyError, match="RESOURCE_EXHAUSTED: Resource exhausted") as caught:
        ask(answering(429, body, **{"Retry-After": "7"}))
    assert caught.value.retry_after_seconds == 7
    assert caught.value.http_status == 429


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (NO_KEY, "^OPENAI_API_KEY is not set: the model answered 401: Unauthorized"),
        ("sk-1", "^OPENAI_API_KEY was refused: the model answered 401: Unauthorized"),
    ],
)
def test_a_401_names_the_key(key: str, words: str) -> None:
    """Servers say that something is wrong; which setting it is, is known here only."""
    with pytest.raises(ModelAccessError, match=words) as caught:
        ask(answering(401), key=key)
    assert caught.value.http_status == 401


def test_a_key_that_gemini_refuses_with_400_is_a_matter_of_configuration() -> None:
    """It can be mended, so no image is rejected for good."""
    body = b'[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]'
    with pytest.raises(ModelAccessError, match=r"^OPENAI_API_KEY was refused: .* 400: API key not"):
        ask(answering(400, body))


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"<!DOCTYPE html><title>Log in", "text/html; charset=utf-8", "answered text/html; char"),
        (b'{"detail":"Not logged in"}', "application/json", "answered application/json: no event"),
        (b"Who are you?", "", "no Content-Type: no event stream but b'Who are"),
    ],
)
def test_what_is_no_stream_is_called_by_its_type(
    body: bytes, content_type: str, words: str
) -> None:
    """A login page of a gateway, say, which comes with 200."""
    headers = {"Content-Type": content_type} if content_type else {}
    with pytest.raises(StreamBrokenError, match=words):
        ask(answering(200, body, **headers))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx2.ConnectError("refused"), ModelUnreachableError),
        (httpx2.ConnectTimeout("slow"), ModelUnreachableError),
        (httpx2.ReadTimeout("slow"), ModelTimeoutError),
        (httpx2.RemoteProtocolError("cut"), ModelDisconnectedError),
    ],
    ids=repr,
)
def test_a_failed_connection_is_transient(
    error: httpx2.HTTPError, expected: type[DescriberError]
) -> None:
    """Before any answer."""

    def handler(_: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(expected):
        ask(handler)


class _Broken(httpx2.AsyncByteStream):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices":[{"delta":{"content":"A"}}]}\n\n'
        raise self._error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx2.ReadTimeout("silence"), ModelTimeoutError),
        (httpx2.RemoteProtocolError("cut"), StreamBrokenError),
        (httpx2.ReadError("reset"), StreamBrokenError),
    ],
    ids=repr,
)
def test_a_broken_stream_is_transient(error: Exception, expected: type[DescriberError]) -> None:
    """After the first chunk."""
    with pytest.raises(expected):
        ask(lambda _: httpx2.Response(200, stream=_Broken(error)))


class FakeCredentials:
    """Counts refreshes; every token is new."""

    def __init__(self, *failures: Exception) -> None:
        self.token: str | None = None
        self.refreshes = 0
        self.valid = False
        self.expired = False
        self._failures = list(failures)

    def refresh(self, request: object) -> None:
        """Give a new token, or the next failure."""
        self.refreshes += 1
        if self._failures:
            raise self._failures.pop(0)
        self.token, self.valid = f"token-{self.refreshes}", True


def test_one_401_renews_the_token_once() -> None:
    """A token revoked before its time costs one more request; a second 401 is the answer."""
    seen: list[str] = []
    lanes: list[str | None] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["authorization"])
        lanes.append(request.headers.get("x-vertex-ai-llm-shared-request-type"))
        return httpx2.Response(200 if "token-2" in seen[-1] else 401, content=GOOD)

    token, server = AccessToken(FakeCredentials()), SERVERS["vertex"]
    asked = ask(handler, token=token, server=server, economy=True)
    assert asked == [Chunk("A cat", "stop")]
    assert seen == ["Bearer token-1", "Bearer token-2"]
    assert lanes == ["flex", "flex"]
    with pytest.raises(ModelAccessError, match=r"^Vertex AI refused the applic"):
        ask(answering(401), token=AccessToken(FakeCredentials()))


def test_streams_refused_together_share_one_new_token() -> None:
    """However late the 401 of each comes: the token that it was refused with is renewed once."""

    async def handler(request: httpx2.Request) -> httpx2.Response:
        if request.headers["authorization"] == "Bearer token-1":
            number = json.loads(request.content)["messages"][1]["content"][0]["image_url"]["url"]
            await asyncio.sleep(int(number) * 0.005)
            return httpx2.Response(401)
        return httpx2.Response(200, content=GOOD)

    async def work() -> None:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
        client = openai.AsyncOpenAI(
            base_url="https://host.example/v1", api_key=token, max_retries=0, http_client=http
        )
        asked = OpenAIModel(client, token)

        async def one(number: int) -> None:
            image = Image("image/jpeg", 1, uri=str(number))
            async with asked.stream(instructions_for("a.jpg", Settings()), image) as chunks:
                assert [chunk async for chunk in chunks] == [Chunk("A cat", "stop")]

        await asyncio.gather(*(one(number) for number in range(40)))

    credentials = FakeCredentials()
    token = AccessToken(credentials)
    asyncio.run(work())
    assert credentials.refreshes == 2


def _descendants(cls: type[BaseException]) -> set[type[BaseException]]:
    found = set(cls.__subclasses__())
    return found.union(*(_descendants(sub) for sub in found)) if found else found


def test_every_error_of_the_openai_client_is_classified() -> None:
    """A class that a new release adds fails here until someone has decided about it."""
    # None of these comes out of a streamed request: other APIs, other clients, wrong use.
    elsewhere = {
        "APIRemovedInV1",
        "MutuallyExclusiveAuthError",
        "_AmbiguousModuleClientUsageError",
        "StreamAlreadyConsumed",
        "SubjectTokenProviderError",
    }
    named = {theirs for theirs, _ in translation.TRANSLATIONS} - {
        openai.OpenAIError,
        openai.APIError,
    }
    for cls in _descendants(openai.OpenAIError) - {openai.APIError}:
        if cls.__name__ in elsewhere:
            continue
        classified = issubclass(cls, openai.APIStatusError) or issubclass(cls, tuple(named))
        assert classified, f"{cls.__module__}.{cls.__name__} is not classified"


def test_every_error_of_the_transport_is_classified() -> None:
    """As above, for what the client's transport raises while a stream is read."""
    request = httpx2.Request("POST", "https://host.example")
    for cls in _descendants(httpx2.HTTPError) | _descendants(httpx2.StreamError):
        if issubclass(cls, httpx2.HTTPStatusError | httpx2.TooManyRedirects | httpx2.InvalidURL):
            continue
        error = cls.__new__(cls, "x")
        error.args = ("x",)
        assert isinstance(error, Exception)
        assert isinstance(translate(error), ModelError), cls
    assert isinstance(translate(openai.APIError("x", request, body=None)), StreamBrokenError)


# What another try of the same call may mend, and what not.
RETRIED = """
    Aborted DeadlineExceeded InternalServerError ResourceExhausted ServiceUnavailable
    Unknown
"""
NOT_RETRIED = """
    AlreadyExists BadGateway BadRequest Cancelled ClientError Conflict DataLoss
    DuplicateCredentialArgs FailedPrecondition Forbidden GatewayTimeout GoogleAPICallError
    InvalidArgument LengthRequired MethodNotAllowed MethodNotImplemented
    MissingStatusHeaderError MovedPermanently NotFound NotModified OutOfRange
    PermissionDenied PreconditionFailed Redirection RequestRangeNotSatisfiable
    ResumableTransferError ResumeIncomplete RetryError ServerError TemporaryRedirect
    TooManyRequests TransferStalledError Unauthenticated Unauthorized
    UnseekableStreamError UploadCancelledError
"""
AUTH = """
    ClientCertError DefaultCredentialsError GoogleAuthError InvalidOperation
    InvalidResource InvalidType InvalidValue MalformedError MutualTLSChannelError
    OAuthError OSError ReauthFailError ReauthSamlChallengeFailError RefreshError
    ResponseError TimeoutError TransportError UserAccessTokenError
"""


def test_every_error_of_the_google_libraries_is_classified() -> None:
    """A class that a new release adds fails here until someone has decided about it."""
    api, auth = google.api_core.exceptions, google.auth.exceptions
    of_api = {cls for cls in _descendants(api.GoogleAPIError) if cls.__module__ == api.__name__}
    assert sorted(cls.__name__ for cls in of_api) == sorted((RETRIED + NOT_RETRIED).split())
    of_auth = {auth.GoogleAuthError} | _descendants(auth.GoogleAuthError)
    assert sorted({cls.__name__ for cls in of_auth if "auth" in cls.__module__}) == sorted(
        AUTH.split()
    )
    assert sorted(cls.__name__ for cls in firestore.TRANSIENT) == sorted(RETRIED.split())
    ours: dict[str, type[StoreError]] = {
        "AlreadyExists": RecordExistsError,
        "FailedPrecondition": VersionConflictError,
        "NotFound": VersionConflictError,
    }
    for cls in of_api | of_auth:
        if issubclass(cls, api.GoogleAPICallError | auth.GoogleAuthError):
            assert type(firestore.translate(cls("x"))) is ours.get(cls.__name__, StoreError)


def test_every_permanent_error_has_an_outcome_of_its_own() -> None:
    """The words of the record's contract."""
    outcomes = [cls.outcome for cls in PermanentError.__subclasses__()]
    assert sorted(outcomes) == [
        "blocked", "empty", "gave_up", "gone", "over_limit", "rejected", "too_large", "unreadable",
        "unsupported",
    ]  # fmt: skip


def test_every_error_of_the_faster_transport_is_classified() -> None:
    """What the layers between make of it is not asked: they call a refused connection slow."""
    below = aiohttp.http_exceptions.HttpProcessingError
    roots = {aiohttp.ClientError, below, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL}
    for cls in roots.union(*map(_descendants, roots)):
        if "web" in cls.__module__ or not cls.__module__.startswith(("aiohttp", "httpx2")):
            continue
        assert issubclass(cls, LIBRARY_ERRORS)
        if not issubclass(cls, aiohttp.ClientError):
            continue
        expected: type[DescriberError] = StreamBrokenError
        if issubclass(cls, aiohttp.ClientConnectionError):
            expected = ModelDisconnectedError
        if issubclass(cls, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            expected = ModelUnreachableError
        elif issubclass(cls, aiohttp.ServerTimeoutError):
            expected = ModelTimeoutError
        first = next(ours for theirs, ours in translation.TRANSLATIONS if issubclass(cls, theirs))
        assert first is expected, cls
    slow = httpx2.ConnectTimeout("x")
    slow.__cause__ = aiohttp.ServerDisconnectedError()
    assert type(translate(slow)) is ModelDisconnectedError


@pytest.mark.parametrize(
    ("delay", "connections"), [(0.0, 1), (0.05, 1), (None, 2)], ids=["at once", "later", "never"]
)
def test_the_connection_is_used_again(delay: float | None, connections: int) -> None:
    """Unless the server does not end the body, which the text does not wait for either."""
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: ([0-9]+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n%b\r\n" % (len(GOOD), GOOD))
                if delay is None:
                    await reader.read()
                    break
                await asyncio.sleep(delay)
                writer.write(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def work() -> list[list[Chunk]]:
        server = await asyncio.start_server(serve, "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        asked = build_model(Settings(openai_base_url=f"http://127.0.0.1:{port}/v1"))
        instructions = instructions_for("a.jpg", Settings())
        image = Image("image/jpeg", 1, uri="gs://b/a.jpg")
        answers = []
        for _ in range(2):
            async with asyncio.timeout(5), asked.stream(instructions, image) as chunks:
                answers.append([chunk async for chunk in chunks])
        await asked.close()
        server.close()
        await asyncio.sleep(0.05)
        return answers

    assert asyncio.run(work()) == [[Chunk("A cat", "stop")]] * 2
    assert opened == connections
