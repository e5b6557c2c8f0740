"""Windows of a usage export."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle.composites._usage_windows import split_window
from aiocircle.errors import InvalidArgument
from tests.support.rows import each_row

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@given(st.integers(1, 395 * 86_400), st.integers(0, 395 * 86_400))
def test_windows_cover_the_time_once(length: int, ago: int) -> None:
    """Each of at most 31 days, without gap or overlap, as few as possible."""
    end = NOW - timedelta(seconds=min(ago, 395 * 86_400 - length))
    start = end - timedelta(seconds=length)
    windows = split_window(start, end, now=NOW)
    assert windows[0][0] == start
    assert windows[-1][1] == end
    assert all(first[1] == second[0] for first, second in pairwise(windows))
    assert all(timedelta(0) < until - since <= timedelta(days=31) for since, until in windows)
    assert len(windows) == -(-length // (31 * 86_400))


@each_row(
    ("start", "end", "message"),
    [
        (datetime(2026, 1, 1), NOW, "start must be an aware datetime"),
        (NOW - timedelta(1), datetime(2026, 11, 26), "end must be an aware datetime"),
        ("2026-01-01", NOW, "got str"),
        (NOW, NOW, "end must be after start"),
        (NOW, NOW - timedelta(1), "end must be after start"),
        (NOW - timedelta(1), NOW + timedelta(seconds=1), "end must not be in the future"),
        (datetime(2025, 10, 26, 11, 59, tzinfo=UTC), NOW, "start must be at most 13 months ago"),
    ],
)
def test_bad_window_is_refused(start: datetime, end: datetime, message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match=message):
        split_window(start, end, now=NOW)


def test_thirteen_months_are_of_the_calendar() -> None:
    """Also from a day that the other month does not have, and in another offset."""
    now = datetime(2027, 3, 31, tzinfo=timezone(timedelta(hours=-5)))
    assert split_window(datetime(2026, 2, 28, 5, tzinfo=UTC), now, now=now)[-1][1] == now
    with pytest.raises(InvalidArgument):
        split_window(datetime(2026, 2, 28, 4, 59, tzinfo=UTC), now, now=now)
