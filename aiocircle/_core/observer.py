"""The events of a call: attempt, response, wait. The log, `on_retry` and the command's progress are made of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from aiocircle.errors import CircleCIError

if TYPE_CHECKING:
    from aiocircle._core.message import Request

__all__ = ["LogObserver", "Observer", "Observers", "RetryDetails", "RetryObserver"]

_log: Final = logging.getLogger("aiocircle")
# Without a handler, Python prints warnings to stderr: the application decides where they go.
_log.addHandler(logging.NullHandler())


@attrs.frozen
class RetryDetails:
    """A failed attempt that is repeated.

    operation: such as "pipelines.get", or the method and path of a request that is not modelled. attempt: the number of
    the failed attempt, from 1. wait: seconds until the next one. error: why it failed.
    """

    operation: str
    attempt: int
    wait: float
    error: CircleCIError


class Observer:
    """The events of all calls of a client. A subclass overrides the methods that it needs.

    operation: the name of the operation. number: the number of the attempt, from 1.
    """

    def on_attempt(self, operation: str, request: Request, number: int) -> None:
        """Observe that a request is sent."""

    def on_response(
        self, operation: str, request: Request, number: int, result: int | CircleCIError | None, started: float
    ) -> None:
        """Observe the end of an attempt.

        result: the status, the error, or None if the attempt was cancelled. started: seconds on the loop's clock.
        """

    def on_wait(self, details: RetryDetails, max_attempts: int) -> None:
        """Observe that a failed attempt is repeated after a wait."""


class LogObserver(Observer):
    """The lines of the logger `aiocircle`: DEBUG for each attempt, WARNING for each retry."""

    def on_response(
        self, operation: str, request: Request, number: int, result: int | CircleCIError | None, started: float
    ) -> None:
        if not _log.isEnabledFor(logging.DEBUG):
            return
        seconds = asyncio.get_running_loop().time() - started
        shown = "cancelled" if result is None else result if isinstance(result, int) else type(result).__name__
        _log.debug("%s %s -> %s in %.3f s (attempt %d)", request.method, request.redacted_url, shown, seconds, number)

    def on_wait(self, details: RetryDetails, max_attempts: int) -> None:
        _log.warning(
            "%s: attempt %d of %d failed, the next in %.2f s: %s",
            details.operation,
            details.attempt,
            max_attempts,
            details.wait,
            details.error,
        )


class RetryObserver(Observer):
    """The caller's function for retries."""

    def __init__(self, on_retry: Callable[[RetryDetails], object]) -> None:
        self._on_retry = on_retry

    def on_wait(self, details: RetryDetails, max_attempts: int) -> None:
        """Call the function."""
        self._on_retry(details)


class Observers:
    """The observers of a client, by event: nothing is called for an event that none of them overrides."""

    def __init__(self) -> None:
        self.on_attempt: tuple[Callable[[str, Request, int], None], ...] = ()
        self.on_response: tuple[Callable[[str, Request, int, int | CircleCIError | None, float], None], ...] = ()
        self.on_wait: tuple[Callable[[RetryDetails, int], None], ...] = ()

    def add(self, observer: Observer) -> None:
        """Add an observer, after those that are there."""
        class_ = type(observer)
        if class_.on_attempt is not Observer.on_attempt:
            self.on_attempt += (observer.on_attempt,)
        if class_.on_response is not Observer.on_response:
            self.on_response += (observer.on_response,)
        if class_.on_wait is not Observer.on_wait:
            self.on_wait += (observer.on_wait,)
