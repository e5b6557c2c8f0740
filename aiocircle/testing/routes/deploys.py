"""Deploys: components, the environments they run in, their versions, and rolling back."""

from __future__ import annotations

from typing import Any

from .. import wire
from ..call import Answer, Call, Routes, iso_ms, whole_number
from ..history import DAY
from ..identity import Kind, is_uuid
from ..model import Job, Organization, Project

__all__ = ["routes"]

routes = Routes()

_ENVIRONMENTS = ("production", "staging", "sandbox")


def _environment_id(call: Call, organization: Organization, index: int) -> str:
    return call.world.identities.uuid(Kind.ENVIRONMENT, organization.key, index)


def _environment(call: Call, organization: Organization, index: int) -> dict[str, Any]:
    name = _ENVIRONMENTS[index]
    return {
        "created_at": iso_ms(call.world.anchor - 300 * DAY),
        "description": "" if index else "What customers see",
        "id": _environment_id(call, organization, index),
        "labels": [{"key": "tier", "value": name}],
        "name": name,
        "updated_at": iso_ms(call.world.anchor - (index + 1) * DAY),
    }


def _component_id(call: Call, project: Project) -> str:
    return call.world.identities.uuid(Kind.COMPONENT, project.key)


def _releases(project: Project) -> list[tuple[Job, float]]:
    """The jobs that brought a version out and when, oldest first."""
    return [
        (job, job.stopped)
        for run in project.history.runs.get("deploy", [])
        for job in run.jobs
        if job.plan.name == "deploy-production" and job.status == "success" and job.stopped is not None
    ]


def _component(call: Call, project: Project) -> dict[str, Any]:
    releases = _releases(project)
    return {
        "id": _component_id(call, project),
        "name": project.name,
        "project_id": project.id,
        "labels": [{"key": "team", "value": "core" if project.key % 2 else "growth"}],
        "release_count": len(releases),
        "created_at": iso_ms(call.world.anchor - 250 * DAY),
        "updated_at": iso_ms(releases[-1][1] if releases else call.world.anchor - 250 * DAY),
    }


def _organization(call: Call) -> Organization:
    ident = call.one("org-id")
    if ident is None or not is_uuid(ident):
        call.refuse(400, "org-id: must be a valid UUID.")
    return call.found(call.world.organization(ident), "Organization not found")


def _size(call: Call) -> int:
    """The page size, which these lists must be given."""
    size = whole_number(call.one("page-size") or "")
    if not size:
        call.refuse(400, "page-size: must be a positive integer.")
    return size


@routes.add("GET", "/deploy/environments", "deploys.list_environments")
def list_environments(call: Call) -> Answer:
    """An organization's environments."""
    organization = _organization(call)
    indexes = range(len(_ENVIRONMENTS))
    return call.page(indexes, lambda index: _environment(call, organization, index), size=_size(call), end="")


@routes.add("GET", "/deploy/environments/{environment_id}", "deploys.get_environment")
def get_environment(call: Call) -> Answer:
    """An environment."""
    ident = call.uuid("environment_id")
    places = (
        (organization, index)
        for organization in call.world.organizations.values()
        for index in range(len(_ENVIRONMENTS))
        if _environment_id(call, organization, index) == ident
    )
    return call.json(_environment(call, *call.found(next(places, None), "Environment not found")))


@routes.add("GET", "/deploy/components", "deploys.list_components")
def list_components(call: Call) -> Answer:
    """An organization's components, or one project's."""
    projects = call.world.projects_of(_organization(call))
    size = _size(call)
    wanted = call.one("project-id")
    if wanted is not None:
        if not is_uuid(wanted):
            call.refuse(400, "project-id: must be a valid UUID.")
        projects = [project for project in projects if project.id == wanted.lower()]
    return call.page(projects, lambda project: _component(call, project), size=size, end="")


def _project(call: Call) -> Project:
    ident = call.uuid("component_id")
    projects = (project for project in call.world.projects.values() if _component_id(call, project) == ident)
    return call.found(next(projects, None), "Component not found")


@routes.add("GET", "/deploy/components/{component_id}", "deploys.get_component")
def get_component(call: Call) -> Answer:
    """A component."""
    return call.json(_component(call, _project(call)))


@routes.add("GET", "/deploy/components/{component_id}/versions", "deploys.list_component_versions")
def list_component_versions(call: Call) -> Answer:
    """A component's versions, newest first; the newest one of each environment is live."""
    project = _project(call)
    wanted = call.one("environment-id")
    releases = _releases(project)
    indexes = range(len(releases))
    environments = [_environment_id(call, project.organization, index) for index in range(2)]
    if wanted is not None:
        if not is_uuid(wanted):
            call.refuse(400, "environment-id: must be a valid UUID.")
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
            "job_id": wire.job_uuid(call, job),
            "job_number": job.number,
            "last_deployed_at": iso_ms(stopped),
        }

    return call.page(chosen, show, newest_first=True, end="")


def _version(index: int) -> str:
    return f"1.{index // 10}.{index % 10}"


@routes.add("POST", "/projects/{project_id}/rollback", "deploys.rollback")
def rollback(call: Call) -> Answer:
    """Go back to an older version by a pipeline."""
    project = call.found(call.world.project_by_id(call.uuid("project_id")), "Project not found")
    required = ("component_name", "current_version", "environment_name", "target_version")
    fields = call.fields(*required)
    call.only(fields, (*required, "namespace", "parameters", "reason"))
    for name in required:
        if not isinstance(fields[name], str) or not fields[name]:
            call.refuse(400, f"{name}: must be a non-empty string.")
    if fields["component_name"] != project.name:
        call.refuse(404, "Component not found")
    if fields["environment_name"] not in _ENVIRONMENTS:
        call.refuse(404, "Environment not found")
    versions = {_version(index) for index in range(len(_releases(project)))}
    if not {fields["current_version"], fields["target_version"]} <= versions:
        call.refuse(404, "Version not found")
    if fields["current_version"] == fields["target_version"]:
        call.refuse(409, "Conflict creating entity.")
    call.world.trigger(project, branch=None, tag=None, parameters={}, delay=call.workflow_delay)
    ident = call.world.new_id(Kind.ROLLBACK)
    call.changed(ident)
    return call.json({"id": ident, "rollback_type": "PIPELINE"}, 202)
