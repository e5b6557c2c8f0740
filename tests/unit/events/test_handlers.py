"""Handlers: they get their events, and their failures stop nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiocircle import ConfigurationError
from aiocircle.events import EventRouter, JobCompleted, Ping, UnknownEvent, WorkflowCompleted
from tests.support import events as bodies
from tests.support.event_router import SECRET, ping, send


async def test_handlers_get_their_types() -> None:
    """Each handler gets the events of its type, with all handlers of a type called in order."""
    router = EventRouter(SECRET)
    calls: list[str] = []

    @router.on(WorkflowCompleted)
    async def first(event: WorkflowCompleted) -> None:
        calls.append(f"first {event.id}")

    @router.on(JobCompleted)
    @router.on(WorkflowCompleted)
    async def second(event: WorkflowCompleted | JobCompleted) -> None:
        calls.append(f"second {event.id}")

    @router.on(UnknownEvent)
    def plain(event: UnknownEvent) -> None:
        calls.append(f"plain {event.type}")

    async with router:
        for event in (bodies.workflow_completed("w"), bodies.job_completed("j"), ping("p"), {"type": "new", "id": "u"}):
            assert send(router, event) == 202
    assert sorted(calls) == ["first w", "plain new", "second j", "second w"]
    assert calls.index("first w") < calls.index("second w")


def test_wrong_handler_is_configuration_error() -> None:
    """A type that is not an event, and a handler that cannot be called."""
    router = EventRouter(SECRET)
    wrong: Any = str
    with pytest.raises(ConfigurationError, match=r"^event_type must be"):
        router.on(wrong)
    wrong = None
    with pytest.raises(ConfigurationError, match=r"^handler must be"):
        router.on(Ping)(wrong)


def _cancel_self() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _raise(error: BaseException) -> None:
    raise error


async def _cancel_and_wait() -> None:
    _cancel_self()
    await asyncio.sleep(1.0)


async def _cancel_and_return() -> None:
    _cancel_self()


FAILURES: dict[str, Callable[[], Any]] = {
    "an error": lambda: _raise(ValueError("boom")),
    "a CancelledError": lambda: _raise(asyncio.CancelledError()),
    "a group": lambda: _raise(ExceptionGroup("boom", [ValueError()])),
    "its own cancellation": _cancel_and_wait,
    "its own cancellation, at its end": _cancel_and_return,
    "a timeout": lambda: asyncio.wait_for(asyncio.Event().wait(), 1.0),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failing_handler_stops_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged with the event's id. Other events are handled, and this one is not handled again."""
    router = EventRouter(SECRET, workers=1)
    calls: list[str | None] = []

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        calls.append(event.id)
        if event.id == "bad":
            await FAILURES[name]()

    async with router:
        assert [send(router, ping(each)) for each in ("a", "bad", "b")] == [202] * 3
        await asyncio.sleep(5.0)
        assert send(router, ping("bad")) == 200
    assert calls == ["a", "bad", "b"]
    assert "not handled" not in caplog.text
    if name != "its own cancellation, at its end":
        (record,) = [record for record in caplog.records if "failed" in record.getMessage()]
        assert "ping bad failed" in record.getMessage()
        assert "fail" in record.getMessage()
        assert record.exc_info


@pytest.mark.parametrize("name", FAILURES)
async def test_next_handler_runs_after_a_failure(name: str) -> None:
    """A failure of one handler is not one of the others, also if it cancelled its task."""
    router = EventRouter(SECRET)
    ended: list[str] = []

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        await FAILURES[name]()

    @router.on(Ping)
    async def good(event: Ping) -> None:
        async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1.0))
        ended.append(event.type)

    async with router:
        send(router, ping("a"))
    if name != "its own cancellation, at its end":
        assert ended == ["ping"]


async def test_workers_bound_the_events_in_work() -> None:
    """No more than `workers` events are handled concurrently, and a slow one delays no others."""
    router = EventRouter(SECRET, workers=3)
    active: list[int] = []
    now = 0

    @router.on(Ping)
    async def work(event: Ping) -> None:
        nonlocal now
        now += 1
        active.append(now)
        await asyncio.sleep(1.0)
        now -= 1

    async with router:
        began = asyncio.get_running_loop().time()
        for number in range(9):
            send(router, ping(str(number)))
    assert max(active) == 3
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)


async def test_hostile_id_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """An id from the network cannot forge a log line, nor flood the log."""
    router = EventRouter(SECRET)

    @router.on(Ping)
    async def fail(event: Ping) -> None:
        raise ValueError

    async with router:
        send(router, ping("a\nERROR forged\x1b[2J" + "x" * 10_000))
    (record,) = [record for record in caplog.records if "failed" in record.getMessage()]
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 300
