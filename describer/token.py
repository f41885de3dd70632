"""The access token for Vertex AI: fetched off the event loop, once for all deliveries."""

from __future__ import annotations

import asyncio
from typing import Protocol

from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from describer.errors import TokenError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
REFRESH_TIMEOUT_SECONDS = 15.0


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

    def refuse(self) -> None:
        """Take the current token for dead: the server answered 401. The next call refreshes."""
        self._refused = self._credentials.token

    def _usable(self) -> bool:
        return self._credentials.valid and self._credentials.token != self._refused

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        # Looked at here, since all that waited may have been cancelled.
        _ = task.cancelled() or task.exception()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_SECONDS):
                await asyncio.to_thread(self._credentials.refresh, Request())
        except TimeoutError as exc:
            raise TokenError(f"no access token within {REFRESH_TIMEOUT_SECONDS:g} s") from exc
        except (GoogleAuthError, OSError, TypeError, ValueError, AttributeError) as exc:
            # The last three: google-auth does not look whether an answer is a JSON object.
            raise TokenError(f"no access token: {type(exc).__name__}: {str(exc)[:300]}") from exc
