"""The scheduled look for what was lost, over the emulators and the running function."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import storage

from describer.records.record import record_id
from tests.integration.conftest import SAMPLE, System

Start = Callable[..., System]
# As Cloud Scheduler posts it; terraform/module/reconcile.tf has the same.
HEADERS = {
    "content-type": "application/json",
    "ce-id": "reconcile",
    "ce-source": "//cloudscheduler.googleapis.com/projects/p/locations/l/jobs/describer-reconcile",
    "ce-specversion": "1.0",
    "ce-type": "describer.reconcile.v1.requested",
}


@pytest.fixture
def system(start: Start, bucket: storage.Bucket) -> System:
    """The function for the bucket of this test alone."""
    return start(BUCKETS=str(bucket.name))


def asked(system: System, **data: float) -> dict[str, Any]:
    """Ask once; gives the line that it logs."""
    before = len(system.function.deliveries())
    body = json.dumps({"days": 3, "minutes": 0, **data}).encode()
    (response,) = system.post((HEADERS, body))
    assert response.status_code == 200, response.text
    lines = system.function.deliveries()[before:]
    (line,) = [line for line in lines if line["outcome"] in {"lost", "reconciled"}]
    return line


def test_planted_losses_are_found_each_and_nothing_else(system: System) -> None:
    """Of no event, of a dropped overwrite, of a process that died; in pages of the listing."""
    for name in ("done.webp", "old.webp", "stuck.webp", "mine.webp"):
        assert system.post(system.upload(name))[0].status_code == 200
    records = system.database.collection("descriptions")

    def document(name: str) -> Any:
        return records.document(record_id(str(system.bucket.name), name))

    document("mine.webp").update({"source": "person", "description": "Tom."})
    lapsed = datetime.now(UTC) - timedelta(hours=1)
    document("stuck.webp").update(
        {
            "status": {"state": "PROCESSING", "attempt": 1, "updateTime": lapsed},
            "lease": {"owner": "dead", "expireTime": lapsed},
        }
    )
    for name in ("lost.webp", "lost/ü \U0001f408.webp", "old.webp", "mine.webp"):
        system.bucket.blob(name).upload_from_string(SAMPLE, content_type="image/webp")
    for name in ("notes.txt", "folder/"):
        system.bucket.blob(name).upload_from_string(b"text", content_type="text/plain")
    paid = system.paid()
    # Everything is younger than a minute.
    assert asked(system, minutes=1)["found"] == 0
    line = asked(system)
    assert line["lost"] == {"no record": 2, "overwritten since": 1, "not finished": 1}
    assert line["delivered"] == {"described": 4}
    assert line["complete"] is True
    assert system.paid() == paid + 4
    line = asked(system)
    assert (line["outcome"], line["found"], line["looked"]) == ("reconciled", 0, 8)
    assert system.record("mine.webp")["description"] == "Tom."
    assert system.record("lost.webp")["status"]["outcome"] == "described"


def test_a_listing_of_several_pages_is_gone_through(system: System) -> None:
    """Objects that are told of cost a read each, and nothing more."""
    for number in range(1205):
        system.bucket.blob(f"{number:05}.txt").upload_from_string(b"x", content_type="text/plain")
    system.bucket.blob("00999.webp").upload_from_string(SAMPLE, content_type="image/webp")
    system.bucket.blob("z.webp").upload_from_string(SAMPLE, content_type="image/webp")
    line = asked(system)
    assert line["looked"] == 1207
    assert line["lost"] == {"no record": 2}
    assert asked(system)["found"] == 0
