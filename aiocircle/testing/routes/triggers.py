"""Triggers: the events that start a pipeline definition."""

from __future__ import annotations

from typing import Any

from ..ids import Kind
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..times import iso_ms
from .pipeline_definitions import (
    UNEXPECTED,
    Definitions,
    Trigger,
    definition_of,
    object_of,
    project_of,
    repository,
    text_of,
)

__all__ = ["routes"]

routes = Routes()

_PRESETS = (
    "all-pushes",
    "only-tags",
    "default-branch-pushes",
    "only-build-prs",
    "only-open-prs",
    "only-labeled-prs",
    "only-merged-prs",
    "only-ready-for-review-prs",
    "only-branch-delete",
    "only-build-pushes-to-non-draft-prs",
    "only-merged-or-closed-prs",
)
_TRIGGER_FIELDS = ("event_source", "event_preset", "checkout_ref", "config_ref", "event_name", "disabled")


def _show(trigger: Trigger) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "id": trigger.id,
        "created_at": iso_ms(trigger.created),
        "event_source": trigger.event_source,
        "disabled": trigger.disabled,
    }
    for name in ("event_preset", "checkout_ref", "config_ref", "event_name"):
        value = getattr(trigger, name)
        if value is not None:
            payload[name] = value
    return payload


@routes.add("GET", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}/triggers", "triggers.list")
def list_all(request: RequestContext) -> Response:
    """Return a pipeline definition's triggers, without any paging."""
    definition = definition_of(request, project_of(request))
    triggers = request.state.group_state(Definitions).triggers.values()
    return request.respond({"items": [_show(each) for each in triggers if each.definition is definition]})


@routes.add("POST", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}/triggers", "triggers.create")
def create(request: RequestContext) -> Response:
    """Create a trigger of a pipeline definition."""
    project = project_of(request)
    definition = definition_of(request, project)
    fields = request.body_fields("event_source")
    request.reject_unknown_fields(fields, _TRIGGER_FIELDS)
    raw = object_of(request, fields["event_source"], "provider", "repo", "webhook")
    provider = text_of(request, raw, "provider")
    source: dict[str, Any] = {"provider": provider}
    ident = request.state.new_id(Kind.TRIGGER)
    if provider == "github_app":
        repo = object_of(request, raw.get("repo"), "external_id")
        source["repo"] = repository(project, text_of(request, repo, "external_id"))
    elif provider == "webhook":
        webhook = object_of(request, raw.get("webhook"), "sender")
        url = f"https://internal.circleci.com/private/soc/e/{ident}"
        source["webhook"] = {"url": url, "sender": text_of(request, webhook, "sender")}
    else:
        request.fail(400, "event_source.provider: is not supported.")
    trigger = Trigger(id=ident, definition=definition, created=request.state.now(), event_source=source)
    _change(request, trigger, fields)
    request.state.group_state(Definitions).triggers[ident] = trigger
    request.record_change(ident)
    return request.respond(_show(trigger))


def _change(request: RequestContext, trigger: Trigger, fields: dict[str, Any]) -> None:
    if "event_preset" in fields and fields["event_preset"] not in _PRESETS:
        request.fail(400, f"event_preset: must be one of {', '.join(_PRESETS)}.")
    if not isinstance(fields.get("disabled", False), bool):
        request.fail(400, UNEXPECTED)
    texts = {
        name: text_of(request, fields, name)
        for name in ("event_preset", "checkout_ref", "config_ref", "event_name")
        if name in fields
    }
    for name, value in texts.items():
        setattr(trigger, name, value)
    trigger.disabled = bool(fields.get("disabled", trigger.disabled))


def _trigger(request: RequestContext) -> Trigger:
    project = project_of(request)
    part = request.state.group_state(Definitions)
    part.of(project)  # lays out the first one
    trigger = part.triggers.get(request.path_uuid("trigger_id"))
    if trigger is not None and trigger.definition.project is not project:
        trigger = None
    return request.require(trigger, "Trigger not found")


@routes.add("GET", "/projects/{project_id}/triggers/{trigger_id}", "triggers.get")
def get(request: RequestContext) -> Response:
    """Return a trigger."""
    return request.respond(_show(_trigger(request)))


@routes.add("PATCH", "/projects/{project_id}/triggers/{trigger_id}", "triggers.update")
def update(request: RequestContext) -> Response:
    """Update a trigger. In its source, only the sender of a webhook can change."""
    trigger = _trigger(request)
    fields = request.body_fields()
    request.reject_unknown_fields(fields, _TRIGGER_FIELDS)
    source = trigger.event_source
    if "event_source" in fields:
        raw = object_of(request, fields["event_source"], "webhook")
        webhook = object_of(request, raw.get("webhook"), "sender")
        if "webhook" not in source:
            request.fail(400, "event_source: has no webhook.")
        source = {**source, "webhook": {**source["webhook"], "sender": text_of(request, webhook, "sender")}}
    _change(request, trigger, fields)
    trigger.event_source = source
    if fields:
        request.record_change(trigger.id)
    return request.respond(_show(trigger))


@routes.add("DELETE", "/projects/{project_id}/triggers/{trigger_id}", "triggers.delete")
def delete(request: RequestContext) -> Response:
    """Delete a trigger."""
    trigger = _trigger(request)
    del request.state.group_state(Definitions).triggers[trigger.id]
    request.record_change(trigger.id)
    return request.respond_message("Trigger deleted.")
