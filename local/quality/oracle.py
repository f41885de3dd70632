"""Judges that stand in for a model: one that knows the set, and ones with a fault of their own.

They answer the judge's requests by rule: what they say of a claim is known from the set's labels
and traps, so that the scores that the harness makes of it are known, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from operate.quality.pictures import ClaimLabel, PairLabel, Picture

_BLOCK = re.compile(r"<text>\n(.*?)\n</text>", re.DOTALL)
_NUMBERED = re.compile(r"^(\d+): (.*)$", re.MULTILINE)
# Of a claim's words so many must stand in a description that covers it.
_COVERED = 0.6


class Oracle:
    """Knows what is labelled, and takes for false what has a trap's words in it."""

    def __init__(self, claims: Sequence[ClaimLabel], pairs: Sequence[PairLabel]) -> None:
        """Learn the labels."""
        self._true = {(label.picture, label.claim): label.true for label in claims}
        self._better: dict[tuple[str, str, str], str] = {}
        for label in pairs:
            turned = {"first": "B", "second": "A", "tie": "T"}[label.better]
            straight = {"first": "A", "second": "B", "tie": "T"}[label.better]
            self._better[label.picture, label.first, label.second] = straight
            self._better[label.picture, label.second, label.first] = turned

    async def __call__(self, request: str, picture: Picture) -> str:
        """Answer as a judge that follows its instructions."""
        blocks = _BLOCK.findall(request)
        if request.startswith("Take this text apart"):
            return "\n".join(_sentences(blocks[0]))
        if request.startswith("Look at the picture"):
            return _lines(blocks[0], lambda claim: self._is_true(picture, claim))
        if request.startswith("Here are a description"):
            return _lines(blocks[1], lambda claim: _covers(blocks[0], claim))
        return self._compare(picture, blocks[0].removeprefix("A: "), blocks[1].removeprefix("B: "))

    def _is_true(self, picture: Picture, claim: str) -> bool:
        return self._true.get((picture.file, claim), not _traps_in(picture, claim))

    def _compare(self, picture: Picture, first: str, second: str) -> str:
        known = self._better.get((picture.file, first, second))
        if known is not None:
            return known
        one, other = (
            (-_traps_in(picture, text), len(set(_words(text)))) for text in (first, second)
        )
        return "T" if one == other else "A" if one > other else "B"


async def agreeable(request: str, _: Picture) -> str:
    """Answer yes to every claim, and A to every pair: of no use, which has to show."""
    blocks = _BLOCK.findall(request)
    if request.startswith("Take this text apart"):
        return "\n".join(_sentences(blocks[0]))
    if request.startswith("Here are two"):
        return "A"
    return _lines(blocks[-1], lambda _: True)


def _traps_in(picture: Picture, text: str) -> int:
    folded = text.casefold()
    return sum(
        any(wording.rstrip("*").casefold() in folded for wording in trap.wordings["en"])
        for trap in picture.traps
    )


def _covers(text: str, claim: str) -> bool:
    words, there = _words(claim), set(_words(text))
    return sum(word in there for word in words) >= _COVERED * len(words)


def _lines(block: str, holds: Callable[[str], bool]) -> str:
    return "\n".join(
        f"{number}: {'yes' if holds(claim) else 'no'}" for number, claim in _NUMBERED.findall(block)
    )


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?\"])\s+(?=[A-Z])", text)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
