"""The projects of a bulk job."""

from __future__ import annotations

from collections.abc import Iterable

from aiocircle.slugs import ProjectSlug

__all__ = ["distinct_projects"]


def distinct_projects(projects: Iterable[ProjectSlug | str] | ProjectSlug | str) -> list[ProjectSlug]:
    """Return the projects in order, each once, also if its spellings differ. A single one may stand by itself."""
    several = (projects,) if isinstance(projects, str | ProjectSlug) else projects
    return list(dict.fromkeys(ProjectSlug.parse(project) for project in several))
