"""Outputs of steps: bytes of any division to lines, with bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle._core.fast_decode import msgspec_decoder
from aiocircle.composites import _logs
from aiocircle.composites._logs import (
    OutputText,
    RawOutputText,
    list_outputs,
    make_output,
    make_steps,
    read_items,
    read_last_lines,
    read_output,
)
from aiocircle.errors import ConnectionFailed, DecodeError
from aiocircle.resources.jobs import OutputLine, StepAction, StepOutput, step_failed
from aiocircle.v1.builds import Build
from tests.support.rows import each_row

TIME = "2026-11-20T09:14:05.12Z"
AT = datetime(2026, 11, 20, 9, 14, 5, 120000, UTC)


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def collect(stream: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in stream]


def items(*messages: tuple[str, str]) -> bytes:
    return json.dumps([{"type": type_, "time": TIME, "message": text} for type_, text in messages]).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_output_is_lines(size: int) -> None:
    """One item is many lines, one line may be of many items; streams do not mix; `]` and `{` may stand in a message."""
    body = items(
        ("out", "\x1b[32mone\x1b[0m\r\ntw"),
        ("err", "bad "),
        ("out", 'o\n[{"]}\\ 🙂\n'),
        ("err", "news\n"),
        ("out", "end"),
    )
    found = await collect(read_output(pieces(body, size), step="pytest", index=1))
    assert [(line.stream, line.text) for line in found] == [
        ("out", "one"),
        ("out", "two"),
        ("out", '[{"]}\\ 🙂'),
        ("err", "bad news"),
        ("out", "end"),
    ]
    assert found[0] == OutputLine(text="one", stream="out", step="pytest", index=1, at=AT)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"[]", b" [ ] "])
async def test_empty_output_has_no_lines(body: bytes) -> None:
    """Also a body of nothing at all, which the storage sends."""
    assert await collect(read_output(pieces(body, 1), step="x", index=0)) == []


@pytest.mark.parametrize(
    "body",
    [
        items(("out", "a\nb"))[:-1],
        items(("out", "a\nb"))[:-9],
        b"<xml/>",
        b'{"message": "x"}',
        b"[1]",
        b"[]]",
        b"[{},]",
    ],
)
async def test_bad_output_is_an_error(body: bytes) -> None:
    """A cut body, another document, another array."""
    with pytest.raises(DecodeError):
        await collect(read_output(pieces(body, 5), step="x", index=0))


async def test_lines_before_an_error_are_yielded() -> None:
    """Lines before a cut body or a lost connection are yielded."""

    async def lost() -> AsyncIterator[bytes]:
        yield items(("out", "a\nb"))[:-1]
        raise ConnectionFailed("lost")

    for body, error in ((pieces(items(("out", "a\nb"))[:-1], 9), DecodeError), (lost(), ConnectionFailed)):
        found = []
        with pytest.raises(error):
            async for line in read_output(body, step="x", index=0):
                found.append(line.text)  # noqa: PERF401 - what came before the error
        assert found == ["a", "b"]


async def test_item_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An item is bounded, so that memory is."""
    monkeypatch.setattr(_logs, "_MAX_ITEM", 100_000)
    body = b'[{"message": "' + b"x" * 300_000
    with pytest.raises(DecodeError, match="100000"):
        await collect(read_items(pieces(body, 1000)))


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ({"message": "x"}, OutputLine(text="x", stream="out", step="s", index=0)),
        ({"type": "err", "message": "x", "time": "yesterday"}, OutputLine(text="x", stream="err", step="s", index=0)),
        (
            {"type": None, "message": "x", "time": None, "new": [1]},
            OutputLine(text="x", stream="out", step="s", index=0),
        ),
    ],
)
async def test_item_may_lack_its_keys(item: dict[str, Any], line: OutputLine) -> None:
    """Times that cannot be read are None."""
    assert await collect(read_output(pieces(json.dumps([item]).encode(), 99), step="s", index=0)) == [line]


async def read_raw(body: bytes, size: int, **about: Any) -> list[OutputLine]:
    text = RawOutputText(**about)
    lines = [line async for piece in pieces(body, size) for line in text.feed(piece)]
    return lines + text.finish()


@given(st.lists(st.text(alphabet="ab\r\n\x1b[K2🙂é\ud7ff", max_size=20), max_size=6), st.integers(1, 9))
async def test_raw_output_equals_items(texts: list[str], size: int) -> None:
    """API v3's bytes, divided inside of characters, give the lines of v1.1's items."""
    raw = await read_raw("".join(texts).encode(), size, stream="out", step="s", index=0)
    array = await collect(read_output(pieces(items(*(("out", text) for text in texts)), size), step="s", index=0))
    assert [line.text for line in raw] == [line.text for line in array]


async def test_raw_output_replaces_bad_bytes() -> None:
    """Also a character that the end cuts."""
    found = await read_raw(b"a\xff\nb\xe2\x82", 2, stream="err", step="s", index=2)
    assert [line.text for line in found] == ["a\ufffd", "b\ufffd"]


@given(
    st.lists(st.tuples(st.sampled_from(["out", "err"]), st.text(alphabet="ab\r\n\x1b[K2", max_size=12)), max_size=8),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(1, 7),
)
def test_growing_output_is_read_once(output: list[tuple[str, str]], ends: list[int], size: int) -> None:
    """An output that is read again as it grows, in other items, gives each line once: those of the whole."""
    whole = OutputText(step="s", index=0)
    expected = [line for stream, text in output for line in whole.feed({"type": stream, "message": text})]
    expected += whole.finish()
    total = {stream: "".join(text for each, text in output if each == stream) for stream in ("out", "err")}
    growing = OutputText(step="s", index=0)
    found: list[OutputLine] = []
    for end in [*sorted(ends), 10_000]:
        growing.restart()
        for stream, text in total.items():
            text = text[:end]
            for at in range(0, len(text), size):
                found += growing.feed({"type": stream, "message": text[at : at + size]})
    found += growing.finish()
    for stream in total:
        assert [line for line in found if line.stream == stream] == [line for line in expected if line.stream == stream]


async def test_last_lines_are_bounded() -> None:
    """A megabyte of output: the last lines, and memory for little more than them."""
    one = items(("out", "".join(f"line {number}\r\n" for number in range(1000))))[1:-1]

    async def body() -> AsyncIterator[bytes]:
        yield b"["
        for number in range(70):
            yield (b"," if number else b"") + one
        yield b"]"

    await read_last_lines(read_output(pieces(items(("out", "warm")), 9), step="s", index=0), 1)
    tracemalloc.start()
    last = await read_last_lines(read_output(body(), step="s", index=0), 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line.text for line in last] == [f"line {number}" for number in range(900, 1000)]
    assert peak < 2_000_000


# --- steps ----------------------------------------------------------------------------------------------------


@each_row(
    ("status", "flags", "failed"),
    [
        ("failed", (), True),
        ("timedout", (None, None), True),
        ("infrastructure_fail", (False,), True),
        ("success", (True,), False),
        ("canceled", (True,), False),
        ("running", (None,), False),
        ("exploded", (None, True), True),
        ("exploded", (False, None), False),
    ],
)
def test_status_decides_about_failure(status: str, flags: tuple[bool | None, ...], failed: bool) -> None:
    """The API's booleans count only with a status that is not known."""
    assert step_failed(status, *flags) is failed


def build() -> Build:
    action = {"index": 0, "step": 101, "status": "success", "has_output": True, "output_url": "https://s3/x?sig=1"}
    late = {**action, "index": 1, "status": "timedout", "failed": None, "exit_code": None, "truncated": True}
    silent = {"index": 0, "step": 102, "status": "failed", "exit_code": 1, "has_output": False, "start_time": TIME}
    steps = [{"name": "test", "actions": [action, late]}, {"name": "report", "actions": [silent]}]
    return msgspec.convert({"build_num": 7, "steps": steps}, Build)


def test_steps_of_a_build() -> None:
    """A step that timed out has failed, though it has no exit code."""
    test, report = make_steps(build())
    assert (test.name, test.failed, [action.failed for action in test.actions]) == ("test", True, [False, True])
    assert test.actions[1].truncated
    assert report.actions == (
        StepAction(index=0, number=102, status="failed", exit_code=1, failed=True, started_at=AT, has_output=False),
    )


@each_row(
    ("selection", "found"),
    [
        ({}, [("test", 0), ("test", 1)]),
        ({"failed_only": True}, [("test", 1), ("report", 0)]),
        ({"index": 1}, [("test", 1)]),
        ({"step": "report", "failed_only": True}, [("report", 0)]),
        ({"step": "none"}, []),
    ],
)
def test_outputs_are_selected(selection: dict[str, Any], found: list[tuple[str, int]]) -> None:
    """By failure, step and node."""
    assert [(step, action.index) for step, action in list_outputs(build(), **selection)] == found


def test_output_of_an_action() -> None:
    """The last lines as one text, with what the caller needs to judge them."""
    (step, action), _ = list_outputs(build(), failed_only=True)
    lines = [OutputLine(text=text, stream="out", step=step, index=1) for text in ("a", "b")]
    output = make_output(step, action, lines)
    assert output == StepOutput(step="test", index=1, status="timedout", text="a\nb", truncated=True)
    assert "sig=1" not in repr(action)


def test_builds_are_read_fast() -> None:
    """A build with a thousand actions is read by msgspec."""
    assert msgspec_decoder(Build) is not None
