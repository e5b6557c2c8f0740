"""Callers take turns, hanging requests delay no other, and leaving the queue costs nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from aiocircle import RetryPolicy, Throttle
from aiocircle._core.message import Request, Response
from aiocircle._core.throttle import Caller, Places
from tests.support.thorough import scaled

A, B = "/api/v2/a/x", "/api/v2/b/x"
PER_SECOND = {"X-RateLimit-Limit-Second": "20", "X-RateLimit-Remaining-Second": "5"}
PATIENT = RetryPolicy(max_wait=None)


def now() -> float:
    return asyncio.get_running_loop().time()


async def start(*calls):
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def cancel(tasks) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_callers_take_turns(server, make, assert_idle):
    """A call next to a thousand of a copy is among the next few that are sent."""
    circle = make(retry=PATIENT)
    job = circle.with_options()
    server.on(A, server.reply(200, {}, headers=PER_SECOND))
    server.on("/api/v2/a/mine", server.reply(200, {}, headers=PER_SECOND))
    await circle.request("GET", A)
    calls = await start(*(job.request("GET", A) for _ in range(1000)))
    for _ in range(5):
        before = len(server.requests)
        await circle.request("GET", "/api/v2/a/mine")
        assert [request.path for request in server.requests[before:]].index("/api/v2/a/mine") <= 2
    await cancel(calls)
    await assert_idle(circle)


async def test_one_caller_is_served_in_order(server, make):
    """The requests of a caller are sent in the order of their calls."""
    circle = make(max_concurrency=1)
    server.on(A, server.reply(429, {}, headers={"Retry-After": "10"}), server.reply(200, {}))
    paths = [f"/api/v2/a/{number}" for number in range(12)]
    for path in paths:
        server.on(path, server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    for path in paths:
        calls += await start(circle.request("GET", path))
    await asyncio.gather(*calls)
    assert [request.path for request in server.requests if request.path != A] == paths


async def test_a_retry_goes_before_its_callers_others(server, make):
    """Fifty calls wait at ten a second. The one that is sent again after a 503 is not the last of them."""
    circle = make(retry=RetryPolicy(max_wait=None, base=0.0))
    headers = {"X-RateLimit-Limit-Second": "10"}
    server.on(A, server.reply(200, {}, headers=headers))
    server.on("/api/v2/a/bad", server.reply(503, {}, headers=headers), server.reply(200, {}, headers=headers))
    await circle.request("GET", A)
    calls = await start(circle.request("GET", "/api/v2/a/bad"), *(circle.request("GET", A) for _ in range(50)))
    await calls[0]
    paths = [request.path for request in server.requests]
    assert len(server.received("/api/v2/a/bad")) == 2
    assert paths.index("/api/v2/a/bad") + 5 > len(paths) - 1 - paths[::-1].index("/api/v2/a/bad")
    await asyncio.gather(*calls)


async def test_hanging_requests_delay_no_others(server, make):
    """Twenty requests hang. A hundred others in the same family are sent as if they were not there."""
    circle = make(max_concurrency=32)
    server.on("/api/v2/a/hang", server.hang())
    server.on(A, server.reply(200, {}, after=0.05))
    hanging = await start(*(circle.request("GET", "/api/v2/a/hang") for _ in range(20)))
    started = now()
    await asyncio.gather(*(circle.request("GET", A) for _ in range(100)))
    assert now() - started < 5.0
    await cancel(hanging)


async def test_a_busy_family_leaves_places_to_others(server, make):
    """500 calls of a family without a limit use all places. A call of another family gets the next one."""
    circle = make(max_concurrency=2, retry=PATIENT)
    server.on(A, server.reply(200, {}, after=1.0))
    server.on(B, server.reply(200, {}))
    calls = await start(*(circle.request("GET", A) for _ in range(500)))
    await circle.request("GET", B)
    assert now() < 3.0
    await cancel(calls)


async def test_cancelled_waiters_do_not_block_others(server, make, assert_idle):
    """Every second call is cancelled while the family is closed. The others are sent."""
    circle = make(max_concurrency=4)
    server.on(A, server.reply(429, {}, headers={"Retry-After": "10"}), server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    waiting = await start(*(circle.request("GET", A) for _ in range(12)))
    for call in waiting[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, *waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results[1:]] == [True, False] * 6
    assert len(server.requests) == 2 + 6
    await assert_idle(circle)


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancelled_turn_is_passed_on(server, make, assert_idle, turns):
    """Cancelled at any moment around its turn: the next call takes it, and nothing stays counted."""
    circle = make(max_concurrency=4)
    server.on(A, server.reply(429, {}, headers={"Retry-After": "10"}), server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    waiting = await start(*(circle.request("GET", A) for _ in range(3)))

    async def strike() -> None:
        await asyncio.sleep(9)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting[0].cancel()

    results = await asyncio.gather(*calls, *waiting, strike(), return_exceptions=True)
    assert [result for result in results[:-1] if not isinstance(result, asyncio.CancelledError)] in ([{}] * 3, [{}] * 4)
    await asyncio.sleep(1)
    await circle.request("GET", A)
    await assert_idle(circle)


@pytest.mark.parametrize("order", [1, -1], ids=["first to last", "last to first"])
async def test_cancelling_many_calls_is_linear(server, make, assert_idle, order):
    """Queued calls are cancelled, from either end, in about the time that they took to queue."""
    circle = make(retry=RetryPolicy(max_wait=1e6))
    server.on(A, server.reply(429, {}, headers={"Retry-After": "3600"}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    began = time.process_time()
    tasks = [asyncio.ensure_future(circle.request("GET", A)) for _ in range(scaled(4_000, 20_000))]
    await asyncio.sleep(0)
    queued = time.process_time()
    for task in tasks[::order]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = time.process_time()
    assert cancelled - queued < 3 * (queued - began) + 0.5
    await cancel(calls)
    await assert_idle(circle)


@pytest.mark.parametrize("waiting", [1, 3])
async def test_a_429_voids_a_turn_that_just_came(waiting):
    """Admitted and closed in the same iteration of the loop: no request is sent before the pause ends."""
    throttle, request = Throttle(), Request("GET", "https://x.example.com", {}, None)
    caller = Caller("account", Places(2))
    first, second = [throttle.admit_nowait(caller, "v2/a") for _ in range(2)]
    assert first is not None
    assert second is not None
    sent: list[float] = []

    async def call() -> None:
        queue = await throttle.admit(caller, "v2/a", request, 1000.0)
        sent.append(now())
        queue.release(caller, Response(200, {}, b""), now())

    calls = await start(*(call() for _ in range(waiting)))
    first.release(caller, Response(200, {}, b""), now())
    second.release(caller, Response(429, {"Retry-After": "30"}, b""), now())
    await asyncio.gather(*calls)
    assert len(sent) == waiting
    assert min(sent) >= 30.0
    assert first.in_flight == 0


async def test_downloads_hold_at_most_half(server, make):
    """Callers with half of the places never take more. The others may take all."""
    throttle, places = Throttle(), Places(5)
    half = places.half()
    call, download = Caller("account", places), Caller("account", half)
    admitted = [throttle.admit_nowait(download, "v2/a") for _ in range(4)]
    assert [queue is not None for queue in admitted] == [True, True, False, False]
    others = [throttle.admit_nowait(call, "v2/b") for _ in range(4)]
    assert [queue is not None for queue in others] == [True, True, True, False]
    for queue, caller in ((admitted[0], download), (others[0], call)):
        assert queue is not None
        queue.release(caller, None, now())
    assert places.free == 2
    assert throttle.admit_nowait(call, "v2/a")
    assert throttle.admit_nowait(call, "v2/a")
    assert not half.are_free
