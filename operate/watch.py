"""`describer watch`: descriptions while they are written."""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from operate.address import ADDRESS, Address
from operate.output import plain, plain_line, print_json, say
from operate.session import Session, with_session

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_LOOK_SECONDS = 0.25
_MINUTE = 60.0
# Of a picture under way: its name and so many lines of its text.
_TEXT_LINES = 2

Fields = Mapping[str, Any]


@dataclass
class Tally:
    """What has been finished, for the line with the rate.

    Attributes:
        outcomes: how many ended how.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    _ends: deque[float] = field(default_factory=deque)

    def add(self, outcome: str, now: float) -> None:
        """Count one that was finished now."""
        self.outcomes[outcome] += 1
        self._ends.append(now)

    def line(self, under_way: int, now: float) -> str:
        """Say how many are under way, how many were finished in the last minute, and how."""
        while self._ends and self._ends[0] <= now - _MINUTE:
            self._ends.popleft()
        ended = ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.most_common())
        return f"{under_way:,} under way, {len(self._ends):,} in the last minute; " + (
            ended or "none finished yet"
        )


@click.command()
@click.argument("address", type=ADDRESS, required=False, metavar="[gs://bucket/prefix]")
@click.option("--limit", type=click.IntRange(1), help="End after so many are finished.")
@with_session
def watch(session: Session, *, address: Address | None, limit: int | None, as_json: bool) -> int:
    """Watch descriptions being written, below gs://bucket/prefix or all; Ctrl-C ends it.

    Each that is finished is a line; on a terminal, the texts under way grow below those. --json
    prints each finished record whole.
    """
    from operate.follow import following

    tally = Tally()
    try:
        with following(session.records, address) as follower, _screen(as_json=as_json) as screen:
            while True:
                seen, now = follower.look(), time.monotonic()
                for fields in seen.finished[: limit and limit - tally.outcomes.total()]:
                    tally.add(str((fields.get("status") or {}).get("outcome")), now)
                    screen.finished(fields)
                screen.show(seen.under_way, tally.line(len(seen.under_way), now))
                if limit is not None and tally.outcomes.total() >= limit:
                    return 0
                time.sleep(_LOOK_SECONDS)
    finally:
        say(tally.line(0, time.monotonic()).partition("; ")[2])


class _Lines:
    """Where nobody looks on: a line for each finished record."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def finished(self, fields: Fields) -> None:
        """Print it."""
        if self._as_json:
            print_json(fields)
        else:
            click.echo(finished_line(fields).plain)

    def show(self, under_way: Mapping[str, Fields], line: str) -> None:
        """Print nothing."""


class _Terminal:
    """What is under way stands below, and is drawn anew; what is finished scrolls up."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def finished(self, fields: Fields) -> None:
        """Print it above."""
        self._console.print(finished_line(fields), no_wrap=True, overflow="ellipsis")

    def show(self, under_way: Mapping[str, Fields], line: str) -> None:
        """Draw what is under way, as much as there is room for."""
        rows = self._console.height - 2
        self.live.update(drawn(under_way, line, self._console.width, rows), refresh=True)


@contextlib.contextmanager
def _screen(*, as_json: bool) -> Iterator[_Lines | _Terminal]:
    from rich.console import Console

    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        yield _Lines(as_json=as_json)
        return
    terminal = _Terminal(console)
    with terminal.live:
        yield terminal


def drawn(under_way: Mapping[str, Fields], line: str, columns: int, rows: int) -> RenderableType:
    """Lay out what is under way, the latest first, and the line with the rate.

    Args:
        rows: that there are, for all of it.
    """
    from rich.console import Group
    from rich.text import Text

    latest = sorted(under_way.values(), key=_began, reverse=True)
    parts: list[Text] = []
    for shown, fields in enumerate(latest):
        block = [_heading(fields), *_text_under_way(fields, columns)]
        if len(parts) + len(block) > rows - 2:
            parts.append(Text(f"... and {len(latest) - shown:,} more", "dim"))
            break
        parts += block
    return Group(*parts, Text(line, "dim", no_wrap=True, overflow="ellipsis"))


def _heading(fields: Fields) -> Text:
    from rich.text import Text

    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(_address(fields), "bold").append("  describing", "yellow")
    attempt = (fields.get("status") or {}).get("attempt")
    return head.append(f"  attempt {attempt}", "yellow") if attempt not in {None, 0, 1} else head


def _text_under_way(fields: Fields, columns: int) -> list[Text]:
    """Give the last lines of the text so far, or what it waits for."""
    from rich.text import Text

    said = plain_line(str((fields.get("status") or {}).get("message") or ""))
    if said:
        return [Text(f"  {said}", "yellow", no_wrap=True, overflow="ellipsis")]
    wrapped = textwrap.wrap(plain(str(fields.get("partialText") or "")), max(10, columns - 4))
    return [Text(f"  {line}") for line in wrapped[-_TEXT_LINES:]]


def finished_line(fields: Fields) -> Text:
    """Say in one line what has become of a picture."""
    from rich.text import Text

    status = fields.get("status") or {}
    good = bool(fields.get("description"))
    began, ended = status.get("startTime"), status.get("completeTime")
    line = Text()
    line.append(f"{status.get('outcome', '?')}  ", "green" if good else "red")
    line.append(_address(fields), "bold")
    if isinstance(began, datetime) and isinstance(ended, datetime):
        line.append(f"  {(ended - began).total_seconds():.1f} s", "dim")
    said = fields.get("description") if good else status.get("message")
    line.append("  " + plain_line(str(said or "")))
    return line


def _address(fields: Fields) -> str:
    return plain_line(str(fields.get("uri", "?")))


def _began(fields: Fields) -> datetime:
    began = (fields.get("status") or {}).get("startTime")
    return began if isinstance(began, datetime) else datetime.min.replace(tzinfo=UTC)
