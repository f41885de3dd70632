"""A CloudEvent becomes an `Upload`, or a reason to leave it alone. Pure: no network, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from describer.errors import MalformedEventError
from describer.images.formats import likely_image_type
from describer.settings import BUCKET_NAME, Settings
from describer.values import Upload

FINALIZED = "google.cloud.storage.object.v1.finalized"
# What ends a live object: the one where the bucket keeps no versions, the other where it does. An
# overwrite sends them, too.
# Source: https://docs.cloud.google.com/storage/docs/pubsub-notifications#events
REMOVALS = frozenset(
    {
        "google.cloud.storage.object.v1.archived",
        "google.cloud.storage.object.v1.deleted",
    }
)

# An extension attribute of ours, which Eventarc never sets and `describer --economy` does.
ECONOMY = "economy"

# gcloud and gsutil upload large files in parts that they compose and delete again.
# Source: https://docs.cloud.google.com/storage/docs/parallel-composite-uploads
_COMPOSITE_PARTS = re.compile(r"(gcloud|gsutil)/tmp/parallel_composite_uploads/")


# Source: https://docs.cloud.google.com/storage/docs/objects#naming
_NAME_BYTES = 1024
# Type and subtype have up to 127 characters each (RFC 6838, section 4.2).
_CONTENT_TYPE = re.compile(r"[\x21-\x7e]{1,255}\Z")
_INT64_MAX = 2**63 - 1


def read_upload(attributes: Mapping[str, object], payload: object) -> Upload:
    """Read bucket, name and generation from the event's payload, never from its subject.

    Args:
        attributes: the CloudEvent's context attributes.
        payload: the decoded JSON body, a Storage object resource.

    Raises:
        MalformedEventError: naming the first thing that is missing or impossible.

    Source: https://github.com/googleapis/google-cloudevents/tree/main/proto/google/events/cloud/storage/v1
    """
    if not isinstance(payload, Mapping):
        raise MalformedEventError(f"the body is not a JSON object but {type(payload).__name__}")
    bucket = _name(payload, "bucket")
    if not BUCKET_NAME.match(bucket):
        raise MalformedEventError(f"{bucket[:80]!r} is not a bucket's name")
    return Upload(
        bucket=bucket,
        name=_name(payload, "name"),
        generation=_integer(payload, "generation", least=1),
        content_type=_word(payload.get("contentType")),
        size=None if payload.get("size") is None else _integer(payload, "size", least=0),
        event_id=str(attributes.get("id", ""))[:1024].encode("utf-8", "replace").decode(),
        event_time=_time(attributes.get("time")) or _time(payload.get("timeCreated")),
        content_encoding=_word(payload.get("contentEncoding")),
        md5_hash=_md5(payload.get("md5Hash")),
        metadata=_metadata(payload.get("metadata")),
        trace=_trace(attributes.get("traceparent")),
        economy=attributes.get(ECONOMY) == "true",
    )


def reason_to_skip(event_type: str, upload: Upload, settings: Settings) -> str | None:
    """Say why this event is acknowledged without a record, or None if it is ours.

    Of a removal only the place counts: the record may be older than the filters.
    """
    name = upload.name
    another = bool(settings.buckets) and upload.bucket not in settings.buckets
    if settings.delete_records and event_type in REMOVALS:
        return "another bucket" if another else None
    checks = (
        (event_type != FINALIZED, "not a finalize event"),
        (another, "another bucket"),
        (name.endswith("/"), "a folder placeholder"),
        (_COMPOSITE_PARTS.match(name) is not None, "part of a composite upload"),
        (upload.size == 0, "an empty object"),
        (bool(settings.name_include) and not settings.name_include.match(name), "not included"),
        (settings.name_exclude.match(name), "excluded"),
        (likely_image_type(upload) == "", "not an image"),
    )
    return next((reason for holds, reason in checks if holds), None)


def _name(payload: Mapping[str, object], key: str) -> str:
    value = payload.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedEventError(f"the event has no {key}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as exc:
        raise MalformedEventError(f"the event's {key} is not valid Unicode") from exc
    if size > _NAME_BYTES:
        raise MalformedEventError(f"the event's {key} has {size} bytes, over {_NAME_BYTES}")
    return value


def _integer(payload: Mapping[str, object], key: str, *, least: int) -> int:
    """Read an int64, which JSON carries as a string."""
    value = payload.get(key)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        value = int(value)
    if type(value) is not int or not least <= value <= _INT64_MAX:
        raise MalformedEventError(f"the event's {key} is not an int64 of at least {least}")
    return value


def _word(value: object) -> str:
    """Fold a content type or encoding, without parameters; "" if it is not well-formed."""
    declared = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    return declared if _CONTENT_TYPE.match(declared) else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _md5(value: object) -> str:
    """Take the base64 of sixteen bytes; "" for anything else."""
    found = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9+/]{22}==", value)
    return found.group() if found else ""


def _metadata(value: object) -> dict[str, str]:
    """Take what is text; nothing of anything else."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}


def _trace(value: object) -> str | None:
    """Take the trace id out of `00-{trace id}-{span id}-{flags}`."""
    match = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-.*", str(value))
    return match.group(1) if match else None
