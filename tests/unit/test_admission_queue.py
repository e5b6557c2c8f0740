"""The queue of one family, with a limiter that the test decides for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aiocircle import RateLimit
from aiocircle._core.admission_queue import Caller, Places, Queue, Waiter, release_place
from aiocircle._core.message import Response
from aiocircle._core.rate_limiter import Observed


class Limiter:
    """A limiter that permits a number of requests, and keeps what it gets."""

    def __init__(self, permits: int = 100) -> None:
        self.permits = permits
        self.closed = 0.0
        self.updates: list[Observed] = []
        self.error: Exception | None = None

    def acquire_nowait(self, account: str, family: str) -> bool:
        if self.error is not None:
            raise self.error
        self.permits -= 1
        return self.permits >= 0

    async def acquire(self, account: str, family: str) -> None:
        await asyncio.Event().wait()

    def update(self, account: str, family: str, response: Observed) -> None:
        self.updates.append(response)

    def closed_for(self, account: str, family: str) -> float:
        return self.closed

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        return {}

    async def close(self) -> None:
        pass


def make(limiter: Limiter, size: int = 2) -> tuple[Queue, Caller]:
    return Queue(asyncio.get_running_loop(), limiter, "account", "v2/me"), Caller("account", Places(size))


def wait(queue: Queue, caller: Caller) -> Waiter:
    """Let a request wait."""
    loop = asyncio.get_running_loop()
    waiter = Waiter(caller, loop.create_future(), loop.time() + 1000, lambda _: TimeoutError())
    queue.add(waiter, goes_first=False)
    queue.serve()
    return waiter


@pytest.mark.parametrize(("size", "half"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_files_get_half_of_the_places(size: int, half: int) -> None:
    """At least one place, which is one of all."""
    places = Places(size)
    part = places.half()
    assert part.size == half
    part.change(-1)
    assert (part.free, places.free) == (half - 1, size - 1)


async def test_place_of_a_body_stays_taken() -> None:
    """The headers have arrived: the limiter learns. The body is still read: its place is not free."""
    limiter = Limiter()
    queue, caller = make(limiter)
    assert queue.admit_nowait(caller)
    queue.release_rate(caller, Response(200, {"a": "b"}, b""), 7.0)
    assert limiter.updates == [(200, {"a": "b"}, 7.0, 0)]
    assert (caller.places.free, queue.in_flight) == (1, 0)
    release_place(caller.places)
    assert caller.places.free == 2


async def test_free_place_admits_the_next_request() -> None:
    """A request that waits for a place gets that of a body that was read."""
    queue, caller = make(Limiter(), size=1)
    assert queue.admit_nowait(caller)
    waiter = wait(queue, caller)
    queue.release_rate(caller, Response(200, {}, b""), 0.0)
    assert not waiter.turn.done()
    release_place(caller.places)
    assert waiter.was_admitted


async def test_retired_queue_returns_its_permission() -> None:
    """A permission that was not used is reported as the end of nothing, at the present time."""
    limiter = Limiter()
    queue, caller = make(limiter)
    waiter = wait(queue, caller)
    assert waiter.was_admitted
    queue.return_permission(waiter)
    queue.retire()
    assert queue.is_retired is True
    assert queue.is_idle
    (update,) = limiter.updates
    assert update[0] is None
    assert update.sent_at == pytest.approx(asyncio.get_running_loop().time(), abs=60)
    assert caller.places.free == 2


async def test_broken_limiter_fails_all_waiters() -> None:
    """Each of them gets the error, and the queue is empty."""
    limiter = Limiter(permits=0)
    queue, caller = make(limiter)
    waiters = [wait(queue, caller) for _ in range(3)]
    limiter.error = RuntimeError("broken")
    queue._acquiring = None
    queue.serve()
    assert [waiter.turn.exception() for waiter in waiters] == [limiter.error] * 3
    assert queue.is_idle
    assert not caller.places.queues


async def test_each_closing_is_counted() -> None:
    """A permission of before any 429 that closed the family is void."""
    limiter = Limiter()
    queue, caller = make(limiter)
    for closings, closed in ((0, 0.0), (1, 5.0), (2, 5.0)):
        limiter.closed = closed
        assert queue.admit_nowait(caller)
        queue.release(caller, Response(429, {}, b""), 0.0)
        assert queue.closings == closings
