"""Whom the APIs are asked as: real credentials of a service account, and of a person."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import google.auth
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.oauth2.credentials import Credentials

from local.servers.processes import LOOPBACK
from operate.cloud import EMULATOR, Call, Cloud, Unread
from operate.credentials import AccessToken
from tests.health.server import apis
from tests.health.sound import PROJECT, PROJECT_AT, sound

ONE = {"project": Call(f"https://{PROJECT_AT}", "resourcemanager.projects.get")}


class _TokenServer(BaseHTTPRequestHandler):
    status = 200

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Give a token for a signed assertion."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert parse_qs(body)["assertion"][0].count(".") == 2
        content = b'{"access_token": "of-the-account", "expires_in": 3600, "token_type": "Bearer"}'
        if self.status != 200:
            content = b'{"error": "invalid_grant", "error_description": "account not found"}'
        self.send_response(self.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_TokenServer]]:
    """Application default credentials of a service account, whose tokens come from this machine."""
    handler = type("Handler", (_TokenServer,), {})
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    content = {
        "type": "service_account",
        "project_id": PROJECT,
        "client_email": "operator@example.iam.gserviceaccount.com",
        "token_uri": f"http://{LOOPBACK}:{server.server_port}/token",
        "private_key": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
    }
    file = tmp_path / "key.json"
    file.write_text(json.dumps(content))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("NO_PROXY", LOOPBACK)
    yield handler
    server.shutdown()
    server.server_close()


def test_each_question_shows_the_account_s_token(
    account: type[_TokenServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched once; a service account counts for its own project."""
    with apis(sound()) as running:
        monkeypatch.setenv(EMULATOR, running.host)
        token = AccessToken()
        assert token.project == PROJECT
        cloud = Cloud(PROJECT, token)
        for _ in range(2):
            assert not isinstance(cloud.ask(ONE)["project"], Unread)
        cloud.close()
    assert running.shown == {("Bearer of-the-account", None)}


def test_a_person_s_questions_count_for_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some APIs refuse a person otherwise; a project that they named themselves goes first."""
    person = Credentials("of-a-person")
    monkeypatch.setattr(google.auth, "default", lambda **_: (person, None))
    with apis(sound()) as running:
        monkeypatch.setenv(EMULATOR, running.host)
        cloud = Cloud(PROJECT, AccessToken())
        cloud.ask(ONE)
        cloud.close()
    assert running.shown == {("Bearer of-a-person", PROJECT)}
    named = person.with_quota_project("payer")
    monkeypatch.setattr(google.auth, "default", lambda **_: (named, None))
    assert AccessToken().quota_project(PROJECT) == "payer"


def test_credentials_that_give_no_token_are_told(
    account: type[_TokenServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what could not be read, not as a traceback."""
    account.status = 400
    with apis(sound()) as running:
        monkeypatch.setenv(EMULATOR, running.host)
        cloud = Cloud(PROJECT, AccessToken())
        answer = cloud.ask(ONE)["project"]
        cloud.close()
    assert isinstance(answer, Unread)
    assert answer.why.startswith("no access token: ")
    assert running.asked == []
