"""The end of a run: what is queued is handled, and what is left is logged."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest

from aiocircle import ConfigurationError
from aiocircle.events import EventRouter, Ping
from tests.support.event_router import SECRET, Recorder, ping, send, turns


async def test_drain_handles_what_is_queued(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the run waits for the queue. Meanwhile new events are 503, and handled ones 200."""
    router = EventRouter(SECRET, workers=1, drain=10.0)
    handled: list[str | None] = []
    statuses: list[int] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        await asyncio.sleep(1.0)
        handled.append(event.id)
        if event.id == "b":
            statuses.extend(send(router, ping(each)) for each in ("a", "b", "c", "new"))

    async with router:
        for each in "abc":
            assert send(router, ping(each)) == 202
    assert handled == ["a", "b", "c"]
    assert statuses == [200, 503, 503, 503], "b is still in work, c is queued: both could still be lost"
    assert "not handled" not in caplog.text


async def test_end_logs_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """After `drain` seconds handlers are cancelled, and each event that was not handled is logged by its id."""
    router = EventRouter(SECRET, workers=1, drain=2.5)
    recorder: list[str | None] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        await asyncio.sleep(1.0)
        recorder.append(event.id)

    loop = asyncio.get_running_loop()
    async with router:
        for each in ["one", "two", "three", "four", None]:
            assert send(router, ping(each)) == 202
        began = loop.time()
    assert loop.time() - began == pytest.approx(2.5)
    assert recorder == ["one", "two"]
    left = [record.getMessage() for record in caplog.records if "not handled" in record.getMessage()]
    assert left == [
        f"event ping {each} was not handled: the router stopped" for each in ("three", "four", "without an id")
    ]
    async with router:
        assert [send(router, ping(each)) for each in ("one", "two")] == [200, 200], "handled events stay known"
        assert [send(router, ping(each)) for each in ("three", "four")] == [202, 202], "the others are not"


async def test_drain_of_zero_cancels_immediately(caplog: pytest.LogCaptureFixture) -> None:
    """`drain=0` waits for nothing."""
    router = EventRouter(SECRET, drain=0)
    recorder = Recorder(router)
    recorder.go_on.clear()
    async with router:
        send(router, ping("a"))
        await turns()
    assert recorder.started == ["a"]
    assert recorder.ended == []
    assert "ping a was not handled" in caplog.text


async def test_cancelled_drain_still_logs(caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation of the drain passes through, after the handlers were cancelled and what is left was logged."""
    router = EventRouter(SECRET, drain=100.0, workers=1)
    recorder = Recorder(router)
    recorder.go_on.clear()

    async def serve() -> None:
        async with router:
            send(router, ping("a"))
            send(router, ping("b"))

    task = asyncio.create_task(serve())
    await asyncio.sleep(1.0)
    assert router.receive(b"{}", {}) == 401
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() < 5.0
    assert "ping a was not handled" in caplog.text
    assert "ping b was not handled" in caplog.text
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_handler_that_ends_when_cancelled_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that finishes its work when it is cancelled has handled the event."""
    router = EventRouter(SECRET, drain=0)

    @router.on(Ping)
    async def work(event: Ping) -> None:
        try:
            await asyncio.sleep(1000.0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)

    async with router:
        send(router, ping("a"))
        await turns()
    assert "not handled" not in caplog.text
    async with router:
        assert send(router, ping("a")) == 200


async def test_handler_that_fails_when_cancelled_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    """An error in the clean-up of a cancelled handler does not make the event handled."""
    router = EventRouter(SECRET, drain=0)
    later: list[str | None] = []

    @router.on(Ping)
    async def work(event: Ping) -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            raise ValueError("in the clean-up")

    @router.on(Ping)
    async def next_one(event: Ping) -> None:
        later.append(event.id)

    async with router:
        send(router, ping("a"))
        await turns()
    assert later == []
    assert "ping a was not handled" in caplog.text
    async with router:
        assert send(router, ping("a")) == 202


async def test_handler_that_ignores_cancel_does_not_hang(caplog: pytest.LogCaptureFixture) -> None:
    """The end does not wait for ever. Its event is logged, and its late end changes nothing."""
    router = EventRouter(SECRET, drain=1.0)
    release = asyncio.Event()

    @router.on(Ping)
    async def work(event: Ping) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with router:
        send(router, ping("a"))
        await turns()
    assert asyncio.get_running_loop().time() < 5.0
    assert "ping a was not handled" in caplog.text
    release.set()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with router:
        assert send(router, ping("a")) == 202


async def test_router_runs_once_at_a_time() -> None:
    """A second run while the first lasts is an error. After it, the router runs again."""
    router = EventRouter(SECRET)
    async with router:
        with pytest.raises(ConfigurationError, match="runs already"):
            async with router:
                pass
        assert send(router, ping("a")) == 202
    async with router:
        assert send(router, ping("b")) == 202


async def test_run_is_a_cleanup_context() -> None:
    """`run` starts at its first step and drains at its second, as aiohttp drives it."""
    router = EventRouter(SECRET)
    recorder = Recorder(router)
    async with aclosing(router.run(object())) as run:  # type: ignore[type-var]
        await anext(run)
        assert send(router, ping("a")) == 202
        with pytest.raises(StopAsyncIteration):
            await anext(run)
    assert recorder.ended == ["a"]
    assert send(router, ping("b")) == 503


def test_router_outlives_its_loop(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that ended without the end of the run leaves a router that logs what was lost, and runs again."""
    router = EventRouter(SECRET)

    async def begin() -> None:
        await router.__aenter__()
        assert send(router, ping("a")) == 202

    async def again() -> int:
        async with router:
            return send(router, ping("a"))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    assert send(router, ping("b")) == 503
    assert asyncio.run(again()) == 202
    assert "ping a was not handled" in caplog.text
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_receive_in_another_thread_is_an_error() -> None:
    """The router is not thread-safe: a call from a thread is refused instead of losing an event."""
    router = EventRouter(SECRET)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            send(router, ping("a"))
        except ConfigurationError as error:
            errors.append(error)

    async with router:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert "must be called in the event loop that runs the router" in str(errors[0])
