"""Server processes of the local stack: start, wait until ready, end, also when we die."""

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from local.http import call
from local.servers.place import keep_folder, new_log_folder

LOOPBACK = "127.0.0.1"
# Below the range that Linux and macOS give to outgoing connections: a port found free stays free.
PORTS = range(20_000, 32_000)


class StartError(RuntimeError):
    """A part of the local stack did not start; the message says which and what its log says."""


@dataclass(frozen=True)
class Server:
    """One running server process.

    Attributes:
        name: what it is, for messages.
        process: the process itself; it leads its own group, so `os.killpg(process.pid, ...)`
            reaches its workers too.
        port: where it listens, on 127.0.0.1 only.
        log: file with its standard output and error.
    """

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, the form of the emulator variables."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return f"http://{self.host}"

    def tail(self, lines: int = 15) -> str:
        """Give the last lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """End the whole group at once, as a crash would (SIGKILL)."""
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def stop(self, grace_seconds: float = 5.0) -> None:
        """End it: SIGTERM, and SIGKILL to the group for whatever is left after the grace time."""
        if self.process.poll() is None:
            _signal_group(self.process, signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_seconds)
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()
        _guard_note("-", self.process.pid)


def free_port(wanted: int | None = None) -> int:
    """Find a TCP port on 127.0.0.1 that nothing listens on: the one wanted, if that is free."""
    if wanted is not None and _is_free(wanted, after_use=True):
        return wanted
    for port in random.SystemRandom().sample(PORTS, 200):
        if _is_free(port):
            return port
    raise StartError(f"No free port between {PORTS.start} and {PORTS.stop} on {LOOPBACK}.")


def log_folder() -> Path:
    """Give this process's folder for logs; removed at exit unless something failed."""
    global _logs, _logs_lock
    if _logs is None:
        _logs, _logs_lock = new_log_folder()
        atexit.register(_remove_logs)
    return _logs


def keep_logs() -> Path:
    """Keep the log folder after the end of this process, and give its path."""
    global _keep  # noqa: PLW0603 - one for the process
    _keep = True
    keep_folder(log_folder())
    return log_folder()


def start(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Server:
    """Start a server process, without waiting until it is ready.

    Args:
        name: what it is; also the name of its log file.
        command: program and arguments.
        port: where it is going to listen.
        env: variables on top of our own environment; an empty value removes one.
        cwd: its working directory.
    """
    environment = {**os.environ, **(env or {})}
    environment = {key: value for key, value in environment.items() if value != ""}
    log = log_folder() / f"{name.replace(' ', '-')}-{port}.log"
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                # Its own group: Ctrl-C in the terminal reaches us alone, and we end it in order.
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(f"Cannot start {name} ({command[0]}): {error}.") from error
    _guard_note("+", process.pid)
    return Server(name, process, port, log)


def wait_ready(
    server: Server, ready: Callable[[Server], bool] | None = None, timeout_seconds: float = 60.0
) -> Server:
    """Wait until the server answers; end it and raise StartError if it does not.

    Args:
        server: a server just started.
        ready: tells whether it answers; a TCP connect by default.
        timeout_seconds: generous, since a loaded machine starts a JVM slowly.
    """
    check = ready or accepts
    deadline = time.monotonic() + timeout_seconds
    while not check(server):
        code = server.process.poll()
        if code is not None or time.monotonic() > deadline:
            why = f"ended with code {code}" if code is not None else "did not become ready in time"
            tail = server.tail()
            server.stop()
            keep_logs()
            raise StartError(f"{server.name} {why}. The end of {server.log}:\n{tail}")
        time.sleep(0.02)
    return server


@contextlib.contextmanager
def running(server: Server, ready: Callable[[Server], bool] | None = None) -> Iterator[Server]:
    """Give a started server once it is ready, and stop it afterwards."""
    wait_ready(server, ready)
    try:
        yield server
    finally:
        server.stop()


def accepts(server: Server) -> bool:
    """Tell whether something listens on the server's port."""
    try:
        socket.create_connection((LOOPBACK, server.port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(path: str) -> Callable[[Server], bool]:
    """Make a ready check: GET of this path gives 200."""

    def check(server: Server) -> bool:
        try:
            return call("GET", server.url + path, timeout_seconds=1).status_code == HTTPStatus.OK
        except OSError:
            return False

    return check


def _is_free(port: int, *, after_use: bool = False) -> bool:
    """Tell whether a port can be listened on, also while its last connections fade away."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, after_use)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _signal_group(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def _remove_logs() -> None:
    if _logs is not None and not _keep:
        shutil.rmtree(_logs, ignore_errors=True)
    if _logs_lock is not None:
        _logs_lock.close()


def _guard_note(sign: str, group: int) -> None:
    global _guard  # noqa: PLW0603 - one for the process
    with _guard_lock:
        if _guard is None or _guard.poll() is not None:
            script = str(Path(__file__).with_name("guard.py"))
            _guard = subprocess.Popen(
                [sys.executable, "-I", "-S", script],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            atexit.register(_end_guard, _guard)
        assert _guard.stdin is not None
        _guard.stdin.write(f"{sign}{group}\n".encode())
        _guard.stdin.flush()


def _end_guard(guard: subprocess.Popen[bytes]) -> None:
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait()


_logs: Path | None = None
_logs_lock: IO[str] | None = None
_keep = False
_guard: subprocess.Popen[bytes] | None = None
_guard_lock = threading.Lock()
