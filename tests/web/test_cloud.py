"""The gallery as it is deployed, asked over HTTP: whom it shows what, and whom nothing."""

import base64
import datetime as dt
import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials, Signing
from google.cloud import storage

from describer.records.record import record_id
from gallery.settings import Settings, SettingsError
from gallery.signed import Urls
from local.http import call
from local.servers.bucket import BUCKET
from local.servers.emulators import PROJECT, firestore_emulator, why_no_firestore
from local.servers.processes import Server
from local.servers.stack import COLLECTION
from tests.conftest import missing
from tests.terraform.conftest import rendered_rules
from tests.web.cloud import OTHER_BUCKET, Cloud, cloud
from tests.web.google import ACCOUNT, Google, Key, google
from tests.web.looking import Records

ADA, EVE, NEW = "ada@example.com", "eve@example.com", "new@example.com"
NAMES = ["cat.webp", "a b/c d.webp", "häuser/ÿ€.webp", "a?b#c&d=e%2F+~.webp", '"><script>.webp']


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with google(PROJECT) as server:
        yield server


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Firestore with the rules that let those read who are signed in."""
    if reason := why_no_firestore():
        missing(reason)
    folder = tmp_path_factory.mktemp("rules")
    with firestore_emulator(rules=rendered_rules("signed_in", COLLECTION, folder)) as server:
        yield server


@pytest.fixture(scope="module")
def site(
    host: Google, signed_in: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The function where one has to sign in, and Ada may upload."""
    writers = f"{ADA},{NEW}"
    with cloud(tmp_path_factory.mktemp("deployed"), host, signed_in, writers=writers) as site:
        yield site


@pytest.fixture
def records(signed_in: Server, host: Google) -> Records:
    host.objects.clear()
    host.unverified.clear()
    records = Records(signed_in.host)
    records.clear()
    return records


def upload_of(name: str, size: int = 5, kind: str = "image/webp") -> bytes:
    return json.dumps({"name": name, "type": kind, "size": size}).encode()


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_shown_by_a_url_of_minutes(site: Cloud, records: Records, name: str) -> None:
    """Whatever the object's name, who may read the record is sent to just these bytes."""
    records.described(name)
    site.google.objects[BUCKET, name] = (b"bytes", "image/webp")
    answer = site.picture(name, token=site.google.id_token())
    assert answer.status_code == 302, answer.text
    url = answer.headers["Location"]
    assert call("GET", url).content == b"bytes"
    asked = parse_qs(urlsplit(url).query)
    assert asked["generation"] == ["1"]
    seconds = int(asked["X-Goog-Expires"][0])
    assert seconds <= 600
    assert answer.headers["Cache-Control"] == f"private, max-age={seconds // 2}"
    assert answer.headers["Vary"] == "Cookie"


def test_person_s_words_stand_under_what_is_there(site: Cloud, records: Records) -> None:
    """Their record stays with the bytes of before, which an upload has replaced."""
    records.described("cat.webp", source="person")
    site.google.objects[BUCKET, "cat.webp"] = (b"newer bytes", "image/webp")
    url = site.picture("cat.webp", token=site.google.id_token()).headers["Location"]
    assert "generation" not in parse_qs(urlsplit(url).query)
    assert call("GET", url).content == b"newer bytes"


def test_url_shows_nothing_else(site: Cloud, records: Records) -> None:
    """Neither another object nor other bytes, and nothing is put by it."""
    for name in ("cat.webp", "dog.webp"):
        records.described(name)
        site.google.objects[BUCKET, name] = (b"bytes", "image/webp")
    url = site.picture("cat.webp", token=site.google.id_token()).headers["Location"]
    assert call("GET", url).status_code == 200
    assert call("GET", url.replace("cat.webp", "dog.webp")).status_code == 403
    assert call("GET", url.replace("generation=1", "generation=2")).status_code == 403
    assert call("PUT", url, body=b"x").status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": 1_700_000_000}, id="expired"),
        pytest.param({"iat": 4_000_000_000, "exp": 4_100_000_000}, id="not yet issued"),
        pytest.param({"auth_time": 4_000_000_000}, id="not yet signed in"),
        pytest.param({"aud": "other", "iss": "https://securetoken.google.com/other"}, id="project"),
        pytest.param({"aud": "other"}, id="audience"),
        pytest.param({"iss": "https://securetoken.google.com/other"}, id="issuer"),
        pytest.param({"iss": "https://accounts.google.com"}, id="a Google account"),
        pytest.param({"sub": ""}, id="nobody"),
        pytest.param({"sub": None}, id="no user"),
        pytest.param({"exp": None}, id="endless"),
        pytest.param({"alg": "none"}, id="unsigned"),
        pytest.param({"alg": "HS256"}, id="another algorithm"),
        pytest.param({"kid": "another"}, id="unknown key"),
        pytest.param({"kid": None}, id="no key"),
        pytest.param({"kid": ["a"]}, id="a list for a key"),
        pytest.param({"key": Key()}, id="forged"),
    ],
)
def test_other_token_is_refused(site: Cloud, records: Records, changes: dict[str, object]) -> None:
    """For pictures, for a session and for uploads, though the emulator of Firestore takes any."""
    records.described("cat.webp")
    token = site.google.id_token(ADA, **changes)
    assert site.picture("cat.webp", token=token).status_code == 401
    assert site.post("/session", token).status_code == 401
    assert site.post("/uploads", token, upload_of("new.webp")).status_code == 401


# As deep as fits a header.
DEEP = base64.urlsafe_b64encode(b"[" * 4000).decode()


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "é", "e30.e30.e30", f"{DEEP}.e30.e30"])
def test_what_is_no_token_is_refused(site: Cloud, records: Records, token: str) -> None:
    """Without a traceback."""
    records.described("cat.webp")
    headers = {"Cookie": f"token={token}".encode()}
    address = f"{site.url}/pictures/{record_id(BUCKET, 'cat.webp')}"
    answer = call("GET", address, headers=headers)  # type: ignore[arg-type]
    # A cookie that is not ASCII is none.
    assert answer.status_code in {401, 403}
    assert "Traceback" not in site.server.tail(100)


def test_nobody_sees_no_picture(site: Cloud, records: Records) -> None:
    """The rules say who reads the record, and so who sees its picture."""
    records.described("cat.webp")
    assert site.picture("cat.webp").status_code == 403


def test_object_without_a_record_is_not_shown(site: Cloud, records: Records) -> None:
    """Nor that of a bucket that is not described."""
    site.google.objects[BUCKET, "secret.webp"] = (b"bytes", "image/webp")
    token = site.google.id_token()
    assert site.picture("secret.webp", token=token).status_code == 404
    records.described("elsewhere.webp", bucket="other-bucket")
    assert site.picture("elsewhere.webp", token=token, bucket="other-bucket").status_code == 404
    records.described("another.webp", bucket=OTHER_BUCKET)
    assert site.picture("another.webp", token=token, bucket=OTHER_BUCKET).status_code == 302


def test_a_record_shows_its_own_object_alone(site: Cloud, records: Records) -> None:
    """Whoever may write records, by rules of one's own, could name any object in one."""
    site.google.objects[BUCKET, "secret.webp"] = (b"bytes", "image/webp")
    token = site.google.id_token()
    records.described("mine.webp", name="secret.webp")
    assert site.picture("mine.webp", token=token).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/",
        "/pictures/cat.webp",
        "/pictures/..%2fcat.webp",
        f"/pictures/{'0' * 63}",
        f"/pictures/{'0' * 64}%2f..%2f{'0' * 64}",
        f"/pictures/{'0' * 64}%0a",
        f"/pictures/{'A' * 64}",
        "/page/app.js",
        "/main.py",
        "/gallery/site.py",
        "/..%2fmain.py",
        "/%2e%2e/main.py",
        "/session",
        "/uploads",
    ],
)
def test_nothing_else_is_given(site: Cloud, path: str) -> None:
    """No tricks with paths, neither at the bucket nor at the function's own files."""
    token = site.google.id_token()
    answer = call("GET", site.url + path, headers={"Cookie": f"token={token}"})
    assert answer.status_code == 404


@pytest.mark.parametrize("email", [ADA, EVE, NEW])
def test_session_is_a_cookie_for_pictures_alone(site: Cloud, records: Records, email: str) -> None:
    """Out of reach of scripts and other pages, as long as the token; and it says who may write."""
    site.google.unverified.add(NEW)
    answer = site.post("/session", token := site.google.id_token(email))
    assert answer.json() == {"email": email, "writer": email == ADA}
    value, *rest = answer.headers["Set-Cookie"].split("; ")
    assert value == f"token={token}"
    age = next(one for one in rest if one.startswith("Max-Age="))
    assert 3500 < int(age.removeprefix("Max-Age=")) <= 3600
    assert {"Path=/pictures/", "HttpOnly", "Secure", "SameSite=Strict"} <= set(rest)


def test_session_ends(site: Cloud) -> None:
    """The cookie is taken away."""
    answer = call("DELETE", f"{site.url}/session", headers={"Origin": site.url})
    assert answer.status_code == 204
    assert answer.headers["Set-Cookie"].startswith("token=; Path=/pictures/; Max-Age=0;")


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example"])
def test_other_page_can_do_nothing(site: Cloud, origin: str) -> None:
    """Neither begin nor end a session, nor upload."""
    token = site.google.id_token()
    assert site.post("/session", token, Origin=origin).status_code == 403
    assert site.post("/uploads", token, upload_of("a"), Origin=origin).status_code == 403
    ended = call("DELETE", f"{site.url}/session", headers={"Origin": origin})
    assert ended.status_code == 403


@pytest.mark.parametrize("name", NAMES)
def test_writer_uploads(site: Cloud, records: Records, name: str) -> None:
    """By a URL for just this object, type and size, and never over another."""
    allowed = site.post("/uploads", site.google.id_token(ADA), upload_of(name)).json()
    url, headers = allowed["url"], allowed["headers"]
    assert call("PUT", url, body=b"123456", headers=headers).status_code == 400
    for changed in ({"content-type": "text/html"}, {"x-goog-if-generation-match": "1"}):
        refused = call("PUT", url, body=b"12345", headers={**headers, **changed})
        assert refused.status_code == 403
    assert call("PUT", url, body=b"12345", headers=headers).status_code == 200
    assert site.google.objects[BUCKET, name] == (b"12345", "image/webp")
    assert call("PUT", url, body=b"54321", headers=headers).status_code == 412


@pytest.mark.parametrize("email", [EVE, NEW])
def test_others_upload_nothing(site: Cloud, records: Records, email: str) -> None:
    """Neither who is not named nor who has not confirmed to be it, nor who is nobody."""
    site.google.unverified.add(NEW)
    token = site.google.id_token(email)
    assert site.post("/uploads", token, upload_of("a.webp")).status_code == 403
    anonymous = call("POST", f"{site.url}/uploads", body=b"{}", headers={"Origin": site.url})
    assert anonymous.status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(upload_of("a.html", kind="text/html"), 415, id="no image"),
        pytest.param(upload_of("a", kind="image/png\r\nx-goog-acl: a"), 400, id="a second header"),
        pytest.param(upload_of("a", size=1_000_001), 413, id="too large"),
        pytest.param(upload_of("a", size=0), 400, id="empty"),
        pytest.param(upload_of(".."), 400, id="no name"),
        pytest.param(b"x" * 20_000, 413, id="too much"),
        pytest.param(b"[" * 10_000, 400, id="too deep"),
    ],
)
def test_writer_uploads_images_only(site: Cloud, body: bytes, status: int) -> None:
    """Of a size that is described."""
    assert site.post("/uploads", site.google.id_token(ADA), body).status_code == status


def test_page_asks_the_project_s_hosts_only(site: Cloud) -> None:
    """No inline code, no frame, nothing foreign; and it learns no address of a writer."""
    answer = call("GET", site.url)
    directives = dict(
        one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";")
    )
    emulator = json.loads(call("GET", f"{site.url}/config.json").content)["emulator"]
    store = f"http://{emulator['host']}:{emulator['port']}"
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["img-src"] == f"'self' {site.google.url}"
    assert set(directives["connect-src"].split()) == {"'self'", store, site.google.url}
    assert directives["frame-ancestors"] == "'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ADA not in call("GET", f"{site.url}/config.json").text


def test_hosts_are_google_s(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where nothing stands in for them: the four that the page needs, and no other."""
    from gallery.cloud import build
    from gallery.exchange import Request

    environ = {
        "GOOGLE_CLOUD_PROJECT": "p",
        "FIRESTORE_DATABASE": "(default)",
        "FIRESTORE_COLLECTION": "descriptions",
        "BUCKETS": "b",
        "READERS": "signed_in",
        "WRITERS": ADA,
        "SERVICE_ACCOUNT": ACCOUNT,
        "API_KEY": "k",
        "MAX_UPLOAD_BYTES": "1",
    }
    page = tmp_path_factory.mktemp("page")
    ask = Request("GET", "/config.json", {}, {}, "https://a.example")
    answer = build(Settings.from_env(environ), page).answer(ask)
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' https://storage.googleapis.com; "
        "connect-src 'self' https://firestore.googleapis.com "
        "https://identitytoolkit.googleapis.com https://securetoken.googleapis.com "
        "https://storage.googleapis.com; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    public = Settings.from_env({**environ, "READERS": "public", "WRITERS": ""})
    answer = build(public, page).answer(ask)
    policy = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self' https://firestore.googleapis.com;" in policy
    assert json.loads(answer.content)["signIn"] is None


def test_everybody_sees_pictures_of_public_records(
    host: Google, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without a session, which there is not; nobody uploads."""
    if reason := why_no_firestore():
        missing(reason)
    rules = rendered_rules("public", COLLECTION, tmp_path_factory.mktemp("rules"))
    folder = tmp_path_factory.mktemp("deployed")
    with (
        firestore_emulator(rules=rules) as store,
        cloud(folder, host, store, readers="public") as site,
    ):
        Records(store.host).described("cat.webp")
        assert site.picture("cat.webp").status_code == 302
        # A token that is none is not looked at: everybody may see it.
        assert site.picture("cat.webp", token="x").status_code == 302
        assert site.post("/session", "x").status_code == 404
        assert site.post("/uploads", "x", upload_of("a")).status_code == 404
        assert 'signIn": null' in call("GET", f"{site.url}/config.json").text


def test_what_does_not_answer_is_said(
    host: Google, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As 502 and a sentence, where Firestore is not there."""
    nowhere = Server("none", None, 9, tmp_path_factory.mktemp("log"))  # type: ignore[arg-type]
    with cloud(tmp_path_factory.mktemp("deployed"), host, nowhere, readers="public") as site:
        answer = site.picture("cat.webp")
        assert (answer.status_code, answer.text) == (502, "Firestore does not answer.")


def test_what_is_out_of_order_is_said_soon(site: Cloud, records: Records) -> None:
    """However long a server asks to wait: there is a browser that does."""
    records.described("cat.webp")
    token = site.google.id_token()
    site.google.broken.add("iamcredentials.googleapis.com")
    begun = time.monotonic()
    answer = site.picture("cat.webp", token=token)
    site.google.broken.clear()
    assert (answer.status_code, answer.text) == (502, "Nothing can be signed.")
    assert time.monotonic() - begun < 10
    assert site.picture("cat.webp", token=token).status_code == 302


class _Fixed(AnonymousCredentials, Signing):
    """Credentials of the library that sign with a key of this test."""

    def __init__(self, key: Key) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._key = key

    @property
    def signer_email(self) -> str:
        return ACCOUNT

    @property
    def signer(self) -> Key:
        return self._key

    def sign_bytes(self, message: bytes) -> bytes:
        return self._key.sign(message)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_url_is_signed_as_by_the_library(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's own, which is too much to load for this alone, gives the same to the letter."""
    now = dt.datetime(2026, 11, 27, 3, 0, tzinfo=dt.UTC)
    key = Key()
    headers = {"content-type": "image/png", "x-goog-if-generation-match": "0"}
    monkeypatch.setattr("google.cloud.storage._signing._NOW", lambda _zone: now)
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    expected = (
        client.bucket("b")
        .blob(name)
        .generate_signed_url(
            version="v4",
            expiration=dt.timedelta(seconds=60),
            method=method,
            generation=7,
            headers=dict(headers),
            credentials=_Fixed(key),
            api_access_endpoint="https://storage.googleapis.com",
        )
    )
    urls = Urls("https://storage.googleapis.com", ACCOUNT, key.sign, lambda: now)
    query = {"generation": "7"}
    found = urls.sign(method, "b", name, seconds=60, query=query, headers=headers)
    assert found.partition("?")[0] == expected.partition("?")[0]
    assert parse_qs(found) == parse_qs(expected)


def test_faults_of_settings_are_told_together() -> None:
    """Each by its name, and the function does not start."""
    with pytest.raises(SettingsError) as told:
        Settings.from_env({"READERS": "none", "MAX_UPLOAD_BYTES": "many"})
    for name in ("GOOGLE_CLOUD_PROJECT", "BUCKETS", "READERS", "API_KEY", "MAX_UPLOAD_BYTES"):
        assert name in str(told.value)
