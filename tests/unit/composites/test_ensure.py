"""One webhook of a name, also if several services ensure it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from aiocircle.composites import _ensure
from aiocircle.composites._ensure import ensure_webhook, plan_webhooks
from aiocircle.errors import BadRequest, ConfigurationError, ConnectionFailed, NotFound, RequestTimeout, ServerError
from aiocircle.resources.webhooks import Webhook
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support import ensure_stories

URL = "https://bot.example"


def test_concurrent_calls_leave_one_webhook() -> None:
    """2,000 random interleavings of up to three calls, some with a create of unknown outcome."""
    assert not ensure_stories.run_campaign(range(2000))


@pytest.mark.parametrize(
    "rule",
    [
        lambda plan: _ensure.WebhookPlan(plan.stays, ()),
        lambda plan: _ensure.WebhookPlan(plan.delete[-1] if plan.delete else plan.stays, ()),
    ],
)
def test_interleavings_notice_a_wrong_rule(monkeypatch: pytest.MonkeyPatch, rule: Callable[[Any], Any]) -> None:
    """Otherwise they would prove nothing."""
    monkeypatch.setattr(_ensure, "plan_webhooks", lambda *args, **more: rule(plan_webhooks(*args, **more)))
    assert ensure_stories.run_campaign(range(300))


def hook(id: str, name: str = "bot", url: str = "https://else.example", at: int | None = 0) -> Webhook:
    created = None if at is None else datetime.fromtimestamp(at, UTC)
    return Webhook(id=id, name=name, url=url, created_at=created)


def test_oldest_of_the_name_stays() -> None:
    """By `created_at`, then by id; one without a time is the last."""
    hooks = [hook("c", at=5), hook("b", at=5), hook("a", at=None), hook("x", "other", at=1)]
    plan = plan_webhooks(hooks, name="bot", url=URL, first_ids={"a", "b", "c", "x"})
    assert plan.stays == hooks[1]
    assert plan.delete == ()


def test_only_doubles_are_deleted() -> None:
    """Those that were not in the first list, and those with the URL of this call."""
    hooks = [hook("a", at=1), hook("b", at=2), hook("c", url=URL, at=3), hook("d", at=4), hook("e", "other", URL)]
    plan = plan_webhooks(hooks, name="bot", url=URL, first_ids={"a", "b", "c", "e"})
    assert plan.stays == hooks[0]
    assert [each.id for each in plan.delete] == ["c", "d"]


class Calls:
    """Lists in order; the last one stays. Errors by call."""

    def __init__(self, *lists: tuple[Webhook, ...], **errors: Exception) -> None:
        self.lists, self.errors, self.made = [*lists], errors, list[str]()

    def _call(self, name: str) -> None:
        self.made.append(name)
        if name.split()[0] in self.errors:
            raise self.errors[name.split()[0]]

    async def list(self) -> tuple[Webhook, ...]:
        self._call("list")
        return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]

    async def create(self) -> Webhook:
        self._call("create")
        return hook("new", url=URL)

    async def update(self, webhook_id: str, /) -> Webhook:
        self._call(f"update {webhook_id}")
        return hook(webhook_id, url=URL)

    async def delete(self, webhook_id: str, /) -> None:
        self._call(f"delete {webhook_id}")


def ensure(calls: Calls) -> Webhook:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(ensure_webhook(calls, name="bot", url=URL))


def test_existing_webhook_is_updated() -> None:
    """With one list and one PUT."""
    calls = Calls((hook("a"), hook("b", "other")))
    assert ensure(calls).id == "a"
    assert calls.made == ["list", "update a"]


def test_new_webhook_is_created_once() -> None:
    """The list after it shows no other, so it is not updated."""
    calls = Calls((), (hook("new", url=URL),))
    assert ensure(calls).id == "new"
    assert calls.made == ["list", "create", "list"]


def test_list_that_lags_creates_no_second_webhook() -> None:
    """The one that was made is returned."""
    calls = Calls(())
    assert ensure(calls).id == "new"
    assert calls.made.count("create") == 1


def test_five_other_webhooks_are_a_configuration_error() -> None:
    """Nothing is created or deleted."""
    calls = Calls(tuple(hook(str(number), f"other {number}") for number in range(5)))
    with pytest.raises(ConfigurationError, match="5 other webhooks"):
        ensure(calls)
    assert calls.made == ["list"]


def test_refused_create_lists_again() -> None:
    """Another call may have made it; otherwise the refusal is raised, and nothing is created twice."""
    calls = Calls((), (hook("a", url=URL),), create=BadRequest(400, "x"))
    assert ensure(calls).id == "a"
    calls = Calls((), create=BadRequest(400, "bad url"))
    with pytest.raises(BadRequest):
        ensure(calls)
    assert calls.made == ["list", "create", "list"]


def test_create_of_unknown_outcome_is_looked_for() -> None:
    """For ten seconds; then its error is raised. It is never sent again."""
    calls = Calls((), (), (), (hook("a", url=URL),), create=RequestTimeout("x", outcome="unknown"))
    assert ensure(calls).id == "a"
    calls = Calls((), create=ServerError(502, "x"))
    calls.errors["create"].outcome = "unknown"  # type: ignore[attr-defined]
    with pytest.raises(ServerError):
        ensure(calls)
    assert calls.made.count("create") == 1
    assert calls.made.count("list") == 12


def test_create_that_was_not_done_is_raised() -> None:
    """There is nothing to look for."""
    calls = Calls((), create=ConnectionFailed("x", outcome="not_done"))
    with pytest.raises(ConnectionFailed):
        ensure(calls)
    assert calls.made == ["list", "create"]


def test_webhook_deleted_meanwhile_is_recreated() -> None:
    """Another call deletes the webhook before its update. It is created again, a bounded number of times."""
    calls = Calls((hook("a"),), (), (hook("new", url=URL),), update=NotFound(404, "x"))
    assert ensure(calls).id == "new"
    calls = Calls((hook("a"),), update=NotFound(404, "x"))
    with pytest.raises(ConfigurationError, match="again and again"):
        ensure(calls)
    assert len(calls.made) < 30
