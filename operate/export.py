"""`describer export`: the records, for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import click

from operate.address import ADDRESS, Address
from operate.outcomes import with_outcomes
from operate.output import progress, say
from operate.session import Session, with_session

if TYPE_CHECKING:
    from operate.records import Stored

COLUMNS = (
    "uri",
    "generation",
    "contentType",
    "size",
    "md5Hash",
    "status.state",
    "status.outcome",
    "status.message",
    "status.attempt",
    "status.completeTime",
    "source",
    "language",
    "model",
    "promptHash",
    "finishReason",
    "reusedFrom",
    "usage.promptTokens",
    "usage.totalTokens",
    "altText",
    "description",
)


@click.command()
@click.argument("address", type=ADDRESS, required=False, metavar="[gs://bucket/prefix]")
@with_outcomes("Only with this outcome; repeatable.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="JSON Lines: the whole record. CSV: its main fields, quoted, in UTF-8.",
)
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8", lazy=False),
    default="-",
    help="A file; standard output by default.",
)
@with_session
def export(
    session: Session,
    *,
    address: Address | None,
    outcomes: tuple[str, ...],
    kind: str,
    output: IO[str],
    as_json: bool,
) -> int:
    """Write the records below gs://bucket/prefix, or all, one a line.

    With --json the count is told as JSON on standard error; the records are what --format says.
    """
    count = 0
    with progress("Exporting") as advance:
        records = _chosen(session, address, outcomes)
        if kind == "csv":
            writer = csv.writer(output, lineterminator="\n")
            writer.writerow(COLUMNS)
            for stored in records:
                writer.writerow([cell(stored.fields, column) for column in COLUMNS])
                count += 1
                advance()
        else:
            for stored in records:
                output.write(json.dumps({"id": stored.id, **stored.fields}, default=_text) + "\n")
                count += 1
                advance()
    say(json.dumps({"records": count}) if as_json else f"{count:,} records.")
    return 0


def _chosen(
    session: Session, address: Address | None, outcomes: tuple[str, ...]
) -> Iterator[Stored]:
    for stored in session.records.below(address):
        if not outcomes or stored.outcome in outcomes:
            yield stored


def cell(fields: Mapping[str, Any], column: str) -> object:
    """Give what stands in a column, such as `status.outcome`; nothing that a spreadsheet runs."""
    place, _, key = column.partition(".")
    value = fields.get(place)
    if key:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t"}:
        return "'" + value
    return "" if value is None else _text(value) if isinstance(value, datetime) else value


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
