"""`make demo`: everything on this machine, from an upload to its description in Firestore.

python -m local.demo [--keep] [--record FILE] [IMAGE_OR_FOLDER...]

Ends by itself: 0 if every picture has been described, 1 otherwise.
"""

import argparse
import contextlib
import datetime as dt
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from describer.errors import DescriberError
from local.demo.names import objects_named, paths_named_in
from local.demo.plain import plain, plain_line
from local.demo.recording import Recording
from local.demo.records import Fields, View, view_of
from local.demo.screen import (
    Picture,
    cards,
    room_on,
    rows_for,
    shows_colours,
    summary,
    thumbnail,
)
from local.demo.site import Site, memory_site, stack_site
from local.gallery.page import build, gallery_of
from local.servers.bucket import BUCKET, SAMPLES, images_in
from local.servers.choice import ModelChoice, choose_model
from local.servers.emulators import missing_parts
from local.servers.place import standing
from local.servers.processes import StartError, keep_logs
from local.standin.samples import NOTE

WAIT_SECONDS = {"stand-in": 60.0, "server": 240.0, "vertex": 240.0}
_FRAMES_PER_SECOND = 12
_SENTENCE_END = re.compile(r"""[.!?…。]["')\]”]*(?=\s)""")


class Screen:
    """The demo's output: live on a terminal, plain lines anywhere else."""

    def __init__(
        self,
        console: Console,
        recording: Recording | None = None,
        head: Sequence[Text] = (),
    ) -> None:
        """Show on this console, and in this recording below some lines of its own."""
        self._console = console
        self._recording = recording
        self._head = head
        self._told: dict[str, View] = {}
        self._left: set[str] = set()
        self._live: Live | None = None
        self._drawn: object = None
        self.pictures: list[Picture] = []

    @property
    def shows_colours(self) -> bool:
        """Whether thumbnails are worth drawing."""
        return self._recording is not None or shows_colours(self._console)

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Keep a part of the terminal for the texts that grow."""
        # Neither a pipe nor a terminal that calls itself dumb can move its cursor.
        if not self._console.is_interactive:
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
            shown = self._fitting(views)
            rows = rows_for(self._console, len(shown))
            drawn = (rows, [(picture, views.get(picture.name)) for picture in shown])
            if drawn != self._drawn:
                self._drawn = drawn
                self._live.update(Group(Text(), cards(shown, views, rows=rows)), refresh=True)
            return
        for picture in self.pictures:
            told = self._told.get(picture.name, View())
            lines, self._told[picture.name] = news(
                picture.name, told, views.get(picture.name, View())
            )
            for line in lines:
                self._console.print(line, markup=False, soft_wrap=True)

    def finish(self, views: Mapping[str, View]) -> None:
        """Leave the whole texts, where they were not printed yet."""
        if self._console.is_interactive:
            self._leave(self._unleft(), views)
        if self._recording is not None:
            self._recording.add(self._film(views))

    def _fitting(self, views: Mapping[str, View]) -> list[Picture]:
        """Give what has a place on the screen; what is done is left above to make some."""
        room = room_on(self._console)
        done = [p for p in self._unleft() if views.get(p.name, View()).finished]
        over = len(self._unleft()) - room
        if over > 0:
            self._leave(done[-over:], views)
        return self._unleft()[:room]

    def _unleft(self) -> list[Picture]:
        return [picture for picture in self.pictures if picture.name not in self._left]

    def _leave(self, pictures: list[Picture], views: Mapping[str, View]) -> None:
        self._left |= {picture.name for picture in pictures}
        if pictures:
            rows = rows_for(self._console, len(self.pictures))
            self._console.print(cards(pictures, views, rows=rows, whole=True), end="")

    def _film(self, views: Mapping[str, View]) -> Group:
        assert self._recording is not None
        rows = self._recording.rows
        return Group(*self._head, Text(), cards(self.pictures, views, rows=rows))


class Ended(KeyboardInterrupt):
    """A signal that ends the demo in order, as Ctrl-C does; its number is the argument."""


def main() -> int:
    """Run the demo; give its exit status."""
    options = _options()
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100
    recording = Recording() if options.record else None
    _end_in_order()
    threading.excepthook = _leave_out_lost_streams
    try:
        described = _run(console, _files(options), options, recording)
    except KeyboardInterrupt as ended:
        console.print("\nStopped.")
        return 128 + (ended.args[0] if ended.args else signal.SIGINT)
    except (StartError, DescriberError, GoogleAuthError, OSError) as error:
        # google-auth gives some of its errors two arguments, of which the first is the sentence.
        sentence = error.args[0] if isinstance(error, GoogleAuthError) else error
        console.print(Text(plain(str(sentence)), "red"), soft_wrap=True)
        return 1
    if recording is not None:
        recording.save(options.record)
    return 0 if described else 1


def _end_in_order() -> None:
    """Have a closed window and `kill` end the demo as Ctrl-C does."""

    def end(signum: int, _: object) -> None:
        if signum == signal.SIGHUP:
            # Nobody reads on: what is still printed must not fail.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.dup2(nowhere, sys.stderr.fileno())
        raise Ended(signum)

    signal.signal(signal.SIGTERM, end)
    # Under nohup it is ignored, and stays so.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, end)


def _files(options: argparse.Namespace) -> dict[str, Path]:
    """Give what is uploaded, by object name."""
    named = paths_named_in(options.named, options.folder) if options.named.strip() else []
    if given := [*options.images, *named]:
        return objects_named(given)
    # In a folder, so that a picture of one's own may have a sample's name.
    return {f"{SAMPLES.name}/{file.name}": file for file in images_in([SAMPLES])}


def _run(
    console: Console,
    files: Mapping[str, Path],
    options: argparse.Namespace,
    recording: Recording | None,
) -> bool:
    missing = missing_parts()
    model = choose_model(bucket=BUCKET, by_uri=not missing).replaying(files)
    said = [Text.assemble(("Model", "bold"), f": {model.line}.")]
    said += [Text(f"{note}.", "yellow") for note in model.notes]
    if model.profiles:
        said.append(Text(NOTE))
    console.print(*said, sep="\n")
    with (
        _site(console, model, missing) as site,
        _found(console, site, options) as stays,
        _page(console, site, stays=stays) as page,
    ):
        head = [Text("$ make demo", "bold"), said[-1]]
        screen = Screen(console, recording, head)
        views = _describe_all(site, files, screen, WAIT_SECONDS[model.kind])
        screen.finish(views)
        console.print(summary(screen.pictures, views))
        described = all(views.get(name, View()).outcome == "described" for name in files)
        if not described:
            _explain(console, site)
        if stays:
            _stay(console, site, files, page)
        elif site.demo and not options.keep:
            console.print("\nStay up and upload your own: [bold]make demo KEEP=1[/]")
    return described


@contextlib.contextmanager
def _found(console: Console, site: Site, options: argparse.Namespace) -> Iterator[bool]:
    """Let `make upload` find the demo, if it stays up; tell whether it does."""
    if not options.keep or site.demo is None:
        if options.keep:
            console.print(
                "[yellow]KEEP=1 needs the full stack:[/] without it there is no bucket to upload"
                " to, so this ends by itself."
            )
        yield False
        return
    with standing(site.demo) as alone:
        if not alone:
            console.print("[yellow]Another demo is up[/]; `make upload` goes to that one.")
        yield True


@contextlib.contextmanager
def _page(console: Console, site: Site, *, stays: bool) -> Iterator[Sequence[tuple[str, str]]]:
    """Serve the page beside a demo that stays up, and give its address, or say why not."""
    with contextlib.ExitStack() as parts:
        page: list[tuple[str, str]] = []
        if stays and site.demo is not None:
            try:
                with console.status("Building the page"):
                    build()
                url = parts.enter_context(gallery_of(site.demo)).url
                page = [("watch in a browser, and drop images there", url)]
                console.print("[bold]Watch in a browser:[/]", url)
            except StartError as error:
                console.print(f"[yellow]Without a page for the browser:[/] {escape(str(error))}")
        yield page


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
            say = status.update if console.is_interactive else console.print
            site = parts.enter_context(stack_site(model, say, console.print))
        console.print(
            f"[bold]Up[/] in {time.monotonic() - started:.1f} s: bucket, Pub/Sub, Eventarc,"
            " the function, Firestore.",
            highlight=False,
        )
        yield site
        with console.status("Stopping"):
            parts.close()


def _describe_all(
    site: Site, files: Mapping[str, Path], screen: Screen, wait_seconds: float
) -> Mapping[str, View]:
    waiting = list(files)
    deadline = time.monotonic() + wait_seconds
    views: dict[str, View] = {}
    colours = screen.shows_colours
    with screen.growing():
        while time.monotonic() < deadline:
            if waiting:
                name = waiting.pop(0)
                site.upload(name, files[name])
                now = dt.datetime.now(dt.UTC)
                art = thumbnail(files[name]) if colours else ()
                screen.pictures.append(Picture(name, now, art))
            views = {name: view_of(fields) for name, fields in site.records().items()}
            screen.show(views)
            if not waiting and all(views.get(name, View()).finished for name in files):
                break
            site.pause(1 / _FRAMES_PER_SECOND)
    return views


def _stay(
    console: Console, site: Site, shown: Iterable[str], page: Sequence[tuple[str, str]]
) -> None:
    console.print("\n[bold]It stays up[/]; Ctrl-C ends it.")
    for title, line in [*page, *site.addresses]:
        console.print(f"  [dim]{title}[/]")
        console.print(f"    {line}", markup=False, soft_wrap=True)
    console.print()
    records = site.records()
    seen = {name: records[name]["generation"] for name in shown if name in records}
    terminal = sys.stdout.isatty()
    while True:
        # A closed terminal is none any more; where make is its first process, nobody says so.
        if terminal and not sys.stdout.isatty():
            raise KeyboardInterrupt
        if _new(site.records(), seen):
            _show_new(console, site, seen)
        site.pause(0.2)


def _new(records: Mapping[str, Fields], seen: Mapping[str, Any]) -> list[str]:
    return [name for name, fields in records.items() if fields["generation"] != seen.get(name)]


def _show_new(console: Console, site: Site, seen: dict[str, Any]) -> None:
    """Show what was uploaded, newest first, until all of it is finished."""
    screen = Screen(console)
    views: dict[str, View] = {}
    try:
        with screen.growing():
            while not screen.pictures or not all(
                views[picture.name].finished for picture in screen.pictures
            ):
                records = site.records()
                for name in sorted(_new(records, seen), key=lambda n: records[n]["generation"]):
                    seen[name] = records[name]["generation"]
                    again = [p for p in screen.pictures if p.name != name]
                    screen.pictures = [Picture(name, dt.datetime.now(dt.UTC)), *again]
                views = {p.name: view_of(records[p.name]) for p in screen.pictures}
                screen.show(views)
                site.pause(1 / _FRAMES_PER_SECOND)
    finally:
        screen.finish(views)


def news(name: str, told: View, now: View) -> tuple[list[str], View]:
    """Say in plain lines what is new in a record, its text in whole sentences.

    Args:
        name: object name.
        told: what this gave last time; `View()` at first.
        now: the record.

    Returns:
        The lines, and what has been told with them.
    """
    lines, text = [], now.text.strip()
    if now.attempt != told.attempt:
        lines.append("being described" + (f", attempt {now.attempt}" if now.attempt > 1 else ""))
    before = told.text if text.startswith(told.text) else ""
    grown = text[len(before) :]
    if not now.finished:
        ends = list(_SENTENCE_END.finditer(grown))
        grown = grown[: ends[-1].end()].rstrip() if ends else ""
    if grown.strip():
        lines.append(" ".join(grown.split()))
    if now.message and now.message != told.message:
        lines.append(now.message)
    if now.finished and now.state != told.state:
        lines.append(now.outcome or now.state)
    said = [f"{plain_line(name)} | {line}" for line in lines]
    return said, replace(now, text=before + grown)


def _explain(console: Console, site: Site) -> None:
    folder = keep_logs()
    console.print(f"\n[red]Not all were described.[/] The logs are in {folder}")
    for line in site.last_log_lines():
        console.print(f"  {plain_line(line)}", markup=False, soft_wrap=True)


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
    parser.add_argument("--named", default="", help="files in one text, as in FILE=... for make")
    parser.add_argument("--folder", type=Path, default=Path(), help="where those names are")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards (also: KEEP=1)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="save an animated SVG")
    options = parser.parse_args()
    options.keep = options.keep or os.environ.get("KEEP", "") not in {"", "0"}
    return options


if __name__ == "__main__":
    sys.exit(main())
