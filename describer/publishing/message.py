"""The CloudEvent of a record, as a message of Pub/Sub in binary mode. Pure.

Its data is the record as it stands, less what is for the work on it; docs/events.schema.json has
its shape.

Source: https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from describer.records.record import ERRORED, OBJECT_FIELDS, PUBLIC_FIELDS

COMPLETED_EVENT = "describer.description.v1.completed"
ERRORED_EVENT = "describer.description.v1.errored"
DELETED_EVENT = "describer.description.v1.deleted"


@dataclass(frozen=True, slots=True)
class Message:
    """What is published.

    Attributes:
        attributes: those of the event but its source, each as `ce-` and its name.
        content: its data, JSON in UTF-8.
    """

    attributes: Mapping[str, str]
    content: bytes

    @property
    def id(self) -> str:
        """The event's: the same however often it is published."""
        return self.attributes["ce-id"]


def of_finished(record_id: str, fields: Mapping[str, Any]) -> Message:
    """Make the event of a record that has its outcome."""
    status = fields["status"]
    event_type = ERRORED_EVENT if status["state"] == ERRORED else COMPLETED_EVENT
    return _message(record_id, fields, event_type, PUBLIC_FIELDS, status.get("completeTime"))


def of_deleted(record_id: str, fields: Mapping[str, Any]) -> Message:
    """Make the event of a record that goes with its object; nothing of its text is told again."""
    return _message(record_id, fields, DELETED_EVENT, OBJECT_FIELDS, None)


def _message(
    record_id: str,
    fields: Mapping[str, Any],
    event_type: str,
    names: tuple[str, ...],
    time: object,
) -> Message:
    told = time.astimezone(UTC).isoformat() if isinstance(time, datetime) else ""
    word = told or event_type.rpartition(".")[2]
    attributes = {
        "ce-specversion": "1.0",
        "ce-id": f"{record_id}-{fields.get('generation', 0)}-{word}",
        "ce-type": event_type,
        "ce-subject": record_id,
        "content-type": "application/json",
        **({"ce-time": told} if told else {}),
    }
    data = {name: fields[name] for name in names if name in fields}
    return Message(attributes, json.dumps(data, default=_plain).encode())


def _plain(value: object) -> str:
    """Give a time as RFC 3339; what only others write, in any form."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
