"""A CloudEvent becomes an upload, or says why not."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.http import from_http

from describer.delivery.event import FINALIZED, read_upload, reason_to_skip
from describer.errors import MalformedEventError
from describer.images.formats import likely_image_type
from describer.settings import Settings
from local.servers.events import cloud_event

EVENTS = Path(__file__).parents[1] / "events"
SETTINGS = Settings.from_env({"BUCKETS": "b12", "NAME_INCLUDE": "in/*", "NAME_EXCLUDE": "*.tmp.*"})


def payload(**changes: Any) -> dict[str, Any]:
    _, body = cloud_event("b12", "in/a.jpg", 7, size_bytes=9)
    return {k: v for k, v in (json.loads(body) | changes).items() if v is not None}


ATTRIBUTES = {"id": "e1", "type": FINALIZED, "time": "2026-11-22T10:00:00.5Z"}


def test_reads_the_object_and_its_generation_from_the_body() -> None:
    """All that is used later comes from the payload."""
    upload = read_upload(ATTRIBUTES, payload())
    assert (upload.bucket, upload.name, upload.generation) == ("b12", "in/a.jpg", 7)
    assert (upload.content_type, upload.size, upload.event_id) == ("image/jpeg", 9, "e1")
    assert upload.event_time == datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)
    assert upload.uri == "gs://b12/in/a.jpg"


@pytest.mark.parametrize(
    "name", ["a b.png", "ü/#?&%2F.png", "x" * 1000, "line\nbreak.jpg", "\U0001f408.jpg", "../../e"]
)
def test_takes_any_name_as_it_is(name: str) -> None:
    """A name is data: nothing in it is decoded, normalised or cut."""
    assert read_upload(ATTRIBUTES, payload(name=name)).name == name


@pytest.mark.parametrize("metadata", [None, "text", 3, ["a"], {"a": 1, "b": None, "c": "d"}])
def test_of_custom_metadata_only_text_is_taken(metadata: object) -> None:
    """An upload is not lost for what else stands there."""
    expected = {"c": "d"} if isinstance(metadata, dict) else {}
    assert read_upload(ATTRIBUTES, payload(metadata=metadata)).metadata == expected


@pytest.mark.parametrize(
    "changes",
    [
        *({key: None} for key in ("bucket", "name", "generation")),
        *({key: ""} for key in ("bucket", "name", "generation")),
        *({key: 1.5} for key in ("bucket", "name", "generation", "size")),
        *({key: ["x"]} for key in ("bucket", "name", "generation", "size")),
        *({"generation": g} for g in ("0", "-1", "1e3", "٣", "9" * 19, 10**30, True, " 1")),
        {"size": "-1"},
        {"bucket": "UPPER/../x"},
        {"bucket": "a@evil.example"},
        {"name": "\ud800"},
    ],
    ids=repr,
)
def test_refuses_what_is_missing_or_impossible(changes: dict[str, Any]) -> None:
    """Each is answered 4xx: no redelivery can mend it."""
    with pytest.raises(MalformedEventError):
        read_upload(ATTRIBUTES, payload(**changes))


@pytest.mark.parametrize("body", [None, b"\xff", "text", 3, [], [{}]], ids=repr)
def test_refuses_a_body_that_is_no_object(body: object) -> None:
    """The framework passes on whatever came."""
    with pytest.raises(MalformedEventError):
        read_upload(ATTRIBUTES, body)


@pytest.mark.parametrize("time", [None, "yesterday", 5, "9999-99-99T00:00:00Z"], ids=repr)
def test_an_unreadable_time_counts_as_now(time: object) -> None:
    """An upload is not lost for its clock."""
    upload = read_upload({**ATTRIBUTES, "time": time}, payload(timeCreated=None))
    assert upload.age_seconds(datetime.now(UTC)) == 0


def test_takes_the_trace_from_the_event() -> None:
    """W3C trace context, as Eventarc's extension attribute carries it."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    attributes = {**ATTRIBUTES, "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert read_upload(attributes, payload()).trace == trace
    assert read_upload({**ATTRIBUTES, "traceparent": "x"}, payload()).trace is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"size": None}, None),
        ({"bucket": "other"}, "another bucket"),
        ({"name": "in/folder/"}, "a folder placeholder"),
        ({"name": "gcloud/tmp/parallel_composite_uploads/x"}, "part of a composite upload"),
        ({"size": "0"}, "an empty object"),
        ({"name": "out/a.jpg"}, "not included"),
        ({"name": "in/a.tmp.jpg"}, "excluded"),
        ({"contentType": "text/plain", "name": "in/a.txt"}, "not an image"),
        ({"contentType": "text/plain"}, None),
        ({"contentType": None, "name": "in/a.pdf"}, "not an image"),
        ({"contentType": "application/octet-stream", "name": "in/x"}, None),
    ],
    ids=repr,
)
def test_says_why_an_event_is_not_ours(changes: dict[str, Any], reason: str | None) -> None:
    """One reason for each kind that is acknowledged without a record."""
    upload = read_upload(ATTRIBUTES, payload(**changes))
    assert reason_to_skip(FINALIZED, upload, SETTINGS) == reason


def test_another_event_type_is_not_ours() -> None:
    """A trigger that is too wide costs nothing."""
    upload = read_upload(ATTRIBUTES, payload())
    deleted = "google.cloud.storage.object.v1.deleted"
    assert reason_to_skip(deleted, upload, SETTINGS) == "not a finalize event"


@pytest.mark.parametrize(
    ("declared", "name", "expected"),
    [
        ("image/png", "x.txt", "image/png"),
        ("IMAGE/JPG; q=1", "x", "image/jpeg"),
        ("text/html", "x.png", None),
        ("text/html", "x.tiff", None),
        ("text/html", "x", ""),
        ("application/x-www-form-urlencoded", "x.png", "image/png"),
        ("application/x-www-form-urlencoded", "x", None),
        ("application/x-www-form-urlencoded", "x.html", ""),
        (None, "photo.JPEG", "image/jpeg"),
        ("application/octet-stream", "a.b/photo.heic", "image/heic"),
        ("", "a.png/photo", None),
        ("", ".png", None),
        ("", "scan.tiff", "image/tiff"),
        ("", "film.mp4", ""),
        ("", "x.zzz", None),
    ],
)
def test_the_name_tells_the_type_where_the_uploader_did_not(
    declared: str | None, name: str, expected: str | None
) -> None:
    """Declared type first, then the extension; None leaves it to the bytes, as if they differ."""
    upload = read_upload(ATTRIBUTES, payload(contentType=declared, name=name))
    assert likely_image_type(upload) == expected


def published(name: str) -> tuple[dict[str, Any], Any]:
    """Give attributes and payload as the framework hands them on; `tests/events/README.md`."""
    body = (EVENTS / name).read_bytes()
    if name.startswith("storage-") and "structured" not in name:
        headers, _ = cloud_event("any", "any", 1, id="e1")
        event = from_http(headers, body)
    else:
        event = from_http({"content-type": "application/cloudevents+json"}, body)
    return dict(event.get_attributes()), event.get_data()


@pytest.mark.parametrize(
    ("file", "uri", "generation", "content_type", "size", "reason"),
    [
        (
            "storage-simple.json",
            "gs://sample-bucket/folder/Test.cs",
            1587627537231057,
            "text/plain",
            352,
            "not an image",
        ),
        (
            "storage-complex.json",
            "gs://sample-bucket/MyFile",
            96883251,
            "text/plain",
            0,
            "an empty object",
        ),
        (
            "storage-structured.json",
            "gs://sample-bucket/MyFile",
            96883251,
            "",
            0,
            "an empty object",
        ),
        *(
            (
                name,
                "gs://some-bucket/folder/Test.cs",
                1587627537231057,
                "text/plain",
                352,
                "not an image",
            )
            for name in ("framework-storage.json", "framework-storage-no-subject.json")
        ),
    ],
    ids=lambda value: value if str(value).endswith(".json") else "",
)
def test_reads_what_google_publishes(
    file: str, uri: str, generation: int, content_type: str, size: int, reason: str
) -> None:
    """Google's own samples are read whole, and none of them is an image."""
    attributes, data = published(file)
    upload = read_upload(attributes, data)
    assert (upload.uri, upload.generation) == (uri, generation)
    assert (upload.content_type, upload.size) == (content_type, size)
    assert upload.event_id == attributes["id"]
    assert upload.event_time == datetime.fromisoformat(attributes["time"])
    assert reason_to_skip(attributes["type"], upload, Settings()) == reason


@pytest.mark.parametrize("content_type", ["image/png", "image/webp"])
@pytest.mark.parametrize("file", ["storage-simple.json", "framework-storage.json"])
def test_a_published_event_for_an_image_is_ours(file: str, content_type: str) -> None:
    """With an image's type nothing else in the sample is a reason to skip it."""
    attributes, data = published(file)
    upload = read_upload(attributes, data | {"contentType": content_type})
    assert reason_to_skip(attributes["type"], upload, Settings()) is None


def test_a_published_pubsub_message_is_no_upload() -> None:
    """A trigger of another kind brings no bucket."""
    attributes, data = published("framework-pubsub.json")
    with pytest.raises(MalformedEventError, match="bucket"):
        read_upload(attributes, data)


def test_local_events_have_the_fields_of_published_ones() -> None:
    """What the local stack makes is no poorer than what Google publishes, field by field."""
    simple = json.loads((EVENTS / "storage-simple.json").read_bytes())
    _, body = cloud_event("b12", "a", 1)
    assert {key: type(value) for key, value in json.loads(body).items()} == {
        key: type(value) for key, value in simple.items()
    }


def test_every_published_event_has_its_source() -> None:
    """The list of sources names each file, and no other."""
    text = (EVENTS / "README.md").read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert named == {path.name for path in EVENTS.glob("*.json")}
