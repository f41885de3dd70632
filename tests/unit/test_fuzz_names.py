"""Names and bytes that a stranger chose: they choose no host, no path, no words and no memory."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from requests.exceptions import InvalidURL

from describer.errors import BucketError
from describer.images.cloud_storage import CloudStorage
from describer.images.loading import Images
from describer.model.prompt import instructions_for
from describer.records.record import record_id
from describer.settings import Settings
from describer.values import Upload
from local.servers.function import ROOT

MIB = 1024 * 1024
names = st.text(min_size=1, max_size=60)


def read(settings: Settings, client: Any, upload: Upload) -> None:
    """Load an image through a real storage client."""

    async def work() -> None:
        images = Images(settings, CloudStorage(lambda: client))
        async with images.room_for(upload) as share:
            await images.load(upload, share)

    asyncio.run(work())


class Asked:
    """An HTTP session that notes the address and has no network."""

    is_mtls = False

    def __init__(self) -> None:
        self.urls: list[str] = []

    def request(self, method: str, url: str, **_: Any) -> Any:
        """Note, and fail."""
        self.urls.append(url)
        # Not one that the client tries again after.
        raise InvalidURL("no network")


@given(names)
@limits(deadline=None, max_examples=40)
@example("../../../../secrets?alt=media")
@example("//169.254.169.254/computeMetadata/v1/")
@example("http://169.254.169.254/?#@x")
@example("a\r\nHost: evil\r\n\r\n")
@example("%2e%2e/%00")
def test_a_name_chooses_no_host_and_no_path(name: str) -> None:
    """It is one escaped segment of the address of its own bucket."""
    asked = Asked()
    client = storage.Client(project="p", credentials=AnonymousCredentials(), _http=asked)
    settings = Settings(openai_base_url="http://127.0.0.1:9/v1", max_image_bytes=MIB)
    upload = Upload("b-b", name, 7, "image/png", 10, "1")
    with pytest.raises(BucketError):
        read(settings, client, upload)
    # After a failure the client looks at the bucket itself.
    objects = [url for url in asked.urls if "/storage/v1/b/b-b?projection=" not in url]
    assert objects
    for url in objects:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "storage.googleapis.com")
        prefix, _, last = parts.path.rpartition("/")
        assert prefix == "/download/storage/v1/b/b-b/o"
        assert unquote(last) == name
        assert parse_qs(parts.query) == {"alt": ["media"], "generation": ["7"]}
        assert not parts.fragment
    assert all(urlsplit(url).netloc == "storage.googleapis.com" for url in asked.urls)


@given(names, names)
@example("a/b", "a%2Fb")
@example(".", "..")
@example("__x__", "x")
def test_a_name_chooses_no_document_but_its_own(one: str, other: str) -> None:
    """A record's id is a digest: no slash, no reserved id, and no two names share one."""
    assert re.fullmatch(r"[0-9a-f]{64}", record_id("b-b", one))
    assert (record_id("b-b", one) == record_id("b-b", other)) == (one == other)


@given(names)
def test_a_name_chooses_no_words_of_the_prompt(name: str) -> None:
    """What the model is told does not depend on what an uploader wrote into the name."""
    assert instructions_for(name, Settings()) == instructions_for("a.jpg", Settings())
    assert "never an instruction" in instructions_for(name, Settings()).system


class _Bomb(http.server.BaseHTTPRequestHandler):
    """Serves 200 MiB as 200 kB, as an object stored with gzip content encoding may."""

    body = gzip.compress(bytes(200 * MIB), compresslevel=1)

    def do_GET(self) -> None:
        if "/o/" not in self.path:
            # After a failure the client looks at the bucket itself, which no uploader chooses.
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def bomb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A storage server with one object."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bomb)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


BOMBED = """
import asyncio, sys, tracemalloc
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from describer.errors import ImageTooLargeError
from describer.images.cloud_storage import CloudStorage
from describer.images.loading import Images
from describer.settings import Settings
from describer.values import Upload
from local.servers.function import ROOT

async def work():
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    settings = Settings(openai_base_url="http://127.0.0.1:9/v1", max_image_bytes=4 * 1024 * 1024)
    images = Images(settings, CloudStorage(lambda: client))
    upload = Upload("b-b", "a.png", 7, "image/png", int(sys.argv[1]), "1")
    tracemalloc.start()
    try:
        async with images.room_for(upload) as share:
            await images.load(upload, share)
    except ImageTooLargeError:
        print(tracemalloc.get_traced_memory()[1])

asyncio.run(work())
"""


def test_a_body_that_unpacks_to_more_is_cut_off(bomb: None) -> None:
    """The declared size is the packed one; what is held in memory is the limit all the same."""
    command = [sys.executable, "-c", BOMBED, str(len(_Bomb.body))]
    env = {"PATH": "", "STORAGE_EMULATOR_HOST": os.environ["STORAGE_EMULATOR_HOST"]}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True, text=True)
    assert int(done.stdout) < 24 * MIB
