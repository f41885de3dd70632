"""The demo as it stays up: what a person uploads, and what comes back."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.demo.records import View, view_of
from local.demo.site import Site, stack_site
from local.demo.upload import record_url, upload_all
from local.http import call
from local.servers.bucket import upload_url
from local.servers.choice import ModelChoice
from local.servers.emulators import PROJECT, missing_parts
from local.servers.function import ROOT
from local.servers.place import standing
from local.servers.processes import LOOPBACK, free_port
from local.servers.stack import Ports
from tests.conftest import missing
from tests.integration.conftest import SAMPLE

Said = list[str]


@pytest.fixture(scope="module")
def site_and_notes() -> Iterator[tuple[Site, Said, Ports]]:
    """The whole stack, where something else listens at one of its ports."""
    if parts := missing_parts():
        missing("; ".join(parts))
    notes: Said = []
    with socket.create_server((LOOPBACK, 0)) as taken:
        wanted = Ports(taken.getsockname()[1], free_port())
        with stack_site(
            ModelChoice("stand-in", PROJECT, ""), lambda _: None, notes.append, wanted
        ) as site:
            yield site, notes, wanted


@pytest.fixture
def site(site_and_notes: tuple[Site, Said, Ports]) -> Site:
    """The demo."""
    return site_and_notes[0]


def finished(site: Site, name: str) -> View:
    deadline = time.monotonic() + 30
    while not (view := view_of(site.records().get(name))).finished:
        assert time.monotonic() < deadline, name
        site.pause(0.1)
    return view


def test_ports_are_the_demos_own_where_they_are_free(
    site_and_notes: tuple[Site, Said, Ports],
) -> None:
    """One that is taken is replaced, and that is said."""
    site, notes, wanted = site_and_notes
    assert site.demo is not None
    assert f":{wanted.firestore}/" in site.demo.records_url
    assert f":{wanted.storage}" not in site.demo.bucket_url
    assert notes == [
        f"Port {wanted.storage} is taken, so the bucket is at"
        f" {site.demo.bucket_url.rpartition(':')[2]} this time."
    ]


@pytest.mark.parametrize(
    ("name", "content", "kind", "outcome", "message"),
    [
        pytest.param("empty.jpg", b"", "image/jpeg", "skipped", "an empty object", id="empty"),
        pytest.param("a.txt", b"text", "text/plain", "skipped", "not an image", id="text"),
        pytest.param("fake.jpg", b"text", "image/jpeg", "unreadable", "no image", id="fake"),
        pytest.param(
            "curl", SAMPLE, "application/x-www-form-urlencoded", "described", "", id="curl"
        ),
        pytest.param("\x1b]0;x\x07\n.webp", SAMPLE, "image/webp", "described", "", id="controls"),
    ],
)
def test_every_upload_shows_something(
    site: Site, name: str, content: bytes, kind: str, outcome: str, message: str
) -> None:
    """Its text, or the reason why there is none, from the record or from the function's log."""
    assert site.demo is not None
    url = upload_url(site.demo.bucket_url, name)
    call("POST", url, body=content, headers={"Content-Type": kind}).raise_for_status()
    view = finished(site, name)
    assert view.outcome == outcome
    assert message in view.message


def test_an_upload_tells_address_and_outcome(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address gives the record as JSON; an overwritten object's old record is not taken."""
    assert site.demo is not None
    photo, text = tmp_path / "photo.webp", tmp_path / "notes.txt"
    photo.write_bytes(SAMPLE)
    text.write_text("no picture")
    objects = {"holiday/photo.webp": photo, "notes.txt": text}
    assert not upload_all(site.demo, objects)
    said = capsys.readouterr().out
    address = record_url(site.demo, "holiday/photo.webp")
    assert f"gs://uploads/holiday/photo.webp\n  {address}\n" in said
    record = call("GET", address).json()["fields"]
    description = record["description"]["stringValue"]
    assert f"holiday/photo.webp: described\n{description}\n" in said
    assert "notes.txt: skipped\n  no record: not an image\n" in said
    text.write_bytes(b"")
    assert not upload_all(site.demo, {"holiday/photo.webp": text})
    said = capsys.readouterr().out
    assert "holiday/photo.webp: skipped\n  no record: an empty object\n" in said


def test_make_uploads_from_any_folder(site: Site, tmp_path: Path) -> None:
    """It finds the demo by itself; a path means what it means where the person is."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    assert site.demo is not None
    place = tmp_path / "it's $HOME" / "summer"
    place.mkdir(parents=True)
    (place / 'my "first" photo.webp').write_bytes(SAMPLE)
    make = ["make", "-sC", str(ROOT), f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.ready"]
    with standing(site.demo) as alone:
        if not alone:
            pytest.skip("a demo is up on this machine")
        done = subprocess.run(
            [*make, "upload", "FILE=it's $HOME"],
            cwd=tmp_path,
            env={**os.environ, "MAKEFLAGS": "", "PWD": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('gs://uploads/it\'s $HOME/summer/my "first" photo.webp\n  http')
    assert "photo.webp: described\n" in done.stdout
