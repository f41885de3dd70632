"""Rows become a table in Markdown, a picture in SVG and a JSON object. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from operate.quality.checks import SCORES, claimed, missed
from operate.quality.judge import JUDGE_SCORES, Agreement
from operate.quality.scores import Estimate, Row, Scored

_COLOURS = ("#1f6feb", "#e0905a", "#4c9f70", "#b0413e", "#8f6bb3", "#8a8f98", "#d7b740")
_TITLES: Mapping[str, str] = {**SCORES, **JUDGE_SCORES}


def title_of(row: Row, rows: Sequence[Row]) -> str:
    """Name a variant by what tells it from the others."""
    parts = (
        (row.variant.model, {other.variant.model for other in rows}),
        (row.variant.prompt, {other.variant.prompt for other in rows}),
        (row.variant.language, {other.variant.language for other in rows}),
    )
    told = [part for part, others in parts if len(others) > 1]
    return ", ".join(told) or row.variant.model


def table(rows: Sequence[Row]) -> str:
    """Give a table in Markdown: a line for each score, a column for each variant."""
    names = [name for name in _TITLES if any(name in row.scores for row in rows)]
    lines = [_line("", *(title_of(row, rows) for row in rows)), _line("---", *["---:"] * len(rows))]
    lines += [_line(name, *(_score(row.scores.get(name)) for row in rows)) for name in names]
    measures = {
        "answers": [f"{row.answers}" for row in rows],
        "tokens in, out": [_tokens(row) for row in rows],
        "US$ in all": [_number(row.cost, 4) for row in rows],
        "s to first text": [_number(row.first_seconds, 1) for row in rows],
        "s in all": [_number(row.seconds, 1) for row in rows],
    }
    lines += [_line(name, *cells) for name, cells in measures.items() if any(cells)]
    if any(row.compared for row in rows):
        compared = (f"{row.ties}, {row.contradictions} of {row.compared}" for row in rows)
        lines.append(_line("ties, of them contradictions", *compared))
    return "\n".join(lines) + "\n"


def page(
    rows: Sequence[Row], scored: Sequence[Scored], agreement: Agreement | None, notes: Sequence[str]
) -> str:
    """Give the whole report in Markdown."""
    parts = ["# How good the words are\n", table(rows)]
    parts += [f"{note}\n" for note in (*notes, *([_beside(agreement)] if agreement else []))]
    names = [name for name in _TITLES if any(name in row.scores for row in rows)]
    parts.append("\n".join(f"- **{name}**: {_TITLES[name]}" for name in names) + "\n")
    parts.append(
        "Each is a mean over pictures from 0 to 1; in brackets is where it would lie for other "
        "pictures drawn like these, 95 of 100 times (bootstrap). Seconds are medians.\n"
    )
    lines = _faults(scored)
    if lines:
        parts.append("What was missed and claimed:\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def as_json(
    rows: Iterable[Row], scored: Iterable[Scored], agreement: Agreement | None, notes: Sequence[str]
) -> dict[str, Any]:
    """Give all of it for other programs."""
    return {
        "rows": [asdict(row) for row in rows],
        "judge": None if agreement is None else asdict(agreement),
        "notes": list(notes),
        "answers": [
            {
                **asdict(one.variant),
                "picture": one.picture.file,
                "kind": one.picture.kind,
                "repeat": one.repeat,
                "outcome": one.answer.outcome,
                "text": one.answer.text,
                "fields": dict(one.answer.fields),
                "message": one.answer.message,
                "costUsd": one.cost,
                "seconds": one.answer.seconds,
                "scores": dict(one.scores),
            }
            for one in scored
        ],
    }


def drawing(rows: Sequence[Row]) -> str:
    """Draw each score of each variant as a dot on its interval, in SVG."""
    names = [name for name in _TITLES if any(name in row.scores for row in rows)]
    step = 12 * len(rows) + 14
    left, right, top = 120, 620, 30
    bottom = top + step * len(names)
    height = bottom + 30 + 20 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {height}" font-size="13" '
        'font-family="sans-serif" role="img">',
        "<title>Scores with their intervals</title>",
        f'<rect width="660" height="{height}" fill="white"/>',
    ]
    for tenth in range(0, 11, 2):
        x = left + (right - left) * tenth / 10
        parts.append(f'<path d="M{x} {top}V{bottom}" stroke="#d1d5db"/>')
        parts.append(f'<text x="{x}" y="{top - 10}" text-anchor="middle">{tenth / 10:g}</text>')
    for place, name in enumerate(names):
        y = top + step * (place + 0.5)
        parts.append(f'<text x="{left - 12}" y="{y + 4:g}" text-anchor="end">{name}</text>')
        for number, row in enumerate(rows):
            if name in row.scores:
                at = y + (number - (len(rows) - 1) / 2) * 12
                parts.append(_dot(row.scores[name], at, number, left, right - left))
    for number, row in enumerate(rows):
        y = bottom + 26 + 20 * number
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<circle cx="{left}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{left + 14}" y="{y}">{escape(title_of(row, rows))}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _faults(scored: Sequence[Scored]) -> list[str]:
    """Name, picture by picture, the facts that texts missed and the traps that they claimed."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for one in scored:
        if one.answer.text:
            text, language = one.answer.text, one.variant.language
            counts = found.setdefault((one.picture.file, one.variant.model), Counter())
            counts.update(f"missed {name}" for name in missed(text, one.picture, language))
            counts.update(f"claimed {name}" for name in claimed(text, one.picture, language))
    return [
        f"- {file} ({model}): " + "; ".join(f"{what} ({n})" for what, n in counts.most_common())
        for (file, model), counts in found.items()
        if counts
    ]


def _dot(found: Estimate, y: float, number: int, left: float, width: float) -> str:
    low, mean, high = (round(left + width * x, 1) for x in (found.low, found.mean, found.high))
    colour = _COLOURS[number % len(_COLOURS)]
    return (
        f'<path d="M{low:g} {y:g}H{high:g}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{mean:g}" cy="{y:g}" r="4" fill="{colour}"/>'
    )


def _beside(agreement: Agreement) -> str:
    return (
        f"The judge {agreement.words}; of these it contradicted itself in "
        f"{agreement.contradictions} when their order was turned."
    )


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _score(found: Estimate | None) -> str:
    return "" if found is None else f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _tokens(row: Row) -> str:
    return "" if row.tokens is None else f"{row.tokens[0]:,.0f}, {row.tokens[1]:,.0f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
