"""The rules of admission against simulated servers, on virtual time.

    python -m benchmarks.admission            # the table, some 40 seconds
    python -m benchmarks.admission --quick    # the same over shorter times, as the tests run it

Nothing is sent: a simulated server decides on each request that the throttle admits. The figures are the used share of
the permitted requests, the 429s among all requests, and the time of requests in the queue.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from multidict import CIMultiDict

from aiocircle._core.message import Request, Response
from aiocircle._core.rate_headers import retry_after
from aiocircle._core.retry import RetryPolicy
from aiocircle._core.throttle import Caller, Places, Throttle
from aiocircle.testing.virtual_time import VirtualTimeLoop

FAMILY: Final = "v2/insights"
REQUEST: Final = Request("GET", "https://circleci.example.com/api/v2/insights", {}, None)
LATENCY: Final = 0.05  # seconds
WORKERS: Final = 32
DAY: Final = 86400.0


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Window:
    """A limit that the server counts down: its header's name, the requests in all and left, and the seconds."""

    name: str
    size: int
    left: int
    seconds: float
    ends: float

    def renew(self) -> None:
        while now() >= self.ends:
            self.left, self.ends = self.size, self.ends + self.seconds


@dataclass
class Bucket:
    """A server: a token bucket of a second, perhaps a longer window, and perhaps 429s without any reason.

    announces: the rate that its headers name, or None for no headers. pause: the Retry-After of a 429 of the bucket.
    strays: the share of requests that a bad node refuses, with `stray_pause`. odd: headers of the first response.
    """

    rate: float = math.inf
    announces: float | None = None
    pause: str | None = None
    window: Window | None = None
    strays: float = 0.0
    stray_pause: str | None = None
    odd: Mapping[str, str] = field(default_factory=dict[str, str])
    latency: float = LATENCY
    seed: int = 3

    def __post_init__(self) -> None:
        self.log: list[tuple[float, int]] = []
        self.random = random.Random(self.seed)
        self._tokens, self._filled_at = self.rate, 0.0

    def change(self, rate: float) -> None:
        """Permit another rate from now on, without a word in the headers."""
        self._fill()
        self.rate, self._tokens = rate, min(rate, self._tokens)

    async def respond(self) -> Response:
        half = self.latency / 2 * self.random.uniform(0.8, 1.2)
        await asyncio.sleep(half)
        status, headers = self._decide()
        self.log.append((now(), status))
        await asyncio.sleep(half)
        return Response(status, CIMultiDict(headers), b"")

    def _fill(self) -> None:
        if self.rate < math.inf:
            self._tokens = min(self.rate, self._tokens + (now() - self._filled_at) * self.rate)
        self._filled_at = now()

    def _decide(self) -> tuple[int, dict[str, str]]:
        if self.random.random() < self.strays:
            return 429, {} if self.stray_pause is None else {"Retry-After": self.stray_pause}
        self._fill()
        window, headers = self.window, dict(self.odd)
        self.odd = {}
        if window is not None:
            window.renew()
        status = 429 if self._tokens < 1 or (window is not None and window.left < 1) else 200
        if status == 200:
            self._tokens -= 1
            if window is not None:
                window.left -= 1
        elif self.pause is not None:
            headers["Retry-After"] = self.pause
        if self.announces is not None:
            headers["X-RateLimit-Limit-Second"] = f"{self.announces:.0f}"
            headers["X-RateLimit-Remaining-Second"] = f"{self._tokens:.0f}"
        if window is not None:
            headers[f"X-RateLimit-Limit-{window.name}"] = str(window.size)
            headers[f"X-RateLimit-Remaining-{window.name}"] = str(window.left)
            headers[f"X-RateLimit-Reset-{window.name}"] = str(math.ceil(window.ends - now()))
        return status, headers

    def count(self, status: int, since: float = 0.0, until: float = math.inf) -> int:
        return sum(found == status and since <= at < until for at, found in self.log)


class Client:
    """A client as the throttle sees it. waits: the seconds in the queue of each attempt, with the time of its start."""

    def __init__(self, server: Bucket, throttle: Throttle | None = None, max_concurrency: int = WORKERS) -> None:
        self.server = server
        self.throttle = Throttle() if throttle is None else throttle
        self.places = Places(max_concurrency)
        self.policy = RetryPolicy(attempts=50, max_wait=None)
        self.waits: list[float] = []

    def caller(self) -> Caller:
        return Caller("account", self.places)

    async def call(self, caller: Caller, waits: list[float] | None = None) -> None:
        attempt, status = 0, 429
        while status == 429 and attempt < self.policy.attempts:
            attempt += 1
            started = now()
            queue = await self.throttle.admit(caller, FAMILY, REQUEST, math.inf, is_retry=attempt > 1)
            sent_at = now()
            (self.waits if waits is None else waits).append(sent_at - started)
            response: Response | None = None
            try:
                response = await self.server.respond()
                status = response.status
            finally:
                queue.release(caller, response, sent_at)
            if status == 429:
                await asyncio.sleep(
                    self.policy.delay(attempt, retry_after(response.headers, 0.0), self.server.random.random())
                )

    async def saturate(self, seconds: float) -> None:
        """Call from as many workers as may be in flight, for so long."""
        caller, end = self.caller(), now() + seconds

        async def work() -> None:
            while now() < end:
                await self.call(caller)

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(work())


@dataclass(frozen=True)
class Result:
    """The figures of a scenario. used: of the permitted requests. refused: 429s among all. Waits are in seconds."""

    used: float
    refused: float
    longest: float
    p50: float | None = None
    p99: float | None = None


def _result(server: Bucket, permitted: float, waits: list[float], since: float = 0.0) -> Result:
    good, bad = server.count(200, since), server.count(429)
    return Result(good / permitted, bad / max(1, len(server.log)), max(waits, default=0.0))


async def steady(server: Bucket, seconds: float) -> Result:
    """Measure a bucket with a constant rate."""
    client = Client(server)
    await client.saturate(seconds)
    return _result(server, server.rate * (seconds + 1), client.waits)


async def two_windows(seconds: float) -> Result:
    """20 a second and 36,000 an hour, both announced."""
    return await steady(Bucket(20, 20, window=Window("Hour", 36000, 36000, 3600.0, 3600.0)), seconds)


async def half_a_day_used(seconds: float) -> Result:
    """50 a second, and 5,000 left of 10,000 for the rest of the day: all of them may be used now."""
    left = min(5000, round(50 * seconds))
    server = Bucket(50, 50, window=Window("Day", 10_000, left, DAY, 21_600.0))
    client = Client(server)
    await client.saturate(seconds)
    return _result(server, left, client.waits)


_CLEAN: Final[dict[float, Bucket]] = {}  # a server without strays, used for so many seconds


async def strays(seconds: float, pause: str | None) -> Result:
    """1 % of 429s from a server without a limit: the share of what is possible without them."""
    if seconds not in _CLEAN:
        _CLEAN[seconds] = Bucket(latency=0.012)
        await Client(_CLEAN[seconds]).saturate(seconds)
    server = Bucket(latency=0.012, strays=0.01, stray_pause=pause)
    client = Client(server)
    began = now()
    await client.saturate(seconds)
    skipped = seconds / 4  # of slow start
    return _result(server, _CLEAN[seconds].count(200, skipped), client.waits, began + skipped)


async def strays_of_a_limit(seconds: float, pause: str | None, announces: float | None) -> Result:
    """1 % of 429s in addition to a bucket of 50 a second."""
    return await steady(Bucket(50, announces, strays=0.01, stray_pause=pause), seconds)


async def halved(seconds: float, announces: float | None) -> Result:
    """100 a second, and half of it from the middle on. The second half is measured."""
    server = Bucket(100, announces)
    client = Client(server)
    asyncio.get_running_loop().call_later(seconds / 2, server.change, 50.0)
    await client.saturate(seconds)
    return _result(server, 50 * seconds / 2, client.waits, seconds / 2)


async def odd_header(seconds: float) -> Result:
    """Measure a server without a limit, of which a single response names one an hour with one left."""
    del seconds
    server = Bucket(odd={"X-RateLimit-Limit-Hour": "1", "X-RateLimit-Remaining-Hour": "1"})
    client, caller = Client(server), None
    for _ in range(30):
        caller = caller or client.caller()
        await client.call(caller)
    return _result(server, 30, client.waits)


async def interactive(seconds: float, callers: int) -> Result:
    """Callers that make a call each second, next to a bulk job that has 10,000 requests to make, at 50 a second."""
    server = Bucket(50, 50)
    client = Client(server)
    bulk, waits = client.caller(), list[float]()
    await client.call(bulk)

    async def caller(number: int) -> None:
        mine = client.caller()
        await asyncio.sleep(1 + number / callers)
        while now() < seconds:
            await client.call(mine, waits)
            await asyncio.sleep(1)

    jobs = [asyncio.ensure_future(client.call(bulk)) for _ in range(10_000)]
    await asyncio.gather(*[caller(number) for number in range(callers)])
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    result = _result(server, 50 * (now() + 1), waits)
    waits.sort()
    return Result(result.used, result.refused, waits[-1], waits[len(waits) // 2], waits[int(0.99 * (len(waits) - 1))])


Scenario = Callable[[float], Awaitable[Result]]
# By name: the scenario, and its seconds in full and in short form.
SCENARIOS: Final[dict[str, tuple[Scenario, float, float]]] = {
    "no headers, 50/s": (lambda s: steady(Bucket(50), s), 120, 60),
    "no headers, 50/s, Retry-After: 1": (lambda s: steady(Bucket(50, pause="1"), s), 120, 60),
    "no headers, 50/s, Retry-After: 1, fast": (lambda s: steady(Bucket(50, pause="1", latency=0.02), s), 120, 60),
    "20/s and 36,000/h announced, half an hour": (two_windows, 1700, 30),
    "50/s and 5,000 of a day left": (half_a_day_used, 101, 20),
    "1 % stray 429s, no limit": (lambda s: strays(s, None), 40, 4),
    "1 % stray 429s with Retry-After: 0, no limit": (lambda s: strays(s, "0"), 40, 4),
    "1 % stray 429s with Retry-After: 1, no limit": (lambda s: strays(s, "1"), 40, 4),
    "1 % stray 429s, 50/s announced": (lambda s: strays_of_a_limit(s, None, 50), 60, 20),
    "1 % stray 429s with Retry-After: 1, 50/s announced": (lambda s: strays_of_a_limit(s, "1", 50), 60, 20),
    "1 % stray 429s, 50/s, no headers": (lambda s: strays_of_a_limit(s, None, None), 60, 30),
    "no headers, 100/s, half of it from the middle on": (lambda s: halved(s, None), 120, 60),
    "100/s announced, half of it from the middle on": (lambda s: halved(s, 100), 120, 60),
    "one odd header": (odd_header, 0, 0),
    "one interactive caller next to a job of 10,000, 50/s": (lambda s: interactive(s, 1), 100, 20),
    "twenty interactive callers next to a job of 10,000, 50/s": (lambda s: interactive(s, 20), 100, 20),
}


def simulate(name: str, *, quick: bool) -> Result:
    """Run one scenario on a loop of its own."""
    scenario, full, short = SCENARIOS[name]

    async def run() -> Result:
        return await scenario(short if quick else full)

    # asyncio.Runner takes a coroutine, and debug mode would only slow it down.
    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=False) as runner:
        return runner.run(run())


def _row(name: str, result: Result) -> str:
    cells: list[Any] = [name, f"{result.used:.0%}", f"{result.refused:.1%}", f"{result.longest:.2f} s"]
    cells += ["" if value is None else f"{value:.2f} s" for value in (result.p50, result.p99)]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.admission", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter times")
    arguments = parser.parse_args()
    logging.getLogger("aiocircle").setLevel(logging.ERROR)
    print("| scenario | used | 429s | longest wait | p50 | p99 |\n|---|---|---|---|---|---|")
    for name in SCENARIOS:
        print(_row(name, simulate(name, quick=arguments.quick)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
