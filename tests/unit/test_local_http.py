"""The client that the local stack talks to its own servers with."""

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local.http import call
from local.servers.function import ROOT
from local.servers.processes import LOOPBACK, free_port


class _Teapot(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(418)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_no_proxy_stands_before_loopback() -> None:
    """A proxy that the environment names is passed by; any status is an answer."""
    # Without what the package itself sets for other clients: this one needs no such help.
    program = (
        "import local, os, sys; os.environ['no_proxy'] = os.environ['NO_PROXY'] = '';"
        "from local.http import call; print(call('GET', sys.argv[1]).status_code)"
    )
    with HTTPServer((LOOPBACK, 0), _Teapot) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        proxied = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), f"http://{LOOPBACK}:9")
        done = subprocess.run(
            [sys.executable, "-c", program, f"http://{LOOPBACK}:{server.server_port}"],
            cwd=ROOT,
            env={**os.environ, **proxied},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.stdout == "418\n", done.stderr


def test_a_server_elsewhere_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the function's own requests are."""
    with HTTPServer((LOOPBACK, 0), _Teapot) as proxy:
        threading.Thread(target=proxy.handle_request, daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{proxy.server_port}")
        assert call("GET", "http://host.invalid/v1/models", anywhere=True).status_code == 418


def test_no_answer_is_a_connection_error() -> None:
    """Callers need to know one kind of error, which names the address."""
    url = f"http://{LOOPBACK}:{free_port()}"
    with pytest.raises(ConnectionError, match=re.escape(url)):
        call("GET", url)


@pytest.mark.parametrize(
    "module", sorted(ROOT.glob("local/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_there_is_one_client(module: Path) -> None:
    """No other module of the local stack brings a client of its own."""
    own = re.search(
        r"^(import|from) (urllib\.request|http\.client|requests|aiohttp|httpx2)\b",
        module.read_text("utf-8"),
        re.MULTILINE,
    )
    assert own is None or module == ROOT / "local/http.py"
