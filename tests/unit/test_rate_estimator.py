"""The arithmetic of admission: headers in, delay out."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from aiocircle._core.rate_estimator import RateEstimator
from aiocircle._core.rate_headers import RateLimit, parse_rate_limits
from benchmarks.admission import SCENARIOS, simulate
from tests.support.rows import each_row
from tests.support.thorough import scaled

SECOND = {"X-RateLimit-Limit-Second": "10", "X-RateLimit-Remaining-Second": "5"}


def hour(remaining: int, reset: int | None = 600, size: int = 100) -> dict[str, str]:
    headers = {"X-RateLimit-Limit-Hour": str(size), "X-RateLimit-Remaining-Hour": str(remaining)}
    return headers if reset is None else {**headers, "X-RateLimit-Reset-Hour": str(reset)}


class Family:
    """An estimator with its clock."""

    def __init__(self, now: float = 100.0) -> None:
        self.estimator = RateEstimator()
        self.now = now

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

    def play(self, *steps: tuple[float, int, int]) -> None:
        """Let seconds pass, then so many good responses and so many 429s come, one after the other."""
        for seconds, good, refused in steps:
            self.now += seconds
            for number in range(good + refused):
                self.exchange(status=200 if number < good else 429)

    def refuse(self) -> int:
        """Return how many 429s in a row it takes until a rate is learned."""
        for number in range(1, 100):
            self.exchange(status=429)
            if self.rate is not None:
                return number
        raise AssertionError("no rate was learned")

    @property
    def rate(self) -> float | None:
        return self.estimator.rate_limit(self.now).rate

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
    "ten seconds are paced": ([{"RateLimit-Limit": "5;w=10", "RateLimit-Remaining": "0"}], 2.0, 0.0),
    "eleven are counted down": ([{"RateLimit-Limit": "5;w=11", "RateLimit-Remaining": "0"}], 2.2, 2.2),
    "a limit of zero is not kept": ([{"X-RateLimit-Limit-Second": "0"}], 0.0, 0.0),
}


@each_row("name", TABLE)
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
    """An update without a status takes its request from the count, and no other one."""
    family = Family()
    family.exchange(hour(5))
    assert family.acquire(9) == 5
    family.respond(status=None)
    assert family.acquire(9) == 1


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


# --- exactly: slow start, pauses, limits that are not repeated -------------------------------------------------------


def second(size: int) -> dict[str, str]:
    return {"X-RateLimit-Limit-Second": f"{size}"}


def test_a_clock_may_begin_at_zero() -> None:
    """The clock of a machine that has just started is near zero: no request waits for a later time."""
    for size, count in ((None, 10), (hour(5), 5), (second(1000), 40)):
        family = Family(now=0.0)
        assert (family.delay, family.closed_for, family.estimator.updated_at) == (0.0, 0.0, 0.0)
        if size is not None:
            family.exchange(size)
            family.now = 0.0 if "X-RateLimit-Limit-Hour" in size else 0.5
        assert family.acquire(40) == count
    family = Family(now=0.0)
    family.exchange(hour(1))
    assert family.acquire(2) == 1
    family.respond(status=502)
    assert (family.delay, family.acquire(2)) == (0.0, 1)


def test_when_a_clock_began_does_not_matter() -> None:
    """The same responses teach the same rate after as many 429s."""
    for start in (0.0, 4096.0):
        family = Family(now=start)
        family.play((0.25, 1, 0), (0.5, 199, 0))
        assert family.refuse() == 5
        assert family.rate == pytest.approx(0.97 * 200)


def test_the_last_end_of_a_request_is_known() -> None:
    """With a response or without one: families that were not used for long are forgotten first."""
    family = Family()
    family.exchange()
    assert family.estimator.updated_at == 100.0
    family.now += 5.0
    family.exchange(status=None)
    assert family.estimator.updated_at == 105.0


@pytest.mark.parametrize("sizes", [("2", "9"), ("9", "2")])
def test_two_kinds_of_headers_for_a_window(sizes: tuple[str, str]) -> None:
    """Their order does not matter: the stricter limit is the pace."""
    family = Family()
    family.exchange({"X-RateLimit-Limit-Second": sizes[0], "RateLimit-Limit": f"{sizes[1]};w=1"})
    assert family.rate == pytest.approx(2.0)


@each_row(("status", "permitted"), [(200, 2), (404, 2), (499, 2), (500, 1), (503, 1), (None, 1)])
def test_slow_start_grows_by_good_responses(status: int | None, permitted: int) -> None:
    """A server that fails gets no more requests at a time. An error of the caller's is a good response."""
    family = Family()
    assert family.acquire(50) == 10
    family.respond(status=status)
    assert family.acquire(50) == permitted


def test_slow_start_ends_at_its_maximum() -> None:
    """Up to 256 requests in flight are bounded. A family that bore so many has no bound by number."""
    family = Family()
    family.play((0.0, 246, 0))
    assert family.acquire(1000) == 256
    family = Family()
    family.play((0.0, 247, 0))
    assert family.acquire(1000) == 1000


def test_a_known_rate_replaces_slow_start() -> None:
    """Requests in flight are not bounded by their number when the API named its rate."""
    family = Family()
    family.exchange(second(1000))
    family.now += 1.0
    assert family.acquire(40) == 40


@pytest.mark.parametrize(("sent_at", "permitted"), [(100.0, 1), (101.0, 2), (101.5, 2)])
def test_slow_start_begins_again_after_a_pause(sent_at: float, permitted: int) -> None:
    """One request at a time, and one more for each good response to a request that was sent since."""
    family = Family()
    family.acquire(2)
    family.respond(status=429, pause=1.0)
    family.now = 102.0
    family.respond(sent_at=sent_at)
    assert family.acquire(9) == permitted


def test_a_late_timer_cannot_use_a_pause() -> None:
    """A timer that fires late lets requests follow closely, but not for the time of a pause: no burst follows it."""
    family = Family()
    family.exchange(second(100))
    family.now += 10.0
    family.exchange(second(100), status=429, pause=1.0)
    family.now += 1.0
    assert family.acquire(10) == 1
    assert family.delay == pytest.approx(0.01)


@pytest.mark.parametrize(("pause", "delay"), [(None, 0.1), (0.0, 0.0)])
def test_a_429_costs_one_interval(pause: float | None, delay: float) -> None:
    """At a known pace, the next request waits for an interval, unless the Retry-After is zero."""
    family = Family()
    family.exchange(SECOND)
    family.now += 0.5
    assert family.acquire() == 1
    family.now += 0.5
    family.respond(SECOND, status=429, pause=pause, sent_at=100.5)
    assert family.delay == pytest.approx(delay)


@each_row("status", [200, 404, 499, 429, 500, 503])
def test_only_regular_responses_miss_a_limit(status: int) -> None:
    """A 429 or a response of a failing server may lack headers, and does not show that a limit has ended."""
    family = Family()
    family.acquire(2)
    family.respond(hour(0, 600))
    family.now += 1.0
    family.respond(status=status)
    assert family.closed_for == pytest.approx(0.0 if status < 500 and status != 429 else 599.0)


@pytest.mark.parametrize(("seconds", "rate"), [(0.99, 10.0), (1.0, None)])
def test_a_pace_is_kept_for_a_second(seconds: float, rate: float | None) -> None:
    """One response that does not repeat a limit ends it, a second after the last one that did."""
    family = Family()
    family.acquire(2)
    family.respond(SECOND)
    family.now += seconds
    family.respond()
    assert family.rate == (None if rate is None else pytest.approx(rate))


def test_a_closed_limit_explains_its_429s() -> None:
    """While nothing is left of an hour, 429s do not teach that the family is slow."""
    family = Family()
    assert family.acquire(10) == 10
    family.respond(hour(0, 600))
    for _ in range(9):
        family.respond(status=429)
    assert family.rate is None


@pytest.mark.parametrize(("at", "delay"), [(130.999, 0.001), (131.0, 0.1)])
def test_a_429_is_explained_until_the_reset(at: float, delay: float) -> None:
    """From the reset on, a 429 is about the pace again."""
    family = Family()
    family.exchange(SECOND | hour(5))
    family.now = 100.5
    assert family.acquire() == 1
    family.now = 101.0
    family.exchange(SECOND | hour(0, 30))
    family.now = at
    family.respond(status=429, sent_at=100.5)
    assert family.delay == pytest.approx(delay)


# --- exactly: the learned rate ---------------------------------------------------------------------------------------

# What happened before a row of 429s: seconds, good responses and 429s, as in play(). And how many teach a rate.
COUNTS = {
    "62 good ones: two of the last 64": ([(0.0, 62, 0)], 2),
    "77 good ones: two of 79 are more than one in forty": ([(0.0, 77, 0)], 2),
    "78 good ones: two of 80 are not": ([(0.0, 78, 0)], 3),
    "half of 200 faded in half a second": ([(0.0, 1, 0), (0.5, 199, 0)], 5),
    "after a 429 only the time since then fades": ([(0.0, 1, 0), (50.0, 0, 1), (0.5, 200, 0)], 4),
    "time alone does not fade a 429": ([(0.0, 1, 0), (50.0, 0, 1), (10.0, 31, 0)], 1),
    "one response more fades it enough": ([(0.0, 1, 0), (50.0, 0, 1), (10.0, 32, 0)], 2),
}


@each_row("name", COUNTS)
def test_how_many_429s_teach_a_rate(name: str) -> None:
    """More than one in forty, of the responses of about a second, or of about 64 if those are more."""
    steps, count = COUNTS[name]
    family = Family()
    family.play(*steps)
    assert family.rate is None
    assert family.refuse() == count


def test_pause_fades_no_429() -> None:
    """The time of a pause has no responses: half a second after it, as many 429s teach a rate as without it."""
    family = Family()
    family.exchange()
    family.exchange(status=429, pause=40.0)
    family.now += 40.0
    family.play((0.5, 200, 0))
    assert family.rate is None
    assert family.refuse() == 4


# The good responses before a row of 429s: seconds and their number. How many 429s teach a rate, how many requests of
# the time that counts are remembered without them, and the seconds of that time.
RECENT = {
    "those of the last second": ([(0.0, 30), (10.0, 30)], 2, 30, 1.0),
    "a second ago is in it": ([(0.0, 40), (1.0, 20)], 2, 60, 1.0),
    "more than a second ago is not": ([(0.0, 40), (1.25, 20)], 2, 20, 1.0),
    "512 of a shorter time": ([(0.0, 100), (0.5, 1), (0.25, 511)], 14, 512, 0.25),
    "512 of a longer time": ([(0.0, 412), (1.5, 100)], 7, 100, 1.0),
}


@each_row("name", RECENT)
def test_the_first_rate_is_what_was_permitted(name: str) -> None:
    """The requests per second that were sent, less the refused share of all so far."""
    story, count, sent, span = RECENT[name]
    family = Family()
    family.play(*((seconds, good, 0) for seconds, good in story))
    good = sum(good for _, good in story)
    assert family.refuse() == count
    assert family.rate == pytest.approx(0.97 * (sent + count) / span * good / (good + count))


def test_a_moment_teaches_no_rate() -> None:
    """From many responses in no time no rate follows: nothing is bounded, and nothing fails."""
    family = Family()
    family.play((0.0, 512, 50))
    assert (family.rate, family.delay) == (None, 0.0)
    family.play((1.0, 1, 0))


def learned(pause: float | None = None) -> Family:
    """Return a family that has learned a rate of 30 requests a second at this moment. Five requests are in flight."""
    family = Family()
    family.play((0.0, 30, 0))
    assert family.acquire(7) == 7
    family.respond(status=429, pause=pause)
    family.respond(status=429, pause=pause)
    return family


@each_row(
    ("pause", "seconds", "factor"),
    [
        (None, 0.0, 0.97),
        (None, 0.5, 0.98),
        (None, 5.0, 1.07),
        (None, 6.0, 1.09),
        (None, 6.5, 1.1 * math.sqrt(2.0)),
        (None, 7.0, 1.11 * 2.0),
        (None, 16.0, 1.29 * 1024.0),
        (None, 60.0, 2.17 * 1024.0),
        (2.0, -2.0, 1.15),
        (2.0, -0.5, 1.15),
        (2.0, 0.5, 1.18),
        (2.0, 6.0, 1.51),
        (2.0, 7.0, 1.57 * 2.0),
    ],
)
def test_a_learned_rate_probes_upwards(pause: float | None, seconds: float, factor: float) -> None:
    """Slowly from below it, faster from above it after a pause, from the pause's end on. Without 429s it doubles."""
    family = learned(pause)
    family.now += (pause or 0.0) + seconds
    assert family.rate == pytest.approx(30.0 * factor)


@each_row("gap", [0.25, 1.0, 1.5, 3.0, 60.0])
def test_a_rate_does_not_grow_while_idle(gap: float) -> None:
    """From a second without a request on, the rate grows no more: nothing shows that the server bears it."""
    family = learned()
    family.now += gap
    family.exchange()
    assert family.rate == pytest.approx(30.0 * (0.97 + 0.02 * min(gap, 1.0)))


@pytest.mark.parametrize(("seconds", "doublings"), [(5.0, 0.0), (6.0, 1.0)])
def test_a_429_does_not_age_while_idle(seconds: float, doublings: float) -> None:
    """A stray 429 stays as recent as it was before the family was idle: the limit was not raised meanwhile."""
    family = learned()
    family.play(*[(1.0, 1, 0)] * 4, (1.0, 0, 1), (4.0, 1, 0))  # three of the four seconds are idle
    family.now += seconds
    assert family.rate == pytest.approx(30.0 * (0.97 + 0.02 * (6.0 + seconds)) * 2.0**doublings)


def test_429s_of_a_cuts_own_moment_do_not_count() -> None:
    """A request that was sent before the rate fell, or just then, does not lower it again."""
    family = learned()
    for _ in range(5):
        family.respond(status=429, sent_at=100.0)
    assert family.rate == pytest.approx(30.0 * 0.97)


def test_a_cut_begins_a_new_count() -> None:
    """After it, one 429 is a stray one again. The second one halves the rate: nothing went well in between."""
    family = learned()
    family.play((1.0, 0, 1))
    assert family.rate == pytest.approx(30.0 * 0.99)
    family.play((0.5, 0, 1))
    assert family.rate == pytest.approx(0.97 * 15.0)


@pytest.mark.parametrize(("span", "permitted"), [(0.5, 30.0 * 0.98 * 10 / 12), (1.0, 25.0)])
def test_a_second_cut_starts_at_what_was_permitted(span: float, permitted: float) -> None:
    """At least a second after the first one, the good responses in between are the rate. Before, their share is."""
    family = learned()
    good = 10 if span < 1.0 else 25
    for number in range(1, good + 3):
        family.now = 100.0 + span * number / (good + 2)
        assert family.acquire() == 1
    sent_at = family.now - 0.1
    for number in range(good + 2):
        family.respond(status=200 if number < good else 429, sent_at=sent_at)
    assert family.rate == pytest.approx(0.97 * permitted)


@pytest.mark.parametrize(
    ("size", "span", "good", "permitted"),
    [(10, 0.9, 6, 10 * 7 / 9), (10, 1.0, 6, 7.0), (1, 60.0, 40, 41 / 60), (1, 61.0, 40, 41 / 43)],
)
def test_a_rate_below_an_announced_one(size: int, span: float, good: int, permitted: float) -> None:
    """A minute after the limit was named, what came in all that time no longer shows what is permitted now."""
    family = Family()
    family.exchange(second(size))
    for number in range(1, good + 3):
        family.now = 100.0 + span * number / (good + 2)
        assert family.acquire() == 1
    for number in range(good + 2):
        family.respond(second(size), status=200 if number < good else 429, sent_at=family.now - 0.1)
    assert family.rate == pytest.approx(0.97 * permitted)


@pytest.mark.parametrize("earlier", [0, 100, 5000])
def test_responses_before_a_limit_are_not_of_it(earlier: int) -> None:
    """100/s is named, and half of the requests are refused: the rate falls to half, as without earlier ones."""
    family = Family()
    for _ in range(earlier):
        family.exchange()
        family.now += 0.01
    family.exchange(second(100))
    for _ in range(150):
        family.now += 0.01
        assert family.acquire() == 1
    for number in range(150):
        family.respond(second(100), status=200 if number < 75 else 429, sent_at=family.now - 0.1)
    assert family.rate == pytest.approx(0.97 * 76 / 1.5)


# --- any story, and the simulation -----------------------------------------------------------------------------------


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
