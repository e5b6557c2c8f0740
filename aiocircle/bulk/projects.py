"""The projects of a bulk job: given one by one, by patterns, or as they are found."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeGuard, cast

import attrs

from aiocircle._core.group import Project
from aiocircle.errors import CircleCIError, Unauthorized
from aiocircle.links import Link, project_at
from aiocircle.slugs import OrgSlug, ProjectSlug

if TYPE_CHECKING:
    from aiocircle.client import CircleCI

__all__ = ["Projects", "Target", "targets"]

Projects = Iterable[Project] | AsyncIterable[Project] | Project
"""Projects, or patterns such as `gh/acme/web-*`: one, several, or as an async iterable finds them."""


@attrs.frozen
class Target:
    """A project to fetch; or a pattern that could not be expanded, with its error."""

    slug: ProjectSlug
    error: CircleCIError | None = None


def targets(circle: CircleCI, projects: Projects) -> AsyncGenerator[Target, None]:
    """Return the projects in order, each once, also if its spellings differ.

    A pattern is expanded when it is reached, by `circle.projects.list_for_org`. Raise InvalidArgument immediately for a
    project that is not one, unless an async iterable yields it.
    """
    base_url = circle.base_url
    if isinstance(projects, AsyncIterable):
        return _distinct(circle, _parse_later(projects, base_url))
    several = list(projects) if _is_several(projects) else [cast("Project", projects)]
    return _distinct(circle, _iterate([_parse(project, base_url) for project in several]))


async def _distinct(
    circle: CircleCI, projects: AsyncGenerator[ProjectSlug | str, None]
) -> AsyncGenerator[Target, None]:
    seen: set[ProjectSlug] = set()
    async with aclosing(projects):
        async for project in projects:
            async with aclosing(_expand(circle, project)) as found:
                async for target in found:
                    if target.error is not None or target.slug not in seen:
                        seen.add(target.slug)
                        yield target


async def _expand(circle: CircleCI, project: ProjectSlug | str) -> AsyncGenerator[Target, None]:
    if isinstance(project, ProjectSlug):
        yield Target(project)
        return
    try:
        async with aclosing(aiter(circle.projects.list_for_org(project))) as found:
            async for each in found:
                yield Target(ProjectSlug.parse(each.slug))
    except Unauthorized:
        raise
    except CircleCIError as error:
        yield Target(ProjectSlug.parse(project), error)


async def _iterate(projects: list[ProjectSlug | str]) -> AsyncGenerator[ProjectSlug | str, None]:
    for project in projects:
        yield project


async def _parse_later(projects: AsyncIterable[Project], base_url: str) -> AsyncGenerator[ProjectSlug | str, None]:
    async for project in projects:
        yield _parse(project, base_url)


def _parse(project: Project, base_url: str) -> ProjectSlug | str:
    """Return the slug of a project, or the text of a pattern."""
    if not _is_pattern(project):
        return project_at(project, base_url)
    OrgSlug.parse(project.rpartition("/")[0])
    return project


def _is_several(projects: object) -> TypeGuard[Iterable[Project]]:
    is_one = isinstance(projects, str | ProjectSlug | Link) or hasattr(projects, "slug")
    return isinstance(projects, Iterable) and not is_one


def _is_pattern(project: object) -> TypeGuard[str]:
    if not isinstance(project, str) or project.count("/") != 2 or ":" in project:
        return False
    return any(sign in project.rpartition("/")[2] for sign in "*?[")
