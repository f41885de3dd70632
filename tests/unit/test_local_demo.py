"""What the demo chooses, shows and records."""

import asyncio
import datetime as dt
import html
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console
from rich.style import Style
from rich.text import Text

from describer.errors import BucketError, ObjectGoneError
from describer.images.room import Buffer
from describer.values import Upload
from local.demo.recording import Recording
from local.demo.records import View, view_of
from local.demo.screen import Picture, blocks, rows_for, summary, thumbnail
from local.servers.bucket import SAMPLES, LocalFiles, images_in, upload_url
from local.servers.choice import choose_model
from local.servers.function import ROOT
from local.standin.samples import NOTE, texts_by_digest

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


@pytest.mark.parametrize("project", ["", "p"])
def test_the_stand_in_is_chosen_without_credentials(tmp_path: Path, project: str) -> None:
    """No project or no file means no real model, and the line says so."""
    environ = {"CLOUDSDK_CONFIG": str(tmp_path), "GOOGLE_CLOUD_PROJECT": project}
    choice = choose_model(environ)
    assert choice.kind == "stand-in"
    assert "sees nothing" in choice.line
    assert choice.env("http://s/v1")["OPENAI_BASE_URL"] == "http://s/v1"


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


def rendered(shown: object, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_long_text_shows_its_end_while_it_grows() -> None:
    """The newest words stay visible in few rows; the whole text is there at the end."""
    words = " ".join(f"word{number}" for number in range(100))
    views = {"a.jpg": View(state="PROCESSING", text=words, attempt=1)}
    pictures = [Picture("a.jpg", NOW, ())]
    growing = rendered(blocks(pictures, views, rows=3))
    assert "word99" in growing
    assert "word0 " not in growing
    assert "word0 " in rendered(blocks(pictures, views, rows=3, whole=True))


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
