"""Asks Google's APIs over REST: many at once, each within a time-out; a refusal is a value.

Over REST, since one answer of each of a dozen APIs is not worth a client library for each.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlsplit

import click
import httpx2
from google.auth.exceptions import GoogleAuthError

from describer.errors import TokenError
from operate.address import is_loopback

if TYPE_CHECKING:
    from describer.settings import Settings
    from operate.credentials import AccessToken

EMULATOR = "GOOGLE_APIS_EMULATOR_HOST"
_AT_ONCE = 8
_WORTH_ANOTHER_TRY = {429, 500, 502, 503, 504}
_PAUSE_SECONDS = 0.5
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that was not had.

    Attributes:
        why: in words.
        missing: the API says that there is no such thing.
    """

    why: str
    missing: bool = False


Answer: TypeAlias = Mapping[str, Any] | Unread


class NotReadError(Exception):
    """A check cannot be made, since an answer was not had."""


def known(answer: Answer) -> Mapping[str, Any]:
    """Give an answer's content.

    Raises:
        NotReadError: there is none.
    """
    if isinstance(answer, Unread):
        raise NotReadError(answer.why)
    return answer


@dataclass(frozen=True, slots=True)
class Call:
    """One question.

    Attributes:
        url: without parameters.
        right: the permission that it takes.
        body: posted as JSON; None: it is a GET.
        items: the field that is a list given in pages, which are joined; "": there are no pages.
    """

    url: str
    right: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    items: str = ""


class Cloud:
    """The APIs, or what stands in for them at GOOGLE_APIS_EMULATOR_HOST.

    Attributes:
        project: that is asked about.
        skews: seconds by which this machine's clock is before the service's, one for each answer.
    """

    def __init__(
        self, project: str, token: AccessToken | None, *, timeout_seconds: float = 15.0
    ) -> None:
        """Keep whom to ask as; nobody where the APIs are stood in for."""
        host = os.environ.get(EMULATOR)
        if host and not is_loopback(f"http://{host}"):
            raise click.UsageError(f"{EMULATOR}={host} is not on this machine")
        self._emulator = host
        self.project = project
        self._token = token
        self._client = httpx2.Client(
            timeout=timeout_seconds, trust_env=not host, follow_redirects=False
        )
        self.skews: list[float] = []

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def emulated(self) -> bool:
        """Whether something stands in for the APIs."""
        return bool(self._emulator)

    def address(self, url: str) -> str:
        """Give where this address of an API is to be found: there, or below the emulator's."""
        return url.replace("https://", f"http://{self._emulator}/", 1) if self._emulator else url

    def ask(self, calls: Mapping[str, Call]) -> dict[str, Answer]:
        """Ask all, some at once; each answer stands under its question's name."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(calls, pool.map(self._whole, calls.values()), strict=True))

    def download(self, bucket: str, name: str) -> bytes | Unread:
        """Give an object's bytes."""
        url = f"https://storage.googleapis.com/storage/v1/b/{segment(bucket)}/o/{segment(name)}"
        response = self._send(Call(url, "storage.objects.get", {"alt": "media"}))
        return response if isinstance(response, Unread) else response.content

    def _whole(self, call: Call) -> Answer:
        answer = self._page(call)
        if isinstance(answer, Unread) or not call.items:
            return answer
        listed: list[Mapping[str, Any]] = []
        for _ in range(_MOST_PAGES):
            found = answer.get(call.items) or []
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                return Unread(f"{_service(call)} answered something that is no list of objects")
            listed += found
            if not (token := answer.get("nextPageToken")):
                return {**answer, call.items: listed}
            answer = self._page(call, {"pageToken": str(token)})
            if isinstance(answer, Unread):
                return answer
        return Unread(f"the list has over {_MOST_PAGES} pages")

    def _page(self, call: Call, more: Mapping[str, str] | None = None) -> Answer:
        response = self._send(call, more)
        if isinstance(response, Unread):
            return response
        try:
            content = response.json()
        except ValueError:
            return Unread(f"{_service(call)} answered something that is no JSON")
        if not isinstance(content, dict):
            return Unread(f"{_service(call)} answered something that is no JSON object")
        return content

    def _send(self, call: Call, more: Mapping[str, str] | None = None) -> httpx2.Response | Unread:
        response = self._once(call, more)
        if isinstance(response, httpx2.Response) and response.status_code in _WORTH_ANOTHER_TRY:
            time.sleep(_PAUSE_SECONDS)
            response = self._once(call, more)
        if isinstance(response, Unread) or response.is_success:
            return response
        return _refused(call, response)

    def _once(self, call: Call, more: Mapping[str, str] | None) -> httpx2.Response | Unread:
        try:
            headers = self._headers()
        except (GoogleAuthError, TokenError) as exc:
            return Unread(f"no access token: {str(exc.args[0] if exc.args else exc)[:200]}")
        began = time.time()
        try:
            response = self._client.request(
                "GET" if call.body is None else "POST",
                self.address(call.url),
                params={**call.params, **(more or {})},
                headers=headers,
                json=call.body,
            )
        except httpx2.TimeoutException:
            return Unread(f"{_service(call)} gave no answer in time")
        except httpx2.RequestError as exc:
            return Unread(
                f"{_service(call)} gave no answer: {str(exc)[:200] or type(exc).__name__}"
            )
        self._note_clock(response.headers.get("date", ""), (began + time.time()) / 2)
        return response

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            return {}
        headers = {"authorization": f"Bearer {self._token()}"}
        if quota := self._token.quota_project(self.project):
            headers["x-goog-user-project"] = quota
        return headers

    def _note_clock(self, date: str, here: float) -> None:
        try:
            # Whole seconds, cut off.
            there = parsedate_to_datetime(date).timestamp() + 0.5
        except ValueError:
            return
        self.skews.append(here - there)


def segment(text: str) -> str:
    """Give a name as one part of a path."""
    return quote(text, safe="")


def _service(call: Call) -> str:
    return urlsplit(call.url).hostname or ""


def _refused(call: Call, response: httpx2.Response) -> Unread:
    said = response.text
    if response.status_code == 404:
        return Unread(f"{_service(call)} knows nothing of it", missing=True)
    if response.status_code == 403 and "SERVICE_DISABLED" in said:
        return Unread(f"{_service(call)} is not enabled")
    if response.status_code in {401, 403}:
        return Unread(f"no right to look ({call.right})")
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        message = said
    return Unread(f"{_service(call)} answered {response.status_code}: {message[:200]}")


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[Cloud]:
    """Connect to the APIs until the end of the block, or to the emulator.

    Raises:
        TokenError: no project can be found.
    """
    token = None
    if not os.environ.get(EMULATOR):
        from operate.credentials import AccessToken

        token = AccessToken()
    project = settings.google_cloud_project or (token and token.project)
    if not project:
        raise TokenError("no project: set GOOGLE_CLOUD_PROJECT")
    with contextlib.closing(Cloud(project, token)) as cloud:
        yield cloud
