"""The function itself: the real `functions-framework` over the real `main.py`."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.servers.processes import LOOPBACK, Server, free_port, start, wait_ready

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class FunctionServer(Server):
    """A running function; `.process` is the gunicorn master, which leads the worker's group too."""

    def logs(self) -> list[dict[str, Any]]:
        """Give the JSON lines written so far, in order; other lines are left out."""
        return json_lines(self.log.read_text(encoding="utf-8", errors="replace"))

    def deliveries(self) -> list[dict[str, Any]]:
        """Give the lines that speak of one delivery each."""
        return [entry for entry in self.logs() if entry.get("message") == "delivery"]


def json_lines(text: str) -> list[dict[str, Any]]:
    """Give the lines that are JSON objects."""
    entries = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict):
                entries.append(entry)
    return entries


def start_function(
    env: Mapping[str, str],
    *,
    port: int | None = None,
    target: str = "describe_image",
    source: Path = ROOT / "main.py",
) -> FunctionServer:
    """Start the function without waiting for it.

    Args:
        env: its settings, on top of our own environment; an empty value removes a variable.
        port: where it listens; a free one by default. Give the port of a killed one to replace it.
        target: name of the entry point.
        source: the file that holds it.
    """
    port = port or free_port()
    # The program beside this interpreter: a virtual environment need not be on the PATH.
    program = Path(sys.executable).with_name("functions-framework")
    command = [str(program), "--target", target, "--source", str(source)]
    command += ["--host", LOOPBACK, "--port", str(port)]
    server = start(
        "function", command, port, env={"PYTHONUNBUFFERED": "1", **env}, cwd=source.parent
    )
    return FunctionServer(server.name, server.process, server.port, server.log)


@contextlib.contextmanager
def function_server(
    env: Mapping[str, str],
    *,
    port: int | None = None,
    target: str = "describe_image",
    source: Path = ROOT / "main.py",
) -> Iterator[FunctionServer]:
    """Run the function; `.url` is where CloudEvents are posted to. Arguments: `start_function`."""
    server = start_function(env, port=port, target=target, source=source)
    wait_ready(server)
    try:
        yield server
    finally:
        # Its own grace time for requests in flight is longer than a test wants to wait.
        server.stop(grace_seconds=15)
