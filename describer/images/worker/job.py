"""What is asked of a decoder, what it gives, and what it may not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, BinaryIO

MB = 1_000_000
# Lines under way, a picture of `max_side` in the making, and the JPEG encoder.
BASE_BYTES = 60 * MB
# Frames looked at for one that shows something: to reach a frame, all before it are decoded.
FRAMES_TRIED = 12


class RefusedError(Exception):
    """An answer other than a picture.

    Attributes:
        kind: `unreadable`, `too_large`, `unsupported`, or `memory` with what is needed.
    """

    def __init__(self, kind: str, message: str, *, needs: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.needs = needs


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for.

    Attributes:
        content_type: what the bytes begin like; chooses the decoder, which takes nothing else.
        max_side, max_pixels: of the result; of the picture that may be decoded.
        max_bytes: of the result.
        memory_bytes: what decoding may take.
        seconds: after which the system ends this process, whatever a decoder is doing.
    """

    content_type: str
    max_side: int
    max_pixels: int
    max_bytes: int
    memory_bytes: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, already small, and what is to be said of it.

    Attributes:
        image: a pyvips image, sRGB, 8 bits, with or without alpha.
        width, height: of the original, upright.
        frames: how many there are; `pages` in a document's format.
        frame: the one that was taken, from 1.
    """

    image: Any
    width: int
    height: int
    frames: int = 1
    frame: int = 1
    pages: bool = False
    notes: tuple[str, ...] = ()


class File:
    """See `structure.Content`."""

    def __init__(self, source: BinaryIO) -> None:
        self._descriptor = source.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def at(self, start: int, size: int) -> bytes:
        """See `Content.at`."""
        return os.pread(self._descriptor, size, start)

    def find_last(self, needle: bytes, start: int) -> int:
        """See `Content.find_last`."""
        found = self.at(start, self.size).rfind(needle)
        return found if found < 0 else start + found


def check_pixels(job: Job, width: int, height: int) -> None:
    """Refuse a bomb by what it says of itself, before it is decoded."""
    if width * height > job.max_pixels:
        raise RefusedError(
            "too_large",
            f"{width}x{height} pixels, over MAX_IMAGE_PIXELS of {job.max_pixels}",
        )


def check_memory(job: Job, needs: int) -> None:
    """Ask for more memory before it is taken."""
    if needs > job.memory_bytes:
        raise RefusedError("memory", f"decoding it takes {needs // MB} MB of memory", needs=needs)
