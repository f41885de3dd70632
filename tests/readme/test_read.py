"""The two snippets of "Read it", as a person would paste them, over the running function."""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.cloud import firestore, storage

from describer.records.record import record_id
from local.servers.emulators import firestore_emulator, why_no_firestore
from local.servers.function import ROOT, function_server
from local.servers.model import StandInServer
from local.servers.processes import Server
from tests.conftest import missing
from tests.integration.conftest import SAMPLE, System
from tests.terraform.conftest import rendered_rules

HERE = Path(__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The names that both snippets begin with.
PROJECT, BUCKET, NAME = "my-project", "my-project-describer-images", "photo.jpg"

WAITING, WITHOUT = "No description yet.", "There is no description."
REFUSED = "The description cannot be read."
# What its uploader calls a picture.
NO_PICTURE = b"These are words."


def _snippet(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(text)


class Script:
    """A running script, the lines that it has written so far, and what it says of errors."""

    def __init__(self, command: list[str | Path], folder: Path, environ: Mapping[str, str]) -> None:
        self._errors = (folder / "errors.log").open("w+")
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def lines_until(self, last: Callable[[str], bool]) -> list[str]:
        """Wait for a line, and give all up to it."""
        lines: list[str] = []
        while not lines or not last(lines[-1]):
            try:
                line = self._lines.get(timeout=30)
            except queue.Empty:
                line = None
            if line is None:
                pytest.fail(f"the last of these is not the end: {lines}\n{self.errors()}")
            lines.append(line)
        return lines

    def finish(self) -> None:
        """Close its standard input, at which a page is left, and wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0

    def errors(self) -> str:
        """Give what it has written to standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def close(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            assert stream is not None
            stream.close()


@contextmanager
def _running(
    command: list[str | Path], folder: Path, environ: Mapping[str, str]
) -> Iterator[Script]:
    script = Script(command, folder, environ)
    try:
        yield script
    finally:
        script.close()


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The packages that the JavaScript imports, pinned, in a folder that `make clean` removes."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("Node.js is not installed (https://nodejs.org; version 20.6 or later)")
    pins = (HERE / "package.json", HERE / "package-lock.json")
    digest = sha256(b"".join(path.read_bytes() for path in pins)).hexdigest()[:12]
    folder = ROOT / ".cache" / f"readme-{digest}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path in pins:
            shutil.copy(path, folder)
        installed = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode != 0:
            missing(f"npm cannot install the firebase package:\n{installed.stderr[-2000:]}")
        (folder / "complete").touch()
    return folder / "node_modules"


Upload = Callable[[bytes, str], None]


@contextmanager
def _uploads(
    firestore_host: str, gcs: Server, standin: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Upload]:
    """Run the function, and give what uploads the photo and delivers its event."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    client = storage.Client(project=PROJECT)
    bucket = client.bucket(BUCKET)
    if not bucket.exists():
        bucket.create()
    environ = {
        "FIRESTORE_EMULATOR_HOST": firestore_host,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "OPENAI_BASE_URL": standin.base_url,
        "MODEL": "stand-in",
        "MODEL_SERVER": "gemini",
        "STORAGE_EMULATOR_HOST": gcs.url,
        "FLUSH_SECONDS": "0.2",
    }
    standin.pace(0.08)
    with function_server(environ) as function:
        system = System(function, standin, firestore.Client(project=PROJECT), bucket)

        def upload(content: bytes, content_type: str) -> None:
            (answer,) = system.post(system.upload(NAME, content, content_type))
            assert answer.status_code < 300

        yield upload


def _record(firestore_host: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_host)
    records = firestore.Client(project=PROJECT).collection("descriptions")
    return records.document(record_id(BUCKET, NAME)).get()


def _assert_grown(lines: list[str]) -> None:
    """Each text continues the one before it, and it took several."""
    assert len(lines) > 3
    for text, longer in pairwise(lines):
        assert longer.startswith(text)


def test_python_prints_the_text_as_it_grows_and_ends(
    firestore_server: Server,
    gcs: Server,
    standin: StandInServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """As a script, begun before the upload."""
    (tmp_path / "read.py").write_text(_snippet("python"), encoding="utf-8")
    environ = {"FIRESTORE_EMULATOR_HOST": firestore_server.host, "PYTHONUNBUFFERED": "1"}
    with (
        _uploads(firestore_server.host, gcs, standin, monkeypatch) as upload,
        _running([sys.executable, "read.py"], tmp_path, environ) as script,
    ):
        assert script.lines_until(lambda line: line == "...") == ["..."]
        upload(SAMPLE, "image/webp")
        description = _record(firestore_server.host, monkeypatch).get("description")
        lines = script.lines_until(lambda line: line == description)
        assert script.process.wait(timeout=30) == 0
    _assert_grown([line for line in lines if line != "..."])


def test_python_tells_an_operator_why_there_is_no_text(
    firestore_server: Server,
    gcs: Server,
    standin: StandInServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The message of the record, at once where the upload has ended already."""
    (tmp_path / "read.py").write_text(_snippet("python"), encoding="utf-8")
    with _uploads(firestore_server.host, gcs, standin, monkeypatch) as upload:
        upload(NO_PICTURE, "image/jpeg")
        done = subprocess.run(
            [sys.executable, "read.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        message = _record(firestore_server.host, monkeypatch).get("status.message")
    assert done.stdout == f"{message}\n"
    assert message


@contextmanager
def _page(
    node_modules: Path, folder: Path, firestore_host: str, user: str = ""
) -> Iterator[Script]:
    """Run the JavaScript in Node, as one visitor's page."""
    page = folder / f"page-{user}"
    page.mkdir()
    (page / "node_modules").symlink_to(node_modules, target_is_directory=True)
    (page / "snippet.mjs").write_text(_snippet("js"), encoding="utf-8")
    command: list[str | Path] = ["node", "--import", (HERE / "page.mjs").as_uri(), "snippet.mjs"]
    environ = {"FIRESTORE_EMULATOR_HOST": firestore_host, "MOCK_USER": user}
    with _running(command, page, environ) as script:
        yield script


def _captions(script: Script, last: str) -> list[str]:
    lines = script.lines_until(lambda line: json.loads(line) == last)
    return [str(json.loads(line)) for line in lines]


@contextmanager
def _deployed(readers: str, folder: Path) -> Iterator[str]:
    """Run the emulator under the rules that are deployed for one value of `readers`."""
    if reason := why_no_firestore():
        missing(reason)
    rules = folder / "rules"
    rules.mkdir()
    with firestore_emulator(rules=rendered_rules(readers, "descriptions", rules)) as server:
        yield server.host


def test_page_shows_the_text_as_it_grows(
    node_modules: Path,
    gcs: Server,
    standin: StandInServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Begun before the upload, where `readers` is public; an error in the page's own words."""
    with (
        _deployed("public", tmp_path) as host,
        _uploads(host, gcs, standin, monkeypatch) as upload,
        _page(node_modules, tmp_path, host) as script,
    ):
        assert _captions(script, WAITING) == [WAITING]
        upload(SAMPLE, "image/webp")
        description = _record(host, monkeypatch).get("description")
        captions = _captions(script, description)
        _assert_grown([text for text in captions if text != WAITING])
        upload(NO_PICTURE, "image/jpeg")
        assert set(_captions(script, WITHOUT)) <= {WAITING, WITHOUT}
        script.finish()
        assert script.errors() == ""


def test_page_is_told_that_the_default_deployment_refuses_it(
    node_modules: Path, tmp_path: Path
) -> None:
    """The visitor in a sentence, whoever made the page in the console, with what to look at."""
    with (
        _deployed("none", tmp_path) as host,
        _page(node_modules, tmp_path, host, user="ada") as script,
    ):
        assert _captions(script, REFUSED) == [REFUSED]
        script.finish()
        assert "`readers`" in script.errors()
        assert "permission-denied" in script.errors()


def test_page_needs_a_user_where_readers_have_to_sign_in(
    node_modules: Path, tmp_path: Path
) -> None:
    """Refused without one, and not with one."""
    with _deployed("signed_in", tmp_path) as host:
        with _page(node_modules, tmp_path, host) as script:
            assert _captions(script, REFUSED) == [REFUSED]
        with _page(node_modules, tmp_path, host, user="ada") as script:
            assert _captions(script, WAITING) == [WAITING]
