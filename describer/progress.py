"""The text reaches the record while it grows, and the lease lives as long as the work.

claim ─┬─ flush_seconds ─┬─ flush_seconds ─┬─ ...                        ─┬─ outcome
       │ text came       │ text came       │ no text: half a lease later  │
       └ (nothing)       └ partial         └ partial                      └ renewed
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from describer.claim import Claim
from describer.describe import Accumulator
from describer.errors import StoreError

T = TypeVar("T")

_LAST_WRITE_SECONDS = 2.0


class Progress:
    """Writes partial text, at most one write in `flush_seconds`, apart from the stream's reading.

    Reading never waits for a write, and a slow write delays only the next one.
    """

    def __init__(self, claim: Claim, *, flush_seconds: float, lease_seconds: float) -> None:
        self._claim = claim
        # A little over what is asked: a stream of n seconds is done then when its nth write would
        # come due, which would be out of date before anybody saw it.
        self._flush_seconds = flush_seconds * 1.1
        self._silence_seconds = lease_seconds / 2
        self._text: Accumulator | None = None
        self._came = asyncio.Event()
        self._stopped = asyncio.Event()

    def show(self, text: Accumulator) -> None:
        """Have the text written at the next occasion. Does not wait."""
        self._text = text
        self._came.set()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work while the record is kept up, and give its result.

        Raises:
            LeaseLostError: another writer has the record; the work was cancelled.
        """
        working = asyncio.ensure_future(work)
        keeping = asyncio.ensure_future(self._keep())
        try:
            await asyncio.wait([working, keeping], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                keeping.result()
            return await working
        finally:
            await self._stop(working, keeping)

    async def _stop(self, working: asyncio.Future[Any], keeping: asyncio.Future[Any]) -> None:
        """End both. A write under way gets some time: cut off, it costs a read to know its end."""
        self._stopped.set()
        self._came.set()
        working.cancel()
        await asyncio.wait([working, keeping], timeout=_LAST_WRITE_SECONDS)
        keeping.cancel()
        await asyncio.gather(working, keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """Write now and then until stopped; end early only with LeaseLostError."""
        loop = asyncio.get_running_loop()
        wrote_at, patience = loop.time(), self._silence_seconds
        while True:
            await _wait(self._came, wrote_at + patience)
            if self._came.is_set():
                await _wait(self._stopped, wrote_at + self._flush_seconds)
            if self._stopped.is_set():
                return
            self._came.clear()
            patience = self._silence_seconds
            text, self._text = self._text, None
            try:
                if text is None:
                    await self._claim.renew()
                else:
                    await self._claim.partial(text.text)
            except StoreError:
                # Nothing is lost yet: the lease stands a while, and the next write has all text.
                # It comes soon, since what is left of the lease may be less than half.
                patience = self._flush_seconds
                if text is not None:
                    self.show(text)
            wrote_at = loop.time()


async def _wait(event: asyncio.Event, until: float) -> None:
    """Wait for the event, but not past `until` on the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await event.wait()
