"""How much memory a decoder may ask for."""

from __future__ import annotations

import contextlib
import functools
import resource

from describer.images.worker.job import MB

_SPARE_BYTES = 64 * MB


@functools.cache
def _bytes_at_first() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()


def limit_memory(size: int) -> None:
    """Allow so many bytes more than at first; the decoder's own allocation fails then.

    What is allowed is address space, of which decoders use less than they ask for.
    """
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (_bytes_at_first() + _SPARE_BYTES + size, hard))
