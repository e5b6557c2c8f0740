"""Whether a request is sent again, and when: a table of decisions, and the reading of Retry-After."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from aiocircle import errors
from aiocircle._core.retry import RetryPolicy, retry_after

NOW = 1_700_000_000.0  # seconds since the epoch


# --- the policy's own values ----------------------------------------------------------------------------------


def test_the_defaults_are_those_that_are_documented() -> None:
    """A caller's own calculation of the longest wait rests on them."""
    assert RetryPolicy() == RetryPolicy(attempts=5, base=0.5, cap=30.0, max_wait=120.0, repeat_unsafe=False)


@pytest.mark.parametrize("name", ["base", "cap", "max_wait"])
@pytest.mark.parametrize("value", [-1, -0.001, math.inf, math.nan, True, None, "1"])
def test_seconds_are_checked(name: str, value: Any) -> None:
    """At once, and by name: not in the middle of the first failure."""
    with pytest.raises(errors.ConfigurationError, match=f"{name}=…"):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("attempts", [0, -1, 1.0, True, None, "5"])
def test_attempts_are_checked(attempts: Any) -> None:
    """They count the first one, so that none at all is a mistake."""
    with pytest.raises(errors.ConfigurationError, match="at least 1"):
        RetryPolicy(attempts=attempts)


@pytest.mark.parametrize("word", ["no", 1, None])
def test_the_callers_word_is_a_boolean(word: object) -> None:
    with pytest.raises(errors.ConfigurationError, match="repeat_unsafe=…"):
        RetryPolicy(repeat_unsafe=word)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"base": 0}, {"cap": 0}, {"max_wait": 0}, {"attempts": 1}, {"cap": 5, "base": 10}])
def test_zero_is_a_value(values: Any) -> None:
    """No wait at all is a policy, too."""
    policy = RetryPolicy(**values)
    assert {name: getattr(policy, name) for name in values} == values


# --- may it be sent again? ------------------------------------------------------------------------------------

ALWAYS = "always"
IDEMPOTENT = "if the verb is idempotent, or the caller said so"
NEVER = "never"

DECISIONS: list[tuple[errors.CircleCIError, str]] = [
    (errors.RateLimited(429, "Rate limited."), ALWAYS),
    (errors.RateLimited(429, "not sent", held_back=True), NEVER),
    (errors.ConnectionFailed("refused", outcome="not_done"), ALWAYS),
    (errors.RequestTimeout("no connection", outcome="not_done"), ALWAYS),
    (errors.ConnectionFailed("broke", outcome="unknown"), IDEMPOTENT),
    (errors.RequestTimeout("no answer", outcome="unknown"), IDEMPOTENT),
    (errors.ServerError(500, "Internal server error"), IDEMPOTENT),
    (errors.ServerError(502, "Bad Gateway"), IDEMPOTENT),
    (errors.ServerError(599, "?"), IDEMPOTENT),
    (errors.DecodeError(["$ is no JSON"], malformed=True), IDEMPOTENT),
    (errors.DecodeError(["expected a string @ $.id"]), NEVER),
    (errors.BadRequest(400, "no"), NEVER),
    (errors.Unauthorized(401, "no"), NEVER),
    (errors.Forbidden(403, "no"), NEVER),
    (errors.NotFound(404, "no"), NEVER),
    (errors.APIError(408, "no"), NEVER),
    (errors.Conflict(409, "no"), NEVER),
    (errors.Gone(410, "no"), NEVER),
    (errors.APIError(302, "moved"), NEVER),
    (errors.PaginationError("stuck"), NEVER),
    (errors.InvalidArgument("bad"), NEVER),
    (errors.ConfigurationError("bad"), NEVER),
]


@pytest.mark.parametrize(("error", "rule"), DECISIONS, ids=lambda each: each if isinstance(each, str) else repr(each))
@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("repeat_unsafe", [True, False])
def test_what_may_be_sent_again(error: errors.CircleCIError, rule: str, repeatable: bool, repeat_unsafe: bool) -> None:
    """A POST that may have been carried out is repeated only on the caller's word: a pipeline must not start twice."""
    expected = {ALWAYS: True, IDEMPOTENT: repeatable or repeat_unsafe, NEVER: False}[rule]
    assert RetryPolicy(repeat_unsafe=repeat_unsafe).may_repeat(error, repeatable=repeatable) is expected


def test_every_error_has_a_decision() -> None:
    """A new kind of error is a new line in the table above."""

    def tree(kind: type[errors.CircleCIError]) -> set[type[errors.CircleCIError]]:
        return {kind}.union(*map(tree, kind.__subclasses__()))

    public = {kind for kind in tree(errors.CircleCIError) if kind.__module__ == "aiocircle.errors"}
    assert public - {type(error) for error, _ in DECISIONS} == {errors.CircleCIError, errors.RequestError}


# --- when? ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (7, 30.0), (64, 30.0), (1024, 30.0), (10**9, 30.0)]
)
def test_the_wait_doubles_up_to_the_cap(attempt: int, longest: float) -> None:
    """And never overflows, however many attempts there were."""
    policy = RetryPolicy()
    assert policy.delay(attempt, None, 0.0) == 0.0
    assert policy.delay(attempt, None, 0.5) == longest / 2
    assert policy.delay(attempt, None, math.nextafter(1.0, 0.0)) == pytest.approx(longest)


@given(
    st.floats(0, 1e308),
    st.floats(0, 1e308),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_a_number_from_zero_to_the_cap(base: float, cap: float, attempt: int, chance: float) -> None:
    """For any policy."""
    assert 0.0 <= RetryPolicy(base=base, cap=cap).delay(attempt, None, chance) <= cap


@pytest.mark.parametrize("asked", [0.0, 0.25, 3.0, 1e9])
def test_what_the_server_asks_for_is_obeyed_in_full(asked: float) -> None:
    """Not cut by the cap, not shortened by chance; 0 means now."""
    assert RetryPolicy(cap=1.0).delay(3, asked, 0.5) == asked


# --- Retry-After ----------------------------------------------------------------------------------------------


def asked(value: str, **headers: str) -> float | None:
    return retry_after({"Retry-After": value, **headers}, NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("1", 1.0), ("60", 60.0), ("007", 7.0), ("1.5", 1.5), ("2.", 2.0), (" 3 ", 3.0), ("\t4", 4.0)],
)
def test_seconds_are_read(value: str, seconds: float) -> None:
    """0 is a number of seconds, not the lack of one."""
    assert asked(value) == seconds


@pytest.mark.parametrize("value", ["9999999999", "9" * 400, "9" * 5000, "99999999999.5"])
def test_an_absurd_number_of_seconds_is_for_ever(value: str) -> None:
    """Rather than unintelligible, which would mean to come back at once."""
    assert asked(value) == 1e9


@pytest.mark.parametrize(
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
def test_what_is_neither_seconds_nor_a_date_asks_for_nothing(value: str) -> None:
    """It is not an error, either: the policy's own wait goes instead."""
    assert asked(value) is None


def test_no_header_asks_for_nothing() -> None:
    """CircleCI sends one "in most cases"."""
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
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
    assert asked(value) == 5.0


def test_a_date_counts_from_the_answers_own_date() -> None:
    """So that a wrong clock, here or there, changes nothing."""
    assert asked("Tue, 14 Nov 2023 22:13:25 GMT", Date="Tue, 14 Nov 2023 22:13:05 GMT") == 20.0
    assert asked("Sat, 01 Jan 2000 00:01:00 GMT", Date="Sat, 01 Jan 2000 00:00:00 GMT") == 60.0


@pytest.mark.parametrize("date", ["", "yesterday", "0"])
def test_an_unreadable_date_of_the_answer_is_not_counted_from(date: str) -> None:
    """Our own clock has to do."""
    assert asked("Tue, 14 Nov 2023 22:13:25 GMT", Date=date) == 5.0


def test_a_date_in_the_past_means_now() -> None:
    """A negative wait is none."""
    assert asked("Tue, 14 Nov 2023 22:13:15 GMT") == 0.0
    assert asked("Mon, 01 Jan 0001 00:00:00 GMT", Date="Fri, 31 Dec 9999 23:59:59 GMT") == 0.0


def test_a_date_far_ahead_is_for_ever() -> None:
    """And no overflow."""
    assert asked("Fri, 31 Dec 9999 23:59:59 GMT") == 1e9


def test_the_headers_name_may_be_written_in_any_case() -> None:
    """Proxies rewrite it."""
    assert retry_after(CIMultiDict({"retry-after": "2"}), NOW) == 2.0


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_dates_and_seconds_agree(seconds: int, skew: int) -> None:
    """However far the server's clock is off."""
    date = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=skew)
    until = format_datetime(date + timedelta(seconds=seconds), usegmt=True)
    assert asked(until, Date=format_datetime(date, usegmt=True)) == asked(str(seconds)) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2},? ?[0-9A-Za-z+:,\- ]{0,40}"), st.text(max_size=40))
def test_no_header_breaks_anything(value: str, date: str) -> None:
    """Whatever a proxy writes there."""
    seconds = asked(value, Date=date)
    assert seconds is None or 0.0 <= seconds <= 1e9
