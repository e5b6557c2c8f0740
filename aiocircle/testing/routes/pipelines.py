"""Pipelines: reading, triggering and continuing them."""

from __future__ import annotations

import heapq
from typing import Any, cast

import attrs

from .. import serializers
from ..ids import digest, is_uuid
from ..model import Pipeline, Project, Workflow
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..script import raise_if_out
from ..times import iso_ms
from .pipeline_definitions import has_definition

__all__ = ["continuation_key", "routes"]

routes = Routes()

_SKIP = "[skip ci]"
_SKIPPED = "Ignoring pipeline due to CI skip in the commit"


def continuation_key(pipeline: Pipeline) -> str:
    """Return the key that continues a setup pipeline. CircleCI gives it only to the setup job."""
    return digest("continuation", pipeline.id).hex()


def _pipeline(request: RequestContext) -> Pipeline:
    pipeline = request.require(request.state.pipeline(request.path_uuid("pipeline-id")), "Pipeline not found")
    raise_if_out(pipeline, request.state.now())
    return pipeline


@routes.add("GET", "/pipeline", "pipelines.list")
def list_all(request: RequestContext) -> Response:
    """Return the pipelines of an organization, or of all, newest first."""
    slug = request.query_value("org-slug")
    mine = request.query_flag("mine")
    projects = [*request.state.projects.values()]
    if slug is not None:
        if "/" not in slug:
            request.fail(400, f"Invalid org slug '{slug}'.")
        projects = request.state.projects_of(
            request.require(request.state.organization(slug), "Organization not found")
        )
    histories = [project.history.pipelines for project in projects]
    merged = [*heapq.merge(*histories, key=lambda pipeline: pipeline.created)]
    if mine:
        merged = [pipeline for pipeline in merged if _is_mine(request, pipeline)]
    return request.respond_page(merged, serializers.pipeline, newest_first=True)


@routes.add("GET", "/project/{project}/pipeline", "pipelines.list_for_project")
def list_for_project(request: RequestContext) -> Response:
    """Return a project's pipelines, newest first."""
    pipelines = request.project().history.pipelines
    branch = request.query_value("branch")
    if branch is not None:
        pipelines = [pipeline for pipeline in pipelines if pipeline.branch == branch]
    return request.respond_page(pipelines, serializers.pipeline, newest_first=True)


@routes.add("GET", "/project/{project}/pipeline/mine", "pipelines.list_mine")
def list_mine(request: RequestContext) -> Response:
    """Return the pipelines of a project that the token's owner triggered, newest first."""
    pipelines = [pipeline for pipeline in request.project().history.pipelines if _is_mine(request, pipeline)]
    return request.respond_page(pipelines, serializers.pipeline, newest_first=True)


def _is_mine(request: RequestContext, pipeline: Pipeline) -> bool:
    return pipeline.actor is request.state.token_owner


@routes.add("GET", "/project/{project}/pipeline/{pipeline-number}", "pipelines.get_by_number")
def get_by_number(request: RequestContext) -> Response:
    """Return a pipeline by its number in the project."""
    pipelines = request.project().history.pipelines
    number = request.path_number("pipeline-number")
    if number > len(pipelines):
        request.fail(404, "Pipeline not found")
    return request.respond(serializers.pipeline(pipelines[number - 1]))


@routes.add("GET", "/pipeline/{pipeline-id}", "pipelines.get")
def get(request: RequestContext) -> Response:
    """Return a pipeline."""
    return request.respond(serializers.pipeline(_pipeline(request)))


@routes.add("GET", "/pipeline/{pipeline-id}/config", "pipelines.get_config")
def get_config(request: RequestContext) -> Response:
    """Return a pipeline's configuration, as written and as compiled."""
    pipeline = _pipeline(request)
    source = _configuration(pipeline.project)
    payload: dict[str, Any] = {"source": source, "compiled": f"# Compiled\n{source}"}
    if pipeline.project.dynamic:
        setup = "version: 2.1\nsetup: true\nworkflows:\n  setup:\n    jobs:\n      - generate-config\n"
        payload["setup_config"] = setup
        payload["compiled_setup_config"] = f"# Compiled\n{setup}"
    return request.respond(request.spell_keys(payload, "setup_config", "compiled_setup_config"))


def _configuration(project: Project) -> str:
    lines = ["version: 2.1", "workflows:"]
    for plan in project.plans.values():
        lines += [f'  "{plan.name}":', "    jobs:"]
        for job in plan.jobs:
            lines.append(f"      - {job.name}:")
            if job.type != "build":
                lines.append(f"          type: {job.type}")
            if job.requires:
                lines.append(f"          requires: [{', '.join(plan.jobs[index].name for index in job.requires)}]")
    return "\n".join(lines) + "\n"


@routes.add("GET", "/pipeline/{pipeline-id}/values", "pipelines.get_values")
def get_values(request: RequestContext) -> Response:
    """Return the values that a pipeline's configuration can use."""
    pipeline = _pipeline(request)
    url = pipeline.project.repository_url
    values: dict[str, object] = {
        "pipeline.id": pipeline.id,
        "pipeline.number": pipeline.number,
        "pipeline.project.git_url": url,
        "pipeline.project.type": serializers.vcs_type(pipeline.project.organization),
        "pipeline.git.revision": pipeline.revision,
        "pipeline.git.branch": pipeline.branch or "",
        "pipeline.git.tag": pipeline.tag or "",
        "pipeline.in_setup": not pipeline.continued,
        "pipeline.trigger_source": pipeline.trigger,
    }
    values.update({f"pipeline.parameters.{name}": value for name, value in pipeline.parameters.items()})
    return request.respond(values)


@routes.add("GET", "/pipeline/{pipeline-id}/workflow", "pipelines.list_workflows")
def list_workflows(request: RequestContext) -> Response:
    """List the workflows of a pipeline, newest first. It is a 404 before they exist."""
    pipeline = _pipeline(request)
    story, now = pipeline.story, request.state.now()
    runs = pipeline.workflows
    if story is not None:
        pipeline.list_requests += 1
        if pipeline.list_requests in story.failing_polls:
            request.fail(500, "Internal server error.")
        runs = [run for run in runs if _is_listed(run, pipeline.list_requests, now)]
    if not runs and pipeline.state != "errored" and (story is None or story.empty_is_404):
        request.fail(404, "Pipeline not found")
    response = request.respond_page(runs, lambda run: serializers.workflow(run, now), newest_first=True)
    return response if story is None else attrs.evolve(response, cacheable=False)


def _is_listed(run: Workflow, number: int, now: float) -> bool:
    story = run.plan.story
    return story is None or (number not in story.missing_polls and run.created + story.list_lag <= now)


@routes.add("POST", "/project/{project}/pipeline", "pipelines.trigger")
def trigger(request: RequestContext) -> Response:
    """Trigger a pipeline by the older route, on OAuth projects only."""
    project = request.project()
    if project.organization.standalone:
        request.fail(400, "Triggering pipelines of this project is not supported by this endpoint.")
    fields = request.body_fields()
    branch, tag = _ref(request, fields, "")
    parameters = _parameters(request, fields)
    pipeline = request.state.trigger(
        project, branch=branch, tag=tag, parameters=parameters, delay=request.workflow_delay
    )
    return _created(request, pipeline)


@routes.add("POST", "/project/{project/}/pipeline/run", "pipelines.run")
def run(request: RequestContext) -> Response:
    """Trigger a pipeline, unless `[skip ci]` skips it."""
    project = request.project()
    fields = request.body_fields()
    request.reject_unknown_fields(fields, ("definition_id", "config", "checkout", "parameters"))
    definition: object = fields.get("definition_id")
    if definition is not None and not (isinstance(definition, str) and is_uuid(definition)):
        request.fail(400, "definition_id: must be a valid UUID.")
    if isinstance(definition, str) and not has_definition(request.state, project, definition):
        request.fail(404, "Pipeline definition not found")
    if definition is None and project.organization.standalone:
        request.fail(400, "definition_id: is a required field.")
    refs: list[tuple[str | None, str | None]] = []
    for name in ("config", "checkout"):
        raw: object = fields.get(name, {})
        if not isinstance(raw, dict):
            request.fail(400, f"{name}: must be an object.")
        ref = cast("dict[str, Any]", raw)
        request.reject_unknown_fields(ref, ("branch", "tag"))
        refs.append(_ref(request, ref, f"{name}."))
    parameters = _parameters(request, fields)
    branch, tag = refs[1] if any(refs[1]) else refs[0]
    if _SKIP in (branch or "") or any(_SKIP in str(value) for value in parameters.values()):
        return request.respond_message(_SKIPPED)
    pipeline = request.state.trigger(
        project, branch=branch, tag=tag, parameters=parameters, delay=request.workflow_delay
    )
    return _created(request, pipeline)


def _created(request: RequestContext, pipeline: Pipeline) -> Response:
    request.record_change(pipeline.id)
    payload = {
        "id": pipeline.id,
        "state": pipeline.state
        if pipeline.story is not None
        else "setup-pending"
        if pipeline.project.dynamic
        else "pending",
        "number": pipeline.number,
        "created_at": iso_ms(pipeline.created),
    }
    return request.respond(payload, 201)


def _ref(request: RequestContext, fields: dict[str, Any], prefix: str) -> tuple[str | None, str | None]:
    """Return a branch or a tag, never both."""
    branch: object = fields.get("branch")
    tag: object = fields.get("tag")
    if branch is not None and tag is not None:
        request.fail(400, f"{prefix}branch and {prefix}tag are mutually exclusive.")
    for name, value in (("branch", branch), ("tag", tag)):
        if value is not None and (not isinstance(value, str) or not value):
            request.fail(400, f"{prefix}{name}: must be a non-empty string.")
    return cast("str | None", branch), cast("str | None", tag)


def _parameters(request: RequestContext, fields: dict[str, Any]) -> dict[str, object]:
    raw: object = fields.get("parameters", {})
    if not isinstance(raw, dict):
        request.fail(400, "parameters: must be an object.")
    parameters = cast("dict[str, object]", raw)
    if len(parameters) > 100:
        request.fail(400, "parameters: at most 100 are allowed.")
    for name, value in parameters.items():
        if len(name) > 128:
            request.fail(400, "parameters: a key has more than 128 characters.")
        if not isinstance(value, str | int | bool):
            request.fail(400, f"parameters.{name}: must be a string, an integer or a boolean.")
        if isinstance(value, str) and len(value) > 512:
            request.fail(400, f"parameters.{name}: has more than 512 characters.")
    return parameters


@routes.add("POST", "/pipeline/continue", "pipelines.continue_setup")
def continue_setup(request: RequestContext) -> Response:
    """Continue a setup pipeline with a configuration."""
    fields = request.body_fields("continuation-key", "configuration")
    key, configuration = fields["continuation-key"], fields["configuration"]
    if not isinstance(key, str) or not isinstance(configuration, str):
        request.fail(400, "continuation-key and configuration: must be strings.")
    parameters = _parameters(request, fields)
    waiting = (
        pipeline
        for project in request.state.projects.values()
        if project.dynamic or project.has_history
        for pipeline in project.history.pipelines
        if continuation_key(pipeline) == key
    )
    pipeline = request.require(next(waiting, None), "Continuation key not found")
    if pipeline.continued:
        request.fail(400, "Pipeline is not in the setup phase")
    pipeline.parameters = {**pipeline.parameters, **parameters}
    request.state.continue_setup(pipeline)
    request.record_change(pipeline.id)
    return request.respond_message("Accepted")
