"""A cancelled call leaves nothing behind, and the client can be used afterwards."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Generator
from typing import Any

import pytest

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from tests.support.calls import CALLS, assert_usable, faulty, length
from tests.support.leaks import open_files
from tests.support.loops import counting_loop, iterate
from tests.support.stress import Tally
from tests.support.thorough import scaled

X = "/api/v2/a/x"
FREE = "/api/v2/free"
REASON = "the reason"


class CancelAt:
    """Awaits something, and cancels the running task when it suspends for the given time.

    gently: cancel while the awaited future is pending. Otherwise cancel when it is done, but before the task continues:
    the await has succeeded. The cancellation still arrives.
    """

    def __init__(self, awaitable: Any, number: int, *, gently: bool) -> None:
        self.iterator = awaitable.__await__()
        self.number = number
        self.gently = gently
        self.happened = False

    def _cancel(self, *_: object) -> None:
        self.task.cancel(REASON)

    def __await__(self) -> Generator[Any, Any, Any]:
        current = asyncio.current_task()
        assert current is not None
        self.task = current
        step, count = self.iterator.__next__, 0
        while True:
            try:
                future = step()
            except StopIteration as stop:
                return stop.value
            count += 1
            if count == self.number:
                self.happened = True
                if self.gently or future is None:
                    asyncio.get_running_loop().call_soon(self._cancel)
                else:
                    future.add_done_callback(self._cancel)
            try:
                yield future
                step = self.iterator.__next__
            except BaseException as error:
                thrown = error
                step = lambda: self.iterator.throw(thrown)  # noqa: B023, E731 - used in the next round


# --- kinds of calls, each with a client of its own -------------------------------------------------------------


async def one(circle: CircleCI) -> None:
    await circle.request("GET", X)


async def change(circle: CircleCI) -> None:
    await circle.request("POST", X, json={"a": "b" * 1000})


async def typed(circle: CircleCI) -> None:
    await circle.users.me()


async def retried(circle: CircleCI) -> None:
    await circle.request("GET", "/api/v2/a/retried")


async def redirected(circle: CircleCI) -> None:
    await circle.request("GET", "/api/v2/a/redirected")


async def long_body(circle: CircleCI) -> None:
    await circle.request("GET", "/api/v2/a/long")


async def items(circle: CircleCI) -> None:
    async for _ in circle.request_pages("/api/v2/a/pages"):
        await asyncio.sleep(0)


async def collected(circle: CircleCI) -> None:
    await circle.request_pages("/api/v2/a/pages").collect()


async def prefetched(circle: CircleCI) -> None:
    """The consumer waits often, so that it is cancelled at all stages of the prefetch."""
    async for _ in circle.request_pages("/api/v2/a/pages").prefetch():
        for _ in range(6):
            await asyncio.sleep(0)


async def prefetched_late(circle: CircleCI) -> None:
    """The consumer is faster than the server: it is cancelled while it waits for the page that is being fetched."""
    async for _ in circle.request_pages("/api/v2/a/slow-pages").prefetch().pages():
        pass


async def during_a_rate_limit(circle: CircleCI) -> None:
    await circle.request("GET", X)


async def in_the_queue(circle: CircleCI) -> None:
    await circle.request("GET", X)


async def at_the_start(circle: CircleCI) -> None:
    await circle.request("GET", X)


async def many(circle: CircleCI) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(circle.request("GET", X))


KINDS = [
    one,
    change,
    typed,
    retried,
    redirected,
    long_body,
    items,
    collected,
    prefetched,
    prefetched_late,
    during_a_rate_limit,
    in_the_queue,
    at_the_start,
]


def script(server) -> None:
    """Reset the responses for one run."""
    page = {None: ([1, 2], "t1"), "t1": ([3, 4], "t2"), "t2": ([5], None)}
    pages = {token: {"items": found, "next_page_token": then} for token, (found, then) in page.items()}
    server.on(X, server.reply(200, {"a": "b"}))
    server.on(FREE, server.reply(200, {}))
    server.on("/api/v2/me", server.reply(200, {"id": "1", "login": "ada", "name": "Ada"}))
    server.on(
        "/api/v2/a/retried",
        server.reply(503, headers={"Retry-After": "2"}),
        server.drop(),
        server.reply(429, headers={"Retry-After": "1"}),
        server.reply(200, {"half": "of it"}, cut=5),
        server.reply(200, {}),
    )
    server.on("/api/v2/a/redirected", server.reply(302, headers={"Location": X}))
    server.on("/api/v2/a/long", _long)
    server.pages("/api/v2/a/pages", pages)
    server.pages("/api/v2/a/slow-pages", {token: server.reply(200, each, after=1.0) for token, each in pages.items()})
    server.on("/api/v2/a/limited", server.reply(429, headers={"Retry-After": "3"}))
    server.on("/api/v2/a/slow", server.reply(200, {}, after=2.0))


async def _long(exchange) -> bool:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[")
    for _ in range(8):
        exchange.writer.write(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.1)
    exchange.writer.write(b"]")
    return True


async def others(circle: CircleCI, kind: Any) -> list[asyncio.Task[Any]]:
    """Start other calls of the client, which delay the call."""
    hasty = circle.with_options(retry=RetryPolicy(attempts=1))
    calls: list[Any] = []
    if kind is during_a_rate_limit:
        calls = [hasty.request("GET", "/api/v2/a/limited")]
    elif kind is in_the_queue:
        calls = [hasty.request("GET", "/api/v2/a/slow") for _ in range(4)]
    elif kind is at_the_start:
        calls = [hasty.request("GET", "/api/v2/a/slow") for _ in range(12)]
    tasks = [asyncio.ensure_future(call) for call in calls]
    if tasks:
        await asyncio.sleep(0.5)
    return tasks


@pytest.mark.parametrize("gently", [True, False], ids=["pending", "done"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_call_cancelled_at_every_await(server, make, assert_idle, kind, gently):
    """A call that is cancelled at any of its awaits raises CancelledError and leaves nothing behind."""
    number = 0
    while True:
        number += 1
        script(server)
        circle = make(max_concurrency=4 if kind is in_the_queue else 32)
        meanwhile = await others(circle, kind)
        call = CancelAt(kind(circle), number, gently=gently)
        end = await asyncio.ensure_future(_end(call))
        if call.happened and end is not None:
            assert type(end) is asyncio.CancelledError, (number, end)
            assert end.args == (REASON,), number
        await asyncio.gather(*meanwhile, return_exceptions=True)
        await unharmed(circle, assert_idle)
        if not call.happened:
            assert end is None, end
            break
    assert number >= 3, "the call hardly ever waited: this test shows nothing"


async def unharmed(circle: CircleCI, assert_idle) -> None:
    # What was being closed is closed now.
    await asyncio.sleep(0.01)
    await assert_idle(circle)
    assert await asyncio.wait_for(circle.request("GET", FREE), 100) == {}
    await circle.close()


@pytest.mark.parametrize("kind", [*KINDS, many], ids=lambda kind: kind.__name__)
async def test_call_cancelled_at_any_iteration(server, make, assert_idle, rng, kind):
    """A call that is cancelled at any iteration of the loop, also one of its helpers or the server, leaves nothing."""
    script(server)
    circle = make(max_concurrency=4 if kind is in_the_queue else 32)
    meanwhile = await others(circle, kind)
    before = counting_loop().iterations
    await asyncio.ensure_future(kind(circle))
    length = counting_loop().iterations - before
    await asyncio.gather(*meanwhile, return_exceptions=True)
    for _ in range(scaled(6, 150)):
        script(server)
        circle = make(max_concurrency=4 if kind is in_the_queue else 32)
        meanwhile = await others(circle, kind)
        task = asyncio.ensure_future(kind(circle))
        counting_loop().at_iteration(rng.randrange(1, length + 2), task.cancel)
        end, *_ = await asyncio.gather(task, *meanwhile, return_exceptions=True)
        assert end is None or type(end) is asyncio.CancelledError
        await unharmed(circle, assert_idle)


async def _end(call: CancelAt) -> BaseException | None:
    """Return the error that ended it. gather() would replace a CancelledError by its own."""
    try:
        await call
    except BaseException as error:
        return error
    return None


async def test_silent_server_does_not_delay_cancellation(server, circle, assert_idle):
    """A cancelled call ends although the server is silent, and its connection is closed."""
    for first in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"):
        server.on(X, server.hang(first))
        task = asyncio.ensure_future(circle.request("POST", X, json={}))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_idle(circle)
    await asyncio.sleep(1)
    assert server.connections == 0, "a connection with half a response was kept"


async def test_cancelled_change_is_not_retried(server, circle):
    """A cancelled change is not retried."""
    server.on(X, server.reply(429, headers={"Retry-After": "5"}), server.reply(200, {}))
    task = asyncio.ensure_future(circle.request("POST", X))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(100)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "path", ["/api/v2/a/retried", "/api/v2/a/slow", "/api/v2/a/long"], ids=["retry sleep", "answer", "body"]
)
async def test_asyncio_timeout_ends_a_call_cleanly(server, circle, assert_idle, path, full_jitter):
    """asyncio.timeout() around a call ends in TimeoutError, and the task has no pending cancellation."""
    script(server)
    task = asyncio.current_task()
    for seconds in (0.3, 0.5, 0.7):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(seconds):
                await circle.request("GET", path)
        assert type(caught.value) is TimeoutError
        assert task.cancelling() == 0
        await assert_idle(circle)


async def test_wait_for_ends_a_list_cleanly(server, circle, assert_idle):
    """asyncio.wait_for() around a list leaves nothing behind."""
    script(server)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(circle.request_pages("/api/v2/a/slow-pages").prefetch().collect(), 1.5)
    await assert_idle(circle)


async def test_cancelled_close_can_be_repeated(server, make):
    """A close() that was cancelled can be repeated."""
    script(server)
    for number in range(1, 20):
        circle = make()
        await circle.request("GET", X)
        close = CancelAt(circle.close(), number, gently=True)
        await asyncio.ensure_future(_end(close))
        await circle.close()
        assert circle._executor.state.transport._session._session.closed
        if not close.happened:
            break
    else:
        raise AssertionError("closing never ended")


@pytest.mark.parametrize("name", CALLS)
async def test_call_cancelled_at_any_time_leaves_nothing(
    name: str, tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that is cancelled at any iteration of the loop leaves nothing behind, and the client works."""
    caplog.set_level("CRITICAL", "aiocircle")
    call = CALLS[name]
    before = open_files()
    async with faulty(rng) as (circle, server):
        most = await length(call, circle, server)
        for _ in range(scaled(6, 150)):
            task = asyncio.ensure_future(call(circle, server))
            moment = rng.randrange(most + 2)
            struck: list[bool] = []
            counting_loop().at_iteration(moment + 1, lambda task=task, struck=struck: struck.append(task.cancel()))
            if rng.random() < 0.3:
                counting_loop().at_iteration(moment + 2 + rng.randrange(4), task.cancel)
            tally["cases"] += 1
            done, _ = await asyncio.wait([task], timeout=2000)
            if not done:
                raise tally.failed("hung", f"{name}, cancelled at turn {moment}")
            if struck and struck[0]:
                tally["cancelled"] += 1
                if not task.cancelled():
                    raise tally.failed("lost", f"{name}: the cancellation at turn {moment} came to {task!r}")
            elif not task.cancelled() and (error := task.exception()) and not isinstance(error, CircleCIError):
                raise error
            del task
            await assert_usable(circle, tally)
        tally["requests"] += server.statistics.requests
        tally["faults"] += server.statistics.faults.total()
    await iterate()
    gc.collect()
    await iterate()
    if open_files() > before:
        raise tally.failed("leaked", f"{open_files() - before} file descriptors")
