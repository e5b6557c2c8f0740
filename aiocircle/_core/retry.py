"""Whether to send again, and when: pure decisions. The executor carries them out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import attrs

from aiocircle.errors import (
    CircleCIError,
    ConfigurationError,
    DecodeError,
    RateLimited,
    RequestError,
    ServerError,
)

__all__ = ["RetryPolicy", "retry_after"]

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
# Seconds; thirty years are as good as for ever, and more would overflow arithmetic.
_FOR_EVER = 1e9


def _finite(policy: RetryPolicy, field: attrs.Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"RetryPolicy({field.name}=…) takes seconds, zero or more, not {value!r}")


@attrs.frozen
class RetryPolicy:
    """How often and how patiently one call is tried.

    attempts: the most requests that one call sends, the first included.
    base, cap: seconds; the wait before attempt n+1 is drawn evenly from 0 to min(cap, base * 2**(n-1)).
        A `Retry-After` of the server's is obeyed in full instead.
    max_wait: seconds; bounds the sum of one call's waits, those at the rate-limit gate included. What would
        exceed it is raised at once.
    repeat_unsafe: the caller's word that a POST or PATCH may be sent again though it may have been carried out.

    Sent again are: any request after a 429 or when the connection failed before it was sent; GET, HEAD, PUT and
    DELETE also after a 5xx, a lost connection, a timeout, or a 2xx whose body was cut or is no JSON.
    """

    attempts: int = 5
    base: float = attrs.field(default=0.5, validator=_finite)
    cap: float = attrs.field(default=30.0, validator=_finite)
    max_wait: float = attrs.field(default=120.0, validator=_finite)
    repeat_unsafe: bool = False

    def __attrs_post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigurationError(
                f"RetryPolicy(attempts=…) counts the first attempt too, so at least 1, not {self.attempts!r}"
            )
        if not isinstance(self.repeat_unsafe, bool):
            raise ConfigurationError(f"RetryPolicy(repeat_unsafe=…) is True or False, not {self.repeat_unsafe!r}")

    def may_repeat(self, error: CircleCIError, *, repeatable: bool) -> bool:
        """Whether a request that ended in `error` may be sent again; `repeatable` says that its verb is idempotent."""
        if isinstance(error, RateLimited):
            return not error.held_back
        if isinstance(error, RequestError):
            return error.outcome == "not_done" or repeatable or self.repeat_unsafe
        if isinstance(error, ServerError) or (isinstance(error, DecodeError) and error.malformed):
            return repeatable or self.repeat_unsafe
        return False

    def delay(self, attempt: int, asked: float | None, chance: float) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed.

        asked: the seconds of the answer's Retry-After. chance: a random number in [0, 1).
        """
        if asked is not None:
            return asked
        # The exponent is bounded: 2.0 ** 1024 overflows.
        return chance * min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that an answer's `Retry-After` asks for; None where it asks for nothing intelligible.

    An HTTP date counts from the answer's own `Date`, so that a wrong clock on either side does not matter, else
    from `now` (seconds since the epoch). A date in the past means now.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if _SECONDS.fullmatch(value):
        return min(float(value), _FOR_EVER)
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(headers.get("Date", ""))
    return min(max(0.0, until - (now if since is None else since)), _FOR_EVER)


def _http_date(value: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return (parsed - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except OverflowError:
        return None
