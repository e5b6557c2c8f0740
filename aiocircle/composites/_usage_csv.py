"""Files of usage exports: bytes to typed rows, in bounded memory."""

from __future__ import annotations

import asyncio
import codecs
import csv
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Final, get_args, get_origin

import attrs
import msgspec

from aiocircle._redact import single_line
from aiocircle.errors import DecodeError
from aiocircle.resources.usage import UsageRow

__all__ = ["UsageFile", "read_usage_rows"]

_GZIP: Final = b"\x1f\x8b"
# Bytes of text that are parsed in one piece: some milliseconds, during which the loop still runs.
_BLOCK: Final = 128 * 1024
_MAX_LINE: Final = 1024 * 1024
# Lines of a record that continues because of a line feed between quotes. Real values have none; a stray quote must not
# make one record of the rest of the file.
_MAX_RECORD_LINES: Final = 100
_MAX_PROBLEMS: Final = 10

_NULL: Final = r"\N"
# Stands for null in a file whose backslashes escape: there, the parser reads \N as N. No text of a CSV file has it.
_NULL_MARK: Final = "\0null\0"
_BARE_NULL: Final = re.compile(r"(?<![^,\n])\\N(?![^,\r\n])")
_NULLS: Final[dict[str, str | None]] = {_NULL: None, _NULL_MARK: None}
# The last record of a block, which no file has: it shows if the record before it is complete.
_END: Final = "\0end\0"
_INNER_DOUBLE: Final = re.compile(r'(?<=[^,\n\\])""(?=[^,\r\n])')
_BOOLEANS: Final = {"Y": "true", "N": "false", "y": "true", "n": "false"}


class _Quoting(Enum):
    """The two ways in which exports have been seen to write a quote within a quoted value."""

    DOUBLED = "doubled"
    BACKSLASH = "backslash"


class _OpenRecordError(Exception):
    """A record has more lines than a record can have."""


async def read_usage_rows(chunks: AsyncIterable[bytes]) -> AsyncGenerator[UsageRow, None]:
    """Yield the rows of one file of a usage export, compressed or not.

    A row that cannot be read is left out, and the rows after it are yielded. At the end, DecodeError is raised with the
    lines and reasons of the first ten of them, and the number of the others.
    """
    file = UsageFile()
    async for chunk in chunks:
        batches = file.feed(chunk)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for row in batch:
                yield row
    batches = file.finish()
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        for row in batch:
            yield row
    file.check()


class UsageFile:
    """The rows of one file, which arrives in chunks. Its iterators work when they are advanced, some ms each."""

    def __init__(self) -> None:
        self._start: bytes = b""
        self._is_gzip: bool | None = None
        self._inflate: Any = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._text = ""
        self._lines: list[str] = []
        self._quoting: _Quoting | None = None
        self._columns: _Columns | None = None
        self._line_number = 0
        self._problems: list[str] = []
        self._bad_rows = 0

    def feed(self, data: bytes) -> Iterator[list[UsageRow]]:
        """Yield lists of the rows that `data` completes. Raise DecodeError if it is not a file of an export."""
        if self._is_gzip is None:
            self._start += data
            if len(self._start) < len(_GZIP):
                return
            data, self._start = self._start, b""
            self._is_gzip = data.startswith(_GZIP)
        if self._is_gzip:
            for block in self._decompress(data):
                yield self._parse(self._decoder.decode(block))
        else:
            for at in range(0, len(data), _BLOCK):
                yield self._parse(self._decoder.decode(data[at : at + _BLOCK]))

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield blocks of bounded size. A file may have several members."""
        block = b""
        if self._inflate is None:
            data = data.lstrip(b"\0")  # Members may be padded.
        while data or len(block) == _BLOCK:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                block = self._inflate.decompress(data, _BLOCK)
            except zlib.error as error:
                raise DecodeError([f"the file is not valid gzip: {error}"], malformed=True) from None
            yield block
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data.lstrip(b"\0")
                self._inflate = None
                block = b""

    def finish(self) -> Iterator[list[UsageRow]]:
        """Yield the rows of the last block. Raise DecodeError if the file was cut."""
        yield self._parse(self._decoder.decode(self._start, final=True), is_last=True)
        if self._inflate is not None:
            raise DecodeError(["the file ends within its gzip data"], malformed=True)

    def check(self) -> None:
        """Raise DecodeError if a row could not be read."""
        if self._bad_rows > len(self._problems):
            self._problems.append(f"{self._bad_rows - len(self._problems)} more rows")
        if self._problems:
            raise DecodeError(self._problems)

    def _parse(self, text: str, *, is_last: bool = False) -> list[UsageRow]:
        *lines, self._text = (self._text + text).split("\n")
        self._lines += lines
        if is_last and self._text:
            self._lines.append(self._text)
            self._text = ""
        if len(self._text) > _MAX_LINE:
            raise DecodeError([f"line {self._line_number + len(self._lines) + 1} has more than {_MAX_LINE} characters"])
        self._quoting = self._quoting or _find_quoting(self._lines)
        records: list[tuple[int, list[str]]] = []
        # A bad record is left out, and the next line begins a new one.
        while not self._read_records(records, is_last=is_last):
            pass
        return self._convert(records)

    def _read_records(self, records: list[tuple[int, list[str]]], *, is_last: bool) -> bool:
        """Move complete records out of the lines. Return False if there may be more after a bad one."""
        lines, taken = self._lines, 0
        reader = _Records(lines, self._quoting)
        width = None if self._columns is None else self._columns.width
        try:
            for record in reader:
                end = min(reader.line_num, len(lines))
                if end == len(lines) and record != [_END] and record and _END in record[-1]:
                    if not is_last and end - taken <= _MAX_RECORD_LINES:
                        break  # The next block continues it.
                    return self._skip_line(taken, "it has a quote that is not closed")
                if record == [_END]:
                    taken = len(lines)
                    break
                if width is None and record:
                    self._columns = _Columns(record)
                    width = self._columns.width
                elif record:
                    if len(record) != width:
                        reason = f"expected {width} values, got {len(record)}"
                        return self._skip_line(taken, reason)
                    records.append((self._line_number + taken + 1, record))
                taken = end
        except (csv.Error, _OpenRecordError) as error:
            return self._skip_line(taken, str(error))
        self._line_number += taken
        del lines[:taken]
        return True

    def _skip_line(self, index: int, reason: str) -> bool:
        self._add_problem(self._line_number + index + 1, reason)
        self._line_number += index + 1
        del self._lines[: index + 1]
        return not self._lines

    def _add_problem(self, number: int, reason: str) -> None:
        self._bad_rows += 1
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(f"line {number}: {single_line(reason, 200)}")

    def _convert(self, records: Sequence[tuple[int, list[str]]]) -> list[UsageRow]:
        columns = self._columns
        if columns is None or not records:
            return []
        try:
            return columns.convert([record for _, record in records])
        except msgspec.ValidationError:
            pass  # Each row by itself, to find which one it is.
        rows: list[UsageRow] = []
        for number, record in records:
            try:
                rows += columns.convert([record])
            except msgspec.ValidationError as error:
                self._add_problem(number, str(error).replace("$[0].", ""))
        return rows


class _Records:
    """The records of lines, and one last record, which shows if the one before it is complete."""

    def __init__(self, lines: list[str], quoting: _Quoting | None) -> None:
        self.line_num = 0  # of the last line of a record
        self._lines = lines
        if quoting is _Quoting.BACKSLASH:
            self._reader = csv.reader(self._marked(), doublequote=False, escapechar="\\")
        else:
            self._reader = csv.reader(self._source())

    def __iter__(self) -> Iterator[list[str]]:
        for record in self._reader:
            self.line_num = self._reader.line_num
            yield record

    def _source(self) -> Iterator[str]:
        for index, line in enumerate(self._lines):
            if index - self.line_num > _MAX_RECORD_LINES:
                raise _OpenRecordError("it has a quote that is not closed")
            yield f"{line}\n"
        yield _END

    def _marked(self) -> Iterator[str]:
        for line in self._source():
            yield _BARE_NULL.sub(_NULL_MARK, line) if _NULL in line else line


def _find_quoting(lines: list[str]) -> _Quoting | None:
    """Return the way of quoting that some lines show; None if both read them alike."""
    text = "\n".join(lines)
    has_escape, has_double = '\\"' in text, _INNER_DOUBLE.search(text) is not None
    if not has_escape:
        return _Quoting.DOUBLED if has_double else None
    # A path may end with a backslash before its closing quote. The right way gives all records the same width.
    wrong = {quoting: _count_odd(lines, quoting) for quoting in _Quoting}
    if wrong[_Quoting.BACKSLASH] == wrong[_Quoting.DOUBLED]:
        return _Quoting.DOUBLED if has_double else _Quoting.BACKSLASH
    return min(wrong, key=lambda quoting: wrong[quoting])


def _count_odd(lines: list[str], quoting: _Quoting) -> int:
    """Return how many records do not have the most frequent width."""
    widths: dict[int, int] = {}
    try:
        for record in _Records(lines, quoting):
            if record == [_END]:
                break
            widths[len(record)] = widths.get(len(record), 0) + 1
    except (csv.Error, _OpenRecordError):
        return len(lines)
    return sum(widths.values()) - max(widths.values(), default=0)


class _Columns:
    """The columns of a file, from its header, and the conversion of its records."""

    def __init__(self, header: list[str]) -> None:
        fields = {field.name: _members(field.type) for field in attrs.fields(attrs.resolve_types(UsageRow))}
        del fields["extra"]
        names = [name.strip().lower() for name in header]
        missing = [name for name, types in fields.items() if type(None) not in types and name not in names]
        if missing:
            raise DecodeError([f"the header has no column {', '.join(missing).upper()}"])
        self.width = len(header)
        self._names = names
        self._extra = {header[index]: index for index, name in enumerate(names) if name not in fields}
        self._known = [index for index, name in enumerate(names) if name in fields]
        self._times = [index for index in self._known if datetime in fields[names[index]]]
        self._dates = [index for index in self._known if date in fields[names[index]]]
        self._booleans = [index for index in self._known if bool in fields[names[index]]]
        self._not_text = [index for index in self._known if str not in fields[names[index]]]

    def convert(self, records: list[list[str]]) -> list[UsageRow]:
        """Return rows. Raise ValidationError if one of them is bad."""
        return msgspec.convert([self._prepare(record) for record in records], list[UsageRow], strict=False)

    def _prepare(self, record: list[str]) -> dict[str, Any]:
        # Without a loop of Python's own, which would take as long as everything else here.
        values: list[str | None] = list(map(_NULLS.get, record, record))
        if "" in record:
            for index in self._not_text:
                values[index] = values[index] or None
        for index in self._times:
            if (value := values[index]) is not None:
                # YYYY-MM-DD hh:mm:ss.mmm, in UTC.
                values[index] = f"{value}Z" if len(value) == 23 else _time_text(value)
        for index in self._dates:
            if (value := values[index]) is not None:
                values[index] = value[:10]
        for index in self._booleans:
            if (value := values[index]) is not None:
                values[index] = _BOOLEANS.get(value, value)
        if not self._extra:
            return dict(zip(self._names, values, strict=True))
        row: dict[str, Any] = {self._names[index]: values[index] for index in self._known}
        row["extra"] = {name: values[index] for name, index in self._extra.items()}
        return row


def _members(type_: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the type itself, without annotations."""
    members = get_args(type_) if type(None) in get_args(type_) else (type_,)
    return tuple(get_args(member)[0] if get_origin(member) is Annotated else member for member in members)


def _time_text(value: str) -> str:
    """Return a time or a date of an export as RFC 3339 writes it."""
    value = value.removesuffix(" UTC")
    if len(value) == len("YYYY-MM-DD"):
        return f"{value}T00:00:00Z"
    return value if value.endswith(("Z", "z")) or re.search(r"[+-][0-9]{2}:?[0-9]{2}$", value) else f"{value}Z"
