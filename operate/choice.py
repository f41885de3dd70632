"""Which pictures are worth a delivery, and why the others are not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from describer.delivery.event import FINALIZED, reason_to_skip
from describer.delivery.lost import Unfinished, state_of
from describer.errors import MalformedEventError
from describer.model.prompt import fallbacks_for, instructions_for
from describer.settings import Globs, Settings
from describer.values import Upload

if TYPE_CHECKING:
    from operate.objects import Found
    from operate.records import Stored


@dataclass(frozen=True, slots=True)
class Due:
    """A picture that is to be described.

    Attributes:
        again: its finished record, which has to be made free first.
        version: of its record as it was read; "" if it has none.
    """

    found: Found
    why: str
    again: Stored | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """A picture that is left alone."""

    why: str


Verdict: TypeAlias = Due | Left


@dataclass(frozen=True, slots=True)
class Filters:
    """What the command line asks of objects."""

    include: Globs = field(default_factory=Globs)
    exclude: Globs = field(default_factory=Globs)
    newer: datetime | None = None
    older: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    types: Globs = field(default_factory=Globs)

    def take_name(self, name: str) -> bool:
        """Tell whether a name is wanted."""
        return (not self.include or self.include.match(name)) and not self.exclude.match(name)

    def take(self, upload: Upload) -> bool:
        """Tell whether an object is wanted; what is not known of it does not exclude it."""
        made, size = upload.event_time, upload.size
        return (
            self.take_name(upload.name)
            and not (self.newer and made and made <= self.newer)
            and not (self.older and made and made >= self.older)
            and not (self.min_size is not None and size is not None and size < self.min_size)
            and not (self.max_size is not None and size is not None and size > self.max_size)
            and (not self.types or self.types.match(upload.content_type))
        )


def unwanted(found: Found, settings: Settings, filters: Filters) -> Left | None:
    """Say why an object is no matter of ours: the function would skip it, or nobody asked."""
    try:
        upload = found.upload
    except MalformedEventError as exc:
        return Left(f"skipped: {exc}")
    reason = reason_to_skip(FINALIZED, upload, settings)
    if reason is not None:
        return Left(f"skipped: {reason}")
    return None if filters.take(upload) else Left("filtered out")


def unfinished(found: Found, stored: Stored | None) -> Verdict | None:
    """Judge what has no outcome for these bytes; None if it has one."""
    generation = found.upload.generation
    if stored is None:
        state, version = state_of(generation, None, 0.0), ""
    else:
        state = state_of(generation, stored.fields, stored.unchanged_seconds)
        version = str(stored.version)
    if isinstance(state, Unfinished):
        return Due(found, state.why, version=version)
    return None if state is None else Left(state.why)


def to_backfill(found: Found, stored: Stored | None, outcomes: frozenset[str]) -> Verdict:
    """Judge a picture for `backfill`: what is not finished, and what ended in these outcomes."""
    verdict = unfinished(found, stored)
    if verdict is not None or stored is None:
        return verdict or Left("finished")
    if stored.outcome in outcomes:
        return Due(found, f"ended as {stored.outcome}", again=stored)
    return Left("finished")


def to_redescribe(
    found: Found, stored: Stored | None, settings: Settings, outcomes: frozenset[str], *, all_: bool
) -> Verdict:
    """Judge a picture for `redescribe`: texts that today's settings would not make so.

    What a run before has asked for and not seen to the end is taken up.
    """
    verdict = unfinished(found, stored)
    if stored is None:
        return Left("no record")
    if isinstance(verdict, Due) and verdict.why != "not finished":
        return Left(verdict.why)
    if verdict is not None:
        return verdict
    if stored.outcome in outcomes:
        return Due(found, f"ended as {stored.outcome}", again=stored)
    if all_:
        return Due(found, "asked for", again=stored)
    differs = difference(found, stored, settings) if stored.fields.get("description") else ""
    return Due(found, f"another {differs}", again=stored) if differs else Left("current")


def difference(found: Found, stored: Stored, settings: Settings) -> str:
    """Name the first thing in which a record was made otherwise than today; "" if in nothing.

    A model that others fall back on is as good as the first.
    """
    custom = found.upload.metadata
    asked = instructions_for(found.name, settings, custom)
    models = {asked.model, *(other.model for other in fallbacks_for(found.name, settings, custom))}
    today = {
        "model": models,
        "language": {asked.language},
        "prompt": {asked.digest},
    }
    fields = {"prompt": "promptHash"}
    for word, values in today.items():
        if stored.fields.get(fields.get(word, word)) not in values:
            return word
    return ""
