"""What the demo shows in a terminal: a card for each picture, its text growing, then a table."""

import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps
from rich.cells import cell_len, chop_cells
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from local.demo.plain import plain_line
from local.demo.records import View

_STATES = {
    "UPLOADED": ("○", "uploaded", "dim"),
    "PROCESSING": ("●", "describing", "yellow"),
    "COMPLETED": ("✓", "described", "green"),
    "ERRORED": ("✗", "failed", "red"),
    "UNRECORDED": ("✗", "skipped", "yellow"),
}
# Cards of fewer rows stand without a thumbnail, and without a line between them.
_LEAST_ROWS, _MOST_ROWS = 3, 7


@dataclass(frozen=True)
class Picture:
    """One uploaded picture.

    Attributes:
        name: object name.
        uploaded_at: when its upload was done, by this machine's clock.
        thumbnail: rows of coloured half blocks.
    """

    name: str
    uploaded_at: dt.datetime
    thumbnail: tuple[Text, ...] = ()


def thumbnail(path: Path, rows: int = _MOST_ROWS, columns: int = 16) -> tuple[Text, ...]:
    """Draw a picture in half blocks, two pixels in each cell."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            shape = (columns, rows * 2)
            small = ImageOps.fit(image.convert("RGB"), shape, Image.Resampling.BOX)
    except OSError:
        return ()
    pixels = small.load()
    assert pixels is not None
    drawn = []
    for row in range(rows):
        line = Text()
        for column in range(columns):
            upper, lower = pixels[column, row * 2], pixels[column, row * 2 + 1]
            line.append("▀", Style(color=_rgb(upper), bgcolor=_rgb(lower)))
        drawn.append(line)
    return tuple(drawn)


def shows_colours(console: Console) -> bool:
    """Tell whether a thumbnail would look like one: sixteen colours are too few."""
    return console.color_system in {"256", "truecolor"} and not console.no_color


def room_on(console: Console) -> int:
    """Give how many rows the cards can have so that all are on the screen."""
    return max(1, console.height - 2)


def rows_for(console: Console, pictures: int) -> int:
    """Give how many rows each card can have so that all fit on the screen, if at all."""
    room = room_on(console)
    apart = room // max(pictures, 1) - 1
    if apart >= _LEAST_ROWS:
        return min(_MOST_ROWS, apart)
    return max(1, min(_LEAST_ROWS - 1, room // max(pictures, 1)))


def cards(
    pictures: Sequence[Picture], views: Mapping[str, View], *, rows: int, whole: bool = False
) -> RenderableType:
    """Lay out all pictures.

    Args:
        pictures: in the order shown.
        views: their records by name.
        rows: height of each card; the last lines of a longer text are shown. In a single one the
            text's end stands beside the name.
        whole: show all of each text, however high that is.
    """
    parts: list[RenderableType] = []
    for picture in pictures:
        view = views.get(picture.name, View())
        if rows == 1 and not whole:
            parts.append(_Line(picture, view))
            continue
        parts.append(_card(picture, view, rows, whole=whole))
        if whole or rows >= _LEAST_ROWS:
            parts.append(Text())
    return Group(*parts)


def summary(pictures: Sequence[Picture], views: Mapping[str, View]) -> Table:
    """Make the table of finished records."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for heading in ("object", "state", "outcome"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for heading in ("attempt", "first text", "finished", "words", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for picture in pictures:
        view = views.get(picture.name, View())
        colour = _STATES.get(view.state, ("", "", "dim"))[2]
        table.add_row(
            Text(plain_line(picture.name)),
            Text(view.state, colour),
            view.outcome or "-",
            str(view.attempt or "-"),
            _after(picture, view.first_text_at),
            _after(picture, view.completed_at),
            str(len(view.text.split())),
            str(view.total_tokens or "-"),
        )
    return table


class _Tail:
    """A text, of which the last lines are shown if it is too long for its place."""

    def __init__(self, text: Text, rows: int | None) -> None:
        self._text = text
        self._rows = rows

    def __rich_console__(self, console: Console, options: object) -> list[Text]:
        width = getattr(options, "max_width", console.width)
        lines = list(self._text.wrap(console, width))
        return lines if self._rows is None else lines[-self._rows :]


class _Line:
    """A card of one row."""

    def __init__(self, picture: Picture, view: View) -> None:
        self._picture = picture
        self._view = view

    def __rich_console__(self, console: Console, options: object) -> list[Text]:
        width = getattr(options, "max_width", console.width)
        line = _heading(self._picture, self._view, name_cells=width // 3)
        line.append("  ")
        said = " ".join(_body(self._view).plain.split())
        room = width - line.cell_len
        # The end of a text is what is new; of what went wrong, the beginning tells most.
        if cell_len(said) > room and not self._view.message:
            said = "…" + chop_cells(said[::-1], max(1, room - 1))[0][::-1]
        line.append(said)
        line.truncate(width, overflow="ellipsis")
        return [line]


def _card(picture: Picture, view: View, rows: int, *, whole: bool) -> RenderableType:
    art = picture.thumbnail if rows >= _LEAST_ROWS else ()
    body = _Tail(_body(view), None if whole else rows - 1)
    heading = _heading(picture, view, details=True)
    if not art:
        return Group(heading, Padding(body, (0, 0, 0, 2)))
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=max(cell_len(row.plain) for row in art))
    grid.add_column(ratio=1)
    grid.add_row(Group(*_shrunk(art, rows)), Group(heading, body))
    return grid


def _body(view: View) -> Text:
    text = Text(view.text, "" if view.finished else "default")
    if view.state == "PROCESSING" and view.text:
        text.append(" ▌", "yellow")
    if view.message:
        colour = "red" if view.state == "ERRORED" else "yellow"
        text.append(f" {view.message}" if view.text else view.message, colour)
    return text


def _heading(
    picture: Picture, view: View, *, details: bool = False, name_cells: int | None = None
) -> Text:
    sign, word, colour = _STATES.get(view.state, ("?", view.state, "dim"))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(plain_line(picture.name), "bold")
    if name_cells is not None:
        line.truncate(name_cells, overflow="ellipsis")
    line.append(f"  {sign} {view.outcome or word}", colour)
    if view.attempt > 1 or (view.attempt and details):
        line.append(f"  attempt {view.attempt}", "dim" if view.attempt == 1 else "yellow")
    if view.first_text_at and details:
        line.append(f"  first text {_after(picture, view.first_text_at)}", "dim")
    if view.completed_at:
        line.append(
            f"  finished {_after(picture, view.completed_at)}"
            if details
            else f"  {_after(picture, view.completed_at)}",
            "dim",
        )
    return line


def _shrunk(art: tuple[Text, ...], rows: int) -> list[Text]:
    return [art[index * len(art) // rows] for index in range(rows)] if art else []


def _after(picture: Picture, moment: dt.datetime | None) -> str:
    if moment is None:
        return "-"
    return f"{max(0.0, (moment - picture.uploaded_at).total_seconds()):.1f} s"


def _rgb(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return "#{:02x}{:02x}{:02x}".format(*pixel[:3])
