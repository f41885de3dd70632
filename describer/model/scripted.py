"""A model that plays scripts, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from describer.images.image import Image
from describer.model.prompt import Instructions
from describer.model.stream import Chunk


@dataclass(slots=True)
class Script:
    """What a scripted model does once: steps in order, each a chunk, a pause or an error."""

    steps: Iterable[Chunk | float | Exception] = ()
    refusal: Exception | None = None


@dataclass(slots=True)
class ScriptedModel:
    """See `describer.model.port.Model`. Plays scripts in order, the last one over and over.

    Attributes:
        begun: requests that were accepted, and so paid for, as (model, image's address or size, or
            `an answer` that was to be put into form).
        lanes: of each request, refused ones too, whether the cheaper lane was asked for.
        hung_up: how many were left before their end.
    """

    scripts: list[Script]
    begun: list[tuple[str, str]] = field(default_factory=list)
    lanes: list[bool] = field(default_factory=list)
    hung_up: int = 0

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self.lanes.append(instructions.economy)
        await asyncio.sleep(0)
        if script.refusal is not None:
            raise script.refusal
        if image is None:
            self.begun.append((instructions.model, "an answer"))
        else:
            self.begun.append((instructions.model, image.uri or f"{image.size} bytes"))
            image.sent()
        ended = False

        async def chunks() -> AsyncIterator[Chunk]:
            nonlocal ended
            for step in script.steps:
                if isinstance(step, Exception):
                    ended = True
                    raise step
                if isinstance(step, Chunk):
                    yield step
                else:
                    await asyncio.sleep(step)
            ended = True

        try:
            yield chunks()
        finally:
            self.hung_up += not ended

    async def close(self) -> None:
        """See `Model.close`."""


def text_script(text: str, *, chunk_seconds: float = 0.0, size: int = 12) -> Script:
    """Make the script of a text that comes in pieces and ends well."""
    steps: list[Chunk | float | Exception] = []
    for at in range(0, len(text), size):
        steps += [chunk_seconds, Chunk(text[at : at + size])]
    return Script([*steps, Chunk("", finish_reason="stop")])
