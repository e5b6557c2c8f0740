"""The abilities of the terminal, and text that is safe to print on it."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import unicodedata
from typing import Final, TextIO

__all__ = ["clean", "has_rich", "is_terminal", "tolerate_any_text", "width_of"]

# ECMA-48: control sequences, control strings (titles, links, clipboards), and two-character escapes, whole.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# Controls, invisible formatting (bidirectional overrides, zero widths, tags), lone surrogates, and code points to
# which a font or a terminal may give a meaning of its own.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean(text: str) -> str:
    """`text` on one line, without anything that would steer a terminal.

    Branches, workflows, jobs, tests and error messages are other people's text.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, _ESCAPES.sub("", text)))


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character) in _HIDDEN else character


def width_of(text: str) -> int:
    """Count the columns that cleaned text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def is_terminal(stream: TextIO) -> bool:
    """Return True if `stream` is a terminal that understands control codes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_rich() -> bool:
    """Return True if the package that draws colours and live bars is installed."""
    return importlib.util.find_spec("rich") is not None


def tolerate_any_text() -> None:
    """Make stdout and stderr replace what their encoding lacks, rather than fail on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
