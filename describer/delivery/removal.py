"""The record goes with its object.

    the object is deleted ──┬── its event is delivered ──► nothing stands there? ──► delete
                            └── an upload's delivery ends ──► nothing stands there? ──► delete

Both ask, since either may come first. What the event of the deletion deletes before the upload's
delivery has written its outcome, that one cannot write any more; what that one writes later, it
looks after itself, and answers only then. So the order of the two, and how often they come, does
not matter.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from describer.delivery.announcer import Announcer
from describer.errors import StoreError, VersionConflictError
from describer.images.loading import Images
from describer.records.record import SCHEMA_VERSION, Record, record_id
from describer.records.store import Store
from describer.values import Upload

# Each round means that somebody wrote in between, who is told so by their own next write.
_ROUNDS = 5

Removal: TypeAlias = Literal["deleted", "absent", "superseded", "by_person"]


async def remove(store: Store, images: Images, announcer: Announcer, upload: Upload) -> Removal:
    """Delete the record of an object of which nothing is left.

    The bucket is asked first: whatever is uploaded after that has a newer generation than the
    one that is gone, so that its record, if it is there already, tells by its own.

    Args:
        upload: the generation that was deleted, or was to be described.

    Returns:
        `deleted`, or why not: `absent` (there is no record), `superseded` (a generation stands
        there, or a newer one has the record), `by_person` (someone wrote the description).

    Raises:
        BucketError, StoreError, PublishError, TokenError: no clear answer.
    """
    if await images.live_generation(upload) is not None:
        return "superseded"
    identity = record_id(upload.bucket, upload.name)
    for _ in range(_ROUNDS):
        snapshot = await store.read(identity)
        if snapshot is None:
            return "absent"
        record = Record.parse(snapshot.fields)
        if record.written_by_person:
            return "by_person"
        if record.generation > upload.generation:
            return "superseded"
        # Not of what stands there, in which anybody may have edited anything.
        told = {
            "schemaVersion": SCHEMA_VERSION,
            "uri": upload.uri,
            "bucket": upload.bucket,
            "name": upload.name,
            "generation": record.generation or upload.generation,
        }
        await announcer.deleted(identity, told)
        try:
            await store.delete(identity, version=snapshot.version)
        except VersionConflictError:
            continue
        return "deleted"
    raise StoreError(f"the record changed {_ROUNDS} times while it was deleted")
