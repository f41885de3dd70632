"""The outcomes in words, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# As docs/outcomes.md tells it, with what to do.
IN_WORDS = {
    "described": "The model ended its text.",
    "truncated": "The token limit ended the text. Raise MAX_OUTPUT_TOKENS, then redescribe.",
    "empty": "The model wrote nothing. Raise MAX_OUTPUT_TOKENS: thinking counts against it.",
    "blocked": "The safety filter refused. Have a person write it (source: person).",
    "unsupported": "An image of a kind that is not taken. Convert it before the upload.",
    "too_large": "More bytes than may be sent. Upload a smaller rendition.",
    "unreadable": "Said to be an image, but its bytes are not. Look at what the uploader sent.",
    "gone": "Deleted or overwritten before it was read.",
    "rejected": "The model refused the request for good. Mend what the message names.",
    "over_limit": "The day's DAILY_LIMIT was reached. Tomorrow: backfill --outcome over_limit.",
    "gave_up": "Attempts or age ran out. Mend the cause, then: backfill --outcome gave_up.",
}


def with_outcomes(help_text: str) -> Callable[[F], F]:
    """Give a command `--outcome`, as its argument `outcomes`."""
    known = click.Choice(list(IN_WORDS))
    return click.option("--outcome", "outcomes", type=known, multiple=True, help=help_text)
