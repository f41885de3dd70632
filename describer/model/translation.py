"""What the errors of the client, its transport and the model's server mean to a delivery.

Each of them is translated here, and only here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

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
    ModelMissingError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnreachableError,
    StreamBrokenError,
)
from describer.model.stream import read_error


def translate(exc: Exception, make: Callable[..., DescriberError] | None = None) -> DescriberError:
    """Turn any error of the client or its transport into one of ours; `make`: `error_for`."""
    if isinstance(exc, openai.APIStatusError):
        return error_for_response(exc.response, make)
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
    # A status line's words that are not UTF-8, a redirect to what is no host's name.
    (UnicodeError, StreamBrokenError),
)


# What may come out of a request or a response; errors of ours pass.
LIBRARY_ERRORS = tuple({theirs for theirs, _ in TRANSLATIONS})


def error_for_response(
    response: httpx2.Response, make: Callable[..., DescriberError] | None = None
) -> DescriberError:
    """Classify an error answer by its status and by what its body says."""
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError, httpx2.ResponseNotRead):
        content = None
    if isinstance(content, list) and content:
        content = content[0]
    error: object = content.get("error", content) if isinstance(content, Mapping) else None
    message = read_error(error)[1] if error else response.reason_phrase
    return (make or error_for)(response.status_code, message, _retry_after(response))


# A fresh project answers 400 until the service agent that reads the bucket exists.
# Source: https://github.com/GoogleCloudPlatform/generative-ai/issues/1308
_PROVISIONING = "service agents are being provisioned"
# Gemini's own endpoint answers so, with 400, where others answer 401.
# Source: https://github.com/continuedev/continue/issues/9330
_BAD_KEY = "api key not valid"
# Some answer 400 for a name that they do not know: LiteLLM the first, LM Studio the second.
_NO_MODEL = ("invalid model name", "model_not_found")
_BLOCKED_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")


def error_for(
    status: int | None,
    message: str,
    retry_after_seconds: float | None = None,
    *,
    permanent: Sequence[str] = (),
) -> DescriberError:
    """Classify an error by its HTTP status, sent as such or as a code inside a stream.

    Args:
        permanent: words with which this kind of server refuses for good, whatever the status.

    Source: https://docs.cloud.google.com/gemini-enterprise-agent-platform/reference/models/api-errors
    """
    blocked = any(code in message for code in _BLOCKED_CODES)
    if status is None:
        text = f"the model sent an error: {message}"
        return BlockedError(text) if blocked else StreamBrokenError(text)
    text = f"the model answered {status}: {message}"
    if any(words.lower() in message.lower() for words in permanent):
        return ModelRejectedError(text)
    if status in {408, 409, 425, 429, 499} or status >= 500:
        return ModelBusyError(text, http_status=status, retry_after_seconds=retry_after_seconds)
    if status in {404, 410} or (status == 400 and any(w in message.lower() for w in _NO_MODEL)):
        return ModelMissingError(text, http_status=status)
    if status in {401, 402, 403, 405, 407} or status < 400:
        return ModelAccessError(text, http_status=status)
    if _BAD_KEY in message.lower():
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
