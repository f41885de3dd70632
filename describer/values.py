"""Values that several rooms share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model counted them. What is paid for as output is total - prompt.

    Thinking is counted in the total only, not in the completion.

    Attributes:
        traffic_type: how Vertex AI served it, such as `ON_DEMAND`, which decides the price; None
            if the model did not say, or of two calls that were served unlike.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    traffic_type: str | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
            self.traffic_type if self.traffic_type == other.traffic_type else None,
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """One generation of one object, and the delivery that told of it.

    Attributes:
        content_type: what the uploader declared, folded to lower case; "" if nothing.
        size: bytes; None if the event did not say.
        event_time: when the object was finalized; None if the event did not say.
        content_encoding: `gzip` where the object is stored packed; "" if the event did not say.
        md5_hash: MD5 of the stored bytes in base64; "" if the event did not say, as it does not for
            what was composed of parts.
        metadata: the object's custom metadata, as its uploader wrote them.
        trace: W3C trace id, 32 hex digits, where the delivery carries one.
        economy: whether who handed it in would rather wait than pay the whole price.
    """

    bucket: str
    name: str
    generation: int
    content_type: str
    size: int | None
    event_id: str
    event_time: datetime | None = None
    content_encoding: str = ""
    md5_hash: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    trace: str | None = None
    economy: bool = False

    @property
    def uri(self) -> str:
        """`gs://bucket/name`, as it is: names are not percent-encoded in it."""
        return f"gs://{self.bucket}/{self.name}"

    def age_seconds(self, now: datetime) -> float:
        """Seconds since the object was finalized; 0 if unknown or in the future."""
        if self.event_time is None:
            return 0.0
        return max(0.0, (now - self.event_time).total_seconds())
