"""Asks models as the function does, keeps every answer in a file, and minds the money."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

from describer.build import build_model
from describer.errors import (
    DescriberError,
    ModelTimeoutError,
    PermanentError,
    TransientError,
)
from describer.images.image import Image
from describer.images.loading import Images
from describer.model.description import Accumulator, Description, describe
from describer.model.port import Model
from describer.model.prompt import Instructions
from describer.model.scripted import Script, ScriptedModel
from describer.model.stream import Chunk
from describer.settings import Settings
from describer.values import Upload, Usage
from operate.address import is_loopback
from operate.cost import Prices
from operate.quality.checks import Answer
from operate.quality.files import LocalFiles
from operate.quality.pictures import Picture

# What a picture may take in, where a plan is made: more than most models count at 640 pixels.
_PICTURE_TOKENS = 1600
# A word is more than one token at times; but a token has seldom under two letters.
_LETTERS_A_TOKEN = 2
FAILED = "failed"


class BudgetError(DescriberError):
    """A call would cost more than may be spent."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to one model about one picture; its key tells whether it was asked before.

    Attributes:
        repeat: which of several equal ones, from 0.
    """

    server: str
    instructions: Instructions
    picture: Picture
    repeat: int = 0

    @property
    def key(self) -> str:
        """64 hex digits over all that the answer may depend on."""
        asked = self.instructions
        parts = [
            *(self.server, asked.model, asked.system, asked.request, self.picture.digest),
            *(asked.max_output_tokens, asked.reasoning_effort, asked.image_detail, self.repeat),
            *asked.embedded,
            json.dumps(asked.wanted.schema(), sort_keys=True),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def most_tokens(self) -> tuple[int, int]:
        """What it may take in and give out at most, by what a picture usually takes.

        Of an object that came otherwise, the function asks once more, with the answer in hand.
        """
        asked = self.instructions
        words = (len(asked.system) + len(asked.request)) // _LETTERS_A_TOKEN
        if not asked.wanted.structured:
            return _PICTURE_TOKENS + words, asked.max_output_tokens
        again = words + asked.max_output_tokens
        return _PICTURE_TOKENS + words + again, 2 * asked.max_output_tokens


class Budget:
    """What may be spent, what was, and what is under way."""

    def __init__(self, most: float) -> None:
        """Begin with nothing spent.

        Args:
            most: US dollars.
        """
        self.most = most
        self.spent = 0.0
        self._reserved = 0.0

    @contextlib.contextmanager
    def reserve(self, most: float) -> Iterator[Callable[[float | None], None]]:
        """Keep the most that a call may cost, until it is known what it did.

        Yields:
            To be called with the cost; what is not known counts as the most.

        Raises:
            BudgetError: there is not as much left.
        """
        if self.spent + self._reserved + most > self.most + 1e-9:
            raise BudgetError(
                f"US$ {self.spent:.4f} of {self.most:.2f} are spent, and the next call may cost "
                f"{most:.4f}; what was answered is kept: run it again with a higher --max-cost"
            )
        self._reserved += most
        cost: float | None = most

        def settle(known: float | None) -> None:
            nonlocal cost
            cost = most if known is None else known

        try:
            yield settle
        finally:
            self._reserved -= most
            self.spent += cost or 0.0


class Kept:
    """Answers in a file, one a line, as they come: a run that was stopped goes on from there."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut is passed by."""
        self._path = path
        self._file: IO[str] | None = None
        self._answers: dict[str, Answer] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    row = json.loads(line)
                    key, usage = row.pop("key"), row["usage"]
                    row["usage"] = None if usage is None else tuple(usage)
                    self._answers[key] = Answer(**row)

    def get(self, call: Call) -> Answer | None:
        """Give the answer to a call that was made before."""
        return self._answers.get(call.key)

    def add(self, call: Call, answer: Answer) -> None:
        """Keep an answer; one that failed for now is asked for again the next time."""
        self._answers[call.key] = answer
        if answer.outcome == FAILED:
            return
        if self._file is None:
            # A line that was cut by a crash must not take the next one with it.
            torn = self._path.exists() and self._path.read_bytes()[-1:] not in {b"\n", b""}
            self._file = self._path.open("a", encoding="utf-8")
            self._file.write("\n" * torn)
        self._file.write(json.dumps({"key": call.key, **asdict(answer)}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


class Server:
    """One model's server, reached with the function's own code, and its prices."""

    def __init__(self, settings: Settings, prices: Prices, *, model: Model | None = None) -> None:
        """Build the client.

        Args:
            settings: the address, limits and time-outs; images go as bytes.
            model: in place of the one that the settings name.
        """
        self.settings = settings
        self.address = settings.openai_base_url or f"vertex/{settings.model_location}"
        self.files: dict[str, Path] = {}
        self._prices = prices
        self._images = Images(settings, LocalFiles(self.files))
        self._model = model
        self._building = asyncio.Lock()

    def cost(self, model: str, tokens_in: float, tokens_out: float) -> float | None:
        """Give US dollars; nothing on this machine, None where there is no price."""
        url = self.settings.openai_base_url
        known = self._prices.cost(model, tokens_in, tokens_out)
        return 0.0 if known is None and url is not None and is_loopback(url) else known

    async def ask(self, call: Call) -> Answer:
        """Describe one picture as the function would; failures are answers, too."""
        async with self._building:
            if self._model is None:
                self._model = await asyncio.to_thread(build_model, self.settings)
        heard = _Heard(self._model)
        picture, begun = call.picture, time.monotonic()
        first: float | None = None

        def on_text(_: Accumulator) -> None:
            nonlocal first
            first = time.monotonic() - begun if first is None else first

        self.files[picture.file] = picture.path
        upload = Upload("eval", picture.file, 1, "", picture.path.stat().st_size, "eval")

        async def described() -> Description:
            self._images.check(upload)
            async with self._images.room_for(upload) as share:
                image = await self._images.load(upload, share, call.instructions.embedded)
                instructions = call.instructions.with_embedded(image.metadata)
                return await self._in_time(heard, instructions, image, on_text)

        answer = await _answer_of(described(), heard)
        return replace(
            answer,
            first_seconds=None if first is None else round(first, 3),
            seconds=round(time.monotonic() - begun, 3),
        )

    async def _in_time(
        self,
        model: Model,
        instructions: Instructions,
        image: Image,
        on_text: Callable[[Accumulator], None],
    ) -> Description:
        limit = self.settings.stream_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await describe(model, instructions, image, on_text=on_text)
        except TimeoutError as exc:
            raise ModelTimeoutError(f"not done within STREAM_TIMEOUT_SECONDS of {limit:g}") from exc

    async def close(self) -> None:
        """Close connections and the converter."""
        self._images.close()
        if self._model is not None:
            await self._model.close()


class Asks(Protocol):
    """What asks, or only counts what it would ask."""

    async def ask(self, server: Server, call: Call) -> Answer:
        """Give the answer."""


class Planner:
    """Counts what a run would ask, and what that costs if every answer is as long as it may be.

    Attributes:
        most: US dollars, of those calls whose price is known.
        unpriced: models of which it is not.
    """

    def __init__(self, kept: Kept) -> None:
        """Begin at nothing."""
        self._kept = kept
        self._seen: set[str] = set()
        self.calls = self.already = 0
        self.most = 0.0
        self.unpriced: set[str] = set()

    async def ask(self, server: Server, call: Call) -> Answer:
        """Count, and answer with what was kept, else with as much text as is usual."""
        answer = self._kept.get(call)
        if call.key in self._seen:
            return answer or _usual(call)
        self._seen.add(call.key)
        if answer is not None and answer.outcome != FAILED:
            self.already += 1
            return answer
        self.calls += 1
        model = call.instructions.model
        cost = server.cost(model, *call.most_tokens)
        if cost is None:
            self.unpriced.add(model)
        self.most += cost or 0.0
        return _usual(call)


def _usual(call: Call) -> Answer:
    """Give an answer as long as is usual: a description, or the claims in one, like no other's."""
    lines = (f"Claim {number} says {call.key[:12]} of the picture." for number in range(1, 26))
    text = "\n".join(lines)
    return Answer("described", text, text)


@dataclass
class Asker:
    """Asks, unless that was asked before, so many at once, and within the budget.

    Attributes:
        on_done: called once for each call that is made.
        failures: what the calls said that failed.
    """

    kept: Kept
    budget: Budget
    at_once: int = 4
    on_done: Callable[[], None] = lambda: None
    _free: asyncio.Semaphore = field(init=False, repr=False)
    _under_way: dict[str, asyncio.Lock] = field(default_factory=dict, repr=False)
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.at_once)

    async def ask(self, server: Server, call: Call) -> Answer:
        """Give the answer.

        Raises:
            BudgetError: it may cost more than is left.
        """
        # Equal questions, such as for one reference's claims, are asked once.
        async with self._under_way.setdefault(call.key, asyncio.Lock()):
            answer = self.kept.get(call)
            if answer is not None and (answer.outcome != FAILED or call.key in self.failures):
                return answer
            async with self._free:
                model = call.instructions.model
                most = server.cost(model, *call.most_tokens) or 0.0
                with self.budget.reserve(most) as settle:
                    answer = await server.ask(call)
                    settle(cost_of(server, model, answer))
            self.kept.add(call, answer)
            if answer.outcome == FAILED:
                self.failures[call.key] = answer.message
        self.on_done()
        return answer


def cost_of(server: Server, model: str, answer: Answer) -> float | None:
    """Give what an answer cost, in US dollars; None where tokens or price are not known."""
    return None if answer.usage is None else server.cost(model, *answer.usage)


async def played(instructions: Instructions, row: Mapping[str, Any]) -> Answer:
    """Put a text that is there already through the code that reads a model's answer.

    Args:
        row: `answer`, and perhaps `finishReason`.
    """
    chunk = Chunk(str(row["answer"]), str(row.get("finishReason", "stop")))
    heard = _Heard(ScriptedModel([Script([chunk])]))
    nothing = Image("image/png", None, uri="gs://eval/nothing")
    return await _answer_of(describe(heard, instructions, nothing), heard)


async def _answer_of(work: Awaitable[Description], heard: _Heard) -> Answer:
    """Make an answer of what comes of a description; errors are answers, too."""
    try:
        found = await work
    except PermanentError as exc:
        usage = _tokens(exc.usage)
        return Answer(exc.outcome, heard.raw, usage=usage, message=str(exc))
    except (TransientError, OSError) as exc:
        return Answer(FAILED, heard.raw, message=str(exc))
    usage = _tokens(found.usage)
    return Answer(found.outcome, heard.raw, found.text, dict(found.fields), usage)


def _tokens(usage: Usage | None) -> tuple[int, int] | None:
    """Give what is paid for in and out: thinking is counted in the total only."""
    if usage is None:
        return None
    return usage.prompt_tokens, usage.total_tokens - usage.prompt_tokens


class _Heard:
    """A model of which all that it writes is kept besides."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.raw = ""

    @asynccontextmanager
    async def stream(
        self, instructions: Instructions, image: Image | None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """See `Model.stream`."""
        async with self._model.stream(instructions, image) as chunks:

            async def heard() -> AsyncIterator[Chunk]:
                async for chunk in chunks:
                    # What is asked without the picture is asked to mend the first answer's form.
                    self.raw += chunk.text if image is not None else ""
                    yield chunk

            yield heard()

    async def close(self) -> None:
        """See `Model.close`."""
