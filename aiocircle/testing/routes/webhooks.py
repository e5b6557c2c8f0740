"""Webhooks that CircleCI calls when something ends."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..call import Answer, Call, Routes, iso_ms
from ..history import DAY
from ..identity import Kind, digest, is_uuid
from ..world import World, now

__all__ = ["routes"]

routes = Routes()

_EVENTS = ("workflow-completed", "job-completed")
_MOST = 5


@attrs.define(eq=False, kw_only=True)
class _Webhook:
    id: str
    project_id: str
    name: str
    url: str
    events: list[str]
    verify_tls: bool
    secret: str
    created: float
    updated: float


class _Webhooks:
    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Webhook] = {}
        for project in world.projects.values():
            if project.write_history is None:
                continue
            created = world.anchor - 70 * DAY
            made = _Webhook(
                id=world.identities.uuid(Kind.WEBHOOK, project.key),
                project_id=project.id,
                name="chat",
                url="https://hooks.acme.example/circleci",
                events=["workflow-completed"],
                verify_tls=True,
                secret=digest("webhook", project.key).hex() if project.key % 3 else "",
                created=created,
                updated=created,
            )
            self.by_id[made.id] = made


def _show(call: Call, webhook: _Webhook) -> dict[str, Any]:
    return call.spell(
        {
            "url": webhook.url,
            "verify_tls": webhook.verify_tls,
            "id": webhook.id,
            "signing_secret": "****" if webhook.secret else "",
            "updated_at": iso_ms(webhook.updated),
            "name": webhook.name,
            "created_at": iso_ms(webhook.created),
            "scope": {"id": webhook.project_id, "type": "project"},
            "events": webhook.events,
        },
        "verify_tls",
        "signing_secret",
        "updated_at",
        "created_at",
    )


def _of(call: Call, project_id: str) -> list[_Webhook]:
    return [each for each in call.world.part(_Webhooks).by_id.values() if each.project_id == project_id]


def _webhook(call: Call) -> _Webhook:
    return call.found(call.world.part(_Webhooks).by_id.get(call.uuid("webhook-id")), "Webhook not found")


@routes.add("GET", "/webhook", "webhooks.list")
def list_all(call: Call) -> Answer:
    """A project's webhooks, always all of them."""
    scope, kind = call.one("scope-id"), call.one("scope-type")
    if scope is None or not is_uuid(scope):
        call.refuse(400, "scope-id: must be a valid UUID.")
    if kind != "project":
        call.refuse(400, "scope-type: must be one of project.")
    call.found(call.world.project_by_id(scope), "Project not found")
    return call.json({"items": [_show(call, each) for each in _of(call, scope.lower())], "next_page_token": None})


@routes.add("POST", "/webhook", "webhooks.create")
def create(call: Call) -> Answer:
    """Make a webhook; fields that are spelt otherwise are dropped without a word."""
    fields = call.fields("name", "events", "url", "scope")
    scope: object = fields["scope"]
    if not isinstance(scope, dict):
        call.refuse(400, "scope: must be an object.")
    where = cast("dict[str, object]", scope)
    ident = where.get("id")
    if where.get("type") != "project" or not isinstance(ident, str) or not is_uuid(ident):
        call.refuse(400, "scope: must be a project and its UUID.")
    project = call.found(call.world.project_by_id(ident), "Project not found")
    if len(_of(call, project.id)) >= _MOST:
        call.refuse(400, "A project can have at most 5 webhooks.")
    made = _Webhook(
        id=call.world.new_id(Kind.WEBHOOK),
        project_id=project.id,
        name="",
        url="",
        events=[],
        verify_tls=True,
        secret="",
        created=now(),
        updated=now(),
    )
    _change(call, made, fields)
    call.world.part(_Webhooks).by_id[made.id] = made
    call.changed(made.id)
    return call.json(_show(call, made), 201)


@routes.add("GET", "/webhook/{webhook-id}", "webhooks.get")
def get(call: Call) -> Answer:
    """A webhook."""
    return call.json(_show(call, _webhook(call)))


@routes.add("PUT", "/webhook/{webhook-id}", "webhooks.update")
def update(call: Call) -> Answer:
    """Change a webhook: a secret that is not sent again is gone."""
    webhook = _webhook(call)
    _change(call, webhook, call.fields())
    webhook.updated = now()
    call.changed(webhook.id)
    return call.json(_show(call, webhook))


@routes.add("DELETE", "/webhook/{webhook-id}", "webhooks.delete")
def delete(call: Call) -> Answer:
    """Delete a webhook."""
    webhook = _webhook(call)
    del call.world.part(_Webhooks).by_id[webhook.id]
    call.changed(webhook.id)
    return call.message("Webhook deleted.")


def _change(call: Call, webhook: _Webhook, fields: dict[str, Any]) -> None:
    """Check all fields, then take them over; the scope stays."""
    name: object = fields.get("name", webhook.name)
    url: object = fields.get("url", webhook.url)
    events: object = fields.get("events", webhook.events)
    verify_tls: object = fields.get("verify-tls", webhook.verify_tls)
    secret: object = fields.get("signing-secret")
    if not isinstance(name, str) or not name:
        call.refuse(400, "name: must be a non-empty string.")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        call.refuse(400, "url: must be a URL.")
    if not isinstance(events, list) or not events or any(each not in _EVENTS for each in cast("list[object]", events)):
        call.refuse(400, f"events: must be of {', '.join(_EVENTS)}.")
    if not isinstance(verify_tls, bool):
        call.refuse(400, "verify-tls: must be a boolean.")
    if secret is not None and not isinstance(secret, str):
        call.refuse(400, "signing-secret: must be a string.")
    webhook.name, webhook.url, webhook.verify_tls = name, url, verify_tls
    webhook.events, webhook.secret = cast("list[str]", events), secret or ""
