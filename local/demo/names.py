"""The paths in FILE=..., which `make` hands on as one text."""

import glob
import shlex
from pathlib import Path

from local.servers.bucket import is_image


def paths_named_in(text: str, folder: Path = Path()) -> list[Path]:
    """Give one path where the whole text is one that exists, else each that a shell would see.

    So `my photo.jpg` needs no quotes, and `"my photo.jpg" holiday *.png` names several. Whether
    they exist is for `images_in` to say.

    Args:
        text: as typed, the quotes in it included.
        folder: where the person is; relative names are looked for there, then here.

    Raises:
        FileNotFoundError: a quote stays open, and no file has that name.
    """
    if (whole := _place(text, folder)).exists():
        return [whole]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise FileNotFoundError(f"{text}: no such file or folder; {error}.") from error
    return [path for word in words for path in _matching(_place(word, folder))]


def images_below(paths: list[Path]) -> list[Path]:
    """Give in place of each folder the images in it and in the folders below, hidden ones left out.

    A folder without images stays, for `images_in` to tell.
    """
    return [found for path in paths for found in _below(path) or [path]]


def _below(path: Path) -> list[Path]:
    inside = path.rglob("*") if path.is_dir() else ()
    return sorted(
        found
        for found in inside
        if not any(part.startswith(".") for part in found.relative_to(path).parts)
        and is_image(found)
    )


def _place(word: str, folder: Path) -> Path:
    path = Path(word).expanduser()
    there = folder / path
    return path if path.exists() and not there.exists() else there


def _matching(path: Path) -> list[Path]:
    found = [] if path.exists() else sorted(glob.glob(str(path)))
    return [Path(name) for name in found] or [path]
