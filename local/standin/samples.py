"""Descriptions of the sample images, written by hand, which the stand-in replays on demand.

It does so under a model name of its own, and refuses that name for any other bytes: a record that
says `sample-text-by-hand` holds such a text.
"""

import functools
import glob
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

BY_HAND = "sample-text-by-hand"
NOTE = "Texts of the samples were written by hand; the stand-in replays them."
SAMPLES = Path(__file__).resolve().parents[1] / "demo" / "samples"


@functools.cache
def texts_by_digest() -> Mapping[str, str]:
    """Give the text beside each sample, by `sha256:...` of the sample's bytes."""
    return {
        digest(path.read_bytes()): path.with_suffix(".txt").read_text(encoding="utf-8").strip()
        for path in _images()
    }


def profiles_for(files: Mapping[str, Path]) -> str:
    """Give PROFILES that ask for the texts by hand where a file is a sample, by its bytes.

    Args:
        files: by object name.

    Returns:
        The setting; empty where no file is one.
    """
    sizes = {path.stat().st_size for path in _images()}
    found = [
        {"pattern": glob.escape(name), "model": BY_HAND}
        for name, file in files.items()
        if file.stat().st_size in sizes and digest(file.read_bytes()) in texts_by_digest()
    ]
    return json.dumps(found) if found else ""


def digest(image: bytes) -> str:
    """Give `sha256:...` in hexadecimal."""
    return f"sha256:{hashlib.sha256(image).hexdigest()}"


def _images() -> list[Path]:
    return [path for path in SAMPLES.iterdir() if path.suffix not in {".txt", ".md"}]
