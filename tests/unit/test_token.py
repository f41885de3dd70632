"""The access token is fetched once for all, off the loop, and in time."""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from google.auth.exceptions import RefreshError

from describer.errors import TokenError
from describer.model import token
from describer.model.token import AccessToken
from tests.unit.test_model import FakeCredentials


def test_many_deliveries_share_one_refresh() -> None:
    """Two hundred at once, one request to the token server, and not on the loop's thread."""
    credentials = FakeCredentials()
    threads: list[int] = []
    refresh = credentials.refresh

    def noted(request: object) -> None:
        threads.append(threading.get_ident())
        refresh(request)

    credentials.refresh = noted  # type: ignore[method-assign]
    access = AccessToken(credentials)

    async def work() -> list[str]:
        return await asyncio.gather(*(access() for _ in range(200)))

    assert set(asyncio.run(work())) == {"token-1"}
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


def test_a_failed_refresh_is_transient_and_tried_again_next_time() -> None:
    """The next delivery asks anew."""
    access = AccessToken(FakeCredentials(RefreshError("down"), OSError("no route")))

    async def work() -> str:
        for words in ("down", "no route"):
            with pytest.raises(TokenError, match=words):
                await access()
        return await access()

    assert asyncio.run(work()) == "token-3"


def test_a_slow_token_server_does_not_hold_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded."""
    monkeypatch.setattr(token, "REFRESH_TIMEOUT_SECONDS", 0.05)
    done = threading.Event()
    credentials = FakeCredentials()
    credentials.refresh = lambda _: done.wait(5)  # type: ignore[assignment, method-assign]

    async def work() -> float:
        began = time.monotonic()
        with pytest.raises(TokenError, match=r"within 0\.05 s"):
            await AccessToken(credentials)()
        waited = time.monotonic() - began
        done.set()
        return waited

    assert asyncio.run(work()) < 4


HANG = """
import asyncio, time
from describer.model import token
from tests.unit.test_model import FakeCredentials

token.REFRESH_TIMEOUT_SECONDS = 0.1
credentials = FakeCredentials()
credentials.refresh = lambda _: time.sleep(20)
try:
    asyncio.run(token.AccessToken(credentials)())
except token.TokenError:
    print("given up", flush=True)
"""


def test_a_refresh_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    """The platform gives ten seconds, of which the streams need some."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HANG], cwd=root, capture_output=True, timeout=12, check=True
    )
    assert done.stdout == b"given up\n"


def test_late_401s_for_an_old_token_do_not_condemn_the_new_one() -> None:
    """Fifty streams that began with the old token may all be refused after it was renewed."""
    credentials = FakeCredentials()
    access = AccessToken(credentials)

    async def work() -> None:
        old = await access()
        for _ in range(50):
            access.refuse(old)
            assert await access() == "token-2"

    asyncio.run(work())
    assert credentials.refreshes == 2


def test_a_refused_token_that_does_not_change_is_not_asked_for_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The metadata server gives the same token until it expires; each request would ask it."""
    monkeypatch.setattr(token, "SAME_TOKEN_SECONDS", 0.5)
    credentials = FakeCredentials()
    refresh = credentials.refresh

    def unchanged(request: object) -> None:
        refresh(request)
        credentials.token = "same" if credentials.refreshes < 4 else "other"

    credentials.refresh = unchanged  # type: ignore[method-assign]
    access = AccessToken(credentials)

    async def work() -> list[int]:
        refreshes = []
        for seconds in (0.0, 0.0, 0.5):
            await asyncio.sleep(seconds)
            for _ in range(50):
                access.refuse(await access())
            refreshes.append(credentials.refreshes)
        await asyncio.sleep(0.5)
        assert await access() == "other"
        return refreshes

    assert asyncio.run(work()) == [2, 2, 3]
    assert credentials.refreshes == 4


@pytest.mark.parametrize(
    "found",
    [
        KeyError("access_token"),
        OverflowError("date value out of range"),
        *(None, "", 7, "two\nlines", "schl\u00fcssel"),
    ],
    ids=repr,
)
def test_an_answer_without_a_usable_token_is_a_token_error(found: Any) -> None:
    """With its cause; and what fits no header is not shown, as it may be half a secret."""
    credentials = FakeCredentials()

    def refresh(_: object) -> None:
        if isinstance(found, Exception):
            raise found
        credentials.token, credentials.valid = found, True

    credentials.refresh = refresh  # type: ignore[method-assign, assignment]

    async def work() -> None:
        access = AccessToken(credentials)
        for _ in range(2):
            with pytest.raises(TokenError, match="no access token") as caught:
                await access()
            assert "lines" not in str(caught.value)

    asyncio.run(work())
