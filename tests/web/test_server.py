"""The gallery's server: what it gives, and to whom not. It needs neither Node nor a browser."""

import contextlib
import http.client
import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from google.cloud import storage
from PIL import Image

from local.gallery.page import gallery
from local.http import call
from local.servers.bucket import SAMPLES
from local.servers.processes import Server

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
    gcs: Server, objects: "storage.Bucket", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("the page", encoding="utf-8")
    (folder / "secret.txt").write_text("secret", encoding="utf-8")
    with gallery(
        firestore_host="127.0.0.1:9",
        storage_url=gcs.url,
        project="demo-describer",
        bucket=str(objects.name),
        page=folder,
    ) as server:
        yield server


def put(page: Server, name: str, body: bytes = b"x", **headers: str) -> httpx2.Response:
    given = {"Origin": page.url, **headers}
    return call("PUT", f"{page.url}/uploads/{quote(name, safe='')}", body=body, headers=given)


@pytest.mark.parametrize("name", NAMES)
def test_upload_becomes_object(page: Server, objects: "storage.Bucket", name: str) -> None:
    """Whatever its name, the object's bytes, type and generation are those of the upload."""
    content = (SAMPLES / "cat.webp").read_bytes()
    answer = put(page, name, content, **{"Content-Type": "image/webp"})
    assert answer.status_code == 200, answer.text
    blob = objects.get_blob(name)
    assert blob is not None
    assert (blob.generation, blob.content_type) == (answer.json()["generation"], "image/webp")
    assert blob.download_as_bytes() == content
    shown = call("GET", f"{page.url}/pictures/{quote(name, safe='')}?generation=1")
    assert shown.content == content


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://127.0.0.1", "https://127.0.0.1"]
)
def test_foreign_page_uploads_nothing(page: Server, objects: "storage.Bucket", origin: str) -> None:
    """Another page in the same browser may not write into the bucket."""
    answer = put(page, "foreign", Origin=origin)
    assert answer.status_code == 403
    assert objects.get_blob("foreign") is None


@pytest.mark.parametrize("path", ["/", "/config.json", "/pictures/cat.webp"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:{port}"])
def test_foreign_name_is_refused(page: Server, path: str, host: str) -> None:
    """A name that somebody else made to lead to this machine gets nothing."""
    named = {"Host": host.format(port=page.port)}
    assert call("GET", page.url + path, headers=named).status_code == 403
    refused = call("PUT", page.url + "/uploads/a", body=b"x", headers=named)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "//etc/passwd",
        "/pictures/no-such",
        "/uploads/cat.webp",
    ],
)
def test_nothing_else_is_given(page: Server, path: str) -> None:
    """Neither other files of the folder, nor other folders, nor objects that are not there."""
    assert call("GET", page.url + path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/pictures/", "/pictures/a/b", "/pictures/%ff", "/pictures/cat.webp?width=0"]
)
def test_malformed_address_is_refused(page: Server, path: str) -> None:
    """With a sentence, and 400."""
    assert call("GET", page.url + path).status_code == 400


@pytest.mark.parametrize("width", ["9999", "x", "²", "-1"])
def test_width_is_bounded(page: Server, width: str) -> None:
    """Nobody asks for a picture larger than a screen."""
    assert call("GET", f"{page.url}/pictures/cat.webp?width={width}").status_code == 400


def test_upload_is_bounded(page: Server) -> None:
    """One that says to be too large is refused before it is read."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest("PUT", "/uploads/large")
        connection.putheader("Origin", page.url)
        connection.putheader("Content-Length", str(2**40))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_answers_are_confined(page: Server) -> None:
    """No inline code, no other host but the emulator's, no frame, no guessing of types."""
    for path in ("/", "/config.json", "/no-such"):
        headers = call("GET", page.url + path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self' http://127.0.0.1:9;" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_small_picture_is_upright(page: Server) -> None:
    """Scaled down, turned as its metadata say, and of a type that every browser shows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = io.BytesIO()
    Image.new("RGB", (1200, 600), "red").save(made, "JPEG", exif=exif)
    put(page, "turned.jpg", made.getvalue())
    answer = call("GET", f"{page.url}/pictures/turned.jpg?width=320")
    assert answer.headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.size == (320, 640)


def test_transparent_picture_is_white_beneath(page: Server) -> None:
    """What one looks through is not black."""
    made = io.BytesIO()
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(made, "PNG")
    put(page, "clear.png", made.getvalue())
    answer = call("GET", f"{page.url}/pictures/clear.png?width=10")
    with Image.open(io.BytesIO(answer.content)) as small:
        assert small.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_foreign_format_is_converted(page: Server) -> None:
    """What no browser shows comes as JPEG."""
    made = io.BytesIO()
    Image.new("RGB", (10, 10)).save(made, "TIFF")
    put(page, "a.tiff", made.getvalue())
    answer = call("GET", f"{page.url}/pictures/a.tiff")
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
def test_what_is_no_picture_is_not_given(page: Server, content: bytes) -> None:
    """Whatever its type says: a stranger's markup never comes from the page's own origin."""
    put(page, "hostile", content, **{"Content-Type": "text/html"})
    for query in ("", "?width=100"):
        answer = call("GET", f"{page.url}/pictures/hostile{query}")
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


def test_bucket_that_is_gone_is_said(tmp_path: Path) -> None:
    """As 502 with a sentence, not as a broken connection."""
    with gallery(
        firestore_host="127.0.0.1:9",
        storage_url="http://127.0.0.1:9",
        project="demo-describer",
        page=tmp_path,
    ) as server:
        assert put(server, "a").status_code == 502
        assert call("GET", server.url + "/pictures/a").status_code == 502
