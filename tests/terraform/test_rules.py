"""The security rules, in Google's Firestore emulator: who may read, and that nobody may write."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from local.servers.emulators import firestore_emulator, why_no_firestore
from tests.terraform.conftest import missing, rendered_rules

COLLECTION = "picture-texts"
DOCUMENTS = "/v1/projects/demo-rules/databases/(default)/documents"
RECORD = f"{DOCUMENTS}/{COLLECTION}/one"
FIELDS = {"fields": {"description": {"stringValue": "A cat."}}}

ANYBODY, SIGNED_IN, SERVER = "anybody", "signed in", "server"
MAY_READ = {"none": set(), "signed_in": {SIGNED_IN}, "public": {ANYBODY, SIGNED_IN}}


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _headers(who: str) -> dict[str, str]:
    if who == SERVER:
        # How the emulator knows a service account, which rules do not stop.
        return {"authorization": "Bearer owner"}
    if who == SIGNED_IN:
        # The emulator takes tokens without a signature.
        claims = {"sub": "ada", "user_id": "ada", "aud": "demo-rules", "iat": 0, "exp": 4102444800}
        token = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
        return {"authorization": f"Bearer {token}"}
    return {}


class Client:
    """Calls Firestore's REST API as somebody."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def status(self, who: str, method: str, path: str, body: Any = None) -> int:
        """Make one call and give the HTTP status."""
        headers = {"content-type": "application/json", **_headers(who)}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, content, headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as response:
                response.read()
                status: int = response.status
        except urllib.error.HTTPError as refused:
            refused.close()
            status = refused.code
        return status


@pytest.fixture(scope="module", params=sorted(MAY_READ))
def rules(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Client]]:
    """The emulator under the rules for one value of `readers`, with one record in it."""
    if reason := why_no_firestore():
        missing(reason)
    file = rendered_rules(request.param, COLLECTION, tmp_path_factory.mktemp("rules"))
    with firestore_emulator(rules=file) as server:
        client = Client(server.url)
        for path in (RECORD, f"{DOCUMENTS}/other/one", f"{RECORD}/below/one"):
            assert client.status(SERVER, "PATCH", path, FIELDS) == 200
        yield request.param, client


@pytest.mark.parametrize("who", [ANYBODY, SIGNED_IN])
def test_record_is_read_by_those_named(rules: tuple[str, Client], who: str) -> None:
    """`readers` opens the record to them and to no one else."""
    readers, client = rules
    expected = 200 if who in MAY_READ[readers] else 403
    assert client.status(who, "GET", RECORD) == expected


@pytest.mark.parametrize("who", [ANYBODY, SIGNED_IN])
def test_records_are_listed_by_those_named(rules: tuple[str, Client], who: str) -> None:
    """A page that shows all records needs to list them."""
    readers, client = rules
    expected = 200 if who in MAY_READ[readers] else 403
    assert client.status(who, "GET", f"{DOCUMENTS}/{COLLECTION}") == expected


@pytest.mark.parametrize("who", [ANYBODY, SIGNED_IN])
@pytest.mark.parametrize("path", ["/other/one", f"/{COLLECTION}/one/below/one"])
def test_nothing_else_is_read(rules: tuple[str, Client], who: str, path: str) -> None:
    """Neither other collections nor what lies below a record."""
    _, client = rules
    assert client.status(who, "GET", DOCUMENTS + path) == 403


@pytest.mark.parametrize("who", [ANYBODY, SIGNED_IN])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", f"{DOCUMENTS}/{COLLECTION}?documentId=two", FIELDS, id="create"),
        pytest.param("PATCH", RECORD, FIELDS, id="overwrite"),
        pytest.param("PATCH", f"{RECORD}?updateMask.fieldPaths=description", FIELDS, id="update"),
        pytest.param("DELETE", RECORD, None, id="delete"),
        pytest.param("PATCH", f"{DOCUMENTS}/other/one", FIELDS, id="elsewhere"),
    ],
)
def test_no_client_writes(
    rules: tuple[str, Client], who: str, method: str, path: str, body: Any
) -> None:
    """Whoever may read, nobody may write."""
    _, client = rules
    assert client.status(who, method, path, body) == 403


def test_function_writes_under_any_rules(rules: tuple[str, Client]) -> None:
    """Rules do not stop a service account."""
    _, client = rules
    assert client.status(SERVER, "PATCH", RECORD, FIELDS) == 200
