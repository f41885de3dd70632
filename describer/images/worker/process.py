"""The process itself: one job after the other, each a line of JSON with two files."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, BinaryIO

from describer.images.worker import confine
from describer.images.worker.job import MB, Job, RefusedError
from describer.images.worker.limits import limit_memory

Convert = Callable[[Job, BinaryIO, BinaryIO], dict[str, Any]]


def _say(channel: socket.socket, answer: dict[str, Any]) -> None:
    # Written as to a file: what sends over a network is shut.
    os.write(channel.fileno(), json.dumps(answer).encode() + b"\n")


def serve(channel: socket.socket, convert: Convert) -> None:
    """Answer jobs until the other side closes."""
    while True:
        line, files, _, _ = socket.recv_fds(channel, 4096, 2)
        if not line:
            return
        signal.alarm(0)
        try:
            with open(files[0], "rb") as source, open(files[1], "wb") as target:
                answer = _answer(convert, Job(**json.loads(line)), source, target)
        finally:
            signal.alarm(0)
        _say(channel, answer)


def _answer(convert: Convert, job: Job, source: BinaryIO, target: BinaryIO) -> dict[str, Any]:
    signal.alarm(job.seconds)
    limit_memory(job.memory_bytes)
    try:
        return convert(job, source, target)
    except RefusedError as exc:
        return {"error": exc.kind, "message": str(exc), "needs": exc.needs}
    except MemoryError:
        message = f"decoding it takes more than {job.memory_bytes // MB} MB of memory"
        return {"error": "too_large", "message": message}
    # Whatever else a stranger's bytes made of a library: this image's fault, and the end of it.
    except Exception as exc:  # noqa: BLE001
        return {
            "error": "unreadable",
            "message": f"the decoder failed: {type(exc).__name__}: {exc}",
        }


def main(descriptor: int, *, files: bool) -> None:
    """Begin, in a process that `convert` started."""
    channel = socket.socket(fileno=descriptor)
    os.nice(5)
    confine.limits()
    try:
        # What these load, they load now: later nothing can be opened.
        from describer.images.worker import jpeg, pillow, vips

        vips.prepare()
        pillow.prepare()
    except (ImportError, OSError) as exc:
        _say(channel, {"error": "broken", "message": str(exc)[:300]})
        return
    limit_memory(0)
    shut = confine.shut(files=files)
    _say(channel, {"ready": True, "shut": shut})
    serve(channel, jpeg.convert)
