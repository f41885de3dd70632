"""What a model thinks aloud before it answers is no part of the description.

Most servers send it apart from the text (`reasoning_content`, `reasoning`), where nobody looks;
others leave it in, between tags that a chunk may end in the midst of.
"""

from __future__ import annotations

import re

# DeepSeek and Qwen; older prompts; Gemma and Gemini; Mistral; Seed.
BLOCKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
}
# Where the chat template has opened the block, the model only closes it, on a line of its own.
_UNOPENED = re.compile(r"(?:.*?\n)?</think>[ \t]*(?:\n|\Z)", re.DOTALL)


class Thinking:
    """Takes a text as it comes, and gives what is not in blocks at its beginning."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""
        self._over = False

    def visible(self, text: str) -> str:
        """Take a piece, and give what can be shown of all that was held back until now."""
        if self._over:
            return text
        self._held += text
        while not self._over:
            if self._closing:
                before, found, after = self._held.partition(self._closing)
                if not found:
                    # Only what the tag may begin with is still of interest.
                    self._held = before[-len(self._closing) :]
                    return ""
                self._held, self._closing = after, ""
            begin = self._held.lstrip()
            opening = next((tag for tag in BLOCKS if begin.startswith(tag)), None)
            if opening is not None:
                self._held, self._closing = begin.removeprefix(opening), BLOCKS[opening]
            elif any(tag.startswith(begin) for tag in BLOCKS):
                return ""
            else:
                self._over = True
        return self.rest()

    def rest(self) -> str:
        """Give what is held back when nothing more comes; nothing of an open block."""
        rest, self._held = "" if self._closing else self._held, ""
        return rest


def without_unopened(text: str) -> str:
    """Leave out a block that was closed but never opened."""
    found = _UNOPENED.match(text)
    return text[found.end() :] if found else text
