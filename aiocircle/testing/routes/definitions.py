"""Pipeline definitions and the triggers that start them."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..call import Answer, Call, Routes, iso_ms
from ..history import DAY
from ..identity import Kind
from ..model import Project
from ..world import World, now

__all__ = ["has_definition", "routes"]

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
_UNEXPECTED = "Unexpected request body provided."


@attrs.define(eq=False, kw_only=True)
class _Definition:
    id: str
    project: Project
    name: str
    description: str
    created: float
    config_source: dict[str, Any]
    checkout_source: dict[str, Any]


@attrs.define(eq=False, kw_only=True)
class _Trigger:
    id: str
    definition: _Definition
    created: float
    event_source: dict[str, Any]
    event_preset: str | None = None
    checkout_ref: str | None = None
    config_ref: str | None = None
    event_name: str | None = None
    disabled: bool = False


class _Definitions:
    """What projects have defined: classic ones the implicit definition of their repository alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._definitions: dict[str, dict[str, _Definition]] = {}
        self.triggers: dict[str, _Trigger] = {}

    def of(self, project: Project) -> dict[str, _Definition]:
        """A project's definitions by id."""
        found = self._definitions.get(project.id)
        if found is None:
            found = self._definitions[project.id] = {}
            provider = {"circleci": "github_app", "gh": "github_oauth"}.get(project.organization.provider)
            if provider is not None and project.write_history is not None:
                definition = self._first(project, provider)
                found[definition.id] = definition
        return found

    def _first(self, project: Project, provider: str) -> _Definition:
        world = self._world
        repo = _repository(project, str(project.key))
        created = world.anchor - 200 * DAY
        definition = _Definition(
            id=world.identities.uuid(Kind.DEFINITION, project.key),
            project=project,
            name="build",
            description="",
            created=created,
            config_source={"provider": provider, "repo": repo, "file_path": ".circleci/config.yml"},
            checkout_source={"provider": provider, "repo": repo},
        )
        if provider == "github_app":
            trigger = _Trigger(
                id=world.identities.uuid(Kind.TRIGGER, project.key),
                definition=definition,
                created=created,
                event_source={"provider": provider, "repo": repo},
                event_preset="all-pushes",
            )
            self.triggers[trigger.id] = trigger
        return definition


def has_definition(world: World, project: Project, ident: str) -> bool:
    """Whether a project has a pipeline definition with this UUID."""
    return ident.lower() in world.part(_Definitions).of(project)


def _repository(project: Project, external_id: str) -> dict[str, str]:
    """A repository, of which callers know the number and the server the name."""
    name = project.name if external_id == str(project.key) else f"repository-{external_id}"
    return {"full_name": f"{project.organization.name}/{name}", "external_id": external_id}


def _project(call: Call) -> Project:
    return call.found(call.world.project_by_id(call.uuid("project_id")), "Project not found")


def _definition(call: Call, project: Project) -> _Definition:
    definitions = call.world.part(_Definitions).of(project)
    return call.found(definitions.get(call.uuid("pipeline_definition_id")), "Pipeline definition not found")


def _show(definition: _Definition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "name": definition.name,
        "description": definition.description,
        "created_at": iso_ms(definition.created),
        "config_source": definition.config_source,
        "checkout_source": definition.checkout_source,
    }


def _object(call: Call, value: object, *allowed: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        call.refuse(400, _UNEXPECTED)
    found = cast("dict[str, Any]", value)
    call.only(found, allowed)
    return found


def _text(call: Call, fields: dict[str, Any], name: str) -> str:
    value: object = fields.get(name)
    if not isinstance(value, str):
        call.refuse(400, _UNEXPECTED)
    return value


def _source(call: Call, project: Project, value: object, *, config: bool) -> dict[str, Any]:
    """A place that the configuration or the code comes from."""
    fields = _object(call, value, "provider", "repo", *(["file_path"] if config else []))
    provider = _text(call, fields, "provider")
    if provider != "github_app" and not (config and provider == "circleci"):
        call.refuse(400, "provider: is not supported.")
    source: dict[str, Any] = {"provider": provider}
    if provider == "github_app":
        repo = _object(call, fields.get("repo"), "external_id")
        source["repo"] = _repository(project, _text(call, repo, "external_id"))
    if config:
        source["file_path"] = _text(call, fields, "file_path")
    return source


@routes.add("GET", "/projects/{project_id}/pipeline-definitions", "pipeline_definitions.list")
def list_all(call: Call) -> Answer:
    """A project's pipeline definitions, without any paging."""
    definitions = call.world.part(_Definitions).of(_project(call))
    return call.json({"items": [_show(definition) for definition in definitions.values()]})


@routes.add("POST", "/projects/{project_id}/pipeline-definitions", "pipeline_definitions.create")
def create(call: Call) -> Answer:
    """Make a pipeline definition, on a project of the GitHub App."""
    project = _project(call)
    fields = call.fields("name", "config_source", "checkout_source")
    call.only(fields, ("name", "description", "config_source", "checkout_source"))
    if not project.organization.standalone:
        call.refuse(400, "Pipeline definitions cannot be created for this project.")
    made = _Definition(
        id=call.world.new_id(Kind.DEFINITION),
        project=project,
        name=_text(call, fields, "name"),
        description=_text(call, {"description": "", **fields}, "description"),
        created=now(),
        config_source=_source(call, project, fields["config_source"], config=True),
        checkout_source=_source(call, project, fields["checkout_source"], config=False),
    )
    call.world.part(_Definitions).of(project)[made.id] = made
    call.changed(made.id)
    return call.json(_show(made))


@routes.add("GET", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.get")
def get(call: Call) -> Answer:
    """A pipeline definition."""
    return call.json(_show(_definition(call, _project(call))))


@routes.add(
    "PATCH", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.update"
)
def update(call: Call) -> Answer:
    """Change a pipeline definition."""
    project = _project(call)
    definition = _definition(call, project)
    fields = call.fields()
    call.only(fields, ("name", "description", "config_source", "checkout_source"))
    name, description = definition.name, definition.description
    config_source, checkout_source = definition.config_source, definition.checkout_source
    if "name" in fields:
        name = _text(call, fields, "name")
    if "description" in fields:
        description = _text(call, fields, "description")
    if "config_source" in fields:
        sent = _object(call, fields["config_source"], "file_path")
        config_source = {**config_source, "file_path": _text(call, sent, "file_path")}
    if "checkout_source" in fields:
        checkout_source = _source(call, project, fields["checkout_source"], config=False)
    definition.name, definition.description = name, description
    definition.config_source, definition.checkout_source = config_source, checkout_source
    if fields:
        call.changed(definition.id)
    return call.json(_show(definition))


@routes.add(
    "DELETE", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.delete"
)
def delete(call: Call) -> Answer:
    """Delete a pipeline definition with its triggers; doing it twice is well."""
    project = _project(call)
    part = call.world.part(_Definitions)
    definition = part.of(project).pop(call.uuid("pipeline_definition_id"), None)
    if definition is not None:
        part.triggers = {key: each for key, each in part.triggers.items() if each.definition is not definition}
        call.changed(definition.id)
    return call.message("Pipeline definition deleted.")


def _show_trigger(trigger: _Trigger) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": trigger.id,
        "created_at": iso_ms(trigger.created),
        "event_source": trigger.event_source,
        "disabled": trigger.disabled,
    }
    for name in ("event_preset", "checkout_ref", "config_ref", "event_name"):
        value = getattr(trigger, name)
        if value is not None:
            shown[name] = value
    return shown


@routes.add("GET", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}/triggers", "triggers.list")
def list_triggers(call: Call) -> Answer:
    """A pipeline definition's triggers, without any paging."""
    definition = _definition(call, _project(call))
    triggers = call.world.part(_Definitions).triggers.values()
    return call.json({"items": [_show_trigger(each) for each in triggers if each.definition is definition]})


@routes.add("POST", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}/triggers", "triggers.create")
def create_trigger(call: Call) -> Answer:
    """Make a trigger of a pipeline definition."""
    project = _project(call)
    definition = _definition(call, project)
    fields = call.fields("event_source")
    call.only(fields, _TRIGGER_FIELDS)
    sent = _object(call, fields["event_source"], "provider", "repo", "webhook")
    provider = _text(call, sent, "provider")
    source: dict[str, Any] = {"provider": provider}
    ident = call.world.new_id(Kind.TRIGGER)
    if provider == "github_app":
        repo = _object(call, sent.get("repo"), "external_id")
        source["repo"] = _repository(project, _text(call, repo, "external_id"))
    elif provider == "webhook":
        webhook = _object(call, sent.get("webhook"), "sender")
        url = f"https://internal.circleci.com/private/soc/e/{ident}"
        source["webhook"] = {"url": url, "sender": _text(call, webhook, "sender")}
    else:
        call.refuse(400, "event_source.provider: is not supported.")
    trigger = _Trigger(id=ident, definition=definition, created=now(), event_source=source)
    _change_trigger(call, trigger, fields)
    call.world.part(_Definitions).triggers[ident] = trigger
    call.changed(ident)
    return call.json(_show_trigger(trigger))


def _change_trigger(call: Call, trigger: _Trigger, fields: dict[str, Any]) -> None:
    if "event_preset" in fields and fields["event_preset"] not in _PRESETS:
        call.refuse(400, f"event_preset: must be one of {', '.join(_PRESETS)}.")
    if not isinstance(fields.get("disabled", False), bool):
        call.refuse(400, _UNEXPECTED)
    texts = {
        name: _text(call, fields, name)
        for name in ("event_preset", "checkout_ref", "config_ref", "event_name")
        if name in fields
    }
    for name, value in texts.items():
        setattr(trigger, name, value)
    trigger.disabled = bool(fields.get("disabled", trigger.disabled))


def _trigger(call: Call) -> _Trigger:
    project = _project(call)
    part = call.world.part(_Definitions)
    part.of(project)  # lays out the first one
    trigger = part.triggers.get(call.uuid("trigger_id"))
    if trigger is not None and trigger.definition.project is not project:
        trigger = None
    return call.found(trigger, "Trigger not found")


@routes.add("GET", "/projects/{project_id}/triggers/{trigger_id}", "triggers.get")
def get_trigger(call: Call) -> Answer:
    """A trigger."""
    return call.json(_show_trigger(_trigger(call)))


@routes.add("PATCH", "/projects/{project_id}/triggers/{trigger_id}", "triggers.update")
def update_trigger(call: Call) -> Answer:
    """Change a trigger; of its source only a webhook's sender."""
    trigger = _trigger(call)
    fields = call.fields()
    call.only(fields, _TRIGGER_FIELDS)
    source = trigger.event_source
    if "event_source" in fields:
        sent = _object(call, fields["event_source"], "webhook")
        webhook = _object(call, sent.get("webhook"), "sender")
        if "webhook" not in source:
            call.refuse(400, "event_source: has no webhook.")
        source = {**source, "webhook": {**source["webhook"], "sender": _text(call, webhook, "sender")}}
    _change_trigger(call, trigger, fields)
    trigger.event_source = source
    if fields:
        call.changed(trigger.id)
    return call.json(_show_trigger(trigger))


@routes.add("DELETE", "/projects/{project_id}/triggers/{trigger_id}", "triggers.delete")
def delete_trigger(call: Call) -> Answer:
    """Delete a trigger."""
    trigger = _trigger(call)
    del call.world.part(_Definitions).triggers[trigger.id]
    call.changed(trigger.id)
    return call.message("Trigger deleted.")
