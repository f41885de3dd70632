"""What is printed: results on standard output, all else on standard error; safe for a terminal."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import click

# C0 and C1, escape among them, and DEL; but not tab and newline.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUIET_SECONDS = 2.0


def plain(text: str) -> str:
    """Leave out what a terminal would obey, and write what it cannot show as an escape."""
    return _CONTROLS.sub("", text).encode(errors="backslashreplace").decode()


def plain_line(text: str) -> str:
    """Give plain text in one line."""
    return " ".join(plain(text).split())


def say(text: str) -> None:
    """Tell on standard error."""
    click.echo(plain(text), err=True)


def print_json(value: Any) -> None:
    """Print one JSON object in one line; ASCII, so that no terminal or pipe changes it."""
    click.echo(json.dumps(value, default=_as_json))


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns; numbers stand to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, show_header=any(heads))
    for place, head in enumerate(heads):
        numbers = bool(listed) and all(isinstance(row[place], int | float) for row in listed)
        table.add_column(head, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(_shown(value)) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    # Rich fills each line with blanks.
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


@contextlib.contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Show how far it is, how fast, and how long yet; only on a terminal, and after two seconds.

    Args:
        total: how many there are; None if nobody knows yet.

    Yields:
        To be called for each one that is done, from any thread.
    """
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    known = [bars.BarColumn(), bars.MofNCompleteColumn()] if total is not None else []
    columns = [bars.TextColumn("{task.description}"), bars.SpinnerColumn(), *known]
    rate = bars.TextColumn("{task.fields[rate]}")
    left = [bars.TimeRemainingColumn()] if total is not None else []
    bar = bars.Progress(*columns, rate, *left, console=console, transient=True)
    task = bar.add_task(title, total=total, rate="")
    began, done, started = time.monotonic(), 0, False

    def advance() -> None:
        nonlocal done, started
        done += 1
        seconds = time.monotonic() - began
        if not console.is_terminal or seconds < _QUIET_SECONDS:
            return
        if not started:
            started = True
            bar.start()
        bar.update(task, completed=done, rate=f"{done:,} ({done / seconds:,.1f}/s)")

    try:
        yield advance
    finally:
        if started:
            bar.stop()


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return plain(str(value))


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    # What only others write into a record, such as references and places.
    return str(value)
