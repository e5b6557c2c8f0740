"""Who is next: a queue for each account and family, in which callers take turns."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final, Self

from aiocircle._core.http import Request
from aiocircle._core.rate_headers import RateLimit
from aiocircle._core.rate_limiter import MAX_FAMILIES, LocalLimiter, Observed, RateLimiter
from aiocircle.errors import ConfigurationError, RateLimited

__all__ = ["Admission", "Caller", "Places", "Throttle"]

_log = logging.getLogger("aiocircle")

_MIN_WARNED: Final = 1.0  # seconds: a longer pause of a family is logged
_SAME_CLOSING: Final = 0.01  # seconds: a closing that ends so little later is the same one
_SAME_MOMENT: Final = 0.01  # seconds: a permission that comes with the end of max_wait is still used
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Throttle:
    """One queue and one budget of requests for each token, shared by all clients that use this throttle.

    limiter: decides when the next request of a family may be sent; without it, a limiter of this process, which keeps
    to the limits that the API announces and learns the others. A family is the API version and the first segment of
    the path, such as "v2/insights". Clients, their copies and bulk jobs take turns in the queue.

    Belongs to the event loop that uses it. Raises ConfigurationError if a second loop uses it while the first one
    runs. After the end of a loop it starts afresh in the next.
    """

    def __init__(self, limiter: RateLimiter | None = None) -> None:
        if limiter is not None and (isinstance(limiter, type) or not isinstance(limiter, RateLimiter)):
            name = limiter.__name__ if isinstance(limiter, type) else type(limiter).__name__
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

    def admit(
        self, caller: Caller, family: str, request: Request, max_wait: float, *, is_retry: bool = False
    ) -> Admission:
        """Return an admission, to be entered for one attempt. max_wait: seconds; infinite for no bound.

        is_retry: the request goes before the others of its caller.
        """
        return Admission(self, caller, family, request, max_wait, is_retry)

    def queue(self, caller: Caller, family: str) -> _Queue:
        """Return the queue of the caller's account and the family in the running loop."""
        queue = caller.queues.get(family)
        if queue is None or queue.state is not self._state:
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
                if state is not None and state.loop.is_running():
                    raise ConfigurationError(
                        "this Throttle is in use in another event loop. Create one Throttle for each running loop"
                    )
                state = self._state = _LoopState(loop, LocalLimiter() if self._limiter is None else self._limiter)
            return state


class Places:
    """The requests that one client may have in flight.

    within: the places of which these are a part, such as those of its downloads.
    """

    __slots__ = ("_free", "_within", "queues", "size")

    def __init__(self, size: int, within: Places | None = None) -> None:
        self.size = self._free = size
        self._within = within
        # The queues in which requests wait that a free place could admit.
        self.queues: OrderedDict[_Queue, None] = OrderedDict() if within is None else within.queues

    def half(self) -> Places:
        """Return half of these places, at least one, for requests that may not take all."""
        return Places(max(1, self.size // 2), self)

    @property
    def are_free(self) -> bool:
        """True if a request may be sent."""
        return self._free > 0 and (self._within is None or self._within.are_free)

    def take(self) -> None:
        """Take a place."""
        self._free -= 1
        if self._within is not None:
            self._within.take()

    def give_back(self) -> None:
        """Give a place back."""
        self._free += 1
        if self._within is not None:
            self._within.give_back()


class Caller:
    """The requests that take turns with others as one: those of a client, of a copy of it, or of a bulk job."""

    __slots__ = ("account", "places", "queues")

    def __init__(self, account: str, places: Places) -> None:
        self.account = account
        self.places = places
        self.queues: dict[str, _Queue] = {}  # by family, as last used


class Admission:
    """The time from the queue to the end of one attempt: `async with throttle.admit(…) as admission`.

    Entering it waits for the turn of the request, or raises RateLimited. waited: the seconds of that. sent_at: on the
    loop's clock. Leaving it ends the attempt.
    """

    __slots__ = (
        "_caller",
        "_closings",
        "_deadline",
        "_family",
        "_headers",
        "_is_retry",
        "_max_wait",
        "_queue",
        "_request",
        "_status",
        "_throttle",
        "_timer",
        "_turn",
        "sent_at",
        "waited",
    )
    _queue: _Queue
    _turn: asyncio.Future[None]

    def __init__(
        self, throttle: Throttle, caller: Caller, family: str, request: Request, max_wait: float, is_retry: bool
    ) -> None:
        self._throttle = throttle
        self._caller = caller
        self._family = family
        self._request = request
        self._max_wait = max_wait
        self._is_retry = is_retry
        self._status: int | None = None
        self._headers = _NO_HEADERS
        self.waited = 0.0

    async def __aenter__(self) -> Self:
        queue = self._queue = self._throttle.queue(self._caller, self._family)
        if not queue.admit_nowait(self._caller):
            await self._wait(queue)
        self.sent_at = queue.loop.time()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.release(self._caller, self._status, self._headers, self.sent_at)

    def update(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the response, which the limiter learns from."""
        self._status, self._headers = status, headers

    @property
    def caller(self) -> Caller:
        """The caller of the request."""
        return self._caller

    @property
    def deadline(self) -> float:
        """The time until which the request may wait, on the loop's clock."""
        return self._deadline

    @property
    def is_waiting(self) -> bool:
        """True unless the turn has come, or the wait was ended otherwise."""
        return not self._turn.done()

    async def _wait(self, queue: _Queue) -> None:
        loop = queue.loop
        started = loop.time()
        self._deadline = started + self._max_wait + _SAME_MOMENT
        goes_first = self._is_retry
        while True:
            closed = queue.closed_for()
            if closed > self._deadline - loop.time():
                raise self.refusal(closed)
            await self._wait_for_turn(queue, goes_first=goes_first)
            if self._closings == queue.closings:
                break
            # The family was closed between the permission and the turn of this task.
            queue.return_permission(self._caller)
            goes_first = True
        self.waited = loop.time() - started

    async def _wait_for_turn(self, queue: _Queue, *, goes_first: bool) -> None:
        loop = queue.loop
        self._turn = loop.create_future()
        queue.add(self, goes_first=goes_first)
        timer = None if self._deadline == math.inf else loop.call_at(self._deadline, self._expire)
        queue.serve()
        try:
            await self._turn
        except BaseException:
            if self._turn.done() and not self._turn.cancelled() and self._turn.exception() is None:
                # Admitted and cancelled in the same iteration of the loop.
                queue.return_permission(self._caller)
            else:
                queue.remove(self)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def admit(self, closings: int) -> None:
        """End the wait: the request may be sent, unless the family is closed again before."""
        self._closings = closings
        self._turn.set_result(None)

    def fail(self, error: Exception) -> None:
        """End the wait with an exception."""
        if not self._turn.done():
            self._turn.set_exception(error)

    def _expire(self) -> None:
        queue = self._queue
        queue.remove(self)
        self.fail(self.refusal(queue.closed_for(), is_crowded=not self._caller.places.are_free))

    def refusal(self, closed_for: float, *, is_crowded: bool = False) -> RateLimited:
        """Return the error of a request that is not sent, because its wait is longer than max_wait."""
        if closed_for > 0.0:
            reason = f"the rate limit of {self._family} delays it for {closed_for:.1f} s"
        elif is_crowded:
            reason = f"max_concurrency ({self._caller.places.size} requests in flight) delayed it"
        else:
            reason = f"the rate limit of {self._family} delayed it"
        return RateLimited(
            429,
            f"not sent: {reason}, longer than max_wait permits. RetryPolicy(max_wait=None) sets no bound",
            method=self._request.method,
            url=self._request.shown_url,
            retry_after=closed_for or None,
            is_local=True,
        )


class _LoopState:
    """Everything that belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limiter: RateLimiter) -> None:
        self.loop = loop
        self.limiter = limiter
        self.queues: dict[tuple[str, str], _Queue] = {}

    def queue(self, account: str, family: str) -> _Queue:
        """Return the queue of an account and a family."""
        queue = self.queues.get((account, family))
        if queue is None:
            if len(self.queues) >= MAX_FAMILIES:
                self._evict()
            queue = self.queues[account, family] = _Queue(self, account, family)
        return queue

    def _evict(self) -> None:
        key = next((key for key, queue in self.queues.items() if queue.is_idle), None)
        if key is not None:
            self.queues.pop(key).retire()


class _Turns:
    """The waiting requests of one caller, in order. number: of its next turn."""

    __slots__ = ("admissions", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.admissions: OrderedDict[Admission, None] = OrderedDict()


class _Queue:
    """The waiting requests of one account and family, and the permissions of the limiter for them."""

    def __init__(self, state: _LoopState, account: str, family: str) -> None:
        self.state: _LoopState | None = state  # None once the throttle has forgotten it
        self.loop = state.loop
        self.account = account
        self.family = family
        self.in_flight = 0  # also permissions that are not used yet
        self.closings = 0  # that responses have caused
        self._limiter = state.limiter
        self._waiting: dict[Places, OrderedDict[Caller, _Turns]] = {}  # callers in the order of their turns
        self._turn = 0
        self._has_permission = False
        self._acquiring: asyncio.Task[None] | None = None
        self._closed_until = 0.0
        self._warned_until = 0.0

    # --- requests ------------------------------------------------------------------------------------------

    def admit_nowait(self, caller: Caller) -> bool:
        """Admit a request if it need not wait. Each admission is followed by one release()."""
        if self._waiting or not caller.places.are_free:
            return False
        if self._has_permission:
            self._has_permission = False
        elif self._limiter.acquire_nowait(self.account, self.family):
            self.in_flight += 1
        else:
            return False
        caller.places.take()
        return True

    def release(self, caller: Caller, status: int | None, headers: Mapping[str, str], sent_at: float) -> None:
        """End an admission: there is a response, or none (status None)."""
        self.in_flight -= 1
        caller.places.give_back()
        self._limiter.update(self.account, self.family, Observed(status, headers, sent_at, self.in_flight))
        if self._waiting or status == 429:
            self._check_closed()
            self.serve()
        if caller.places.queues:
            _serve_others(caller.places, self)

    def return_permission(self, caller: Caller) -> None:
        """Take back an admission that was not used. The next request uses its permission."""
        caller.places.give_back()
        self._keep_permission()
        self.serve()
        _serve_others(caller.places, self)

    def closed_for(self) -> float:
        """Return the seconds in which no request may be sent, as far as known."""
        return self._limiter.closed_for(self.account, self.family)

    # --- the order -----------------------------------------------------------------------------------------

    def add(self, admission: Admission, *, goes_first: bool) -> None:
        """Add a request, at the end or the beginning of its caller's."""
        caller = admission.caller
        callers = self._waiting.setdefault(caller.places, OrderedDict())
        turns = callers.get(caller)
        if turns is None:
            turns = callers[caller] = _Turns(self._next_number())
            caller.places.queues[self] = None
        turns.admissions[admission] = None
        if goes_first:
            turns.admissions.move_to_end(admission, last=False)

    def remove(self, admission: Admission) -> None:
        """Remove a request, if it waits."""
        callers = self._waiting.get(admission.caller.places)
        turns = callers.get(admission.caller) if callers else None
        if turns is not None and admission in turns.admissions:
            del turns.admissions[admission]
            self._tidy(admission.caller)

    def _pop(self, caller: Caller) -> Admission:
        callers = self._waiting[caller.places]
        turns = callers[caller]
        admission, _ = turns.admissions.popitem(last=False)
        turns.number = self._next_number()
        callers.move_to_end(caller)
        self._tidy(caller)
        return admission

    def _tidy(self, caller: Caller) -> None:
        callers = self._waiting[caller.places]
        if not callers[caller].admissions:
            del callers[caller]
        if not callers:
            del self._waiting[caller.places]
            if not any(places.queues is caller.places.queues for places in self._waiting):
                caller.places.queues.pop(self, None)
        if not self._waiting and self._acquiring is not None:
            task, self._acquiring = self._acquiring, None
            task.cancel()

    def _next_caller(self) -> Caller | None:
        """Return the caller whose turn it is, of those that have a free place."""
        first = [next(iter(callers.items())) for places, callers in self._waiting.items() if places.are_free]
        return min(first, key=lambda item: item[1].number)[0] if first else None

    def _next_number(self) -> int:
        self._turn += 1
        return self._turn

    def _admissions(self) -> Iterator[Admission]:
        for callers in self._waiting.values():
            for turns in callers.values():
                yield from turns.admissions

    # --- permissions ---------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Admit waiting requests while there are free places and permissions."""
        while (caller := self._next_caller()) is not None:
            if not self._has_permission and not self._acquire():
                return
            admission = self._pop(caller)
            if admission.is_waiting:  # otherwise it was cancelled, and its task has not run yet
                self._has_permission = False
                caller.places.take()
                admission.admit(self.closings)

    def _acquire(self) -> bool:
        """Return True if there is a permission. Otherwise a task waits for one, or all requests fail."""
        if self._acquiring is not None:
            return False
        try:
            if self._limiter.acquire_nowait(self.account, self.family):
                self._keep_permission(is_new=True)
                return True
        except Exception as error:  # of a limiter that the caller has written
            self._fail_all(error)
            return False
        self._acquiring = self.loop.create_task(self._acquire_later())
        self._acquiring.add_done_callback(self._on_acquiring_ended)
        return False

    async def _acquire_later(self) -> None:
        await self._limiter.acquire(self.account, self.family)
        self._acquiring = None
        self._check_closed()
        self._keep_permission(is_new=True)
        self.serve()

    def _on_acquiring_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._acquiring is task:  # It has failed, or something else than this queue has cancelled it.
            self._acquiring = None
            if error is None:
                self.serve()
        if error is not None:
            self._fail_all(error)

    def _keep_permission(self, *, is_new: bool = False) -> None:
        self.in_flight += is_new
        if self._has_permission:
            self._drop_permission()
        self._has_permission = True

    def _drop_permission(self) -> None:
        self._has_permission = False
        self.in_flight -= 1
        unused = Observed(None, _NO_HEADERS, self.loop.time(), self.in_flight)
        self._limiter.update(self.account, self.family, unused)

    def _fail_all(self, error: BaseException) -> None:
        for admission in list(self._admissions()):
            self.remove(admission)
            admission.fail(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def _check_closed(self) -> None:
        """Take note of a closing: its permission is void, and requests that may not wait for its end fail."""
        closed = self.closed_for()
        now = self.loop.time()
        until = now + closed
        if not closed or until <= self._closed_until + _SAME_CLOSING:
            return
        if closed > _MIN_WARNED and now >= self._warned_until:
            _log.warning("%s: no request for %.2f s, because of the rate limit", self.family, closed)
        if closed > _MIN_WARNED:
            self._warned_until = until
        self._closed_until = until
        self.closings += 1
        if self._has_permission:
            self._drop_permission()
        for admission in [admission for admission in self._admissions() if admission.deadline < until]:
            self.remove(admission)
            admission.fail(admission.refusal(closed))

    # --- the end -------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nothing is in flight."""
        return not self._waiting and self.in_flight == self._has_permission

    def retire(self) -> None:
        """Leave the throttle. Callers that know this queue look for another."""
        if self._has_permission:
            self._drop_permission()
        self.state = None


def _serve_others(places: Places, but: _Queue) -> None:
    """Offer a free place to the other queues that wait for one, the longest one first."""
    for queue in list(places.queues):
        if not places.are_free:
            return
        if queue is not but and queue in places.queues:
            places.queues.move_to_end(queue)
            queue.serve()
