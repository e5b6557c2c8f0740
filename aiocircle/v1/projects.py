"""Projects of API v1.1: following them, their settings, their latest artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from aiocircle._core.fields import KEBAB, Timestamp

__all__ = ["FirstBuild", "FollowedProject", "Following", "LatestArtifact", "ProjectSettings", "SshKey"]


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
