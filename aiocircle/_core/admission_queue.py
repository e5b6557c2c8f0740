"""The order of requests: a queue of one account and family, in which callers take turns."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from aiocircle._core.message import Response
from aiocircle._core.rate_limiter import Observed, RateLimiter, observe

__all__ = ["Caller", "Places", "Queue", "Waiter", "release_place"]

_log = logging.getLogger("aiocircle")

_MIN_WARNED: Final = 1.0  # seconds: a longer pause of a family is logged
_SAME_CLOSING: Final = 0.01  # seconds: a closing that ends so little later is the same one

_Refuse = Callable[[float], Exception]


class Places:
    """The requests that one client may have in flight.

    within: the places of which these are a part, such as those of its downloads.
    """

    __slots__ = ("free", "queues", "size", "within")

    def __init__(self, size: int, within: Places | None = None) -> None:
        self.size = self.free = size
        self.within = within
        # The queues in which requests wait that a free place could admit.
        self.queues: OrderedDict[Queue, None] = OrderedDict() if within is None else within.queues

    def half(self) -> Places:
        """Return half of these places, at least one, for requests that may not take all."""
        return Places(max(1, self.size // 2), self)

    @property
    def are_free(self) -> bool:
        """True if a request may be sent."""
        return self.free > 0 and (self.within is None or self.within.are_free)

    def change(self, number: int) -> None:
        """Take a place (-1), or give one back (+1)."""
        self.free += number
        if self.within is not None:
            self.within.change(number)


class Caller:
    """The requests that take turns with others as one: those of a client, of a copy of it, or of a bulk job."""

    __slots__ = ("account", "places", "queues")

    def __init__(self, account: str, places: Places) -> None:
        self.account = account
        self.places = places
        self.queues: dict[str, Queue] = {}  # by family, as last used


class Waiter:
    """A request that waits. deadline: on the loop's clock. refuse: returns the error, from the seconds of a closing."""

    __slots__ = ("caller", "closings", "deadline", "refuse", "turn")

    def __init__(self, caller: Caller, turn: asyncio.Future[None], deadline: float, refuse: _Refuse) -> None:
        self.caller = caller
        self.turn = turn
        self.deadline = deadline
        self.refuse = refuse
        self.closings: int  # of the queue, at the time of the permission, which sets it

    @property
    def was_admitted(self) -> bool:
        """True if the wait has ended with a permission."""
        return self.turn.done() and not self.turn.cancelled() and self.turn.exception() is None

    def admit(self, closings: int) -> None:
        """End the wait with a permission. It is void if the family is closed before the task of the request runs."""
        self.closings = closings
        self.turn.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End the wait with an exception."""
        if not self.turn.done():
            self.turn.set_exception(error)


class _Turns:
    """The waiting requests of one caller, in order. number: of its next turn."""

    __slots__ = ("number", "waiters")

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()


class Queue:
    """The waiting requests of one account and family, and the permissions of the limiter for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limiter: RateLimiter, account: str, family: str) -> None:
        self.loop = loop
        self.is_retired = False  # True once the throttle has forgotten it
        self.account = account
        self.family = family
        self.in_flight = 0  # also permissions that are not used yet
        self.closings = 0  # by 429s
        self._limiter = limiter
        self._waiting: dict[Places, OrderedDict[Caller, _Turns]] = {}  # callers in the order of their turns
        self._numbers = itertools.count()  # of turns
        self._has_permission = False
        self._acquiring: asyncio.Task[None] | None = None
        self._closed_until = 0.0
        self._warned_until = 0.0

    # --- requests ------------------------------------------------------------------------------------------

    def admit_nowait(self, caller: Caller) -> bool:
        """Admit a request if it need not wait. Each admission is followed by one release()."""
        places = caller.places
        if self._waiting or places.free <= 0 or (places.within is not None and not places.are_free):
            return False
        if self._has_permission:
            self._has_permission = False
        elif self._limiter.acquire_nowait(self.account, self.family):
            self.in_flight += 1
        else:
            return False
        places.change(-1)
        return True

    def release(self, caller: Caller, response: Response | None, sent_at: float, *, keeps_place: bool = False) -> None:
        """End an admission. response: None if the request failed without one.

        keeps_place: the body is still read, and the place stays taken until release_place().
        """
        in_flight = self.in_flight = self.in_flight - 1
        places = caller.places
        if not keeps_place:
            places.change(+1)
        try:
            if response is None:
                self._report_without_response(sent_at)
            else:
                status = response.status
                self._limiter.update(self.account, self.family, observe((status, response.headers, sent_at, in_flight)))
                if status == 429:
                    self._void_permissions()
        finally:
            if places.queues:
                _serve(places)

    def return_permission(self, waiter: Waiter) -> None:
        """Take back an admission that was not used. The next request uses its permission, unless a 429 voided it."""
        places = waiter.caller.places
        places.change(+1)
        try:
            self._keep_permission()
            if waiter.closings != self.closings:
                self._drop_permission()
        finally:
            _serve(places)

    def check_closed(self) -> float:
        """Return the seconds in which no request may be sent, as far as known; 0.0 if the family is open.

        Of each closing, requests that may not wait for its end fail, and a long one is logged once.
        """
        closed = self._limiter.closed_for(self.account, self.family)
        now = self.loop.time()
        until = now + closed
        if closed and until > self._closed_until + _SAME_CLOSING:
            self._closed_until = until
            if closed > _MIN_WARNED:
                if now >= self._warned_until:
                    _log.warning("%s: no request for %.2f s, because of the rate limit", self.family, closed)
                self._warned_until = until
            for waiter in [waiter for waiter in self._waiters() if waiter.deadline < until]:
                self.remove(waiter)
                waiter.fail(waiter.refuse(closed))
        return closed

    # --- the order -----------------------------------------------------------------------------------------

    def add(self, waiter: Waiter, *, goes_first: bool) -> None:
        """Add a request, at the end or the beginning of its caller's."""
        caller = waiter.caller
        callers = self._waiting.setdefault(caller.places, OrderedDict())
        turns = callers.get(caller)
        if turns is None:
            turns = callers[caller] = _Turns(next(self._numbers))
            caller.places.queues[self] = None
        turns.waiters[waiter] = None
        if goes_first:
            turns.waiters.move_to_end(waiter, last=False)

    def remove(self, waiter: Waiter) -> None:
        """Remove a request, if it waits."""
        callers = self._waiting.get(waiter.caller.places)
        turns = callers.get(waiter.caller) if callers else None
        if turns is not None and waiter in turns.waiters:
            del turns.waiters[waiter]
            self._tidy(waiter.caller)

    def _pop(self, caller: Caller) -> Waiter:
        callers = self._waiting[caller.places]
        turns = callers[caller]
        waiter, _ = turns.waiters.popitem(last=False)
        turns.number = next(self._numbers)
        callers.move_to_end(caller)
        self._tidy(caller)
        return waiter

    def _tidy(self, caller: Caller) -> None:
        callers = self._waiting[caller.places]
        if not callers[caller].waiters:
            del callers[caller]
        if not callers:
            del self._waiting[caller.places]
            if not any(places.queues is caller.places.queues for places in self._waiting):
                del caller.places.queues[self]
        if not self._waiting and self._acquiring is not None:
            task, self._acquiring = self._acquiring, None
            task.cancel()

    def _next_caller(self) -> Caller | None:
        """Return the caller whose turn it is, of those that have a free place."""
        first = [next(iter(callers.items())) for places, callers in self._waiting.items() if places.are_free]
        return min(first, key=lambda item: item[1].number)[0] if first else None

    def _waiters(self) -> Iterator[Waiter]:
        for callers in self._waiting.values():
            for turns in callers.values():
                yield from turns.waiters

    # --- permissions ---------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Admit waiting requests while there are free places and permissions."""
        while (caller := self._next_caller()) is not None:
            if not self._has_permission and not self._acquire():
                return
            waiter = self._pop(caller)
            if not waiter.turn.done():  # otherwise it was cancelled, and its task has not run yet
                self._has_permission = False
                caller.places.change(-1)
                waiter.admit(self.closings)
                if self in caller.places.queues:
                    caller.places.queues.move_to_end(self)

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
        self._report_without_response(self.loop.time())

    def _report_without_response(self, sent_at: float) -> None:
        self._limiter.update(self.account, self.family, Observed(None, {}, sent_at, self.in_flight))

    def _void_permissions(self) -> None:
        """After a 429: if it closed the family, requests that were admitted and not sent wait again."""
        if self.check_closed():
            self.closings += 1
            if self._has_permission:
                self._drop_permission()

    def _fail_all(self, error: BaseException) -> None:
        for waiter in list(self._waiters()):
            self.remove(waiter)
            waiter.fail(error)

    # --- the end -------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """True if nothing waits and nothing is in flight."""
        return not self._waiting and self.in_flight == self._has_permission

    def retire(self) -> None:
        """Leave the throttle. Callers that know this queue look for another."""
        self.is_retired = True
        if self._has_permission:
            self._drop_permission()


def release_place(places: Places) -> None:
    """Give back the place of a body that was read."""
    places.change(+1)
    if places.queues:
        _serve(places)


def _serve(places: Places) -> None:
    """Offer free places to the queues that wait for them, those first that were served least recently."""
    for queue in list(places.queues):
        if not places.are_free:
            return
        queue.serve()
