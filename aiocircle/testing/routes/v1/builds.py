"""Builds of API v1.1: jobs with their steps, outputs and artifacts."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Any

from ... import serializers
from ...generator import commit_subject
from ...ids import digest
from ...model import Job, Project, User, job_id
from ...request import RequestContext, parse_natural
from ...response import Response
from ...router import Routes
from ...script import raise_if_out
from ...steps import Action, Step, steps_of
from ...storage import artifacts_of, output_url
from ...times import iso_ms

__all__ = ["newest_jobs", "routes"]

routes = Routes()

_MAX_LIMIT = 100
_DEFAULT_LIMIT = 30
_FILTERS = ("completed", "successful", "failed", "running")
_FAILED = frozenset({"failed", "timedout", "infrastructure_fail"})
_CPU = {"small": 1.0, "medium": 2.0, "medium+": 3.0, "large": 4.0, "xlarge": 8.0}


def newest_jobs(project: Project) -> Iterator[Job]:
    """Yield the jobs of a project that have a number, newest first."""
    for run in project.history.newest_runs():
        for job in reversed(run.jobs):
            if job.workflow is run and job.number is not None:
                yield job


@routes.add("GET", "/project/{project/}", "v1.builds.list")
def list_for_project(request: RequestContext) -> Response:
    """List the builds of a project, newest first."""
    return _page(request, newest_jobs(request.project()))


@routes.add("GET", "/project/{project/}/tree/{branch}", "v1.builds.list")
def list_for_branch(request: RequestContext) -> Response:
    """List the builds of a branch, newest first."""
    branch = request.path_value("branch")
    return _page(request, (job for job in newest_jobs(request.project()) if job.workflow.pipeline.branch == branch))


@routes.add("GET", "/recent-builds", "v1.builds.list_recent")
def list_recent(request: RequestContext) -> Response:
    """List the builds of all projects, newest first."""
    builds = [newest_jobs(project) for project in request.state.projects.values()]
    return _page(request, heapq.merge(*builds, key=lambda job: -job.workflow.created))


def _page(request: RequestContext, jobs: Iterator[Job]) -> Response:
    limit = _number(request, "limit", _DEFAULT_LIMIT)
    offset = _number(request, "offset", 0)
    name = request.query_choice("filter", _FILTERS)
    if name is not None:
        jobs = (job for job in jobs if _matches(job, name))
    shallow = request.query_value("shallow") == "true"
    selected = itertools.islice(jobs, offset, offset + min(limit, _MAX_LIMIT))
    return request.respond([_summary(request, job, shallow=shallow) for job in selected])


def _number(request: RequestContext, name: str, default: int) -> int:
    text = request.query_value(name)
    number = default if text is None else parse_natural(text)
    if number is None:
        request.fail(400, f"{name}: must be a non-negative integer.")
    return number


def _matches(job: Job, name: str) -> bool:
    if name == "running":
        return job.status == "running"
    if name == "completed":
        return job.finished
    return job.status in _FAILED if name == "failed" else job.status == "success"


def build_of(request: RequestContext) -> Job:
    """Return the job that the path names."""
    job = request.require(request.project().history.job(request.path_number("build_num")), "Build not found")
    raise_if_out(job.workflow.pipeline, request.state.now())
    return job


@routes.add("GET", "/project/{project/}/{build_num}", "v1.builds.get", cacheable=False)
def get(request: RequestContext) -> Response:
    """Return a build with its steps. The URLs of their outputs are signed again each time."""
    return request.respond(_details(request, build_of(request)))


@routes.add("POST", "/project/{project/}/{build_num}/cancel", "v1.builds.cancel")
def cancel(request: RequestContext) -> Response:
    """Cancel a build; one that has finished stays as it is."""
    job = build_of(request)
    if not job.finished:
        request.state.cancel_job(job)
        request.record_change(job_id(request.state.ids, job))
    return request.respond(_details(request, job))


@routes.add("POST", "/project/{project/}/{build_num}/ssh-users", "v1.builds.add_ssh_user")
def add_ssh_user(request: RequestContext) -> Response:
    """Give the owner of the token SSH access to a build."""
    job = build_of(request)
    job.ssh_users += (request.state.token_owner,)
    request.record_change(job_id(request.state.ids, job))
    return request.respond(_details(request, job))


def _summary(request: RequestContext, job: Job, *, shallow: bool) -> dict[str, Any]:
    """Return a build as in lists. Builds of the GitHub App have no details of the commit."""
    run, pipeline, project = job.workflow, job.workflow.pipeline, job.workflow.pipeline.project
    organization = project.organization
    vcs = serializers.vcs_type(organization)
    standalone = organization.standalone
    has_commit = not standalone and pipeline.trigger != "api"
    commit = {
        "name": pipeline.actor.name if has_commit else None,
        "email": f"{pipeline.actor.login}@acme.example" if has_commit else None,
        "date": iso_ms(pipeline.created - 60) if has_commit else None,
    }
    payload: dict[str, Any] = {
        "build_num": job.number,
        "vcs_type": vcs,
        "username": organization.fragment,
        "reponame": project.fragment,
        "vcs_url": f"//circleci.com/{organization.id}/{project.id}" if standalone else project.repository_url,
        "build_url": f"https://circleci.com/{_short(vcs)}/{organization.fragment}/{project.fragment}/{job.number}",
        "branch": pipeline.branch,
        "vcs_tag": pipeline.tag,
        "vcs_revision": None if standalone else pipeline.revision,
        "subject": commit_subject(pipeline) if has_commit else None,
        "body": "" if has_commit else None,
        "author_name": commit["name"],
        "author_email": commit["email"],
        "author_date": commit["date"],
        "committer_name": commit["name"],
        "committer_email": commit["email"],
        "committer_date": commit["date"],
        "why": "api" if pipeline.trigger == "api" else "github",
        "user": _user(pipeline.actor, vcs, known=not standalone),
        "status": _status(job),
        "outcome": job.status if job.finished and job.status != "not_run" else None,
        "lifecycle": "finished" if job.finished else "running" if job.status == "running" else "queued",
        "queued_at": iso_ms(run.created),
        "start_time": None if job.started is None else iso_ms(job.started),
        "stop_time": None if job.stopped is None else iso_ms(job.stopped),
        "build_time_millis": None if job.duration is None else round(job.duration * 1000),
        "parallel": job.plan.parallelism,
        "platform": "2.0",
        "job_name": None,
        "fail_reason": None,
        "has_artifacts": bool(artifacts_of(job)),
        "timedout": job.status == "timedout",
        "oss": False,
    }
    if not shallow:
        payload["workflows"] = {
            "job_name": job.plan.name,
            "job_id": job_id(request.state.ids, job),
            "workflow_id": run.id,
            "workflow_name": run.name,
            "workspace_id": run.id,
        }
        payload["all_commit_details"] = []
    return payload


def _short(vcs: str) -> str:
    return {"github": "gh", "bitbucket": "bb"}.get(vcs, vcs)


def _user(user: User, vcs: str, *, known: bool) -> dict[str, Any]:
    if not known or user.login.endswith("[bot]"):
        return {"is_user": False, "login": None, "vcs_type": vcs}
    return {
        "is_user": True,
        "login": user.login,
        "name": user.name,
        "avatar_url": user.avatar_url,
        "vcs_type": vcs,
        "id": int.from_bytes(digest("external id", user.id)[:3]),
    }


def _status(job: Job) -> str:
    return {"unauthorized": "not_run", "blocked": "not_running"}.get(job.status, job.status)


def _details(request: RequestContext, job: Job) -> dict[str, Any]:
    resource_class = job.plan.resource_class
    canceler = job.canceled_by
    steps = steps_of(job, request.state.now())
    vcs = serializers.vcs_type(job.workflow.pipeline.project.organization)
    return {
        **_summary(request, job, shallow=False),
        "steps": [_step(request, step) for step in steps],
        "canceled": job.status == "canceled",
        "canceler": None if canceler is None else _user(canceler, vcs, known=True),
        "failed": job.status in _FAILED if job.finished else None,
        "infrastructure_fail": job.status == "infrastructure_fail",
        "context_ids": [],
        "ssh_users": [
            {"github_id": int.from_bytes(digest("external id", user.id)[:3]), "login": user.login}
            for user in job.ssh_users
        ],
        "retries": [],
        "retry_of": None,
        "previous": None,
        "messages": [],
        "owners": [],
        "pull_requests": [],
        "circle_yml": {"string": "version: 2.1\n"},
        "picard": {
            "executor": "docker",
            "build_agent": {"image": None, "properties": {"build_agent": "1.0", "executor": "docker"}},
            "resource_class": {"cpu": _CPU.get(resource_class, 2.0), "ram": 4096, "class": resource_class},
        },
    }


def _step(request: RequestContext, step: Step) -> dict[str, Any]:
    return {"name": step.name, "actions": [_action(request, action) for action in step.actions]}


def _action(request: RequestContext, action: Action) -> dict[str, Any]:
    """Return an action. One that was killed because it printed nothing has neither `failed` nor an exit code."""
    stopped = action.stopped
    payload: dict[str, Any] = {
        "index": action.node,
        "step": action.number,
        "allocation_id": f"{job_id(request.state.ids, action.job)}-{action.node}-build",
        "name": action.story.name,
        "type": action.story.type,
        "status": action.status,
        "start_time": iso_ms(action.started),
        "end_time": None if stopped is None else iso_ms(stopped),
        "run_time_millis": None if stopped is None else round((stopped - action.started) * 1000),
        "exit_code": action.exit_code,
        "failed": True if action.status == "failed" else None,
        "infrastructure_fail": True if action.status == "infrastructure_fail" else None,
        "timedout": True if action.status == "timedout" else None,
        "canceled": True if action.status == "canceled" else None,
        "continue": None,
        "bash_command": action.story.command,
        "has_output": action.has_output,
        "truncated": action.story.truncated,
        "parallel": action.job.plan.parallelism > 1,
        "background": action.story.background,
        "insignificant": False,
    }
    if action.has_output:
        payload["output_url"] = output_url(request.state, request.urls, action)
    return payload
