"""What is published, held against the schema that docs/ give consumers."""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from local.servers.function import ROOT

_SCHEMA = json.loads((ROOT / "docs" / "events.schema.json").read_text(encoding="utf-8"))
SCHEMA = Draft202012Validator(_SCHEMA)


def event_of(attributes: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """Read a message in binary mode as an event in JSON format, and check it.

    Source: https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md
    """
    event: dict[str, Any] = {
        name.removeprefix("ce-"): value
        for name, value in attributes.items()
        if name.startswith("ce-")
    }
    event["datacontenttype"] = attributes["content-type"]
    event["data"] = json.loads(content)
    SCHEMA.validate(event)
    return event
