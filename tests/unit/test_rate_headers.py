"""Rate-limit headers and Retry-After: from text to numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from aiocircle._core.rate_headers import RateLimit, parse_rate_limits, retry_after
from tests.support.rows import each_row

NOW = 1_700_000_000.0  # seconds since the epoch


@each_row(
    ("headers", "limits"),
    [
        ({}, []),
        (
            {"X-RateLimit-Limit-Second": "20", "X-RateLimit-Remaining-Second": "3", "X-RateLimit-Limit-Hour": "36000"},
            [(20, 1.0, 3, None), (36000, 3600.0, None, None)],
        ),
        # Plain numbers belong to the shortest window.
        (
            {
                "X-RateLimit-Limit-Minute": "60",
                "X-RateLimit-Limit-Day": "9",
                "X-RateLimit-Remaining": "5",
                "X-RateLimit-Reset": "7",
            },
            [(60, 60.0, 5, 7.0), (9, 86400.0, None, None)],
        ),
        # ... or to the only limit.
        ({"RateLimit-Limit": "100;w=10", "RateLimit-Remaining": "4"}, [(100, 10.0, 4, None)]),
        ({"RateLimit-Remaining": "4", "RateLimit-Reset": "2"}, [(None, None, 4, 2.0)]),
        # A point in time is cut to the window.
        ({"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Reset": "1767225600"}, [(60, 60.0, None, 60.0)]),
        (
            {"X-RateLimit-Limit-Second": "20", "RateLimit-Limit": "5;w=1"},
            [(20, 1.0, None, None), (5, 1.0, None, None)],
        ),
        # A window's own numbers count before the plain ones.
        (
            {
                "X-RateLimit-Limit-Minute": "60",
                "X-RateLimit-Remaining-Minute": "8",
                "X-RateLimit-Reset-Minute": "9",
                "X-RateLimit-Remaining": "5",
                "X-RateLimit-Reset": "7",
            },
            [(60, 60.0, 8, 9.0)],
        ),
        ({"X-RateLimit-Limit-Second": "many"}, [(None, None, None, None)]),
        ({"RateLimit-Limit": "5;w=0"}, [(5, None, None, None)]),
        ({"x-ratelimit-limit-second": "20"}, [(20, 1.0, None, None)]),
    ],
)
def test_rate_limits_parse(headers: dict[str, str], limits: list[tuple[Any, ...]]) -> None:
    """Every limit that the headers name, with its window, remaining requests and reset."""
    expected = [RateLimit(limit=a, window=b, remaining=c, reset=d) for a, b, c, d in limits]
    assert parse_rate_limits(CIMultiDict(headers)) == expected


def test_response_may_have_all_rate_limit_headers() -> None:
    """Each window of each kind is a limit."""
    windows = ("", "-Second", "-Minute", "-Hour", "-Day")
    names = [f"{kind}-Limit{window}" for kind in ("X-RateLimit", "RateLimit") for window in windows]
    names += ["X-RateLimit-Remaining", "RateLimit-Remaining"]
    assert len(parse_rate_limits(CIMultiDict(dict.fromkeys(names, "5")))) == 8


@given(st.dictionaries(st.sampled_from(["X-RateLimit-Limit-Second", "RateLimit-Limit", "RateLimit-Reset"]), st.text()))
def test_rate_limits_never_raise(headers: dict[str, str]) -> None:
    """Any text in the headers is read, or ignored."""
    for limit in parse_rate_limits(CIMultiDict(headers)):
        assert limit.limit is None or limit.limit >= 0


def seconds_of(value: str, **headers: str) -> float | None:
    return retry_after({"Retry-After": value, **headers}, NOW)


@each_row(
    ("value", "seconds"),
    [("0", 0.0), ("1", 1.0), ("60", 60.0), ("007", 7.0), ("1.5", 1.5), ("2.", 2.0), (" 3 ", 3.0), ("\t4", 4.0)],
)
def test_seconds_are_read(value: str, seconds: float) -> None:
    """0 is a number of seconds, not the lack of one."""
    assert seconds_of(value) == seconds


@pytest.mark.parametrize("value", ["9999999999", "9" * 400, "9" * 5000, "99999999999.5"])
def test_an_absurd_number_of_seconds_is_bounded(value: str) -> None:
    """It becomes the maximum. An unreadable value would permit an immediate retry."""
    assert seconds_of(value) == 1e9


@each_row(
    "value",
    [
        "",
        " ",
        "-1",
        "+1",
        "soon",
        "5 s",
        "1e3",
        "0x10",
        "1_000",
        "inf",
        "nan",
        ".",
        ".5",
        "1,5",
        "3, 4",
        "\uff11",
        "²",
        "\u0663",
        "2023-11-14T22:13:25Z",
        "Wed, 32 Nov 2023 22:13:25 GMT",
        "Tue, 14 Nov 2023 25:13:25 GMT",
        "Tue, 14 Nov 2023 22:13:25 +9999",
        "Tue, 14 Nov 99999999999 22:13:25 GMT",
    ],
)
def test_invalid_retry_after_is_ignored(value: str) -> None:
    """It is not an error: the policy's own delay is used."""
    assert seconds_of(value) is None


def test_a_missing_header_has_no_seconds() -> None:
    """CircleCI sends one "in most cases"."""
    assert retry_after({}, NOW) is None


@each_row(
    "value",
    [
        "Tue, 14 Nov 2023 22:13:25 GMT",
        "Tuesday, 14-Nov-23 22:13:25 GMT",
        "Tue Nov 14 22:13:25 2023",
        "Tue, 14 Nov 2023 22:13:25 -0000",
        "Tue, 14 Nov 2023 22:13:25",
        "Tue, 14 Nov 2023 23:13:25 +0100",
    ],
)
def test_a_date_is_read_in_every_form_of_http(value: str) -> None:
    """The two old forms as well; a date without a zone is GMT."""
    assert seconds_of(value) == 5.0


def test_a_date_counts_from_the_responses_own_date() -> None:
    """A wrong clock, of the client or the server, therefore changes nothing."""
    assert seconds_of("Tue, 14 Nov 2023 22:13:25 GMT", Date="Tue, 14 Nov 2023 22:13:05 GMT") == 20.0
    assert seconds_of("Sat, 01 Jan 2000 00:01:00 GMT", Date="Sat, 01 Jan 2000 00:00:00 GMT") == 60.0


@pytest.mark.parametrize("date", ["", "yesterday", "0"])
def test_invalid_date_header_is_ignored(date: str) -> None:
    """The client's own clock is used instead."""
    assert seconds_of("Tue, 14 Nov 2023 22:13:25 GMT", Date=date) == 5.0


def test_a_date_in_the_past_means_now() -> None:
    """A negative wait becomes zero."""
    assert seconds_of("Tue, 14 Nov 2023 22:13:15 GMT") == 0.0
    assert seconds_of("Mon, 01 Jan 0001 00:00:00 GMT", Date="Fri, 31 Dec 9999 23:59:59 GMT") == 0.0


def test_a_date_far_ahead_is_for_ever() -> None:
    """And no overflow."""
    assert seconds_of("Fri, 31 Dec 9999 23:59:59 GMT") == 1e9


def test_the_headers_name_may_be_written_in_any_case() -> None:
    """Proxies rewrite it."""
    assert retry_after(CIMultiDict({"retry-after": "2"}), NOW) == 2.0


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_dates_and_seconds_agree(seconds: int, skew: int) -> None:
    """They agree for any error of the server's clock."""
    date = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=skew)
    until = format_datetime(date + timedelta(seconds=seconds), usegmt=True)
    assert seconds_of(until, Date=format_datetime(date, usegmt=True)) == seconds_of(str(seconds)) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2},? ?[0-9A-Za-z+:,\- ]{0,40}"), st.text(max_size=40))
def test_no_header_breaks_anything(value: str, date: str) -> None:
    """Any text of a proxy gives seconds or None."""
    seconds = seconds_of(value, Date=date)
    assert seconds is None or 0.0 <= seconds <= 1e9
