"""The whole way of an image on real parts: bucket, Pub/Sub, Eventarc, function, record."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import (  # type: ignore[attr-defined,unused-ignore]
    firestore,
    pubsub_v1,
    storage,
)

from describer.records.record import record_id
from local.servers.bucket import BUCKET
from local.servers.choice import ModelChoice
from local.servers.emulators import PROJECT, missing_parts
from local.servers.stack import running_stack
from tests.conftest import missing
from tests.events_out import event_of
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


def test_each_end_is_published_when_there_is_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made only later: nothing is paid twice or left untold, and all is as the schema says."""
    if parts := missing_parts():
        missing("; ".join(parts))
    model = ModelChoice("stand-in", PROJECT, "", inline=True)
    env = {"IMAGE_INPUT": "inline", "DELETE_RECORDS": "true", "EVENTS_TOPIC": "descriptions"}
    with running_stack(model, env=env) as stack:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.storage.url)
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.pubsub.host)
        bucket = storage.Client(project=stack.project).bucket(BUCKET)
        bucket.blob("good.webp").upload_from_string(SAMPLE, content_type="image/webp")
        bucket.blob("bad.webp").upload_from_string(b"no image", content_type="image/webp")

        def logged() -> dict[str, set[str]]:
            lines = stack.function.deliveries()
            outcomes = {line["outcome"] for line in lines}
            return {o: {x["object_name"] for x in lines if x["outcome"] == o} for o in outcomes}

        deadline = time.monotonic() + 60
        while len(logged().get("unpublished", ())) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        with publisher, subscriber:
            topic = publisher.topic_path(PROJECT, "descriptions")
            subscription = subscriber.subscription_path(PROJECT, "consumer")
            # What is published before somebody subscribes is lost.
            os.killpg(stack.function.process.pid, signal.SIGSTOP)
            publisher.create_topic(name=topic)
            subscriber.create_subscription(name=subscription, topic=topic)
            os.killpg(stack.function.process.pid, signal.SIGCONT)
            told: dict[str, dict[str, Any]] = {}

            def hear(number: int) -> None:
                while len(told) < number and time.monotonic() < deadline:
                    with contextlib.suppress(DeadlineExceeded):
                        pulled = subscriber.pull(
                            subscription=subscription, max_messages=1, timeout=2, retry=None
                        )
                        for received in pulled.received_messages:
                            message = received.message
                            event = event_of(dict(message.attributes), message.data)
                            told.setdefault(event["id"], event)
                            subscriber.acknowledge(
                                subscription=subscription, ack_ids=[received.ack_id]
                            )

            hear(2)
            bucket.blob("good.webp").delete()
            hear(3)
        identities = {record_id(BUCKET, name): name for name in ("good.webp", "bad.webp")}
        heard = {(identities[e["subject"]], e["type"].rpartition(".")[2]) for e in told.values()}
        assert heard == {
            ("good.webp", "completed"),
            ("bad.webp", "errored"),
            ("good.webp", "deleted"),
        }
        assert {event["source"] for event in told.values()} == {
            f"//firestore.googleapis.com/projects/{PROJECT}/databases/(default)/documents/descriptions"
        }
        assert logged()["duplicate"] == {"good.webp", "bad.webp"}
        lines = stack.function.deliveries()
        assert sum("first_text_seconds" in line for line in lines) == 1
