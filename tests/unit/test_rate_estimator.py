"""The arithmetic of admission: headers in, delay out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from aiocircle._core.rate_estimator import RateEstimator
from aiocircle._core.rate_headers import RateLimit, parse_rate_limits
from benchmarks.admission import SCENARIOS, simulate
from tests.support.thorough import scaled

SECOND = {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining-Second": "5"}


def hour(remaining: int, reset: int | None = 600, size: int = 100) -> dict[str, str]:
    headers = {"X-RateLimit-Limit-Hour": str(size), "X-RateLimit-Remaining-Hour": str(remaining)}
    return headers if reset is None else {**headers, "X-RateLimit-Reset-Hour": str(reset)}


class Family:
    """An estimator with its clock."""

    def __init__(self) -> None:
        self.estimator = RateEstimator()
        self.now = 100.0

    def acquire(self, count: int = 1) -> int:
        """Return how many of so many requests may be sent now."""
        return sum(self.estimator.try_acquire(self.now) for _ in range(count))

    def respond(
        self,
        headers: Mapping[str, str] | None = None,
        status: int | None = 200,
        pause: float | None = None,
        sent_at: float | None = None,
    ) -> None:
        sent = self.now if sent_at is None else sent_at
        self.estimator.update(status, parse_rate_limits(headers or {}), pause, sent, self.now)

    def exchange(self, headers: Mapping[str, str] | None = None, **options: Any) -> None:
        """Send one request, as soon as it is permitted, and take its response."""
        while not self.acquire():
            self.now += max(1e-9, self.delay)
        self.respond(headers, **options)

    @property
    def delay(self) -> float:
        return self.estimator.delay(self.now)

    @property
    def closed_for(self) -> float:
        return self.estimator.closed_for(self.now)


# The responses of a family, all at the same moment; then the delay of the next request, and how long it is closed.
TABLE = {
    "nothing known": ([{}], 0.0, 0.0),
    "a second is paced": ([SECOND], 0.0, 0.0),
    "a second with nothing left: one interval": ([SECOND | {"X-RateLimit-Remaining-Second": "0"}], 0.1, 0.0),
    "an hour with something left is not paced": ([hour(1)], 0.0, 0.0),
    "an hour with nothing left closes until its reset": ([hour(0)], 600.0, 600.0),
    "a reset is never later than its window": ([hour(0, 1767225600)], 3600.0, 3600.0),
    "without a reset: one request in each interval": ([hour(0, None)], 36.0, 36.0),
    "the later permission wins": ([SECOND | hour(0, 30)], 30.0, 30.0),
    "the stricter of two kinds wins": ([SECOND | {"RateLimit-Limit": "2;w=1", "RateLimit-Remaining": "0"}], 0.5, 0.0),
    "a limit at zero that is not repeated: a second": ([hour(0, 3000), {}], 1.0, 1.0),
    "ten responses forget a limit": ([hour(0, 3000), *[{}] * 10], 0.0, 0.0),
    "a limit without a window is not kept": ([{"RateLimit-Limit": "1", "RateLimit-Remaining": "0"}], 0.0, 0.0),
    "a limit of zero is not kept": ([{"X-RateLimit-Limit-Second": "0"}], 0.0, 0.0),
}


@pytest.mark.parametrize("name", TABLE)
def test_responses_decide_the_delay(name: str) -> None:
    """Headers in, delay out."""
    responses, delay, closed_for = TABLE[name]
    family = Family()
    assert family.acquire(len(responses)) == min(10, len(responses))
    family.estimator.in_flight = len(responses)
    for headers in responses:
        family.respond(headers)
    assert family.delay == pytest.approx(delay)
    assert family.closed_for == pytest.approx(closed_for)


def test_a_short_window_is_paced() -> None:
    """After what a late timer may make up for, one request goes in each interval."""
    family = Family()
    family.exchange(SECOND)
    times = []
    for _ in range(20):
        family.exchange(SECOND)
        times.append(family.now)
    assert times[-1] - times[0] == pytest.approx(1.9, abs=0.06)


def test_a_long_window_is_counted_down() -> None:
    """The rest, less the requests in flight and those sent since, is sent without a pace."""
    family = Family()
    assert family.acquire(3) == 3
    family.respond(hour(5))
    assert family.acquire(10) == 3  # two of the five are in flight
    assert family.closed_for == 0.0
    assert family.delay > 0.0  # their responses may permit more
    family.respond(hour(4))
    assert family.acquire(10) == 0
    for _ in range(4):
        family.respond({}, status=502)
    assert family.acquire(10) == 1  # all have ended, and none has shown the end of the limit


def test_a_permission_that_was_not_used_is_given_back() -> None:
    """An update without a status takes its request from the count."""
    family = Family()
    family.exchange(hour(2))
    assert family.acquire(5) == 2
    family.respond(status=None)
    assert family.acquire(5) == 1


def test_a_reset_renews_a_long_window() -> None:
    """From the reset on a whole window is left, also before a response repeats it."""
    family = Family()
    family.exchange(hour(0, reset=60))
    family.now += 60
    sent = 0
    while family.acquire():
        sent += 1
        if sent < 100:  # the last one stays in flight
            family.respond(status=503)
    assert sent == 100


def test_slow_start_lets_each_response_add_one() -> None:
    """Ten requests are in flight first. A burst does not find a limit with all its requests."""
    family = Family()
    assert family.acquire(50) == 10
    family.respond()
    assert family.acquire(50) == 2


def test_hanging_requests_do_not_stop_slow_start() -> None:
    """If none of ten has a response, another one is permitted after a short time, and so on."""
    family = Family()
    assert family.acquire(50) == 10
    assert family.delay == pytest.approx(0.2)
    family.now += family.delay
    assert family.acquire(50) == 1
    family.respond()
    assert family.acquire(50) == 1


@pytest.mark.parametrize("pause", [1.0, 60.0])
def test_a_pause_closes_the_family(pause: float) -> None:
    """Nothing is sent before its end, and then one request at a time shows that the family is open."""
    family = Family()
    assert family.acquire(3) == 3
    for _ in range(3):
        family.respond(status=429, pause=pause)
    assert family.delay == family.closed_for == pytest.approx(pause)
    family.now += pause
    assert family.acquire(10) == 1


def test_a_shorter_pause_opens_nothing() -> None:
    """The later of two ends counts."""
    family = Family()
    family.acquire(2)
    family.respond(status=429, pause=40.0)
    family.respond(status=429, pause=5.0)
    assert family.closed_for == pytest.approx(40.0)


def test_stray_429s_change_no_rate() -> None:
    """One in a hundred, without a Retry-After: the rate stays unknown, and unbounded."""
    family = Family()
    for number in range(1000):
        family.now += 0.01
        family.exchange(status=429 if number % 100 == 50 else 200)
    assert family.estimator.rate_limit(family.now).rate is None


def test_many_429s_teach_a_rate() -> None:
    """A server that refuses every third request receives fewer requests."""
    family = Family()
    for number in range(300):
        family.now += 0.01
        family.exchange(status=429 if number % 3 == 0 else 200)
    rate = family.estimator.rate_limit(family.now).rate
    assert rate is not None
    assert rate < 80


def test_a_burst_of_429s_cuts_the_rate() -> None:
    """Fifty good responses and thirty 429s within a tenth of a second, after a long quiet time: no stray ones."""
    family = Family()
    for number in range(80):
        family.now += 0.001
        family.exchange(status=200 if number < 50 else 429)
    rate = family.estimator.rate_limit(family.now).rate
    assert rate is not None
    assert rate < 60


def test_429s_of_before_a_cut_do_not_count() -> None:
    """Forty requests in flight that are refused together cut the rate once."""
    family = Family()
    for _ in range(200):
        family.now += 0.01
        family.exchange()
    family.acquire(40)
    sent_at = family.now
    for _ in range(40):
        family.now += 0.001
        family.respond(status=429, sent_at=sent_at)
    rate = family.estimator.rate_limit(family.now).rate
    assert rate is not None
    assert rate > 40


def test_an_announced_limit_replaces_what_was_learned() -> None:
    """The rate of the headers is kept from then on."""
    family = Family()
    for number in range(300):
        family.now += 0.01
        family.exchange(status=429 if number % 3 == 0 else 200)
    family.exchange({"X-RateLimit-Limit-Second": "500"})
    assert family.estimator.rate_limit(family.now) == RateLimit(limit=500, window=1.0, rate=pytest.approx(500.0))


def test_strictest_limit_is_reported() -> None:
    """The limit that permits the fewest requests a second, with all its numbers."""
    family = Family()
    assert family.estimator.rate_limit(family.now) == RateLimit()
    hour = {"X-RateLimit-Limit-Hour": "3600", "X-RateLimit-Remaining-Hour": "1800", "X-RateLimit-Reset-Hour": "900"}
    second = {"X-RateLimit-Limit-Second": "50", "X-RateLimit-Remaining-Second": "49", "X-RateLimit-Reset-Second": "1"}
    for headers in ({**second, **hour}, {**hour, **second}):
        family.exchange(headers)
        found = family.estimator.rate_limit(family.now)
        assert (found.limit, found.window, found.remaining, found.reset) == (3600, 3600.0, 1800, 900.0)
        assert found.rate == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({"X-RateLimit-Limit-Hour": "10000000", "X-RateLimit-Limit-Second": "5"}, 5),
        ({"X-RateLimit-Limit": "1", "RateLimit-Limit-Hour": "7200"}, 7200),
        ({"X-RateLimit-Remaining": "5", "RateLimit-Limit-Hour": "7200"}, 7200),
    ],
)
def test_strictest_limit_permits_the_fewest_a_second(headers: dict[str, str], size: int) -> None:
    """A limit whose window or size is not known is the least strict."""
    family = Family()
    family.exchange(headers)
    assert family.estimator.rate_limit(family.now).limit == size


def hourly(size: int, remaining: int, reset: int | None = None) -> dict[str, str]:
    headers = {"X-RateLimit-Limit-Hour": f"{size}", "X-RateLimit-Remaining-Hour": f"{remaining}"}
    return headers if reset is None else {**headers, "X-RateLimit-Reset-Hour": f"{reset}"}


def test_a_renewed_window_permits_its_size() -> None:
    """After the reset, as many requests as the limit names, and then none for a whole window."""
    family = Family()
    family.exchange(hourly(3, 0, reset=10))
    assert (family.acquire(), family.delay) == (0, pytest.approx(10.0))
    family.now += 10.0
    assert family.acquire(9) == 3
    assert family.delay == pytest.approx(3600.0)


def test_a_window_without_a_reset_is_tried() -> None:
    """One request in each interval finds out if the limit was renewed."""
    family = Family()
    family.exchange(hourly(3600, 0))
    family.now += 1.0
    assert family.acquire(5) == 1
    assert family.delay == pytest.approx(1.0)


def test_a_limit_that_is_not_repeated_is_forgotten() -> None:
    """One response without it is enough, a second after the last one with it."""
    family = Family()
    family.exchange(hourly(3600, 1, reset=900))
    family.now += 1.0
    family.exchange()
    assert family.acquire() == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_random_story_never_blocks_for_ever(seed: int) -> None:
    """For any responses: no request goes into a pause, and after the delay one may be sent.

    AIOCIRCLE_THOROUGH=1 tries 100,000 stories.
    """
    for number in range(scaled(10, 5_000)):
        run_story(10_000 * seed + number)


def run_story(seed: int) -> None:
    rng, family, closed_until = random.Random(seed), Family(), 0.0
    for _ in range(100):
        family.now += rng.choice((0.0, 0.01, 0.3, 5.0))
        sent = family.acquire(rng.randint(0, 20))
        assert not sent or family.now >= closed_until
        for _ in range(family.estimator.in_flight if rng.random() < 0.5 else min(1, family.estimator.in_flight)):
            headers: dict[str, str] = {}
            if rng.random() < 0.3:
                headers |= hour(rng.choice((0, 1, 50)), rng.choice((None, 0, 5, 10**9)))
            if rng.random() < 0.3:
                headers |= {"X-RateLimit-Limit-Second": rng.choice(("0", "1", "50", "x")), "RateLimit-Remaining": "0"}
            status = rng.choice((200, 200, 200, 404, 429, 503, None))
            pause = rng.choice((None, 0.0, 1.0, 40.0)) if status == 429 else None
            family.respond(headers if status else None, status=status, pause=pause, sent_at=family.now)
            closed_until = max(closed_until, family.now + (pause or 0.0))
    for _ in range(100):
        if family.acquire():
            return
        assert family.delay < 1e10
        family.now += family.delay
    raise AssertionError("no request was permitted")


# At least so much of what is permitted is used, and at most so many are refused.
BOUNDS = {
    "no headers, 50/s": (0.95, 0.04),
    "no headers, 50/s, Retry-After: 1": (0.9, 0.04),
    "no headers, 50/s, Retry-After: 1, fast": (0.9, 0.04),
    "20/s and 36,000/h announced, half an hour": (0.95, 0.0),
    "50/s and 5,000 of a day left": (0.95, 0.0),
    "1 % stray 429s, no limit": (0.5, 0.03),
    "1 % stray 429s with Retry-After: 0, no limit": (0.5, 0.03),
    "1 % stray 429s with Retry-After: 1, no limit": (0.02, 0.03),
    "1 % stray 429s, 50/s announced": (0.8, 0.03),
    "1 % stray 429s with Retry-After: 1, 50/s announced": (0.4, 0.03),
    "1 % stray 429s, 50/s, no headers": (0.85, 0.06),
    "no headers, 100/s, half of it from the middle on": (0.95, 0.05),
    "100/s announced, half of it from the middle on": (0.95, 0.05),
    "one odd header": (1.0, 0.0),
    "one interactive caller next to a job of 10,000, 50/s": (0.9, 0.0),
    "twenty interactive callers next to a job of 10,000, 50/s": (0.9, 0.0),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_simulation_keeps_its_bounds(name: str) -> None:
    """The share of the limit that is used, the 429s, and the waits of interactive callers."""
    result = simulate(name, quick=True)
    used, refused = BOUNDS[name]
    assert result.used >= used
    assert result.refused <= refused
    assert result.longest < 5.0
    if result.p99 is not None:
        assert result.p99 < 0.2
