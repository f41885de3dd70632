"""Where the demo can be found, and what it leaves behind."""

import os
import socket
import time
from pathlib import Path

import pytest

from local.servers.function import ROOT
from local.servers.place import (
    BUCKET_PORT,
    FIRESTORE_PORT,
    Demo,
    find_demo,
    keep_folder,
    new_log_folder,
    standing,
)
from local.servers.processes import LOOPBACK, PORTS, free_port

DEMO = Demo("http://bucket", "http://records", "/log")


def test_a_demo_is_found_while_it_stands(tmp_path: Path) -> None:
    """Not before, not afterwards, and none that was killed: the lock goes with the process."""
    state = tmp_path / "cache" / "demo.json"
    assert find_demo(state) is None
    with standing(DEMO, state) as alone:
        assert alone
        assert find_demo(state) == DEMO
    assert find_demo(state) is None
    state.write_text('{"left": "by one that was killed"}')
    assert find_demo(state) is None


def test_a_second_demo_leaves_the_first_to_be_found(tmp_path: Path) -> None:
    """Uploads go to the first; the second is told so."""
    state = tmp_path / "demo.json"
    with standing(DEMO, state), standing(Demo("", "", ""), state) as alone:
        assert not alone
        assert find_demo(state) == DEMO


def test_logs_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """At the next start; not those of one that runs, and kept ones after a week only."""
    running, lock = new_log_folder(tmp_path)
    left, gone = new_log_folder(tmp_path)
    kept, ended = new_log_folder(tmp_path)
    keep_folder(kept)
    gone.close()
    ended.close()
    newest, own = new_log_folder(tmp_path)
    assert {path.name for path in tmp_path.glob("run-*")} == {running.name, kept.name, newest.name}
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(kept / "kept", (eight_days_ago, eight_days_ago))
    _, last = new_log_folder(tmp_path)
    assert not kept.exists()
    assert not left.exists()
    for file in (lock, own, last):
        file.close()


def test_a_wanted_port_is_given_if_it_is_free() -> None:
    """Also while connections of the last run fade away; else another one."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
        assert free_port(port) in PORTS
        with socket.create_connection((LOOPBACK, port)) as client:
            server, _ = taken.accept()
            # Who closes first keeps the port in TIME_WAIT.
            server.close()
            client.recv(1)
    assert free_port(port) == port


@pytest.mark.parametrize("port", [BUCKET_PORT, FIRESTORE_PORT])
def test_tests_never_take_the_demos_ports(port: int) -> None:
    """They choose among others; the page about the demo names its own."""
    assert port not in PORTS
    assert f"| port {port} |" in (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
