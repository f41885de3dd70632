"""Text of others made safe for a terminal: a model's, a server's, a file's name."""

from operate.output import plain, plain_line

__all__ = ["plain", "plain_line"]
