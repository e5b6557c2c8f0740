"""A call before its first attempt."""

from __future__ import annotations

from aiocircle._core.message import Request
from aiocircle._core.retrying import CallState


def test_new_call_waits_as_its_family_and_may_renew() -> None:
    """A call waits in the queue of its own family, and its token can be replaced once: it has not been yet."""
    request = Request("GET", "https://circleci.com/api/v2/me", {})
    call = CallState(request, "users.me", "v2/me", is_idempotent=True, expects_no_content=False)
    assert call.family == "v2/me"
    assert not call.is_renewed
