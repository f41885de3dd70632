"""What one runs by hand, run: the pipeline over memory, and the description of local files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.demo.records import view_of
from local.demo.site import memory_site
from local.servers.bucket import SAMPLES, upload
from local.servers.choice import choose_model
from local.servers.function import ROOT
from local.standin.pixels import CLOSING, OPENING

ENVIRON = {key: value for key, value in os.environ.items() if key != "OPENAI_BASE_URL"}


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**ENVIRON, "GOOGLE_CLOUD_PROJECT": "", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_pipeline_runs_over_memory() -> None:
    """Without any emulator an uploaded file gets its record, by the function's own pipeline."""
    with memory_site(choose_model({}), pace=0, first=0) as site:
        site.upload(SAMPLES / "cat.webp")
        deadline = time.monotonic() + 20
        while not (view := view_of(site.records().get("cat.webp"))).finished:
            assert time.monotonic() < deadline
            site.pause(0.05)
    assert (view.state, view.outcome, view.attempt) == ("COMPLETED", "described", 1)
    assert view.text.startswith(OPENING)


def test_describes_local_files(tmp_path: Path) -> None:
    """The text goes to standard output; a file that fails is named, and the rest is described."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    done = run("local.demo.describe", str(broken), str(SAMPLES / "cat.webp"))
    assert done.returncode == 1
    assert OPENING in done.stdout
    assert CLOSING in done.stdout
    assert "1 of 2 described." in done.stdout
    assert "unreadable" in done.stderr


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    """With a dead proxy in the environment the model on this machine is reached all the same."""
    proxied = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    sample = str(SAMPLES / "cat.webp")
    done = run("local.demo.describe", sample, **proxied, no_proxy="", NO_PROXY="")
    assert (done.returncode, done.stdout.count(CLOSING)) == (0, 1), done.stderr


@pytest.mark.parametrize(
    ("named", "hosts"),
    [
        pytest.param({}, "127.0.0.1,localhost", id="none"),
        pytest.param({"NO_PROXY": "b.example"}, "b.example,127.0.0.1,localhost", id="upper"),
        pytest.param({"no_proxy": "a,localhost"}, "a,localhost,127.0.0.1", id="there-already"),
        pytest.param({"no_proxy": "*"}, "*", id="all"),
    ],
)
def test_hosts_that_need_no_proxy_stay_so(named: dict[str, str], hosts: str) -> None:
    """Loopback joins what the environment names; both spellings say the same in the end."""
    program = "import local, os; print(os.environ['no_proxy'], os.environ['NO_PROXY'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "no_proxy": "", "NO_PROXY": "", **named},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [hosts, hosts]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        pytest.param(("no-such.jpg",), {}, "no-such.jpg: no such file", id="file"),
        pytest.param(
            (str(SAMPLES),),
            {"DESCRIPTION_LANGUAGE": "?"},
            "DESCRIPTION_LANGUAGE='?'",
            id="setting",
        ),
        pytest.param(
            (str(SAMPLES / "cat.webp"),),
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            "failed for now: ClientConnectorError: Cannot connect",
            id="model",
        ),
    ],
)
def test_says_why_it_describes_nothing(
    arguments: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    """The cause is one sentence without a traceback, and the status is 1."""
    done = run("local.demo.describe", *arguments, **environ)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_upload_to_nowhere_is_an_error() -> None:
    """Nothing at the address: status 1 and one sentence."""
    done = run("local.demo.upload", str(SAMPLES / "cat.webp"), "--to", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("Not uploaded: ")
    with pytest.raises(OSError, match="refused"):
        upload("http://127.0.0.1:9", SAMPLES / "cat.webp")
