"""The paths in FILE=..., which `make` hands on as one text."""

import glob
import shlex
from pathlib import Path

from local.servers.bucket import images_in, is_image


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


def objects_named(paths: list[Path]) -> dict[str, Path]:
    """Give the files that these paths stand for, by the names that their objects get.

    A file has its own name; an image in a folder or below it has the folder's before its place
    there, as in `holiday/beach/a.jpg`.

    Raises:
        OSError: a path that is not there, a folder without images, two objects of one name, or a
            name that no object can have.
    """
    objects: dict[str, Path] = {}
    for path in paths:
        for file in images_in(images_below([path])):
            inside = path.resolve().name / file.relative_to(path)
            name = inside.as_posix() if path.is_dir() else path.name
            if name.encode(errors="ignore").decode() != name:
                raise OSError(f"{name!a}: not Unicode, as an object's name must be.")
            if objects.setdefault(name, file).resolve() != file.resolve():
                raise FileExistsError(
                    f"{objects[name]} and {file} would both be the object {name};"
                    " upload one after the other, or name their folder."
                )
    return objects


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
