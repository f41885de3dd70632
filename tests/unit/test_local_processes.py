"""Servers of the local stack: they start, they end, and they do not outlive their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from local.servers import processes
from local.servers.emulators import FIRESTORE, _javas, missing_parts, why_no_firestore, why_no_gcs
from local.servers.function import FunctionServer
from local.servers.processes import Server, StartError, accepts, free_port, start, wait_ready

# Listens with a child that shares its group, and does not end on SIGTERM when told so.
STUBBORN = """
import signal, socket, subprocess, sys, time
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(60)
"""


def listener(manner: str = "") -> Server:
    port = free_port()
    return start("listener", [sys.executable, "-c", STUBBORN, str(port), manner], port)


def until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_starts_and_stops() -> None:
    """Ready means that it answers; stopped means that nothing does."""
    server = wait_ready(listener())
    assert accepts(server)
    assert "listening" in server.tail()
    server.stop()
    assert server.process.returncode == -signal.SIGTERM
    assert not accepts(server)


def test_ends_what_does_not_want_to() -> None:
    """Past the grace time comes SIGKILL."""
    server = wait_ready(listener("stubborn"))
    server.stop(grace_seconds=0.2)
    assert server.process.returncode == -signal.SIGKILL


def test_ends_what_is_frozen() -> None:
    """A server that a test has stopped with SIGSTOP ends in order all the same."""
    server = wait_ready(listener())
    server.process.send_signal(signal.SIGSTOP)
    server.stop()
    assert server.process.returncode == -signal.SIGTERM


def test_tells_why_it_did_not_start() -> None:
    """The error names the part and holds the end of its log."""
    server = start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], 1)
    with pytest.raises(StartError, match=r"(?s)broken ended with code 1.*no such thing"):
        wait_ready(server)


def test_tells_what_cannot_be_run() -> None:
    """A program that is not there is named."""
    with pytest.raises(StartError, match="/no/such/program"):
        start("none", ["/no/such/program"], 1)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_its_parent(tmp_path: Path, signum: signal.Signals) -> None:
    """A server ends when the process that started it is killed, however that is done."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from local.servers.processes import free_port, start, wait_ready\n"
        "port = free_port()\n"
        f"command = [sys.executable, '-c', {STUBBORN!r}, str(port), '']\n"
        "server = wait_ready(start('child', command, port))\n"
        "print(server.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(processes.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signum)
        parent.wait()
        assert until(lambda: not is_alive(child))


def test_an_empty_value_removes_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the caller do not leak into a server that is to run without them."""
    monkeypatch.setenv("LEAKED", "yes")
    code = "import os; print(os.environ.get('LEAKED', 'absent'), os.environ['OWN'], flush=True)"
    server = start("env", [sys.executable, "-c", code], 1, env={"LEAKED": "", "OWN": "1"})
    server.process.wait()
    assert server.tail() == "absent 1"
    server.stop()


def test_reads_the_functions_json_lines(tmp_path: Path) -> None:
    """Lines that are not JSON objects are left out; deliveries are told by their message."""
    log = tmp_path / "log"
    log.write_text('booting\n{"message": "delivery", "status": 200}\n[1]\n{"message": "other"}\n')
    with subprocess.Popen(["true"]) as process:
        server = FunctionServer("function", process, 1, log)
    assert [line["message"] for line in server.logs()] == ["delivery", "other"]
    assert [line["status"] for line in server.deliveries()] == [200]


def test_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each missing part is one sentence with the command that installs it."""
    monkeypatch.setattr("local.servers.emulators._cli_folders", lambda: iter([tmp_path]))
    monkeypatch.setenv("FAKE_GCS_SERVER", str(tmp_path / "none"))
    firestore, pubsub, gcs = missing_parts()
    assert "gcloud components install cloud-firestore-emulator" in firestore
    assert "apt-get install google-cloud-cli-firestore-emulator" in firestore
    assert "gcloud components install pubsub-emulator" in pubsub
    assert "apt-get install google-cloud-cli-pubsub-emulator" in pubsub
    assert "fake-gcs-server" in gcs


@pytest.mark.parametrize(
    ("said", "found"),
    [
        pytest.param('java version "1.8.0_392"', 8, id="8"),
        pytest.param('openjdk version "11.0.21" 2023-10-17', 11, id="11"),
        pytest.param('openjdk version "17" 2021-09-14', None, id="17"),
        pytest.param('openjdk version "25-ea" 2025-09-16', None, id="25"),
        pytest.param("some other machine", None, id="untold"),
    ],
)
def test_an_old_java_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, found: int | None
) -> None:
    """With the version found and the one needed, and before it is started in vain."""
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(java) if name == "java" else None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv(FIRESTORE.variable, str(java))
    _javas.cache_clear()
    why = why_no_firestore()
    _javas.cache_clear()
    if found is None:
        assert why is None
    else:
        assert why is not None
        assert f"needs Java 17 or later, and {java} is Java {found} (" in why


def test_an_archive_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable wins over what is installed, and one that names nothing is told."""
    jar = tmp_path / "emulator.jar"
    monkeypatch.setenv(FIRESTORE.variable, str(jar))
    assert FIRESTORE.variable in str(why_no_firestore())
    jar.touch()
    assert FIRESTORE.archive() == jar


def test_a_storage_server_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAKE_GCS_SERVER stands for the packaged program."""
    monkeypatch.setenv("FAKE_GCS_SERVER", sys.executable)
    assert why_no_gcs() is None
