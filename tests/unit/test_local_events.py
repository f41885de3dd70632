"""Events made locally: what the framework parses and the function reads from them."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from cloudevents.http import from_http
from hypothesis import given
from hypothesis import strategies as st

from describer.delivery.event import read_upload
from local.servers.eventarc import SUCCESS, Delivery, to_cloud_event
from local.servers.events import FINALIZED, cloud_event

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(NAMES, st.integers(1, 2**63 - 1))
def test_every_name_arrives_whole(name: str, generation: int) -> None:
    """Any object name comes through headers and body to the function as it was."""
    headers, body = cloud_event("b12", name, generation, size_bytes=7)
    wire = {key: value.encode("latin-1").decode("latin-1") for key, value in headers.items()}
    assert not any(set(value) & set("\r\n\0") for value in wire.values())
    event = from_http(wire, body)
    upload = read_upload(event.get_attributes(), event.get_data())
    assert (upload.name, upload.generation, upload.size) == (name, generation, 7)
    assert upload.event_id == headers["ce-id"]


def test_has_the_attributes_of_a_storage_event() -> None:
    """Type, source, subject, bucket and time are as Eventarc sends them."""
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=dt.UTC)
    headers, _ = cloud_event("b12", "a b/ü.jpg", 1, id="7", time=at)
    assert headers == {
        "content-type": "application/json",
        "ce-id": "7",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/b12",
        "ce-specversion": "1.0",
        "ce-type": FINALIZED,
        "ce-time": "2026-01-02T03:04:05.678Z",
        "ce-subject": "objects/a b/%C3%BC.jpg",
        "ce-bucket": "b12",
    }


def test_fields_can_be_left_out() -> None:
    """An override of None removes a field, as a content type of None does."""
    _, body = cloud_event("b12", "a", 1, content_type=None, overrides={"size": None, "name": "b"})
    assert b'"contentType"' not in body
    assert b'"size"' not in body
    assert b'"name": "b"' in body


def notification(event_type: str) -> Any:
    attributes = {"eventType": event_type, "bucketId": "b12", "objectId": "ü.jpg"}
    return SimpleNamespace(
        attributes=attributes,
        data=b'{"name": "x"}',
        message_id="11",
        publish_time=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )


def test_a_notification_becomes_an_event() -> None:
    """The message's id and time become the event's, and its data the body, byte for byte."""
    event = to_cloud_event(notification("OBJECT_FINALIZE"))
    assert event is not None
    headers, body = event
    assert (headers["ce-id"], headers["ce-time"]) == ("11", "2026-01-02T00:00:00.000Z")
    assert (headers["ce-type"], headers["ce-subject"]) == (FINALIZED, "objects/%C3%BC.jpg")
    assert body == b'{"name": "x"}'


@pytest.mark.parametrize("event_type", ["OBJECT_DELETE", "OBJECT_METADATA_UPDATE", ""])
def test_other_notifications_are_dropped(event_type: str) -> None:
    """Only a new object is an event where there is no trigger for more."""
    assert to_cloud_event(notification(event_type)) is None


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("OBJECT_DELETE", "google.cloud.storage.object.v1.deleted"),
        ("OBJECT_ARCHIVE", "google.cloud.storage.object.v1.archived"),
        ("OBJECT_METADATA_UPDATE", None),
    ],
)
def test_a_removal_is_an_event_where_it_has_a_trigger(
    event_type: str, expected: str | None
) -> None:
    """The type says how the object ended."""
    event = to_cloud_event(notification(event_type), removals=True)
    assert (event and event[0]["ce-type"]) == expected


@pytest.mark.parametrize("status", [0, 400, 404, 429, 500, 503])
def test_only_success_acknowledges(status: int) -> None:
    """No answer, a client's error and a server's error are all delivered again."""
    assert status not in SUCCESS
    assert not Delivery("1", "a", 1, status).acknowledged
    assert Delivery("1", "a", 1, 200).acknowledged
