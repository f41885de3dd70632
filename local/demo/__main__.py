"""`make demo`: everything on this machine, from an upload to its description in Firestore.

python -m local.demo.__main__ [--keep] [--record FILE] [IMAGE_OR_FOLDER...]

Ends by itself: 0 if every picture has been described, 1 otherwise.
"""

import argparse
import contextlib
import datetime as dt
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from describer.errors import DescriberError
from local.demo.recording import Recording
from local.demo.records import View, view_of
from local.demo.screen import Picture, blocks, rows_for, shows_colours, summary, thumbnail
from local.demo.site import Site, memory_site, stack_site
from local.servers.bucket import BUCKET, SAMPLES, images_in
from local.servers.choice import ModelChoice, choose_model
from local.servers.emulators import missing_parts
from local.servers.processes import StartError, keep_logs
from local.standin.samples import NOTE

WAIT_SECONDS = {"stand-in": 60.0, "server": 240.0, "vertex": 240.0}
_FRAMES_PER_SECOND = 12


class Screen:
    """The demo's output: live on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console, recording: Recording | None, head: list[Text]) -> None:
        """Show on this console, and in this recording below some lines of its own."""
        self._console = console
        self._recording = recording
        self._head = head
        self._told: dict[str, View] = {}
        self._live: Live | None = None
        self.pictures: list[Picture] = []

    @property
    def shows_colours(self) -> bool:
        """Whether thumbnails are worth drawing."""
        return self._recording is not None or shows_colours(self._console)

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Keep a part of the terminal for the texts that grow."""
        if not self._console.is_terminal:
            yield
            return
        live = Live(console=self._console, auto_refresh=False, transient=True)
        with live:
            self._live = live
            yield
        self._live = None

    def show(self, views: Mapping[str, View]) -> None:
        """Show the records as they are now."""
        # The film begins with the first words.
        if self._recording is not None and any(view.text for view in views.values()):
            self._recording.add(self._film(views))
        if self._live is not None:
            rows = rows_for(self._console, len(self.pictures))
            self._live.update(Group(Text(), blocks(self.pictures, views, rows=rows)), refresh=True)
            return
        for picture in self.pictures:
            view = views.get(picture.name, View())
            for line in _news(picture.name, self._told.get(picture.name, View()), view):
                self._console.print(line, markup=False, soft_wrap=True)
            self._told[picture.name] = view

    def finish(self, views: Mapping[str, View]) -> None:
        """Leave the whole texts, where they were not printed yet, and the table."""
        if self._console.is_terminal:
            rows = rows_for(self._console, len(self.pictures))
            self._console.print(blocks(self.pictures, views, rows=rows, whole=True))
        self._console.print(summary(self.pictures, views))
        if self._recording is not None:
            self._recording.add(self._film(views))

    def _film(self, views: Mapping[str, View]) -> Group:
        assert self._recording is not None
        rows = self._recording.rows
        return Group(*self._head, Text(), blocks(self.pictures, views, rows=rows))


def main() -> int:
    """Run the demo; give its exit status."""
    options = _options()
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100
    recording = Recording() if options.record else None
    # A terminal that goes away or `kill` ends the demo as Ctrl-C does, in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.excepthook = _leave_out_lost_streams
    try:
        files = images_in(options.images or [SAMPLES])
        described = _run(console, files, options, recording)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    except (StartError, DescriberError, GoogleAuthError, OSError) as error:
        # google-auth gives some of its errors two arguments, of which the first is the sentence.
        sentence = error.args[0] if isinstance(error, GoogleAuthError) else error
        console.print(Text(str(sentence), "red"), soft_wrap=True)
        return 1
    if recording is not None:
        recording.save(options.record)
    return 0 if described else 1


def _run(
    console: Console,
    files: list[Path],
    options: argparse.Namespace,
    recording: Recording | None,
) -> bool:
    missing = missing_parts()
    model = choose_model(bucket=BUCKET, by_uri=not missing)
    model = model.replaying({file.name: file for file in files})
    said = [Text.assemble(("Model", "bold"), f": {model.line}.")]
    said += [Text(f"{note}.", "yellow") for note in model.notes]
    if model.profiles:
        said.append(Text(NOTE))
    console.print(*said, sep="\n")
    with _site(console, model, missing) as site:
        head = [Text("$ make demo", "bold"), said[-1]]
        screen = Screen(console, recording, head)
        views = _describe_all(site, files, screen, WAIT_SECONDS[model.kind])
        screen.finish(views)
        described = all(views.get(file.name, View()).outcome == "described" for file in files)
        if not described:
            _explain(console, site)
        if options.keep and site.addresses:
            _stay(console, site, screen)
        elif site.addresses:
            console.print("\nStay up and upload your own: [bold]make demo KEEP=1[/]")
    return described


@contextlib.contextmanager
def _site(console: Console, model: ModelChoice, missing: list[str]) -> Iterator[Site]:
    if missing:
        console.print(
            "[yellow]In one process, with the records in memory[/], since parts of the full stack"
            " are missing:",
            highlight=False,
        )
        for why in missing:
            console.print(f"  {why}", markup=False)
        with memory_site(model) as site:
            yield site
        return
    started = time.monotonic()
    with contextlib.ExitStack() as parts:
        with console.status("Starting") as status:
            say = status.update if console.is_terminal else console.print
            site = parts.enter_context(stack_site(model, say))
        console.print(
            f"[bold]Up[/] in {time.monotonic() - started:.1f} s: bucket, Pub/Sub, Eventarc,"
            " the function, Firestore.",
            highlight=False,
        )
        yield site
        with console.status("Stopping"):
            parts.close()


def _describe_all(
    site: Site, files: list[Path], screen: Screen, wait_seconds: float
) -> Mapping[str, View]:
    waiting = list(files)
    deadline = time.monotonic() + wait_seconds
    views: dict[str, View] = {}
    colours = screen.shows_colours
    with screen.growing():
        while time.monotonic() < deadline:
            if waiting:
                file = waiting.pop(0)
                site.upload(file)
                now = dt.datetime.now(dt.UTC)
                art = thumbnail(file) if colours else ()
                screen.pictures.append(Picture(file.name, now, art))
            views = {name: view_of(fields) for name, fields in site.records().items()}
            screen.show(views)
            if not waiting and all(views.get(file.name, View()).finished for file in files):
                break
            site.pause(1 / _FRAMES_PER_SECOND)
    return views


def _stay(console: Console, site: Site, screen: Screen) -> None:
    console.print("\n[bold]It stays up[/]; Ctrl-C ends it.")
    for title, line in site.addresses:
        console.print(f"  [dim]{title}[/]")
        console.print(f"    {line}", markup=False, soft_wrap=True)
    known = {picture.name for picture in screen.pictures}
    told: dict[str, View] = {}
    while True:
        for name, fields in site.records().items():
            view = view_of(fields)
            for line in [] if name in known else _news(name, told.get(name, View()), view):
                console.print(line, markup=False, soft_wrap=True)
            told[name] = view
        site.pause(0.2)


def _news(name: str, before: View, now: View) -> list[str]:
    """Say in plain lines what is new in a record."""
    lines = []
    if now.attempt != before.attempt:
        lines.append(f"{name} | attempt {now.attempt}")
    grown = now.text.removeprefix(before.text).strip()
    if grown:
        lines.append(f"{name} | {grown}")
    if now.message and now.message != before.message:
        lines.append(f"{name} | {now.message}")
    if now.state != before.state and now.finished:
        lines.append(f"{name} | {now.state} {now.outcome}")
    return lines


def _explain(console: Console, site: Site) -> None:
    folder = keep_logs()
    console.print(f"\n[red]Not all were described.[/] The logs are in {folder}")
    for line in site.last_log_lines():
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _leave_out_lost_streams(failure: threading.ExceptHookArgs) -> None:
    """Keep the client's tracebacks of ended streams off the screen: `records.py` listens again."""
    if not isinstance(failure.exc_value, GoogleAPICallError):
        threading.__excepthook__(failure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.demo.__main__",
        description="Describe pictures on a local stack, from upload to Firestore.",
    )
    parser.add_argument("images", nargs="*", type=Path, help="default: the samples")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards (also: KEEP=1)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="save an animated SVG")
    options = parser.parse_args()
    options.keep = options.keep or os.environ.get("KEEP", "") not in {"", "0"}
    return options


if __name__ == "__main__":
    sys.exit(main())
