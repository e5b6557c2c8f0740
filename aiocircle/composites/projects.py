"""Projects, with the list of an organization's projects, which API v2 does not have."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Final

import attrs

from aiocircle._core.endpoint import Endpoint, ListEndpoint, Table
from aiocircle._core.executor import Executor
from aiocircle._core.group import Org
from aiocircle._core.pager import Pager
from aiocircle._core.pagination import Page
from aiocircle._core.tasks import gather
from aiocircle.errors import NotFound
from aiocircle.links import org_at
from aiocircle.resources import projects
from aiocircle.resources.projects import Project
from aiocircle.slugs import OrgSlug, check_segment

__all__ = ["Projects"]

_PAGE_SIZE: Final = 20  # projects: each is a request


@attrs.frozen(kw_only=True)
class _Organization:
    """The slug of an organization."""

    slug: str


@attrs.frozen(kw_only=True)
class _OrgSummary:
    """The names of an organization's projects, from its insights."""

    all_projects: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class _Pipeline:
    """The project of a pipeline."""

    project_slug: str


class _Endpoints(Table, group="projects.list_for_org"):
    get_organization = Endpoint("GET", "/organization/{org:slug_or_id}", _Organization)
    get_project = Endpoint("GET", "/project/{project:slug}", Project)
    get_summary = Endpoint("GET", "/insights/{org:org_slug}/summary", _OrgSummary)
    list_pipelines = ListEndpoint("GET", "/pipeline", _Pipeline)


class Projects(projects.Projects):
    """Projects: `circle.projects`."""

    __slots__ = ()

    def list_for_org(self, org: Org, *, page_token: str | None = None) -> Pager[Project]:
        """List an organization's projects, sorted by slug, or those of a pattern such as `gh/acme/web-*`.

        A pattern is matched against the project's name: `*` is anything, `?` one character, `[ab]` either of them.

        API v2 has no such list. This one is built from the organization's insights, which name the projects that ran
        recently. Projects that are not known by their names (`circleci/…`) are found in the organization's pipelines,
        as far back as necessary. Each project is then read by a request of its own. Those that the token's user cannot
        see are left out.

        https://circleci.com/docs/api/v2/#operation/getOrgSummaryData
        """
        return Pager(_OrgListing(self._executor, org).page, page_token=page_token)


class _OrgListing:
    """An organization's projects, found again by each iteration. A page's token is the slug that it begins with."""

    def __init__(self, executor: Executor, org: Org) -> None:
        self._executor = executor
        self._org, self._pattern = _split_pattern(org, executor.state.base_url)
        self._slugs: list[str] = []

    async def page(self, page_token: str | None) -> Page[Project]:
        if page_token is None or not self._slugs:
            self._slugs = sorted(await self._find())
        remaining = [slug for slug in self._slugs if page_token is None or slug >= page_token]
        matching: list[Project] = []
        while remaining and not matching:
            found = await self._get_all(remaining[:_PAGE_SIZE])
            matching = [project for project in found if fnmatchcase(project.name, self._pattern)]
            remaining = remaining[_PAGE_SIZE:]
        return Page(tuple(matching), remaining[0] if remaining else None)

    async def _find(self) -> set[str]:
        if self._org.provider is None:
            self._org = OrgSlug.parse((await self._executor.call(_Endpoints.get_organization, self._org)).slug)
        org = str(self._org)
        names = (await self._executor.call(_Endpoints.get_summary, self._org)).all_projects
        if self._org.provider in ("gh", "bb"):
            return {f"{org}/{name}" for name in names if fnmatchcase(name, self._pattern)}
        slugs: set[str] = set()
        async with aclosing(self._executor.list(_Endpoints.list_pipelines, query={"org_slug": org}).pages()) as pages:
            async for page in pages:
                known = len(slugs)
                slugs.update(pipeline.project_slug for pipeline in page.items)
                # Insights does not know a new project yet: continue until a page shows no other one.
                if len(slugs) >= len(names) and len(slugs) == known:
                    break
        return slugs

    async def _get_all(self, slugs: Sequence[str]) -> list[Project]:
        async def get(slug: str) -> Project | None:
            try:
                return await self._executor.call(_Endpoints.get_project, slug)
            except NotFound:
                return None

        found = await gather(*[get(slug) for slug in slugs])
        return [project for project in found if project is not None]


def _split_pattern(org: Org, base_url: str) -> tuple[OrgSlug, str]:
    """Return the organization and the pattern of names in `gh/acme/web-*`; `*` if there is only `gh/acme`."""
    if isinstance(org, str) and "://" not in org and org.count("/") == 2:
        prefix, _, pattern = org.rpartition("/")
        return OrgSlug.parse(prefix), check_segment(pattern, "the pattern")
    return org_at(org, base_url), "*"
