"""max_wait bounds all waiting of a call: between attempts, for the rate limit, and in the queue."""

from __future__ import annotations

import asyncio

import pytest

from aiocircle import RateLimited, RetryPolicy, ServerError

A = "/api/v2/a/x"
PER_SECOND = {"X-RateLimit-Limit-Second": "20", "X-RateLimit-Remaining-Second": "5"}


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(server, seconds, after=0.0):
    return server.reply(429, {"message": "Rate limited."}, headers={"Retry-After": str(seconds)}, after=after)


async def start(*calls):
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def test_max_wait_holds_next_to_a_bulk_job(server, make):
    """300 calls saturate the family. A call with max_wait=1 ends within about a second."""
    circle = make(retry=RetryPolicy(max_wait=None))
    hasty = circle.with_options(retry=RetryPolicy(max_wait=1))
    server.on(A, server.reply(200, {}, headers=PER_SECOND))
    await circle.request("GET", A)
    calls = await start(*(circle.request("GET", A) for _ in range(300)))
    started = now()
    await hasty.request("GET", A)
    assert now() - started < 0.3
    await asyncio.gather(*calls)


async def test_the_queue_counts_towards_max_wait(server, make):
    """A caller's own 300 calls at 20 a second: those of the first second are sent, the others fail at its end."""
    circle = make(retry=RetryPolicy(max_wait=1))
    server.on(A, server.reply(200, {}, headers=PER_SECOND))
    await circle.request("GET", A)
    started = now()
    results = await asyncio.gather(*(circle.request("GET", A) for _ in range(300)), return_exceptions=True)
    assert now() - started < 1.2
    errors = [result for result in results if isinstance(result, RateLimited)]
    assert len(errors) == pytest.approx(280, abs=3)
    assert {(error.attempts, error.outcome, error.is_local) for error in errors} == {(0, "not_done", True)}
    assert all("the rate limit of v2/a delayed it" in str(error) for error in errors)
    assert all("max_wait=None" in str(error) for error in errors)


async def test_the_message_names_max_concurrency(server, make, assert_idle):
    """No rate delays the call: the places are taken by requests that hang."""
    circle = make(max_concurrency=2)
    hasty = circle.with_options(retry=RetryPolicy(max_wait=3))
    release = asyncio.Event()
    server.on(A, server.reply(200, {}, when=release))
    calls = await start(*(circle.request("GET", A) for _ in range(2)))
    with pytest.raises(RateLimited, match=r"max_concurrency \(2 requests in flight\) delayed it") as caught:
        await hasty.request("GET", A)
    assert now() == pytest.approx(3, abs=0.1)
    assert caught.value.retry_after is None
    release.set()
    await asyncio.gather(*calls)
    await assert_idle(circle)


async def test_a_long_closing_fails_immediately(server, make, assert_idle):
    """The call is not sent, and its error has the seconds that are left."""
    circle = make()
    hasty = circle.with_options(retry=RetryPolicy(max_wait=10))
    server.on(A, limited(server, 60), server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    with pytest.raises(RateLimited, match="not sent: the rate limit") as caught:
        await hasty.request("POST", A)
    assert now() == 1.0
    error = caught.value
    assert (error.attempts, error.outcome, error.status, error.method) == (0, "not_done", 429, "POST")
    assert error.url == server.url + A
    assert error.retry_after == pytest.approx(59.0, abs=1)
    await asyncio.gather(*calls)
    await assert_idle(circle)


async def test_a_closing_fails_those_that_wait(server, make, assert_idle):
    """A 429 of another call closes the family for longer than they may wait."""
    circle = make(max_concurrency=1, retry=RetryPolicy(max_wait=7200))
    hasty = circle.with_options(retry=RetryPolicy(max_wait=50))
    server.on(A, limited(server, 600, after=5.0), server.reply(200, {}))
    calls = await start(*(circle.request("GET", A) for _ in range(6)))
    with pytest.raises(RateLimited) as caught:
        await hasty.request("GET", A)
    assert now() == pytest.approx(5.0, abs=0.1)
    assert caught.value.retry_after == pytest.approx(600, abs=1)
    await asyncio.gather(*calls)
    await assert_idle(circle)


async def test_max_wait_bounds_the_sum(server, make):
    """59 s for the rate limit and 30 s before the second attempt; another 30 s would be too much."""
    circle = make(retry=RetryPolicy(max_wait=100))
    server.on(A, limited(server, 60), server.reply(200, {}))
    server.on("/api/v2/a/y", server.reply(503, headers={"Retry-After": "30"}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    with pytest.raises(ServerError) as caught:
        await circle.request("GET", "/api/v2/a/y")
    assert caught.value.attempts == 2
    assert now() == pytest.approx(90, abs=2)
    await asyncio.gather(*calls)


async def test_no_wait_means_no_wait(server, make, caplog):
    """max_wait=0: a closed family fails immediately, and a local refusal is not tried again."""
    circle = make(retry=RetryPolicy(max_wait=0))
    server.on(A, limited(server, 1), server.reply(200, {}))
    for attempts in (1, 0):
        with pytest.raises(RateLimited) as caught:
            await circle.request("GET", A)
        assert caught.value.attempts == attempts
    assert now() == 0.0
    assert len(server.requests) == 1
    await asyncio.sleep(1)
    await circle.request("GET", A)


async def test_max_wait_none_waits_for_hours(server, make):
    """No bound: neither the pause nor the queue fails a call."""
    circle = make(max_concurrency=1, retry=RetryPolicy(max_wait=None))
    server.on(A, limited(server, 7200), server.reply(200, {}))
    await asyncio.gather(*(circle.request("GET", A) for _ in range(5)))
    assert now() >= 7200
