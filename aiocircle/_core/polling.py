"""Polling: when the next poll is due, and the wait in between."""

from __future__ import annotations

import asyncio
import random as random_module
from collections.abc import Callable, Coroutine, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, Generic, TypeVar

from aiocircle.errors import InvalidArgument

__all__ = ["Poller", "SharedCalls", "check_poll_interval", "check_timeout", "poll_pause"]

T = TypeVar("T")

FIRST_PAUSE: Final = 2.0
"""Seconds between the first two polls: a short pipeline ends within a few of them."""
GROWTH: Final = 1.5
JITTER: Final = 0.1
"""The share by which chance shortens a pause, so that waits that began together do not stay together."""
WAKE_INTERVAL: Final = 2.0
"""Least seconds between the beginnings of two polls, the second of which an event caused."""
OVERTIME: Final = 10.0
"""Seconds that the poll at the deadline may take: a server that hangs must not make the deadline meaningless."""

_MAX_EXPONENT: Final = 32


def poll_pause(polls: int, limit: float, random: float) -> float:
    """Return the seconds between two polls: 2 s after the first poll, half as much more each time, at most `limit`.

    polls: the number of polls so far. random: a number in [0, 1); it shortens the pause by up to a tenth.
    """
    pause = FIRST_PAUSE * GROWTH ** min(max(polls - 1, 0), _MAX_EXPONENT)
    return min(limit, pause) * (1.0 - JITTER * random)


def check_timeout(timeout: object) -> float | None:
    """Return the timeout in seconds. Raise InvalidArgument if it is neither a number from 0 on nor None."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgument(f"timeout must be seconds from 0 on or None, got {timeout!r}")
    return float(timeout)


def check_poll_interval(poll_interval: object) -> float | None:
    """Return the interval in seconds. Raise InvalidArgument if it is neither a number above 0 nor None."""
    if poll_interval is None:
        return None
    if isinstance(poll_interval, bool) or not isinstance(poll_interval, int | float) or not poll_interval > 0:
        raise InvalidArgument(f"poll_interval must be seconds above 0 or None, got {poll_interval!r}")
    return float(poll_interval)


class Poller:
    """The rhythm of one wait, on the running loop's clock.

    A wait calls `begin` before each poll and `pause` after it. Its last poll is made at the deadline.
    """

    __slots__ = ("_began_at", "_event_loop", "_is_woken", "_poll_interval", "_polls", "_random", "_waiter", "deadline")

    def __init__(
        self,
        *,
        timeout: float | None = None,
        poll_interval: float | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._event_loop = asyncio.get_running_loop()
        self.deadline = None if timeout is None else self._event_loop.time() + timeout
        self._poll_interval = poll_interval
        self._random = random
        self._polls = 0
        self._began_at = self._event_loop.time()
        self._is_woken = False
        self._waiter: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Record the beginning of a poll."""
        self._polls += 1
        self._began_at = self._event_loop.time()

    @property
    def began_at(self) -> float:
        """The loop's time when the present poll began."""
        return self._began_at

    @property
    def has_expired(self) -> bool:
        """True if no poll may follow the present one."""
        return self.is_last or (self.deadline is not None and self._event_loop.time() >= self.deadline + OVERTIME)

    @property
    def is_last(self) -> bool:
        """True if the deadline had passed when the present poll began."""
        return self.deadline is not None and self._began_at >= self.deadline

    def overtime(self) -> AbstractAsyncContextManager[object]:
        """Return a context in which a poll that is still in flight well after the deadline is a TimeoutError."""
        return nullcontext() if self.deadline is None else asyncio.timeout_at(self.deadline + OVERTIME)

    def wake(self) -> None:
        """Make the next poll due now, but not before 2 s have passed since the last one began."""
        self._is_woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def pause(self, limit: float, *, due_in: float | None = None, only_when_due: bool = False) -> None:
        """Wait until the next poll.

        limit: the most seconds of a pause; a `poll_interval` replaces all pauses. due_in: the seconds after which a
        poll is due in any case. only_when_due: no poll is made earlier than that, but for an event.
        """
        now = self._event_loop.time()
        pause = poll_pause(self._polls, limit, self._random())
        if self._poll_interval is not None:
            pause = self._poll_interval * (1.0 - JITTER * self._random())
        if due_in is not None:
            pause = max(due_in, 0.0) if only_when_due else min(pause, max(due_in, 0.0))
        at = now + pause
        await self.wait_until(at if self.deadline is None else min(at, self.deadline))

    async def wait_until(self, at: float) -> None:
        """Wait until that time of the loop, or less if an event wakes the wait."""
        while (rest := at - self._event_loop.time()) > 0:
            if self._is_woken:
                self._is_woken = False
                at = min(at, self._began_at + WAKE_INTERVAL)
                continue
            self._waiter = self._event_loop.create_future()
            timer = self._event_loop.call_later(rest, _finish, self._waiter)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _SharedCall(Generic[T]):
    __slots__ = ("began_at", "callers", "task")

    def __init__(self, task: asyncio.Task[T], began_at: float) -> None:
        self.task = task
        self.began_at = began_at
        self.callers = 0


class SharedCalls:
    """Calls that are in flight. A caller that needs the same thing meanwhile gets the result of the same call.

    A call is cancelled when the last of its callers is.
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[Hashable, _SharedCall[Any]] = {}

    async def get(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, float]:
        """Return the result of the call in flight for `key`, or of a new one, and the loop's time at its beginning."""
        shared = self._join(key, call)
        shared.callers += 1
        try:
            # `wait` neither cancels the task nor raises its error, so a cancelled caller leaves it to the others.
            await asyncio.wait((shared.task,))
            return shared.task.result(), shared.began_at
        finally:
            shared.callers -= 1
            if not shared.callers:
                if self._calls.get(key) is shared:
                    del self._calls[key]
                await _cancelled(shared.task)

    def _join(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> _SharedCall[T]:
        shared: _SharedCall[T] | None = self._calls.get(key)
        if shared is None or shared.task.done():
            loop = asyncio.get_running_loop()
            shared = self._calls[key] = _SharedCall(loop.create_task(call()), loop.time())
        return shared


async def _cancelled(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # An error that no caller is left to get must not be logged as never retrieved.
