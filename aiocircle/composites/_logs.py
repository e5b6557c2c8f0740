"""Output of steps: bytes to lines."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import ijson  # type: ignore[import-untyped] # pyright: ignore[reportMissingTypeStubs]
import msgspec

from aiocircle._core.fields import Timestamp
from aiocircle.composites._terminal import TerminalText
from aiocircle.errors import CircleCIError, DecodeError
from aiocircle.resources.jobs import OutputLine, Step, StepAction, StepOutput, step_failed
from aiocircle.v1.builds import Build, BuildAction

__all__ = [
    "OutputText",
    "RawOutputText",
    "list_outputs",
    "make_output",
    "make_steps",
    "read_items",
    "read_last_lines",
    "read_output",
]

# Bytes; one item of an output is a piece of it, seldom above a few hundred KiB.
_MAX_ITEM: Final = 64 * 1024 * 1024
# Bytes that the parser takes without a pause for the loop: about half a millisecond.
_PIECE: Final = 64 * 1024


def make_steps(build: Build) -> tuple[Step, ...]:
    """Return the steps of a build of API v1.1 as the steps of a job."""
    return tuple(Step(name=step.name, actions=tuple(map(_action, step.actions))) for step in build.steps)


def _action(action: BuildAction) -> StepAction:
    return StepAction(
        index=action.index,
        number=action.step,
        status=action.status or "",
        exit_code=action.exit_code,
        failed=_failed(action),
        started_at=action.start_time,
        stopped_at=action.end_time,
        run_time_millis=action.run_time_millis,
        has_output=bool(action.has_output),
        truncated=bool(action.truncated),
        command=action.bash_command,
    )


def _failed(action: BuildAction) -> bool:
    return step_failed(action.status or "", action.failed, action.timedout, action.infrastructure_fail)


def list_outputs(
    build: Build, *, failed_only: bool = False, step: str | None = None, index: int | None = None
) -> list[tuple[str, BuildAction]]:
    """Return the actions of a build whose output is requested, each with the name of its step.

    step: the name of a step. index: a parallel node, counted from 0. An action without output is in the list if it
    failed: its status is known, and its output is empty.
    """
    return [
        (each.name, action)
        for each in build.steps
        if step is None or each.name == step
        for action in each.actions
        if (index is None or action.index == index)
        and (not failed_only or _failed(action))
        and (action.has_output or failed_only)
    ]


def make_output(step: str, action: BuildAction, lines: Iterable[OutputLine]) -> StepOutput:
    """Return the last lines of an action's output as one value."""
    return StepOutput(
        step=step,
        index=action.index,
        status=action.status or "",
        exit_code=action.exit_code,
        text="\n".join(line.text for line in lines),
        truncated=bool(action.truncated),
    )


class OutputText:
    """The lines of an output of API v1.1, from its items: objects with a type, a time and a message.

    The lines of a stream are in order. A line has the time of the item that ended it. An output that grows may be read
    again from its beginning: only what is new makes lines.
    """

    def __init__(self, *, step: str, index: int) -> None:
        self.step = step
        self.index = index
        self._terminals: dict[str, TerminalText] = {}
        self._times: dict[str, datetime | None] = {}
        self._positions: dict[str, int] = {}  # characters of each stream in this reading
        self._ends: dict[str, int] = {}  # and in all

    def restart(self) -> None:
        """Begin another reading."""
        self._positions.clear()

    def feed(self, item: Mapping[str, Any]) -> list[OutputLine]:
        """Return the lines that an item ends."""
        stream, message = str(item.get("type") or "out"), str(item.get("message") or "")
        start, end = self._positions.get(stream, 0), self._ends.get(stream, 0)
        self._positions[stream] = start + len(message)
        new = message[max(0, end - start) :]
        if not new and message:
            return []
        self._ends[stream] = max(end, start + len(message))
        at = self._times[stream] = _time(item.get("time"))
        lines = self._terminals.setdefault(stream, TerminalText()).feed(new)
        return [self._line(line, stream, at) for line in lines]

    def finish(self) -> list[OutputLine]:
        """Return the last lines, which have no line feed."""
        return [
            self._line(line, stream, self._times[stream])
            for stream, terminal in self._terminals.items()
            for line in terminal.finish()
        ]

    def _line(self, text: str, stream: str, at: datetime | None) -> OutputLine:
        return OutputLine(text=text, stream=stream, step=self.step, index=self.index, at=at)


async def read_output(chunks: AsyncIterable[bytes], *, step: str, index: int) -> AsyncGenerator[OutputLine, None]:
    """Yield the lines of an output of API v1.1: an array of {type, time, message}. An empty body has no lines."""
    text = OutputText(step=step, index=index)
    failure: Exception | None = None
    try:
        async for item in read_items(chunks):
            for line in text.feed(item):
                yield line
    except CircleCIError as error:
        failure = error  # The lines that were received are yielded first.
    for line in text.finish():
        yield line
    if failure is not None:
        raise failure


def _time(value: object) -> datetime | None:
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        return None


class RawOutputText:
    """The lines of an output of API v3, from raw bytes, which may be divided inside of a character."""

    def __init__(self, *, stream: str, step: str, index: int) -> None:
        self.step = step
        self._stream = stream
        self._index = index
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._terminal = TerminalText()

    def feed(self, chunk: bytes) -> list[OutputLine]:
        """Return the lines that a chunk ends."""
        return self._lines(self._terminal.feed(self._decoder.decode(chunk)))

    def finish(self) -> list[OutputLine]:
        """Return the last line, which has no line feed."""
        lines = self._terminal.feed(self._decoder.decode(b"", final=True))
        return self._lines(lines + self._terminal.finish())

    def _lines(self, lines: list[str]) -> list[OutputLine]:
        return [OutputLine(text=line, stream=self._stream, step=self.step, index=self._index) for line in lines]


async def read_last_lines(lines: AsyncIterable[OutputLine], count: int) -> tuple[OutputLine, ...]:
    """Return the last `count` lines. Memory is bounded by them."""
    kept: deque[OutputLine] = deque(maxlen=count)
    async for line in lines:
        kept.append(line)
    return tuple(kept)


async def read_items(chunks: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of a JSON array that comes in chunks of any size. An empty body has none.

    Raise DecodeError if the body is not such an array, is cut, or has an item of more than 64 MiB. The items before
    are yielded first.
    """
    parser = _ArrayParser()
    async for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            parser.feed(chunk[start : start + _PIECE])
            for item in parser.take():
                yield item
            parser.check()
    parser.finish()
    for item in parser.take():
        yield item
    parser.check()


class _ArrayParser:
    """The items of a JSON array that arrives in pieces. An error is kept until the items before it are taken."""

    def __init__(self) -> None:
        self._items: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._items, "item")
        self._is_empty = True
        self._pending = 0
        self._problem = ""
        self._is_malformed = False

    def feed(self, piece: bytes) -> None:
        if self._is_empty:
            piece = piece.lstrip()
            if not piece:
                return
            self._is_empty = False
            if not piece.startswith(b"["):
                self._problem = "$ expected an array"
                return
        try:
            self._parser.send(piece)
        except ijson.JSONError as error:
            self._fail(error)
        self._pending = 0 if self._items else self._pending + len(piece)
        if self._pending > _MAX_ITEM:
            self._problem = f"$ has an item of more than {_MAX_ITEM} bytes"

    def finish(self) -> None:
        try:
            if not self._is_empty:
                self._parser.close()
        except ijson.JSONError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._problem = f"$ is not a JSON array: {error}"
        self._is_malformed = True

    def take(self) -> list[dict[str, Any]]:
        items: list[Any] = [*self._items]
        self._items.clear()
        objects: list[dict[str, Any]] = [item for item in items if isinstance(item, dict)]
        if len(objects) < len(items):
            self._problem = self._problem or "$ expected an array of objects"
        return objects

    def check(self) -> None:
        if self._problem:
            raise DecodeError([self._problem], malformed=self._is_malformed)
