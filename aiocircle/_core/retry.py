"""Decisions about retries: pure functions without I/O. The executor carries them out."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

from aiocircle.errors import (
    APIError,
    CircleCIError,
    ConfigurationError,
    DecodeError,
    RateLimited,
    RequestError,
    ServerError,
)

__all__ = ["RetryPolicy"]

# Request Timeout and Too Early: RFC 9110 and RFC 8470 let a client repeat them.
_TRANSIENT: Final = frozenset({408, 425})


def _finite(policy: RetryPolicy, field: attrs.Attribute[Any], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"{field.name} must be seconds, zero or more, got {_shown(value)}. See RetryPolicy")


def _shown(value: object) -> str:
    """Return a number, or the type of another value: it may be the token."""
    return repr(value) if isinstance(value, int | float) else type(value).__name__


def _finite_or_none(policy: RetryPolicy, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _finite(policy, field, value)


@attrs.frozen
class RetryPolicy:
    """The limits of one call's retries: attempts and waits.

    attempts: the maximum number of requests that one call sends, the first included.
    base, cap: seconds; the wait before attempt n+1 is drawn evenly from 0 to min(cap, base * 2**(n-1)).
        If the server sends `Retry-After`, the client waits for the full time of that header instead.
    max_wait: seconds; bounds the sum of one call's waits: between attempts, for the rate limit, and in the queue
        before it. A wait that would exceed it is not begun: the error is raised immediately. None sets no bound.
    repeat_unsafe: True if a POST or PATCH may be sent again although the server may have carried it out.

    Any request is sent again after a 429, or if the connection failed before it was sent. GET, HEAD, PUT and DELETE
    are also sent again after a 5xx, a lost connection or a timeout. The same holds for a 2xx whose body was cut short
    or is not JSON.
    """

    attempts: int = 5
    base: float = attrs.field(default=0.5, validator=_finite)
    cap: float = attrs.field(default=30.0, validator=_finite)
    max_wait: float | None = attrs.field(default=120.0, validator=_finite_or_none)
    repeat_unsafe: bool = False

    def __attrs_post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigurationError(
                f"attempts must be a number of at least 1, got {_shown(self.attempts)}. It counts the first one"
            )
        if not isinstance(self.repeat_unsafe, bool):
            raise ConfigurationError(
                f"repeat_unsafe must be True or False, got {_shown(self.repeat_unsafe)}. See RetryPolicy"
            )

    def should_retry(self, error: CircleCIError, *, is_idempotent: bool) -> bool:
        """Return True if a request that ended in `error` may be sent again. is_idempotent: of its method."""
        if isinstance(error, RateLimited):
            return not error.is_local
        if isinstance(error, RequestError) and not error.is_transient:
            return False
        if isinstance(error, RequestError):
            return error.outcome == "not_done" or is_idempotent or self.repeat_unsafe
        if isinstance(error, ServerError) or (isinstance(error, DecodeError) and error.malformed):
            return is_idempotent or self.repeat_unsafe
        if isinstance(error, APIError) and error.status in _TRANSIENT:
            return is_idempotent or self.repeat_unsafe
        return False

    def remaining_wait(self, waited: float) -> float:
        """Return the seconds that a call may still wait after it waited so many; infinite without a bound."""
        return math.inf if self.max_wait is None else max(0.0, self.max_wait - waited)

    def unbounded(self) -> RetryPolicy:
        """Return the policy with waits of any length, for jobs of many requests."""
        return attrs.evolve(self, max_wait=None)

    def delay(self, attempt: int, retry_after: float | None, random: float) -> float:
        """Return the seconds to wait after attempt number `attempt` (from 1) failed.

        retry_after: the seconds of the response's Retry-After. random: a number in [0, 1).
        """
        if retry_after is not None:
            return retry_after
        # The exponent is bounded: 2.0 ** 1024 overflows.
        return random * min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))
