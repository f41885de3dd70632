"""The day's brake: at most so many calls of the model a day, counted over all instances.

One document a day holds the count. An instance adds all that wait in one write, so that a burst
costs one write at a time, however large it is; and since the addition gives the sum, the limit is
never exceeded. What is counted and not used, by an instance that dies, is lost to that day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from describer.errors import OverLimitError
from describer.records.store import Store


class Brake:
    """Lets calls of the model pass until the day's limit (UTC) is reached."""

    def __init__(self, store: Store, limit: int | None, now: Callable[[], datetime]) -> None:
        """Keep how to count.

        Args:
            limit: calls a day; None: no limit, and nothing is counted.
            now: the clock that tells which day it is.
        """
        self._store = store
        self._limit = limit
        self._now = now
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._day = ""
        self._left = 0
        self._over = False

    async def take(self) -> str:
        """Take one call of today, and give the day.

        Raises:
            OverLimitError: there is none left.
            StoreError: the count gave no clear answer.
        """
        if self._limit is None:
            return ""
        self._waiting += 1
        try:
            async with self._turn:
                await self._count(self._limit)
                if not self._left:
                    raise OverLimitError(
                        f"DAILY_LIMIT of {self._limit} calls of the model was reached on "
                        f"{self._day} (UTC); when there is room again: "
                        "describer backfill --outcome over_limit"
                    )
                self._left -= 1
                return self._day
        finally:
            self._waiting -= 1

    def give_back(self, day: str) -> None:
        """Give a call of this day back that the model refused: the next one here takes it."""
        # Another day's count knows nothing of it.
        if self._limit is not None and day == self._day:
            self._left += 1

    async def _count(self, limit: int) -> None:
        """Have calls left for all that wait here, as far as the day has them."""
        day = self._now().date().isoformat()
        if day != self._day:
            self._day, self._left, self._over = day, 0, False
        if self._left or self._over:
            return
        wanted = self._waiting
        count = await self._store.add(day, wanted)
        self._left = min(wanted, max(0, limit - (count - wanted)))
        self._over = count >= limit
