"""Seconds until the next request of a family: arithmetic without a loop, a clock or I/O."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from aiocircle._core.rate_headers import RateLimit

__all__ = ["RateEstimator"]

# The numbers below were chosen with the simulation: python -m benchmarks.admission

_MAX_PACED_WINDOW: Final = 10.0  # seconds: a window up to this length is paced, a longer one is counted down
_CATCH_UP: Final = 0.05  # seconds by which a late timer may be made up for
_MAX_MISSED: Final = 10  # responses that do not repeat a limit, after which it is forgotten
_MAX_UNREPEATED: Final = 1.0  # seconds in which no response repeats a limit, after which it is forgotten

# Slow start: requests in flight while no rate is known. Each good response adds one; at the maximum the bound ends.
# If requests hang, one more is permitted after each stall: they must not delay the others.
_INITIAL_WINDOW: Final = 10
_MAX_WINDOW: Final = 256
_STALL: Final = 0.2  # seconds

# 429s up to this share of the responses are stray ones, of one bad node perhaps. They do not change the rate.
_MAX_STRAY_SHARE: Final = 0.025
_MIN_OBSERVED: Final = 64  # responses: the share is that of the last second, or of the last 64 if those are more
_MAX_CUT: Final = 0.5  # one cut leaves at least this part of the rate
_MIN_RATE: Final = 0.1  # requests per second

# A learned rate probes upwards: t seconds after a cut it is (start + growth * t) times the observed rate. A pause that
# the server required has refilled its bucket, so the start is above the observed rate. Otherwise it is below.
_AFTER_PAUSE: Final = (1.15, 0.06)
_WITHOUT_PAUSE: Final = (0.97, 0.02)
_OVERDUE: Final = 6.0  # seconds without a 429, after which the limit was raised: the rate then doubles every second
_MAX_DOUBLINGS: Final = 10.0  # a thousand times the rate no longer bounds anything, and 2**1024 would overflow
_MIN_IDLE: Final = 1.0  # seconds without a request from which on the time does not count as probing
_OBSERVABLE: Final = (1.0, 60.0)  # seconds between two cuts from which the rate can be observed


class RateEstimator:
    """The limits of one family: those that headers announce, and the rate that is learned from 429s.

    Each try_acquire() that returns True is followed by one update(). All times are in seconds on one clock.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.updated_at = 0.0
        self._limits: dict[float, _AnnouncedLimit] = {}  # by window
        self._counted: list[_AnnouncedLimit] = []  # those of them that are counted down
        self._announced_interval = 0.0  # between requests, by those that are paced; 0.0: none is
        self._reported: Sequence[RateLimit] = ()
        self._window: int | None = _INITIAL_WINDOW
        self._next_at = 0.0
        self._acquired_at = 0.0
        self._blocked_until = 0.0  # by a Retry-After
        self._learned: float | None = None  # requests per second
        self._learned_at = 0.0
        self._probing = _WITHOUT_PAUSE
        self._rate_limited_at = 0.0
        self._cut_at: float | None = None
        self._successes = self._rejections = 0  # since the last cut
        self._counted_successes = 0  # those of before the last 429
        self._recent_responses = self._recent_rejections = 0.0  # older ones count less
        self._recent: deque[float] = deque(maxlen=512)  # times of good responses

    def try_acquire(self, now: float) -> bool:
        """Return True if a request may be sent now, and count it as sent."""
        if now < self._next_at or now < self._blocked_until:
            return False
        if self._window is not None and self.in_flight >= self._window and now < self._slow_start_until():
            return False
        if self._counted and now < self._counted_until():
            return False
        self.in_flight += 1
        if self._announced_interval or self._learned is not None:
            self._pace(now)
        self._acquired_at = now
        for limit in self._counted:
            limit.count(now)
        return True

    def delay(self, now: float) -> float:
        """Return the seconds until a request may be sent. A response may permit it earlier."""
        at = max(self._next_at, self._blocked_until)
        if self._window is not None and self.in_flight >= self._window:
            at = max(at, self._slow_start_until())
        if self._counted:
            at = max(at, self._counted_until())
        return max(0.0, at - now)

    def closed_for(self, now: float) -> float:
        """Return the seconds in which the server permits no request, as far as known."""
        until = self._blocked_until
        for limit in self._counted:
            if limit.remaining == 0:
                until = max(until, limit.opens_at(self.in_flight))
        return max(0.0, until - now)

    def update(
        self, status: int | None, limits: Sequence[RateLimit], retry_after: float | None, sent_at: float, now: float
    ) -> None:
        """Learn from the end of one request. status: None without a response, or if nothing was sent.

        limits: all that the response names. retry_after: the seconds of a 429's `Retry-After`.
        """
        self.in_flight -= 1
        self.updated_at = now
        if status is None:
            for limit in self._counted:
                limit.sent -= 1
            return
        if limits or self._limits:
            self._read(limits, now, is_regular=status < 500 and status != 429)
        if status == 429:
            self._on_rate_limited(retry_after, sent_at, now)
        elif status < 500:
            self._on_success(sent_at, now)

    def rate_limit(self, now: float) -> RateLimit:
        """Return the strictest limit that was reported, with the rate that is kept now."""
        interval = self._interval(now)
        reported = max(self._reported, key=_strictness, default=RateLimit())
        return RateLimit(
            limit=reported.limit,
            window=reported.window,
            remaining=reported.remaining,
            reset=reported.reset,
            rate=1.0 / interval if interval else None,
        )

    # --- when ----------------------------------------------------------------------------------------------

    def _pace(self, now: float) -> None:
        if (idle := now - self._acquired_at - _MIN_IDLE) > 0.0:
            self._learned_at += idle
            self._rate_limited_at += idle
        self._next_at = max(self._next_at, now - _CATCH_UP, self._blocked_until) + self._interval(now)

    def _interval(self, now: float) -> float:
        """Return the seconds between two requests; 0.0 without a bound."""
        if self._learned is None:
            return self._announced_interval
        return max(self._announced_interval, 1.0 / self._learned_rate(now))

    def _slow_start_until(self) -> float:
        """Return when slow start permits another request, if as many as it permits are in flight."""
        if self._announced_interval or self._learned is not None:
            return 0.0
        return self._acquired_at + _STALL

    def _counted_until(self) -> float:
        return max([limit.opens_at(self.in_flight) for limit in self._counted])

    # --- announced limits ----------------------------------------------------------------------------------

    def _read(self, limits: Sequence[RateLimit], now: float, *, is_regular: bool) -> None:
        if limits:
            self._reported = limits
        named: set[float] = set()
        # Two kinds of headers may name the same window: the stricter one comes last, and is kept.
        for limit in sorted(limits, key=_strictness) if len(limits) > 1 else limits:
            if limit.limit and limit.window:
                named.add(limit.window)
                self._announce(limit, limit.limit, limit.window, now)
        if len(named) < len(self._limits):
            for window in self._limits.keys() - named:
                if self._limits[window].is_forgotten(now, is_regular=is_regular):
                    del self._limits[window]
        paced = [limit.interval for limit in self._limits.values() if limit.is_paced]
        self._announced_interval = max(paced, default=0.0)
        self._counted = [limit for limit in self._limits.values() if not limit.is_paced]

    def _announce(self, reported: RateLimit, size: int, window: float, now: float) -> None:
        known = self._limits.get(window)
        if known is None or known.size != size:
            known = self._limits[window] = _AnnouncedLimit(size, window)
            if known.is_paced:
                # The learned rate, the responses so far, and the requests in flight now are not of this limit.
                self._learned, self._cut_at = None, now
                self._counted_successes -= self._successes
                self._successes = self._rejections = 0
        known.refresh(reported, self.in_flight, now)
        if known.is_paced and reported.remaining == 0:
            self._next_at = max(self._next_at, now + known.interval)

    # --- the learned rate ----------------------------------------------------------------------------------

    def _on_success(self, sent_at: float, now: float) -> None:
        self._successes += 1
        self._recent.append(now)
        # A response to a request of before the pause does not show that the family is open again.
        if self._window is not None and sent_at >= self._blocked_until:
            self._window = self._window + 1 if self._window < _MAX_WINDOW else None

    def _count_rejection(self, opened_at: float, now: float) -> None:
        """Count a 429 and the good responses since the last one. Each makes the older ones count less."""
        responses = self._successes - self._counted_successes + 1
        # Pauses, and the time before the first response, do not count as time with responses.
        since = max(self._rate_limited_at, opened_at, self._recent[0] if self._recent else 0.0)
        fading = min(max(0.0, now - since) / responses, 1 / _MIN_OBSERVED)
        kept = (1.0 - fading) ** responses
        added = (1.0 - kept) / fading if fading > 0.0 else float(responses)
        self._recent_responses = self._recent_responses * kept + added
        self._recent_rejections = self._recent_rejections * kept + 1.0
        self._rejections += 1
        self._counted_successes, self._rate_limited_at = self._successes, now

    def _on_rate_limited(self, retry_after: float | None, sent_at: float, now: float) -> None:
        opened_at = self._blocked_until
        is_explained = self._counted and self._counted_until() > now
        if retry_after:
            self._blocked_until = max(self._blocked_until, now + retry_after)
            self._window = 1
        if is_explained or (self._cut_at is not None and sent_at <= self._cut_at):
            return
        self._count_rejection(opened_at, now)
        if self._recent_rejections > _MAX_STRAY_SHARE * max(_MIN_OBSERVED, self._recent_responses):
            self._cut(self._observed_rate(now), retry_after or 0.0, now)
        if retry_after is None and (interval := self._interval(now)):
            self._next_at = max(self._next_at, now + interval)

    def _cut(self, rate: float, pause: float, now: float) -> None:
        self._learned, self._learned_at = max(_MIN_RATE, rate), now + pause
        self._probing = _AFTER_PAUSE if pause else _WITHOUT_PAUSE
        self._recent_responses = self._recent_rejections = 0.0
        self._successes, self._counted_successes, self._rejections, self._cut_at = 0, 0, 0, now

    def _observed_rate(self, now: float) -> float:
        """Return the rate that the server permits, as observed since the last cut."""
        interval = self._interval(now)
        rate = 1.0 / interval if interval else self._recent_rate(now)
        least, most = _OBSERVABLE
        if self._cut_at is not None and least <= (span := now - self._cut_at) <= most:
            # The server's bucket was empty at both cuts, so the successes in between are what flows in.
            permitted = self._successes / span
        else:
            permitted = rate * self._successes / (self._successes + self._rejections)
        return min(rate, max(permitted, _MAX_CUT * rate))

    def _recent_rate(self, now: float) -> float:
        """Return the requests per second of the last second, or of the shorter time that is remembered."""
        is_full = len(self._recent) == self._recent.maxlen
        span = min(1.0, now - self._recent[0]) if is_full else 1.0
        sent = sum(now - at <= 1.0 for at in self._recent) + self._rejections
        return sent / span if span else math.inf

    def _learned_rate(self, now: float) -> float:
        start, growth = self._probing
        since = max(0.0, now - self._learned_at)
        overdue = now - max(self._rate_limited_at, self._learned_at) - _OVERDUE
        rate = (self._learned or _MIN_RATE) * (start + growth * since)
        return rate * math.exp2(min(_MAX_DOUBLINGS, overdue)) if overdue > 0.0 else rate


class _AnnouncedLimit:
    """A limit that headers name. sent: the requests that `remaining` does not contain yet."""

    __slots__ = ("_has_reset", "_missed", "_opens_at", "_seen_at", "interval", "is_paced", "remaining", "sent", "size")

    def __init__(self, size: int, window: float) -> None:
        self.size = size
        self.interval = window / size
        self.is_paced = window <= _MAX_PACED_WINDOW
        self.remaining: int | None = None
        self.sent = 0
        self._has_reset = False
        self._opens_at = self._seen_at = 0.0
        self._missed = 0  # regular responses since then that did not repeat it

    def refresh(self, reported: RateLimit, in_flight: int, now: float) -> None:
        """Take over the numbers of a response. Requests in flight may not be counted in them yet."""
        self.remaining, self.sent = reported.remaining, in_flight
        self._seen_at, self._missed = now, 0
        self._has_reset = reported.reset is not None
        self._opens_at = now + (self.interval if reported.reset is None else reported.reset)

    def is_forgotten(self, now: float, *, is_regular: bool) -> bool:
        """Return True if enough responses have not repeated the limit. This one did not."""
        self._missed += is_regular
        return self._missed >= _MAX_MISSED or (self._missed > 0 and now - self._seen_at >= _MAX_UNREPEATED)

    def count(self, now: float) -> None:
        """Count one request as sent."""
        if self.remaining is not None and self.remaining <= self.sent and now >= self._opens_at:
            if self._has_reset:
                self.remaining = self.sent + self.size
                self._opens_at = now + self.interval * self.size
            else:
                # The time of the renewal is not known: one request in each interval finds out.
                self._opens_at = now + self.interval
        self.sent += 1

    def opens_at(self, in_flight: int) -> float:
        """Return the time from which a request is permitted, as far as known; 0.0: now."""
        if self.remaining is None or self.remaining > self.sent:
            return 0.0
        if self.remaining and not in_flight:
            return 0.0  # All have ended, and none has shown the end of the limit.
        return min(self._opens_at, self._seen_at + _MAX_UNREPEATED) if self._missed else self._opens_at


def _strictness(limit: RateLimit) -> float:
    return (limit.window or 0.0) / limit.limit if limit.limit else 0.0
