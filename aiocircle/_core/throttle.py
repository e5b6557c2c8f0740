"""A queue of requests for each account and family, in which callers take turns."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Mapping
from typing import Final

from aiocircle._core.admission_queue import Caller, Places, Queue, Waiter
from aiocircle._core.message import Request
from aiocircle._core.rate_headers import RateLimit
from aiocircle._core.rate_limiter import MAX_FAMILIES, LocalLimiter, RateLimiter
from aiocircle._redact import type_name
from aiocircle.errors import ConfigurationError, RateLimited

__all__ = ["Caller", "Places", "Throttle"]

_SAME_MOMENT: Final = 0.01  # seconds: a permission that comes with the end of max_wait is still used


class Throttle:
    """One queue and one budget of requests for each token, shared by all clients that use this throttle.

    limiter: decides when the next request of a family may be sent. The default is a limiter of this process, which
    keeps to the limits that the API announces and learns the others. A family is the API version and the first segment
    of the path, such as "v2/insights". Clients, their copies and bulk jobs take turns in the queue.

    Belongs to the event loop that uses it. Raises ConfigurationError if a second loop uses it while the first one
    runs. After the end of a loop it starts afresh in the next.
    """

    def __init__(self, limiter: RateLimiter | None = None) -> None:
        if limiter is not None and (isinstance(limiter, type) or not isinstance(limiter, RateLimiter)):
            name = limiter.__name__ if isinstance(limiter, type) else type_name(limiter)
            raise ConfigurationError(
                f"throttle must be a Throttle or a RateLimiter, got {name}. Pass an object with the methods of "
                "aiocircle.RateLimiter, or leave it out"
            )
        self._limiter = limiter
        self._state: _LoopState | None = None
        self._binding = threading.Lock()

    def rate_limits(self, account: str) -> Mapping[str, RateLimit]:
        """Return the limits of an account's families, as far as known."""
        limiter = self._limiter if self._state is None else self._state.limiter
        return {} if limiter is None else limiter.rate_limits(account)

    async def close(self) -> None:
        """Close the limiter that this throttle uses."""
        if self._limiter is not None:
            await self._limiter.close()

    def admit_nowait(self, caller: Caller, family: str) -> Queue | None:
        """Admit a request if it need not wait. Each admission is followed by one release() of the queue."""
        queue = caller.queues.get(family)
        if queue is None or queue.is_retired:
            queue = self._find(caller, family)
        return queue if queue.admit_nowait(caller) else None

    async def admit(
        self, caller: Caller, family: str, request: Request, max_wait: float, *, is_retry: bool = False
    ) -> Queue:
        """Admit a request when it is its turn, or raise RateLimited. max_wait: seconds; infinite for no bound.

        is_retry: the request goes before the others of its caller.
        """
        queue = self._find(caller, family)
        if not queue.admit_nowait(caller):
            await _Wait(queue, caller, request, max_wait, goes_first=is_retry).end()
        return queue

    def _find(self, caller: Caller, family: str) -> Queue:
        queue = self._bind().queue(caller.account, family)
        if len(caller.queues) >= MAX_FAMILIES:
            caller.queues.clear()
        caller.queues[family] = queue
        return queue

    def _bind(self) -> _LoopState:
        loop = asyncio.get_running_loop()
        with self._binding:
            state = self._state
            if state is None or state.loop is not loop:
                if state is not None:
                    state.retire()
                state = self._state = _LoopState(loop, LocalLimiter() if self._limiter is None else self._limiter)
            return state


class _Wait:
    """The wait of one request in a queue."""

    def __init__(self, queue: Queue, caller: Caller, request: Request, max_wait: float, *, goes_first: bool) -> None:
        self._queue = queue
        self._caller = caller
        self._request = request
        self._deadline = queue.loop.time() + max_wait + _SAME_MOMENT
        self._goes_first = goes_first

    async def end(self) -> None:
        """Return when the request may be sent, or raise RateLimited."""
        queue = self._queue
        while True:
            closed = queue.check_closed()
            if closed > self._deadline - queue.loop.time():
                raise self._refusal(closed)
            waiter = Waiter(self._caller, queue.loop.create_future(), self._deadline, self._refusal)
            await self._turn(waiter)
            if waiter.closings == queue.closings:
                return
            # The family was closed between the permission and the turn of this task.
            queue.return_permission(waiter)
            self._goes_first = True

    async def _turn(self, waiter: Waiter) -> None:
        queue = self._queue
        queue.add(waiter, goes_first=self._goes_first)
        is_bounded = waiter.deadline < math.inf
        timer = queue.loop.call_at(waiter.deadline, self._expire, waiter) if is_bounded else None
        queue.serve()
        try:
            await waiter.turn
        except BaseException:
            if waiter.was_admitted:  # and cancelled, in the same iteration of the loop
                queue.return_permission(waiter)
            else:
                queue.remove(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _expire(self, waiter: Waiter) -> None:
        self._queue.remove(waiter)
        try:
            waiter.fail(self._refusal(self._queue.check_closed()))
        except Exception as error:  # of a limiter that the caller has written
            waiter.fail(error)

    def _refusal(self, closed_for: float) -> RateLimited:
        """Return the error of a request that is not sent, because its wait is longer than max_wait."""
        if closed_for > 0.0:
            reason = f"the rate limit of {self._queue.family} delays it for {closed_for:.1f} s"
        elif self._caller.places.are_free:
            reason = f"the rate limit of {self._queue.family} delayed it"
        else:
            reason = f"max_concurrency ({self._caller.places.size} requests in flight) delayed it"
        return RateLimited(
            429,
            f"not sent: {reason}, longer than max_wait permits. RetryPolicy(max_wait=None) sets no bound",
            method=self._request.method,
            url=self._request.redacted_url,
            retry_after=closed_for or None,
            is_local=True,
        )


class _LoopState:
    """Everything that belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limiter: RateLimiter) -> None:
        self.loop = loop
        self.limiter = limiter
        self.queues: dict[tuple[str, str], Queue] = {}

    def retire(self) -> None:
        """Leave the throttle, because the loop has ended. Raise ConfigurationError if it is running."""
        if self.loop.is_running():
            raise ConfigurationError(
                "this Throttle is in use in another event loop. Create one Throttle for each running loop"
            )
        for queue in self.queues.values():
            queue.is_retired = True

    def queue(self, account: str, family: str) -> Queue:
        """Return the queue of an account and a family."""
        queue = self.queues.get((account, family))
        if queue is None:
            if len(self.queues) >= MAX_FAMILIES:
                self._evict()
            queue = self.queues[account, family] = Queue(self.loop, self.limiter, account, family)
        return queue

    def _evict(self) -> None:
        key = next((key for key, queue in self.queues.items() if queue.is_idle), None)
        if key is not None:
            self.queues.pop(key).retire()
