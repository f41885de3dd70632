"""The day's brake: never over the limit, few writes, nothing kept from what may pass."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from describer.delivery.brake import Brake
from describer.errors import OverLimitError, StoreError
from describer.records.memory import MemoryStore
from tests import virtual


class SlowStore(MemoryStore):
    """Takes a second for each addition, and counts them."""

    def __init__(self) -> None:
        super().__init__(virtual.now)
        self.additions = 0
        self.broken = False

    async def add(self, counter: str, by: int) -> int:
        """See `Store.add`."""
        await asyncio.sleep(1)
        self.additions += 1
        if self.broken:
            raise StoreError("no answer")
        return await super().add(counter, by)


async def passed(brake: Brake, calls: int) -> int:
    """Ask for so many calls at once; give how many may be made."""
    answers = await asyncio.gather(*(brake.take() for _ in range(calls)), return_exceptions=True)
    assert all(isinstance(answer, str | OverLimitError) for answer in answers)
    return sum(isinstance(answer, str) for answer in answers)


def run(scenario: Callable[[SlowStore], Awaitable[Any]]) -> Any:
    """Run a scenario in virtual time."""

    async def work() -> Any:
        return await scenario(SlowStore())

    return virtual.run(work())


@settings(deadline=None)
@given(
    limit=st.integers(1, 40),
    bursts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 15)), max_size=8),
)
def test_exactly_the_limit_passes_over_all_instances(
    limit: int, bursts: list[tuple[int, int]]
) -> None:
    """Whichever instance asks, at once or one after the other."""

    async def scenario(store: SlowStore) -> None:
        brakes = [Brake(store, limit, virtual.now) for _ in range(3)]
        together = [passed(brakes[instance], calls) for instance, calls in bursts]
        first = sum(await asyncio.gather(*together))
        asked = sum(calls for _, calls in bursts)
        assert first == min(limit, asked)
        assert await passed(brakes[0], limit) == limit - first

    run(scenario)


def test_a_burst_costs_few_writes() -> None:
    """The first call counts itself, the next one all that wait; over the limit nobody writes."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 150, virtual.now)
        assert await passed(brake, 200) == 150
        assert store.additions == 2
        assert await passed(brake, 200) == 0
        assert store.additions == 2

    run(scenario)


def test_the_next_day_begins_anew() -> None:
    """At midnight UTC."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 1, virtual.now)
        assert await passed(brake, 2) == 1
        await asyncio.sleep(24 * 3600)
        assert await passed(brake, 2) == 1

    run(scenario)


def test_a_call_that_was_refused_is_given_back() -> None:
    """The next one here takes it, also when the day has no more."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 1, virtual.now)
        brake.give_back(await brake.take())
        assert await passed(brake, 2) == 1

    run(scenario)


def test_a_call_of_yesterday_is_not_given_to_today() -> None:
    """Today's count knows nothing of it, and would be exceeded."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 2, virtual.now)
        yesterday = await brake.take()
        await asyncio.sleep(24 * 3600)
        assert await passed(brake, 1) == 1
        brake.give_back(yesterday)
        assert await passed(brake, 5) == 1

    run(scenario)


def test_without_a_limit_nothing_is_counted() -> None:
    """The usual case costs nothing."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, None, virtual.now)
        brake.give_back(await brake.take())
        assert await passed(brake, 50) == 50
        assert store.additions == 0

    run(scenario)


def test_a_count_without_an_answer_lets_nobody_pass() -> None:
    """It is tried again by whoever asks next."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 5, virtual.now)
        store.broken = True
        with pytest.raises(StoreError):
            await brake.take()
        store.broken = False
        assert await passed(brake, 6) == 5

    run(scenario)


def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    """What was counted for them passes the next ones."""

    async def scenario(store: SlowStore) -> None:
        brake = Brake(store, 3, virtual.now)
        first = asyncio.create_task(brake.take())
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(brake.take())
        await asyncio.sleep(0.1)
        waiting.cancel()
        await first
        assert await passed(brake, 5) == 2

    run(scenario)
