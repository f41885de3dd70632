"""The text reaches the record while it grows, and the lease lives as long as the work.

claim ─┬─ flush_seconds ─┬─ flush_seconds ─┬─ ...                        ─┬─ outcome
       │ text came       │ text came       │ no text: half a lease later  │
       └ (nothing)       └ partial         └ partial                      └ renewed
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from describer.delivery.claim import Claim
from describer.errors import StoreError
from describer.model.description import Accumulator

T = TypeVar("T")

_LAST_WRITE_SECONDS = 2.0
# After a write that failed, whatever the flush interval: the lease may not last until the next.
_RETRY_SECONDS = 2.0


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
        self._writing = False
        self._failure: Exception | None = None

    def show(self, text: Accumulator) -> None:
        """Have the text written at the next occasion. Does not wait."""
        self._text = text
        self._came.set()

    async def during(self, work: Awaitable[T]) -> T:
        """Do the work while the record is kept up, and give its result.

        The work is done in the caller's own task: each task between the stream and the last write
        costs that write some turns of the event loop.

        Raises:
            LeaseLostError: another writer has the record; the work was cancelled.
        """
        worker = cast("asyncio.Task[Any]", asyncio.current_task())
        keeping = asyncio.create_task(self._keep(worker))
        try:
            return await work
        except asyncio.CancelledError:
            if self._failure is None:
                raise
            worker.uncancel()
            raise self._failure from None
        finally:
            await self._stop(keeping)

    async def _stop(self, keeping: asyncio.Task[None]) -> None:
        """End the writing. A write under way gets some time: cut off, it costs a read to know."""
        self._stopped.set()
        try:
            if self._writing:
                await asyncio.wait([keeping], timeout=_LAST_WRITE_SECONDS)
        finally:
            keeping.cancel()

    async def _keep(self, worker: asyncio.Task[Any]) -> None:
        """Write now and then until cancelled; what prevents it ends the work as well."""
        loop = asyncio.get_running_loop()
        wrote_at, patience = loop.time(), self._silence_seconds
        interval = min(self._flush_seconds, self._silence_seconds)
        least = interval
        while not self._stopped.is_set():
            await _wait(self._came, wrote_at + patience)
            if self._came.is_set():
                await asyncio.sleep(wrote_at + least - loop.time())
            self._came.clear()
            patience, least = self._silence_seconds, interval
            text, self._text = self._text, None
            self._writing = True
            try:
                if text is None:
                    await self._claim.renew()
                else:
                    await self._claim.partial(text.text)
            except StoreError:
                # Nothing is lost yet: the lease stands a while, and the next write has all text.
                # It comes soon, since what is left of the lease may be less than half.
                patience = least = min(interval, _RETRY_SECONDS)
                if text is not None:
                    self.show(text)
            except Exception as exc:  # noqa: BLE001 - is raised again where the text is read
                # A lost lease. After the stream's end the last write will find it, too.
                if not self._stopped.is_set():
                    self._failure = exc
                    worker.cancel()
                return
            finally:
                self._writing = False
            wrote_at = loop.time()


async def _wait(event: asyncio.Event, until: float) -> None:
    """Wait for the event, but not past `until` on the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await event.wait()
