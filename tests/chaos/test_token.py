"""A token server that is down, slow or talks nonsense: deliveries fail soon, alike, and recover."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import service_account

from describer.errors import TokenError
from describer.model.token import SCOPE, AccessToken

_WELL = json.dumps(
    {"access_token": "ya29.one", "expires_in": 3600, "token_type": "Bearer"}
).encode()


class _TokenServer(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `mode` says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        server: _Server = self.server  # type: ignore[assignment]
        server.asked += 1
        server.gate.wait(30)
        status, body = server.mode
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(http.server.ThreadingHTTPServer):
    mode: tuple[int, bytes] = (200, _WELL)
    asked = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TokenServer)
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def server() -> Iterator[_Server]:
    """A token server on loopback."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def key() -> str:
    """A private key that nobody else knows."""
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def access_token(key: str, uri: str) -> AccessToken:
    """Make what the function uses, over google-auth's own credentials."""
    info = {"client_email": "run@p.example", "private_key": key, "token_uri": uri}
    credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    return AccessToken(credentials)


def together(token: AccessToken, count: int = 80) -> list[str | BaseException]:
    """Let so many deliveries ask at once."""

    async def work() -> list[str | BaseException]:
        return await asyncio.gather(*(token() for _ in range(count)), return_exceptions=True)

    return asyncio.run(work())


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param((400, b'{"error": "invalid_grant", "error_description": "no"}'), id="refused"),
        pytest.param((403, b"<html>"), id="a page"),
        pytest.param((200, b"nonsense"), id="nonsense"),
        pytest.param((200, b"[]"), id="a list"),
        pytest.param((200, b"{}"), id="no token"),
        pytest.param((200, b'{"access_token": null, "expires_in": 9}'), id="a null token"),
        pytest.param((200, b'{"access_token": "x", "expires_in": 1e300}'), id="an absurd expiry"),
        pytest.param((200, b'{"access_token": "x", "expires_in": NaN}'), id="no number"),
    ],
)
def test_a_failing_token_server_is_asked_once_and_then_again(
    server: _Server, key: str, mode: tuple[int, bytes]
) -> None:
    """Eighty deliveries fail with one request; the next one, once it is well, gets its token."""
    token = access_token(key, f"http://127.0.0.1:{server.server_port}/token")
    server.mode = mode
    results = together(token)
    assert {type(result) for result in results} == {TokenError}
    assert server.asked == 1
    assert key[40:80] not in str(results)
    server.mode = (200, _WELL)
    assert set(together(token)) == {"ya29.one"}
    assert server.asked == 2


def test_a_token_server_that_is_down_is_a_transient_error(key: str) -> None:
    """Nothing listens."""
    results = together(access_token(key, "http://127.0.0.1:9/token"), 5)
    assert {type(result) for result in results} == {TokenError}


def test_a_slow_token_server_costs_each_delivery_one_time_out(
    server: _Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the time-outs of all that came before."""
    monkeypatch.setattr("describer.model.token.REFRESH_TIMEOUT_SECONDS", 0.3)
    token = access_token(key, f"http://127.0.0.1:{server.server_port}/token")
    server.gate.clear()

    async def work() -> tuple[list[str | BaseException], float]:
        began = time.monotonic()
        results = await asyncio.gather(*(token() for _ in range(80)), return_exceptions=True)
        took = time.monotonic() - began
        server.gate.set()
        return results, took

    results, took = asyncio.run(work())
    assert {type(result) for result in results} == {TokenError}
    assert took < 5
