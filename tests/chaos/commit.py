"""A write of a record, read off the wire: which step of a delivery it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.cloud.firestore_v1 import types

_CommitRequest: Any = types.CommitRequest.pb()


@dataclass(frozen=True)
class Commit:
    """One write of a record, as it passes.

    Attributes:
        step: `claim`, `partial`, `renewal`, `release` or `outcome`.
        has_description, state: what it writes, for the rule that partial text is no description.
    """

    record_id: str
    step: str
    state: str
    has_description: bool


def read_commit(request: bytes) -> Commit:
    """Tell which step of a delivery a commit is; see `records/record.py` for the shapes."""
    (write,) = _CommitRequest.FromString(request).writes
    fields = write.update.fields
    state = fields["status"].map_value.fields["state"].string_value
    if "uri" in fields:
        step = "claim"
    elif state in {"COMPLETED", "ERRORED"}:
        step = "outcome"
    elif "lease" not in fields:
        step = "release"
    else:
        step = "partial" if "partialText" in fields else "renewal"
    return Commit(
        write.update.name.rpartition("/")[2], step, state, has_description="description" in fields
    )
