"""Terminal output as the lines that a terminal shows in the end."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_LINE", "TerminalText"]

MAX_LINE: Final = 16_384
"""Characters of the longest line. A longer one is divided: memory stays bounded if a program never ends a line."""

# Columns to the right of the text that a cursor may move to. Terminals stop at their width; without a bound, ten
# characters could demand a gigabyte of spaces.
_MAX_COLUMN: Final = 1_000
# Characters of a title or a link in a control sequence. The rest of a longer one is text.
_MAX_STRING: Final = 4_096

# ECMA-48, sections 5.3 to 5.6. No sequence contains a line feed, so that a broken one never hides a line.
_SEQUENCE: Final = (
    r"(?:\x1b\[|\x9b)(?P<parameters>[0-?]{0,64})[ -/]{0,8}(?P<final>[@-~])?"  # control sequences
    rf"|\x1b[\]PX^_][^\x07\x1b\n]{{0,{_MAX_STRING}}}(?:\x07|\x1b\\)?"  # strings: titles, links, images
    r"|\x1b[ -/]{0,8}[0-~]?"  # other escape sequences
)
_TOKEN: Final = re.compile(rf"(?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)|{_SEQUENCE}|(?P<control>[\x00-\x1f\x7f-\x9f])")
# Colours and the like: most sequences of a log, and none that moves or erases.
_IGNORED: Final = re.compile(r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-FH-JL-~]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A sequence that the next characters may continue.
_OPEN: Final = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}"
    rf"|\x1b[\]PX^_][^\x07\x1b\n]{{0,{_MAX_STRING}}}\x1b?"
    r"|\x1b[ -/]{0,8})\Z"
)


class TerminalText:
    """The lines of one stream of terminal output.

    A carriage return, an erase-line and a move to a column overwrite the line. All other control sequences are
    removed. The output may be divided anywhere, also inside of a sequence.
    """

    def __init__(self) -> None:
        self._raw: list[str] = []
        self._raw_length = 0
        self._cells: list[str] = []
        self._column = 0

    def feed(self, text: str) -> list[str]:
        """Return the lines that `text` ends."""
        first, *others = text.split("\n")
        lines: list[str] = []
        self._append(first, lines)
        for piece in others:
            self._end_line(lines)
            self._append(piece, lines)
        return lines

    def finish(self) -> list[str]:
        """Return the last line, if it has no line feed."""
        lines: list[str] = []
        if self._raw_length or self._cells:
            self._end_line(lines)
        return lines

    def _append(self, piece: str, lines: list[str]) -> None:
        if not piece:
            return
        self._raw.append(piece)
        self._raw_length += len(piece)
        if self._raw_length > MAX_LINE:
            raw = "".join(self._raw)
            # Only the end can be an open sequence, and its length is bounded.
            tail_start = max(0, len(raw) - _MAX_STRING - 4)
            tail = _OPEN.search(raw, tail_start)
            end = tail.start() if tail else len(raw)
            self._raw, self._raw_length = [raw[end:]], len(raw) - end
            self._write(raw[:end], lines)

    def _end_line(self, lines: list[str]) -> None:
        raw = "".join(self._raw)
        self._raw, self._raw_length = [], 0
        if not self._cells and not self._column:
            text = _IGNORED.sub("", raw) if "\x1b" in raw else raw
            text = text.rstrip("\r")
            # If an escape is left, the removal may have joined two halves of another sequence.
            if len(text) <= MAX_LINE and not _CONTROL.search(text):
                lines.append(text)
                return
        self._write(raw, lines)
        lines.append("".join(self._cells))
        self._cells, self._column = [], 0

    def _write(self, raw: str, lines: list[str]) -> None:
        """Carry out the characters and sequences of `raw`, which has no line feed."""
        for token in _TOKEN.finditer(raw):
            if (text := token["text"]) is not None:
                self._put(text, lines)
            elif token["control"] == "\r":
                self._column = 0
            elif token["final"] in ("K", "G") and (not token["parameters"] or token["parameters"].isdecimal()):
                self._control(token["final"], int(token["parameters"] or 0))

    def _put(self, text: str, lines: list[str]) -> None:
        cells, column = self._cells, self._column
        if len(cells) < column:
            cells += [" "] * (column - len(cells))
        cells[column : column + len(text)] = text
        self._column = column + len(text)
        while len(cells) > MAX_LINE:
            lines.append("".join(cells[:MAX_LINE]))
            del cells[:MAX_LINE]
            self._column = max(0, self._column - MAX_LINE)

    def _control(self, final: str, number: int) -> None:
        if final == "G":
            self._column = min(max(number, 1) - 1, max(len(self._cells), _MAX_COLUMN))
        elif number == 0:
            del self._cells[self._column :]
        elif number == 1:
            end = min(self._column + 1, len(self._cells))
            self._cells[:end] = [" "] * end
        elif number == 2:
            self._cells.clear()
