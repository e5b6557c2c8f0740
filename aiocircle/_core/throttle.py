"""The rate-limit gates that all requests of a client, or of several, pass through."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import attrs
from multidict import istr

__all__ = ["Held", "RateLimit", "Throttle"]

_WINDOWS: Final = {"Second": 1.0, "Minute": 60.0, "Hour": 3600.0, "Day": 86400.0}  # seconds
_LEADING_NUMBER = re.compile(r"\s*([0-9]{1,15})")
_POLICY_WINDOW = re.compile(r"w\s*=\s*([0-9]{1,9})")

# Requests that may be under way while nothing is known of a family's limits, and how many more each good answer
# allows; from _OPEN on there is no bound. A burst must not find out about a limit with all its requests at once.
_FIRST: Final = 10
_GROWTH: Final = 1
_OPEN: Final = 256

# Seconds by which a late timer may be made up for.
_SLACK: Final = 0.05

# A learnt rate is tried out upwards: t seconds after a refusal it stands at (start + slope * t) of what was observed.
# A pause that the server asked for has refilled its bucket, so there is room to start above the mark; without one
# the bucket is empty, and the start is below. A refusal is due within some seconds: when none comes the limit was
# raised, and from then on the rate doubles every second.
_AFTER_PAUSE: Final = (1.15, 0.06)
_WITHOUT_PAUSE: Final = (0.96, 0.02)
_DUE: Final = 4.0  # seconds
_CUT: Final = 0.7  # of the rate, when too little was observed to know better
_SLOWEST: Final = 0.1  # requests per second: a learnt rate never falls below

# How long what was counted between two refusals says what the server allows: seconds.
_OBSERVED: Final = 60.0

# A refusal that a promised limit does not explain takes a part of it away, which comes back at 5 % a second.
_SHARE_CUT: Final = 0.9
_SHARE_LEAST: Final = 0.5
_SHARE_GROWTH: Final = 0.05


class Held(Exception):
    """A request that was not let through, because it would have had to wait too long. Internal."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@attrs.frozen(kw_only=True)
class RateLimit:
    """What the API last said about the limit of one family of paths.

    limit: requests per window. window: seconds; None where the header names none. remaining: requests left in
    the window. reset: seconds until the window ends, counted from the answer. rate: requests per second that
    the client now keeps to; None while it does not hold back.
    """

    limit: int | None = None
    window: float | None = None
    remaining: int | None = None
    reset: float | None = None
    rate: float | None = None


class Throttle:
    """A budget of requests, shared by all clients that are given it.

    Keeps one gate for each API family (the first segment of the path below the API's version). Where answers
    give a limit and its window, requests are spaced at that rate; elsewhere the rate is learnt from what is
    answered. After a 429 nobody passes until the server's time is over. Those who wait are let through in order.
    Belongs to the event loop that first uses it.
    """

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def gate(self, family: str) -> Gate:
        """The gate of one family."""
        gate = self._gates.get(family)
        if gate is None:
            gate = self._gates[family] = Gate()
        return gate

    @property
    def rate_limits(self) -> Mapping[str, RateLimit]:
        """By family: what the API last said, and the rate that is kept."""
        return {family: gate.rate_limit for family, gate in self._gates.items()}


class Gate:
    """One family's gate: when the next request may pass, and who waits for it."""

    def __init__(self) -> None:
        self.limit: RateLimit | None = None
        self._promised: float | None = None  # requests per second, from headers
        self._promised_at = 0.0
        self._burst = False  # whether the window's remainder allows to ignore the pace for now
        self._share = 1.0
        self._share_at = 0.0
        self._learnt: float | None = None  # requests per second
        self._learnt_at = 0.0
        self._paused = False  # whether the last refusal named a time to wait
        self._answered = 0  # since the last refusal
        self._refused_at: float | None = None
        self._recent: deque[float] = deque(maxlen=512)  # times of good answers
        self._next_at = 0.0
        self._closed_until = 0.0
        self._in_flight = 0
        self._allowed: int | None = _FIRST
        self._waiters: deque[_Waiter] = deque()
        self._bounds: dict[asyncio.Timeout, float] = {}  # of those who may not wait out a long closing: seconds
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def rate_limit(self) -> RateLimit:
        """What the API last said, with the rate that is kept now."""
        # It may be asked for when the loop is over.
        return attrs.evolve(self.limit or RateLimit(), rate=self._rate(self._loop.time()) if self._loop else None)

    @property
    def closed(self) -> bool:
        """Whether nobody may pass, because a server said so."""
        return self._closed_until > 0.0 and asyncio.get_running_loop().time() < self._closed_until

    def enter_at_once(self) -> bool:
        """Enter, if there is nothing to wait for; whether it was so. Each success is followed by one leave()."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        if self._waiters or not self._may_pass(now):
            return False
        self._take(now)
        return True

    async def enter(self, budget: float) -> float:
        """Wait for one's turn; the seconds waited. Held where that would take longer than `budget` seconds.

        Each enter() that returns is followed by one leave().
        """
        if self.enter_at_once():
            return 0.0
        loop = asyncio.get_running_loop()
        now = loop.time()
        expected = self._expected(now)
        if expected > budget:
            raise Held(expected)
        waiter = _Waiter(loop.create_future(), budget)
        self._waiters.append(waiter)
        if self._allowed is None or now < self._opens_at():
            self._bound_waiters(now)
        self._pump()
        try:
            await waiter.turn
        except BaseException:
            # The turn may have come in the same breath as the cancellation: it is passed on.
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.leave()
            else:
                self._drop(waiter)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()
        return 0.0 if waiter.since is None else loop.time() - waiter.since

    @contextlib.asynccontextmanager
    async def bounded(self, budget: float) -> AsyncGenerator[None, None]:
        """For a wait on the way to the gate: Held as soon as the gate is closed for more than `budget` seconds."""
        loop = asyncio.get_running_loop()
        if (seconds := self._closed_until - loop.time()) > budget:
            raise Held(seconds)
        try:
            async with asyncio.timeout(None) as bound:
                self._bounds[bound] = budget
                try:
                    yield
                finally:
                    self._bounds.pop(bound, None)
        except TimeoutError:
            raise Held(self._closed_until - loop.time()) from None

    def leave(self) -> None:
        """One request that had entered is over, whatever became of it."""
        self._in_flight -= 1
        if self._waiters:
            self._pump()

    def observe(self, status: int, headers: Mapping[str, str], sent_at: float, asked: float | None) -> None:
        """Learn from one answer. `asked`: the seconds of its Retry-After; `sent_at`: when its request left."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._read(headers, now)
        if status == 429:
            self._refused(now, sent_at, asked)
        elif status < 500:
            self._answered += 1
            self._recent.append(now)
            if self._allowed is not None:
                self._allowed += _GROWTH
                if self._allowed >= _OPEN:
                    self._allowed = None
        if self._waiters or self._timer is not None:
            self._pump()
            if self._allowed is None:
                self._bound_waiters(now)

    def _read(self, headers: Mapping[str, str], now: float) -> None:
        limit = _strictest(headers)
        if limit is None:
            return
        self.limit = limit
        if limit.limit is None or limit.window is None or limit.limit <= 0:
            return
        promised = limit.limit / limit.window
        if promised != self._promised:
            self._promised, self._promised_at, self._share = promised, now, 1.0
        self._allowed = None
        # A window of a minute or more is not there to be spread evenly by someone with three requests to make:
        # the pace is kept once half of it is used.
        self._burst = limit.window > 1.0 and limit.remaining is not None and 2 * limit.remaining > limit.limit
        if limit.remaining == 0:
            self._next_at = max(self._next_at, now + 1.0 / promised)

    def _refused(self, now: float, sent_at: float, asked: float | None) -> None:
        if asked is not None:
            self._close(now + asked)
        if self._refused_at is not None and sent_at <= self._refused_at:
            return  # It was under way when the rate was cut already: no news.
        if self._promised is not None and sent_at <= self._promised_at:
            return  # It was sent before the promise was known.
        rate = self._rate(now)
        if self._promised is not None:
            self._share = max(_SHARE_LEAST, self._share_now(now) * _SHARE_CUT)
            self._share_at = now
            self._burst = False
        else:
            self._learnt = max(_SLOWEST, self._estimate(now, rate, _CUT if asked else 0.0))
            self._learnt_at = now if asked is None else now + asked
            self._paused = bool(asked)
            self._allowed = None
        self._refused_at = now
        self._answered = 0
        if asked is None:
            self._close(now + 1.0 / (self._rate(now) or _SLOWEST))

    def _estimate(self, now: float, rate: float | None, kept: float) -> float:
        """The rate to go on with after a refusal, where no header promises one."""
        if self._refused_at is not None and 0.5 <= (span := now - self._refused_at) <= _OBSERVED and self._answered:
            # A bucket was empty at both refusals, so what was let through in between is what flows in.
            # A refusal may be a stray one, though: one alone does not take away more than a part.
            return max(min(self._answered / span, rate or float("inf")), kept * (rate or 0.0))
        lately = sum(1 for at in self._recent if now - at <= 1.0)
        return _CUT * min(max(lately, 1), rate or float("inf"))

    def _close(self, until: float) -> None:
        if until <= self._closed_until:
            return
        self._closed_until = until
        now = asyncio.get_running_loop().time()
        self._bound_waiters(now)
        for waiter in [each for each in self._waiters if each.deadline < until]:
            self._waiters.remove(waiter)
            if not waiter.turn.done():
                waiter.turn.set_exception(Held(until - now))
        for bound in [bound for bound, budget in self._bounds.items() if until - now > budget]:
            del self._bounds[bound]
            bound.reschedule(now)

    def _bound_waiters(self, now: float) -> None:
        """From now on it is a limit that holds back those who wait, no longer the caution of the start."""
        for waiter in self._waiters:
            if waiter.since is None:
                waiter.since = now
                waiter.timer = asyncio.get_running_loop().call_at(waiter.deadline, self._give_up, waiter)

    def _share_now(self, now: float) -> float:
        return min(1.0, self._share * (1.0 + _SHARE_GROWTH * max(0.0, now - self._share_at)))

    def _rate(self, now: float) -> float | None:
        """Requests per second to keep to; None for no bound."""
        if self._promised is not None:
            return None if self._burst else self._promised * self._share_now(now)
        if self._learnt is None:
            return None
        since = max(0.0, now - self._learnt_at)
        start, slope = _AFTER_PAUSE if self._paused else _WITHOUT_PAUSE
        # The exponent is bounded: 2**1024 overflows, and a thousand times the rate is no bound any more.
        return self._learnt * (start + slope * since) * math.exp2(min(10.0, max(0.0, since - _DUE)))

    def _opens_at(self) -> float:
        return max(self._next_at, self._closed_until)

    def _may_pass(self, now: float) -> bool:
        return (
            now >= self._next_at
            and now >= self._closed_until
            and (self._allowed is None or self._in_flight < self._allowed)
        )

    def _take(self, now: float) -> None:
        self._in_flight += 1
        rate = self._rate(now)
        if rate is not None:
            self._next_at = max(self._next_at, now - _SLACK, self._closed_until) + 1.0 / rate

    def _expected(self, now: float) -> float:
        rate = self._rate(now)
        queue = len(self._waiters) / rate if rate is not None else 0.0
        return max(0.0, self._opens_at() - now) + queue

    def _pump(self) -> None:
        """Let pass whoever may, in order, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiters:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiters and self._may_pass(now):
            waiter = self._waiters.popleft()
            if not waiter.turn.done():
                self._take(now)
                waiter.turn.set_result(None)
        if self._waiters and (opens_at := self._opens_at()) > now:
            self._timer = loop.call_at(opens_at, self._pump)

    def _give_up(self, waiter: _Waiter) -> None:
        # The gate may open in the very moment that is the waiter's last.
        self._pump()
        if not waiter.turn.done():
            waiter.turn.set_exception(Held(max(0.0, self._opens_at() - asyncio.get_running_loop().time())))

    def _drop(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        self._pump()


@attrs.define(eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    budget: float  # seconds
    since: float | None = None  # when a limit began to hold it back, rather than the caution of the start
    timer: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        return float("inf") if self.since is None else self.since + self.budget


class _Names:
    """The names of one kind of rate-limit headers. An istr is looked up without a copy in lower case."""

    def __init__(self, prefix: str) -> None:
        self.limit = istr(f"{prefix}-Limit")
        self.remaining = istr(f"{prefix}-Remaining")
        self.reset = istr(f"{prefix}-Reset")
        self.windows = [
            (istr(f"{prefix}-Limit-{name}"), istr(f"{prefix}-Remaining-{name}"), window)
            for name, window in _WINDOWS.items()
        ]
        self.limits = [self.limit, self.remaining, *[limit for limit, _, _ in self.windows]]


_NAMES: Final = (_Names("X-RateLimit"), _Names("RateLimit"))


def _strictest(headers: Mapping[str, str]) -> RateLimit | None:
    """What the headers say; of several limits, the one that allows the least."""
    found: list[RateLimit] = []
    for names in _NAMES:
        for name in names.limits:
            if name in headers:
                found += _limits(headers, names)
                break
    return min(found, key=_allows) if found else None


def _limits(headers: Mapping[str, str], names: _Names) -> list[RateLimit]:
    found: list[RateLimit] = []
    plain = _number(headers.get(names.limit))
    remaining = _number(headers.get(names.remaining))
    reset = _number(headers.get(names.reset))
    for limit_name, remaining_name, window in names.windows:
        limit = _number(headers.get(limit_name))
        if limit is not None:
            own = _number(headers.get(remaining_name))
            found.append(_rate_limit(limit, window, remaining if own is None else own, reset))
    if not found and (plain is not None or remaining is not None):
        window_match = _POLICY_WINDOW.search(headers.get(names.limit, ""))
        seconds = float(window_match[1]) if window_match else 0.0
        found.append(_rate_limit(plain, seconds or None, remaining, reset))
    return found


def _rate_limit(limit: int | None, window: float | None, remaining: int | None, reset: int | None) -> RateLimit:
    return RateLimit(limit=limit, window=window, remaining=remaining, reset=None if reset is None else float(reset))


def _allows(limit: RateLimit) -> float:
    if limit.limit is None or limit.window is None:
        return float("inf")
    return limit.limit / limit.window


def _number(value: str | None) -> int | None:
    match = _LEADING_NUMBER.match(value) if value else None
    return int(match[1]) if match else None
