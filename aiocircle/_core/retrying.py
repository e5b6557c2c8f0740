"""One call through all its attempts, and the adapter to tenacity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import tenacity

from aiocircle._core.api_errors import outcome_of
from aiocircle._core.clock import Clock
from aiocircle._core.message import SAFE, Request
from aiocircle._core.observer import Observers, RetryDetails
from aiocircle._core.rate_headers import retry_after
from aiocircle._core.retry import RetryPolicy
from aiocircle._redact import Secret
from aiocircle.errors import CircleCIError, Outcome, RequestError

__all__ = ["CallState", "retry"]

R = TypeVar("R")

# Of several attempts' outcomes, the later in this order counts.
_OUTCOMES: Final[tuple[Outcome, ...]] = ("not_done", "unknown", "done")


class CallState:
    """One call through all its attempts.

    expects_no_content: nothing of a successful response is needed. waited: seconds in the queue and between attempts.
    outcome: of the requested change, after the attempts so far. token: the one that the last attempt had. is_renewed:
    the token was replaced after a 401. was_lost: the response to an earlier attempt was lost, or came too late.
    """

    attempts = 0
    waited = 0.0
    outcome: Outcome = "not_done"
    token: Secret | None = None
    is_renewed = False
    was_lost = False

    def __init__(
        self, request: Request, operation: str, family: str, is_idempotent: bool, expects_no_content: bool
    ) -> None:
        self.request = request
        self.operation = operation
        self.family = family
        self.is_idempotent = is_idempotent
        self.expects_no_content = expects_no_content

    def record_failure(self, error: CircleCIError) -> None:
        """Keep the outcome of a failed attempt, and add that of the whole call to the error."""
        error.attempts = self.attempts
        if self.request.method not in SAFE:
            outcomes = (self.outcome, outcome_of(error))
            self.outcome = max(outcomes, key=_OUTCOMES.index)
            self.was_lost = self.was_lost or (isinstance(error, RequestError) and error.outcome == "unknown")
        error.outcome = self.outcome

    def is_repeated_delete(self, status: int) -> bool:
        """Return True if a 404 of the API confirms a DELETE whose earlier response was lost.

        After a 502 or 503 it does not: the earlier request may never have reached the API.
        """
        is_gone = status == 404 and self.request.method == "DELETE" and self.expects_no_content
        return is_gone and (self.was_lost or self.outcome == "done")


async def retry(
    attempt: Callable[[], Awaitable[R]],
    first_error: CircleCIError,
    call: CallState,
    policy: RetryPolicy,
    clock: Clock,
    *,
    should_retry: Callable[[CircleCIError], bool],
    observers: Observers,
) -> R:
    """Return the result of further attempts, driven by tenacity, after the first one failed. Record their failures.

    The first error is raised again inside tenacity, which counts it as the first attempt. A call whose first attempt
    succeeds does not pay for tenacity.
    """
    pending = [first_error]

    async def attempt_again() -> R:
        if pending:
            raise pending.pop()
        try:
            return await attempt()
        except CircleCIError as error:
            call.record_failure(error)
            raise

    def wait(state: tenacity.RetryCallState) -> float:
        headers = getattr(_error(state), "headers", {})
        return policy.delay(state.attempt_number, retry_after(headers, clock.wall()), clock.random())

    def stop(state: tenacity.RetryCallState) -> bool:
        return call.attempts >= policy.attempts or state.upcoming_sleep > policy.remaining_wait(call.waited)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        call.waited += state.upcoming_sleep
        error = _error(state)
        assert isinstance(error, CircleCIError)
        details = RetryDetails(call.operation, call.attempts, state.upcoming_sleep, error)
        for notify in observers.on_wait:
            notify(details, policy.attempts)

    retrying = tenacity.AsyncRetrying(
        sleep=clock.sleep,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, CircleCIError) and should_retry(error)),
        wait=wait,
        stop=stop,
        before_sleep=before_sleep,
        reraise=True,
    )
    return await retrying(attempt_again)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
