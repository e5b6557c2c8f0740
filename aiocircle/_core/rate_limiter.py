"""When the next request of a family may be sent: the protocol, and the limiter of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol, runtime_checkable

from aiocircle._core.rate_estimator import RateEstimator
from aiocircle._core.rate_headers import RateLimit, parse_rate_limits, retry_after

__all__ = ["LocalLimiter", "Observed", "RateLimiter", "observe"]

MAX_FAMILIES: Final = 128  # that are kept without a request in flight


class Observed(NamedTuple):
    """The end of one request, or of a permission that was not used.

    status: None without a response. headers: of the response. sent_at: seconds on the running loop's clock.
    in_flight: requests of the same account and family that this process still has in flight.
    """

    status: int | None
    headers: Mapping[str, str]
    sent_at: float
    in_flight: int


# Each request pays for it, and calling the class takes twice as long.
observe: Callable[[tuple[int | None, Mapping[str, str], float, int]], Observed] = partial(tuple.__new__, Observed)  # pyright: ignore[reportUnknownMemberType]


@runtime_checkable
class RateLimiter(Protocol):
    """The decision when the next request of an account and a family may be sent.

    account: a hash of host and token, which may be stored. family: the API version and the first path segment, such
    as "v2/insights". A Throttle acquires one permission at a time for each account and family, and reports the end of
    each. Times are seconds.
    """

    def acquire_nowait(self, account: str, family: str) -> bool:
        """Return True if the next request may be sent now. It is then counted as sent."""
        ...

    async def acquire(self, account: str, family: str) -> None:
        """Return when the next request may be sent. A cancelled call has counted nothing."""
        ...

    def update(self, account: str, family: str, response: Observed) -> None:
        """Learn from the end of a request, or of a permission that was not used (status None)."""
        ...

    def closed_for(self, account: str, family: str) -> float:
        """Return the seconds in which no request may be sent, as far as known; 0.0 if the family is open."""
        ...

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        """Return the limits of the account, by family."""
        ...

    async def close(self) -> None:
        """Release connections. A later acquire() may open them again."""
        ...


class _Family:
    """An estimator, and the calls of acquire() that wait for it, with the time when each looks again."""

    __slots__ = ("estimator", "loop", "waiting")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.estimator = RateEstimator()
        self.waiting: dict[asyncio.Future[None], float] = {}

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.estimator.in_flight


class LocalLimiter:
    """A RateLimiter for one process and one event loop. Keeps an estimator for each account and family."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, str], _Family] = {}  # by account and family

    def acquire_nowait(self, account: str, family: str) -> bool:
        """Return True if the next request may be sent now."""
        found = self._family(account, family)
        return found.estimator.try_acquire(found.loop.time())

    async def acquire(self, account: str, family: str) -> None:
        """Wait until the next request may be sent."""
        loop = asyncio.get_running_loop()
        found = self._family(account, family)
        while not found.estimator.try_acquire(now := loop.time()):
            woken = loop.create_future()
            until = found.waiting[woken] = now + found.estimator.delay(now)
            timer = loop.call_at(until, _wake, woken)
            try:
                await woken
            finally:
                timer.cancel()
                del found.waiting[woken]

    def update(self, account: str, family: str, response: Observed) -> None:
        """Learn from the end of a request."""
        status, headers, sent_at, _ = response
        found = self._family(account, family)
        pause = retry_after(headers, time.time()) if status == 429 else None
        now = found.loop.time()
        found.estimator.update(status, parse_rate_limits(headers), pause, sent_at, now)
        if found.waiting:
            at = now + found.estimator.delay(now)
            for woken, until in found.waiting.items():
                if at < until:
                    _wake(woken)

    def closed_for(self, account: str, family: str) -> float:
        """Return the seconds in which no request may be sent."""
        found = self._families.get((account, family))
        return 0.0 if found is None else found.estimator.closed_for(found.loop.time())

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        """Return the limits of the account, by family."""
        return {
            family: found.estimator.rate_limit(found.loop.time())
            for (owner, family), found in [*self._families.items()]
            if owner == account
        }

    async def close(self) -> None:
        """Do nothing: this limiter keeps no connection."""

    def _family(self, account: str, family: str) -> _Family:
        found = self._families.get((account, family))
        if found is None:
            if len(self._families) >= MAX_FAMILIES:
                self._evict()
            found = self._families[account, family] = _Family()
        return found

    def _evict(self) -> None:
        """Forget the idle family that was used least recently; one that is closed only if all are."""
        now = asyncio.get_running_loop().time()
        idle = [
            (found.estimator.closed_for(now) > 0.0, found.estimator.updated_at, key)
            for key, found in self._families.items()
            if found.is_idle
        ]
        if idle:
            del self._families[min(idle)[2]]


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
