"""What comes of a folder of images that nobody here made: every outcome counted.

    python -m benchmarks.corpus FOLDER...

Reads each file as the function would for a server that takes JPEG and PNG only, without asking a
model. Names what failed and why, and what took long. A crash of ours ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from describer.errors import PermanentError, TransientError
from describer.images.formats import likely_image_type
from describer.images.loading import Images
from describer.images.memory import MemoryBucket
from describer.settings import Settings
from describer.values import Upload

_LONG_SECONDS = 5.0


async def _outcome(images: Images, upload: Upload) -> tuple[str, str]:
    if likely_image_type(upload) == "":
        return "skipped", "its name is none of an image"
    try:
        images.check(upload)
        async with images.room_for(upload) as share:
            image = await images.load(upload, share)
            return ("converted" if image.converted else "as it is"), image.converted or ""
    except PermanentError as exc:
        return exc.outcome, str(exc)
    except TransientError as exc:
        return "retry", str(exc)


async def _run(files: list[Path]) -> None:
    objects = {"": b""}
    settings = Settings.from_env({"OPENAI_BASE_URL": "http://localhost/v1", "MODEL": "none"})
    images, found = Images(settings, MemoryBucket(objects)), Counter[str]()
    for file in files:
        content = file.read_bytes()
        objects.clear()
        objects[str(file)] = content
        upload = Upload("corpus", str(file), 1, "", len(content), "e")
        began = time.monotonic()
        outcome, words = await _outcome(images, upload)
        seconds = time.monotonic() - began
        found[outcome] += 1
        if outcome not in {"converted", "as it is", "skipped"} or seconds > _LONG_SECONDS:
            print(f"{outcome}, {seconds:.1f} s  {file}: {words[:160]}")
    images.close()
    print(", ".join(f"{count} {outcome}" for outcome, count in found.most_common()))


def main() -> None:
    """Go through all files below the folders."""
    files = [file for name in sys.argv[1:] for file in sorted(Path(name).rglob("*"))]
    asyncio.run(_run([file for file in files if file.is_file() and file.stat().st_size]))


if __name__ == "__main__":
    main()
