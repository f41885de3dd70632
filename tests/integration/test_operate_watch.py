"""`describer watch` over the emulator and the running function."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from operator import contains
from typing import Any

import pytest

from describer.settings import Settings
from local.servers.emulators import PROJECT
from local.servers.function import ROOT
from operate.address import Address
from operate.follow import Follower, following
from operate.records import FirestoreRecords, connect
from tests.integration.conftest import System

ENVIRON = {"GOOGLE_CLOUD_PROJECT": PROJECT, "OPENAI_BASE_URL": "http://x.test/v1", "MODEL": "m"}


@pytest.fixture
def system(start: Callable[..., System]) -> System:
    return start()


@contextlib.contextmanager
def watching(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run it as on the command line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "operate", "watch", *arguments],
        cwd=ROOT,
        env={**os.environ, **ENVIRON},
        text=True,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def uploading(system: System, *names: str) -> Iterator[None]:
    """Describe one picture after the other, in the order given and again, until the block ends."""
    stopped = threading.Event()

    def work() -> None:
        turn = 0
        while not stopped.wait(0.2):
            for name in names:
                content = b"no image" if "bad" in name else None
                stem, dot, ending = name.rpartition(".")
                once = f"{stem}-{turn}{dot}{ending}"
                event = system.upload(once, content) if content else system.upload(once)
                system.post(event)
            turn += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_each_finished_record_is_one_line_of_json(system: System) -> None:
    """Whole, of the address that was asked for, none twice; --limit ends it."""
    home = f"gs://{system.bucket.name}"
    with (
        watching(f"{home}/a/", "--json", "--limit=6") as process,
        uploading(system, "a/good.webp", "a/bad.webp", "b/good.webp"),
    ):
        told, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    found = [json.loads(line) for line in told.splitlines()]
    assert len(found) == 6
    assert len({record["uri"] for record in found}) == 6
    assert all(record["uri"].startswith(f"{home}/a/") for record in found)
    assert {record["status"]["outcome"] for record in found} == {"described", "unreadable"}
    good = next(record for record in found if record["status"]["outcome"] == "described")
    assert good["description"] == system.record(good["name"])["description"]
    assert "described" in said


def test_a_pipe_gets_a_line_in_words(system: System) -> None:
    """The outcome, the picture, how long it took, and its text or what went wrong."""
    home = f"gs://{system.bucket.name}"
    with watching(home, "--limit=4") as process, uploading(system, "good.webp", "bad.webp"):
        told, _ = process.communicate(timeout=60)
    lines = told.splitlines()
    assert len(lines) == 4
    assert any(line.startswith(f"described  {home}/good-") for line in lines)
    bad = next(line for line in lines if line.startswith(f"unreadable  {home}/bad-"))
    assert "no image that is known" in bad
    assert "\x1b" not in told


def test_ctrl_c_ends_it(system: System) -> None:
    """At once, with what there was to count and status 130, and no traceback."""
    with watching(f"gs://{system.bucket.name}") as process:
        assert process.stdout is not None
        with uploading(system, "one.webp"):
            assert process.stdout.readline().startswith("described  ")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "described" in said
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said


@pytest.fixture
def records() -> Iterator[FirestoreRecords]:
    with contextlib.closing(connect(Settings.from_env(ENVIRON))) as connected:
        yield connected


@dataclass
class Looking:
    """Looks on, and keeps the names of what was told."""

    follower: Follower
    told: list[str] = field(default_factory=list)

    def until(self, done: Callable[[], bool]) -> None:
        """Look until this is so."""
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, self.told
            self.told += [str(fields["name"]) for fields in self.follower.look().finished]
            time.sleep(0.05)

    def pause(self) -> None:
        """Look for a second more."""
        end = time.monotonic() + 1.0
        self.until(lambda: time.monotonic() > end)


def test_a_record_is_told_once_for_each_time_that_it_is_finished(
    system: System, records: FirestoreRecords
) -> None:
    """What was finished before is not told."""
    system.post(system.upload("before.webp"))
    with following(records, Address(str(system.bucket.name))) as follower:
        look = Looking(follower)
        look.pause()
        assert look.told == []
        for times in (1, 2):
            system.post(system.upload("after.webp"))
            look.until(partial(lambda times: look.told.count("after.webp") == times, times))
        look.pause()
    assert look.told == ["after.webp", "after.webp"]


def test_an_old_picture_that_is_described_again_is_told(
    system: System, records: FirestoreRecords
) -> None:
    """It was uploaded long ago, so that only what is under way can tell of it."""
    document = system.database.collection("descriptions").document("old")
    fields: dict[str, Any] = {"bucket": str(system.bucket.name), "name": "old.webp"}
    fields |= {"generation": 1, "status": {"state": "PROCESSING", "attempt": 1}}
    with following(records, Address(str(system.bucket.name))) as follower:
        look = Looking(follower)
        document.set(fields)
        look.until(lambda: list(follower.look().under_way) == ["old"])
        now = datetime.now(UTC)
        ended = {"state": "COMPLETED", "outcome": "described", "completeTime": now}
        document.set(fields | {"status": ended})
        look.until(lambda: look.told == ["old.webp"])
        assert follower.look().under_way == {}
    document.delete()


def test_it_lets_go_of_what_is_long_finished(system: System, records: FirestoreRecords) -> None:
    """So that it does not grow with the days; each is told all the same, and once."""
    names = [f"{number}.webp" for number in range(12)]
    with following(records, Address(str(system.bucket.name)), most_recent=3) as follower:
        look = Looking(follower)
        for name in names:
            system.post(system.upload(name))
            look.until(partial(contains, look.told, name))
        look.pause()
        held = len(follower._recent.documents())
    assert sorted(look.told) == sorted(names)
    assert held <= 4


def test_a_terminal_shows_the_text_grow(system: System) -> None:
    """Its beginning is there before its end; then it is a line, and the rate stands below."""
    system.model.pace(0.15)
    ours, theirs = pty.openpty()
    environ = {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "operate", "watch", f"gs://{system.bucket.name}", "--limit=1"],
        cwd=ROOT,
        env={**os.environ, **ENVIRON, **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        deadline = time.monotonic() + 60
        posted = None
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    shown += os.read(ours, 65536)
            if posted is None and b"none finished yet" in shown:
                event = system.upload("grows.webp")
                posted = threading.Thread(target=system.post, args=(event,))
                posted.start()
        with contextlib.suppress(OSError):
            while select.select([ours], [], [], 0.1)[0] and (more := os.read(ours, 65536)):
                shown += more
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        if posted is not None:
            posted.join()
    text = shown.decode(errors="replace")
    assert process.returncode == 0, text
    assert "describing" in text
    last = system.record("grows.webp")["description"].split()[-1]
    assert text.count("describing") >= 2
    beginning, _, _ = text.partition(last)
    assert "1 under way" in beginning
    assert "1 described" in text
