"""What a check gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "wrong", "unchecked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at.
        state: `unchecked` is neither well nor wrong: it could not be read, or not be asked.
        message: what was found.
        remedy: what to do; "" where nothing is to be done.
    """

    check: str
    state: State
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    """Give a line that says all is well."""
    return Finding(check, "ok", message)


def wrong(check: str, message: str, remedy: str) -> Finding:
    """Give a line that says what is wrong, and what to do."""
    return Finding(check, "wrong", message, remedy)


def unchecked(check: str, message: str, remedy: str = "") -> Finding:
    """Give a line that says why nobody knows."""
    return Finding(check, "unchecked", message, remedy)
