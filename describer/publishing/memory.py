"""A topic in memory, for tests."""

from __future__ import annotations

import asyncio

from describer.errors import PublishError
from describer.publishing.message import Message


class MemoryPublisher:
    """See `describer.publishing.port.Publisher`.

    Attributes:
        messages: what is kept, in order.
        failing: whether it is out of order.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failing = False

    async def publish(self, message: Message) -> None:
        """See `Publisher.publish`."""
        await asyncio.sleep(0)
        if self.failing:
            raise PublishError("the topic is out of order")
        self.messages.append(message)

    async def close(self) -> None:
        """See `Publisher.close`."""
