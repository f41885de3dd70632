"""What FILE=... names, from the text to the program that `make` starts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.demo.names import images_below, objects_named, paths_named_in
from local.servers.function import ROOT

PLAIN, SPACED, QUOTED, PRICED, STARRED = (
    "a.jpg",
    "my photo.jpg",
    "it's.jpg",
    "$HOME $$x.jpg",
    "[1].jpg",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files with awkward names."""
    for name in (PLAIN, "b.jpg", SPACED, QUOTED, PRICED, STARRED):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(PLAIN, [PLAIN], id="plain"),
        pytest.param(SPACED, [SPACED], id="spaces"),
        pytest.param(QUOTED, [QUOTED], id="quote"),
        pytest.param(PRICED, [PRICED], id="dollar"),
        pytest.param(STARRED, [STARRED], id="no-pattern"),
        pytest.param(f"b.jpg  {PLAIN}", ["b.jpg", PLAIN], id="two"),
        pytest.param(f"'{SPACED}' b.jpg", [SPACED, "b.jpg"], id="quoted"),
        pytest.param(r"my\ photo.jpg b.jpg", [SPACED, "b.jpg"], id="escaped"),
        pytest.param("[a-b].jpg nope*", [PLAIN, "b.jpg", "nope*"], id="patterns"),
    ],
)
def test_a_text_names_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]
) -> None:
    """The whole text first, else its words; relative to the person's folder, or to ours."""
    assert paths_named_in(text, folder) == [folder / name for name in names]
    monkeypatch.chdir(folder)
    assert paths_named_in(text) == [Path(name) for name in names]


def test_what_is_not_in_the_persons_folder_is_looked_for_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is the home folder's sign, which not every shell reads inside FILE=~/..."""
    (folder / "other").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert paths_named_in(PLAIN, folder / "other") == [Path(PLAIN)]
    assert paths_named_in(f"~/{SPACED}") == [folder / SPACED]


def test_a_folder_stands_for_the_images_below_it(tmp_path: Path) -> None:
    """In order, whatever else is there; hidden ones, as thumbnails are, are left out."""
    names = ["a/b/2.PNG", "a/1.jpg", "a/.thumbnails/1.jpg", "a/.1.jpg", "a/notes.txt", "z.webp"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    given = [tmp_path / name for name in ("z.webp", "a", "empty", "nope")]
    found = [str(path.relative_to(tmp_path)) for path in images_below(given)]
    assert found == ["z.webp", "a/1.jpg", "a/b/2.PNG", "empty", "nope"]


def test_objects_of_a_folder_keep_its_name(tmp_path: Path) -> None:
    """A file has its own name alone; a folder's stands before all that is in it."""
    for name in ("holiday/a.jpg", "holiday/my beach/b.PNG", "holiday/notes.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    named = objects_named([tmp_path / "holiday" / "my beach" / "..", tmp_path / "c.txt"])
    assert list(named) == ["holiday/a.jpg", "holiday/my beach/b.PNG", "c.txt"]
    assert all(file.exists() for file in named.values())


def test_two_files_are_never_one_object(tmp_path: Path) -> None:
    """One would be written over by the other, unseen; the same one named twice is one."""
    for name in ("a/x.jpg", "b/x.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    paths = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    assert len(objects_named([paths[0], paths[0], tmp_path / "b"])) == 2
    with pytest.raises(FileExistsError, match=r"a/x\.jpg and .*b/x\.jpg would both be .* x\.jpg"):
        objects_named(paths)


def test_a_name_that_no_object_can_have_is_told(tmp_path: Path) -> None:
    """Names of files are bytes, those of objects are Unicode."""
    file = tmp_path / os.fsdecode(b"\xff.jpg")
    try:
        file.touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(OSError, match="not Unicode"):
        objects_named([file])


def test_an_open_quote_is_told(folder: Path) -> None:
    """Rather than a traceback of the parser's."""
    with pytest.raises(FileNotFoundError, match=r"it's no\.jpg: no such file.*quotation"):
        paths_named_in("it's no.jpg", folder)


@pytest.mark.parametrize("name", [SPACED, QUOTED, PRICED, '"q" `id`.jpg'])
def test_make_hands_names_on_as_they_are(tmp_path: Path, name: str) -> None:
    """Neither make nor its shell reads anything into them, also from another folder."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / name).write_bytes(b"no picture")
    make = ["make", "--no-print-directory", "-C", str(ROOT), f"VENV={sys.prefix}"]
    unset = dict.fromkeys(("GOOGLE_CLOUD_PROJECT", "OPENAI_BASE_URL"), "")
    done = subprocess.run(
        [*make, "-o", f"{sys.prefix}/.ready", "describe", f"FILE={name}"],
        cwd=tmp_path,
        env={**os.environ, **unset, "MAKEFLAGS": "", "PWD": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "unreadable" in done.stderr
