"""The tasks that work on the events of a router, from its start to the end of its drain."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from aiocircle._redact import single_line
from aiocircle.errors import ConfigurationError
from aiocircle.events.ledger import Entry, Ledger
from aiocircle.events.models import Event

__all__ = ["Handler", "Workers", "describe"]

Handler: TypeAlias = Callable[[Any], Awaitable[object] | None]

# Seconds that a cancelled handler gets for its clean-up. One that ignores its cancellation must not hang the program.
_CLEAN_UP_TIMEOUT: Final = 2.0

_log = logging.getLogger("aiocircle")


def describe(event: Event) -> str:
    """Return the type and the id of an event for a log line."""
    id_ = single_line(event.id, 100) if event.id else "without an id"
    return f"{single_line(event.type, 100)} {id_}"


class Workers:
    """One run of a router in the running loop: a task for each event in work."""

    def __init__(self, ledger: Ledger[Event], handlers_of: Callable[[Event], Sequence[Handler]]) -> None:
        self._ledger = ledger
        self._handlers_of = handlers_of
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], Entry[Event]] = {}
        self._idle = asyncio.Event()
        self._is_stopping = False
        ledger.open()

    @property
    def is_running(self) -> bool:
        """True if the loop of this run still runs."""
        return self._loop.is_running()

    def ensure_own_loop(self) -> None:
        """Raise ConfigurationError if the caller is not in the loop of this run."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not self._loop:
            raise ConfigurationError(
                "receive must be called in the event loop that runs the router, got another loop or thread. "
                "Call it from an async function of your web framework."
            )

    def wake(self) -> None:
        """Take queued events in the next iteration of the loop."""
        self._loop.call_soon(self._take)

    async def stop(self, drain: float) -> None:
        """Work on what is queued for `drain` seconds. Then cancel the handlers, and log what was not handled."""
        self._ledger.drain()
        try:
            await self._drain(drain)
        finally:
            try:
                await self._cancel()
            finally:
                self.close()

    def close(self) -> None:
        """Log the events that were not handled, and forget them."""
        self._is_stopping = True
        self._tasks.clear()
        for entry in self._ledger.close():
            _log.warning("event %s was not handled: the router stopped", describe(entry.event))

    async def _drain(self, seconds: float) -> None:
        if self._ledger.is_idle:
            return
        self._idle.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            pass

    async def _cancel(self) -> None:
        self._is_stopping = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLEAN_UP_TIMEOUT)

    def _take(self) -> None:
        while not self._is_stopping and (entry := self._ledger.take()) is not None:
            task = self._loop.create_task(self._work(entry.event), name=f"aiocircle event {describe(entry.event)}")
            self._tasks[task] = entry
            task.add_done_callback(self._on_done)
        if self._ledger.is_idle:
            self._idle.set()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        entry = self._tasks.pop(task, None)
        if entry is None:
            return  # It ignored its cancellation, and was logged as not handled.
        # An event whose handlers were cancelled by the stop stays in the ledger, which returns it at the end.
        if not (task.cancelled() and self._is_stopping):
            self._ledger.finish(entry)
        self._take()

    async def _work(self, event: Event) -> None:
        for handler in self._handlers_of(event):
            if self._is_stopping or (not await self._call(handler, event) and self._is_stopping):
                raise asyncio.CancelledError

    async def _call(self, handler: Handler, event: Event) -> bool:
        """Call a handler. Return False if it failed; then the error was logged."""
        try:
            result = handler(event)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            if self._is_stopping:
                raise
            self._clear_cancellation()
            self._log_failure(handler, event)
        except Exception:
            self._log_failure(handler, event)
        else:
            return True
        return False

    def _clear_cancellation(self) -> None:
        # A handler that cancelled its own task must not look like a stop to the next handler.
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()

    def _log_failure(self, handler: Handler, event: Event) -> None:
        name = getattr(handler, "__qualname__", type(handler).__name__)
        _log.exception("handler %s of event %s failed", name, describe(event))
