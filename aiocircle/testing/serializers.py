"""Resources as on the wire: one function per resource, so that each spelling stands in one place."""

from __future__ import annotations

from typing import Any

from .generator import commit_subject
from .ids import Kind, digest
from .model import CheckoutKey, Job, Organization, Pipeline, Project, ProjectVariable, User, Workflow, job_id
from .request import RequestContext
from .times import iso, iso_ms

__all__ = [
    "approval_id",
    "checkout_key",
    "collaboration",
    "job_details",
    "job_uuid",
    "masked",
    "pipeline",
    "project",
    "project_variable",
    "trigger_parameters",
    "user",
    "vcs_type",
    "workflow",
    "workflow_job",
]

_PROVIDER_NAMES = {"gh": "GitHub", "bb": "Bitbucket", "circleci": "CircleCI"}
_VCS_TYPES = {"gh": "github", "bb": "bitbucket", "circleci": "circleci"}


def vcs_type(organization: Organization) -> str:
    """Return the name of an organization's code host as in responses."""
    return _VCS_TYPES[organization.provider]


def user(person: User) -> dict[str, Any]:
    """Return a user."""
    payload: dict[str, Any] = {"id": person.id, "login": person.login, "name": person.name}
    if not person.email_only:
        payload["avatar_url"] = person.avatar_url
    return payload


def collaboration(request: RequestContext, organization: Organization) -> dict[str, Any]:
    """Return an organization that the token's owner works with."""
    return request.spell_keys(
        {
            "id": organization.id,
            "vcs_type": vcs_type(organization),
            "name": organization.name,
            "avatar_url": f"https://avatars.example/o/{organization.key}?v=4",
            "slug": organization.slug,
        },
        "vcs_type",
    )


def project(resource: Project) -> dict[str, Any]:
    """Return a project."""
    owner = resource.organization
    url = f"//circleci.com/{owner.id}/{resource.id}" if owner.standalone else resource.repository_url
    return {
        "slug": resource.slug,
        "name": resource.name,
        "id": resource.id,
        "organization_name": owner.name,
        "organization_slug": owner.slug,
        "organization_id": owner.id,
        "vcs_info": {
            "vcs_url": url,
            "provider": _PROVIDER_NAMES[owner.provider],
            "default_branch": resource.default_branch,
        },
    }


def masked(value: str) -> str:
    """Return the masked value of a project variable."""
    return f"xxxx{value[-4:]}"


def project_variable(request: RequestContext, variable: ProjectVariable) -> dict[str, Any]:
    """Return an environment variable of a project."""
    created = None if variable.created is None else iso_ms(variable.created)
    payload = {"name": variable.name, "value": masked(variable.value), "created_at": created}
    return request.spell_keys(payload, "created_at")


def checkout_key(request: RequestContext, key: CheckoutKey, digest_type: str) -> dict[str, Any]:
    """Return an ssh key of a project."""
    return request.spell_keys(
        {
            "public_key": key.public_key,
            "type": key.type,
            "fingerprint": key.sha256 if digest_type == "sha256" else key.md5,
            "preferred": key.preferred,
            "created_at": iso_ms(key.created),
        },
        "public_key",
        "created_at",
    )


def pipeline(resource: Pipeline) -> dict[str, Any]:
    """Return a pipeline. Those of the GitHub App have trigger parameters and no `vcs`."""
    standalone = resource.project.organization.standalone
    created = resource.created if resource.created % 1 else resource.created + resource.salt % 1000 / 1000
    actor = {"login": resource.actor.login, "avatar_url": resource.actor.avatar_url}
    payload: dict[str, Any] = {
        "id": resource.id,
        "errors": [{"type": kind, "message": message} for kind, message in resource.errors],
        "project_slug": resource.project.slug,
        "updated_at": iso_ms(created + 0.4 if resource.updated is None else resource.updated),
        "number": resource.number,
        "state": resource.state,
        "created_at": iso_ms(created),
        "trigger": {
            "type": resource.trigger,
            "received_at": "1970-01-01T00:00:00.000Z" if standalone else iso_ms(created - 0.9),
            "actor": {"login": "", "avatar_url": None} if standalone else actor,
        },
    }
    if standalone:
        payload["trigger_parameters"] = trigger_parameters(resource, created)
    else:
        payload["vcs"] = _vcs(resource)
    return payload


def _vcs(resource: Pipeline) -> dict[str, Any]:
    url = resource.project.repository_url
    vcs: dict[str, Any] = {
        "provider_name": _PROVIDER_NAMES[resource.project.organization.provider],
        "target_repository_url": url,
        "origin_repository_url": url,
        "revision": resource.revision,
    }
    if resource.tag is not None:
        vcs["tag"] = resource.tag
    else:
        vcs["branch"] = resource.branch
        if resource.branch is not None and resource.branch.startswith(("feature/", "pull/")):
            review = resource.branch.split("/")[1] if resource.branch.startswith("pull/") else str(resource.salt % 400)
            vcs["review_id"] = review
            vcs["review_url"] = f"{url}/pull/{review}"
    if resource.trigger != "api":
        body = None if resource.salt % 5 == 0 else "" if resource.salt % 2 else "See the issue for the reason."
        vcs["commit"] = {"subject": commit_subject(resource), "body": body}
    return vcs


def trigger_parameters(resource: Pipeline, created: float) -> dict[str, Any]:
    """Return the trigger parameters of a pipeline of the GitHub App."""
    ref = f"refs/tags/{resource.tag}" if resource.tag is not None else f"refs/heads/{resource.branch}"
    owner = resource.project.organization
    return {
        "circleci": {
            "event_time": iso_ms(created),
            "event_type": "push",
            "trigger_type": "github_app",
            "trigger_id": str(resource.salt),
            "actor_id": resource.actor.id,
            "provider_login": resource.actor.login,
        },
        "git": {
            "branch": resource.branch or "",
            "tag": resource.tag or "",
            "ref": ref,
            "checkout_sha": resource.revision,
            "checkout_url": f"{resource.project.repository_url}.git",
            "commit_message": commit_subject(resource),
            "default_branch": resource.project.default_branch,
        },
        "github_app": {
            "web_url": resource.project.repository_url,
            "full_ref": ref,
            "commit_author_name": resource.actor.name,
            "repo_project_id": owner.key,
            "forced": False,
        },
    }


def workflow(resource: Workflow, now: float) -> dict[str, Any]:
    """Return a workflow run. An expired one has neither an id nor a status."""
    story = resource.plan.story
    if story is not None and story.expired:
        expired = dict.fromkeys(("id", "name", "status", "created_at", "stopped_at", "started_by"))
        return {
            **expired,
            "pipeline_id": resource.pipeline.id,
            "project_slug": resource.pipeline.project.slug,
            "pipeline_number": resource.pipeline.number,
        }
    stopped = resource.shown_stopped(now)
    payload: dict[str, Any] = {
        "pipeline_id": resource.pipeline.id,
        "id": resource.id,
        "name": resource.name,
        "project_slug": resource.pipeline.project.slug,
        "status": resource.shown_status(now),
        "started_by": resource.started_by.id,
        "pipeline_number": resource.pipeline.number,
        "created_at": iso(resource.created),
        "stopped_at": None if stopped is None else iso(stopped),
    }
    if resource.tag is not None:
        payload["tag"] = resource.tag
    if resource.canceled_by is not None:
        payload["canceled_by"] = resource.canceled_by.id
    if resource.errored_by is not None:
        payload["errored_by"] = resource.errored_by.id
    if resource.auto_rerun_number is not None:
        payload["auto_rerun_number"] = resource.auto_rerun_number
    if resource.max_auto_reruns is not None:
        payload["max_auto_reruns"] = resource.max_auto_reruns
    return payload


def job_uuid(request: RequestContext, job: Job) -> str:
    """Return a job's UUID."""
    return job_id(request.state.ids, job)


def approval_id(request: RequestContext, job: Job) -> str:
    """Return the UUID to approve a job with."""
    run = job.workflow
    return request.state.ids.uuid(Kind.APPROVAL, run.pipeline.project.key, run.pipeline.number, run.sub, job.index)


def workflow_job(request: RequestContext, run: Workflow, job: Job) -> dict[str, Any]:
    """Return a job in its workflow's list."""
    dependencies = [job_uuid(request, run.jobs[index]) for index in job.plan.requires]
    payload: dict[str, Any] = {
        "dependencies": dependencies,
        "requires": {dependency: ["success"] for dependency in dependencies},
        "id": job_uuid(request, job),
        "started_at": None if job.started is None else iso(job.started),
        "name": job.plan.name,
        "project_slug": run.pipeline.project.slug,
        "status": job.status,
        "type": job.plan.type,
        "created_at": iso(run.created),
    }
    if job.canceled_by is not None:
        payload["canceled_by"] = job.canceled_by.id
    if job.plan.type == "approval":
        if job.approved_by is not None:
            payload["approved_by"] = job.approved_by.id
        else:
            payload["approval_request_id"] = approval_id(request, job)
        return payload
    if job.number is not None:
        payload["job_number"] = job.number
        payload["stopped_at"] = None if job.stopped is None else iso(job.stopped)
    return payload


def job_details(request: RequestContext, job: Job) -> dict[str, Any]:
    """Return a job by itself."""
    run = job.workflow
    owner = run.pipeline.project
    path = f"{vcs_type(owner.organization)}/{owner.organization.fragment}/{owner.fragment}"
    about: dict[str, Any] = {"slug": owner.slug, "name": owner.name, "external_url": owner.repository_url}
    if request.spelling == "spec":
        about["id"] = owner.id
    queued = run.created if job.started is None else job.started - 1
    return {
        "web_url": f"https://app.circleci.com/pipelines/{path}/{run.pipeline.number}/workflows/{run.id}/jobs/{job.number}",
        "project": about,
        "parallel_runs": [{"index": index, "status": job.status} for index in range(job.plan.parallelism)],
        "started_at": None if job.started is None else iso_ms(job.started),
        "latest_workflow": {"id": run.id, "name": run.name},
        "name": job.plan.name,
        "executor": {"resource_class": job.plan.resource_class, "type": "docker"},
        "parallelism": job.plan.parallelism,
        "status": job.status,
        "number": job.number,
        "pipeline": {"id": run.pipeline.id},
        "duration": None if job.duration is None else round(job.duration * 1000),
        "created_at": iso_ms(run.created),
        "messages": _messages(job),
        "contexts": [{"name": name} for name in job.plan.contexts],
        "organization": {"name": owner.organization.name},
        "queued_at": iso_ms(queued),
        "stopped_at": None if job.stopped is None else iso_ms(job.stopped),
    }


def _messages(job: Job) -> list[dict[str, Any]]:
    if job.status == "infrastructure_fail":
        return [{"type": "error", "message": "The machine went away.", "reason": "infrastructure"}]
    if digest("message", job.workflow.salt, job.index)[0] % 40 == 0:
        return [{"type": "warning", "message": "This image is deprecated."}]
    return []
