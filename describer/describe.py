"""Chunks become a `Description`. Only a finish reason proves that a text is whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from describer import retry
from describer.errors import (
    BlockedError,
    DescriberError,
    EmptyDescriptionError,
    StreamBrokenError,
    TransientError,
    Usage,
)
from describer.image import Image
from describer.model import Model
from describer.prompt import Instructions
from describer.stream import Chunk

# Over any sensible limit, and at four bytes each a quarter of what a Firestore document holds.
MAX_TEXT_CHARACTERS = 65_536
# Once the finish reason is there, usage follows at once or not at all.
AFTER_FINISH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Description:
    """A text that the model ended itself, or that its token limit ended.

    Attributes:
        finish_reason: `stop` or `length`.
        usage: None if the model did not say.
    """

    text: str
    finish_reason: str
    usage: Usage | None

    @property
    def outcome(self) -> str:
        """`described`, or `truncated` if the token limit cut the text."""
        return "described" if self.finish_reason == "stop" else "truncated"


class Accumulator:
    """Collects chunks. `text` may be asked for at any time; `finish` once, at the end."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self.finish_reason: str | None = None
        self.usage: Usage | None = None

    def add(self, chunk: Chunk) -> None:
        """Take one chunk.

        Raises:
            StreamBrokenError: more text than any output limit allows.
        """
        if chunk.text:
            self._parts.append(chunk.text)
            self._size += len(chunk.text)
            if self._size > MAX_TEXT_CHARACTERS:
                raise StreamBrokenError(f"over {MAX_TEXT_CHARACTERS} characters and no end")
        self.finish_reason = self.finish_reason or chunk.finish_reason
        self.usage = chunk.usage or self.usage

    @property
    def text(self) -> str:
        """The text so far, valid Unicode even where a delta ends between two surrogates."""
        self._parts = ["".join(self._parts)]
        return _joined_surrogates(self._parts[0]).strip()

    def finish(self) -> Description:
        """Judge what has come, after the last chunk.

        Raises:
            BlockedError: the safety filter ended the text.
            EmptyDescriptionError: a good end without text.
            StreamBrokenError: no finish reason, so the stream was cut.
        """
        if self.finish_reason is None:
            raise StreamBrokenError(
                f"the stream ended without a finish reason after {self._size} characters"
            )
        if self.finish_reason == "content_filter":
            raise BlockedError(
                "the safety filter ended the text",
                finish_reason=self.finish_reason,
                usage=self.usage,
            )
        text = self.text
        if not text:
            spent = f" after {self.usage.total_tokens} tokens" if self.usage else ""
            raise EmptyDescriptionError(
                f"the model ended with {self.finish_reason} and no text{spent}"
                + ("; raise MAX_OUTPUT_TOKENS" if self.finish_reason == "length" else ""),
                finish_reason=self.finish_reason,
                usage=self.usage,
            )
        return Description(text, self.finish_reason, self.usage)


def _joined_surrogates(text: str) -> str:
    """Join surrogate pairs that JSON escapes split; replace lone ones, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


async def describe(
    model: Model,
    instructions: Instructions,
    image: Image,
    *,
    on_text: Callable[[Accumulator], None] = lambda _: None,
    on_asked: Callable[[bool], None] = lambda _: None,
) -> Description:
    """Stream one description to its end.

    A refusal that cost nothing is tried once more here; a stream that has begun never is.

    Args:
        on_text: called after each chunk that brought text; must not block.
        on_asked: told whether the model may have begun: before each request that it may, after a
            refusal that it did not.

    Raises:
        PermanentError, TransientError: see errors.py.
    """
    async with contextlib.AsyncExitStack() as stack:
        chunks = await _begin(stack, model, instructions, image, on_asked)
        return await _accumulate(chunks, on_text)


async def _begin(
    stack: contextlib.AsyncExitStack,
    model: Model,
    instructions: Instructions,
    image: Image,
    on_asked: Callable[[bool], None],
) -> AsyncIterator[Chunk]:
    tries = 0
    while True:
        tries += 1
        on_asked(True)  # noqa: FBT003
        try:
            return await stack.enter_async_context(model.stream(instructions, image))
        except TransientError as exc:
            on_asked(exc.model_may_have_begun)
            delay = retry.delay_before_next_try(exc, tries)
            if delay is None:
                raise
            await asyncio.sleep(delay)


async def _accumulate(
    chunks: AsyncIterator[Chunk], on_text: Callable[[Accumulator], None]
) -> Description:
    gathered = Accumulator()
    async for chunk in chunks:
        gathered.add(chunk)
        if chunk.text:
            on_text(gathered)
        if gathered.finish_reason:
            break
    # What fails from here on cannot make the text less whole.
    with contextlib.suppress(TimeoutError, DescriberError):
        async with asyncio.timeout(AFTER_FINISH_SECONDS):
            async for chunk in chunks:
                gathered.add(chunk)
    return gathered.finish()
