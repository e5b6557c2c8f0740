"""Deploys: components, the environments they run in, their versions, and rolling back."""

from __future__ import annotations

from typing import Any

from .. import serializers
from ..ids import Kind, is_uuid
from ..model import Job, Organization, Project
from ..request import RequestContext, parse_natural
from ..response import Response
from ..router import Routes
from ..times import DAY, iso_ms

__all__ = ["routes"]

routes = Routes()

_ENVIRONMENTS = ("production", "staging", "sandbox")


def _environment_id(request: RequestContext, organization: Organization, index: int) -> str:
    return request.state.ids.uuid(Kind.ENVIRONMENT, organization.key, index)


def _environment(request: RequestContext, organization: Organization, index: int) -> dict[str, Any]:
    name = _ENVIRONMENTS[index]
    return {
        "created_at": iso_ms(request.state.midnight - 300 * DAY),
        "description": "" if index else "What customers see",
        "id": _environment_id(request, organization, index),
        "labels": [{"key": "tier", "value": name}],
        "name": name,
        "updated_at": iso_ms(request.state.midnight - (index + 1) * DAY),
    }


def _component_id(request: RequestContext, project: Project) -> str:
    return request.state.ids.uuid(Kind.COMPONENT, project.key)


def _releases(project: Project) -> list[tuple[Job, float]]:
    """Return the jobs that brought a version out and when, oldest first."""
    return [
        (job, job.stopped)
        for run in project.history.runs.get("deploy", [])
        for job in run.jobs
        if job.plan.name == "deploy-production" and job.status == "success" and job.stopped is not None
    ]


def _component(request: RequestContext, project: Project) -> dict[str, Any]:
    releases = _releases(project)
    return {
        "id": _component_id(request, project),
        "name": project.name,
        "project_id": project.id,
        "labels": [{"key": "team", "value": "core" if project.key % 2 else "growth"}],
        "release_count": len(releases),
        "created_at": iso_ms(request.state.midnight - 250 * DAY),
        "updated_at": iso_ms(releases[-1][1] if releases else request.state.midnight - 250 * DAY),
    }


def _organization(request: RequestContext) -> Organization:
    ident = request.query_value("org-id")
    if ident is None or not is_uuid(ident):
        request.fail(400, "org-id: must be a valid UUID.")
    return request.require(request.state.organization(ident), "Organization not found")


def _size(request: RequestContext) -> int:
    """Return the page size, which these lists must be given."""
    size = parse_natural(request.query_value("page-size") or "")
    if not size:
        request.fail(400, "page-size: must be a positive integer.")
    return size


@routes.add("GET", "/deploy/environments", "deploys.list_environments")
def list_environments(request: RequestContext) -> Response:
    """Return an organization's environments."""
    organization = _organization(request)
    indexes = range(len(_ENVIRONMENTS))
    return request.respond_page(
        indexes, lambda index: _environment(request, organization, index), size=_size(request), end=""
    )


@routes.add("GET", "/deploy/environments/{environment_id}", "deploys.get_environment")
def get_environment(request: RequestContext) -> Response:
    """Return an environment."""
    ident = request.path_uuid("environment_id")
    places = (
        (organization, index)
        for organization in request.state.organizations.values()
        for index in range(len(_ENVIRONMENTS))
        if _environment_id(request, organization, index) == ident
    )
    return request.respond(_environment(request, *request.require(next(places, None), "Environment not found")))


@routes.add("GET", "/deploy/components", "deploys.list_components")
def list_components(request: RequestContext) -> Response:
    """Return an organization's components, or one project's."""
    projects = request.state.projects_of(_organization(request))
    size = _size(request)
    wanted = request.query_value("project-id")
    if wanted is not None:
        if not is_uuid(wanted):
            request.fail(400, "project-id: must be a valid UUID.")
        projects = [project for project in projects if project.id == wanted.lower()]
    return request.respond_page(projects, lambda project: _component(request, project), size=size, end="")


def _project(request: RequestContext) -> Project:
    ident = request.path_uuid("component_id")
    projects = (project for project in request.state.projects.values() if _component_id(request, project) == ident)
    return request.require(next(projects, None), "Component not found")


@routes.add("GET", "/deploy/components/{component_id}", "deploys.get_component")
def get_component(request: RequestContext) -> Response:
    """Return a component."""
    return request.respond(_component(request, _project(request)))


@routes.add("GET", "/deploy/components/{component_id}/versions", "deploys.list_component_versions")
def list_component_versions(request: RequestContext) -> Response:
    """List the versions of a component, newest first. The newest one of each environment is live."""
    project = _project(request)
    wanted = request.query_value("environment-id")
    releases = _releases(project)
    indexes = range(len(releases))
    environments = [_environment_id(request, project.organization, index) for index in range(2)]
    if wanted is not None:
        if not is_uuid(wanted):
            request.fail(400, "environment-id: must be a valid UUID.")
        place = environments.index(wanted.lower()) if wanted.lower() in environments else -1
        chosen = [index for index in indexes if index % 2 == place]
    else:
        chosen = [*indexes]

    def show(index: int) -> dict[str, Any]:
        job, stopped = releases[index]
        return {
            "name": _version(index),
            "environment_id": environments[index % 2],
            "namespace": "default",
            "is_live": index + 2 >= len(releases),
            "pipeline_id": job.workflow.pipeline.id,
            "workflow_id": job.workflow.id,
            "job_id": serializers.job_uuid(request, job),
            "job_number": job.number,
            "last_deployed_at": iso_ms(stopped),
        }

    return request.respond_page(chosen, show, newest_first=True, end="")


def _version(index: int) -> str:
    return f"1.{index // 10}.{index % 10}"


@routes.add("POST", "/projects/{project_id}/rollback", "deploys.rollback")
def rollback(request: RequestContext) -> Response:
    """Start a pipeline that rolls back to an older version."""
    project = request.require(request.state.project_by_id(request.path_uuid("project_id")), "Project not found")
    required = ("component_name", "current_version", "environment_name", "target_version")
    fields = request.body_fields(*required)
    request.reject_unknown_fields(fields, (*required, "namespace", "parameters", "reason"))
    for name in required:
        if not isinstance(fields[name], str) or not fields[name]:
            request.fail(400, f"{name}: must be a non-empty string.")
    if fields["component_name"] != project.name:
        request.fail(404, "Component not found")
    if fields["environment_name"] not in _ENVIRONMENTS:
        request.fail(404, "Environment not found")
    versions = {_version(index) for index in range(len(_releases(project)))}
    if not {fields["current_version"], fields["target_version"]} <= versions:
        request.fail(404, "Version not found")
    if fields["current_version"] == fields["target_version"]:
        request.fail(409, "Conflict creating entity.")
    request.state.trigger(project, branch=None, tag=None, parameters={}, delay=request.workflow_delay)
    ident = request.state.new_id(Kind.ROLLBACK)
    request.record_change(ident)
    return request.respond({"id": ident, "rollback_type": "PIPELINE"}, 202)
