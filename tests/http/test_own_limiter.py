"""A RateLimiter of the caller: called according to the protocol, and its errors reach the calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aiocircle import CircleCI, Observed, RateLimit, RateLimited, RateLimiter, RetryPolicy, Throttle

A = "/api/v2/a/x"


class Recorder:
    """A limiter that gives a permission each `interval` seconds, and remembers its calls."""

    def __init__(self, interval: float = 0.0) -> None:
        self.interval, self.next_at = interval, 0.0
        self.acquired = 0
        self.accounts: set[tuple[str, str]] = set()
        self.updates: list[Observed] = []
        self.acquiring = self.most_acquiring = self.closed = 0
        self.error: Exception | None = None

    def acquire_nowait(self, account: str, family: str) -> bool:
        self.accounts.add((account, family))
        now = asyncio.get_running_loop().time()
        if now < self.next_at:
            return False
        self.next_at = now + self.interval
        self.acquired += 1
        return True

    async def acquire(self, account: str, family: str) -> None:
        self.acquiring += 1
        self.most_acquiring = max(self.most_acquiring, self.acquiring)
        try:
            if self.error is not None:
                raise self.error
            while not self.acquire_nowait(account, family):  # noqa: ASYNC110 - as in the docs
                await asyncio.sleep(self.next_at - asyncio.get_running_loop().time())
        finally:
            self.acquiring -= 1

    def update(self, account: str, family: str, response: Observed) -> None:
        self.updates.append(response)

    def closed_for(self, account: str, family: str) -> float:
        return 0.0

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        return {"v2/a": RateLimit(limit=7)}

    async def close(self) -> None:
        self.closed += 1


async def test_a_limiter_decides_when(server, make):
    """One permission is acquired at a time, and each is reported once."""
    limiter = Recorder(0.5)
    assert isinstance(limiter, RateLimiter)
    circle = make(throttle=limiter)
    server.on(A, server.reply(200, {}, headers={"X-Is-Seen": "yes"}))
    await asyncio.gather(*(circle.request("GET", A) for _ in range(20)))
    assert server.times[-1] == pytest.approx(9.5, abs=0.1)
    assert limiter.most_acquiring == 1
    assert limiter.acquired == len(limiter.updates) == 20
    assert {(update.status, update.headers["X-Is-Seen"]) for update in limiter.updates} == {(200, "yes")}
    assert limiter.updates[-1].in_flight == 0
    assert circle.rate_limits == {"v2/a": RateLimit(limit=7)}


async def test_an_account_is_a_hash(server, make, canary):
    """The hash is made of host and token: equal for clients of one token, and without any part of the token."""
    limiter = Recorder()
    server.on(A, server.reply(200, {}))
    for token in (canary, canary, "another"):
        await make(throttle=Throttle(limiter), token=token).request("GET", A)
    accounts = {account for account, family in limiter.accounts if family == "v2/a"}
    assert len(accounts) == 2
    assert all(len(account) == 32 and account.isalnum() and account not in canary for account in accounts)


async def test_a_permission_without_a_request_is_reported(server, make):
    """The call that waited has left. Its permission is used by the next one, not lost."""
    limiter = Recorder(1.0)
    circle = make(throttle=limiter)
    server.on(A, server.reply(200, {}))
    await circle.request("GET", A)
    call = asyncio.ensure_future(circle.request("GET", A))
    await asyncio.sleep(0.5)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert limiter.acquiring == 0
    await asyncio.sleep(5)
    assert limiter.acquired == 1
    await circle.request("GET", A)
    assert limiter.acquired == len(limiter.updates) == 2


async def test_a_failing_limiter_fails_the_calls(server, make, assert_idle):
    """Its exception reaches each call that waits, and none hangs. After that it is called again."""
    limiter = Recorder(1.0)
    circle = make(throttle=limiter)
    server.on(A, server.reply(200, {}))
    await circle.request("GET", A)
    limiter.error = ZeroDivisionError("broken")
    results = await asyncio.gather(*(circle.request("GET", A) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 5
    limiter.error = None
    await circle.request("GET", A)
    await assert_idle(circle)


async def test_max_wait_ends_a_limiter_that_never_permits(server, make):
    """The call fails after max_wait, and its task for the permission is gone."""
    limiter = Recorder()
    limiter.next_at = 1e9
    circle = make(throttle=limiter, retry=RetryPolicy(max_wait=5))
    with pytest.raises(RateLimited, match="rate limit of v2/a delayed it"):
        await circle.request("GET", A)
    assert limiter.acquiring == 0
    assert server.requests == []


@pytest.mark.parametrize("is_shared", [False, True])
async def test_a_client_closes_the_limiter_it_was_given(server, canary, is_shared):
    """A limiter of one client ends with it. A Throttle of several is closed by its owner."""
    limiter = Recorder()
    throttle = Throttle(limiter)
    async with CircleCI(canary, base_url=server.url, throttle=throttle if is_shared else limiter) as circle:
        async with circle.with_options(timeout=5):
            pass
        assert limiter.closed == 0
    assert limiter.closed == (0 if is_shared else 1)
    await throttle.close()
    assert limiter.closed == (1 if is_shared else 2)
