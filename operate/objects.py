"""The objects in a bucket, as a listing tells of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any, Protocol
from urllib.parse import quote

from google.api_core.exceptions import NotFound
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from describer.delivery.event import ECONOMY, FINALIZED, read_upload
from describer.images.cloud_storage import LISTED_FIELDS, resource_of
from describer.settings import Settings
from describer.values import Upload
from operate.address import Address
from operate.ahead import in_order

# Objects and folders that are looked at for where to cut a listing, and into how many.
_LOOKED_AT = 1000
_LISTINGS = 32
# For one object somebody waits; the library's own patience is two minutes.
_SHORT_RETRY = DEFAULT_RETRY.with_timeout(15.0)


@dataclass(frozen=True, slots=True)
class Found:
    """One live object.

    Attributes:
        resource: as Cloud Storage's JSON API gives it, in the fields that the function reads.
    """

    resource: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Without the bucket."""
        return str(self.resource["name"])

    @property
    def upload(self) -> Upload:
        """What the function would make of it."""
        return read_upload({}, self.resource)

    def event(self, now: datetime | None, *, economy: bool = False) -> tuple[dict[str, str], bytes]:
        """Make the event that tells the function of it: that of an upload, in binary mode.

        Args:
            now: its time, since an old object is not an old event, which would be given up; None
                for an event that nobody can say how old it is when it comes.
            economy: whether the model's cheaper lane is asked for.
        """
        bucket = self.resource["bucket"]
        resource = dict(self.resource)
        headers = {
            "content-type": "application/json",
            "ce-id": f"describer-{uuid.uuid4()}",
            "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            "ce-specversion": "1.0",
            "ce-type": FINALIZED,
            # Header bytes are read as Latin-1 at the other end.
            "ce-subject": "objects/" + quote(self.name, safe="/"),
            "ce-bucket": str(bucket),
        }
        if economy:
            headers[f"ce-{ECONOMY}"] = "true"
        if now is None:
            # Without any time it has no age, and attempts alone bound it.
            resource.pop("timeCreated", None)
        else:
            stamp = now.astimezone(UTC).isoformat(timespec="milliseconds")
            headers["ce-time"] = stamp.replace("+00:00", "Z")
        return headers, json.dumps(resource).encode()


class Objects(Protocol):
    """The port; `BucketObjects` stands behind it."""

    def below(self, address: Address) -> Iterator[Found]:
        """Give the live objects of an address in the order of their names; flat in memory."""

    def get(self, bucket: str, name: str) -> Found | None:
        """Give one live object, or None."""

    def read(self, bucket: str, name: str, generation: int) -> bytes | None:
        """Read one generation of an object, or None if it is gone."""


class BucketObjects:
    """See `Objects`."""

    def __init__(self, client: storage.Client) -> None:
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def below(self, address: Address) -> Iterator[Found]:
        """See `Objects.below`: Cloud Storage lists in the order of UTF-8 bytes.

        A page takes as long as its answer is on the way, so that folders are listed several at
        once: each listing is of what lies between two names.

        Source: https://docs.cloud.google.com/storage/docs/listing-objects
        """
        if address.exact:
            found = self.get(address.bucket, address.name)
            yield from [found] if found else []
            return
        cuts = ["", *self._folders(address), ""]
        yield from in_order(partial(self._pages, address, *cut) for cut in pairwise(cuts))

    def _folders(self, address: Address) -> list[str]:
        """Give the first folders below an address, or some of them; none where there are none."""
        listed = self._client.list_blobs(
            address.bucket,
            prefix=address.name or None,
            delimiter="/",
            max_results=_LOOKED_AT,
            fields="prefixes,nextPageToken",
        )
        for _ in listed.pages:
            pass
        found = sorted(listed.prefixes)
        return found[:: -(-len(found) // _LISTINGS) or 1]

    def _pages(self, address: Address, start: str, end: str) -> Iterator[list[Found]]:
        """List what begins with `start` or comes after it, up to `end`, page by page."""
        listed = self._client.list_blobs(
            address.bucket,
            prefix=address.name or None,
            start_offset=start or None,
            end_offset=end or None,
            fields=f"items({LISTED_FIELDS}),nextPageToken",
        )
        for page in listed.pages:
            yield [Found(resource_of(blob)) for blob in page]

    def get(self, bucket: str, name: str) -> Found | None:
        """See `Objects.get`."""
        blob = self._client.bucket(bucket).get_blob(name, retry=_SHORT_RETRY)
        return None if blob is None else Found(resource_of(blob))

    def read(self, bucket: str, name: str, generation: int) -> bytes | None:
        """See `Objects.read`."""
        blob = self._client.bucket(bucket).blob(name, generation=generation)
        try:
            found: bytes = blob.download_as_bytes()
        except NotFound:
            return None
        return found


def connect(settings: Settings) -> BucketObjects:
    """Connect to Cloud Storage, or to the emulator at STORAGE_EMULATOR_HOST."""
    return BucketObjects(storage.Client(project=settings.google_cloud_project))
