"""The model port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from describer.images.image import Image
from describer.model.prompt import Instructions
from describer.model.stream import Chunk


class Model(Protocol):
    """A model that streams its answer."""

    def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Ask for a description; without an image, for what the instructions' own answer says.

        Entering means that the model has begun (and costs), and that the image's bytes are given
        back as soon as they are sent; leaving early hangs up.

        Raises:
            TransientError, PermanentError: on entering and while iterating.
        """

    async def close(self) -> None:
        """Close the connections; nothing is asked afterwards."""
