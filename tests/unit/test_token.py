"""The access token is fetched once for all, off the loop, and in time."""

import asyncio
import threading
import time

import pytest
from google.auth.exceptions import RefreshError

from describer import token
from describer.errors import TokenError
from describer.token import AccessToken
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
