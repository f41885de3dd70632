"""The model stand-in as a part of the stack: run it, script it, read what it was asked."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local.http import call
from local.servers.function import ROOT
from local.servers.processes import Server, free_port, start, wait_ready
from local.standin.faults import Step


@dataclass(frozen=True)
class StandInServer(Server):
    """A running stand-in; `.base_url` is the value for OPENAI_BASE_URL."""

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`."""
        return f"{self.url}/v1"

    def script(
        self, steps: Sequence[Step], *, match: str | None = None, times: int | None = None
    ) -> None:
        """Let requests be answered by a script (`local.standin.faults`) from now on.

        Args:
            steps: what to do, in order.
            match: only where this text is in the prompt, the model's name, the lane, the gs:// URI,
                or the hexadecimal SHA-256 of the image.
            times: for so many requests, then the next rule or a good answer; None: always.
        """
        self.control(match=match, script=list(steps), times=times)

    def limit(self, at_once: int | None) -> None:
        """Answer 429 to requests above so many at once; None: no limit."""
        self.control(limit=at_once)

    def pace(self, seconds: float) -> None:
        """Set the time between two chunks."""
        self.control(pace=seconds)

    def reset(self) -> None:
        """Forget scripts, limit and log."""
        self.control(reset=True)

    def requests(self) -> list[dict[str, Any]]:
        """Give the log, oldest first; the fields are those of `local.standin.server.Entry`."""
        log: list[dict[str, Any]] = self._call("/control/log")
        return log

    def stats(self) -> dict[str, int]:
        """Give `requests`, `open` now, and `peak`, the most that were open at once."""
        stats: dict[str, int] = self._call("/control/stats")
        return stats

    def control(self, **wanted: Any) -> None:
        """Post to the control endpoint."""
        self._call("/control", json.dumps(wanted).encode())

    def _call(self, path: str, body: bytes | None = None) -> Any:
        method = "GET" if body is None else "POST"
        return call(method, self.url + path, body=body).raise_for_status().json()


def start_standin(
    *,
    pace: float = 0.0,
    first: float = 0.0,
    words: int = 2,
    storage_url: str = "",
    port: int | None = None,
) -> StandInServer:
    """Start the stand-in without waiting for it. Arguments: `standin_server`."""
    port = port or free_port()
    command = [sys.executable, "-m", "local.standin.server", "--port", str(port)]
    command += ["--pace", str(pace), "--first", str(first), "--words", str(words)]
    env = {"STORAGE_EMULATOR_HOST": storage_url} if storage_url else None
    server = start("model", command, port, env=env, cwd=ROOT)
    return StandInServer(server.name, server.process, server.port, server.log)


@contextlib.contextmanager
def standin_server(
    *,
    pace: float = 0.0,
    first: float = 0.0,
    words: int = 2,
    storage_url: str = "",
    port: int | None = None,
) -> Iterator[StandInServer]:
    """Run the stand-in.

    Args:
        pace: seconds between two chunks.
        first: seconds before the first one.
        words: words in each chunk.
        storage_url: value of STORAGE_EMULATOR_HOST, from which gs:// images are read.
        port: where it listens; a free one by default.
    """
    server = start_standin(pace=pace, first=first, words=words, storage_url=storage_url, port=port)
    wait_ready(server)
    try:
        yield server
    finally:
        server.stop()
