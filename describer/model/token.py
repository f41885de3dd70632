"""The access token for Vertex AI: fetched off the event loop, once for all deliveries."""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from describer.errors import TokenError
from describer.threads import in_thread

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
REFRESH_TIMEOUT_SECONDS = 15.0
# The metadata server keeps a token until shortly before it expires, so that a refresh may give
# the refused one again; to ask for each request would only add to what is wrong.
SAME_TOKEN_SECONDS = 30.0
# What fits into a header. The HTTP client's error for anything else quotes it.
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")
# From the third on: google-auth does not look whether an answer is a JSON object, whether the
# token is in it, nor whether its expiry makes a date.
_REFRESH_ERRORS = (
    GoogleAuthError,
    OSError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
)


class Credentials(Protocol):
    """The part of google-auth's credentials that is used here."""

    token: str | None

    @property
    def valid(self) -> bool:
        """False from 3 min 45 s before the token expires."""

    @property
    def expired(self) -> bool:
        """As `valid`, but only once there is a token."""

    def refresh(self, request: Request) -> None:
        """Fetch a new token. Blocks."""


class AccessToken:
    """Gives the current token; awaited by the client before each request."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._refreshing: asyncio.Task[None] | None = None
        self._refused: str | None = None
        self._unchanged_at: float | None = None

    async def __call__(self) -> str:
        """Give a token that is valid for some minutes yet.

        Raises:
            TokenError: none could be had in REFRESH_TIMEOUT_SECONDS.
        """
        if not self._usable():
            if self._refreshing is None:
                self._refreshing = asyncio.ensure_future(self._refresh())
                self._refreshing.add_done_callback(self._refreshed)
            # All that wait share one refresh and its failure: one after the other, the last of
            # them would wait for all the time-outs before its own.
            await asyncio.shield(self._refreshing)
        return self._credentials.token or ""

    def refuse(self, token: str) -> None:
        """Take a token for dead: it was sent, and the server answered 401.

        The next call refreshes, unless it has been replaced already or was given again lately.
        """
        if token == self._credentials.token and token != self._refused:
            self._refused, self._unchanged_at = token, None

    def _usable(self) -> bool:
        if not (self._credentials.valid and self._sendable()):
            return False
        if self._credentials.token != self._refused:
            return True
        now = asyncio.get_running_loop().time()
        return self._unchanged_at is not None and now - self._unchanged_at < SAME_TOKEN_SECONDS

    def _sendable(self) -> bool:
        token: object = self._credentials.token
        return isinstance(token, str) and _TOKEN.match(token) is not None

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        # Looked at here, since all that waited may have been cancelled.
        _ = task.cancelled() or task.exception()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_SECONDS):
                await in_thread(self._credentials.refresh, Request())
        except TimeoutError as exc:
            raise TokenError(f"no access token within {REFRESH_TIMEOUT_SECONDS:g} s") from exc
        except _REFRESH_ERRORS as exc:
            raise TokenError(f"no access token: {type(exc).__name__}: {str(exc)[:300]}") from exc
        if not self._sendable():
            raise TokenError("no access token: the answer holds none that could be sent")
        if self._credentials.token == self._refused:
            self._unchanged_at = asyncio.get_running_loop().time()
