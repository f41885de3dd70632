"""A bar for each day, as a picture that needs no font, script or network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 800, 280, 60, 40, 30
_PAGE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
svg {{ color-scheme: light dark; background: light-dark(#fff, #16181d) }}
text {{ font: 12px system-ui, sans-serif; fill: light-dark(#333, #ccc) }}
rect {{ fill: light-dark(#2f6fdb, #7aa7ff) }}
line {{ stroke: light-dark(#ddd, #333) }}
</style>
<text x="{left}" y="22">{title}</text>
{body}
</svg>
"""


def bars(title: str, days: Sequence[tuple[str, int]]) -> str:
    """Draw one bar for each day from the first to the last, those without any included.

    Args:
        title: what is counted.
        days: dates (ISO 8601) in order, each with its count.
    """
    counts = dict(days)
    first, last = date.fromisoformat(days[0][0]), date.fromisoformat(days[-1][0])
    span = [first + timedelta(n) for n in range((last - first).days + 1)]
    most = max(counts.values())
    bottom = _HEIGHT - _BOTTOM
    room = (_WIDTH - _LEFT - 10) / len(span)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = round(bottom - share * (bottom - _TOP), 1)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y}" y2="{y}"/>')
        label = f"{most * share:,.0f}"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{label}</text>')
    for place, day in enumerate(span):
        count = counts.get(day.isoformat(), 0)
        height = round(count / most * (bottom - _TOP), 1)
        x, width = round(_LEFT + place * room + room * 0.1, 2), round(room * 0.8, 2)
        parts.append(
            f'<rect x="{x}" y="{bottom - height}" width="{width}" height="{height}">'
            f"<title>{day}: {count:,}</title></rect>"
        )
    ends = [(_LEFT, "start", span[0])]
    if len(span) > 1:
        ends.append((_WIDTH - 10, "end", span[-1]))
    for x, anchor, day in ends:
        parts.append(f'<text x="{x}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{day}</text>')
    return _PAGE.format(
        width=_WIDTH, height=_HEIGHT, left=_LEFT, title=escape(title), body="\n".join(parts)
    )
