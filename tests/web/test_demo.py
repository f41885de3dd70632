"""The demo that stays up has a page."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from local.http import call
from local.servers.bucket import BUCKET
from local.servers.function import ROOT
from tests.web.looking import Visit


@pytest.mark.slow
def test_demo_serves_the_page(visit: Visit, built: str, whole_stack: None) -> None:
    """It prints the page's address before the samples are described, and there they are."""
    environ = {key: value for key, value in os.environ.items() if key != "OPENAI_BASE_URL"}
    demo = subprocess.Popen(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env={**environ, "KEEP": "1", "GOOGLE_CLOUD_PROJECT": "", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    watchdog = threading.Timer(90, demo.kill)
    watchdog.start()
    try:
        lines = iter(demo.stdout.readline, "")
        said: list[str] = []
        for line in lines:
            said.append(line)
            if "Watch in a browser:" in line:
                break
        else:
            pytest.fail("".join(said))
        assert not any("described" in line for line in said[1:])
        url = said[-1].split()[-1]
        assert call("GET", f"{url}/config.json").json()["bucket"] == BUCKET
        visit.open(url)
        visit.sees(visit.tile("samples/cat.webp"), "Described")
        demo.send_signal(signal.SIGINT)
        said += list(lines)
        assert demo.wait(30) == 130
        with pytest.raises(ConnectionError):
            call("GET", url)
    finally:
        watchdog.cancel()
        demo.kill()
        demo.wait()
        demo.stdout.close()
