"""Hands pictures to the function, or to a queue before it, so many at once."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import httpx2

from describer.errors import DescriberError, TokenError
from describer.records.record import Record, asked_again
from operate.address import is_loopback
from operate.output import say
from operate.records import ChangedError

if TYPE_CHECKING:
    from operate.choice import Due
    from operate.records import Records, Stored
    from operate.window import Window

# The function's own limits are below it; then nobody works on the picture any more.
_ANSWER_SECONDS = 900.0
_TRIES = 6
_LONGEST_PAUSE_SECONDS = 30.0
# A metadata server gives tokens of which only some minutes may be left.
_TOKEN_SECONDS = 240.0


class RefusedError(DescriberError):
    """The function cannot be reached so, or works otherwise than it should: all is stopped."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one picture.

    Attributes:
        outcome: the record's, or `failed`, or why it was left alone after all.
        message: why it failed.
        stored: the record afterwards.
    """

    due: Due
    outcome: str
    message: str = ""
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """What was answered to an event.

    Attributes:
        status: of HTTP; 0 if there was no connection.
        outcome: what there is to say of it now; "" if the record tells.
    """

    status: int
    said: str = ""
    outcome: str = ""


class Door(Protocol):
    """Where events are handed in."""

    def hand_in(self, due: Due, version: str) -> Handed:
        """Hand in one event, the record being at this version."""

    def close(self) -> None:
        """Close the connections."""


class HttpDoor:
    """The function's own address."""

    def __init__(self, url: str, *, at_once: int, economy: bool = False) -> None:
        """Keep where it is.

        Args:
            url: where the function answers.
            at_once: connections to be kept.
            economy: whether the model's cheaper lane is asked for.
        """
        self._url = url
        self._economy = economy
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=10.0),
            limits=httpx2.Limits(max_connections=at_once),
            trust_env=not is_loopback(url),
        )
        self._token = None if is_loopback(url) else IdentityToken(url)

    def close(self) -> None:
        """See `Door.close`."""
        self._client.close()

    def hand_in(self, due: Due, version: str) -> Handed:  # noqa: ARG002
        """See `Door.hand_in`."""
        headers, body = due.found.event(datetime.now(UTC), economy=self._economy)
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token()}"
        try:
            response = self._client.post(self._url, headers=headers, content=body)
        except httpx2.TransportError as exc:
            return Handed(0, f"no answer from {self._url}: {exc or type(exc).__name__}")
        return Handed(response.status_code, response.text[:300])


class IdentityToken:
    """Tells Cloud Run who asks; renewed in time."""

    def __init__(self, audience: str) -> None:
        self._audience = audience
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def __call__(self) -> str:
        """Give a token.

        Raises:
            TokenError: these credentials give none.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._token = os.environ.get("DESCRIBER_ID_TOKEN") or self._fetch()
                self._until = time.monotonic() + _TOKEN_SECONDS
            return self._token

    def _fetch(self) -> str:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
        from google.oauth2 import id_token

        try:
            return str(id_token.fetch_id_token(Request(), self._audience))
        except (GoogleAuthError, OSError, ValueError) as exc:
            raise TokenError(
                "no identity token: only service accounts and the metadata server give one; "
                'otherwise set DESCRIBER_ID_TOKEN="$(gcloud auth print-identity-token)"'
            ) from exc


class Deliverer:
    """Delivers what is due; each picture ends as one `Delivered`, told in the thread that did it.

    Attributes:
        outcomes: how many ended how.
    """

    def __init__(
        self,
        door: Door,
        records: Records,
        *,
        at_once: int,
        per_minute: float | None = None,
        between: Window | None = None,
        first_pause_seconds: float = 1.0,
    ) -> None:
        """Keep how to deliver.

        Args:
            at_once: pictures under way at the same time.
            per_minute: the most that are begun in a minute.
            between: when some may be begun; always if None.
            first_pause_seconds: before the second try; doubled before each further one.
        """
        self._door = door
        self._records = records
        self._at_once = at_once
        self._seconds_between = 60 / per_minute if per_minute else 0.0
        self._between = between
        self._first_pause_seconds = first_pause_seconds
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()

    def run(self, dues: Iterable[Due], on_done: Callable[[Delivered], None]) -> None:
        """Deliver all; Ctrl-C begins nothing new and waits for what is under way.

        Args:
            on_done: called for one at a time; what it raises stops all.

        Raises:
            RefusedError, TokenError: it makes no sense to go on.
        """
        slots = threading.Semaphore(self._at_once)
        begun = -self._seconds_between

        def one(due: Due) -> None:
            try:
                if not self._stopped.is_set():
                    self._done(self._deliver(due), on_done)
            except Exception as exc:  # noqa: BLE001 - told where the others are waited for
                self._stop(exc)
            finally:
                slots.release()

        with ThreadPoolExecutor(self._at_once) as pool:
            try:
                for due in dues:
                    self._wait_for_window()
                    slots.acquire()
                    if self._stopped.is_set():
                        slots.release()
                        break
                    begun = max(time.monotonic(), begun + self._seconds_between)
                    time.sleep(max(0.0, begun - time.monotonic()))
                    pool.submit(one, due)
                for _ in range(self._at_once):
                    slots.acquire()
            except KeyboardInterrupt:
                self._stopped.set()
                say("Stopping: waiting for what is under way. Ctrl-C again leaves it alone.")
                self._wait(pool)
                raise
        if self._error is not None:
            raise self._error

    def _wait_for_window(self) -> None:
        if self._between is None or self._between.seconds_to_wait(datetime.now()) == 0:  # noqa: DTZ005
            return
        say(f"Waiting for {self._between}.")
        # Looked at again and again: a clock may be set, or a machine sleep.
        while seconds := self._between.seconds_to_wait(datetime.now()):  # noqa: DTZ005
            if self._stopped.wait(min(seconds, _LONGEST_PAUSE_SECONDS)):
                return

    def _stop(self, exc: Exception) -> None:
        with self._lock:
            self._error = self._error or exc
        self._stopped.set()

    def _wait(self, pool: ThreadPoolExecutor) -> None:
        try:
            pool.shutdown(wait=True, cancel_futures=True)
        except KeyboardInterrupt:
            # Threads that wait for an answer would keep the process.
            os._exit(130)

    def _done(self, delivered: Delivered, on_done: Callable[[Delivered], None]) -> None:
        with self._lock:
            self.outcomes[delivered.outcome] += 1
            on_done(delivered)

    def _deliver(self, due: Due) -> Delivered:
        version: str | None = due.version
        if due.again is not None:
            version = self._made_free(due, due.again)
        if version is None:
            return Delivered(due, "changed meanwhile")
        handed = Handed(0)
        for number in range(_TRIES):
            if number:
                seconds = min(_LONGEST_PAUSE_SECONDS, self._first_pause_seconds * 2 ** (number - 1))
                self._stopped.wait(seconds * random.uniform(0.5, 1.0))
            if self._stopped.is_set():
                return Delivered(due, "stopped")
            handed = self._door.hand_in(due, version)
            if handed.outcome:
                return Delivered(due, handed.outcome)
            if 200 <= handed.status < 300:
                return self._ended(due)
            if handed.status in {401, 403, 404, 405}:
                raise RefusedError(f"the address answered {handed.status}: {handed.said}")
            if handed.status not in {0, 429} and handed.status < 500:
                break
        told = f"{handed.status}: {handed.said}" if handed.status else handed.said
        return Delivered(due, "failed", told)

    def _made_free(self, due: Due, stored: Stored) -> str | None:
        """Have the record described again; gives its version then.

        None if somebody else has done so meanwhile, and it is finished again or gone.
        """
        try:
            return str(self._records.update(stored, asked_again(stored.fields, datetime.now(UTC))))
        except ChangedError:
            now = self._records.get(str(due.found.resource["bucket"]), due.found.name)
            if now is None or Record.parse(now.fields).finished:
                return None
            return str(now.version)

    def _ended(self, due: Due) -> Delivered:
        stored = self._records.get(str(due.found.resource["bucket"]), due.found.name)
        if stored is None:
            return Delivered(due, "skipped by the function")
        return Delivered(due, stored.outcome or "not finished", stored=stored)
