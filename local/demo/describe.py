"""`make describe FILE=photo.jpg`: describe local images with the function's own prompt and model.

python -m local.demo.describe FILE_OR_FOLDER...

The settings are the function's (PROMPT, DESCRIPTION_LANGUAGE, MODEL, PROFILES, ...); nothing is
stored. Ends with 0 if every image was described, 1 otherwise.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from google.auth.exceptions import GoogleAuthError
from rich.console import Console
from rich.text import Text

from describer.build import build_model
from describer.delivery.event import read_upload
from describer.errors import (
    DescriberError,
    ModelTimeoutError,
    PermanentError,
    TransientError,
)
from describer.images.image import Image
from describer.images.loading import Images
from describer.model.description import Accumulator, Description, describe
from describer.model.port import Model
from describer.model.prompt import Instructions, instructions_for
from describer.settings import Settings
from local.demo.names import paths_named_in
from local.demo.site import event_for
from local.servers.bucket import LocalFiles, images_in
from local.servers.choice import ModelChoice, choose_model
from local.servers.model import start_standin
from local.servers.processes import StartError, wait_ready
from local.servers.stack import STANDIN_FIRST_SECONDS, STANDIN_PACE_SECONDS


def main() -> int:
    """Describe what the command line names; give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo.describe", description="Describe local images; store nothing."
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--named", default="", help="files in one text, as in FILE=... for make")
    parser.add_argument("--folder", type=Path, default=Path(), help="where those names are")
    options = parser.parse_args()
    if not options.files and not options.named.strip():
        parser.error("which image? make describe FILE=photo.jpg")
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        named = paths_named_in(options.named, options.folder) if options.named.strip() else []
        files = images_in([*options.files, *named])
        model = choose_model()
        errors.print(Text.assemble(("Model", "bold"), f": {model.line}."), soft_wrap=True)
        with _settings(model) as settings:
            failed = asyncio.run(_describe_all(files, settings, console, errors))
    except KeyboardInterrupt:
        errors.print("\nStopped.")
        return 130
    except (OSError, DescriberError, GoogleAuthError, StartError) as error:
        # google-auth gives some of its errors two arguments, of which the first is the sentence.
        sentence = error.args[0] if isinstance(error, GoogleAuthError) else error
        errors.print(Text(str(sentence), "red"), soft_wrap=True)
        return 1
    return 1 if failed else 0


@contextlib.contextmanager
def _settings(model: ModelChoice) -> Iterator[Settings]:
    with contextlib.ExitStack() as cleanup:
        url = ""
        if model.kind == "stand-in":
            standin = start_standin(pace=STANDIN_PACE_SECONDS / 4, first=STANDIN_FIRST_SECONDS / 4)
            cleanup.callback(standin.stop)
            wait_ready(standin)
            url = standin.base_url
        yield Settings.from_env({**os.environ, **model.env(url), "IMAGE_INPUT": "inline"})


async def _describe_all(
    files: list[Path], settings: Settings, console: Console, errors: Console
) -> int:
    """Describe one file after the other; give how many failed."""
    objects = {str(file): file for file in files}
    images = Images(settings, LocalFiles(objects))
    model = build_model(settings)
    async with contextlib.AsyncExitStack() as cleanup:
        cleanup.push_async_callback(model.close)
        failed = await _each(objects, settings, images, model, console=console, errors=errors)
    if len(files) > 1:
        console.print(f"{len(files) - failed} of {len(files)} described.")
    return failed


async def _each(
    objects: dict[str, Path],
    settings: Settings,
    images: Images,
    model: Model,
    *,
    console: Console,
    errors: Console,
) -> int:
    failed = 0
    for name, file in objects.items():
        console.print(Text(name, "bold"))
        try:
            await _describe_one(name, file, settings, images, model, console=console)
        except (PermanentError, TransientError) as error:
            failed += 1
            word = error.outcome if isinstance(error, PermanentError) else "failed for now"
            errors.print(Text(f"{word}: {error}\n", "red"), soft_wrap=True)
    return failed


async def _describe_one(
    name: str, file: Path, settings: Settings, images: Images, model: Model, *, console: Console
) -> None:
    instructions = instructions_for(name, settings)
    upload = read_upload(*event_for(file, name))
    images.check(upload)
    begun = time.monotonic()
    first: float | None = None
    shown = ""

    def show(text: str) -> None:
        nonlocal shown
        console.file.write(text.removeprefix(shown))
        console.file.flush()
        shown = text

    def on_text(text: Accumulator) -> None:
        nonlocal first
        first = time.monotonic() if first is None else first
        show(text.text)

    try:
        async with images.room_for(upload) as share:
            image = await images.load(upload, share)
            description = await _in_time(model, instructions, image, on_text, settings)
        show(description.text)
    finally:
        if shown:
            console.print()
    spent = time.monotonic() - begun
    after = f", first text after {first - begun:.1f} s" if first else ""
    console.print(Text(f"{_outcome(description)} in {spent:.1f} s{after}\n", "dim"))


async def _in_time(
    model: Model,
    instructions: Instructions,
    image: Image,
    on_text: Callable[[Accumulator], None],
    settings: Settings,
) -> Description:
    try:
        async with asyncio.timeout(settings.stream_timeout_seconds):
            return await describe(model, instructions, image, on_text=on_text)
    except TimeoutError as error:
        limit = settings.stream_timeout_seconds
        raise ModelTimeoutError(f"not done within STREAM_TIMEOUT_SECONDS of {limit:g}") from error


def _outcome(description: Description) -> str:
    usage = description.usage
    if usage is None:
        return description.outcome
    return (
        f"{description.outcome}, {usage.prompt_tokens} + {usage.completion_tokens} tokens"
        f" ({usage.total_tokens} in all)"
    )


if __name__ == "__main__":
    sys.exit(main())
