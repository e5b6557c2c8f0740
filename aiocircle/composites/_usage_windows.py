"""The windows of a usage export: the API limits how long one export may be."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Final

from aiocircle.errors import InvalidArgument

__all__ = ["split_window"]

# https://circleci.com/docs/api/v2/#operation/createUsageExport
_MAX_WINDOW: Final = timedelta(days=31)
_MAX_MONTHS: Final = 13


def split_window(start: datetime, end: datetime, *, now: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return the windows of at most 31 days that cover `start` to `end`, oldest first. Each begins where one ends.

    Raise InvalidArgument if a time has no offset, or if the order is wrong. It is also raised if `end` is in the
    future, or `start` more than 13 months before `now`.
    """
    for name, moment in (("start", start), ("end", end)):
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            got = "one without an offset" if isinstance(moment, datetime) else type(moment).__name__
            raise InvalidArgument(f"{name} must be an aware datetime, got {got}. Pass tzinfo=UTC, for example.")
    if end <= start:
        raise InvalidArgument(f"end must be after start, got {start.isoformat()} to {end.isoformat()}. Exchange them.")
    if end > now:
        raise InvalidArgument(f"end must not be in the future, got {end.isoformat()}. Pass the present or earlier.")
    earliest = _months_before(now, _MAX_MONTHS)
    if start < earliest:
        raise InvalidArgument(
            f"start must be at most {_MAX_MONTHS} months ago, got {start.isoformat()}. "
            f"Pass {earliest.isoformat()} or later: CircleCI keeps no older usage."
        )
    windows: list[tuple[datetime, datetime]] = []
    while start < end:
        until = min(start + _MAX_WINDOW, end)
        windows.append((start, until))
        start = until
    return tuple(windows)


def _months_before(moment: datetime, months: int) -> datetime:
    years, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    return moment.replace(year=years, month=month + 1, day=min(moment.day, monthrange(years, month + 1)[1]))
