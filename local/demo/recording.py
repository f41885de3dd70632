"""An animated SVG of what the demo showed, drawn from the very frames of a run.

Each piece of text is drawn once, for the time during which it stood at its place, so that a film of
a hundred frames stays small.
"""

import html
import io
import time
from dataclasses import dataclass
from pathlib import Path

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI as THEME

# As wide as GitHub shows a page, so that the letters keep their size.
COLUMNS, ROWS_EACH, TITLE = 104, 5, "make demo"
CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 7.8, 16, 13
MARGIN, BAR = 12, 30
HOLD_SECONDS = 6.0

# Column, row, text and style of a piece that stands somewhere for a while.
Piece = tuple[int, int, str, Style]


@dataclass(frozen=True)
class Frame:
    """What was on the screen from a moment on."""

    at: float
    pieces: frozenset[Piece]
    height: int


class Recording:
    """Takes frames while the demo runs, and writes the film."""

    rows = ROWS_EACH

    def __init__(self) -> None:
        self._console = Console(
            file=io.StringIO(),
            width=COLUMNS,
            height=200,
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
        )
        self._started = time.monotonic()
        self._frames: list[Frame] = []

    def add(self, shown: RenderableType) -> None:
        """Take a frame; the last one stays for some seconds before the film begins again."""
        lines = self._console.render_lines(shown, pad=False)
        pieces = frozenset(piece for row, line in enumerate(lines) for piece in _pieces(row, line))
        now = time.monotonic()
        if not self._frames:
            self._started = now
        elif self._frames[-1].pieces == pieces:
            return
        self._frames.append(Frame(now - self._started, pieces, len(lines)))

    def save(self, path: Path) -> None:
        """Write the film."""
        path.write_text(self.svg(), encoding="utf-8")

    def svg(self) -> str:
        """Draw the film."""
        rows = max(frame.height for frame in self._frames)
        width = round(COLUMNS * CELL_WIDTH + 2 * MARGIN)
        height = rows * CELL_HEIGHT + BAR + MARGIN
        length = self._frames[-1].at + HOLD_SECONDS
        spans = _spans(self._frames, length)
        moments = sorted({span for span in spans.values() if span != (0.0, length)})
        names = {span: f"t{index}" for index, span in enumerate(moments)}
        groups = []
        for span in [(0.0, length), *moments]:
            pieces = sorted((p for p, its in spans.items() if its == span), key=lambda p: p[:3])
            drawn = _draw_pixels([piece for piece in pieces if set(piece[2]) == {"▀"}])
            drawn += "".join(_draw(piece) for piece in pieces if set(piece[2]) != {"▀"})
            # What stays to the end is there, too, where nothing is animated.
            kind = "end" if span[1] >= length else "t"
            name = names.get(span)
            groups.append(f'<g class="{kind} {name}">{drawn}</g>' if name else f"<g>{drawn}</g>")
        style = "".join(_keyframes(names[span], span, length) for span in moments)
        return _PAGE.format(
            width=width, height=height, style=style, length=f"{length:.2f}", title=TITLE,
            middle=width // 2, left=MARGIN, top=BAR, font=FONT_SIZE,
            back=THEME.background_color.hex, fore=THEME.foreground_color.hex,
            body="\n".join(groups),
        )  # fmt: skip


_PAGE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>Recording of {title}: five pictures being described at the same time</title>
<style>
text {{ white-space: pre;
  font: {font}px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }}
.t {{ visibility: hidden }}
.t, .end {{ animation: {length}s step-end infinite }}
{style}@media (prefers-reduced-motion: reduce) {{ .t, .end {{ animation: none }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="{back}"/>
<circle cx="18" cy="15" r="5" fill="#ff5f57"/><circle cx="36" cy="15" r="5" fill="#febc2e"/>
<circle cx="54" cy="15" r="5" fill="#28c840"/>
<text x="{middle}" y="20" text-anchor="middle" fill="{fore}" opacity="0.7">{title}</text>
<g transform="translate({left} {top})" fill="{fore}">
{body}
</g>
</svg>
"""


def _pieces(row: int, line: list[Segment]) -> list[Piece]:
    column, found = 0, []
    for segment in line:
        style = segment.style or Style.null()
        if segment.text.strip() or style.bgcolor is not None:
            found.append((column, row, segment.text, style))
        column += segment.cell_length
    return found


def _spans(frames: list[Frame], length: float) -> dict[Piece, tuple[float, float]]:
    """Give each piece its first and last moment; all stay in place once they are there."""
    spans: dict[Piece, tuple[float, float]] = {}
    ends = [frame.at for frame in frames[1:]] + [length]
    for frame, end in zip(frames, ends, strict=True):
        for piece in frame.pieces:
            begun = spans[piece][0] if piece in spans else frame.at
            spans[piece] = (begun, end)
    return spans


def _keyframes(name: str, span: tuple[float, float], length: float) -> str:
    begin, end = (f"{moment / length * 100:.2f}%" for moment in span)
    hide = "" if span[1] >= length else f" {end} {{ visibility: hidden }}"
    first = " 0% { visibility: hidden }" if span[0] > 0 else ""
    shown = f" {begin} {{ visibility: visible }}"
    return f".{name} {{ animation-name: {name} }} @keyframes {name} {{{first}{shown}{hide} }}\n"


def _draw(piece: Piece) -> str:
    column, row, text, style = piece
    x, y = column * CELL_WIDTH, row * CELL_HEIGHT
    stripped = text.rstrip()
    indent = len(stripped) - len(stripped.lstrip())
    look = f' fill="{_hex(style.color)}"' if style.color and not style.color.is_default else ""
    # As a declaration: the font of the style sheet would win over an attribute.
    look += ' style="font-weight:bold"' if style.bold else ""
    look += ' opacity="0.6"' if style.dim else ""
    inner = stripped.lstrip()
    length = f"{len(inner) * CELL_WIDTH:.1f}"
    return (
        f'<text x="{x + indent * CELL_WIDTH:.1f}" y="{y + FONT_SIZE}" textLength="{length}"{look}>'
        f"{html.escape(inner)}</text>"
    )


def _draw_pixels(pieces: list[Piece]) -> str:
    """Draw half blocks as lines of one colour each: fonts leave gaps between block characters."""
    lines: dict[str, list[str]] = {}
    for column, row, text, style in pieces:
        for half, colour in enumerate((style.color, style.bgcolor)):
            # A little longer than they are, against seams.
            line = f"M{column} {row * 2 + half}.5h{len(text)}.05"
            lines.setdefault(_short_hex(colour), []).append(line)
    paths = "".join(f'<path stroke="{c}" d="{"".join(each)}"/>' for c, each in lines.items())
    scale = f"scale({CELL_WIDTH} {CELL_HEIGHT / 2:g})"
    return f'<g transform="{scale}" stroke-width="1.05">{paths}</g>' if paths else ""


def _short_hex(color: Color | None) -> str:
    """Give the nearest of 4096 colours, which makes the file a third as large."""
    triplet = color.get_truecolor(THEME) if color else ColorTriplet(0, 0, 0)
    return "#" + "".join(f"{round(part / 17):x}" for part in triplet)


def _hex(color: Color | None) -> str:
    triplet = color.get_truecolor(THEME) if color else ColorTriplet(0, 0, 0)
    return triplet.hex
