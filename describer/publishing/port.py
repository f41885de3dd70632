"""The publisher port."""

from __future__ import annotations

from typing import Protocol

from describer.publishing.message import Message


class Publisher(Protocol):
    """Pub/Sub, as far as it is needed here."""

    async def publish(self, message: Message) -> None:
        """Publish one message; returns when it is kept.

        Raises:
            PublishError: it may not be; or it is, and the answer was lost.
        """

    async def close(self) -> None:
        """Close the connections."""
