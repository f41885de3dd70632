"""The records as they change: from Firestore's listener, or from the in-memory store."""

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.cloud import firestore  # type: ignore[import-untyped,unused-ignore]

from local.demo.plain import plain, plain_line
from local.servers.function import json_lines
from operate.listener import Listener

_SILENT_SECONDS = 3.0

Fields = Mapping[str, Any]
# Gives all records as they are now, by object name.
Records = Callable[[], Mapping[str, Fields]]


@dataclass(frozen=True)
class View:
    """What one record says, as far as it is shown.

    Attributes:
        state: `PROCESSING`, `COMPLETED`, `ERRORED`, or `UPLOADED` before there is a record, or
            `UNRECORDED` if there will be none.
        outcome: as in the record, or "".
        text: the finished description, or the partial one.
        message: why it failed, or why it is tried again.
        first_text_at, completed_at: as in the record.
        total_tokens: what it cost, where the model said.
    """

    state: str = "UPLOADED"
    outcome: str = ""
    text: str = ""
    message: str = ""
    attempt: int = 0
    first_text_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    total_tokens: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in {"COMPLETED", "ERRORED", "UNRECORDED"}


def view_of(fields: Fields | None) -> View:
    """Read a record; None for one that is not there yet. Nothing in it commands a terminal."""
    if fields is None:
        return View()
    status, usage = fields.get("status") or {}, fields.get("usage") or {}
    return View(
        state=plain_line(status.get("state", "")),
        outcome=plain_line(status.get("outcome", "")),
        text=plain(fields.get("description") or fields.get("partialText") or ""),
        message=plain_line(status.get("message", "")),
        attempt=status.get("attempt", 0),
        first_text_at=status.get("firstTextTime"),
        completed_at=status.get("completeTime"),
        total_tokens=usage.get("totalTokens"),
    )


def unrecorded(name: str, generation: int, outcome: str, cause: str) -> Fields:
    """Make what stands in for the record of an upload that gets none."""
    status = {"state": "UNRECORDED", "outcome": outcome, "message": f"no record: {cause}"}
    return {"name": name, "generation": generation, "status": status}


def newest(records: Mapping[str, Fields], others: Mapping[str, Fields]) -> dict[str, Fields]:
    """Join two by name; where both speak of one object, the newer generation is meant."""
    newer = {
        name: fields
        for name, fields in others.items()
        if fields["generation"] > records.get(name, {}).get("generation", -1)
    }
    return {**records, **newer}


class Unrecorded:
    """What the function's log tells of uploads that get no record, read on from call to call."""

    OUTCOMES = frozenset({"skipped", "malformed"})

    def __init__(self, log: Path) -> None:
        """Read this log, which may not be there yet."""
        self._log = log
        self._at = 0
        self._known: dict[str, Fields] = {}

    def records(self) -> Mapping[str, Fields]:
        """Give by object name what stands in for the record."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            file.seek(self._at)
            lines, end, _ = file.read().rpartition(b"\n")
            self._at += len(lines) + len(end)
            for line in json_lines(lines.decode(errors="replace")):
                self._take(line)
        return self._known

    def _take(self, line: Mapping[str, Any]) -> None:
        if line.get("message") != "delivery" or line.get("outcome") not in self.OUTCOMES:
            return
        # Of a malformed event the name may not be known.
        name = str(line.get("object_name", "an event"))
        generation = int(line.get("generation", 0))
        cause = str(line.get("cause", ""))
        self._known[name] = unrecorded(name, generation, str(line["outcome"]), cause)


@contextlib.contextmanager
def firestore_records(host: str, project: str, collection: str) -> Iterator[Records]:
    """Listen to a collection in the Firestore emulator until the block ends."""
    before = os.environ.get("FIRESTORE_EMULATOR_HOST")
    os.environ["FIRESTORE_EMULATOR_HOST"] = host
    try:
        client = firestore.Client(project=project)
    finally:
        if before is None:
            del os.environ["FIRESTORE_EMULATOR_HOST"]
        else:
            os.environ["FIRESTORE_EMULATOR_HOST"] = before
    listener = Listener(client.collection(collection), silent_seconds=_SILENT_SECONDS)
    try:
        yield lambda: {fields["name"]: fields for fields in listener.documents().values()}
    finally:
        listener.stop()
        client.close()  # type: ignore[no-untyped-call,unused-ignore]
