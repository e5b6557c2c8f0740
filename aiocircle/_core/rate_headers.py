"""Rate-limit headers and Retry-After: from text to numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
from multidict import istr

__all__ = ["RateLimit", "parse_rate_limits", "retry_after"]

_WINDOWS: Final = {"Second": 1.0, "Minute": 60.0, "Hour": 3600.0, "Day": 86400.0}  # seconds
_LEADING_NUMBER = re.compile(r"\s*([0-9]{1,15})")
_POLICY_WINDOW = re.compile(r"w\s*=\s*([0-9]{1,9})")

_RETRY_AFTER: Final = istr("Retry-After")
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_MAX_SECONDS: Final = 1e9  # thirty years; more would overflow arithmetic


@attrs.frozen(kw_only=True)
class RateLimit:
    """The strictest limit of one family of paths, as the API last reported it.

    limit: requests per window. window: seconds; None if the header does not name it. remaining: requests left in
    the window. reset: seconds until the window ends, counted from the response. rate: requests per second that
    the client keeps to now; None if it keeps to none.
    """

    limit: int | None = None
    window: float | None = None
    remaining: int | None = None
    reset: float | None = None
    rate: float | None = None


class _HeaderNames:
    """The names of one kind of rate-limit headers. An istr is looked up without a copy in lower case."""

    def __init__(self, prefix: str) -> None:
        self.limit, self.remaining, self.reset = _istrs(prefix, "")
        self.windows = [(*_istrs(prefix, f"-{name}"), window) for name, window in _WINDOWS.items()]
        # A response that has none of these has no limit of this kind.
        self.telling = (self.limit, self.remaining, *(names[0] for names in self.windows))


def _istrs(prefix: str, suffix: str) -> tuple[istr, istr, istr]:
    limit, remaining, reset = (istr(f"{prefix}-{name}{suffix}") for name in ("Limit", "Remaining", "Reset"))
    return limit, remaining, reset


_NAMES: Final = (_HeaderNames("X-RateLimit"), _HeaderNames("RateLimit"))
_TELLING: Final = tuple(name for names in _NAMES for name in names.telling)


def parse_rate_limits(headers: Mapping[str, str]) -> list[RateLimit]:
    """Return all limits that the headers name."""
    if headers.keys().isdisjoint(_TELLING):
        return []
    return [limit for names in _NAMES for limit in _parse_kind(headers, names)]


def _parse_kind(headers: Mapping[str, str], names: _HeaderNames) -> list[RateLimit]:
    limits: list[RateLimit] = []
    if not any(name in headers for name in names.telling):
        return limits
    # The plain numbers belong to the shortest window that is named, or to the only limit.
    remaining, reset = _number(headers.get(names.remaining)), _number(headers.get(names.reset))
    for limit_name, remaining_name, reset_name, window in names.windows:
        size = _number(headers.get(limit_name))
        if size is not None:
            own_remaining, own_reset = _number(headers.get(remaining_name)), _number(headers.get(reset_name))
            limits.append(
                _rate_limit(
                    size,
                    window,
                    remaining if own_remaining is None else own_remaining,
                    reset if own_reset is None else own_reset,
                )
            )
            remaining = reset = None
    if not limits:
        policy = headers.get(names.limit, "")
        match = _POLICY_WINDOW.search(policy)
        limits.append(_rate_limit(_number(policy), float(match[1]) if match else None, remaining, reset))
    return limits


def _rate_limit(limit: int | None, window: float | None, remaining: int | None, reset: int | None) -> RateLimit:
    # Some servers send a point in time as the Reset. No window lasts longer than itself.
    seconds = None if reset is None else min(float(reset), window or _MAX_SECONDS)
    return RateLimit(limit=limit, window=window or None, remaining=remaining, reset=seconds)


def _number(value: str | None) -> int | None:
    match = _LEADING_NUMBER.match(value) if value else None
    return int(match[1]) if match else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of a response's `Retry-After`; None if it is missing or malformed.

    An HTTP date counts from the response's own `Date`, because either clock may be wrong, otherwise from `now`
    (seconds since the epoch). A date in the past means zero.
    """
    value = headers.get(_RETRY_AFTER, "").strip()
    if not value:
        return None
    if _SECONDS.fullmatch(value):
        return min(float(value), _MAX_SECONDS)
    until = _http_date(value)
    if until is None:
        return None
    since = _http_date(headers.get("Date", ""))
    return min(max(0.0, until - (now if since is None else since)), _MAX_SECONDS)


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
