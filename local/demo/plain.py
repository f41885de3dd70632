"""Text of others made safe for a terminal: a model's, a server's, a file's name."""

import re

# C0 and C1, escape among them, and DEL; but not tab and newline.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Leave out what a terminal would obey, and write what it cannot show as an escape."""
    return _CONTROLS.sub("", text).encode(errors="backslashreplace").decode()


def plain_line(text: str) -> str:
    """Give plain text in one line."""
    return " ".join(plain(text).split())
