"""The gallery's server on this machine: what it gives, and to whom not, without a browser."""

import contextlib
import http.client
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from google.cloud import firestore, storage
from PIL import Image

from describer.records.record import record_id
from local.gallery.page import gallery
from local.http import call
from local.servers.bucket import SAMPLES
from local.servers.emulators import PROJECT
from local.servers.processes import Server
from local.servers.stack import COLLECTION

NAMES = [
    "cat.webp",
    "a b/c d.webp",
    "häuser/ÿ€.webp",
    "../../etc/passwd",
    "a?b#c&d=e%2F.webp",
    '"><script>.webp',
]


@pytest.fixture(scope="module")
def objects(gcs: Server) -> "storage.Bucket":
    client = storage.Client(project="demo-describer")
    made: storage.Bucket = client.create_bucket(f"gallery-{os.urandom(4).hex()}")
    return made


@pytest.fixture(scope="module")
def page(
    gcs: Server,
    objects: "storage.Bucket",
    firestore_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("the page", encoding="utf-8")
    (folder / "secret.txt").write_text("secret", encoding="utf-8")
    with gallery(
        firestore_host=firestore_server.host,
        storage_url=gcs.url,
        project=PROJECT,
        bucket=str(objects.name),
        page=folder,
    ) as server:
        yield server


def address_of(
    objects: "storage.Bucket", name: str, bucket: str = "", source: str = "model"
) -> str:
    """Write a record as the function does, and give the address of its picture."""
    found = str(record_id(str(objects.name), name))
    fields = {"bucket": bucket or str(objects.name), "name": name, "generation": 1}
    fields["source"] = source
    firestore.Client(project=PROJECT).collection(COLLECTION).document(found).set(fields)
    return f"/pictures/{found}"


def ask(page: Server, name: str, size: int = 1, **headers: str) -> httpx2.Response:
    """Ask where a file can be put, as the page does."""
    given = {"Origin": page.url, **headers}
    body = json.dumps({"name": name, "type": "image/webp", "size": size}).encode()
    return call("POST", f"{page.url}/uploads", body=body, headers=given)


def put(page: Server, name: str, body: bytes = b"x", **headers: str) -> httpx2.Response:
    given = {"Origin": page.url, **headers}
    return call("PUT", f"{page.url}/uploads/{quote(name, safe='')}", body=body, headers=given)


@pytest.mark.parametrize("name", NAMES)
def test_upload_becomes_object(page: Server, objects: "storage.Bucket", name: str) -> None:
    """Whatever its name, the object's bytes, type and generation are those of the upload."""
    content = (SAMPLES / "cat.webp").read_bytes()
    allowed = ask(page, name, len(content)).json()
    headers = {"Origin": page.url, **allowed["headers"]}
    answer = call("PUT", page.url + allowed["url"], body=content, headers=headers)
    assert answer.status_code == 200, answer.text
    blob = objects.get_blob(name)
    assert blob is not None
    generation = int(answer.headers["x-goog-generation"])
    assert (blob.generation, blob.content_type) == (generation, "image/webp")
    assert blob.download_as_bytes() == content
    shown = call("GET", page.url + address_of(objects, name) + "?generation=1")
    assert (shown.content, shown.headers["Cache-Control"]) == (content, "private, max-age=3600")
    other = call("GET", page.url + address_of(objects, name) + "?generation=2")
    assert other.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://127.0.0.1", "https://127.0.0.1"]
)
def test_foreign_page_uploads_nothing(page: Server, objects: "storage.Bucket", origin: str) -> None:
    """Another page in the same browser may not write into the bucket."""
    answer = put(page, "foreign", Origin=origin)
    assert answer.status_code == 403
    assert ask(page, "foreign", Origin=origin).status_code == 403
    assert objects.get_blob("foreign") is None


@pytest.mark.parametrize("path", ["/", "/config.json", f"/pictures/{'0' * 64}"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}"])
def test_foreign_name_is_refused(page: Server, path: str, host: str) -> None:
    """A name that somebody else made to lead to this machine gets nothing."""
    named = {"Host": host.format(port=page.port)}
    assert call("GET", page.url + path, headers=named).status_code == 403
    for method, place in (("PUT", "/uploads/a"), ("POST", "/uploads")):
        refused = call(method, page.url + place, body=b"x", headers=named)
        assert refused.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "//etc/passwd",
        "/pictures/",
        "/pictures/cat.webp",
        "/pictures/%ff",
        f"/pictures/{'0' * 64}",
        f"/pictures/{'0' * 64}/..",
        f"/pictures/..%2f{'0' * 64}",
        f"/pictures/{'A' * 64}",
        "/uploads/cat.webp",
        "/session",
    ],
)
def test_nothing_else_is_given(page: Server, path: str) -> None:
    """Neither other files of the folder, nor other folders, nor objects that are not there."""
    assert call("GET", page.url + path).status_code == 404


def test_person_s_words_stand_under_what_is_there(page: Server, objects: "storage.Bucket") -> None:
    """The bytes of now, asked for each time: their record does not tell of newer ones."""
    address = address_of(objects, "mine.png", source="person")
    for side in (64, 65):
        made = io.BytesIO()
        Image.new("RGB", (side, side)).save(made, "PNG")
        put(page, "mine.png", made.getvalue())
        for query in ("", "?width=640", "?generation=1"):
            answer = call("GET", page.url + address + query)
            assert answer.headers["Cache-Control"] == "no-cache"
            with Image.open(io.BytesIO(answer.content)) as found:
                assert found.height == side


def test_other_bucket_is_not_shown(page: Server, objects: "storage.Bucket") -> None:
    """Nor an object that is gone, though the record names it."""
    put(page, "here", (SAMPLES / "cat.webp").read_bytes())
    assert call("GET", page.url + address_of(objects, "here")).status_code == 200
    elsewhere = address_of(objects, "here", bucket="other")
    assert call("GET", page.url + elsewhere).status_code == 404
    assert call("GET", page.url + address_of(objects, "gone")).status_code == 404


@pytest.mark.parametrize("width", ["9999", "x", "²", "-1"])
def test_width_is_bounded(page: Server, width: str) -> None:
    """Nobody asks for a picture larger than a screen."""
    address = f"{page.url}/pictures/{'0' * 64}?width={quote(width)}"
    assert call("GET", address).status_code == 400


def test_upload_is_bounded(page: Server) -> None:
    """One that says to be too large is refused before it is read."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("PUT", "/uploads/large")
        connection.putheader("Origin", page.url)
        connection.putheader("Content-Length", str(2**40))
        connection.endheaders()
        assert connection.getresponse().status == 413
    assert ask(page, "large", 2**40).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"name": "a", "type": "image/png"}',
        b'{"name": "", "type": "image/png", "size": 1}',
        b'{"name": "..", "type": "image/png", "size": 1}',
        b'{"name": "a\\nb", "type": "image/png", "size": 1}',
        b'{"name": "\\ud800", "type": "image/png", "size": 1}',
        b'{"name": "a", "type": "image/png", "size": 0}',
        b'{"name": "%s", "type": "image/png", "size": 1}' % (b"a" * 1025),
    ],
)
def test_malformed_wish_is_refused(page: Server, body: bytes) -> None:
    """A name that no object can have, or no size."""
    answer = call("POST", f"{page.url}/uploads", body=body, headers={"Origin": page.url})
    assert answer.status_code == 400


def test_page_is_sent_small_and_once(page: Server) -> None:
    """Compressed for who takes that, and not again while it is the same."""
    plain = call("GET", page.url, headers={"Accept-Encoding": "identity"})
    packed = call("GET", page.url, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert (packed.headers["Content-Encoding"], packed.text) == ("gzip", plain.text)
    again = call("GET", page.url, headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_answers_are_confined(page: Server, firestore_server: Server) -> None:
    """No inline code, no other host but the emulator's, no frame, no guessing of types."""
    for path in ("/", "/config.json", "/no-such"):
        headers = call("GET", page.url + path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert f"connect-src 'self' {firestore_server.url};" in policy
        assert "img-src 'self';" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_small_picture_is_upright(page: Server, objects: "storage.Bucket") -> None:
    """Scaled down, turned as its metadata say, and of a type that every browser shows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = io.BytesIO()
    Image.new("RGB", (1200, 600), "red").save(made, "JPEG", exif=exif)
    put(page, "turned.jpg", made.getvalue())
    answer = call("GET", f"{page.url}{address_of(objects, 'turned.jpg')}?width=320")
    assert answer.headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (320, 640)


def test_transparent_picture_is_white_beneath(page: Server, objects: "storage.Bucket") -> None:
    """What one looks through is not black."""
    made = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(made, "PNG")
    put(page, "clear.png", made.getvalue())
    answer = call("GET", f"{page.url}{address_of(objects, 'clear.png')}?width=10")
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_foreign_format_is_converted(page: Server, objects: "storage.Bucket") -> None:
    """What no browser shows comes as JPEG."""
    made = io.BytesIO()
    Image.new("RGB", (10, 10)).save(made, "TIFF")
    put(page, "a.tiff", made.getvalue())
    answer = call("GET", page.url + address_of(objects, "a.tiff"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html><script>alert(1)</script>", id="html"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(100), id="broken"),
    ],
)
def test_what_is_no_picture_is_not_given(
    page: Server, objects: "storage.Bucket", content: bytes
) -> None:
    """Whatever its type says: a stranger's markup never comes from the page's own origin."""
    put(page, "hostile", content, **{"Content-Type": "text/html"})
    for query in ("", "?width=100"):
        answer = call("GET", page.url + address_of(objects, "hostile") + query)
        assert answer.status_code == 415
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert content == b"" or content not in answer.content


def test_no_uploads_where_not_wanted(gcs: Server, tmp_path: Path) -> None:
    """A gallery without uploads takes none."""
    with gallery(
        firestore_host="127.0.0.1:9",
        storage_url=gcs.url,
        project="demo-describer",
        uploads=False,
        page=tmp_path,
    ) as server:
        assert put(server, "a").status_code == 404
        assert ask(server, "a").status_code == 404


def test_bucket_that_is_gone_is_said(
    firestore_server: Server, objects: "storage.Bucket", tmp_path: Path
) -> None:
    """As 502 with a sentence, not as a broken connection."""
    with gallery(
        firestore_host=firestore_server.host,
        storage_url="http://127.0.0.1:9",
        project=PROJECT,
        bucket=str(objects.name),
        page=tmp_path,
    ) as server:
        assert put(server, "a").status_code == 502
        assert call("GET", server.url + address_of(objects, "a")).status_code == 502


def test_store_that_is_gone_is_said(gcs: Server, tmp_path: Path) -> None:
    """Likewise."""
    with gallery(
        firestore_host="127.0.0.1:9", storage_url=gcs.url, project=PROJECT, page=tmp_path
    ) as server:
        assert call("GET", f"{server.url}/pictures/{'0' * 64}").status_code == 502
