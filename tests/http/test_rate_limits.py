"""Announced limits are kept, a closed family stays closed, and the log reports each pause once."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest

from aiocircle import CircleCI, RateLimited, RetryPolicy, Throttle

A, B = "/api/v2/a/x", "/api/v2/b/x"


def now() -> float:
    return asyncio.get_running_loop().time()


def limited(server, seconds, after=0.0):
    return server.reply(429, {"message": "Rate limited."}, headers={"Retry-After": str(seconds)}, after=after)


async def start(*calls):
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


class Windows:
    """A server with a limit for each second and one for each hour, which names both."""

    def __init__(self, server, second: int, hour: int) -> None:
        self.server, self.second, self.hour = server, second, hour
        self.tokens, self.at, self.refused = float(second), 0.0, 0

    def __call__(self, request):
        self.tokens = min(self.second, self.tokens + (request.at - self.at) * self.second)
        self.at = request.at
        good = self.tokens >= 1 and self.hour >= 1
        self.tokens -= good
        self.hour -= good
        self.refused += not good
        headers = {
            "X-RateLimit-Limit-Second": str(self.second),
            "X-RateLimit-Remaining-Second": str(int(self.tokens)),
            "X-RateLimit-Limit-Hour": "36000",
            "X-RateLimit-Remaining-Hour": str(self.hour),
            "X-RateLimit-Reset-Hour": "1800",
        }
        return self.server.reply(200 if good else 429, {}, headers=headers)


async def test_two_windows_are_kept_together(server, make):
    """20 a second and 36,000 an hour: all of the first is used, and no request is refused."""
    circle = make(retry=RetryPolicy(max_wait=None))
    windows = Windows(server, 20, 36000)
    server.route(A, windows)
    await asyncio.gather(*(circle.request("GET", A) for _ in range(200)))
    assert windows.refused == 0
    assert now() == pytest.approx(200 / 20, abs=1.5)


async def test_a_long_window_is_used_up_and_then_waited_for(server, make):
    """Thirty of an hour are left: thirty calls go, and the next one fails immediately, unsent."""
    circle = make()
    windows = Windows(server, 50, 30)
    server.route(A, windows)
    for _ in range(30):
        await circle.request("GET", A)
    before = now()
    with pytest.raises(RateLimited, match="rate limit of v2/a") as caught:
        await circle.request("GET", A)
    assert now() == before
    assert caught.value.is_local
    assert caught.value.retry_after == pytest.approx(1800, abs=5)
    assert windows.refused == 0


async def test_a_429_closes_its_family_alone(server, circle):
    """Other families are sent to as before."""
    server.on(A, limited(server, 30), server.reply(200, {}))
    server.on("/api/v2/a/y", server.reply(200, {}))
    server.on(B, server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    calls += await start(circle.request("POST", "/api/v2/a/y"))
    await circle.request("GET", B)
    assert now() == 1.0
    await asyncio.gather(*calls)
    assert [request.at >= 30.0 for request in server.requests] == [False, False, True, True]


async def test_many_waiting_calls_block_no_other_family(server, make):
    """More calls than max_concurrency wait for a closed family. Another family has all places."""
    circle = make(max_concurrency=2)
    server.on(A, limited(server, 60), server.reply(200, {}))
    server.on(B, server.reply(200, {}))
    calls = await start(*(circle.request("GET", A) for _ in range(20)))
    await asyncio.sleep(1)
    await asyncio.gather(*(circle.request("GET", B) for _ in range(10)))
    assert now() < 2.0
    await asyncio.gather(*calls)
    assert all(at >= 60.0 for at in [request.at for request in server.received(A)][2:])


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_small_pool_sends_nothing_after_a_429(server, canary, limit):
    """The caller's session has few connections: requests wait in the queue, where they see the closing."""
    server.on(A, *[limited(server, 30, after=0.5)] * limit, server.reply(200, {}))
    connector = aiohttp.TCPConnector(limit=limit)
    async with aiohttp.ClientSession(connector=connector) as session:
        circle = CircleCI(canary, base_url=server.url, session=session)
        assert circle.max_concurrency == limit
        await asyncio.gather(*(circle.request("GET", A) for _ in range(32)))
    early = [at for at in server.times if at < 30.5]
    assert len(early) == limit
    assert len(server.times) == 32 + limit


async def test_waiting_for_the_pool_does_not_time_out(server, canary):
    """Twenty calls of two seconds each share one connection, with a timeout of five seconds."""
    server.on(A, server.reply(200, {}, after=2.0))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        circle = CircleCI(canary, base_url=server.url, session=session, timeout=5.0)
        await asyncio.gather(*(circle.request("GET", A) for _ in range(20)))
    assert now() == pytest.approx(40, abs=1)


async def test_two_clients_with_one_throttle_share_a_budget(server, make):
    """A 429 of one client closes the family for the other one."""
    throttle = Throttle()
    one, two = make(throttle=throttle), make(throttle=throttle)
    server.on(A, limited(server, 30), server.reply(200, {}))
    calls = await start(one.request("GET", A))
    await asyncio.sleep(1)
    await two.request("GET", A)
    assert now() >= 30.0
    await asyncio.gather(*calls)
    assert one.rate_limits == two.rate_limits
    assert one.rate_limits.keys() == {"v2/a"}


async def test_two_tokens_share_no_budget(server, make):
    """One Throttle, two tokens: each has its own limits and its own queue."""
    throttle = Throttle()
    one, two = make(throttle=throttle), make(throttle=throttle, token="another")
    server.on(A, limited(server, 30), server.reply(200, {}))
    calls = await start(one.request("GET", A))
    await asyncio.sleep(1)
    await two.request("GET", A)
    assert now() == 1.0
    await asyncio.gather(*calls)


async def test_rate_limits_show_what_was_reported(server, circle):
    """By family, with the rate that is kept; without headers only the name."""
    headers = {"X-RateLimit-Limit-Second": "50", "X-RateLimit-Remaining-Second": "49", "X-RateLimit-Reset": "1"}
    server.on(A, server.reply(200, {}, headers=headers))
    server.on(B, server.reply(404, {}))
    assert circle.rate_limits == {}
    await circle.request("GET", A)
    with pytest.raises(Exception, match="404"):
        await circle.request("GET", B)
    assert circle.rate_limits.keys() == {"v2/a", "v2/b"}
    limit = circle.rate_limits["v2/a"]
    assert (limit.limit, limit.window, limit.remaining, limit.rate) == (50, 1.0, 49, 50.0)
    assert circle.rate_limits["v2/b"].limit is None


async def test_the_log_warns_once_for_each_pause(server, make, caplog):
    """Thirty calls wait for one pause of half a minute: one warning of the family, with its seconds."""
    circle = make(retry=RetryPolicy(attempts=5))
    server.on(A, limited(server, 30), server.reply(200, {}))
    calls = await start(circle.request("GET", A))
    await asyncio.sleep(1)
    calls += await start(*(circle.request("GET", A) for _ in range(30)))
    await asyncio.gather(*calls)
    pauses = [record for record in caplog.records if "no request for" in record.getMessage()]
    assert [record.levelno for record in pauses] == [logging.WARNING]
    assert "v2/a" in pauses[0].getMessage()
    assert "30.00 s" in pauses[0].getMessage()


async def test_what_is_kept_by_family_is_bounded(server, circle):
    """Raw paths have ids in their first segment: neither limits nor queues nor deprecations grow with them."""
    server.route("/api/v2/me", lambda _: server.reply(200, {}))
    server._script = lambda request: server.reply(200, {}, headers={"Sunset": "soon"})
    for number in range(600):
        await circle.request("GET", f"/api/v2/{number}/x")
    state = circle._executor.state.throttle._state
    assert len(circle.rate_limits) == 128
    assert len(state.queues) == 128
    assert len(circle._executor.caller.queues) <= 128
    assert len(circle.deprecations) == 256
    assert "v2/599" in circle.rate_limits
