"""The slug and the id of a project, for operations that take only one of them."""

from __future__ import annotations

from aiocircle._core.executor import Executor
from aiocircle._urls import is_uuid
from aiocircle.resources.projects import Projects
from aiocircle.slugs import ProjectSlug

__all__ = ["full_slug", "project_id"]


async def full_slug(executor: Executor, project: ProjectSlug) -> ProjectSlug:
    """Return the slug with its provider. A bare UUID costs one request."""
    if project.provider is not None:
        return project
    return ProjectSlug.parse((await Projects(executor).get(project)).slug)


async def project_id(executor: Executor, project: ProjectSlug) -> str:
    """Return the project's UUID. It costs one request, unless the slug ends with it."""
    # The third part of a slug of GitHub or Bitbucket is a name, even if it looks like a UUID.
    if project.provider in (None, "circleci") and is_uuid(project.project):
        return project.project
    return (await Projects(executor).get(project)).id
