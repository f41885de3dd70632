"""What the demo chooses, shows and records."""

import asyncio
import datetime as dt
import html
import io
import json
import re
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from describer.errors import BucketError, ObjectGoneError, SettingsError
from describer.images.room import Buffer
from describer.values import Upload
from local.demo.__main__ import Screen, news
from local.demo.recording import Recording
from local.demo.records import Unrecorded, View, newest, view_of
from local.demo.screen import Picture, cards, rows_for, shows_colours, summary, thumbnail
from local.servers.bucket import SAMPLES, images_in, upload_url
from local.servers.choice import ModelChoice, choose_model
from local.servers.function import ROOT
from local.servers.processes import LOOPBACK
from local.standin.samples import NOTE, texts_by_digest
from operate.listener import Listener
from operate.quality.files import LocalFiles

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    """A file where application default credentials could be."""
    file = tmp_path / "application_default_credentials.json"
    file.write_text("{}")
    return str(tmp_path)


def test_a_named_server_is_chosen_first(credentials: str) -> None:
    """OPENAI_BASE_URL wins over credentials, and is left to the function as it is."""
    environ = {"OPENAI_BASE_URL": "http://x/v1", "CLOUDSDK_CONFIG": credentials, "MODEL": "m"}
    choice = choose_model({**environ, "GOOGLE_CLOUD_PROJECT": "p"})
    assert choice.kind == "server"
    assert choice.line.startswith("m at http://x/v1")
    assert "OPENAI_BASE_URL" not in choice.env()


def test_vertex_is_chosen_with_credentials_and_project(credentials: str) -> None:
    """It gets bytes, since it cannot read a local bucket, and the line says that it costs."""
    choice = choose_model({"CLOUDSDK_CONFIG": credentials, "GOOGLE_CLOUD_PROJECT": "p"})
    assert choice.kind == "vertex"
    assert choice.env() == {"GOOGLE_CLOUD_PROJECT": "p", "IMAGE_INPUT": "inline"}
    assert "billed" in choice.line


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "For a real one set OPENAI_BASE_URL, or GOOGLE_CLOUD_PROJECT after `gcloud"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, "PROJECT is set, but nobody is logged in for it: `gcloud"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, "CREDENTIALS names no file (/nowhere)"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": __file__}, "for Vertex AI set GOOGLE_CLOUD_PROJECT"),
    ],
)
def test_the_stand_in_is_chosen_for_want_of_a_real_one(
    tmp_path: Path, environ: dict[str, str], missing: str
) -> None:
    """No project or no file means no real model, and the line says which of them is missing."""
    choice = choose_model({"CLOUDSDK_CONFIG": str(tmp_path), **environ})
    assert choice.kind == "stand-in"
    assert "sees nothing. " in choice.line
    assert missing in choice.line
    assert choice.env("http://s/v1") == {
        "GOOGLE_CLOUD_PROJECT": "demo-describer",
        "OPENAI_BASE_URL": "http://s/v1",
        "OPENAI_API_KEY": "",
        "MODEL_SERVER": "gemini",
        "MODEL": "stand-in",
        "IMAGE_INPUT": "inline",
    }


def test_the_stand_in_takes_the_settings_of_the_function(tmp_path: Path) -> None:
    """Name of the model, profiles, and how images reach it, where it can read the bucket."""
    environ = {
        "CLOUDSDK_CONFIG": str(tmp_path),
        "MODEL": "gpt-5",
        "IMAGE_INPUT": "uri",
        "BUCKETS": "uploads,others",
        "PROFILES": '[{"pattern": "*", "model": "m"}]',
    }
    choice = choose_model(environ, bucket="uploads", by_uri=True)
    assert "under the name gpt-5 (MODEL)" in choice.line
    env = choice.env("http://s/v1")
    assert env["MODEL"] == "gpt-5"
    assert not env.keys() & {"PROFILES", "IMAGE_INPUT", "BUCKETS", "PROMPT"}
    assert choice.notes == ()
    assert choice.replaying({"cat.webp": SAMPLES / "cat.webp"}) == choice
    unread = choose_model(environ)
    assert unread.env()["IMAGE_INPUT"] == "inline"
    assert unread.notes == (
        "IMAGE_INPUT=uri needs a bucket that the model can read; bytes are sent",
    )


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"BUCKETS": "others"}, "the bucket here is `uploads`"),
        ({"DESCRIPTION_LANGUAGE": "en_US:en"}, "expected BCP-47 tags"),
        ({"OPENAI_BASE_URL": "localhost"}, "expected an http or https URL"),
        ({"LOG_LEVEL": "trace", "MAX_ATTEMPTS": "0"}, "2 setting"),
    ],
    ids=str,
)
def test_what_the_function_would_refuse_is_refused_before_anything_starts(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    """A function that does not start, or skips every upload, tells it only in its log."""
    with pytest.raises(SettingsError, match=words):
        choose_model({"CLOUDSDK_CONFIG": str(tmp_path), **environ}, bucket="uploads")


@pytest.mark.parametrize(
    "prompt",
    [
        "$P$G",
        "$p$g",
        "$T $P$_$G ",
        "%m%# ",
        "%n@%m %1~ %# ",
        "%F{green}%n%f in %~ %# ",
        "%(?:%{\x1b[32m%}> :%{\x1b[31m%}> )",
    ],
)
def test_the_prompt_of_a_shell_is_not_the_model_s(tmp_path: Path, prompt: str) -> None:
    """cmd.exe exports its own as PROMPT, and so do some set-ups of zsh."""
    choice = choose_model({"CLOUDSDK_CONFIG": str(tmp_path), "PROMPT": prompt})
    assert choice.env()["PROMPT"] == ""
    assert choice.notes == ("PROMPT looks like a shell's own, and is not used",)


@pytest.mark.parametrize(
    "prompt",
    ["Say what it costs in $, and how many % of it is sky.", "100%new? 50 %m", "{%name} $Price"],
)
def test_a_prompt_for_the_model_is_kept(tmp_path: Path, prompt: str) -> None:
    """Money and shares may be asked for."""
    choice = choose_model({"CLOUDSDK_CONFIG": str(tmp_path), "PROMPT": prompt})
    assert ("PROMPT" in choice.env()) is ("50 %m" in prompt)


class _Models(BaseHTTPRequestHandler):
    """Answers with what its class is given."""

    status, content_type, body = 200, "application/json", b""
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers["authorization"])
        self.send_response(self.status if self.path == "/v1/models" else 404)
        self.send_header("content-type", self.content_type)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


def models(
    body: bytes, status: int = 200, content_type: str = "application/json", **environ: str
) -> ModelChoice:
    """Choose where a server gives this answer to the question for its models."""
    answer = {"status": status, "content_type": content_type, "body": body}
    with HTTPServer((LOOPBACK, 0), type("Answer", (_Models,), answer)) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://{LOOPBACK}:{server.server_port}/v1"
        return choose_model({"OPENAI_BASE_URL": url, **environ})


def listed(*names: str) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


def test_a_server_that_serves_one_model_need_not_be_told_which() -> None:
    """It is asked, with its key, and the line says so."""
    _Models.asked.clear()
    choice = models(listed("qwen3-vl:8b"), OPENAI_API_KEY="sk-1")
    assert choice.env()["MODEL"] == "qwen3-vl:8b"
    assert choice.line.startswith("qwen3-vl:8b at http://127.0.0.1:")
    assert choice.line.endswith("/v1 (OPENAI_BASE_URL, which serves no other)")
    assert _Models.asked == ["Bearer sk-1"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((listed("a", "b\x1b]0;c"),), "MODEL is not set, and .* serves 2 models: a, b]0;c$"),
        ((listed(*(f"m{n}" for n in range(99))),), "serves 99 models: m0, .*, m29, ...$"),
        ((listed(),), "serves 0 models$"),
        ((listed("a model"),), "MODEL='a model': expected a model id without spaces"),
        ((b"{}", 401), "/models answered 401: OPENAI_API_KEY is not set$"),
        ((b"{}", 404), "answered 404 with application/json, no list of models$"),
        ((b"<!DOCTYPE html>", 200, "text/html"), "answered 200 with text/html, no list"),
        ((b'{"data": 5}',), "no list of models"),
    ],
    ids=str,
)
def test_a_server_that_does_not_say_which_needs_a_model(
    answer: tuple[Any, ...], words: str
) -> None:
    """The names to choose from, or what it answered instead."""
    with pytest.raises(SettingsError, match=words):
        models(*answer)


def test_a_refused_key_and_a_dead_server_are_named() -> None:
    """Each in a sentence."""
    with pytest.raises(SettingsError, match="OPENAI_API_KEY was refused"):
        models(b"{}", 401, OPENAI_API_KEY="sk-1")
    with pytest.raises(SettingsError, match=r"the server does not answer: GET http://127.0.0.1:9/"):
        choose_model({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})


def test_a_folder_gives_its_images(tmp_path: Path) -> None:
    """In order of names, without other files; an empty or missing one is an error that names it."""
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in images_in([tmp_path])] == ["a.png", "b.JPG"]
    with pytest.raises(FileNotFoundError, match="nope"):
        images_in([tmp_path / "nope"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images"):
        images_in([tmp_path / "empty"])


def test_an_upload_address_keeps_the_whole_name() -> None:
    """Slashes, question marks and the like are part of the name, not of the address."""
    assert upload_url("http://h", "a/b ?&#ü", "b").endswith("name=a%2Fb%20%3F%26%23%C3%BC")


def test_local_files_read_as_objects(tmp_path: Path) -> None:
    """A local file has its bytes; one that was not named is not found."""
    (tmp_path / "x").write_bytes(b"content")
    files = LocalFiles({"x": tmp_path / "x", "y": tmp_path / "y"})

    def read(name: str, room: int) -> tuple[bool, bytes]:
        buffer = Buffer(room)
        upload = Upload("b-b", name, 1, "image/png", None, "e")
        return asyncio.run(files.read(upload, buffer)), buffer.head(room)

    assert read("x", 7) == (True, b"content")
    assert read("x", 6) == (False, b"conten")
    with pytest.raises(BucketError):
        read("y", 7)
    with pytest.raises(ObjectGoneError):
        read("z", 7)


def test_a_view_tells_partial_from_finished() -> None:
    """Before the record there is nothing; then the partial text; then the description."""
    assert view_of(None) == View()
    partial = view_of({"partialText": "A c", "status": {"state": "PROCESSING", "attempt": 2}})
    assert (partial.text, partial.attempt, partial.finished) == ("A c", 2, False)
    done = view_of({"description": "A cat.", "status": {"state": "COMPLETED"}})
    assert (done.text, done.finished) == ("A cat.", True)


NASTY = "a\x1b]0;title\x07\x9b2J\nb.jpg"


def test_nothing_in_a_record_commands_the_terminal() -> None:
    """Neither the model's text, nor words of a server, nor an object's name."""
    fields = {
        "description": "A \x1b[31mcat\x1b[0m.\x07\nSecond\tline.",
        "status": {"state": "ERRORED", "outcome": "x\x1b", "message": "no\x1b[2J\nroom"},
    }
    view = view_of(fields)
    assert view.text == "A [31mcat[0m.\nSecond\tline."
    assert (view.outcome, view.message) == ("x", "no[2J room")
    pictures = [Picture(NASTY, NOW)]
    shown = [
        rendered(cards(pictures, {NASTY: view}, rows=1)),
        rendered(cards(pictures, {NASTY: view}, rows=4)),
        rendered(summary(pictures, {NASTY: view})),
        *news(NASTY, View(), view)[0],
    ]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "".join(shown).replace("\t", ""))
    assert all("a]0;title2J b.jpg" in text for text in shown)


def test_plain_lines_are_whole_sentences() -> None:
    """On a pipe each is told once it has ended, the last one with the record."""
    grown = [
        "A cat",
        "A cat of 3.",
        "A cat of 3.5 kg sleeps. It",
        "A cat of 3.5 kg sleeps. It snores",
    ]
    told, lines = View(), []
    for text in grown:
        now = View(state="PROCESSING", text=text, attempt=1)
        said, told = news("a.jpg", told, now)
        lines += said
    done = View(state="COMPLETED", outcome="described", text=f"{grown[-1]}\nloudly!", attempt=1)
    said, told = news("a.jpg", told, done)
    assert [*lines, *said, *news("a.jpg", told, done)[0]] == [
        "a.jpg | being described",
        "a.jpg | A cat of 3.5 kg sleeps.",
        "a.jpg | It snores loudly!",
        "a.jpg | described",
    ]


def test_a_text_begun_anew_is_told_anew() -> None:
    """What an attempt said that broke is not what the next one says."""
    _, told = news("a", View(), View(state="PROCESSING", text="A cat. And", attempt=1))
    again, _ = news("a", told, View(state="PROCESSING", text="One dog. Two", attempt=2))
    assert again == ["a | being described, attempt 2", "a | One dog."]


def test_the_log_tells_of_uploads_without_a_record(tmp_path: Path) -> None:
    """Read on from where it ended; the reason stands where the text would, if it is the newer."""
    log = tmp_path / "log"
    skipped = Unrecorded(log)
    assert skipped.records() == {}
    line = {"message": "delivery", "outcome": "skipped", "cause": "not an image"}
    line |= {"object_name": "a", "generation": "7"}
    text = json.dumps(line) + "\n" + json.dumps({**line, "outcome": "described"}) + "\n"
    log.write_text("booting\n" + text[:20])
    assert skipped.records() == {}
    log.write_text("booting\n" + text)
    malformed = {"message": "delivery", "outcome": "malformed", "cause": "no name"}
    with log.open("a") as file:
        file.write(json.dumps(malformed) + "\n")
    found = skipped.records()
    view = view_of(found["a"])
    assert (view.outcome, view.message) == ("skipped", "no record: not an image")
    assert view.finished
    assert view_of(found["an event"]).outcome == "malformed"
    old, new = {"name": "a", "generation": 6}, {"name": "a", "generation": 8}
    assert newest({"a": old}, found)["a"] == found["a"]
    assert newest({"a": new}, found)["a"] == new


def on_screen(console: Console, count: int) -> Screen:
    """Show so many pictures, whose texts are long, on this console."""
    text = " ".join(f"word{number}" for number in range(60)) + "."
    view = View(state="PROCESSING", text=text, attempt=1)
    screen = Screen(console)
    screen.pictures = [Picture(f"photo-{number:02}.jpg", NOW) for number in range(count)]
    views = {picture.name: view for picture in screen.pictures}
    with screen.growing():
        screen.show(views)
        screen.show({name: replace(view, state="COMPLETED") for name in views})
    return screen


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(("height", "rows"), [(24, 1), (50, 2)])
def test_twenty_at_once_are_readable(width: int, height: int, rows: int) -> None:
    """Each has its name, its state and the newest words, and all of them are on the screen."""
    text = " ".join(f"word{number}" for number in range(60)) + "."
    pictures = [Picture(f"holiday/beach-{number:02}.jpg", NOW) for number in range(20)]
    views = {p.name: View(state="PROCESSING", text=text, attempt=1) for p in pictures}
    console = Console(file=io.StringIO(), width=width, height=height)
    assert rows_for(console, 20) == rows
    lines = rendered(cards(pictures, views, rows=rows), width).splitlines()
    assert len(lines) == 20 * rows <= height - 2
    assert max(map(cell_len, lines)) <= width
    for number, picture in enumerate(pictures):
        card = " ".join(lines[number * rows : (number + 1) * rows])
        assert picture.name in card
        assert "describing" in card
        assert "word59. ▌" in card


def test_more_than_fit_leave_the_screen_when_they_are_done() -> None:
    """The oldest are left above, whole, so that none is lost; the rest stays in place."""
    output = io.StringIO()
    console = Console(file=output, width=80, height=12, force_terminal=True)
    on_screen(console, 14)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())
    whole = [name for name in re.findall(r"photo-\d\d", text) if f"{name}.jpg  ✓" in text]
    assert "word0 " in text
    assert set(whole) >= {"photo-10", "photo-11", "photo-12", "photo-13"}


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_gets_plain_lines(environ: dict[str, str]) -> None:
    """It cannot move its cursor: no escape sequence reaches it."""
    output = io.StringIO()
    console = Console(file=output, width=80, height=24, force_terminal=True, _environ=environ)
    on_screen(console, 2)
    assert "\x1b" not in output.getvalue()
    assert "photo-01.jpg | being described\n" in output.getvalue()


def test_without_colours_there_are_no_thumbnails() -> None:
    """They would be blocks of one colour."""
    colours = {"TERM": "xterm-256color"}
    assert shows_colours(Console(force_terminal=True, _environ=colours))
    assert not shows_colours(Console(force_terminal=True, _environ={**colours, "NO_COLOR": "1"}))


def rendered(shown: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_long_text_shows_its_end_while_it_grows() -> None:
    """The newest words stay visible in few rows; the whole text is there at the end."""
    words = " ".join(f"word{number}" for number in range(100))
    views = {"a.jpg": View(state="PROCESSING", text=words, attempt=1)}
    pictures = [Picture("a.jpg", NOW, ())]
    growing = rendered(cards(pictures, views, rows=3))
    assert "word99" in growing
    assert "word0 " not in growing
    assert "word0 " in rendered(cards(pictures, views, rows=3, whole=True))


def test_every_picture_fits_on_the_screen() -> None:
    """Blocks shrink with the terminal's height, down to three rows."""
    tall, low = (Console(file=io.StringIO(), height=height) for height in (60, 24))
    assert rows_for(tall, 5) == 7
    assert rows_for(low, 5) == 3


def test_the_table_gives_times_since_the_upload() -> None:
    """First text and end are counted from the upload, in seconds."""
    view = View(
        state="COMPLETED",
        outcome="described",
        text="A cat.",
        attempt=1,
        first_text_at=NOW + dt.timedelta(seconds=1.5),
        completed_at=NOW + dt.timedelta(seconds=4),
        total_tokens=12,
    )
    row = rendered(summary([Picture("a.jpg", NOW, ())], {"a.jpg": view})).splitlines()[-1]
    assert row.split() == [
        "a.jpg",
        "COMPLETED",
        "described",
        "1",
        "1.5",
        "s",
        "4.0",
        "s",
        "2",
        "12",
    ]


def test_a_thumbnail_has_the_pictures_colours(tmp_path: Path) -> None:
    """Each row is one line of half blocks; what is no picture has none."""
    art = thumbnail(SAMPLES / "rocket.jpg", rows=4, columns=10)
    assert [row.plain for row in art] == ["▀" * 10] * 4
    (tmp_path / "x").write_bytes(b"no picture")
    assert thumbnail(tmp_path / "x") == ()


def test_a_recording_is_one_small_film() -> None:
    """Each piece of text is drawn once, and what stays to the end shows without animation."""
    recording = Recording()
    for text in ("first <&>", "first <&>", "second"):
        recording.add(Text.assemble(("stays", "bold"), "\n", text))
    svg = recording.svg()
    ET.fromstring(svg)
    assert svg.count(">stays<") == svg.count("first &lt;&amp;&gt;") == svg.count(">second<") == 1
    assert re.search(r'class="end t\d+"><text[^>]*>second<', svg)
    assert re.search(r'class="t t\d+"><text[^>]*>first', svg)


def test_a_recording_draws_thumbnails_without_gaps() -> None:
    """Half blocks are drawn as lines, one path for colours that are nearly the same."""
    recording = Recording()
    art = [
        ("▀", Style(color="#ff0000", bgcolor="#0000ff")),
        ("▀", Style(color="#fe0000", bgcolor="#0000fe")),
    ]
    recording.add(Text.assemble(*art, "\n", *art[:1]))
    svg = recording.svg()
    ET.fromstring(svg)
    assert "▀" not in svg
    paths = re.findall(r'<path stroke="(#\w+)" d="([^"]+)"/>', svg)
    places = {colour: re.findall(r"M(\d+ \d+)", line) for colour, line in paths}
    assert places == {"#f00": ["0 0", "0 2", "1 0"], "#00f": ["0 1", "0 3", "1 1"]}


def test_the_readmes_film_is_small_and_shows_whole_texts() -> None:
    """It fits a page, begins with pictures and words, and holds the samples' texts to the end."""
    file = ROOT / "docs" / "demo.svg"
    svg = file.read_text(encoding="utf-8")
    assert file.stat().st_size < 60_000
    _, _, width, height = map(int, ET.fromstring(svg).attrib["viewBox"].split())
    assert width <= 850
    assert height <= 600
    assert NOTE in svg
    # The first frame: five thumbnails stay all the time, and words are there from the beginning.
    assert re.search(r"@keyframes (\w+) { 0\.00% { visibility: visible", svg)
    still = "".join(re.findall(r'^<g(?: class="end \w+")?>.*', svg, re.MULTILINE))
    lines = re.findall(r'<text x="140\.4" y="(\d+)"[^>]*>([^<]*)<', still)
    shown = html.unescape(
        " ".join(line for _, line in sorted(lines, key=lambda line: int(line[0])))
    )
    assert all(text in shown for text in texts_by_digest().values())


class _Silent:
    """A collection whose listener stays open and hears nothing, as it was seen to do."""

    is_active = True
    id = "1"

    def on_snapshot(self, _: Any) -> "_Silent":
        return self

    def limit(self, _: int) -> "_Silent":
        return self

    def get(self, timeout: float) -> list["_Silent"]:
        return [self]

    def to_dict(self) -> dict[str, Any]:
        return {"name": "a.jpg"}


def test_a_silent_listener_is_not_believed() -> None:
    """The records are read, where nothing was heard for a while."""
    assert Listener(_Silent(), silent_seconds=60.0).documents() == {}
    assert Listener(_Silent(), silent_seconds=0.0).documents() == {"1": {"name": "a.jpg"}}
