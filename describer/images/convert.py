"""The converter as this process sees it: it starts the other one, hands over, waits, and ends it.

A decoder that hangs, crashes or asks for gigabytes does so in a process of its own, which has no
environment, no network and a limit on its memory; see `worker`. One image at a time: the others
wait, so that the memory of one is all that is ever needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from describer.errors import (
    ConverterError,
    ImageTooLargeError,
    NoRoomError,
    UnreadableImageError,
    UnsupportedImageError,
)
from describer.images.room import Buffer
from describer.threads import in_thread

# What conversion always may take; more is asked of the room. Every usual image fits.
RESERVED_BYTES = 96_000_000
# A hundred times what a large photograph takes.
_CONVERT_SECONDS = 30
_START_SECONDS = 20.0
# Longer is better spent outside, where another instance may take it.
_TURN_SECONDS = 60.0
# What the interpreter itself may need to find its libraries; never a key, never credentials.
_PASSED_ON = ("LD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of the converter.

    Attributes:
        content_type: as found in the bytes.
        max_side, max_bytes: of the result.
        max_pixels: of an image that is decoded at all.
        memory_bytes: what decoding may take.
    """

    content_type: str
    max_side: int
    max_pixels: int
    max_bytes: int
    memory_bytes: int = RESERVED_BYTES


class NeedsMemoryError(Exception):
    """Decoding takes more than the order allows.

    Attributes:
        needs: bytes.
    """

    def __init__(self, message: str, needs: int) -> None:
        super().__init__(message)
        self.needs = needs


class Converter:
    """One process, begun with the first image that needs it, and anew whenever it ended."""

    def __init__(self, *, seconds: int = _CONVERT_SECONDS) -> None:
        """Begin nothing yet.

        Args:
            seconds: what one image may take.
        """
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None

    async def convert(self, content: Buffer, into: Buffer, order: Order) -> str:
        """Make a JPEG of an image, off the event loop.

        Returns:
            What was done, in words.

        Raises:
            UnreadableImageError, ImageTooLargeError, UnsupportedImageError: never will work.
            NeedsMemoryError: more than the order allows.
            NoRoomError: it was not this image's turn in time.
            ConverterError: the process cannot be started.
        """
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await self._turn.acquire()
        except TimeoutError as exc:
            raise NoRoomError(
                f"not its turn to be converted within {_TURN_SECONDS:g} s; "
                "fewer images at once (`concurrency`) or more instances would help"
            ) from exc
        try:
            return await self._convert(content, into, order)
        finally:
            self._turn.release()

    async def _convert(self, content: Buffer, into: Buffer, order: Order) -> str:
        ended = threading.Event()
        work = asyncio.ensure_future(in_thread(self._ask, content, into, order, ended))
        try:
            answer = await asyncio.shield(work)
        except asyncio.CancelledError:
            # The buffers are closed when this returns: nobody may be at work on them then.
            ended.set()
            self.stop()
            await asyncio.wait([work])
            _ = work.cancelled() or work.exception()
            raise
        if "error" in answer:
            raise _error(answer)
        into.filled(int(answer["size"]))
        return "; ".join(["converted to JPEG", *map(str, answer["notes"])])

    @property
    def pid(self) -> int | None:
        """The process's number; None while there is none."""
        return None if self._worker is None else self._worker.pid

    def stop(self) -> None:
        """End the process, whatever it does."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def _ask(
        self, content: Buffer, into: Buffer, order: Order, ended: threading.Event
    ) -> dict[str, Any]:
        """Have the process do it; blocks."""
        # Only to draw an SVG's text are files opened, those of fonts.
        files = order.content_type == "image/svg+xml"
        worker = self._worker
        if worker is None or not worker.lives or worker.files != files:
            self.stop()
            self._worker = worker = _Worker(files=files)
        if ended.is_set():
            self.stop()
        job = {**asdict(order), "seconds": self._seconds}
        try:
            return worker.ask(job, [content.lend(), into.lend_for_writing()], self._seconds + 2)
        except TimeoutError:
            self.stop()
            return {
                "error": "too_large",
                "message": f"decoding it takes longer than {self._seconds} s",
            }
        except (OSError, ValueError, EOFError):
            code = worker.kill(patience_seconds=0.5)
            self._worker = None
            return _ended(code, self._seconds)


class _Worker:
    """The process, and the way to it.

    Attributes:
        files: whether it may open any.
        shut: whether the kernel keeps it from what it does not need.
    """

    def __init__(self, *, files: bool) -> None:
        self.files = files
        self._asking = threading.Lock()
        self._channel, theirs = socket.socketpair()
        paths = [path for path in map(os.path.abspath, sys.path) if os.path.exists(path)]
        program = (
            f"import sys; sys.path[:] = {paths!r}; from describer.images.worker import process; "
            f"process.main({theirs.fileno()}, files={files})"
        )
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-I", "-S", "-c", program],
                    env={
                        **environment,
                        "LC_ALL": "C.UTF-8",
                        # What is freed goes back to the system at once.
                        "MALLOC_ARENA_MAX": "1",
                        "MALLOC_MMAP_THRESHOLD_": "65536",
                        "MALLOC_TRIM_THRESHOLD_": "131072",
                        "VIPS_CONCURRENCY": "1",
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # A signal for the terminal's own programs is not for this one.
                    start_new_session=True,
                )
        except (OSError, MemoryError) as exc:
            self._channel.close()
            raise ConverterError(f"the converter cannot be started: {exc}") from exc
        try:
            hello = self._answer(_START_SECONDS)
        except (OSError, ValueError, EOFError) as exc:
            code = self.kill(patience_seconds=0.5)
            raise ConverterError(f"the converter did not start: {_how(code)}") from exc
        if "error" in hello:
            self.kill()
            raise ConverterError(f"the converter did not start: {hello['message']}")
        self.shut = bool(hello["shut"])

    @property
    def lives(self) -> bool:
        """Whether it has not ended by itself meanwhile."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self, job: dict[str, Any], files: list[int], seconds: float) -> dict[str, Any]:
        """Hand over, and wait for the answer.

        Raises:
            TimeoutError: there was none in time.
            OSError, EOFError, ValueError: it ended, or answered nonsense.
        """
        with self._asking:
            socket.send_fds(self._channel, [json.dumps(job).encode()], files)
            return self._answer(seconds)

    def kill(self, *, patience_seconds: float = 0.0) -> int:
        """End it; gives its exit code, negative for a signal. May be called again.

        Args:
            patience_seconds: for one that is about to end by itself, whose code tells more.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_seconds)
        self._process.kill()
        code = self._process.wait()
        # Whoever waits for an answer has none now, and lets go.
        with self._asking:
            self._channel.close()
        return code

    def _answer(self, seconds: float) -> dict[str, Any]:
        line, until = bytearray(), time.monotonic() + seconds
        while not line.endswith(b"\n"):
            self._channel.settimeout(max(0.001, until - time.monotonic()))
            piece = self._channel.recv(4096)
            if not piece:
                raise EOFError
            line += piece
            if len(line) > 65_536:
                raise ValueError("an endless answer")
        found = json.loads(line)
        if not isinstance(found, dict):
            raise TypeError("no answer")
        return found


def _ended(code: int, seconds: int) -> dict[str, Any]:
    if code == -signal.SIGALRM:
        return {"error": "too_large", "message": f"decoding it takes longer than {seconds} s"}
    if code == -signal.SIGKILL:
        return {"error": "too_large", "message": "decoding it was ended for want of memory"}
    return {"error": "unreadable", "message": f"the decoder broke down over it ({_how(code)})"}


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _error(answer: dict[str, Any]) -> Exception:
    kind, message = answer["error"], str(answer.get("message", ""))[:500]
    if kind == "memory":
        return NeedsMemoryError(message, int(answer["needs"]))
    if kind == "too_large":
        return ImageTooLargeError(f"{message}; upload a smaller rendition")
    if kind == "unsupported":
        return UnsupportedImageError(message)
    return UnreadableImageError(message)
