"""Rate limits over sockets: no request is early, none waits too long, and an opening family is not flooded."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
import pytest

from aiocircle import CircleCI, CircleCIError, RateLimited, RetryPolicy, Throttle
from tests.support.loops import now
from tests.support.scripted_server import Received, Script, ScriptedServer, reply
from tests.support.stress import Tally, assert_nothing_held, ending
from tests.support.thorough import scaled

PATIENT = RetryPolicy(attempts=50, base=0.2, max_wait=1e6)
LATENCY = 0.02  # seconds: from a request's arrival to its response
FAMILIES = ("insights", "project", "workflow")


@attrs.define
class Bucket:
    """A limiter: `rate` requests a second, and as many in store."""

    rate: float
    tokens: float = attrs.field(init=False, default=attrs.Factory(lambda self: self.rate, takes_self=True))
    at: float = 0.0

    def has_one(self) -> bool:
        self.tokens = min(self.rate, self.tokens + (now() - self.at) * self.rate)
        self.at = now()
        return self.tokens >= 1

    @property
    def wait(self) -> float:
        return (1 - self.tokens) / self.rate

    def headers(self, prefix: str) -> dict[str, str]:
        window = {"X-RateLimit": f"{prefix}-Limit-Second", "RateLimit": f"{prefix}-Limit"}[prefix]
        return {
            window: f"{self.rate:g}" if prefix == "X-RateLimit" else f"{self.rate:g};w=1",
            f"{prefix}-Remaining": str(int(self.tokens)),
            f"{prefix}-Reset": str(math.ceil((self.rate - self.tokens) / self.rate)),
        }


@attrs.frozen
class Arrival:
    family: str
    at: float
    status: int
    asked: float | None  # seconds of its Retry-After


@attrs.define
class Limits:
    """The limits of a server: by family or all together, with or without headers, with or without Retry-After."""

    rates: Sequence[float]
    together: bool = False
    headers: bool = True
    asks: bool = True
    buckets: dict[str, list[Bucket]] = attrs.field(factory=dict)

    def decide(self, family: str) -> tuple[int, float | None, dict[str, str]]:
        key = "" if self.together else family
        buckets = self.buckets.setdefault(key, [Bucket(rate) for rate in self.rates])
        if full := [bucket for bucket in buckets if not bucket.has_one()]:
            status, asked = 429, float(math.ceil(max(bucket.wait for bucket in full)))
        else:
            status, asked = 200, None
            for bucket in buckets:
                bucket.tokens -= 1
        headers: dict[str, str] = {}
        if self.headers:
            for bucket, prefix in zip(buckets, ("X-RateLimit", "RateLimit"), strict=False):
                headers |= bucket.headers(prefix)
        if asked is not None and self.asks:
            headers["Retry-After"] = f"{asked:g}"
        return status, asked if self.asks else None, headers


class LimitedServer(ScriptedServer):
    """A server that limits, and records the requests and its responses."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals: list[Arrival] = []
        self.limits: Limits | None = None
        self.responses: Callable[[str], tuple[int, float | None, dict[str, str]]] | None = None

    def _script(self, request: Received) -> Script:
        family = request.path.split("/")[3]
        decide = self.responses or (self.limits.decide if self.limits else None)
        assert decide is not None
        status, asked, headers = decide(family)
        self.arrivals.append(Arrival(family, now(), status, asked))
        return reply(status, {"n": len(self.arrivals)}, headers=headers, after=LATENCY)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(arrival.status for arrival in self.arrivals)

    def too_early(self) -> list[Arrival]:
        """Return the requests that were sent after a response with Retry-After, before that time had passed."""
        found: list[Arrival] = []
        closed_at: dict[str, float] = {}
        until: dict[str, float] = {}
        pending: dict[str, list[tuple[float, float]]] = {}
        for arrival in self.arrivals:
            family = arrival.family
            # A response counts from its arrival on.
            for heard, end in [each for each in pending.get(family, []) if each[0] < arrival.at]:
                if end > until.get(family, 0.0):
                    until[family], closed_at[family] = end, heard
                pending[family].remove((heard, end))
            # A timer may be one tick early.
            if arrival.at < until.get(family, 0.0) - 1e-6:
                found.append(arrival)
            if arrival.asked is not None:
                heard = arrival.at + LATENCY
                pending.setdefault(family, []).append((heard, heard + arrival.asked))
        return found

    def most_within(self, seconds: float, since: float = 0.0) -> int:
        """The most requests that came within so many seconds."""
        times = [arrival.at for arrival in self.arrivals if arrival.at >= since]
        most = start = 0
        for end, at in enumerate(times):
            while times[start] < at - seconds + 1e-9:
                start += 1
            most = max(most, end - start + 1)
        return most


@pytest.fixture
async def server(no_leaks: object, caplog: pytest.LogCaptureFixture) -> AsyncIterator[LimitedServer]:
    caplog.set_level("CRITICAL", "aiocircle")
    async with LimitedServer() as server:
        yield server


def client(server: LimitedServer, **options: Any) -> CircleCI:
    return CircleCI(**{"token": "t", "base_url": server.url, "retry": PATIENT, "timeout": 60.0, **options})


async def load(
    circles: Sequence[CircleCI], seconds: float, workers: int, families: Sequence[str], tally: Tally
) -> dict[int, list[float]]:
    """Run workers that send requests without pause, and return the durations of their calls."""
    end = now() + seconds
    took: dict[int, list[float]] = {}

    async def worker(number: int) -> None:
        circle, family = circles[number % len(circles)], families[number % len(families)]
        took[number] = []
        while (started := now()) < end:
            result = await ending(circle.request("GET", f"/api/v2/{family}/x"), tally, within=600)
            if isinstance(result, CircleCIError):
                raise tally.failed("lost", repr(result))
            took[number].append(now() - started)

    await asyncio.gather(*[worker(number) for number in range(workers)])
    return took


def count(server: LimitedServer, tally: Tally) -> None:
    tally["requests"] += len(server.arrivals)
    tally["faults"] += server.statuses[429]


VARIANTS = [
    pytest.param(Limits(rates, together, headers, asks), id=name)
    for name, rates, together, headers, asks in (
        ("headers, each family by itself", (30,), False, True, True),
        ("only headers", (30,), False, True, False),
        ("only Retry-After", (30,), False, False, True),
        ("nothing", (30,), False, False, False),
        ("two systems that disagree", (60, 20), False, True, True),
        ("two systems that disagree and say nothing", (60, 20), False, False, True),
        ("all families together, headers", (30,), True, True, True),
        ("all families together, only Retry-After", (30,), True, False, True),
        ("all families together, nothing", (30,), True, False, False),
        ("two systems, all families together", (60, 20), True, True, True),
    )
]


@pytest.mark.parametrize("limits", VARIANTS)
async def test_no_request_is_early_and_no_worker_starves(server: LimitedServer, tally: Tally, limits: Limits) -> None:
    """No request is sent before the time that a 429 names, and each worker is served about as often as the others."""
    server.limits = attrs.evolve(limits, buckets={})
    seconds = scaled(8, 60)
    async with client(server) as circle:
        took = await load([circle], seconds, 24, FAMILIES, tally)
        await assert_nothing_held(circle, tally)
    count(server, tally)
    assert server.too_early() == []
    # Each worker has had its turns, about as many as the others of its family.
    for family in range(len(FAMILIES)):
        turns = [len(times) for number, times in took.items() if number % len(FAMILIES) == family]
        assert min(turns) >= 0.5 * max(turns) - 2, turns
    good = server.statuses[200] / (1 if limits.together else len(FAMILIES)) / seconds
    print(f"{good:.1f} of {min(limits.rates)} a second used, {server.statuses[429]} of {len(server.arrivals)} refused")
    # The client does not know the limit at the beginning, and each family learns a common limit by itself.
    assert good >= min(limits.rates) * (0.35 if limits.together else 0.6)
    assert server.statuses[429] <= (0.3 if limits.together else 0.12) * len(server.arrivals)


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "no headers"])
async def test_an_opening_family_is_not_flooded(server: LimitedServer, tally: Tally, headers: bool) -> None:
    """After a pause, each response permits one more request: 1, 2, 4, until the rate is reached."""
    server.limits = Limits((20,), headers=headers)
    async with client(server, max_concurrency=200) as circle:
        await load([circle], 10, 5, ["project"], tally)
        closed = [429]
        real = server.limits.decide

        def decide(family: str) -> tuple[int, float | None, dict[str, str]]:
            if closed:
                closed.pop()
                return 429, 30.0, {"Retry-After": "30"}
            return real(family)

        server.responses = decide
        calls = [asyncio.ensure_future(circle.request("GET", "/api/v2/project/x")) for _ in range(150)]
        await asyncio.gather(*calls)
        await assert_nothing_held(circle, tally)
    [shut] = [arrival.at for arrival in server.arrivals if arrival.asked == 30.0]
    opened = shut + LATENCY + 30
    after = [arrival.at for arrival in server.arrivals if arrival.at > shut + LATENCY + 1e-6]
    count(server, tally)
    tally["cases"] += len(calls)
    assert server.too_early() == []
    assert opened - 1e-6 <= after[0] <= opened + 1
    # One, then two, then four: each response permits one more.
    assert sum(at < opened + 0.05 for at in after) <= 7
    # The server has as many in store by then as it lets pass in a second.
    assert sum(at < opened + 1 for at in after) <= (25 if headers else 45)
    assert now() < opened + 150 / 20 * 2


async def test_a_closing_of_an_hour_fails_those_that_wait(server: LimitedServer, tally: Tally) -> None:
    """Calls that may not wait an hour fail immediately with the seconds that are left. The others are sent after it."""
    answers = [(200, None, {})] * 3 + [(429, 3600.0, {"Retry-After": "3600"})]
    server.responses = lambda family: answers.pop(0) if answers else (200, None, {})
    throttle = Throttle()
    hasty = client(server, throttle=throttle, retry=RetryPolicy(attempts=3, max_wait=120), max_concurrency=100)
    patient = client(server, throttle=throttle, retry=RetryPolicy(attempts=3, max_wait=4000), max_concurrency=100)
    async with hasty, patient:
        # Ten are sent immediately; the others wait for their responses.
        calls = [
            asyncio.ensure_future(ending(hasty.request("GET", "/api/v2/me/x"), tally, within=10)) for _ in range(40)
        ]
        waiting = [
            asyncio.ensure_future(ending(patient.request("GET", "/api/v2/me/x"), tally, within=5000)) for _ in range(5)
        ]
        results = await asyncio.gather(*calls)
        assert now() < 1
        is_local = [each for each in results if isinstance(each, RateLimited)]
        assert len(is_local) >= 25
        for error in is_local:
            assert error.retry_after is not None
            assert 3599 <= error.retry_after < 3700  # and the time that those before it will take
            assert error.attempts == (0 if error.is_local else 1)
            assert error.outcome == "not_done"
        # A later call of the family also fails immediately. Another family is not affected.
        late = await ending(hasty.request("GET", "/api/v2/me/x"), tally, within=1)
        assert isinstance(late, RateLimited)
        assert await hasty.request("GET", "/api/v2/insights/x")
        assert await asyncio.gather(*waiting)
        assert 3600 <= now() < 3700
        assert not any(isinstance(each.result(), CircleCIError) for each in waiting)
        # The family is open again for all calls.
        assert await hasty.request("GET", "/api/v2/me/x")
        await assert_nothing_held(hasty, tally)
    count(server, tally)
    assert server.too_early() == []


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "no headers"])
async def test_two_clients_share_one_budget(server: LimitedServer, tally: Tally, headers: bool) -> None:
    """Two clients with one Throttle keep the limit together, and each gets about half."""
    server.limits = Limits((20,), headers=headers)
    throttle = Throttle()
    async with client(server, throttle=throttle) as one, client(server, throttle=throttle) as other:
        took = await load([one, other], scaled(10, 60), 10, ["project"], tally)
        assert one.rate_limits == other.rate_limits
        await assert_nothing_held(one, tally)
        await assert_nothing_held(other, tally)
    count(server, tally)
    assert server.too_early() == []
    turns = [sum(len(times) for number, times in took.items() if number % 2 == which) for which in (0, 1)]
    assert min(turns) >= 0.8 * max(turns)
    assert server.statuses[429] <= 0.15 * len(server.arrivals)
    if headers:
        # As soon as the limit is known, no second has more than its share, and what a late timer makes up for.
        assert server.most_within(1.0, since=5.0) <= 22


async def test_random_limits_admit_no_early_request(server: LimitedServer, tally: Tally, rng: random.Random) -> None:
    """Any sequence of refusals, times and headers, true or not."""
    base = datetime.now(UTC)

    def respond(family: str) -> tuple[int, float | None, dict[str, str]]:
        headers: dict[str, str] = {}
        asked = None
        if rng.random() < 0.5:
            headers["X-RateLimit-Limit-Second"] = str(rng.choice((0, 1, 5, 50, 10**6, -3)))
            headers["X-RateLimit-Remaining"] = rng.choice(("0", "1", "49", "-1", "many"))
        if rng.random() < 0.2:
            headers["RateLimit-Limit"] = rng.choice(("100", "10;w=60", "10, 5;w=1", "", "∞".encode().decode("latin-1")))
            headers["RateLimit-Reset"] = rng.choice(("0", "1", "31536000", "soon"))
        if rng.random() > 0.2:
            return 200, None, headers
        if rng.random() < 0.7:
            asked = rng.choice((0.0, 0.25, 1.0, 7.0, 40.0))
            if rng.random() < 0.5:
                asked = float(math.ceil(asked))
                headers["Date"] = format_datetime(base, usegmt=True)
                headers["Retry-After"] = format_datetime(base + timedelta(seconds=asked), usegmt=True)
            else:
                headers["Retry-After"] = f"{asked:g}"
        elif rng.random() < 0.5:
            headers["Retry-After"] = rng.choice(("-1", "soon", "1e3", "", "0x10"))
        return rng.choice((429, 429, 503)), asked, headers

    server.responses = respond
    for _ in range(scaled(3, 30)):
        async with client(server, retry=RetryPolicy(attempts=100, base=0.1, cap=5, max_wait=1e7)) as circle:
            calls = [
                ending(circle.request("GET", f"/api/v2/{rng.choice(FAMILIES)}/x"), tally, within=1e6) for _ in range(60)
            ]
            for result in await asyncio.gather(*calls):
                if isinstance(result, CircleCIError):
                    raise tally.failed("lost", repr(result))
            await assert_nothing_held(circle, tally)
        # A 503 delays its own call, and no other.
        server.arrivals = [attrs.evolve(each, asked=None) if each.status == 503 else each for each in server.arrivals]
        count(server, tally)
        early = server.too_early()
        server.arrivals.clear()
        assert early == []
