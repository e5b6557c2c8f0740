"""Pipeline definitions, and the state that they share with their triggers."""

from __future__ import annotations

from typing import Any, cast

import attrs

from ..ids import Kind
from ..model import Project
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso_ms

__all__ = ["has_definition", "routes"]

routes = Routes()

UNEXPECTED = "Unexpected request body provided."


@attrs.define(eq=False, kw_only=True)
class Definition:
    id: str
    project: Project
    name: str
    description: str
    created: float
    config_source: dict[str, Any]
    checkout_source: dict[str, Any]


@attrs.define(eq=False, kw_only=True)
class Trigger:
    id: str
    definition: Definition
    created: float
    event_source: dict[str, Any]
    event_preset: str | None = None
    checkout_ref: str | None = None
    config_ref: str | None = None
    event_name: str | None = None
    disabled: bool = False


class Definitions:
    """The definitions of all projects. Classic projects have only the implicit one of their repository."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._definitions: dict[str, dict[str, Definition]] = {}
        self.triggers: dict[str, Trigger] = {}

    def of(self, project: Project) -> dict[str, Definition]:
        """Return a project's definitions by id."""
        resource = self._definitions.get(project.id)
        if resource is None:
            resource = self._definitions[project.id] = {}
            provider = {"circleci": "github_app", "gh": "github_oauth"}.get(project.organization.provider)
            if provider is not None and project.generate_history is not None:
                definition = self._first(project, provider)
                resource[definition.id] = definition
        return resource

    def _first(self, project: Project, provider: str) -> Definition:
        state = self._state
        repo = repository(project, str(project.key))
        created = state.midnight - 200 * DAY
        definition = Definition(
            id=state.ids.uuid(Kind.DEFINITION, project.key),
            project=project,
            name="build",
            description="",
            created=created,
            config_source={"provider": provider, "repo": repo, "file_path": ".circleci/config.yml"},
            checkout_source={"provider": provider, "repo": repo},
        )
        if provider == "github_app":
            trigger = Trigger(
                id=state.ids.uuid(Kind.TRIGGER, project.key),
                definition=definition,
                created=created,
                event_source={"provider": provider, "repo": repo},
                event_preset="all-pushes",
            )
            self.triggers[trigger.id] = trigger
        return definition


def has_definition(state: State, project: Project, ident: str) -> bool:
    """Return True if a project has a pipeline definition with this UUID."""
    return ident.lower() in state.group_state(Definitions).of(project)


def repository(project: Project, external_id: str) -> dict[str, str]:
    """Return a repository with its number, which callers send, and its name."""
    name = project.name if external_id == str(project.key) else f"repository-{external_id}"
    return {"full_name": f"{project.organization.name}/{name}", "external_id": external_id}


def project_of(request: RequestContext) -> Project:
    return request.require(request.state.project_by_id(request.path_uuid("project_id")), "Project not found")


def definition_of(request: RequestContext, project: Project) -> Definition:
    definitions = request.state.group_state(Definitions).of(project)
    return request.require(
        definitions.get(request.path_uuid("pipeline_definition_id")), "Pipeline definition not found"
    )


def _show(definition: Definition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "name": definition.name,
        "description": definition.description,
        "created_at": iso_ms(definition.created),
        "config_source": definition.config_source,
        "checkout_source": definition.checkout_source,
    }


def object_of(request: RequestContext, value: object, *allowed: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        request.fail(400, UNEXPECTED)
    resource = cast("dict[str, Any]", value)
    request.reject_unknown_fields(resource, allowed)
    return resource


def text_of(request: RequestContext, fields: dict[str, Any], name: str) -> str:
    value: object = fields.get(name)
    if not isinstance(value, str):
        request.fail(400, UNEXPECTED)
    return value


def _source(request: RequestContext, project: Project, value: object, *, config: bool) -> dict[str, Any]:
    """Return a place that the configuration or the code comes from."""
    fields = object_of(request, value, "provider", "repo", *(["file_path"] if config else []))
    provider = text_of(request, fields, "provider")
    if provider != "github_app" and not (config and provider == "circleci"):
        request.fail(400, "provider: is not supported.")
    source: dict[str, Any] = {"provider": provider}
    if provider == "github_app":
        repo = object_of(request, fields.get("repo"), "external_id")
        source["repo"] = repository(project, text_of(request, repo, "external_id"))
    if config:
        source["file_path"] = text_of(request, fields, "file_path")
    return source


@routes.add("GET", "/projects/{project_id}/pipeline-definitions", "pipeline_definitions.list")
def list_all(request: RequestContext) -> Response:
    """Return a project's pipeline definitions, without any paging."""
    definitions = request.state.group_state(Definitions).of(project_of(request))
    return request.respond({"items": [_show(definition) for definition in definitions.values()]})


@routes.add("POST", "/projects/{project_id}/pipeline-definitions", "pipeline_definitions.create")
def create(request: RequestContext) -> Response:
    """Create a pipeline definition, on a project of the GitHub App."""
    project = project_of(request)
    fields = request.body_fields("name", "config_source", "checkout_source")
    request.reject_unknown_fields(fields, ("name", "description", "config_source", "checkout_source"))
    if not project.organization.standalone:
        request.fail(400, "Pipeline definitions cannot be created for this project.")
    new = Definition(
        id=request.state.new_id(Kind.DEFINITION),
        project=project,
        name=text_of(request, fields, "name"),
        description=text_of(request, {"description": "", **fields}, "description"),
        created=request.state.now(),
        config_source=_source(request, project, fields["config_source"], config=True),
        checkout_source=_source(request, project, fields["checkout_source"], config=False),
    )
    request.state.group_state(Definitions).of(project)[new.id] = new
    request.record_change(new.id)
    return request.respond(_show(new))


@routes.add("GET", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.get")
def get(request: RequestContext) -> Response:
    """Return a pipeline definition."""
    return request.respond(_show(definition_of(request, project_of(request))))


@routes.add(
    "PATCH", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.update"
)
def update(request: RequestContext) -> Response:
    """Update a pipeline definition."""
    project = project_of(request)
    definition = definition_of(request, project)
    fields = request.body_fields()
    request.reject_unknown_fields(fields, ("name", "description", "config_source", "checkout_source"))
    name, description = definition.name, definition.description
    config_source, checkout_source = definition.config_source, definition.checkout_source
    if "name" in fields:
        name = text_of(request, fields, "name")
    if "description" in fields:
        description = text_of(request, fields, "description")
    if "config_source" in fields:
        raw = object_of(request, fields["config_source"], "file_path")
        config_source = {**config_source, "file_path": text_of(request, raw, "file_path")}
    if "checkout_source" in fields:
        checkout_source = _source(request, project, fields["checkout_source"], config=False)
    definition.name, definition.description = name, description
    definition.config_source, definition.checkout_source = config_source, checkout_source
    if fields:
        request.record_change(definition.id)
    return request.respond(_show(definition))


@routes.add(
    "DELETE", "/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}", "pipeline_definitions.delete"
)
def delete(request: RequestContext) -> Response:
    """Delete a pipeline definition with its triggers; doing it twice is well."""
    project = project_of(request)
    part = request.state.group_state(Definitions)
    definition = part.of(project).pop(request.path_uuid("pipeline_definition_id"), None)
    if definition is not None:
        part.triggers = {key: each for key, each in part.triggers.items() if each.definition is not definition}
        request.record_change(definition.id)
    return request.respond_message("Pipeline definition deleted.")
