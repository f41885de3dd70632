"""Starts the contestants, all on the same core, and reads what they use. Linux only."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from local.servers.emulators import PROJECT
from local.servers.function import ROOT
from local.servers.processes import (
    LOOPBACK,
    Server,
    StartError,
    accepts,
    free_port,
    log_folder,
    start,
)

HERE = Path(__file__).resolve().parent
PORT_SECONDS = 60.0


@dataclass(frozen=True)
class Contestant:
    """What is measured.

    Attributes:
        key: its name in the results.
        title: its name in tables and plots.
        program: what is run, and its arguments; `{port}` is filled in.
        env: variables of its own.
        environment: where its packages are installed.
    """

    key: str
    title: str
    program: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    environment: Path = Path(sys.prefix)

    def with_env(self, key: str, title: str, **env: str) -> Contestant:
        """Give another one of the same program."""
        return replace(self, key=key, title=title, env=(*self.env, *env.items()))


def _function(source: Path) -> tuple[str, ...]:
    target = ("--target", "describe_image", "--source", str(source))
    return ("functions-framework", *target, "--host", LOOPBACK, "--port", "{port}")


_UVICORN = ("uvicorn", "benchmarks.floor:app", "--host", LOOPBACK, "--port", "{port}")
_PROFILED = ("python", "-m", "benchmarks.profiled", "{port}", "{logs}/profiled-{port}.profile")
_URI = (("IMAGE_INPUT", "uri"),)

OURS = Contestant("ours", "this function", _function(ROOT / "main.py"), _URI)
# An environment of its own, made by `make bench`: it would import what is installed for ours.
_PEER_ENVIRONMENT = Path(sys.prefix) / "peer"
PEER = Contestant(
    "peer", "the sample", _function(HERE / "peer" / "main.py"), environment=_PEER_ENVIRONMENT
)
BEST = PEER.with_env("best", "the sample, THREADS=200", THREADS="200")
FLOOR = Contestant("floor", "the floor", (*_UVICORN, "--no-access-log", "--backlog", "4096"))
PROFILED = Contestant("profiled", "this function, profiled", _PROFILED, _URI)
TITLES = {one.key: one.title for one in (OURS, PEER, BEST, FLOOR)}


@dataclass(frozen=True)
class Running:
    """A contestant that runs.

    Attributes:
        port_seconds: from the start of its process until it listened.
    """

    contestant: Contestant
    server: Server
    port_seconds: float

    def cpu(self) -> float:
        """User and system seconds of all its processes since they began."""
        # The kernel's own clock of a process, in nanoseconds; psutil gives hundredths.
        return sum(time.clock_gettime((~process << 3) | 2) for process in self._processes())

    def memory(self) -> int:
        """Proportional set size of all its processes in bytes: shared pages count once."""
        found = (psutil.Process(process) for process in self._processes())
        return sum(process.memory_full_info().pss for process in found)

    def stop(self) -> None:
        """End it at once: what it still has to do is of no interest."""
        self.server.kill()

    def _processes(self) -> list[int]:
        main = psutil.Process(self.server.process.pid)
        return [main.pid, *(child.pid for child in main.children(recursive=True))]


def cores() -> tuple[set[int], set[int]]:
    """Give the core for the contestants, and those for everything else."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


@contextlib.contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Start processes on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def launch(contestant: Contestant, core: set[int], env: Mapping[str, str]) -> Running:
    """Start a contestant on this core, and wait until it listens."""
    port = free_port()
    program, *arguments = contestant.program
    command = [str(contestant.environment / "bin" / program)]
    command += [part.format(port=port, logs=log_folder()) for part in arguments]
    settings = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "OPENAI_API_KEY": "none",
        **env,
        **dict(contestant.env),
    }
    with pinned(core):
        began = time.monotonic()
        server = start(contestant.key, command, port, env=settings, cwd=ROOT)
    while not accepts(server):
        if server.process.poll() is not None or time.monotonic() - began > PORT_SECONDS:
            raise StartError(f"{contestant.title} does not start:\n{server.tail()}")
        time.sleep(0.002)
    return Running(contestant, server, time.monotonic() - began)
