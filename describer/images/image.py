"""The value that goes from the bucket to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from describer.images.room import Buffer


@dataclass(frozen=True, slots=True)
class Image:
    """What is sent for the picture: its address, or its bytes.

    Attributes:
        content_type: the object's, as found in its first bytes.
        size: the object's, in bytes; None if neither event nor bytes told.
        uri: `gs://bucket/name`; None if the bytes are sent.
        content: the bytes; None if the address is sent.
        converted: what was done to them before, in words; None if they go as they are.
        metadata: what was asked of the image's own metadata and found, by name.
        sent: to be called when `content` will not be asked for again.
    """

    content_type: str
    size: int | None
    uri: str | None = None
    content: Buffer | None = None
    sent: Callable[[], None] = lambda: None
    converted: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def sent_type(self) -> str:
        """The type of the bytes that are sent."""
        return "image/jpeg" if self.converted else self.content_type
