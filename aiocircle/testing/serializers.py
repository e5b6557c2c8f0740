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
    shown: dict[str, Any] = {"id": person.id, "login": person.login, "name": person.name}
    if not person.email_only:
        shown["avatar_url"] = person.avatar_url
    return shown


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


def project(found: Project) -> dict[str, Any]:
    """Return a project."""
    owner = found.organization
    url = f"//circleci.com/{owner.id}/{found.id}" if owner.standalone else found.repository_url
    return {
        "slug": found.slug,
        "name": found.name,
        "id": found.id,
        "organization_name": owner.name,
        "organization_slug": owner.slug,
        "organization_id": owner.id,
        "vcs_info": {
            "vcs_url": url,
            "provider": _PROVIDER_NAMES[owner.provider],
            "default_branch": found.default_branch,
        },
    }


def masked(value: str) -> str:
    """Return the masked value of a project variable."""
    return f"xxxx{value[-4:]}"


def project_variable(request: RequestContext, variable: ProjectVariable) -> dict[str, Any]:
    """Return an environment variable of a project."""
    created = None if variable.created is None else iso_ms(variable.created)
    shown = {"name": variable.name, "value": masked(variable.value), "created_at": created}
    return request.spell_keys(shown, "created_at")


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


def pipeline(found: Pipeline) -> dict[str, Any]:
    """Return a pipeline. Those of the GitHub App have trigger parameters and no `vcs`."""
    standalone = found.project.organization.standalone
    created = found.created if found.created % 1 else found.created + found.salt % 1000 / 1000
    actor = {"login": found.actor.login, "avatar_url": found.actor.avatar_url}
    shown: dict[str, Any] = {
        "id": found.id,
        "errors": [{"type": kind, "message": message} for kind, message in found.errors],
        "project_slug": found.project.slug,
        "updated_at": iso_ms(created + 0.4),
        "number": found.number,
        "state": found.state,
        "created_at": iso_ms(created),
        "trigger": {
            "type": found.trigger,
            "received_at": "1970-01-01T00:00:00.000Z" if standalone else iso_ms(created - 0.9),
            "actor": {"login": "", "avatar_url": None} if standalone else actor,
        },
    }
    if standalone:
        shown["trigger_parameters"] = _trigger_parameters(found, created)
    else:
        shown["vcs"] = _vcs(found)
    return shown


def _vcs(found: Pipeline) -> dict[str, Any]:
    url = found.project.repository_url
    vcs: dict[str, Any] = {
        "provider_name": _PROVIDER_NAMES[found.project.organization.provider],
        "target_repository_url": url,
        "origin_repository_url": url,
        "revision": found.revision,
    }
    if found.tag is not None:
        vcs["tag"] = found.tag
    else:
        vcs["branch"] = found.branch
        if found.branch is not None and found.branch.startswith(("feature/", "pull/")):
            review = found.branch.split("/")[1] if found.branch.startswith("pull/") else str(found.salt % 400)
            vcs["review_id"] = review
            vcs["review_url"] = f"{url}/pull/{review}"
    if found.trigger != "api":
        body = None if found.salt % 5 == 0 else "" if found.salt % 2 else "See the issue for the reason."
        vcs["commit"] = {"subject": commit_subject(found), "body": body}
    return vcs


def _trigger_parameters(found: Pipeline, created: float) -> dict[str, Any]:
    ref = f"refs/tags/{found.tag}" if found.tag is not None else f"refs/heads/{found.branch}"
    owner = found.project.organization
    return {
        "circleci": {
            "event_time": iso_ms(created),
            "event_type": "push",
            "trigger_type": "github_app",
            "trigger_id": str(found.salt),
            "actor_id": found.actor.id,
            "provider_login": found.actor.login,
        },
        "git": {
            "branch": found.branch or "",
            "tag": found.tag or "",
            "ref": ref,
            "checkout_sha": found.revision,
            "checkout_url": f"{found.project.repository_url}.git",
            "commit_message": commit_subject(found),
            "default_branch": found.project.default_branch,
        },
        "github_app": {
            "web_url": found.project.repository_url,
            "full_ref": ref,
            "commit_author_name": found.actor.name,
            "repo_project_id": owner.key,
            "forced": False,
        },
    }


def workflow(found: Workflow) -> dict[str, Any]:
    """Return a workflow run."""
    shown: dict[str, Any] = {
        "pipeline_id": found.pipeline.id,
        "id": found.id,
        "name": found.name,
        "project_slug": found.pipeline.project.slug,
        "status": found.status,
        "started_by": found.started_by.id,
        "pipeline_number": found.pipeline.number,
        "created_at": iso(found.created),
        "stopped_at": None if found.stopped is None else iso(found.stopped),
    }
    if found.tag is not None:
        shown["tag"] = found.tag
    if found.canceled_by is not None:
        shown["canceled_by"] = found.canceled_by.id
    if found.errored_by is not None:
        shown["errored_by"] = found.errored_by.id
    if found.auto_rerun_number is not None:
        shown["auto_rerun_number"] = found.auto_rerun_number
    if found.max_auto_reruns is not None:
        shown["max_auto_reruns"] = found.max_auto_reruns
    return shown


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
    shown: dict[str, Any] = {
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
        shown["canceled_by"] = job.canceled_by.id
    if job.plan.type == "approval":
        if job.approved_by is not None:
            shown["approved_by"] = job.approved_by.id
        else:
            shown["approval_request_id"] = approval_id(request, job)
        return shown
    if job.number is not None:
        shown["job_number"] = job.number
        shown["stopped_at"] = None if job.stopped is None else iso(job.stopped)
    return shown


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
