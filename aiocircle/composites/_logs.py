"""Output of steps: bytes to lines."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
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
    "list_outputs",
    "make_output",
    "make_steps",
    "read_items",
    "read_last_lines",
    "read_output",
    "read_raw_output",
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


async def read_output(chunks: AsyncIterable[bytes], *, step: str, index: int) -> AsyncIterator[OutputLine]:
    """Yield the lines of an output of API v1.1: an array of {type, time, message}. An empty body has no lines.

    The lines of a stream are in order. A line has the time of the item that ended it.
    """
    streams: dict[str, TerminalText] = {}
    times: dict[str, datetime | None] = {}
    failure: Exception | None = None
    try:
        async for item in read_items(chunks):
            stream = str(item.get("type") or "out")
            at = times[stream] = _time(item.get("time"))
            for line in streams.setdefault(stream, TerminalText()).feed(str(item.get("message") or "")):
                yield OutputLine(text=line, stream=stream, step=step, index=index, at=at)
    except CircleCIError as error:
        failure = error  # What was received is yielded first.
    for stream, terminal in streams.items():
        for line in terminal.finish():
            yield OutputLine(text=line, stream=stream, step=step, index=index, at=times[stream])
    if failure is not None:
        raise failure


def _time(value: object) -> datetime | None:
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        return None


async def read_raw_output(
    chunks: AsyncIterable[bytes], *, stream: str, step: str, index: int
) -> AsyncIterator[OutputLine]:
    """Yield the lines of an output of API v3: raw bytes, which may be divided inside of a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    terminal = TerminalText()
    async for chunk in chunks:
        for line in terminal.feed(decoder.decode(chunk)):
            yield OutputLine(text=line, stream=stream, step=step, index=index)
    for line in terminal.feed(decoder.decode(b"", final=True)) + terminal.finish():
        yield OutputLine(text=line, stream=stream, step=step, index=index)


async def read_last_lines(lines: AsyncIterable[OutputLine], count: int) -> tuple[OutputLine, ...]:
    """Return the last `count` lines. Memory is bounded by them."""
    kept: deque[OutputLine] = deque(maxlen=count)
    async for line in lines:
        kept.append(line)
    return tuple(kept)


async def read_items(chunks: AsyncIterable[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of a JSON array, however the chunks divide it. An empty body has none.

    Raise DecodeError, after the items before it, if the body is not such an array, is cut, or has an item of more than
    64 MiB.
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
