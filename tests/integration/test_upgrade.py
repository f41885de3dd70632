"""From 0.1.0 on: its records, and its instances beside today's while a deployment goes over.

`tests/upgrade/0.1.0.zip` is what Terraform deployed then; it runs here as it did.
"""

import signal
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.servers.emulators import PROJECT
from local.servers.function import ROOT, FunctionServer, function_server
from local.servers.model import StandInServer
from local.servers.processes import Server
from tests.integration.conftest import Event, System

FORMER = ROOT / "tests" / "upgrade" / "0.1.0.zip"
Start = Callable[..., System]


@pytest.fixture
def former(
    tmp_path: Path, firestore_server: Server, gcs: Server, standin: StandInServer
) -> Iterator[FunctionServer]:
    """The function as 0.1.0 deployed it."""
    with zipfile.ZipFile(FORMER) as archive:
        archive.extractall(tmp_path)
    env = {
        "FIRESTORE_EMULATOR_HOST": firestore_server.host,
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "LEASE_SECONDS": "6",
        "CHUNK_TIMEOUT_SECONDS": "5",
        "MODEL": "stand-in",
        "OPENAI_BASE_URL": standin.base_url,
        "STORAGE_EMULATOR_HOST": gcs.url,
    }
    with function_server(env, source=tmp_path / "main.py") as server:
        yield server


def test_records_of_before_stand(start: Start, former: FunctionServer) -> None:
    """Finished ones are left alone by today's program; neither paid again nor written."""
    system = start()
    then = replace(system, function=former)
    events = [
        system.upload("a.webp"),
        system.upload("b.webp", b"not an image at all"),
        system.upload("c.svg", b"<svg/>", "image/svg+xml"),
    ]
    assert {r.status_code for r in then.post(*events)} == {200}
    before = {record["uri"]: record for record in system.records()}
    assert all("schemaVersion" not in record for record in before.values())
    assert {record["status"]["state"] for record in before.values()} == {"COMPLETED", "ERRORED"}
    assert {r.status_code for r in system.post(*events)} == {200}
    assert system.outcomes() == {"duplicate": len(before)}
    assert {record["uri"]: record for record in system.records()} == before


def test_work_that_the_former_program_left_is_taken_over(
    start: Start, former: FunctionServer
) -> None:
    """Killed with the model half-way through: free after its lease, then described."""
    system = start()
    then = replace(system, function=former)
    system.model.pace(1.0)
    event = system.upload("a.webp")
    posting = threading.Thread(target=lambda: _post_quietly(then, event))
    posting.start()
    while "partialText" not in system.record("a.webp"):
        time.sleep(0.05)
    former.process.send_signal(signal.SIGKILL)
    former.stop(grace_seconds=0)
    posting.join()
    system.model.pace(0.0)
    assert system.post(event)[0].status_code == 503
    deadline = time.monotonic() + 20
    while system.post(event)[0].status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    record = system.record("a.webp")
    assert record["status"]["outcome"] == "described"
    assert record["schemaVersion"] == 1
    assert not {"partialText", "lease"} & set(record)


def test_both_at_once_pay_for_each_picture_once(start: Start, former: FunctionServer) -> None:
    """While a deployment goes over, either may get any delivery of an event, and both get some."""
    system = start()
    then = replace(system, function=former)
    system.model.pace(0.05)
    events = [system.upload(f"{n}.webp") for n in range(30)]
    answers: Counter[int] = Counter()

    def deliver(side: System, first: list[Event], second: list[Event]) -> None:
        for some in (first, second, first):
            answers.update(r.status_code for r in side.post(*some))

    halves = events[::2], events[1::2]
    threads = [
        threading.Thread(target=deliver, args=(system, *halves)),
        threading.Thread(target=deliver, args=(then, *reversed(halves))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 503}
    assert {r.status_code for r in system.post(*events)} == {200}
    assert {r.status_code for r in then.post(*events)} == {200}
    records = system.records()
    assert len(records) == 30
    assert {record["status"]["outcome"] for record in records} == {"described"}
    assert {"schemaVersion" in record for record in records} == {True, False}, "each did some"
    assert system.paid() == 30


def _post_quietly(system: System, event: Event) -> None:
    try:
        system.post(event)
    except Exception:  # noqa: BLE001 - it was killed meanwhile
        return
