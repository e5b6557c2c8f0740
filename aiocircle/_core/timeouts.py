"""The timeout of one attempt, and the scheduler that cancels work which exceeds its own."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import attrs

from aiocircle._redact import type_name
from aiocircle.errors import ConfigurationError

__all__ = ["ScheduledTimeout", "Timeout", "TimeoutScheduler", "client_timeout", "stream_timeout"]

_CONNECT_SHARE: Final = 0.9  # of the time for one attempt, that may be spent on its connection


@attrs.frozen(eq=False, repr=False)
class Timeout:
    """The timeout of one attempt. total: seconds, None for no limit. without_total: the other limits, for aiohttp."""

    client_timeout: aiohttp.ClientTimeout
    total: float | None
    without_total: aiohttp.ClientTimeout


def client_timeout(timeout: float | aiohttp.ClientTimeout | None) -> Timeout:
    """Return the timeout of one attempt, from seconds; None means no timeout."""
    if isinstance(timeout, aiohttp.ClientTimeout):
        limits = timeout
    elif timeout is None:
        limits = aiohttp.ClientTimeout(total=None)
    elif isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise ConfigurationError(
            f"timeout must be a number of seconds above zero or an aiohttp.ClientTimeout, got {type_name(timeout)}"
        )
    else:
        # A total timeout does not reveal whether the request was sent. A connect timeout does, so that a POST may be
        # sent again.
        limits = aiohttp.ClientTimeout(total=timeout, connect=_CONNECT_SHARE * timeout)
    without_total = aiohttp.ClientTimeout(None, limits.connect, limits.sock_read, limits.sock_connect)
    return Timeout(limits, limits.total, without_total)


def stream_timeout(timeout: Timeout) -> aiohttp.ClientTimeout:
    """Return the timeouts of a body without a bound on its size: of the connection, and of each read."""
    limits = timeout.client_timeout
    return aiohttp.ClientTimeout(None, limits.connect, limits.sock_read or limits.total, limits.sock_connect)


class ScheduledTimeout:
    """The time at which a task's work must be finished. expired: the task was cancelled because it was not."""

    __slots__ = ("at", "cancelling", "expired", "task")

    def __init__(self, task: asyncio.Task[Any], at: float) -> None:
        self.task = task
        self.at = at  # loop time
        self.cancelling = task.cancelling()  # earlier requests to cancel the task
        self.expired = False

    def is_cause_of(self, _: asyncio.CancelledError) -> bool:
        """Return True if this timeout alone caused the cancellation, and no other request to cancel is pending."""
        return self.uncancel() and self.task.cancelling() <= self.cancelling

    def uncancel(self) -> bool:
        """Take the cancellation back if this timeout requested one. Return True if it did."""
        expired, self.expired = self.expired, False
        if expired:
            self.task.uncancel()
        return expired


class TimeoutScheduler:
    """The timeouts of all requests in flight, watched by one timer.

    asyncio.timeout and aiohttp's own set and cancel a timer for each request. That takes a twelfth of the time that a
    small request costs.
    """

    def __init__(self) -> None:
        self._pending: set[ScheduledTimeout] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0  # loop time

    def schedule(self, seconds: float) -> ScheduledTimeout:
        """Cancel the current task in `seconds`, unless cancel() is called first."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        timeout = ScheduledTimeout(task, loop.time() + seconds)
        self._pending.add(timeout)
        if self._timer is None or timeout.at < self._timer_at:
            self._set_timer(loop, timeout.at)
        return timeout

    def cancel(self, timeout: ScheduledTimeout) -> None:
        """End a timeout: the work is finished. The timer stays, and serves the next timeout."""
        self._pending.discard(timeout)
        if timeout.expired:
            timeout.uncancel()  # The work has ended in something else than the cancellation.

    def close(self) -> None:
        """Cancel the timer, unless requests are still in flight."""
        if not self._pending:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._stop_timer()
        self._timer, self._timer_at = loop.call_at(at, self._expire, loop), at

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for timeout in [each for each in self._pending if each.at <= now]:
            self._pending.discard(timeout)
            timeout.expired = True
            timeout.task.cancel()
        if self._pending:
            self._set_timer(loop, min(timeout.at for timeout in self._pending))
