"""A bulk fetch over real HTTP: what is bad costs what is bad, and a 401 ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiocircle import CircleCI, DecodeError, InvalidArgument, RetryPolicy, Unauthorized
from aiocircle.bulk import ProjectInsights, fetch_insights
from aiocircle.testing import LocalCircleCI

METRICS = {"metrics": {}, "window_start": None}


@pytest.fixture
async def server() -> AsyncIterator[LocalCircleCI]:
    async with LocalCircleCI(projects=6) as server:
        yield server


@pytest.fixture
async def circle(server: LocalCircleCI) -> AsyncIterator[CircleCI]:
    async with CircleCI(server.token, base_url=server.url, retry=RetryPolicy(attempts=2, base=0.0)) as circle:
        yield circle


async def collect(circle: CircleCI, projects: Any, **options: Any) -> list[ProjectInsights]:
    return [project async for project in fetch_insights(circle, projects, **options)]


@pytest.mark.parametrize("name", ["", ".", "..", "a\tb"])
async def test_bad_workflow_name_costs_the_workflow(server: LocalCircleCI, circle: CircleCI, name: str) -> None:
    """A name that cannot be part of a path is a failure of its project; all projects and other workflows come."""
    project = server.projects[0]
    items = [{"name": name, **METRICS}, {"name": "build", **METRICS}]
    server.inject(
        "answer", status=200, body={"items": items, "next_page_token": None}, path=f"/insights/{project}/workflows"
    )
    found = {str(each.slug): each for each in await collect(circle, server.projects)}
    assert len(found) == len(server.projects)
    spoilt = found[project]
    assert [workflow.name for workflow in spoilt.workflows] == [name, "build"]
    assert {failure.operation for failure in spoilt.failures} >= {"insights.list_workflow_runs"}
    assert all(isinstance(failure.error, InvalidArgument) for failure in spoilt.failures if failure.workflow == name)


async def test_bad_items_are_failures(server: LocalCircleCI, circle: CircleCI) -> None:
    """A bad metric and a bad flaky test are one failure each; the others are kept."""
    project = server.projects[0]
    items = [{"name": 5}, {"name": "build", **METRICS}]
    flaky = {"flaky_tests": [{"test_name": "a"}, {"test_name": None}, {"test_name": "c"}], "total_flaky_tests": 3}
    server.inject("answer", status=200, body={"items": items}, path=f"/insights/{project}/workflows")
    server.inject("answer", status=200, body=flaky, path=f"/insights/{project}/flaky-tests")
    [result] = await collect(circle, project, include=("workflows", "flaky_tests"))
    assert [workflow.name for workflow in result.workflows] == ["build"]
    assert [test.test_name for test in result.flaky_tests] == ["a", "c"]
    problems = {failure.operation: failure.error for failure in result.failures}
    assert all(isinstance(error, DecodeError) for error in problems.values())
    assert "$.items[0].name" in str(problems["insights.list_workflow_metrics"])
    assert "$.flaky_tests[1].test_name" in str(problems["insights.get_flaky_tests"])
    assert len(result.failures) == 2


async def test_unauthorized_ends_the_job(server: LocalCircleCI, circle: CircleCI) -> None:
    """Nothing is sent after the responses to the requests that were in flight at the first 401."""
    found = await collect(circle, server.projects[:2])
    assert len(found) == 2
    before = len(server.requests)
    async with CircleCI("wrong", base_url=server.url, max_concurrency=4) as stranger:
        with pytest.raises(Unauthorized):
            await collect(stranger, server.projects)
        await asyncio.sleep(0.05)
    assert len(server.requests) - before <= 4


async def test_stopped_consumer_stops_requests(server: LocalCircleCI, circle: CircleCI) -> None:
    """While four finished projects wait for the consumer, no request is sent."""
    many = [f"gh/acme/none-{number}" for number in range(200)]
    fetch = fetch_insights(circle, [*server.projects, *many], include=("workflows",))
    await anext(fetch)
    for _ in range(50):
        await asyncio.sleep(0.01)
    sent = len(server.requests)
    assert sent <= 3 * circle.max_concurrency
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert len(server.requests) == sent
    await fetch.aclose()


async def test_projects_come_from_anywhere(server: LocalCircleCI, circle: CircleCI) -> None:
    """A pager of projects, an async iterable, models, links and patterns: each project once."""
    organization = server.projects[0].rpartition("/")[0]
    own = {slug for slug in server.projects if slug.startswith(f"{organization}/")}

    async def one_by_one() -> AsyncIterator[Any]:
        for slug in server.projects:
            yield await circle.projects.get(slug)
            yield slug.replace("gh/", "github/")

    for projects in (
        circle.projects.list_for_org(organization),
        f"{organization}/*",
        [f"{organization}/*", server.projects[0]],
    ):
        found = await collect(circle, projects, include=("flaky_tests",))
        assert sorted(str(project.slug) for project in found) == sorted(own)
    found = await collect(circle, one_by_one(), include=("flaky_tests",))
    assert sorted(str(project.slug) for project in found) == sorted(server.projects)


async def test_pattern_that_fails_is_a_failure(server: LocalCircleCI, circle: CircleCI) -> None:
    """A pattern of an unknown organization costs itself, and no other project."""
    found = await collect(circle, ["gh/nobody-here/*", server.projects[0]], include=("flaky_tests",))
    failed = {str(project.slug): project.failures for project in found}
    assert [failure.operation for failure in failed["gh/nobody-here/*"]] == ["projects.list_for_org"]
    assert failed[server.projects[0]] == ()
