"""Text of others, made fit for messages and logs."""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: str, most: int = 500) -> str:
    """What a server said, as messages repeat it: one line of what can be printed, at most `most` characters of it."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 8 * most])
    return " ".join(printable.split())[:most]
