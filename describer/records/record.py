"""The Firestore record: its shape, and each of the writes that it sees.

One document per object, `{collection}/{id}` with `id = sha256_hex("gs://{bucket}/{name}")`.
This is the one place that knows the field names, which are camelCase as in Firestore's web
clients.

    schemaVersion           integer     of this list
    uri, bucket, name       string      the object
    generation              integer     the bytes that this record speaks of
    contentType, size       string, integer bytes
    md5Hash                 string      of the stored bytes, if the event told
    converted               string      what was sent instead of the object's own bytes, in words
    description             string      of this generation; not before the first is COMPLETED
    partialText             string      PROCESSING only
    altText, textInImage    string      like all of the following: where asked for, and found
    decorative              boolean     a suggestion
    tags                    list        of strings
    descriptions            map         language -> string
    source                  string      `model` or `person`; with `description`
    model, language, promptHash, finishReason    string      what made the text
    metadataQuoted          list        of strings: which metadata the prompt quoted, by name
    repaired                boolean     whether a second call brought what the first lacked
    reusedFrom              string      `gs://` address whose text this is
    usage                   map         promptTokens, completionTokens, totalTokens, trafficType
    approved                map         by, time, modelDescription; written by hand only
    unpublished             boolean     true with an outcome until its event is published, if it is
    status                  map         state, outcome, message, attempt, refusals, refusedSince,
                                        eventId, startTime, firstTextTime, updateTime, completeTime
    lease                   map         owner, expireTime; while a delivery is at work
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from describer.errors import PermanentError
from describer.images.formats import likely_image_type
from describer.model.outputs import OUTPUT_FIELDS
from describer.records.store import REMOVE, Fields
from describer.settings import LONGEST_LEASE_SECONDS
from describer.values import Upload, Usage

if TYPE_CHECKING:
    from describer.images.image import Image
    from describer.model.description import Description
    from describer.model.prompt import Instructions

SCHEMA_VERSION = 1
PROCESSING, COMPLETED, ERRORED = "PROCESSING", "COMPLETED", "ERRORED"

# A finished text, and what is said of it.
_TEXT = (
    "reusedFrom",
    "description",
    *OUTPUT_FIELDS,
    "source",
    "model",
    "language",
    "promptHash",
    "finishReason",
    "usage",
    "converted",
    "metadataQuoted",
    "repaired",
    # By hand, and of the words that go.
    "approved",
)
# Everything that an earlier generation or attempt may have left.
_LEFTOVERS = ("md5Hash", "partialText", "unpublished", *_TEXT)

# What others are told of a record: which object it is of, and all but what is for the work on it.
OBJECT_FIELDS = ("schemaVersion", "uri", "bucket", "name", "generation")
PUBLIC_FIELDS = (*OBJECT_FIELDS, "contentType", "size", "md5Hash", *_TEXT, "status")

# What a text comes with when it is copied; not its usage, since nothing was paid.
_MADE = (
    "contentType",
    "converted",
    "metadataQuoted",
    "repaired",
    "description",
    *OUTPUT_FIELDS,
    "source",
    "model",
    "language",
    "promptHash",
    "finishReason",
)


def record_id(bucket: str, name: str) -> str:
    """Give the document id: fixed length, no slash, no hotspot, and any client can compute it."""
    return hashlib.sha256(f"gs://{bucket}/{name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Record:
    """What an existing document says, as far as a claim asks. Foreign shapes read as absent.

    Attributes:
        lease_owner: "" if there is no lease.
        lease_seconds: how long the lease was given for, by its owner's clock alone.
        unpublished: it is finished, and nobody has confirmed that its event is published.
    """

    generation: int
    state: str
    attempt: int
    refusals: int
    refused_since: datetime | None
    message: str
    has_text: bool
    written_by_person: bool
    lease_owner: str
    lease_seconds: float
    unpublished: bool

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Record:
        """Read the fields of a document that anyone with the rights may have written."""
        status, lease = _map(fields.get("status")), _map(fields.get("lease"))
        given, ends = status.get("updateTime"), lease.get("expireTime")
        seconds = 0.0
        if isinstance(given, datetime) and isinstance(ends, datetime):
            # No owner is given more; only an edit by hand could keep a record for ever.
            seconds = min((ends - given).total_seconds(), LONGEST_LEASE_SECONDS)
        return cls(
            generation=_integer(fields.get("generation")),
            state=str(status.get("state", "")),
            attempt=_integer(status.get("attempt")),
            refusals=_integer(status.get("refusals")),
            refused_since=_time(status.get("refusedSince")),
            message=str(status.get("message", "")),
            has_text=bool(fields.get("description")),
            written_by_person=fields.get("source") == "person" and bool(fields.get("description")),
            lease_owner=str(lease.get("owner", "")),
            lease_seconds=seconds,
            unpublished=fields.get("unpublished") is True
            and status.get("state") in {COMPLETED, ERRORED},
        )

    @property
    def finished(self) -> bool:
        """Whether the generation has its outcome."""
        return self.state in {COMPLETED, ERRORED}


def asked_again(fields: Mapping[str, Any], now: datetime) -> Fields:
    """Give the write by which an operator has a finished generation described again.

    It is to be made under the version that was read. Any delivery may take the record then, as
    attempt 1; its text stays until a new one is finished.
    """
    before = _map(fields.get("status"))
    kept = {name: before[name] for name in ("eventId", "startTime") if name in before}
    status = {
        **kept,
        "state": PROCESSING,
        "attempt": 0,
        "updateTime": now,
        "message": "to be described again",
    }
    return {"status": status, "lease": REMOVE}


def may_be_reused(fields: Mapping[str, Any], upload: Upload, asked: Instructions) -> bool:
    """Tell whether a record holds a whole text of the same bytes, words and model."""
    wanted = {
        "md5Hash": upload.md5_hash,
        "promptHash": asked.digest,
        "model": asked.model,
        "source": "model",
    }
    return (
        _map(fields.get("status")).get("outcome") == "described"
        and all(fields.get(name) == value for name, value in wanted.items())
        and all(isinstance(fields.get(name), str) for name in ("uri", "description"))
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """What one claim writes into its record from the claim to the outcome. Immutable.

    Attributes:
        owner: unique to this delivery.
        attempt: the how manieth try in which the model begins, if it does.
        lease_seconds: given anew by each write that keeps the lease.
        refusals: tries of this attempt that ended before the model began.
        refused_since: when the first of them did; None if there is none.
        again: a text of these bytes stands, which stays until a new one is finished.
        publish: others are to be told of the outcome.
    """

    upload: Upload
    owner: str
    attempt: int
    lease_seconds: float
    started_at: datetime
    refusals: int = 0
    refused_since: datetime | None = None
    again: bool = False
    publish: bool = False
    first_text_at: datetime | None = None
    streamed: Fields = field(default_factory=dict)
    made_by: Fields = field(default_factory=dict)

    def claimed(self) -> Fields:
        """Give the first write: all fields, so that nothing of an earlier one stays behind."""
        upload = self.upload
        return {
            "schemaVersion": SCHEMA_VERSION,
            "uri": upload.uri,
            "bucket": upload.bucket,
            "name": upload.name,
            "generation": upload.generation,
            "contentType": likely_image_type(upload) or upload.content_type,
            "size": upload.size or 0,
            **dict.fromkeys(("partialText", "unpublished") if self.again else _LEFTOVERS, REMOVE),
            **({"md5Hash": upload.md5_hash} if upload.md5_hash else {}),
            **self._leased(self.started_at),
        }

    def with_image(self, image: Image, instructions: Instructions) -> Draft:
        """Note what is about to be sent; it is written along with the next write."""
        found = {"contentType": image.content_type}
        size = {} if image.size is None else {"size": image.size}
        converted = {"converted": image.converted} if image.converted else {}
        made_by = {
            "model": instructions.model,
            "language": instructions.language,
            "promptHash": instructions.digest,
            **converted,
            **({"metadataQuoted": list(instructions.quoted)} if instructions.quoted else {}),
        }
        # Beside a text that stands, they would be said of that.
        streamed = {**found, **size, **({} if self.again else made_by)}
        return replace(self, streamed=streamed, made_by=made_by)

    def with_first_text(self, now: datetime) -> Draft:
        """Note when the first text came."""
        return self if self.first_text_at else replace(self, first_text_at=now)

    def partial(self, text: str, now: datetime) -> Fields:
        """Give the text so far, and the lease renewed."""
        return {**self.streamed, "partialText": text, **self._leased(now)}

    def renewed(self, now: datetime) -> Fields:
        """Give the lease renewed, while there is no new text."""
        return self._leased(now)

    def released(self, message: str, now: datetime, *, refused: bool) -> Fields:
        """Give PROCESSING without a lease: any delivery may take it at once.

        Args:
            refused: the model did not begin; the next try is the same attempt again.
        """
        since = self.refused_since or now
        ended = replace(self, refusals=self.refusals + 1, refused_since=since)
        if not refused:
            ended = replace(self, refusals=0)
        return {
            "partialText": REMOVE,
            "lease": REMOVE,
            "status": ended._status(PROCESSING, now) | {"message": message},
        }

    def completed(self, description: Description, now: datetime) -> Fields:
        """Give the finished text."""
        return {
            **self._replaced(),
            **self.streamed,
            **self.made_by,
            **_usage_field(description.usage),
            "description": description.text,
            **description.fields,
            **({} if description.repaired is None else {"repaired": description.repaired}),
            "source": "model",
            "finishReason": description.finish_reason,
            **self._finished(COMPLETED, description.outcome, now),
        }

    def reused(self, found: Mapping[str, Any], now: datetime) -> Fields:
        """Give the text of another record, which was made of the same bytes by the same words."""
        return {
            **self._replaced(),
            **{name: found[name] for name in _MADE if name in found},
            "reusedFrom": found["uri"],
            **self._finished(COMPLETED, "described", now),
        }

    def errored(self, error: PermanentError, now: datetime) -> Fields:
        """Give an outcome without a text, and what it cost where the model said.

        A text that stands is not taken away, and what is said of it stays with it.
        """
        ended = {"finishReason": error.finish_reason} if error.finish_reason else {}
        return {
            **self.streamed,
            **({} if self.again else ended | _usage_field(error.usage)),
            **self._finished(ERRORED, error.outcome, now, message=str(error)),
        }

    def yielded_to_person(self, now: datetime) -> Fields:
        """Give the end of the work on a record that someone described by hand meanwhile."""
        return self._finished(COMPLETED, "described", now)

    def _replaced(self) -> Fields:
        return dict.fromkeys(_TEXT, REMOVE) if self.again else {}

    def _leased(self, now: datetime) -> dict[str, Any]:
        expires = now + timedelta(seconds=self.lease_seconds)
        return {
            "lease": {"owner": self.owner, "expireTime": expires},
            "status": self._status(PROCESSING, now),
        }

    def _finished(self, state: str, outcome: str, now: datetime, **more: str) -> dict[str, Any]:
        ended = {"outcome": outcome, "completeTime": now, **more}
        return {
            "partialText": REMOVE,
            "lease": REMOVE,
            **({"unpublished": True} if self.publish else {}),
            "status": self._status(state, now) | ended,
        }

    def _status(self, state: str, now: datetime) -> dict[str, Any]:
        status = {
            "state": state,
            "attempt": self.attempt,
            "eventId": self.upload.event_id,
            "startTime": self.started_at,
            "updateTime": now,
        }
        if self.refusals:
            status["refusals"] = self.refusals
            status["refusedSince"] = self.refused_since or now
        if self.first_text_at is not None:
            status["firstTextTime"] = self.first_text_at
        return status


def _usage_field(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    counts = {
        "promptTokens": usage.prompt_tokens,
        "completionTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
    }
    # Only what is not the ordinary price is worth a field in each record.
    ordinary = usage.traffic_type in {None, "ON_DEMAND"}
    return {"usage": counts if ordinary else counts | {"trafficType": usage.traffic_type}}


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _integer(value: object) -> int:
    return value if type(value) is int else 0


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
