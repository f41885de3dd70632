"""The page, built, and a real browser; what is not installed is said, not hidden."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.gallery.page import SOURCES, build, gallery, install, why_no_node
from local.servers.bucket import create_bucket
from local.servers.emulators import (
    PROJECT,
    firestore_emulator,
    gcs_server,
    missing_parts,
    why_no_firestore,
    why_no_gcs,
)
from local.servers.processes import Server
from local.servers.stack import COLLECTION
from tests.conftest import missing
from tests.terraform.conftest import rendered_rules
from tests.web.looking import Records, Visit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
# Nothing of its own over the network; and without a sandbox where it runs as root, as in CI.
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if os.getuid() == 0 else []),
]


def find_browser() -> str | None:
    """Find a Chromium: CHROMIUM, the PATH, or where macOS has it."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in found if path), _MAC if Path(_MAC).exists() else None)


@pytest.fixture(scope="session")
def tools() -> None:
    """Node, and what the page's own checks need."""
    if reason := why_no_node():
        missing(reason)
    install(tools=True)


@pytest.fixture(scope="session")
def built(tools: None) -> str:
    """The page, and what its build says of its size."""
    return build()


@pytest.fixture(scope="session")
def axe(tools: None) -> str:
    """What looks for barriers in a page."""
    return (SOURCES / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium of this machine."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install -r tests/web/requirements.txt")
    program = find_browser()
    if program is None:
        missing("no Chromium is installed: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, axe: str) -> Iterator[Visit]:
    """One visitor, watched: nothing foreign is asked for, nothing refused, no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor = Visit(context.new_page(), axe)
    yield visitor
    visitor.check()
    context.close()


@pytest.fixture(scope="module")
def storage(built: str) -> Iterator[Server]:
    """A bucket's server of this module's own, with an empty bucket."""
    if reason := why_no_gcs():
        missing(reason)
    with gcs_server() as server:
        create_bucket(server.url)
        yield server


@pytest.fixture(scope="module")
def readable(storage: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Firestore with the rules that let everybody read the records and nobody write them."""
    folder = tmp_path_factory.mktemp("rules")
    yield from _firestore(rendered_rules("public", COLLECTION, folder))


@pytest.fixture(scope="module")
def closed(storage: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Firestore with the rules that let nobody read who is not signed in."""
    folder = tmp_path_factory.mktemp("rules")
    yield from _firestore(rendered_rules("signed_in", COLLECTION, folder))


@pytest.fixture
def records(readable: Server) -> Records:
    """Records that the test itself writes, none at first."""
    records = Records(readable.host)
    records.clear()
    return records


@pytest.fixture(scope="module")
def page(readable: Server, storage: Server) -> Iterator[Server]:
    """The page over those records."""
    with gallery(firestore_host=readable.host, storage_url=storage.url, project=PROJECT) as server:
        yield server


@pytest.fixture(scope="session")
def whole_stack() -> None:
    """All parts, so that an upload becomes a description."""
    for reason in missing_parts():
        missing(reason)


def _firestore(rules: Path) -> Iterator[Server]:
    if reason := why_no_firestore():
        missing(reason)
    with firestore_emulator(rules=rules) as server:
        yield server
