"""Blocking calls off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call in a thread of its own, and give its result.

    Unlike those of an executor, the thread is none that the interpreter waits for at its end: a
    call that hangs must not hold up the process's exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, exc: BaseException | None) -> None:
        if future.done():
            return
        if exc is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(exc)

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001 - is raised again in the caller's task
            error = exc
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            pass  # The loop has ended, and with it whoever waited.
        finally:
            # An error holds its traceback, which holds this frame: no cycle is left behind.
            result = error = None

    threading.Thread(target=run, name=getattr(call, "__name__", None), daemon=True).start()
    return await future
