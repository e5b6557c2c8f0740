"""The rate-limit gate: nobody too early, nobody forgotten, and the limit used."""

from __future__ import annotations

import asyncio
import functools
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any, ParamSpec

import attrs
import pytest

from aiocircle._core.retry import RetryPolicy, retry_after
from aiocircle._core.throttle import Gate, Held, Throttle
from aiocircle.testing.virtual_time import VirtualTimeLoop

P = ParamSpec("P")

PER_SECOND = {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "1"}


def virtually(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run on virtual time, and without asyncio's debug mode, which would look at the stack for each of many timers."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=False) as runner:
        return runner.run(main())  # type: ignore[arg-type]


def virtual(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """A test that is run so."""

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        virtually(lambda: test(*arguments, **named))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


def told(gate: Gate, headers: Mapping[str, str]) -> None:
    gate.observe(200, headers, now(), None)


async def passing_times(gate: Gate, count: int, budget: float = 1e6) -> list[float]:
    """The times at which `count` requests, all there at once, pass the gate; each is over at once."""
    times: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await gate.enter(budget)
        times.append((number, now()))
        gate.leave()

    await asyncio.gather(*[one(number) for number in range(count)])
    assert [number for number, _ in times] == sorted(number for number, _ in times), "in the order of arrival"
    return [at for _, at in times]


@virtual
async def test_requests_are_spaced_at_the_rate_that_headers_promise() -> None:
    gate = Gate()
    told(gate, PER_SECOND)
    start = now()
    times = await passing_times(gate, 31)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps[1:]) >= 0.0999
    # A gate that was idle makes up for at most the timers' slack.
    assert times[-1] - start == pytest.approx(3.0, abs=0.11)


@virtual
async def test_the_lower_of_two_limits_wins() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "100", "X-RateLimit-Limit-Minute": "120", "X-RateLimit-Remaining": "9"})
    assert gate.rate_limit.limit == 120
    assert gate.rate_limit.window == 60.0
    assert gate.rate_limit.rate == pytest.approx(2.0)
    told(gate, {"RateLimit-Limit": "1;w=10", "X-RateLimit-Limit-Second": "100"})
    assert gate.rate_limit.rate == pytest.approx(0.1)


@virtual
async def test_a_long_window_is_not_spread_evenly_while_most_of_it_is_left() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining": "50"})
    assert (await passing_times(gate, 8))[-1] == now()
    told(gate, {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining": "30"})
    assert gate.rate_limit.rate == pytest.approx(1.0)


@virtual
async def test_nothing_remaining_delays_by_one_interval_and_not_by_the_window() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"})
    assert await gate.enter(1.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Limit-Second": "many"},
        {"X-RateLimit-Limit-Second": "0"},
        {"X-RateLimit-Limit-Second": "-5"},
        {"RateLimit-Limit": "", "RateLimit-Remaining": "∞"},
        {"RateLimit-Limit": "5;w=0"},
        {"RateLimit-Remaining": "3"},
    ],
)
@virtual
async def test_headers_that_name_no_limit_and_window_hold_nobody_back(headers: Mapping[str, str]) -> None:
    gate = Gate()
    told(gate, headers)
    assert gate.rate_limit.rate is None
    assert (await passing_times(gate, 5))[-1] == now()


@virtual
async def test_while_nothing_is_known_only_some_requests_are_under_way_and_each_answer_allows_one_more() -> None:
    gate = Gate()
    entered = [asyncio.ensure_future(gate.enter(1e6)) for _ in range(40)]
    await asyncio.sleep(1)
    assert sum(each.done() for each in entered) == 10
    for _ in range(10):
        told(gate, {})
        gate.leave()
    await asyncio.sleep(1)
    assert sum(each.done() for each in entered) == 10 + 20
    for each in entered:
        each.cancel()
    await asyncio.gather(*entered, return_exceptions=True)


@virtual
async def test_after_a_429_nobody_passes_before_the_servers_time_is_over_and_then_no_herd_does() -> None:
    gate = Gate()
    told(gate, PER_SECOND)
    refused_at = now()
    gate.observe(429, {}, refused_at + 1e-9, 5.0)
    times = await passing_times(gate, 20)
    assert times[0] >= refused_at + 5.0
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert min(gaps) >= 0.0999


@virtual
async def test_a_request_that_would_wait_too_long_is_held_at_once() -> None:
    gate = Gate()
    gate.observe(429, {}, now(), 3600.0)
    start = now()
    with pytest.raises(Held) as held:
        await gate.enter(120.0)
    assert held.value.seconds == pytest.approx(3600.0)
    assert now() == start


@virtual
async def test_who_waits_already_is_held_at_once_when_another_429_closes_the_gate_for_an_hour() -> None:
    gate = Gate()
    gate.observe(429, {}, now(), 10.0)
    patient = asyncio.ensure_future(gate.enter(4000.0))
    hasty = asyncio.ensure_future(gate.enter(120.0))
    await asyncio.sleep(1)
    gate.observe(429, {}, now(), 3600.0)
    start = now()
    with pytest.raises(Held):
        await hasty
    assert now() == start
    await patient
    assert now() >= start + 3600.0
    gate.leave()


@virtual
async def test_a_place_in_a_long_queue_counts_as_waiting() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "1"})
    waiting = [asyncio.ensure_future(gate.enter(1e6)) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(Held):
        await gate.enter(3.0)
    for each in waiting:
        await each
        gate.leave()


@virtual
async def test_the_caution_of_the_start_is_no_waiting_for_the_limit() -> None:
    gate = Gate()
    for _ in range(10):
        await gate.enter(1.0)
    asyncio.get_running_loop().call_later(100.0, gate.leave)
    assert await gate.enter(1.0) == 0.0
    assert now() == 100.0


@virtual
async def test_who_waits_from_caution_is_bounded_from_when_a_limit_is_known() -> None:
    gate = Gate()
    for _ in range(10):
        await gate.enter(1.0)
    waiting = asyncio.ensure_future(gate.enter(5.0))
    await asyncio.sleep(60)
    gate.observe(429, {}, now(), 3600.0)
    with pytest.raises(Held):
        await waiting
    assert now() == 60.0


@virtual
async def test_a_cancelled_waiter_gives_its_turn_to_the_next() -> None:
    gate = Gate()
    told(gate, {"X-RateLimit-Limit-Second": "1"})
    await gate.enter(1.0)
    first, second = (asyncio.ensure_future(gate.enter(10.0)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await second
    assert now() == pytest.approx(1.0, abs=0.06)


@virtual
async def test_a_turn_that_comes_in_the_same_breath_as_the_cancellation_is_passed_on() -> None:
    gate = Gate()
    for _ in range(10):
        await gate.enter(1.0)
    first, second = (asyncio.ensure_future(gate.enter(10.0)) for _ in range(2))
    await asyncio.sleep(0)
    gate.leave()  # grants `first`, which has not run yet
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    await asyncio.wait_for(second, 1.0)
    for _ in range(10):
        gate.leave()
    assert (await passing_times(gate, 10))[-1] == now(), "all ten places are free again"


@virtual
async def test_a_closed_gate_holds_up_no_other_family() -> None:
    throttle = Throttle()
    throttle.gate("insights").observe(429, {}, now(), 60.0)
    assert await throttle.gate("project").enter(0.0) == 0.0
    assert set(throttle.rate_limits) == {"insights", "project"}


# --- the rate, against a token bucket ------------------------------------------------------------------------


@attrs.define
class Bucket:
    """A server that lets `rate` requests a second pass and keeps as many in store."""

    rate: float
    headers: bool
    asks: bool
    tokens: float = attrs.field(init=False, default=attrs.Factory(lambda self: self.rate, takes_self=True))
    at: float = 0.0
    answers: list[tuple[float, int]] = attrs.field(factory=list)

    def change(self, rate: float) -> None:
        self._fill()
        self.rate = rate
        self.tokens = min(self.tokens, rate)

    def _fill(self) -> None:
        self.tokens = min(self.rate, self.tokens + (now() - self.at) * self.rate)
        self.at = now()

    def answer(self) -> tuple[int, dict[str, str]]:
        self._fill()
        status, headers = 200, {}
        if self.tokens >= 1:
            self.tokens -= 1
        else:
            status = 429
            if self.asks:
                headers["Retry-After"] = str(math.ceil((1 - self.tokens) / self.rate))
        if self.headers:
            headers["X-RateLimit-Limit-Second"] = str(int(self.rate))
            headers["X-RateLimit-Remaining"] = str(int(self.tokens))
            headers["X-RateLimit-Reset"] = str(math.ceil((self.rate - self.tokens) / self.rate))
        self.answers.append((now(), status))
        return status, headers


async def load(bucket: Bucket, seconds: float, workers: int = 32, stray: float = 0.0) -> None:
    """Workers that send without pause, through one gate."""
    gate, policy, chance = Gate(), RetryPolicy(), random.Random(7)
    start = now()

    async def worker() -> None:
        attempt = 1
        while now() < start + seconds:
            await gate.enter(1e9)
            try:
                sent_at = now()
                await asyncio.sleep(0.05 * chance.uniform(0.8, 1.2))
                status, headers = (429, {"Retry-After": "1"}) if chance.random() < stray else bucket.answer()
                gate.observe(status, headers, sent_at, retry_after(headers, 0.0))
            finally:
                gate.leave()
            if status == 200:
                attempt = 1
            else:
                await asyncio.sleep(policy.delay(attempt, retry_after(headers, 0.0), chance.random()))
                attempt += 1

    await asyncio.gather(*[worker() for _ in range(workers)])


@pytest.mark.parametrize("rate", [30, 100])
@pytest.mark.parametrize(
    ("headers", "asks", "least_used", "most_refused"),
    [(True, True, 0.95, 0.02), (False, True, 0.85, 0.05), (False, False, 0.85, 0.05)],
    ids=["headers", "only Retry-After", "neither"],
)
@pytest.mark.parametrize("change", [1.0, 1.5, 0.5], ids=["steady", "raised", "lowered"])
def test_the_limit_is_used_and_hardly_exceeded(
    rate: int, headers: bool, asks: bool, least_used: float, most_refused: float, change: float
) -> None:
    async def main() -> tuple[float, float]:
        bucket = Bucket(rate, headers, asks)
        asyncio.get_running_loop().call_later(30, bucket.change, rate * change)
        await load(bucket, 60)
        half = [status for at, status in bucket.answers if 30 <= at < 60]
        refused = sum(status == 429 for _, status in bucket.answers) / len(bucket.answers)
        return half.count(200) / 30 / (rate * change), refused

    used, refused = virtually(main)
    assert used >= least_used
    assert refused <= most_refused


def test_stray_refusals_slow_down_but_never_starve() -> None:
    async def main() -> int:
        bucket = Bucket(1000, headers=False, asks=True)
        await load(bucket, 120, stray=0.03)
        return sum(status == 200 for _, status in bucket.answers)

    # Each stray refusal closes the gate for the second that it asks for; in between at least some thirty pass.
    assert virtually(main) > 120 * 10
