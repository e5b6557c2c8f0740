"""Pipelines: what was triggered, and triggering."""

from __future__ import annotations

import heapq
from typing import Any, cast

from .. import wire
from ..call import Answer, Call, Routes, iso_ms
from ..identity import digest, is_uuid
from ..model import Pipeline, Project
from .definitions import has_definition

__all__ = ["continuation_key", "routes"]

routes = Routes()

_SKIP = "[skip ci]"
_SKIPPED = "Ignoring pipeline due to CI skip in the commit"


def continuation_key(pipeline: Pipeline) -> str:
    """The key that continues a setup pipeline; CircleCI gives it to the setup job alone."""
    return digest("continuation", pipeline.id).hex()


def _pipeline(call: Call) -> Pipeline:
    return call.found(call.world.pipeline(call.uuid("pipeline-id")), "Pipeline not found")


@routes.add("GET", "/pipeline", "pipelines.list")
def list_all(call: Call) -> Answer:
    """The pipelines of an organization, or of all, newest first."""
    slug = call.one("org-slug")
    mine = call.flag("mine")
    projects = [*call.world.projects.values()]
    if slug is not None:
        if "/" not in slug:
            call.refuse(400, f"Invalid org slug '{slug}'.")
        projects = call.world.projects_of(call.found(call.world.organization(slug), "Organization not found"))
    histories = [project.history.pipelines for project in projects]
    merged = [*heapq.merge(*histories, key=lambda pipeline: pipeline.created)]
    if mine:
        merged = [pipeline for pipeline in merged if _is_mine(call, pipeline)]
    return call.page(merged, wire.pipeline, newest_first=True)


@routes.add("GET", "/project/{project}/pipeline", "pipelines.list_for_project")
def list_for_project(call: Call) -> Answer:
    """A project's pipelines, newest first."""
    pipelines = call.project().history.pipelines
    branch = call.one("branch")
    if branch is not None:
        pipelines = [pipeline for pipeline in pipelines if pipeline.branch == branch]
    return call.page(pipelines, wire.pipeline, newest_first=True)


@routes.add("GET", "/project/{project}/pipeline/mine", "pipelines.list_mine")
def list_mine(call: Call) -> Answer:
    """The pipelines of a project that the token's owner triggered, newest first."""
    pipelines = [pipeline for pipeline in call.project().history.pipelines if _is_mine(call, pipeline)]
    return call.page(pipelines, wire.pipeline, newest_first=True)


def _is_mine(call: Call, pipeline: Pipeline) -> bool:
    return pipeline.actor is call.world.me


@routes.add("GET", "/project/{project}/pipeline/{pipeline-number}", "pipelines.get_by_number")
def get_by_number(call: Call) -> Answer:
    """A pipeline by its number in the project."""
    pipelines = call.project().history.pipelines
    number = call.number("pipeline-number")
    if number > len(pipelines):
        call.refuse(404, "Pipeline not found")
    return call.json(wire.pipeline(pipelines[number - 1]))


@routes.add("GET", "/pipeline/{pipeline-id}", "pipelines.get")
def get(call: Call) -> Answer:
    """A pipeline."""
    return call.json(wire.pipeline(_pipeline(call)))


@routes.add("GET", "/pipeline/{pipeline-id}/config", "pipelines.get_config")
def get_config(call: Call) -> Answer:
    """A pipeline's configuration, as written and as compiled."""
    pipeline = _pipeline(call)
    source = _configuration(pipeline.project)
    shown: dict[str, Any] = {"source": source, "compiled": f"# Compiled\n{source}"}
    if pipeline.project.dynamic:
        setup = "version: 2.1\nsetup: true\nworkflows:\n  setup:\n    jobs:\n      - generate-config\n"
        shown["setup_config"] = setup
        shown["compiled_setup_config"] = f"# Compiled\n{setup}"
    return call.json(call.spell(shown, "setup_config", "compiled_setup_config"))


def _configuration(project: Project) -> str:
    lines = ["version: 2.1", "workflows:"]
    for plan in project.plans.values():
        lines += [f'  "{plan.name}":', "    jobs:"]
        for job in plan.jobs:
            lines.append(f"      - {job.name}:")
            if job.type != "build":
                lines.append(f"          type: {job.type}")
            if job.requires:
                lines.append(f"          requires: [{', '.join(plan.jobs[leaf].name for leaf in job.requires)}]")
    return "\n".join(lines) + "\n"


@routes.add("GET", "/pipeline/{pipeline-id}/values", "pipelines.get_values")
def get_values(call: Call) -> Answer:
    """The values that a pipeline's configuration can use."""
    pipeline = _pipeline(call)
    url = pipeline.project.repository_url
    values: dict[str, object] = {
        "pipeline.id": pipeline.id,
        "pipeline.number": pipeline.number,
        "pipeline.project.git_url": url,
        "pipeline.project.type": wire.vcs_type(pipeline.project.organization),
        "pipeline.git.revision": pipeline.revision,
        "pipeline.git.branch": pipeline.branch or "",
        "pipeline.git.tag": pipeline.tag or "",
        "pipeline.in_setup": not pipeline.continued,
        "pipeline.trigger_source": pipeline.trigger,
    }
    values.update({f"pipeline.parameters.{name}": value for name, value in pipeline.parameters.items()})
    return call.json(values)


@routes.add("GET", "/pipeline/{pipeline-id}/workflow", "pipelines.list_workflows")
def list_workflows(call: Call) -> Answer:
    """A pipeline's workflows, newest first; a 404 while none exist yet."""
    pipeline = _pipeline(call)
    if pipeline.visible_at > call.world.clock:
        call.refuse(404, "Pipeline not found")
    return call.page(pipeline.workflows, wire.workflow, newest_first=True)


@routes.add("POST", "/project/{project}/pipeline", "pipelines.trigger")
def trigger(call: Call) -> Answer:
    """Trigger a pipeline the older way, on OAuth projects only."""
    project = call.project()
    if project.organization.standalone:
        call.refuse(400, "Triggering pipelines of this project is not supported by this endpoint.")
    fields = call.fields()
    branch, tag = _ref(call, fields, "")
    parameters = _parameters(call, fields)
    pipeline = call.world.trigger(project, branch=branch, tag=tag, parameters=parameters, delay=call.workflow_delay)
    return _created(call, pipeline)


@routes.add("POST", "/project/{project/}/pipeline/run", "pipelines.run")
def run(call: Call) -> Answer:
    """Trigger a pipeline, or be told that its commit wants none."""
    project = call.project()
    fields = call.fields()
    call.only(fields, ("definition_id", "config", "checkout", "parameters"))
    definition: object = fields.get("definition_id")
    if definition is not None and not (isinstance(definition, str) and is_uuid(definition)):
        call.refuse(400, "definition_id: must be a valid UUID.")
    if isinstance(definition, str) and not has_definition(call.world, project, definition):
        call.refuse(404, "Pipeline definition not found")
    if definition is None and project.organization.standalone:
        call.refuse(400, "definition_id: is a required field.")
    refs: list[tuple[str | None, str | None]] = []
    for name in ("config", "checkout"):
        sent: object = fields.get(name, {})
        if not isinstance(sent, dict):
            call.refuse(400, f"{name}: must be an object.")
        ref = cast("dict[str, Any]", sent)
        call.only(ref, ("branch", "tag"))
        refs.append(_ref(call, ref, f"{name}."))
    parameters = _parameters(call, fields)
    branch, tag = refs[1] if any(refs[1]) else refs[0]
    if _SKIP in (branch or "") or any(_SKIP in str(value) for value in parameters.values()):
        return call.message(_SKIPPED)
    pipeline = call.world.trigger(project, branch=branch, tag=tag, parameters=parameters, delay=call.workflow_delay)
    return _created(call, pipeline)


def _created(call: Call, pipeline: Pipeline) -> Answer:
    call.changed(pipeline.id)
    shown = {
        "id": pipeline.id,
        "state": "setup-pending" if pipeline.project.dynamic else "pending",
        "number": pipeline.number,
        "created_at": iso_ms(pipeline.created),
    }
    return call.json(shown, 201)


def _ref(call: Call, fields: dict[str, Any], prefix: str) -> tuple[str | None, str | None]:
    """A branch or a tag, never both."""
    branch: object = fields.get("branch")
    tag: object = fields.get("tag")
    if branch is not None and tag is not None:
        call.refuse(400, f"{prefix}branch and {prefix}tag are mutually exclusive.")
    for name, value in (("branch", branch), ("tag", tag)):
        if value is not None and (not isinstance(value, str) or not value):
            call.refuse(400, f"{prefix}{name}: must be a non-empty string.")
    return cast("str | None", branch), cast("str | None", tag)


def _parameters(call: Call, fields: dict[str, Any]) -> dict[str, object]:
    sent: object = fields.get("parameters", {})
    if not isinstance(sent, dict):
        call.refuse(400, "parameters: must be an object.")
    parameters = cast("dict[str, object]", sent)
    if len(parameters) > 100:
        call.refuse(400, "parameters: at most 100 are allowed.")
    for name, value in parameters.items():
        if len(name) > 128:
            call.refuse(400, "parameters: a key has more than 128 characters.")
        if not isinstance(value, str | int | bool):
            call.refuse(400, f"parameters.{name}: must be a string, an integer or a boolean.")
        if isinstance(value, str) and len(value) > 512:
            call.refuse(400, f"parameters.{name}: has more than 512 characters.")
    return parameters


@routes.add("POST", "/pipeline/continue", "pipelines.continue_setup")
def continue_setup(call: Call) -> Answer:
    """Give a setup pipeline its configuration."""
    fields = call.fields("continuation-key", "configuration")
    key, configuration = fields["continuation-key"], fields["configuration"]
    if not isinstance(key, str) or not isinstance(configuration, str):
        call.refuse(400, "continuation-key and configuration: must be strings.")
    parameters = _parameters(call, fields)
    waiting = (
        pipeline
        for project in call.world.projects.values()
        if project.dynamic
        for pipeline in project.history.pipelines
        if continuation_key(pipeline) == key
    )
    pipeline = call.found(next(waiting, None), "Continuation key not found")
    if pipeline.continued:
        call.refuse(400, "Pipeline is not in the setup phase")
    pipeline.parameters.update(parameters)
    call.world.go_on(pipeline)
    call.changed(pipeline.id)
    return call.message("Accepted")
