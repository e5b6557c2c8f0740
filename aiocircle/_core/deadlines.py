"""Ends what takes too long."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

__all__ = ["Deadline", "Deadlines"]


@attrs.define(eq=False)
class Deadline:
    """When a task's work must be over. passed: it was not, and the task was cancelled for it."""

    task: asyncio.Task[Any]
    at: float  # loop time
    cancelling: int  # requests to cancel the task that were there before
    passed: bool = False

    def caused(self, _: asyncio.CancelledError) -> bool:
        """Whether this cancellation is the deadline's work alone, and nobody else wants the task to end."""
        return self.take_back() and self.task.cancelling() <= self.cancelling

    def take_back(self) -> bool:
        """Take the cancellation back, if there was one; whether there was."""
        passed, self.passed = self.passed, False
        if passed:
            self.task.uncancel()
        return passed


class Deadlines:
    """The deadlines of all requests that are under way, watched by one timer.

    asyncio.timeout, as aiohttp's own, sets a timer and cancels it for each request, which takes a twelfth of all the
    time that a small request costs.
    """

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when the timer fires

    def begin(self, seconds: float) -> Deadline:
        """Cancel the current task in so many seconds, unless end() comes first."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        deadline = Deadline(task, loop.time() + seconds, task.cancelling())
        self._open.add(deadline)
        if self._timer is None or deadline.at < self._next:
            self._set_timer(loop, deadline.at)
        return deadline

    def end(self, deadline: Deadline) -> None:
        """The work is over. The timer stays: it finds nothing to do, or the next deadline."""
        self._open.discard(deadline)
        # The work may have ended in something else than the cancellation.
        deadline.take_back()

    def close(self) -> None:
        """Leave no timer behind, unless somebody's work is still under way."""
        if not self._open:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._stop_timer()
        self._timer, self._next = loop.call_at(at, self._expire, loop), at

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for deadline in [each for each in self._open if each.at <= now]:
            self._open.discard(deadline)
            deadline.passed = True
            deadline.task.cancel()
        if self._open:
            self._set_timer(loop, min(deadline.at for deadline in self._open))
