"""`make describe FILE=photo.jpg`: describe local images with the function's own prompt and model.

python -m local.demo.describe [--jobs N] [--json] FILE_OR_FOLDER...

The settings are the function's (PROMPT, MODEL, PROFILES, ...), but for MODELS: nothing is tried
again. Nothing is stored. A folder stands for the images in it and below. Texts go to standard
output in the order of the files, all else to standard error. Ends with 0 if every image was
described, 1 otherwise.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.auth.exceptions import GoogleAuthError
from rich.console import Console
from rich.text import Text

from describer.build import build_model
from describer.delivery.event import read_upload, reason_to_skip
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
from describer.values import Usage
from local.demo.names import images_below, paths_named_in
from local.demo.plain import plain, plain_line
from local.demo.site import event_for
from local.servers.bucket import images_in
from local.servers.choice import ModelChoice, choose_model
from local.servers.model import start_standin
from local.servers.processes import StartError, wait_ready
from local.servers.stack import STANDIN_FIRST_SECONDS, STANDIN_PACE_SECONDS
from local.standin.samples import NOTE
from operate.quality.files import LocalFiles

JOBS = 4
# Whoever waits longer is told that something goes on.
_PATIENCE_SECONDS, _TICK_SECONDS = 2.0, 0.5
# For what the function would try again, which is no outcome of a record.
_FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """What came of one file.

    Attributes:
        outcome: as in the record; `skipped` for what the function would not record, `failed` for
            what it would try again.
        text: the description, or empty.
        message: why there is none.
        seconds: from the reading of the file to the end.
        first_seconds: until the first text, if any came.
        fields: what was asked for besides, by its name in the record.
    """

    file: str
    instructions: Instructions
    outcome: str
    text: str
    message: str
    usage: Usage | None
    seconds: float
    first_seconds: float | None
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self) -> str:
        """Give one line with the record's names; a failure has `message`, no `description`."""
        fields: dict[str, Any] = {"file": self.file, "outcome": self.outcome}
        fields |= {"message": self.message} if self.message else {"description": self.text}
        fields |= self.fields
        fields |= {"model": self.instructions.model, "language": self.instructions.language}
        if self.usage is not None:
            fields["usage"] = {
                "promptTokens": self.usage.prompt_tokens,
                "completionTokens": self.usage.completion_tokens,
                "totalTokens": self.usage.total_tokens,
            }
        return json.dumps({**fields, "seconds": round(self.seconds, 2)})

    def summary(self) -> str:
        """Say in one line how it ended."""
        if self.message:
            word = "failed for now" if self.outcome == _FAILED else self.outcome
            return f"{word}: {plain_line(self.message)}"
        told = self.outcome
        if self.usage is not None:
            sent, got = self.usage.prompt_tokens, self.usage.completion_tokens
            told += f", {sent} + {got} tokens ({self.usage.total_tokens} in all)"
        after = f", first text after {self.first_seconds:.1f} s" if self.first_seconds else ""
        return f"{told} in {self.seconds:.1f} s{after}"


class Output:
    """Texts to standard output; what is said about them, and how far it is, to standard error."""

    def __init__(self, files: int, *, as_json: bool) -> None:
        """Begin to count the seconds.

        Args:
            files: how many there will be.
            as_json: one object in a line for each, in place of words.
        """
        self._console = Console(highlight=False)
        self._errors = Console(stderr=True, highlight=False)
        self._files = files
        self._json = as_json
        self._began = time.monotonic()
        self._shown = ""
        self._waiting = False
        self.done = self.failed = 0

    def say(self, text: str, style: str = "") -> None:
        """Say something that is no description."""
        self.clear()
        self._errors.print(Text(text, style), soft_wrap=True)

    def grow(self, text: str) -> None:
        """Show what is new of an only text."""
        if self._files > 1 or self._json:
            return
        # Half an emoji reads so until its other half is there.
        new = text.rstrip("\ufffd").removeprefix(self._shown)
        self._write(new)
        self._shown += new

    def show(self, result: Result) -> None:
        """Show what came of one file, with its text where that was not live."""
        if self._json:
            self._write(result.as_json() + "\n")
            return
        name = plain_line(result.file) if self._files > 1 else ""
        if result.text or self._shown:
            self.clear()
            if name:
                self._console.print(Text(name, "bold"), soft_wrap=True)
            self._write(result.text.removeprefix(self._shown) + "\n")
            for key, value in result.fields.items():
                self._write(f"{key}: {json.dumps(value, ensure_ascii=False)}\n")
        failed = f"{name}: " if name and result.message else ""
        self.say(failed + result.summary() + "\n" * bool(name), "red" if result.message else "dim")

    def count(self) -> None:
        """Say in the end how many there are."""
        if self._files > 1:
            self.say(f"{self._files - self.failed} of {self._files} described.")

    async def tick(self) -> None:
        """Say on a terminal how far it is, again and again, until text is there to be seen."""
        await asyncio.sleep(_PATIENCE_SECONDS)
        while self._errors.is_terminal and not self._errors.is_dumb_terminal and not self._shown:
            line = f"Waiting for the model, {time.monotonic() - self._began:.0f} s"
            if self._files > 1:
                failed = f", {self.failed} of them failed" if self.failed else ""
                line += f": {self.done} of {self._files} done{failed}"
            self.clear()
            self._errors.file.write(line)
            self._errors.file.flush()
            self._waiting = True
            await asyncio.sleep(_TICK_SECONDS)

    def clear(self) -> None:
        """Remove the line that says how far it is."""
        if self._waiting:
            self._errors.file.write("\r\x1b[2K")
            self._errors.file.flush()
            self._waiting = False

    def _write(self, text: str) -> None:
        if text:
            self.clear()
            self._console.file.write(text if self._json else plain(text))
            self._console.file.flush()


def main() -> int:
    """Describe what the command line names; give the exit status."""
    options = _options()
    errors = Console(stderr=True, highlight=False)
    try:
        named = paths_named_in(options.named, options.folder) if options.named.strip() else []
        files = images_in(images_below([*options.files, *named]))
        model = choose_model().replaying({str(file): file for file in files})
        errors.print(Text.assemble(("Model", "bold"), f": {model.line}."), soft_wrap=True)
        if model.profiles:
            errors.print(NOTE)
        for note in model.notes:
            errors.print(Text(f"{note}.", "yellow"), soft_wrap=True)
        with _settings(model) as settings:
            output = Output(len(files), as_json=options.json)
            failed = asyncio.run(_describe_all(files, settings, output, options.jobs))
    except KeyboardInterrupt:
        errors.print("\nStopped.")
        return 130
    except (OSError, DescriberError, GoogleAuthError, StartError) as error:
        # google-auth gives some of its errors two arguments, of which the first is the sentence.
        sentence = error.args[0] if isinstance(error, GoogleAuthError) else error
        errors.print(Text(plain(str(sentence)), "red"), soft_wrap=True)
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
        # Which objects the function takes says nothing of the files that a person names.
        any_file = dict.fromkeys(("BUCKETS", "NAME_INCLUDE", "NAME_EXCLUDE"), "")
        environment = {**os.environ, **model.env(url), **any_file, "IMAGE_INPUT": "inline"}
        yield Settings.from_env(environment)


async def _describe_all(files: list[Path], settings: Settings, output: Output, jobs: int) -> int:
    """Describe so many files at once; give how many failed."""
    images = Images(settings, LocalFiles({str(file): file for file in files}))
    model = build_model(settings)
    free = asyncio.Semaphore(jobs)

    async def one(file: Path) -> Result:
        async with free:
            result = await _describe_one(file, settings, images, model, output.grow)
        output.done += 1
        output.failed += bool(result.message)
        return result

    async with contextlib.AsyncExitStack() as cleanup:
        cleanup.push_async_callback(model.close)
        cleanup.callback(images.close)
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(output.tick())
            results = [group.create_task(one(file)) for file in files]
            for result in results:
                output.show(await result)
            ticking.cancel()
    output.clear()
    output.count()
    return output.failed


async def _describe_one(
    file: Path, settings: Settings, images: Images, model: Model, grow: Callable[[str], None]
) -> Result:
    name = str(file)
    instructions = instructions_for(name, settings)
    begun = time.monotonic()
    first: float | None = None

    def on_text(text: Accumulator) -> None:
        nonlocal first
        first = time.monotonic() - begun if first is None else first
        grow(text.text)

    def result(
        outcome: str,
        usage: Usage | None,
        *,
        text: str = "",
        message: str = "",
        fields: Mapping[str, Any] | None = None,
    ) -> Result:
        spent = time.monotonic() - begun
        return Result(name, instructions, outcome, text, message, usage, spent, first, fields or {})

    try:
        attributes, content = event_for(file, name)
        upload = read_upload(attributes, content)
        if reason := reason_to_skip(attributes["type"], upload, settings):
            return result("skipped", None, message=reason)
        images.check(upload)
        async with images.room_for(upload) as share:
            image = await images.load(upload, share, instructions.embedded)
            instructions = instructions.with_embedded(image.metadata)
            found = await _in_time(model, instructions, image, on_text, settings)
            converted = {"converted": image.converted} if image.converted else {}
    except PermanentError as error:
        return result(error.outcome, error.usage, message=str(error))
    except (TransientError, OSError) as error:
        return result(_FAILED, None, message=str(error))
    return result(found.outcome, found.usage, text=found.text, fields={**found.fields, **converted})


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo.describe", description="Describe local images; store nothing."
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--named", default="", help="files in one text, as in FILE=... for make")
    parser.add_argument("--folder", type=Path, default=Path(), help="where those names are")
    parser.add_argument("--jobs", type=_count, default=JOBS, help=f"at once (default: {JOBS})")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if not options.files and not options.named.strip():
        parser.error("which image? make describe FILE=photo.jpg")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
