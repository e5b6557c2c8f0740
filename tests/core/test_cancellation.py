"""Cancelled at any await: nothing is left behind, and the client works on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Generator
from typing import Any

import pytest

from aiocircle import CircleCI, RetryPolicy

X = "/api/v2/a/x"
FREE = "/api/v2/free"
REASON = "the reason"


class CancelAt:
    """Awaits something, and cancels the running task when it suspends for the given time.

    gently: while what is awaited is still pending. Otherwise in the moment in which that is done, but before the task
    goes on: the await has succeeded, and the cancellation comes all the same.
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


# --- the kinds of calls: each is given a client of its own, and returns what is awaited -----------------------


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
    """The consumer waits often, so that it is cancelled at all stages of what is fetched meanwhile."""
    async for _ in circle.request_pages("/api/v2/a/pages").prefetch():
        for _ in range(6):
            await asyncio.sleep(0)


async def prefetched_late(circle: CircleCI) -> None:
    """The consumer is faster than the server: it is cancelled while it waits for the page that is being fetched."""
    async for _ in circle.request_pages("/api/v2/a/slow-pages").prefetch().pages():
        pass


async def at_a_closed_gate(circle: CircleCI) -> None:
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
    at_a_closed_gate,
    in_the_queue,
    at_the_start,
]


def script(server) -> None:
    """Everything anew for one run."""
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
    """What else is going on in the client while the call is made."""
    hasty = circle.with_options(retry=RetryPolicy(attempts=1))
    calls: list[Any] = []
    if kind is at_a_closed_gate:
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
async def test_cancelled_at_every_await_in_turn(server, make, assert_idle, kind, gently):
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
async def test_cancelled_after_any_number_of_the_loops_turns(server, make, assert_idle, kind):
    """Other moments than those of its own awaits: in the middle of what its helpers and the server are doing."""
    for turns in (*range(30), 35, 40, 50, 60, 80, 100):
        script(server)
        circle = make(max_concurrency=4 if kind is in_the_queue else 32)
        meanwhile = await others(circle, kind)
        task = asyncio.ensure_future(kind(circle))
        for turn in range(turns):
            # Now and then the clock may move, too.
            await asyncio.sleep(0.3 if turn % 10 == 9 else 0)
        task.cancel()
        end, *_ = await asyncio.gather(task, *meanwhile, return_exceptions=True)
        assert end is None or type(end) is asyncio.CancelledError
        await unharmed(circle, assert_idle)


async def _end(call: CancelAt) -> BaseException | None:
    """How it ended. gather() would replace a CancelledError by one of its own."""
    try:
        await call
    except BaseException as error:
        return error
    return None


async def test_a_server_that_has_gone_silent_does_not_hold_a_cancelled_call(server, circle, assert_idle):
    for first in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1"):
        server.on(X, server.hang(first))
        task = asyncio.ensure_future(circle.request("POST", X, json={}))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_idle(circle)
    await asyncio.sleep(1)
    assert server.connections == 0, "a connection with half an answer on it was kept"


async def test_a_cancelled_change_is_not_sent_again(server, circle):
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
async def test_asyncio_timeout_around_a_call_ends_in_its_own_error(server, circle, assert_idle, path, full_jitter):
    """And the task is as if it had never been cancelled."""
    script(server)
    task = asyncio.current_task()
    for seconds in (0.3, 0.5, 0.7):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(seconds):
                await circle.request("GET", path)
        assert type(caught.value) is TimeoutError
        assert task.cancelling() == 0
        await assert_idle(circle)


async def test_wait_for_around_a_list(server, circle, assert_idle):
    script(server)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(circle.request_pages("/api/v2/a/slow-pages").prefetch().collect(), 1.5)
    await assert_idle(circle)


async def test_a_task_group_that_fails_takes_its_calls_with_it(server, make, assert_idle):
    circle = make(max_concurrency=3)
    script(server)

    async def fail() -> None:
        await asyncio.sleep(1)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            for path in ("retried", "slow", "long", "slow-pages", "limited") * 3:
                group.create_task(circle.request("GET", f"/api/v2/a/{path}"))
            group.create_task(fail())
    assert {type(error) for error in caught.value.exceptions} == {ZeroDivisionError}
    await assert_idle(circle)
    assert await circle.request("GET", FREE) == {}


async def test_a_cancelled_close_can_be_repeated(server, make):
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


def test_the_loops_end_in_the_middle_of_everything_leaves_no_noise(recwarn):
    """asyncio.run() cancels what is left over. Nothing warns of what was never retrieved, awaited or closed."""
    from aiocircle.testing.virtual_time import VirtualTimeLoop

    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Its own end is not the matter here.
            with contextlib.suppress(asyncio.CancelledError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def use() -> None:
            async with CircleCI("token", base_url=f"http://127.0.0.1:{port}") as circle:
                await circle.request_pages("/api/v2/x").prefetch().collect()

        left = [asyncio.ensure_future(use()) for _ in range(3)]
        await asyncio.sleep(1)
        server.close()
        assert not any(task.done() for task in left)

    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=True) as runner:
        runner.run(main())
    gc.collect()
    assert complaints == []
    assert [str(warning.message) for warning in recwarn.list] == []
