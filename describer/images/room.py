"""The memory gate: bytes of images in one instance, given out first come, first served."""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import tempfile
from collections import deque
from collections.abc import Iterator

from describer.errors import NoRoomError


class FullError(Exception):
    """A buffer was given more than it holds; what fitted is in it."""


class Buffer:
    """Bytes in a file without a name, in memory: closed, they are back with the system at once.

    Neither a reference left in some cycle nor the allocator's own thrift can hold them then. Pages
    that nothing was written to take no memory. Another process may be handed the file, without a
    copy.

    Attributes:
        size: bytes written.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._file = _unnamed_file()
        try:
            os.ftruncate(self._file, max(1, capacity))
            self._map = mmap.mmap(self._file, max(1, capacity))
        except BaseException:
            os.close(self._file)
            raise
        self._closed = False

    def write(self, chunk: bytes) -> int:
        """Append.

        Raises:
            FullError: there was more than fits.
            ValueError: the buffer is closed.
        """
        start, fits = self.size, chunk[: self.capacity - self.size]
        self._map[start : start + len(fits)] = fits
        self.size += len(fits)
        if len(fits) < len(chunk):
            raise FullError
        return len(fits)

    def seek(self, place: int) -> None:
        """Go back, to write over what follows: a download began anew."""
        self.size = place

    def tell(self) -> int:
        """Give the place where the next write goes."""
        return self.size

    def head(self, size: int) -> bytes:
        """Copy the first bytes."""
        return self._map[: min(size, self.size)]

    def at(self, start: int, size: int) -> bytes:
        """Copy some bytes; fewer at the end."""
        return self._map[start : max(start, min(start + size, self.size))]

    def find_last(self, needle: bytes, start: int) -> int:
        """Give where the needle begins the last time, from `start` on; -1 if nowhere."""
        return self._map.rfind(needle, start, self.size)

    def lend(self) -> int:
        """Give the file, for another process to read: cut to what was written.

        What the other process does to it, it cannot shorten: reading here would end this process.
        """
        os.ftruncate(self._file, max(1, self.size))
        _seal(self._file)
        return self._file

    def lend_for_writing(self) -> int:
        """Give the file, for another process to fill; `filled` tells how far it came."""
        _seal(self._file)
        return self._file

    def filled(self, size: int) -> None:
        """Take what another process wrote."""
        if not 0 <= size <= self.capacity:
            raise ValueError(size)
        self.size = size

    def pieces(self, size: int) -> Iterator[bytes]:
        """Copy everything, a piece of so many bytes after the other."""
        for start in range(0, self.size, size):
            yield self._map[start : min(start + size, self.size)]

    def close(self) -> None:
        """Give the memory back; whoever still writes gets ValueError. May be called again."""
        self._map.close()
        if not self._closed:
            self._closed = True
            os.close(self._file)


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # On a developer's machine without it.
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _seal(file: int) -> None:
    if hasattr(os, "memfd_create"):
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)


class Room:
    """So many bytes. What does not fit waits its turn, and what came later waits behind it.

    With no queue, small images that keep coming would leave a large one without room for ever.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int, *, timeout_seconds: float) -> Share:
        """Wait for so many bytes; at most as many as there are in all.

        Raises:
            NoRoomError: it was not this one's turn in time.
        """
        if self._waiting or size > self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                async with asyncio.timeout(timeout_seconds):
                    await turn
            except BaseException as exc:
                if turn.done() and not turn.cancelled():
                    self.give(size)
                else:
                    turn.cancel()
                    self.give(0)
                if isinstance(exc, TimeoutError):
                    raise NoRoomError(
                        f"no memory free for {size} bytes within {timeout_seconds:g} s; "
                        "fewer images at once (`concurrency`) or more instances would help"
                    ) from exc
                raise
        else:
            self._free -= size
        return Share(self, size)

    def give(self, size: int) -> None:
        """Take bytes back, and let those in whose turn it is."""
        self._free += size
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done():
                if wanted > self._free:
                    return
                self._free -= wanted
                turn.set_result(None)
            self._waiting.popleft()


class Share:
    """Room that one image has, and the buffer in it.

    Attributes:
        size: bytes accounted for.
    """

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._buffer: Buffer | None = None
        self.size = size

    def buffer(self) -> Buffer:
        """Make the buffer, of this size, in place of any before.

        Raises:
            NoRoomError: the system has less memory than was reckoned with.
        """
        self._close()
        self._buffer = self.another(self.size)
        return self._buffer

    @staticmethod
    def another(size: int) -> Buffer:
        """Make a buffer beside it, which `replace` may put in its place.

        Raises:
            NoRoomError: the system has less memory than was reckoned with.
        """
        try:
            return Buffer(size)
        except (OSError, MemoryError) as exc:
            raise NoRoomError(f"the system has no memory for {size} bytes: {exc}") from exc

    def replace(self, buffer: Buffer) -> None:
        """Hold another buffer in place of the one before, and account for it as it is."""
        self._close()
        self._buffer = buffer
        change, self.size = self.size - buffer.size, buffer.size
        self._room.give(change)

    def shrink(self) -> None:
        """Give back what the buffer turned out not to need."""
        if self._buffer is not None:
            unused = self.size - self._buffer.size
            self.size -= unused
            self._room.give(unused)

    async def exchange(self, size: int, *, timeout_seconds: float) -> None:
        """Give all back and wait for another size: to wait with room in hand could be for ever.

        Raises:
            NoRoomError: see `Room.take`.
        """
        self.release()
        self.size = (await self._room.take(size, timeout_seconds=timeout_seconds)).size

    def release(self) -> None:
        """Give everything back. May be called again."""
        self._close()
        size, self.size = self.size, 0
        if size:
            self._room.give(size)

    def _close(self) -> None:
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.close()
