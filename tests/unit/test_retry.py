"""Decisions about retries, as a table, and the reading of Retry-After."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocircle import errors
from aiocircle._core.retry import RetryPolicy
from tests.support.rows import each_row

# --- the policy's own values ----------------------------------------------------------------------------------


def test_the_defaults_are_those_that_are_documented() -> None:
    """A caller's own calculation of the longest wait rests on them."""
    assert RetryPolicy() == RetryPolicy(attempts=5, base=0.5, cap=30.0, max_wait=120.0, repeat_unsafe=False)


@pytest.mark.parametrize("name", ["base", "cap", "max_wait"])
@pytest.mark.parametrize("value", [-1, -0.001, math.inf, math.nan, True, "1"])
def test_seconds_are_checked(name: str, value: Any) -> None:
    """The constructor refuses them by name, before the first failure of a request."""
    with pytest.raises(errors.ConfigurationError, match=f"{name} must be seconds"):
        RetryPolicy(**{name: value})


def test_max_wait_none_sets_no_bound() -> None:
    """None is a value of max_wait alone. What is left of a bound never falls below zero."""
    assert RetryPolicy(max_wait=None).remaining_wait(1e9) == math.inf
    assert RetryPolicy(attempts=2).unbounded() == RetryPolicy(attempts=2, max_wait=None)
    assert RetryPolicy(max_wait=10).remaining_wait(4) == 6.0
    assert RetryPolicy(max_wait=10).remaining_wait(40) == 0.0
    with pytest.raises(errors.ConfigurationError, match="cap must be seconds"):
        RetryPolicy(cap=None)  # type: ignore[arg-type]


@each_row("attempts", [0, -1, 1.0, True, None, "5"])
def test_attempts_are_checked(attempts: Any) -> None:
    """They count the first one, so that none at all is a mistake."""
    with pytest.raises(errors.ConfigurationError, match="at least 1"):
        RetryPolicy(attempts=attempts)


@pytest.mark.parametrize("word", ["no", 1, None])
def test_repeat_unsafe_is_a_boolean(word: object) -> None:
    """repeat_unsafe must be True or False."""
    with pytest.raises(errors.ConfigurationError, match="repeat_unsafe must be"):
        RetryPolicy(repeat_unsafe=word)  # type: ignore[arg-type]


@each_row("values", [{"base": 0}, {"cap": 0}, {"max_wait": 0}, {"attempts": 1}, {"cap": 5, "base": 10}])
def test_zero_is_a_value(values: Any) -> None:
    """A policy may also have no waits."""
    policy = RetryPolicy(**values)
    assert {name: getattr(policy, name) for name in values} == values


# --- may it be sent again? ------------------------------------------------------------------------------------

ALWAYS = "always"
IDEMPOTENT = "if the verb is idempotent, or the caller said so"
NEVER = "never"

DECISIONS: list[tuple[errors.CircleCIError, str]] = [
    (errors.RateLimited(429, "Rate limited."), ALWAYS),
    (errors.RateLimited(429, "not sent", is_local=True), NEVER),
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
    (errors.APIError(408, "no"), IDEMPOTENT),
    (errors.APIError(425, "no"), IDEMPOTENT),
    (errors.ConnectionFailed("certificate", outcome="not_done", is_transient=False), NEVER),
    (errors.Conflict(409, "no"), NEVER),
    (errors.Gone(410, "no"), NEVER),
    (errors.APIError(302, "moved"), NEVER),
    (errors.PaginationError("stuck"), NEVER),
    (errors.InvalidArgument("bad"), NEVER),
    (errors.ConfigurationError("bad"), NEVER),
    (errors.EventError("bad"), NEVER),
    (errors.SignatureError("bad"), NEVER),
    (errors.MalformedEvent(["bad"]), NEVER),
    (errors.DownloadError("x"), NEVER),
    (errors.DownloadErrors("x", [errors.DownloadError("x")]), NEVER),
    (errors.WaitTimeout(None), NEVER),
    (errors.NotReady("absent"), NEVER),
    (errors.ChangeErrors("x", [errors.Conflict(409, "x")]), NEVER),
]


@each_row(("error", "rule"), DECISIONS)
def test_what_may_be_sent_again(error: errors.CircleCIError, rule: str) -> None:
    """A POST that may have been carried out is repeated only on the caller's word: a pipeline must not start twice."""
    for is_idempotent, repeat_unsafe in product((True, False), repeat=2):
        expected = {ALWAYS: True, IDEMPOTENT: is_idempotent or repeat_unsafe, NEVER: False}[rule]
        policy = RetryPolicy(repeat_unsafe=repeat_unsafe)
        assert policy.should_retry(error, is_idempotent=is_idempotent) is expected, (is_idempotent, policy)


def test_every_error_has_a_decision() -> None:
    """A new kind of error is a new line in the table above."""

    def tree(kind: type[errors.CircleCIError]) -> set[type[errors.CircleCIError]]:
        return {kind}.union(*map(tree, kind.__subclasses__()))

    public = {kind for kind in tree(errors.CircleCIError) if kind.__module__ == "aiocircle.errors"}
    assert public - {type(error) for error, _ in DECISIONS} == {errors.CircleCIError, errors.RequestError}


# --- when? ----------------------------------------------------------------------------------------------------


@each_row(
    ("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (7, 30.0), (64, 30.0), (1024, 30.0), (10**9, 30.0)]
)
def test_the_wait_doubles_up_to_the_cap(attempt: int, longest: float) -> None:
    """The wait never overflows, for any number of attempts."""
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


@pytest.mark.parametrize("retry_after", [0.0, 0.25, 3.0, 1e9])
def test_retry_after_is_obeyed_in_full(retry_after: float) -> None:
    """The cap does not cut it, and jitter does not shorten it; 0 means immediately."""
    assert RetryPolicy(cap=1.0).delay(3, retry_after, 0.5) == retry_after


@each_row(("value", "shown"), [(-1, "-1"), (-0.5, "-0.5"), (math.nan, "nan"), ("a-token", "str"), ([], "list")])
def test_message_shows_numbers_only(value: Any, shown: str) -> None:
    """Any other value may be the token: its type is shown."""
    with pytest.raises(errors.ConfigurationError, match=f"base must be .*, got {shown}\\."):
        RetryPolicy(base=value)
