"""Chunks become a `Description`. Only a finish reason proves that a text is whole.

Servers send it with every chunk, or before the last text, so that it ends nothing by itself: the
end of the body does, `[DONE]`, or a silence after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from describer.errors import (
    BlockedError,
    EmptyDescriptionError,
    ModelTimeoutError,
    PermanentError,
    StreamBrokenError,
    TransientError,
)
from describer.images.image import Image
from describer.model import retry
from describer.model.outputs import Outputs, Wanted, clean, completed, lacking, read, visible
from describer.model.port import Model
from describer.model.prompt import Instructions
from describer.model.refusal import is_refusal, may_become_refusal
from describer.model.stream import Chunk
from describer.model.thinking import Thinking, without_unopened
from describer.values import Usage

# Over any sensible limit, and at four bytes each a quarter of what a Firestore document holds.
MAX_TEXT_CHARACTERS = 65_536
# After a finish reason that is to be believed, usage follows soon or not at all.
QUIET_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Description:
    """A text that the model ended itself, or that its token limit ended.

    Attributes:
        finish_reason: `stop` or `length`.
        usage: None if the model did not say.
        fields: what was asked for besides, by its name in the record; see outputs.py.
        repaired: whether a second call brought what the first answer lacked; None: it was whole.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    repaired: bool | None = None

    @property
    def outcome(self) -> str:
        """`described`, or `truncated` if the token limit cut the text."""
        return "described" if self.finish_reason == "stop" else "truncated"


class Accumulator:
    """Collects chunks. `text` may be asked for at any time; `finish` once, at the end.

    Attributes:
        finish_reason: the last one; but once the filter has spoken it stays with that, and after
            `length` only more text makes it another, since gateways end each stream with `stop`.
        full: no more text fits the record, which counts as the limit of the text's length.
        resting: after a finish reason came no more text, so that silence would be the end.
        closed: nothing more comes, so that the finish reason there is, is the last one.
        repair: what answers a second call, made for what this one lacks.
        repair_failure: why that brought nothing.
    """

    def __init__(self, wanted: Wanted | None = None) -> None:
        """Begin empty.

        Args:
            wanted: what the answer should hold; None: a description and no more.
        """
        self._wanted = wanted or Wanted()
        self._parts: list[str] = []
        self._thinking = Thinking()
        self._size = 0
        self._has_text = False
        self._began_without_reason = False
        self._contradicted = False
        self._shown = False
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.full = False
        self.resting = False
        self.closed = False
        self.repair: Accumulator | None = None
        self.repair_failure: Exception | None = None

    def add(self, chunk: Chunk) -> None:
        """Take one chunk."""
        if chunk.text:
            self._add_text(chunk.text, ended=chunk.finish_reason is not None)
        if chunk.finish_reason and not self._stays_with(chunk):
            self.finish_reason = chunk.finish_reason
        if chunk.finish_reason:
            self.resting = self._has_text or self.finish_reason == "content_filter"
        self.usage = chunk.usage or self.usage

    def _stays_with(self, chunk: Chunk) -> bool:
        if self.finish_reason == "length" and chunk.finish_reason == "stop":
            return not chunk.text.strip() and self.resting
        return self.finish_reason == "content_filter"

    def _add_text(self, text: str, *, ended: bool) -> None:
        spoken = not text.isspace()
        text = self._thinking.visible(text)[: MAX_TEXT_CHARACTERS + 1 - self._size]
        self._parts.append(text)
        self._size += len(text)
        self._has_text |= bool(text.strip())
        if spoken:
            self._began_without_reason |= not ended and self.finish_reason is None
            self._contradicted |= self.finish_reason is not None
            self.resting = False
        if self._size > MAX_TEXT_CHARACTERS:
            self.full = True
            if self.finish_reason != "content_filter":
                self.finish_reason = "length"

    @property
    def maybe_ended(self) -> bool:
        """Whether a finish reason has come and nothing yet speaks against it."""
        return self.closed or (self.resting and not self._contradicted)

    @property
    def ended(self) -> bool:
        """Whether the finish reason is to be believed: not every chunk of the stream has one."""
        if self.closed:
            return self.finish_reason is not None
        return self.maybe_ended and (
            self._began_without_reason or self.finish_reason == "content_filter"
        )

    @property
    def showable(self) -> bool:
        """Whether there is text that may be seen before the end: nothing that may be a refusal."""
        if not self._shown and self._has_text:
            self._shown = not may_become_refusal(self.text)
        return self._shown

    @property
    def text(self) -> str:
        """The text so far: valid Unicode even where a delta ends between two surrogates.

        Of control characters only newline and tab are left; every line end is a newline. What
        the model thought aloud is left out, and of a JSON object all but the description.
        """
        return visible(self.answer) if self._wanted.structured else self.answer

    @property
    def answer(self) -> str:
        """All that the model has written so far, but for what it thought."""
        self._parts = ["".join(self._parts)]
        text = self._parts[0][:MAX_TEXT_CHARACTERS]
        if "</think>" in text:
            text = without_unopened(text)
        return clean(text)

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is missing in an answer that ended well, and may be had from its words.

        Nothing where there are no words, and nothing of a refusal.
        """
        if not (self.closed and self.finish_reason == "stop" and self._wanted.structured):
            return ()
        self._parts.append(self._thinking.rest())
        refuses = is_refusal(read(self.answer, self._wanted, cut=False).description)
        return () if refuses or not self.answer else lacking(self.answer, self._wanted)

    def finish(self) -> Description:
        """Judge what has come, after the last chunk.

        Raises:
            BlockedError: the safety filter ended the text, or it is a refusal in prose.
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
        usage = self._usage_in_all()
        self._parts.append(self._thinking.rest())
        found = Outputs(self.text)
        repaired = None
        if self._wanted.structured:
            first = found = read(self.answer, self._wanted, cut=self.finish_reason == "length")
            if self.lacking:
                found = self._completed(first)
                repaired = found != first
        text = found.description
        if not text:
            spent = f" after {usage.total_tokens} tokens" if usage else ""
            raise EmptyDescriptionError(
                f"the model ended with {self.finish_reason} and no text{spent}"
                + ("; raise MAX_OUTPUT_TOKENS" if self.finish_reason == "length" else ""),
                finish_reason=self.finish_reason,
                usage=usage,
            )
        if is_refusal(text):
            raise BlockedError(
                f"the model refused: {text[:200]}",
                finish_reason=self.finish_reason,
                usage=usage,
            )
        return Description(text, self.finish_reason, usage, found.fields, repaired)

    def _completed(self, found: Outputs) -> Outputs:
        """Fill in what the second call's answer has, if that ended well."""
        if self.repair is None or not (self.repair.closed and self.repair.finish_reason == "stop"):
            return found
        other = read(self.repair.answer, self._wanted, cut=False, prose=False)
        return completed(found, other, self.lacking, self._wanted)

    def _usage_in_all(self) -> Usage | None:
        further = self.repair.usage if self.repair else None
        return self.usage + further if self.usage and further else self.usage or further


async def describe(
    model: Model,
    instructions: Instructions,
    image: Image,
    *,
    on_text: Callable[[Accumulator], None] = lambda _: None,
    on_begun: Callable[[Accumulator], None] = lambda _: None,
    on_asked: Callable[[bool], None] = lambda _: None,
    paying: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
) -> Description:
    """Stream one description to its end.

    A refusal that cost nothing is tried once more here; a stream that has begun never is. Where an
    object was asked for, and the answer ended well but lacks some of it, the model is given its own
    answer, once, to put it into form. Whatever becomes of that, the first answer counts.

    Args:
        on_text: called after each chunk that brought text, once it may be shown; must not block.
        on_begun: given what will gather the text, before any has come.
        on_asked: told whether the model may have begun: before each request that it may, after a
            refusal that it did not.
        paying: entered for the second call, which is paid for as the first; may refuse it.

    Raises:
        PermanentError, TransientError: see errors.py.
    """
    async with contextlib.AsyncExitStack() as stack:
        chunks = await _begin(stack, model, instructions, image, on_asked)
        gathered = Accumulator(instructions.wanted)
        on_begun(gathered)
        await _accumulate(chunks, gathered, on_text)
    if gathered.lacking:
        await _repair(model, instructions, gathered, paying)
    return gathered.finish()


async def _repair(
    model: Model,
    instructions: Instructions,
    gathered: Accumulator,
    paying: Callable[[], AbstractAsyncContextManager[None]],
) -> None:
    """Have the model put its own answer into form; a failure is noted, and no more."""
    asked = instructions.repairing(gathered.answer)
    try:
        async with paying(), model.stream(asked, None) as chunks:
            gathered.repair = Accumulator(instructions.wanted)
            await _accumulate(chunks, gathered.repair, lambda _: None)
    except (PermanentError, TransientError) as exc:
        gathered.repair_failure = exc


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
    chunks: AsyncIterator[Chunk], gathered: Accumulator, on_text: Callable[[Accumulator], None]
) -> None:
    try:
        while (chunk := await _next(chunks, gathered)) is not None:
            gathered.add(chunk)
            if gathered.full:
                break
            # What the filter has refused is not to be seen, and what was seen is removed soon.
            if chunk.text and gathered.showable and gathered.finish_reason != "content_filter":
                on_text(gathered)
    except ModelTimeoutError:
        if not gathered.resting:
            raise
    gathered.closed = True


async def _next(chunks: AsyncIterator[Chunk], gathered: Accumulator) -> Chunk | None:
    """Give the next chunk, or None at the end: the body's, or a silence after the text's."""
    if not gathered.ended:
        return await anext(chunks, None)
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            return await anext(chunks, None)
    except TimeoutError:
        return None
