"""The page: built from `web/` where Node is there, and its server started.

    python -m local.gallery.page

builds it into `.cache/web`.
"""

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from local.gallery.server import MAX_UPLOAD_BYTES
from local.servers.bucket import BUCKET
from local.servers.function import ROOT
from local.servers.place import CACHE, PAGE_PORT, Demo
from local.servers.processes import Server, StartError, answers, free_port, running, start
from local.servers.stack import COLLECTION
from local.standin.samples import BY_HAND

SOURCES = ROOT / "web"
BUILT = CACHE / "web"
_LEAST_NODE = 20
_READY = answers("/config.json")


def why_no_node() -> str | None:
    """Say why the page cannot be built here and what to install; None if it can."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return f"Node.js {_LEAST_NODE} or later is not installed (https://nodejs.org)."
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    version = told.stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < _LEAST_NODE:
        return f"Node.js {_LEAST_NODE} or later is needed, and this is {version}."
    return None


def install(*, tools: bool = False) -> None:
    """Install what `web/package-lock.json` pins, unless it is there.

    Args:
        tools: also what checks and tests need.

    Raises:
        StartError: npm could not.
    """
    with _alone():
        _install(tools=tools)


def build() -> str:
    """Build the page into `.cache/web`, and give what the build says of its size.

    Raises:
        StartError: Node is missing, or the build failed.
    """
    if why := why_no_node():
        raise StartError(why)
    with _alone():
        _install(tools=False)
        return _run(["node", "build.mjs"])


@contextlib.contextmanager
def gallery(
    *,
    firestore_host: str,
    storage_url: str,
    project: str,
    port: int | None = None,
    uploads: bool = True,
    bucket: str = BUCKET,
    page: Path = BUILT,
    writer: str = "",
    prices: Mapping[str, str | float] | None = None,
) -> Iterator[Server]:
    """Run the server of the built page until the block ends.

    Args:
        firestore_host: `127.0.0.1:PORT` of the Firestore emulator.
        storage_url: address of the bucket's server.
        project: where the records stand.
        port: where it listens; a free one by default.
        uploads: whether the page takes files.
        bucket: whose pictures are shown.
        page: folder of the built page.
        writer: e-mail address of who is signed in and corrects; nobody by default.
        prices: `model`, and the price of a million tokens `input` and `output`; unknown by default.
    """
    port = port or free_port()
    host, _, firestore_port = firestore_host.rpartition(":")
    config = {
        "project": project,
        "database": "(default)",
        "collection": COLLECTION,
        "bucket": bucket,
        "key": "none",
        "emulator": {"host": host, "port": int(firestore_port)},
        "uploads": uploads,
        "maxUploadBytes": MAX_UPLOAD_BYTES,
        "byHand": BY_HAND,
        "writer": {"sub": "you", "email": writer} if writer else None,
        "signIn": None,
        "operator": True,
        "prices": prices,
    }
    command = [sys.executable, "-m", "local.gallery.server", "--port", str(port)]
    command += ["--storage", storage_url, "--config", json.dumps(config), "--page", str(page)]
    with running(start("gallery", command, port, cwd=ROOT), _READY) as server:
        yield server


@contextlib.contextmanager
def gallery_of(demo: Demo) -> Iterator[Server]:
    """Run the server of the page for a demo, at the usual port if that is free."""
    address = urlsplit(demo.records_url)
    project = address.path.split("/")[3]
    with gallery(
        firestore_host=address.netloc,
        storage_url=demo.bucket_url,
        project=project,
        port=free_port(PAGE_PORT),
        writer="you@localhost.example",
    ) as server:
        yield server


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time install and build."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(*, tools: bool) -> None:
    wanted = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    stamp = SOURCES / "node_modules" / ".installed"
    found = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if found[:1] == [wanted] and (not tools or found[1:] == ["tools"]):
        return
    # No package of these needs its install script, and one that is not run cannot do harm.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    _run([*command, *([] if tools else ["--omit=dev"])])
    stamp.write_text(f"{wanted} {'tools' if tools else ''}\n", encoding="utf-8")


def _run(command: list[str], folder: Path = SOURCES) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = said[-1] if said else f"ended with {done.returncode}"
        raise StartError(f"`{' '.join(command[:2])}` in {folder} failed: {last}")
    return done.stdout.strip()


if __name__ == "__main__":
    try:
        print(build())
    except StartError as error:
        sys.exit(str(error))
