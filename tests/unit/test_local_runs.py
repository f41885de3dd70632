"""What one runs by hand, run: the pipeline over memory, and the description of local files."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from local.demo.records import view_of
from local.demo.site import memory_site
from local.servers.bucket import SAMPLES, upload
from local.servers.choice import choose_model
from local.servers.function import ROOT
from local.servers.model import StandInServer, standin_server
from local.servers.place import find_demo
from local.standin import faults
from local.standin.pixels import OPENING
from local.standin.samples import BY_HAND, NOTE

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


def test_the_pipeline_runs_over_memory(tmp_path: Path) -> None:
    """Without any emulator uploaded files get their records, by the function's own pipeline.

    A sample's says that its text was written by hand, and only a sample's.
    """
    sample, own = SAMPLES / "cat.webp", tmp_path / "own.png"
    Image.new("RGB", (30, 20), "red").save(own)
    model = choose_model({}).replaying({path.name: path for path in (sample, own)})
    with memory_site(model, pace=0, first=0) as site:
        site.upload(sample.name, sample)
        site.upload(own.name, own)
        deadline = time.monotonic() + 20
        names = (sample.name, own.name)
        while not all(view_of(site.records().get(name)).finished for name in names):
            assert time.monotonic() < deadline
            site.pause(0.05)
        records = [site.records()[name] for name in names]
    views = [view_of(record) for record in records]
    assert [record["model"] for record in records] == [BY_HAND, "stand-in"]
    assert [view.outcome for view in views] == ["described", "described"]
    assert views[0].text == sample.with_suffix(".txt").read_text(encoding="utf-8").strip()
    assert views[1].text.startswith(OPENING)


def text_of(sample: str) -> str:
    return (SAMPLES / sample).with_suffix(".txt").read_text(encoding="utf-8")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file that is named like an image."""
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no picture")
    return path


def test_describes_one_local_file() -> None:
    """Its text alone is on standard output, to go into a file; and it is said whose text it is.

    Which objects the function would take does not matter.
    """
    elsewhere = {"BUCKETS": "some-other", "NAME_INCLUDE": "a/*", "NAME_EXCLUDE": "*.webp"}
    done = run("local.demo.describe", str(SAMPLES / "cat.webp"), **elsewhere)
    assert (done.returncode, done.stdout) == (0, text_of("cat.webp"))
    assert NOTE in done.stderr
    assert "described, " in done.stderr


def test_describes_several_local_files(tmp_path: Path, broken: Path) -> None:
    """In the order given, each text whole; a file that fails is named, the rest is described."""
    own = tmp_path / "own.png"
    Image.new("RGB", (30, 20), "red").save(own)
    done = run("local.demo.describe", str(own), str(broken), str(SAMPLES))
    assert done.returncode == 1
    texts = [OPENING, *map(text_of, ("astronaut.jpg", "cat.webp", "coffee.jpg"))]
    places = [done.stdout.index(text) for text in texts]
    assert places == sorted(places)
    assert f"{broken}: unreadable: " in done.stderr
    assert "6 of 7 described." in done.stderr


def test_says_what_was_converted(tmp_path: Path) -> None:
    """As the record would: in words, and as JSON."""
    moving = tmp_path / "moving.gif"
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    told = run("local.demo.describe", str(moving)).stdout
    assert "\nconverted: " in told
    (line,) = run("local.demo.describe", "--json", str(moving)).stdout.splitlines()
    assert f"converted: {json.dumps(json.loads(line)['converted'])}\n" in told


def test_describes_no_more_at_once_than_wanted() -> None:
    """Of five files three are with the model at the same time, and never more."""
    with standin_server(first=1) as server:
        environ = {"OPENAI_BASE_URL": server.base_url, "MODEL": "m", "MODEL_SERVER": "gemini"}
        done = run("local.demo.describe", "--jobs", "3", str(SAMPLES), **environ)
        assert (done.returncode, server.stats()["peak"]) == (0, 3)


def test_gives_json(broken: Path) -> None:
    """One object a line and nothing else, with the record's names."""
    sample = str(SAMPLES / "cat.webp")
    done = run("local.demo.describe", "--json", str(broken), sample)
    assert done.returncode == 1
    failed, described = map(json.loads, done.stdout.splitlines())
    assert failed.keys() == {"file", "outcome", "message", "model", "language", "seconds"}
    assert (failed["file"], failed["outcome"]) == (str(broken), "unreadable")
    assert described["usage"].keys() == {"promptTokens", "completionTokens", "totalTokens"}
    wanted = {"file": sample, "outcome": "described", "model": BY_HAND, "language": "en"}
    assert described == described | wanted | {"description": text_of("cat.webp").strip()}


def test_a_terminal_is_told_that_it_takes_time() -> None:
    """After two seconds, in a line that is gone when the text comes; not where none can go."""
    sample = str(SAMPLES / "cat.webp")
    with standin_server(first=2.9) as server:
        environ = {"OPENAI_BASE_URL": server.base_url, "MODEL": "m", "MODEL_SERVER": "gemini"}
        seen, dumb = on_terminals(
            {"TERM": "xterm", **environ}, {"TERM": "dumb", **environ}, arguments=[sample]
        )
    assert re.search(rf"Waiting for the model, \d+ s\r\x1b\[2K{OPENING}", seen)
    assert "Waiting" not in dumb
    assert f"\n{OPENING}" in dumb


def on_terminals(*environs: dict[str, str], arguments: list[str]) -> list[str]:
    """Give what `describe` shows on a terminal of its own in each of these environments."""
    command = [sys.executable, "-m", "local.demo.describe", *arguments]
    running, seen = [], []
    for environ in environs:
        ours, its = pty.openpty()
        process = subprocess.Popen(
            command, cwd=ROOT, env={**ENVIRON, **environ}, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        running.append((process, ours))
    for process, end in running:
        shown = b""
        # Once the other end is closed, Linux says that there is no terminal any more.
        with contextlib.suppress(OSError):
            while piece := os.read(end, 65536):
                shown += piece
        os.close(end)
        process.wait(10)
        seen.append(shown.decode())
    return seen


def test_a_terminal_does_not_obey_what_a_server_says(tmp_path: Path) -> None:
    """Neither a text nor an error nor a file's name reaches it with its escapes."""
    attack = "\x1b]0;owned\x07\x9b2J"
    odd = tmp_path / f"{attack}\n.webp"
    odd.write_bytes((SAMPLES / "cat.webp").read_bytes())
    with standin_server() as server:
        server.script([faults.status(400, message=f"No {attack}!")], times=1)
        server.script([faults.text(f"A {attack} cat.")])
        environ = {"OPENAI_BASE_URL": server.base_url, "MODEL": "m", "MODEL_SERVER": "gemini"}
        done = run("local.demo.describe", "--jobs=1", str(odd), str(odd), **environ)
    assert "]0;owned2J cat." in done.stdout
    assert "]0;owned2J!" in done.stderr
    assert not re.search(r"[\x07\x1b\x9b]", done.stdout + done.stderr)
    assert str(tmp_path / "]0;owned2J .webp") in done.stdout


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    """With a dead proxy in the environment the model on this machine is reached all the same."""
    proxied = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    sample = str(SAMPLES / "cat.webp")
    done = run("local.demo.describe", sample, **proxied, no_proxy="", NO_PROXY="")
    assert (done.returncode, done.stdout) == (0, text_of("cat.webp")), done.stderr


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
        pytest.param((__file__,), {}, "skipped: ", id="no-image"),
        pytest.param(
            (str(SAMPLES / "coffee.jpg"),),
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "MODEL": "m"},
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


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param({"DESCRIPTION_LANGUAGE": "?"}, "expected BCP-47 tags", id="setting"),
        pytest.param({"BUCKETS": "others"}, "the bucket here is `uploads`", id="bucket"),
        pytest.param(
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "MODEL is not set, and", id="model"
        ),
        pytest.param(
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "MODEL": "m"},
            "the server does not answer",
            id="server",
        ),
    ],
)
def test_the_demo_refuses_at_once_what_the_function_would(
    environ: dict[str, str], said: str
) -> None:
    """In a sentence, before anything has started."""
    done = run("local.demo.__main__", **environ)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "Up in" not in done.stdout


def test_describes_with_the_one_model_of_a_server(standin: StandInServer) -> None:
    """Its address is enough; what the machine says of its own language is not meant."""
    sample = str(SAMPLES / "coffee.jpg")
    done = run("local.demo.describe", sample, OPENAI_BASE_URL=standin.base_url, LANGUAGE="en_US:en")
    assert (done.returncode, done.stdout.count(OPENING)) == (0, 1), done.stderr
    assert "Model: stand-in at http://127.0.0.1:" in done.stderr
    (asked,) = standin.requests()
    assert asked["model"] == "stand-in"
    assert "BCP-47 tag en." in asked["prompt"]


def test_a_file_s_own_metadata_are_quoted(standin: StandInServer, tmp_path: Path) -> None:
    """As by the function, so that the setting can be tried on a file."""
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    own = tmp_path / "own.jpg"
    Image.new("RGB", (30, 20), "red").save(own, exif=exif)
    environ = {"OPENAI_BASE_URL": standin.base_url, "USE_METADATA": "exif:Artist"}
    assert run("local.demo.describe", str(own), **environ).returncode == 0
    (asked,) = standin.requests()
    assert asked["prompt"].endswith('\n- creator: "Ada"')


def test_an_upload_without_a_demo_is_an_error() -> None:
    """One sentence that says how to start one, and status 1; so without a file."""
    if find_demo() is not None:
        pytest.skip("a demo is up on this machine")
    done = run("local.demo.upload", str(SAMPLES / "cat.webp"))
    assert done.returncode == 1
    assert done.stderr == "No demo is up. Start one in another terminal: make demo KEEP=1\n"
    assert "which image? make upload FILE=" in run("local.demo.upload").stderr
    with pytest.raises(OSError, match="refused"):
        upload("http://127.0.0.1:9", SAMPLES / "cat.webp")


# Without the real parts the demo runs in one process, and begins within a second.
ALONE = {**ENVIRON, "GOOGLE_CLOUD_PROJECT": "", "FAKE_GCS_SERVER": "/none"}


def test_a_demo_in_one_process_says_why_it_cannot_stay(tmp_path: Path) -> None:
    """And shows what gets no record, with the reason, under whatever name the person chose."""
    (tmp_path / "no picture.txt").write_text("text")
    (tmp_path / "empty.jpg").touch()
    arguments = ["--folder", str(tmp_path), "--named", "'no picture.txt' empty.jpg"]
    done = run("local.demo", *arguments, KEEP="1", FAKE_GCS_SERVER="/none")
    assert done.returncode == 1
    assert "KEEP=1 needs the full stack" in done.stdout
    assert "no picture.txt | no record: not an image\n" in done.stdout
    assert "empty.jpg | no record: an empty object\n" in done.stdout


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_window_ends_the_demo_in_order(signum: signal.Signals) -> None:
    """Nothing runs on, and nothing is left on the disk."""
    command = [sys.executable, "-m", "local.demo"]
    with subprocess.Popen(command, cwd=ROOT, env=ALONE, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        while "being described" not in demo.stdout.readline():
            assert demo.poll() is None
        children = psutil.Process(demo.pid).children(recursive=True)
        [logs] = {Path(f.path).parent for c in children for f in open_logs(c)}
        assert logs.is_dir()
        demo.send_signal(signum)
        assert demo.wait(20) == 128 + signum
    assert not [child for child in children if child.is_running()]
    assert not logs.exists()


def open_logs(process: psutil.Process) -> list[Any]:
    return [file for file in process.open_files() if file.path.endswith(".log")]
