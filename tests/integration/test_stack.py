"""The whole way of an image on real parts: bucket, Pub/Sub, Eventarc, function, record."""

import time
from collections.abc import Callable

import pytest
from google.cloud import firestore, storage

from describer.records.record import record_id
from local.servers.bucket import BUCKET
from local.servers.choice import ModelChoice
from local.servers.emulators import PROJECT, missing_parts
from local.servers.stack import running_stack
from tests.conftest import missing
from tests.integration.conftest import SAMPLE


@pytest.mark.parametrize("way", ["inline", "uri"])
def test_an_object_in_the_bucket_becomes_a_record(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """By itself: nobody calls the function but the notification of the upload."""
    if parts := missing_parts():
        missing("; ".join(parts))
    names = ["a.webp", "b c/ü#?\U0001f408.webp", "notes.txt"]
    model = ModelChoice("stand-in", PROJECT, "", inline=False)
    with running_stack(model, env={"IMAGE_INPUT": way}) as stack:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.storage.url)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", stack.firestore.host)
        bucket = storage.Client(project=stack.project).bucket(BUCKET)
        for name in names:
            kind = "text/plain" if name.endswith(".txt") else "image/webp"
            bucket.blob(name).upload_from_string(SAMPLE, content_type=kind)
        records = firestore.Client(project=stack.project).collection("descriptions")
        states: dict[str, str | None] = {}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and list(states.values()) != ["described"] * 2:
            found = {n: records.document(record_id(BUCKET, n)).get().to_dict() for n in names}
            states = {n: r["status"].get("outcome") for n, r in found.items() if r}
            time.sleep(0.2)
        assert states == dict.fromkeys(names[:2], "described")
        outcomes = [line["outcome"] for line in stack.function.deliveries()]
        assert outcomes.count("described") == 2
        assert outcomes.count("skipped") == 1


def test_a_record_goes_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the bucket tells of it: deleted, overwritten, with versions and without."""
    if parts := missing_parts():
        missing("; ".join(parts))
    model = ModelChoice("stand-in", PROJECT, "", inline=True)
    env = {"IMAGE_INPUT": "inline", "DELETE_RECORDS": "true", "BUCKETS": f"{BUCKET},versioned"}
    with running_stack(model, env=env) as stack:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.storage.url)
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", stack.firestore.host)
        client = storage.Client(project=stack.project)
        versioned = client.bucket("versioned")
        versioned.versioning_enabled = True
        client.create_bucket(versioned)
        buckets = client.bucket(BUCKET), versioned
        for bucket in buckets:
            for name in ("goes.webp", "stays.webp"):
                bucket.blob(name).upload_from_string(SAMPLE, content_type="image/webp")
        records = firestore.Client(project=stack.project).collection("descriptions")

        def states() -> dict[str, tuple[int, str]]:
            found = [record.to_dict() or {} for record in records.stream()]
            return {r["uri"]: (r["generation"], r["status"].get("outcome", "")) for r in found}

        def until(expected: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 60
            while not expected():
                assert time.monotonic() < deadline, (states(), stack.function.deliveries())
                time.sleep(0.2)

        until(lambda: [outcome for _, outcome in states().values()] == ["described"] * 4)
        live = {}
        for bucket in buckets:
            bucket.blob("goes.webp").delete()
            blob = bucket.blob("stays.webp")
            blob.upload_from_string(SAMPLE, content_type="image/webp")
            live[f"gs://{bucket.name}/stays.webp"] = (blob.generation, "described")
        until(lambda: states() == live)
        outcomes = [line["outcome"] for line in stack.function.deliveries()]
        assert outcomes.count("deleted") == 2
        assert outcomes.count("superseded") == 2
