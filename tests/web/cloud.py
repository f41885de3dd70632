"""The gallery as it is deployed, over the emulator of Firestore and a stand-in for the rest."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from describer.records.record import record_id
from gallery.site import FILES
from local.http import call
from local.servers.bucket import BUCKET
from local.servers.emulators import PROJECT
from local.servers.function import ROOT, start_function
from local.servers.processes import Server, wait_ready
from local.servers.stack import COLLECTION
from tests.web.google import ACCOUNT, Google

OTHER_BUCKET = "other-uploads"
KEY = "the-key-of-the-web-app"


@dataclass(frozen=True)
class Cloud:
    """The running function.

    Attributes:
        server: where it is.
        google: what it asks.
    """

    server: Server
    google: Google

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.server.url

    def picture(self, name: str, *, token: str = "", bucket: str = BUCKET) -> httpx2.Response:
        """Ask for the picture of a record, as the browser does: the token is a cookie."""
        headers = {"Cookie": f"other=1; token={token}"} if token else {}
        address = f"{self.url}/pictures/{record_id(bucket, name)}?generation=1&width=640"
        return call("GET", address, headers=headers)

    def post(self, path: str, token: str, body: bytes = b"", **headers: str) -> httpx2.Response:
        """Ask as the page's scripts do."""
        given = {"Origin": self.url, "Authorization": f"Bearer {token}", **headers}
        return call("POST", self.url + path, body=body, headers=given)


@contextlib.contextmanager
def cloud(
    folder: Path,
    google: Google,
    firestore: Server,
    page: Path | None = None,
    *,
    readers: str = "signed_in",
    writers: str = "",
) -> Iterator[Cloud]:
    """Put what is deployed into a folder, as Terraform does, and run it there.

    Args:
        folder: an empty one.
        google: stands in for Google's hosts.
        firestore: the emulator.
        page: folder of the built page; a mere word by default.
        readers: as in Terraform.
        writers: their addresses, with commas between.
    """
    shutil.copy(ROOT / "gallery" / "main.py", folder)
    ignored = shutil.ignore_patterns("main.py", "__pycache__", "requirements*")
    shutil.copytree(ROOT / "gallery", folder / "gallery", ignore=ignored)
    (folder / "page").mkdir()
    for name in FILES:
        if page is None:
            (folder / "page" / name).write_text("the page", encoding="utf-8")
        else:
            shutil.copy(page / name, folder / "page")
    environ = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "FIRESTORE_DATABASE": "(default)",
        "FIRESTORE_COLLECTION": COLLECTION,
        "BUCKETS": f"{BUCKET},{OTHER_BUCKET}",
        "READERS": readers,
        "WRITERS": writers,
        "SERVICE_ACCOUNT": ACCOUNT,
        "API_KEY": KEY,
        "MAX_UPLOAD_BYTES": "1000000",
        "FIRESTORE_EMULATOR_HOST": firestore.host,
        "GOOGLE_STAND_IN": google.url,
        "GCE_METADATA_HOST": google.url.removeprefix("http://"),
        "NO_PROXY": "127.0.0.1",
        "THREADS": "16",
        "PYTHONPATH": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    server = start_function(environ, target="serve_gallery", source=folder / "main.py")
    try:
        wait_ready(server)
        yield Cloud(server, google)
    finally:
        server.stop(grace_seconds=5)
