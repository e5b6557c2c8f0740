"""aiocircle."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from aiocircle import CircleCI, RetryPolicy, Throttle
from aiocircle.bulk import fetch_insights
from benchmarks.bodies import slug


async def run_pages(url: str) -> int:
    successes = 0
    async with CircleCI("a-token", base_url=url) as circle:
        async for page in circle.insights.list_workflow_runs("gh/acme/web", "build").pages():
            for run in page.items:
                if run.status == "success":
                    successes += 1
    return successes


async def run_items(url: str) -> int:
    successes = 0
    async with CircleCI("a-token", base_url=url) as circle:
        async for run in circle.insights.list_workflow_runs("gh/acme/web", "build"):
            if run.status == "success":
                successes += 1
    return successes


async def pipeline_items(url: str) -> int:
    found = 0
    async with CircleCI("a-token", base_url=url) as circle:
        async for pipeline in circle.pipelines.list_for_project("gh/acme/web"):
            if pipeline.vcs is not None and pipeline.vcs.branch == "feature/1-search":
                found += 1
    return found


async def get(url: str, times: int) -> int:
    letters = 0
    async with CircleCI("a-token", base_url=url) as circle:
        for _ in range(times):
            letters += len((await circle.users.me()).login)
    return letters


async def bulk(url: str, projects: int, width: int) -> list[int]:
    counts = [0, 0, 0, 0]
    async with CircleCI("a-token", base_url=url, max_concurrency=width) as circle:
        async for project in fetch_insights(circle, [slug(number) for number in range(projects)]):
            assert not project.failures
            counts[0] += len(project.workflows)
            counts[1] += sum(len(workflow.runs) for workflow in project.workflows)
            counts[2] += sum(len(workflow.jobs) for workflow in project.workflows)
            counts[3] += len(project.flaky_tests)
    return counts


async def rate(url: str, seconds: float, workers: int, clients: int = 1) -> None:
    """Send as many requests as the server permits, from clients that share a throttle."""
    logging.getLogger("aiocircle").setLevel(logging.ERROR)
    throttle = Throttle()
    end = asyncio.get_running_loop().time() + seconds

    async def work(circle: CircleCI) -> None:
        while asyncio.get_running_loop().time() < end:
            await circle.users.me()

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(clients):
            circle = await stack.enter_async_context(CircleCI("a-token", base_url=url, throttle=throttle))
            for _ in range(workers):
                group.create_task(work(circle))


async def interactive(url: str, seconds: float) -> list[float]:
    """Return the seconds of a call next to a job of 10,000, each second."""
    logging.getLogger("aiocircle").setLevel(logging.ERROR)
    loop, took = asyncio.get_running_loop(), list[float]()
    async with CircleCI("a-token", base_url=url) as circle:
        job = circle.with_options(retry=RetryPolicy(max_wait=None))
        calls = [asyncio.ensure_future(job.users.me()) for _ in range(10_000)]
        await asyncio.sleep(1)
        end = loop.time() + seconds
        while loop.time() < end:
            started = loop.time()
            await circle.users.me()
            took.append(loop.time() - started)
            await asyncio.sleep(1)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    return took


async def overlap(url: str, pause: float, fetch: bool, prefetch: bool) -> int:
    """Consume pages, each in `pause` seconds; without `fetch`, as many pages that are there already."""
    pages = 0
    if not fetch:
        for _ in range(100):
            await asyncio.sleep(pause)
        return 100
    async with CircleCI("a-token", base_url=url) as circle:
        pager = circle.insights.list_workflow_runs("gh/acme/web", "build")
        async for _ in (pager.prefetch() if prefetch else pager).pages():
            pages += 1
            if pause:
                await asyncio.sleep(pause)
    return pages


async def stretch(url: str) -> float:
    """Return the longest CPU time for which the loop was busy, while all items were iterated over."""
    longest = 0.0
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        nonlocal longest
        started = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - started)

    asyncio.Handle._run = timed
    try:
        await run_items(url)
    finally:
        asyncio.Handle._run = run
    return longest
