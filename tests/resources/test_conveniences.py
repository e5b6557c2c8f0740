"""What users ask for on top of the API's own operations."""

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


async def on_hold(server: LocalCircleCI, circle: CircleCI) -> tuple[str, str]:
    """A workflow that waits for an approval, and the name of the job that does."""
    for project in server.projects:
        async for pipeline in circle.pipelines.list_for_project(project):
            async for workflow in circle.pipelines.list_workflows(pipeline.id):
                if workflow.status == "on_hold":
                    async for job in circle.workflows.list_jobs(workflow.id):
                        if job.is_waiting_for_approval:
                            return workflow.id, job.name
    raise AssertionError("no workflow is on hold")


async def test_job_is_approved_by_name_once(server: LocalCircleCI, circle: CircleCI) -> None:
    """A job is approved by its name. A second approval raises InvalidArgument."""
    workflow, job = await on_hold(server, circle)
    await circle.workflows.approve_by_name(workflow, job)
    assert [operation for operation, _ in server.changes] == ["workflows.approve"]
    with pytest.raises(InvalidArgument, match="must be waiting"):
        await circle.workflows.approve_by_name(workflow, job)
    assert len(server.changes) == 1


async def test_unknown_approval_name_is_refused(server: LocalCircleCI, circle: CircleCI) -> None:
    """The error for an unknown name lists the jobs that wait for an approval."""
    workflow, job = await on_hold(server, circle)
    with pytest.raises(InvalidArgument, match=job):
        await circle.workflows.approve_by_name(workflow, "no such job")
    assert server.changes == []


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
