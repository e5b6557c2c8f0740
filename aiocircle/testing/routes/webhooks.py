"""Webhooks that CircleCI calls when something ends."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..ids import Kind, digest, is_uuid
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso_ms

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
    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Webhook] = {}
        for project in state.projects.values():
            if project.generate_history is None:
                continue
            created = state.midnight - 70 * DAY
            new = _Webhook(
                id=state.ids.uuid(Kind.WEBHOOK, project.key),
                project_id=project.id,
                name="chat",
                url="https://hooks.acme.example/circleci",
                events=["workflow-completed"],
                verify_tls=True,
                secret=digest("webhook", project.key).hex() if project.key % 3 else "",
                created=created,
                updated=created,
            )
            self.by_id[new.id] = new


def _show(request: RequestContext, webhook: _Webhook) -> dict[str, Any]:
    return request.spell_keys(
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


def _of(request: RequestContext, project_id: str) -> list[_Webhook]:
    return [each for each in request.state.group_state(_Webhooks).by_id.values() if each.project_id == project_id]


def _webhook(request: RequestContext) -> _Webhook:
    return request.require(
        request.state.group_state(_Webhooks).by_id.get(request.path_uuid("webhook-id")), "Webhook not found"
    )


@routes.add("GET", "/webhook", "webhooks.list")
def list_all(request: RequestContext) -> Response:
    """Return a project's webhooks, always all of them."""
    scope, kind = request.query_value("scope-id"), request.query_value("scope-type")
    if scope is None or not is_uuid(scope):
        request.fail(400, "scope-id: must be a valid UUID.")
    if kind != "project":
        request.fail(400, "scope-type: must be one of project.")
    request.require(request.state.project_by_id(scope), "Project not found")
    return request.respond(
        {"items": [_show(request, each) for each in _of(request, scope.lower())], "next_page_token": None}
    )


@routes.add("POST", "/webhook", "webhooks.create")
def create(request: RequestContext) -> Response:
    """Create a webhook. Fields with another spelling are dropped silently."""
    fields = request.body_fields("name", "events", "url", "scope")
    scope: object = fields["scope"]
    if not isinstance(scope, dict):
        request.fail(400, "scope: must be an object.")
    where = cast("dict[str, object]", scope)
    ident = where.get("id")
    if where.get("type") != "project" or not isinstance(ident, str) or not is_uuid(ident):
        request.fail(400, "scope: must be a project and its UUID.")
    project = request.require(request.state.project_by_id(ident), "Project not found")
    if len(_of(request, project.id)) >= _MOST:
        request.fail(400, "A project can have at most 5 webhooks.")
    new = _Webhook(
        id=request.state.new_id(Kind.WEBHOOK),
        project_id=project.id,
        name="",
        url="",
        events=[],
        verify_tls=True,
        secret="",
        created=request.state.now(),
        updated=request.state.now(),
    )
    _change(request, new, fields)
    request.state.group_state(_Webhooks).by_id[new.id] = new
    request.record_change(new.id)
    return request.respond(_show(request, new), 201)


@routes.add("GET", "/webhook/{webhook-id}", "webhooks.get")
def get(request: RequestContext) -> Response:
    """Return a webhook."""
    return request.respond(_show(request, _webhook(request)))


@routes.add("PUT", "/webhook/{webhook-id}", "webhooks.update")
def update(request: RequestContext) -> Response:
    """Update a webhook. A secret that is not sent again is deleted."""
    webhook = _webhook(request)
    _change(request, webhook, request.body_fields())
    webhook.updated = request.state.now()
    request.record_change(webhook.id)
    return request.respond(_show(request, webhook))


@routes.add("DELETE", "/webhook/{webhook-id}", "webhooks.delete")
def delete(request: RequestContext) -> Response:
    """Delete a webhook."""
    webhook = _webhook(request)
    del request.state.group_state(_Webhooks).by_id[webhook.id]
    request.record_change(webhook.id)
    return request.respond_message("Webhook deleted.")


def _change(request: RequestContext, webhook: _Webhook, fields: dict[str, Any]) -> None:
    """Check all fields, then apply them. The scope stays."""
    name: object = fields.get("name", webhook.name)
    url: object = fields.get("url", webhook.url)
    events: object = fields.get("events", webhook.events)
    verify_tls: object = fields.get("verify-tls", webhook.verify_tls)
    secret: object = fields.get("signing-secret")
    if not isinstance(name, str) or not name:
        request.fail(400, "name: must be a non-empty string.")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        request.fail(400, "url: must be a URL.")
    if not isinstance(events, list) or not events or any(each not in _EVENTS for each in cast("list[object]", events)):
        request.fail(400, f"events: must be of {', '.join(_EVENTS)}.")
    if not isinstance(verify_tls, bool):
        request.fail(400, "verify-tls: must be a boolean.")
    if secret is not None and not isinstance(secret, str):
        request.fail(400, "signing-secret: must be a string.")
    webhook.name, webhook.url, webhook.verify_tls = name, url, verify_tls
    webhook.events, webhook.secret = cast("list[str]", events), secret or ""
