"""Builds of API v1.1: jobs with their steps, and where the output of each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aiocircle._core.api import V1
from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.fields import Timestamp
from aiocircle._core.group import Group, Project, omit_none
from aiocircle._core.pager import Pager

__all__ = [
    "Build",
    "BuildAction",
    "BuildCommit",
    "BuildPreviousRun",
    "BuildStep",
    "BuildSummary",
    "BuildUser",
    "BuildWorkflow",
    "Builds",
    "SshUser",
]


@attrs.frozen(kw_only=True)
class BuildUser:
    """The user whose event started a build. A bot has `is_user` False and no login."""

    is_user: bool | None = None
    login: str | None = None
    name: str | None = None
    avatar_url: str | None = None
    id: int | None = None
    vcs_type: str | None = None


@attrs.frozen(kw_only=True)
class BuildWorkflow:
    """The workflow of a build. job_name is the job's name, which the build itself lacks."""

    job_id: str | None = None
    job_name: str | None = None
    workflow_id: str | None = None
    workflow_name: str | None = None
    workspace_id: str | None = None
    upstream_job_ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class BuildCommit:
    """A commit that a build is about."""

    commit: str | None = None
    subject: str | None = None
    body: str | None = None
    branch: str | None = None
    author_name: str | None = None
    author_login: str | None = None
    author_email: str | None = None
    author_date: Timestamp | None = None
    committer_name: str | None = None
    committer_login: str | None = None
    committer_email: str | None = None
    committer_date: Timestamp | None = None
    commit_url: str | None = None


@attrs.frozen(kw_only=True)
class BuildPreviousRun:
    """An earlier build of the same branch. build_time_millis: milliseconds."""

    build_num: int | None = None
    status: str | None = None
    build_time_millis: int | None = None


@attrs.frozen(kw_only=True)
class SshUser:
    """A user who may log in to a build by SSH."""

    login: str | None = None
    github_id: int | None = None


@attrs.frozen(kw_only=True)
class BuildAction:
    """A step on one parallel node, as the API has it.

    index: the node, counted from 0. step: the step's number. run_time_millis: milliseconds. output_url is signed: it
    needs no token, is valid for some days, and is not in the repr. After a timeout `failed` and `exit_code` are None:
    judge by the status.
    """

    index: int = 0
    step: int | None = None
    name: str | None = None
    type: str | None = None
    status: str | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    run_time_millis: int | None = None
    exit_code: int | None = None
    failed: bool | None = None
    infrastructure_fail: bool | None = None
    timedout: bool | None = None
    canceled: bool | None = None
    bash_command: str | None = None
    has_output: bool | None = None
    output_url: str | None = attrs.field(default=None, repr=False)
    truncated: bool | None = None
    parallel: bool | None = None
    background: bool | None = None
    insignificant: bool | None = None
    allocation_id: str | None = None


@attrs.frozen(kw_only=True)
class BuildStep:
    """A step of a build, with an action for each parallel node."""

    name: str = ""
    actions: tuple[BuildAction, ...] = ()


@attrs.frozen(kw_only=True)
class BuildSummary:
    """A build as lists have it: without steps. A row may lack most of its fields.

    build_time_millis: milliseconds. build_parameters is the user's own map.
    """

    build_num: int
    username: str | None = None
    reponame: str | None = None
    vcs_type: str | None = None
    vcs_url: str | None = None
    vcs_revision: str | None = None
    vcs_tag: str | None = None
    branch: str | None = None
    build_url: str | None = None
    status: str | None = None
    outcome: str | None = None
    lifecycle: str | None = None
    why: str | None = None
    subject: str | None = None
    body: str | None = None
    platform: str | None = None
    parallel: int | None = None
    queued_at: Timestamp | None = None
    usage_queued_at: Timestamp | None = None
    start_time: Timestamp | None = None
    stop_time: Timestamp | None = None
    build_time_millis: int | None = None
    author_name: str | None = None
    author_email: str | None = None
    author_date: Timestamp | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    committer_date: Timestamp | None = None
    user: BuildUser | None = None
    workflows: BuildWorkflow | None = None
    has_artifacts: bool | None = None
    fail_reason: str | None = None
    canceled: bool | None = None
    timedout: bool | None = None
    infrastructure_fail: bool | None = None
    ssh_disabled: bool | None = None
    build_parameters: Mapping[str, Any] | None = attrs.field(default=None, eq=True, hash=False)

    @property
    def is_finished(self) -> bool:
        """True if the build will not change any more."""
        return self.lifecycle == "finished" or (self.lifecycle is None and self.stop_time is not None)


@attrs.frozen(kw_only=True)
class Build(BuildSummary):
    """A build with its steps. `steps` is empty until it starts."""

    steps: tuple[BuildStep, ...] = ()
    all_commit_details: tuple[BuildCommit, ...] = ()
    ssh_users: tuple[SshUser, ...] = ()
    retries: tuple[int, ...] | None = None
    retry_of: int | None = None
    previous: BuildPreviousRun | None = None
    previous_successful_build: BuildPreviousRun | None = None
    compare: str | None = None
    owners: tuple[str, ...] = ()
    context_ids: tuple[str, ...] | None = None


class _Endpoints(Table, group="v1.builds", api=V1):
    add_ssh_user = Endpoint("POST", "/project/{project:long_slug}/{build_num}/ssh-users", Build)
    cancel = Endpoint("POST", "/project/{project:long_slug}/{build_num}/cancel", Build)
    get = Endpoint("GET", "/project/{project:long_slug}/{build_num}", Build)
    list = ListEndpoint("GET", "/project/{project:long_slug}", BuildSummary)
    list_of_branch = ListEndpoint("GET", "/project/{project:long_slug}/tree/{branch}", BuildSummary)
    list_recent = ListEndpoint("GET", "/recent-builds", BuildSummary)


class Builds(Group):
    """Builds of API v1.1: `circle.v1.builds`. A build is a job of API v2, and build_num is its job number.

    Builds of GitHub App and GitLab projects lack the revision, the commit and the user.
    """

    async def get(self, project: Project, build_num: int) -> Build:
        """Return a build with its steps. The URLs of their outputs are signed again each time.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.get, project, build_num)

    def list(
        self,
        project: Project,
        *,
        branch: str | None = None,
        filter: str | None = None,
        shallow: bool | None = None,
        page_token: str | None = None,
    ) -> Pager[BuildSummary]:
        """List the builds of a project or of one of its branches, newest first.

        filter: "completed", "successful", "failed" or "running". shallow: True leaves out the workflows, and is faster.
        page_token: the number of builds to skip. A build is listed once, also if new builds begin during the iteration.

        https://circleci.com/docs/api/v1/
        """
        endpoint = _Endpoints.list if branch is None else _Endpoints.list_of_branch
        values = (project,) if branch is None else (project, branch)
        query = omit_none(filter=filter, shallow=shallow)
        return self._list(endpoint, *values, query=query, page_token=page_token)

    def list_recent(self, *, shallow: bool | None = None, page_token: str | None = None) -> Pager[BuildSummary]:
        """List the builds of all projects that the token's user follows, newest first.

        shallow: True leaves out the workflows, and is faster. page_token: the number of builds to skip. A build is
        listed once, also if new builds begin during the iteration.

        https://circleci.com/docs/api/v1/
        """
        query = omit_none(shallow=shallow)
        return self._list(_Endpoints.list_recent, query=query, page_token=page_token)

    async def cancel(self, project: Project, build_num: int) -> Build:
        """Cancel a build, and return it. A finished build stays as it is.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.cancel, project, build_num)

    async def add_ssh_user(self, project: Project, build_num: int) -> Build:
        """Give the token's user SSH access to a build, and return the build.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.add_ssh_user, project, build_num)
