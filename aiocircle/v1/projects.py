"""Projects of API v1.1: following them, their settings, their latest artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aiocircle._core.api import V1
from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import KEBAB, Timestamp
from aiocircle._core.group import Group, Project, omit_none
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import NONE
from aiocircle._redact import Secret
from aiocircle.errors import InvalidArgument

__all__ = ["FirstBuild", "FollowedProject", "Following", "LatestArtifact", "ProjectSettings", "Projects", "SshKey"]


@attrs.frozen(kw_only=True)
class FollowedProject:
    """A project that the token's user follows."""

    reponame: str | None = None
    username: str | None = None
    vcs_type: str | None = None
    vcs_url: str | None = None
    default_branch: str | None = None
    language: str | None = None
    following: bool | None = None
    has_usable_key: bool | None = None
    oss: bool | None = None


@attrs.frozen(kw_only=True)
class FirstBuild:
    """The build that following a project started."""

    build_num: int | None = None
    build_url: str | None = None


@attrs.frozen(kw_only=True)
class Following:
    """True in `following` if the token's user follows the project now. Unfollowing gives nothing else."""

    following: bool
    workflow: bool | None = None
    first_build: FirstBuild | None = None


@attrs.frozen(kw_only=True)
class SshKey:
    """A private key that builds use, without its secret part."""

    hostname: str | None = None
    public_key: str | None = None
    fingerprint: str | None = None
    time: Timestamp | None = None


@attrs.frozen(kw_only=True)
class ProjectSettings:
    """Settings of a project. feature_flags is an open map, with the API's own kebab-case keys."""

    reponame: str | None = None
    username: str | None = None
    vcs_type: str | None = attrs.field(default=None, metadata=KEBAB)
    vcs_url: str | None = None
    default_branch: str | None = None
    language: str | None = None
    following: bool | None = None
    has_usable_key: bool | None = None
    oss: bool | None = None
    parallel: int | None = None
    feature_flags: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    ssh_keys: tuple[SshKey, ...] = ()


@attrs.frozen(kw_only=True)
class LatestArtifact:
    """An artifact of a branch's latest build. node_index: the parallel node, counted from 0."""

    path: str
    node_index: int = 0
    url: str
    pretty_path: str | None = None


class _Endpoints(Table, group="v1.projects", api=V1):
    add_ssh_key = Action("POST", "/project/{project:long_slug}/ssh-key")
    clear_cache = Action("DELETE", "/project/{project:long_slug}/build-cache")
    delete_ssh_key = Action("DELETE", "/project/{project:long_slug}/ssh-key")
    follow = Endpoint("POST", "/project/{project:long_slug}/follow", Following)
    get_settings = Endpoint("GET", "/project/{project:long_slug}/settings", ProjectSettings)
    list_followed = ListEndpoint("GET", "/projects", FollowedProject, pagination=NONE)
    list_latest_artifacts = ListEndpoint(
        "GET", "/project/{project:long_slug}/latest/artifacts", LatestArtifact, pagination=NONE
    )
    unfollow = Endpoint("POST", "/project/{project:long_slug}/unfollow", Following)


class Projects(Group):
    """Projects of API v1.1: `circle.v1.projects`."""

    def list_followed(self, *, page_token: str | None = None) -> Pager[FollowedProject]:
        """List the projects that the token's user follows. The API returns them in one piece.

        https://circleci.com/docs/api/v1/
        """
        return self._list(_Endpoints.list_followed, query={"shallow": True}, page_token=page_token)

    async def follow(self, project: Project) -> Following:
        """Follow a project. A GitHub OAuth or Bitbucket project that is not followed by any user never builds.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.follow, project)

    async def unfollow(self, project: Project) -> Following:
        """Stop following a project.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.unfollow, project)

    async def clear_cache(self, project: Project) -> None:
        """Delete the dependency caches of builds of CircleCI 1.0. Caches of today's builds stay.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.clear_cache, project)

    async def get_settings(self, project: Project) -> ProjectSettings:
        """Return the settings of a project: the feature flags, and the public parts of its SSH keys.

        https://circleci.com/docs/api/v1/
        """
        return await self._call(_Endpoints.get_settings, project, query={"skip_branches": True})

    async def add_ssh_key(self, project: Project, *, hostname: str | None, private_key: str) -> None:
        """Add a private key that builds of a project use.

        hostname: the host that the key is for; None for all hosts. private_key: in PEM form, without a passphrase.

        https://circleci.com/docs/api/v1/
        """
        if not isinstance(private_key, str):
            raise InvalidArgument(f"private_key must be a str, got {type(private_key).__name__}. Decode it first.")
        # The value is masked before the request can fail, so that no traceback with locals shows it.
        private_key = Secret(private_key)
        body = omit_none(hostname=hostname, private_key=private_key)
        return await self._call(_Endpoints.add_ssh_key, project, body=body)

    async def delete_ssh_key(self, project: Project, *, hostname: str | None, fingerprint: str) -> None:
        """Delete a private key from a project.

        hostname, fingerprint: those of the key in `get_settings(project).ssh_keys`. Raise NotFound if it has no such
        key.

        https://circleci.com/docs/api/v1/
        """
        body = omit_none(hostname=hostname, fingerprint=fingerprint)
        return await self._call(_Endpoints.delete_ssh_key, project, body=body)

    def list_latest_artifacts(
        self,
        project: Project,
        *,
        branch: str | None = None,
        filter: str | None = None,
        page_token: str | None = None,
    ) -> Pager[LatestArtifact]:
        """List the artifacts of a branch's latest build that has any. The API returns them in one piece.

        branch: the default branch unless it is named. filter: "completed", "successful" or "failed". Raise NotFound if
        there is not such a build.

        https://circleci.com/docs/api/v1/
        """
        query = omit_none(branch=branch, filter=filter)
        return self._list(_Endpoints.list_latest_artifacts, project, query=query, page_token=page_token)
