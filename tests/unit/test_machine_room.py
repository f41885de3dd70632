"""A state machine for the memory gate: whatever images come, wait, leave and turn out to be."""

# ruff: noqa: D102 - the name of a rule says it

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from describer.errors import NoRoomError
from describer.images.image import Image
from describer.images.loading import INLINE_BYTES_AT_ONCE, Images
from describer.images.memory import MemoryBucket
from describer.images.room import Buffer, Share
from describer.settings import Settings
from describer.values import Upload
from tests.virtual import VirtualLoop

MB = 1_000_000
SETTINGS = Settings(openai_base_url="http://localhost:1/v1")
OTHER_INLINE_BYTES_LIMIT = SETTINGS.server.inline_limit_bytes
sizes = st.sampled_from([1, 2 * MB, 15 * MB, OTHER_INLINE_BYTES_LIMIT])


@dataclass(eq=False)
class One:
    """One image on its way: declared with a size, and unpacking to another."""

    declared: int
    content: int
    needs: int
    task: asyncio.Task[None] | None = None
    share: Share | None = None
    image: Image | None = None
    sent: bool = False
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    refused: bool = False


class Sized(MemoryBucket):
    """Objects of any size, of which only the pages that are looked at are written."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    async def read(self, upload: Upload, into: Buffer) -> bool:
        await asyncio.sleep(0)
        size = self.sizes[upload.name]
        into.write(b"\xff\xd8\xff"[: into.capacity])
        into.size = min(size, into.capacity)
        return size <= into.capacity

    async def read_range(self, upload: Upload, start: int, size: int) -> bytes:
        raise AssertionError("what goes inside the request is read whole")

    async def live_generation(self, upload: Upload) -> int | None:
        raise AssertionError("what is read pinned is not asked for again")


class RoomMachine(RuleBasedStateMachine):
    """Time is virtual; each rule ends when nothing more can happen by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.bucket = Sized()
        self.images = Images(SETTINGS, self.bucket)
        self.all: list[One] = []

    def settle(self, seconds: float = 0.0) -> None:
        async def work() -> None:
            await asyncio.sleep(seconds)
            for _ in range(50):
                await asyncio.sleep(0)

        self.runner.run(work())

    @rule(declared=sizes, content=sizes, packed=st.booleans())
    def an_image_comes(self, declared: int, content: int, packed: bool) -> None:
        """Larger than it says, if it is packed, or if its event does not know that it is."""
        needs = OTHER_INLINE_BYTES_LIMIT if packed or content > declared else declared
        one = One(declared, content, needs)
        name = f"{len(self.all)}.jpg"
        self.bucket.sizes[name] = content
        encoding = "gzip" if packed else ""
        upload = Upload("b", name, 1, "image/jpeg", declared, "e", content_encoding=encoding)

        async def work() -> None:
            try:
                async with self.images.room_for(upload) as share:
                    one.share = share
                    one.image = await self.images.load(upload, share)
                    await one.let_go.wait()
            except NoRoomError:
                one.refused = True

        async def start() -> None:
            one.task = asyncio.create_task(work())

        self.all.append(one)
        self.runner.run(start())
        self.settle()

    def some(self, place: int, *, held: bool) -> One | None:
        found = [o for o in self.all if o.task and not o.task.done() and bool(o.image) == held]
        return found[place % len(found)] if found else None

    @rule(place=st.integers(0, 9))
    def one_is_sent(self, place: int) -> None:
        """The model has begun: nothing of it is held any more."""
        one = self.some(place, held=True)
        if one and one.image:
            one.image.sent()
            one.sent = True
            self.settle()

    @rule(place=st.integers(0, 9))
    def one_ends(self, place: int) -> None:
        one = self.some(place, held=True)
        if one:
            one.let_go.set()
            self.settle()

    @rule(place=st.integers(0, 9), held=st.booleans())
    def one_is_cancelled(self, place: int, held: bool) -> None:
        one = self.some(place, held=held)
        if one and one.task:
            one.task.cancel()
            self.settle()

    @precondition(lambda self: self.all)
    @rule()
    def time_passes(self) -> None:
        """Who waited a minute by then is sent away."""
        self.settle(61)
        assert not any(o.image is None for o in self.all if o.task and not o.task.done())

    def held(self, one: One) -> int:
        return one.content if one.image and not one.sent else 0

    @invariant()
    def what_is_held_is_accounted_for_and_fits(self) -> None:
        here = [o for o in self.all if o.task and not o.task.done()]
        for one in here:
            if one.image and one.share:
                assert one.share.size == self.held(one)
        assert sum(map(self.held, here)) <= INLINE_BYTES_AT_ONCE

    @invariant()
    def nobody_waits_for_room_that_is_free(self) -> None:
        """One of those who wait, the first in line, does not fit; else all would be let in."""
        here = [o for o in self.all if o.task and not o.task.done()]
        waiting = [o for o in here if o.image is None]
        free = INLINE_BYTES_AT_ONCE - sum(map(self.held, here))
        assert not waiting or any(one.needs > free for one in waiting)

    def teardown(self) -> None:
        async def end() -> Any:
            tasks = [o.task for o in self.all if o.task]
            for task in tasks:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        self.runner.run(end())
        self.runner.close()


def test_the_gate_keeps_to_its_size_and_to_its_line() -> None:
    """Whatever comes, in whatever order."""
    case = RoomMachine.TestCase
    case.settings = limits(max_examples=150, stateful_step_count=40, deadline=None)
    case().runTest()
