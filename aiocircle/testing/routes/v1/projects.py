"""Projects of API v1.1: following, settings, SSH keys and the newest artifacts."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import attrs

from ... import serializers
from ...ids import digest
from ...model import Project, job_id
from ...request import RequestContext
from ...response import Response
from ...router import Routes
from ...state import State
from ...storage import artifact_url, artifacts_of
from .builds import newest_jobs

__all__ = ["routes"]

routes = Routes()


@attrs.frozen(kw_only=True)
class _SSHKey:
    hostname: str | None
    fingerprint: str
    public_key: str


class _Projects:
    """The followed projects, and the SSH keys of each."""

    def __init__(self, state: State) -> None:
        self.unfollowed: set[int] = set()
        self.keys: dict[int, list[_SSHKey]] = {}


@routes.add("GET", "/projects", "v1.projects.list_followed")
def list_followed(request: RequestContext) -> Response:
    """List the projects that the owner of the token follows."""
    unfollowed = request.state.group_state(_Projects).unfollowed
    projects = [project for project in request.state.projects.values() if project.key not in unfollowed]
    shallow = request.query_value("shallow") == "true"
    return request.respond([_row(project, shallow=shallow) for project in projects])


def _row(project: Project, *, shallow: bool) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "vcs_type": serializers.vcs_type(project.organization),
        "username": project.organization.fragment,
        "reponame": project.fragment,
        "vcs_url": _url(project),
        "default_branch": project.default_branch,
        "following": True,
        "has_usable_key": True,
        "language": "Python",
        "oss": False,
    }
    if not shallow:
        payload["branches"] = {project.default_branch: {"is_using_workflows": True, "recent_builds": []}}
    return payload


def _url(project: Project) -> str:
    owner = project.organization
    return f"//circleci.com/{owner.id}/{project.id}" if owner.standalone else project.repository_url


@routes.add("POST", "/project/{project/}/follow", "v1.projects.follow")
def follow(request: RequestContext) -> Response:
    """Follow a project."""
    project = request.project()
    request.state.group_state(_Projects).unfollowed.discard(project.key)
    request.record_change(project.slug)
    return request.respond({"following": True, "workflow": False, "first_build": None})


@routes.add("POST", "/project/{project/}/unfollow", "v1.projects.unfollow")
def unfollow(request: RequestContext) -> Response:
    """Follow a project no longer."""
    project = request.project()
    request.state.group_state(_Projects).unfollowed.add(project.key)
    request.record_change(project.slug)
    return request.respond({"following": False})


@routes.add("DELETE", "/project/{project/}/build-cache", "v1.projects.clear_cache")
def clear_cache(request: RequestContext) -> Response:
    """Delete the caches of CircleCI 1.0."""
    request.record_change(request.project().slug)
    return request.respond({"status": "build dependency caches deleted"})


@routes.add("GET", "/project/{project/}/settings", "v1.projects.get_settings")
def get_settings(request: RequestContext) -> Response:
    """Return the settings of a project, whose flags have hyphens."""
    project = request.project()
    keys = request.state.group_state(_Projects).keys.get(project.key, [])
    payload: dict[str, Any] = {
        "vcs-type": serializers.vcs_type(project.organization),
        "vcs_url": _url(project),
        "username": project.organization.fragment,
        "reponame": project.fragment,
        "default_branch": project.default_branch,
        "following": project.key not in request.state.group_state(_Projects).unfollowed,
        "feature_flags": {
            name.replace("_", "-"): value for name, value in project.settings.items() if isinstance(value, bool)
        },
        "ssh_keys": [
            {"hostname": key.hostname, "fingerprint": key.fingerprint, "public_key": key.public_key} for key in keys
        ],
    }
    if request.query_value("skip-branches") != "true":
        payload["branches"] = {project.default_branch: {"is_using_workflows": True}}
    return request.respond(payload)


@routes.add("POST", "/project/{project/}/ssh-key", "v1.projects.add_ssh_key")
def add_ssh_key(request: RequestContext) -> Response:
    """Add an SSH key, whose private part is never returned."""
    project = request.project()
    fields = request.body_fields("private_key")
    private_key, hostname = fields["private_key"], fields.get("hostname")
    if not isinstance(private_key, str) or not (hostname is None or isinstance(hostname, str)):
        request.fail(400, "private_key and hostname: must be strings.")
    octets = digest("ssh key", private_key)
    key = _SSHKey(
        hostname=hostname,
        fingerprint=":".join(f"{byte:02x}" for byte in octets[:16]),
        public_key=f"ssh-rsa {b64encode(octets * 4).decode()}",
    )
    request.state.group_state(_Projects).keys.setdefault(project.key, []).append(key)
    request.record_change(project.slug)
    return Response(201, b"")


@routes.add("DELETE", "/project/{project/}/ssh-key", "v1.projects.delete_ssh_key")
def delete_ssh_key(request: RequestContext) -> Response:
    """Delete an SSH key by its fingerprint and host name."""
    project = request.project()
    fields = request.body_fields("fingerprint")
    keys = request.state.group_state(_Projects).keys.get(project.key, [])
    matching = [
        key for key in keys if (key.fingerprint, key.hostname) == (fields["fingerprint"], fields.get("hostname"))
    ]
    if not matching:
        request.fail(404, "checkout key not found")
    keys.remove(matching[0])
    request.record_change(project.slug)
    return request.respond_message("OK")


@routes.add("GET", "/project/{project/}/latest/artifacts", "v1.projects.list_latest_artifacts")
def list_latest_artifacts(request: RequestContext) -> Response:
    """List the artifacts of the newest build of a branch that has finished and matches the filter."""
    project = request.project()
    branch = request.query_value("branch") or project.default_branch
    name = request.query_choice("filter", ("completed", "successful", "failed")) or "completed"
    statuses = {"completed": None, "successful": "success", "failed": "failed"}
    matching = (
        job
        for job in newest_jobs(project)
        if job.finished and statuses[name] in {None, job.status}
        if job.workflow.pipeline.branch == branch and artifacts_of(job)
    )
    job = request.require(next(matching, None), "Build not found")
    ident = job_id(request.state.ids, job)
    return request.respond(
        [
            {
                "path": artifact.path,
                "pretty_path": artifact.path,
                "node_index": artifact.node_index,
                "url": artifact_url(request.url, ident, job, artifact),
            }
            for artifact in artifacts_of(job)
        ]
    )
