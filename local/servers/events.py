"""The CloudEvent that Eventarc posts for a new object, in binary mode, made from scratch.

Source: https://github.com/googleapis/google-cloudevents (google.events.cloud.storage.v1)
"""

import base64
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

FINALIZED = "google.cloud.storage.object.v1.finalized"
# By the notification's own name.
REMOVED = {
    "OBJECT_ARCHIVE": "google.cloud.storage.object.v1.archived",
    "OBJECT_DELETE": "google.cloud.storage.object.v1.deleted",
}

Headers = dict[str, str]


def cloud_event(
    bucket: str,
    name: str,
    generation: int,
    *,
    content_type: str | None = "image/jpeg",
    size_bytes: int = 1,
    id: str | None = None,  # noqa: A002
    time: dt.datetime | None = None,
    type: str = FINALIZED,  # noqa: A002
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Headers, bytes]:
    """Make the headers and the body of one finalize event.

    Args:
        bucket: bucket name.
        name: object name, any Unicode.
        generation: the object's generation; a string in the body, as all 64-bit numbers are.
        content_type: None leaves the field out, as an upload without a type does.
        size_bytes: size of the object.
        id: id of the event; a new one by default. Redeliveries carry the same.
        time: when it happened; now by default.
        type: another kind of event, for tests of what is refused.
        overrides: fields of the body to set, or with None to leave out.
    """
    when = time or dt.datetime.now(dt.UTC)
    stamp = when.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    path = f"https://www.googleapis.com/storage/v1/b/{bucket}/o/{quote(name, safe='')}"
    checksum = base64.b64encode(hashlib.md5(name.encode()).digest()).decode()
    body: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{generation}",
        "selfLink": path,
        "name": name,
        "bucket": bucket,
        "generation": str(generation),
        "metageneration": "1",
        "contentType": content_type,
        "timeCreated": stamp,
        "updated": stamp,
        "storageClass": "STANDARD",
        "timeStorageClassUpdated": stamp,
        "size": str(size_bytes),
        "md5Hash": checksum,
        "mediaLink": path.replace("/storage/", "/download/storage/", 1)
        + f"?generation={generation}&alt=media",
        "crc32c": "AAAAAA==",
        "etag": "CAEQAQ==",
        **(overrides or {}),
    }
    body = {key: value for key, value in body.items() if value is not None}
    headers = event_headers(id or str(uuid.uuid4()), bucket, name, stamp, type)
    return headers, json.dumps(body).encode()


def event_headers(
    event_id: str, bucket: str, name: str, time: str, event_type: str = FINALIZED
) -> Headers:
    """Make the headers of a storage event.

    The subject is percent-encoded, since header bytes are read as Latin-1 at the other end.
    """
    return {
        "content-type": "application/json",
        "ce-id": event_id,
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
        "ce-specversion": "1.0",
        "ce-type": event_type,
        "ce-time": time,
        "ce-subject": "objects/" + quote(name, safe="/ !#$&'()*+,:;=?@[]~"),
        "ce-bucket": bucket,
    }
