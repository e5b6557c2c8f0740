"""Outbound webhooks, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from aiocircle import UNSET, errors
from aiocircle.resources.webhooks import Webhook, WebhookEvent, WebhookScope

WEBHOOK = "3f9a0ad1-7b8e-4a55-9d0e-6f0a3b1c2d4e"
PROJECT = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
URL = "https://hooks.example.org/circleci"


async def made(circle, **fields):
    """A new webhook of gh/acme/web."""
    project = await circle.projects.get("gh/acme/web")
    given = {
        "name": "mine",
        "events": ["workflow-completed", "job-completed"],
        "url": URL,
        "verify_tls": True,
        "signing_secret": "hunter2",
        "scope": {"id": project.id, "type": "project"},
    }
    return await circle.webhooks.create(**given | fields)


async def test_webhook_is_created(circle):
    """A webhook is created. Its secret comes back masked."""
    webhook = await made(circle)
    assert isinstance(webhook, Webhook)
    assert webhook.events == (WebhookEvent.WORKFLOW_COMPLETED, WebhookEvent.JOB_COMPLETED)
    assert webhook.verify_tls is True
    assert webhook.signing_secret == "****"


async def test_single_event_and_scope_model(circle, arrived):
    """A single event is sent as an array of one, and the scope may be a model."""
    project = await circle.projects.get("gh/acme/web")
    webhook = await made(circle, events=WebhookEvent.JOB_COMPLETED, scope=WebhookScope(id=project.id))
    assert arrived().json["events"] == ["job-completed"]
    assert arrived().json["scope"] == {"id": project.id, "type": "project"}
    assert webhook.scope == WebhookScope(id=project.id, type="project")


async def test_webhook_life_cycle(circle):
    """A webhook is listed by its scope, read and deleted."""
    webhook = await made(circle)
    listed = await circle.webhooks.list(scope_id=UUID(webhook.scope.id), scope_type="project").collect()
    assert webhook in listed
    assert await circle.webhooks.get(webhook.id) == webhook
    assert await circle.webhooks.delete(UUID(webhook.id)) is None
    with pytest.raises(errors.NotFound):
        await circle.webhooks.get(webhook.id)


async def test_update_sends_the_secret(circle):
    """An update sends the secret that it needs."""
    webhook = await made(circle)
    updated = await circle.webhooks.update(
        webhook.id, signing_secret="new", name="theirs", events="job-completed", url=URL + "/2", verify_tls=False
    )
    assert (updated.name, updated.url, updated.verify_tls) == ("theirs", URL + "/2", False)
    assert updated.signing_secret == "****"
    assert updated.scope == webhook.scope


async def test_update_without_secret_deletes_it(circle, arrived):
    """An update with None as the secret omits it, which deletes it."""
    webhook = await made(circle)
    updated = await circle.webhooks.update(
        webhook.id, signing_secret=None, name=webhook.name, events=webhook.events, url=webhook.url, verify_tls=True
    )
    assert "signing-secret" not in arrived().json
    assert updated.signing_secret == ""


async def test_update_needs_the_secret(circle, server):
    """An update without signing_secret is a TypeError."""
    with pytest.raises(TypeError, match="signing_secret"):
        await circle.webhooks.update(WEBHOOK, name="x")
    assert server.requests == []


async def test_update_refuses_an_unset_secret(circle, server):
    """UNSET as the secret raises InvalidArgument."""
    with pytest.raises(errors.InvalidArgument, match="signing_secret"):
        await circle.webhooks.update(WEBHOOK, signing_secret=UNSET)
    assert server.requests == []


async def test_repr_of_a_webhook_has_no_secret():
    """The secret of a webhook is not in its repr."""
    webhook = Webhook(id=WEBHOOK, name="mine", url=URL, signing_secret="hunter2")
    assert "hunter2" not in repr(webhook)


@pytest.mark.parametrize("mark", ["_", "-"])
async def test_webhook_in_both_spellings(circle, answer, mark):
    """Keys are read with hyphens and with underscores."""
    wired = {
        "id": WEBHOOK,
        "name": "mine",
        "url": URL,
        "events": ["workflow-completed"],
        "scope": {"id": PROJECT, "type": "project"},
        f"verify{mark}tls": False,
        f"signing{mark}secret": "****",
        f"created{mark}at": "2026-11-20T10:00:00.000Z",
        f"updated{mark}at": "2026-11-20T11:00:00.000Z",
    }
    answer({"items": [wired], "next_page_token": None})
    assert await circle.webhooks.list(scope_id=PROJECT, scope_type="project").collect() == [
        Webhook(
            id=WEBHOOK,
            name="mine",
            url=URL,
            events=("workflow-completed",),
            scope=WebhookScope(id=PROJECT, type="project"),
            verify_tls=False,
            signing_secret="****",
            created_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
            updated_at=datetime(2026, 11, 20, 11, tzinfo=UTC),
        )
    ]


async def test_webhook_with_unknown_events(circle, answer):
    """A webhook may lack a secret and have unknown events."""
    answer({"id": WEBHOOK, "name": "m", "url": URL, "events": ["deploy-completed"], "signing_secret": None})
    webhook = await circle.webhooks.get(WEBHOOK)
    assert webhook.signing_secret is None
    assert webhook.events == ("deploy-completed",)


async def test_undocumented_page_token_is_sent(circle, answer, arrived):
    """The list takes a page token even if the document omits it."""
    answer({"items": [], "next_page_token": None})
    assert await circle.webhooks.list(scope_id=PROJECT, scope_type="project", page_token="kept").collect() == []
    assert arrived().query[-1] == ("page-token", "kept")


@pytest.mark.parametrize(
    "scope", [{"id": PROJECT}, {"type": "project"}, {"id": PROJECT, "type": "project", "slug": "x"}, PROJECT, None]
)
async def test_invalid_scope_is_refused_unsent(circle, server, scope):
    """A scope of another shape raises InvalidArgument."""
    given = {"name": "m", "events": "job-completed", "url": URL, "verify_tls": True, "signing_secret": ""}
    with pytest.raises(errors.InvalidArgument, match="scope"):
        await circle.webhooks.create(**given, scope=scope)
    assert server.requests == []
