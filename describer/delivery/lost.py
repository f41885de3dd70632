"""What was lost on the way, though nothing should be: told from an object and its record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from describer.records.record import Record


@dataclass(frozen=True, slots=True)
class Unfinished:
    """These bytes have no outcome, and nobody is at work on them."""

    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """These bytes have no outcome, and need none, or none yet."""

    why: str


State: TypeAlias = Unfinished | Settled | None


def state_of(generation: int, fields: Mapping[str, Any] | None, unchanged_seconds: float) -> State:
    """Judge the record of an object; None if it has the outcome of these bytes.

    Args:
        generation: the object's.
        fields: the record's; None if there is none.
        unchanged_seconds: since it was last written, by the store's own clock.
    """
    if fields is None:
        return Unfinished("no record")
    record = Record.parse(fields)
    if record.written_by_person:
        return Settled("written by a person")
    if record.generation > generation:
        return Settled("recorded in a newer generation")
    if record.generation < generation:
        return Unfinished("overwritten since")
    if record.finished:
        return None
    if record.lease_owner and unchanged_seconds < record.lease_seconds:
        return Settled("under way")
    return Unfinished("not finished")


def may_be_on_its_way(
    made: datetime | None, unchanged_seconds: float | None, now: datetime, seconds: float
) -> bool:
    """Tell whether an object or its record is younger than `seconds`, and so no loss yet."""
    young = made is not None and (now - made).total_seconds() < seconds
    return young or (unchanged_seconds is not None and unchanged_seconds < seconds)
