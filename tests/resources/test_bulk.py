"""The insights of many projects: everything is yielded once, also after errors."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from collections import Counter
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from aiocircle import CircleCI, InvalidArgument, NotFound, ProjectSlug, RetryPolicy
from aiocircle.bulk import Progress, ProjectInsights, fetch_insights
from aiocircle.testing import LocalCircleCI

PATIENT = RetryPolicy(attempts=12, base=0.01, max_wait=3600.0)


async def fetched(server: LocalCircleCI, **options: Any) -> dict[str, ProjectInsights]:
    async with CircleCI(server.token, base_url=server.url, retry=PATIENT) as circle:
        projects = [project async for project in fetch_insights(circle, server.projects, **options)]
    slugs = [str(project.slug) for project in projects]
    assert len(slugs) == len(set(slugs)), "no project comes twice"
    return dict(zip(slugs, projects, strict=True))


FAULTS = {"429", "500", "502", "503", "drop", "truncate", "slow"}


@pytest.mark.parametrize("rate_limit", [None, 40.0])
async def test_faults_and_rate_limit_change_no_result(rate_limit: float | None) -> None:
    """Faults of each kind and a rate limit change nothing in the fetched insights."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    async with LocalCircleCI(4, seed=seed) as server:
        calm = await fetched(server)
    async with LocalCircleCI(4, seed=seed, faults=0.2, rate_limit=rate_limit) as server:
        for kind in FAULTS:
            server.inject(kind)
        stormy = await fetched(server)
        kinds = Counter(request.fault for request in server.requests if request.fault)
    # The windows' ends are the same to the second, not to the microsecond: compare what was fetched.
    assert stormy == calm
    assert len(calm) == 4
    assert not any(project.failures for project in stormy.values())
    assert set(kinds) >= FAULTS


async def test_project_has_all_its_insights(server: LocalCircleCI, circle: CircleCI) -> None:
    """Each project has its metrics, runs, jobs and flaky tests."""
    async for project in fetch_insights(circle, server.projects, window="last-30-days", all_branches=True):
        assert [workflow.name for workflow in project.workflows]
        for workflow in project.workflows:
            assert workflow.metrics.name == workflow.name
            since = next(dict(each.query)["start-date"] for each in server.requests if "start-date" in dict(each.query))
            every = await circle.insights.list_workflow_runs(project.slug, workflow.name, all_branches=True).collect()
            assert workflow.runs == tuple(run for run in every if run.created_at >= datetime.fromisoformat(since))
            assert workflow.runs
            assert workflow.jobs
        expected = await circle.insights.get_flaky_tests(project.slug)
        assert project.flaky_tests == expected.flaky_tests
        assert project.failures == ()


async def test_window_of_runs_is_equal_for_all(server: LocalCircleCI, circle: CircleCI) -> None:
    """Runs of all projects are requested with the same dates."""
    async for _ in fetch_insights(circle, server.projects, window="last-7-days"):
        pass
    spans = {
        (dict(request.query)["start-date"], dict(request.query)["end-date"])
        for request in server.requests
        if "start-date" in dict(request.query)
    }
    assert len(spans) == 1
    windows = {dict(request.query).get("reporting-window") for request in server.requests}
    assert windows == {None, "last-7-days"}


async def test_repeated_project_is_fetched_once(server: LocalCircleCI, circle: CircleCI) -> None:
    """A project that is given twice, in other spellings, is fetched once."""
    slug = next(slug for slug in server.projects if slug.startswith("gh/"))
    _, org, repo = slug.split("/")
    spellings = [slug, f"github/{org}/{repo}", f"git@github.com:{org}/{repo}.git", ProjectSlug.parse(slug)]
    assert [str(project.slug) async for project in fetch_insights(circle, spellings)] == [slug]
    assert [str(project.slug) async for project in fetch_insights(circle, slug)] == [slug]


async def test_only_included_data_is_requested(server: LocalCircleCI, circle: CircleCI) -> None:
    """Only the data in `include` is requested."""
    async for project in fetch_insights(circle, server.projects, include="flaky_tests"):
        assert project.workflows == ()
    assert all(request.path.endswith("/flaky-tests") for request in server.requests)
    async for project in fetch_insights(circle, server.projects, include=["jobs"]):
        assert project.flaky_tests == ()
        assert all(workflow.jobs and not workflow.runs for workflow in project.workflows)


async def test_failed_operation_is_a_failure(server: LocalCircleCI, circle: CircleCI) -> None:
    """An operation that fails is a failure of its project, and stops nothing else."""
    lost, *others = server.projects
    server.inject("404", times=100, path=f"/insights/{lost}/flaky-tests")
    found = {str(project.slug): project async for project in fetch_insights(circle, server.projects)}
    (failure,) = found[lost].failures
    assert failure.operation == "insights.get_flaky_tests"
    assert isinstance(failure.error, NotFound)
    assert found[lost].workflows
    assert all(found[slug].failures == () for slug in others)


async def test_interrupted_list_keeps_its_pages() -> None:
    """A list that fails keeps its pages, and its failure has the page token to resume with."""
    async with LocalCircleCI(1, page_size=2) as server, CircleCI(server.token, base_url=server.url) as circle:

        def break_off(progress: Progress) -> None:
            if progress.requests_done == 12:
                server.inject("400", path=re.compile(r".*/workflows/[^/]+$"))

        (project,) = [each async for each in fetch_insights(circle, server.projects, on_progress=break_off)]
        (failure,) = project.failures
        assert failure.operation == "insights.list_workflow_runs"
        (workflow,) = [each for each in project.workflows if each.name == failure.workflow]

        dates = next(dict(each.query) for each in server.requests if "start-date" in dict(each.query))
        rest = await circle.insights.list_workflow_runs(
            project.slug,
            workflow.name,
            start_date=dates["start-date"],
            end_date=dates["end-date"],
            page_token=failure.error.page_token,
        ).collect()
        whole = await circle.insights.list_workflow_runs(
            project.slug, workflow.name, start_date=dates["start-date"], end_date=dates["end-date"]
        ).collect()
        assert workflow.runs
        assert [*workflow.runs, *rest] == whole


async def test_unknown_project_is_a_failure(server: LocalCircleCI, circle: CircleCI) -> None:
    """An unknown project has failures, and the others are fetched."""
    found = {str(project.slug): project async for project in fetch_insights(circle, ["gh/no/such", *server.projects])}
    assert len(found) == 1 + len(server.projects)
    assert {type(failure.error) for failure in found["gh/no/such"].failures} == {NotFound}


async def test_progress_counts_up_to_the_totals(server: LocalCircleCI, circle: CircleCI) -> None:
    """The counts of on_progress never decrease, and end at the totals."""
    seen: list[Progress] = []
    async for _ in fetch_insights(circle, server.projects, on_progress=seen.append):
        pass
    for earlier, later in pairwise(seen):
        assert later.requests_done >= earlier.requests_done
        assert later.requests_done <= later.requests_total
        assert later.projects_done <= later.projects_total == len(server.projects)
    assert seen[-1].projects_done == len(server.projects)
    assert seen[-1].requests_done == seen[-1].requests_total == len(server.requests)


async def test_slow_consumer_stops_new_requests() -> None:
    """While the consumer is slow, no new request is sent."""
    async with LocalCircleCI(16) as server, CircleCI(server.token, base_url=server.url, max_concurrency=4) as circle:
        async with aclosing(fetch_insights(circle, server.projects)) as projects:
            await anext(projects)
            await asyncio.sleep(60)
            at_rest = len(server.requests)
            await asyncio.sleep(600)
            assert len(server.requests) == at_rest
            rest = [project async for project in projects]
        assert len(rest) == 15
        assert at_rest < len(server.requests) / 2


async def test_projects_come_in_order_of_completion() -> None:
    """Projects come in the order of their completion, also those that waited for a slow consumer."""
    answered: list[str] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        project = request.path.split("/")[-2]
        await asyncio.sleep(int(project))
        answered.append(project)
        return web.json_response({"flaky_tests": [], "total_flaky_tests": 0})

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        slugs = [f"gh/acme/{seconds}" for seconds in random.sample(range(1, 1000), 20)]
        came: list[str] = []
        async with CircleCI("token", base_url=base_url, timeout=None) as circle:
            async for project in fetch_insights(circle, slugs, include="flaky_tests"):
                came.append(project.slug.project)
                await asyncio.sleep(200)
        assert len(came) == 20
        assert came == answered
    finally:
        await runner.cleanup()


async def test_leaving_early_drops_delayed_requests() -> None:
    """Requests that are delayed are dropped without a warning when the consumer leaves."""
    async with LocalCircleCI(12) as server, CircleCI(server.token, base_url=server.url, max_concurrency=8) as circle:
        async with aclosing(fetch_insights(circle, server.projects, include="flaky_tests")) as projects:
            await anext(projects)
            await asyncio.sleep(60)
            await anext(projects)
            await asyncio.sleep(60)
            pending = len(server.projects) - len(server.requests)
            assert pending > 0
        # A coroutine that was made and never run would warn, and fail the test.
        gc.collect()
        assert len(server.requests) + pending == len(server.projects)


async def test_a_job_queues_at_most_max_concurrency() -> None:
    """Hundreds of requests are to be made at 40 a second. Only four at a time are in the queue or in flight."""
    most = 0
    async with (
        LocalCircleCI(12, rate_limit=40) as server,
        CircleCI(server.token, base_url=server.url, max_concurrency=4) as circle,
    ):

        def count(_: object) -> None:
            nonlocal most
            state = circle._executor.state.throttle._state
            assert state is not None
            most = max(most, sum(queue.in_flight + len(list(queue._waiters())) for queue in state.queues.values()))

        async for project in fetch_insights(circle, server.projects, on_progress=count):
            assert project.failures == ()
        assert len(server.requests) > 100
    assert 2 <= most <= 4


async def test_max_wait_does_not_bound_a_job() -> None:
    """The client's calls may not wait at all. Its bulk job is slow, and fails nothing."""
    async with (
        LocalCircleCI(6, rate_limit=10) as server,
        CircleCI(server.token, base_url=server.url, retry=RetryPolicy(max_wait=0)) as circle,
    ):
        projects = [project async for project in fetch_insights(circle, server.projects)]
    assert len(projects) == 6
    assert [project.failures for project in projects] == [()] * 6


async def test_leaving_early_leaves_no_task(server: LocalCircleCI, circle: CircleCI) -> None:
    """A consumer that leaves early leaves no task behind."""
    async for _ in fetch_insights(circle, server.projects):
        break
    for _ in range(10):
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    before = len(server.requests)
    await asyncio.sleep(60)
    assert len(server.requests) == before
    # The server has a task for each connection; none of the client's is left.
    assert not [task for task in asyncio.all_tasks() if "bulk" in repr(task.get_coro())]


async def test_consumer_exception_passes_through(server: LocalCircleCI, circle: CircleCI) -> None:
    """An exception of the consumer or of on_progress passes through unchanged."""

    def refuse(_: Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        async for _ in fetch_insights(circle, server.projects, on_progress=refuse):
            pass
    with pytest.raises(ZeroDivisionError):
        async for _ in fetch_insights(circle, server.projects):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"projects": ["gh/acme"]}, "project must be named by"),
        ({"projects": ["gh/acme/.."]}, "project must be named by"),
        ({"projects": [], "window": "last-5-days"}, "window must be one of"),
        ({"projects": [], "include": ["runs", "walks"]}, "walks"),
    ],
)
async def test_bad_input_is_refused_at_the_call(
    server: LocalCircleCI, circle: CircleCI, arguments: dict[str, Any], complaint: str
) -> None:
    """Invalid arguments raise InvalidArgument at the call, before the first iteration."""
    with pytest.raises(InvalidArgument, match=complaint):
        fetch_insights(circle, **arguments)
    assert server.requests == []


async def test_without_projects_nothing_is_sent(server: LocalCircleCI, circle: CircleCI) -> None:
    """An empty list of projects sends no request."""
    assert [project async for project in fetch_insights(circle, [])] == []
    assert server.requests == []
