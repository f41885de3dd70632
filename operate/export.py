"""`describer export`: the records, for other programs."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import click

from operate.address import ADDRESS, Address
from operate.copies import with_texts
from operate.outcomes import with_outcomes
from operate.output import plain_line, progress, say
from operate.session import Session, with_session
from operate.xmp import place_below, sidecar

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
_INTEGERS = frozenset(
    {"generation", "size", "status.attempt", "usage.promptTokens", "usage.totalTokens"}
)
_ROWS_AT_ONCE = 1000


Write: TypeAlias = "Callable[[Stored], bool]"
_Writer: TypeAlias = Callable[[Path], "AbstractContextManager[Write]"]


@click.command()
@click.argument("address", type=ADDRESS, required=False, metavar="[gs://bucket/prefix]")
@with_outcomes("Only with this outcome; repeatable.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv", "parquet", "xmp", "copies"]),
    default="jsonl",
    show_default=True,
    help="JSON Lines: the whole record. CSV and Parquet: its main fields. XMP: one sidecar file "
    "for each picture with a text, for photo programs. Copies: the pictures themselves, with "
    "their texts inside.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="A file, for XMP and copies a folder; standard output by default.",
)
@with_session
def export(
    session: Session,
    *,
    address: Address | None,
    outcomes: tuple[str, ...],
    kind: str,
    output: Path,
    as_json: bool,
) -> int:
    """Write the records below gs://bucket/prefix, or all.

    With --json the count is told as JSON on standard error; the records are what --format says.
    """
    to_stdout = str(output) == "-"
    if kind in {"parquet", "xmp", "copies"} and to_stdout:
        raise click.UsageError(f"--format {kind} needs --output.")
    count = 0
    with progress("Exporting") as advance, contextlib.ExitStack() as stack:
        writers: dict[str, _Writer] = {**_WRITERS, "copies": partial(_copies, session)}
        write = stack.enter_context(writers[kind](output))
        for stored in _chosen(session, address, outcomes):
            count += write(stored)
            advance()
    say(json.dumps({"records": count}) if as_json else f"{count:,} records.")
    return 0


def _text_file(output: Path) -> AbstractContextManager[IO[str]]:
    return click.open_file(str(output), "w", encoding="utf-8")


@contextlib.contextmanager
def _jsonl(output: Path) -> Iterator[Write]:
    with _text_file(output) as file:

        def write(stored: Stored) -> bool:
            file.write(json.dumps({"id": stored.id, **stored.fields}, default=_text) + "\n")
            return True

        yield write


@contextlib.contextmanager
def _csv(output: Path) -> Iterator[Write]:
    with _text_file(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)

        def write(stored: Stored) -> bool:
            writer.writerow([cell(stored.fields, column) for column in COLUMNS])
            return True

        yield write


@contextlib.contextmanager
def _parquet(output: Path) -> Iterator[Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise click.ClickException("Parquet needs pyarrow: pip install pyarrow") from exc
    types = dict.fromkeys(_INTEGERS, pa.int64())
    types["status.completeTime"] = pa.timestamp("us", tz="UTC")
    schema = pa.schema([(column, types.get(column, pa.string())) for column in COLUMNS])
    rows: list[dict[str, object]] = []
    with pq.ParquetWriter(output, schema) as file:

        def write(stored: Stored) -> bool:
            rows.append({column: _typed(stored.fields, column) for column in COLUMNS})
            if len(rows) == _ROWS_AT_ONCE:
                flush()
            return True

        def flush() -> None:
            file.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        yield write
        flush()


@contextlib.contextmanager
def _xmp(output: Path) -> Iterator[Write]:
    def write(stored: Stored) -> bool:
        if not stored.fields.get("description"):
            return False
        place = place_below(output, stored.name)
        if place is None:
            say(f"left out, since it can be no file's name: {plain_line(stored.name)}")
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sidecar(stored.fields))
        return True

    yield write


@contextlib.contextmanager
def _copies(session: Session, output: Path) -> Iterator[Write]:
    with _xmp(output) as write_sidecar:

        def write(stored: Stored) -> bool:
            if not stored.fields.get("description"):
                return False
            place = place_below(output, stored.name, "")
            if place is None:
                say(f"left out, since it can be no file's name: {plain_line(stored.name)}")
                return False
            content = session.objects.read(
                str(stored.fields["bucket"]), stored.name, int(stored.fields["generation"])
            )
            if content is None:
                say(f"left out, since it is gone from the bucket: {plain_line(stored.name)}")
                return False
            copy = with_texts(content, stored.fields)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if copy is None else copy)
            return copy is not None or write_sidecar(stored)

        yield write


_WRITERS: dict[str, _Writer] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet, "xmp": _xmp}


def _chosen(
    session: Session, address: Address | None, outcomes: tuple[str, ...]
) -> Iterator[Stored]:
    for stored in session.records.below(address):
        if not outcomes or stored.outcome in outcomes:
            yield stored


def cell(fields: Mapping[str, Any], column: str) -> object:
    """Give what stands in a column of CSV; nothing that a spreadsheet runs."""
    value = _value(fields, column)
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t"}:
        return "'" + value
    return "" if value is None else _text(value) if isinstance(value, datetime) else value


def _value(fields: Mapping[str, Any], column: str) -> object:
    """Give what stands in a column, such as `status.outcome`."""
    place, _, key = column.partition(".")
    value = fields.get(place)
    if key:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _typed(fields: Mapping[str, Any], column: str) -> object:
    """Give a value of the column's type; what others have written otherwise is left out."""
    value = _value(fields, column)
    if column in _INTEGERS:
        return value if type(value) is int else None
    if column == "status.completeTime":
        return value if isinstance(value, datetime) else None
    return None if value is None else _text(value)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
