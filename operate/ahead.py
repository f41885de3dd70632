"""Several listings read at once, and given one after the other, in their order."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Full, Queue
from typing import TypeAlias, TypeVar

T = TypeVar("T")

_AT_ONCE = 8
# Of each listing that is read ahead; with their length, it bounds what is held.
_PAGES_AHEAD = 2
_POLL_SECONDS = 0.2

# A page, the end of the listing, or what ended it.
_Step: TypeAlias = "Sequence[T] | Exception | None"


def in_order(listings: Iterable[Callable[[], Iterable[Sequence[T]]]]) -> Iterator[T]:
    """Give the items of all listings, those of the first one first.

    The next few are read meanwhile, each as far ahead as some pages.

    Args:
        listings: each gives its pages, in a thread.
    """
    stopped = threading.Event()

    def read(listing: Callable[[], Iterable[Sequence[T]]], into: Queue[_Step[T]]) -> None:
        try:
            for page in listing():
                if not _put(into, page, stopped):
                    return
            _put(into, None, stopped)
        except Exception as exc:  # noqa: BLE001 - raised where the pages are wanted
            _put(into, exc, stopped)

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))
        stack.callback(stopped.set)
        queues: list[Queue[_Step[T]]] = []
        for listing in listings:
            queues.append(Queue(_PAGES_AHEAD))
            # In this order, so that the one that is waited for always has a thread.
            pool.submit(read, listing, queues[-1])
        for queue in queues:
            while (step := queue.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                yield from step


def _put(into: Queue[_Step[T]], step: _Step[T], stopped: threading.Event) -> bool:
    while not stopped.is_set():
        with contextlib.suppress(Full):
            into.put(step, timeout=_POLL_SECONDS)
            return True
    return False
