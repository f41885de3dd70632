"""The value that goes from the bucket to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        sent: to be called when `content` will not be asked for again.
    """

    content_type: str
    size: int | None
    uri: str | None = None
    content: Buffer | None = None
    sent: Callable[[], None] = lambda: None
    converted: str | None = None

    @property
    def sent_type(self) -> str:
        """The type of the bytes that are sent."""
        return "image/jpeg" if self.converted else self.content_type
