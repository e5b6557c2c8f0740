"""Conveniences in addition to the API's own operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from aiocircle import CircleCI, InvalidArgument, OrgSlug
from aiocircle.testing import LocalCircleCI


async def test_since_ends_the_list(server: LocalCircleCI, circle: CircleCI) -> None:
    """`since` ends the list before the first older pipeline, and no further page is requested."""
    project = server.projects[0]
    every = await circle.pipelines.list_for_project(project).collect()
    pages = len(server.requests)
    since = every[29].created_at
    recent = await circle.pipelines.list_for_project(project, since=since).collect()
    assert recent == [pipeline for pipeline in every if pipeline.created_at >= since]
    assert len(server.requests) - pages == 2
    assert pages > 3
    elsewhere = since.astimezone(timezone(timedelta(hours=-7)))
    assert await circle.pipelines.list_for_project(project, since=elsewhere.isoformat()).collect() == recent
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert await circle.pipelines.list_for_project(project, since=tomorrow).collect() == []


@pytest.mark.parametrize("since", [datetime(2026, 1, 1), "2026-01-01T00:00:00", "yesterday", 5])
async def test_since_needs_an_offset(server: LocalCircleCI, circle: CircleCI, since: object) -> None:
    """`since` must be a time with an offset."""
    with pytest.raises(InvalidArgument, match="since"):
        circle.pipelines.list_for_project(server.projects[0], since=since)  # type: ignore[arg-type]
    assert server.requests == []


async def test_projects_of_an_organization_come_once() -> None:
    """All projects of an organization are found, each once."""
    async with LocalCircleCI(30) as server, CircleCI(server.token, base_url=server.url) as circle:
        for org in sorted({slug.rpartition("/")[0] for slug in server.projects}):
            expected = sorted(slug for slug in server.projects if slug.startswith(f"{org}/"))
            found = await circle.projects.list_for_org(org).collect()
            assert [project.slug for project in found] == expected
            assert await circle.projects.list_for_org(OrgSlug.parse(org)).collect() == found


async def test_pattern_selects_projects_by_name() -> None:
    """A pattern such as gh/acme/a* selects projects by name."""
    async with LocalCircleCI(30) as server, CircleCI(server.token, base_url=server.url) as circle:
        for org in sorted({slug.rpartition("/")[0] for slug in server.projects}):
            every = await circle.projects.list_for_org(org).collect()
            letter = every[0].name[0]
            found = await circle.projects.list_for_org(f"{org}/{letter}*").collect()
            assert found == [project for project in every if project.name.startswith(letter)]
        assert await circle.projects.list_for_org("gh/acme/no-such-*").collect() == []


async def test_list_of_projects_can_be_resumed() -> None:
    """The list of an organization's projects continues from a page token."""
    projects = [f"gh/acme/service-{number:02}" for number in range(25)]
    async with LocalCircleCI(projects) as server, CircleCI(server.token, base_url=server.url) as circle:
        pages = [page async for page in circle.projects.list_for_org("gh/acme").pages()]
        assert [len(page.items) for page in pages] == [20, 5]
        rest = await circle.projects.list_for_org("gh/acme", page_token=pages[0].next_page_token).collect()
        assert [project.slug for project in rest] == projects[20:]
