"""Calls of every kind, over a connection with latency and faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import aiohttp

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from aiocircle.bulk import fetch_insights
from aiocircle.testing import LocalCircleCI
from tests.support.loops import counting_loop
from tests.support.stress import Tally, assert_nothing_held, ending

WEB = "gh/acme/web"
FAULTS = {"429": 0.05, "500": 0.05, "502": 0.05, "drop": 0.05, "truncate": 0.05, "slow": 0.03}
POLICY = RetryPolicy(attempts=12, base=0.1, max_wait=1e5)

Call = Callable[[CircleCI, LocalCircleCI], Awaitable[object]]


async def _iterated(pager: Any, most: int = 30) -> int:
    count = 0
    async with aclosing(aiter(pager)) as items:
        async for _ in items:
            count += 1
            if count == most:
                break
    return count


async def _listed(circle: CircleCI, server: LocalCircleCI) -> object:
    return await _iterated(circle.pipelines.list_for_project(WEB))


async def _prefetched(circle: CircleCI, server: LocalCircleCI) -> object:
    return await _iterated(circle.pipelines.list_for_project(WEB).prefetch())


async def _prefetched_and_dropped(circle: CircleCI, server: LocalCircleCI) -> object:
    async for pipeline in circle.pipelines.list_for_project(WEB).prefetch():
        await asyncio.sleep(0.01)
        if pipeline.number % 7 == 0:
            return pipeline
    return None


async def _bulk(circle: CircleCI, server: LocalCircleCI) -> object:
    return [project async for project in fetch_insights(circle, server.projects, window="last-7-days")]


async def _slow_bulk(circle: CircleCI, server: LocalCircleCI) -> object:
    found = []
    async with aclosing(fetch_insights(circle, server.projects, include="flaky_tests")) as projects:
        async for project in projects:
            await asyncio.sleep(0.5)
            found.append(project)
    return found


async def _after_a_retry(circle: CircleCI, server: LocalCircleCI) -> object:
    server.inject("503", path="/webhook", retry_after=20)
    return await circle.webhooks.list(scope_id="00000000-0000-4000-8000-000000000000", scope_type="project").collect()


async def _during_a_rate_limit(circle: CircleCI, server: LocalCircleCI) -> object:
    server.inject("429", path="/me", retry_after=30)
    return await _all(*[circle.users.me() for _ in range(5)])


async def _for_a_slot(circle: CircleCI, server: LocalCircleCI) -> object:
    return await _all(*[circle.users.me() for _ in range(3 * circle.max_concurrency)])


async def _all(*calls: Awaitable[object]) -> list[object]:
    """Return all results, or raise the first error when all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


async def _in_a_task_group(circle: CircleCI, server: LocalCircleCI) -> object:
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(_listed(circle, server))
    return None


async def _under_a_timeout(circle: CircleCI, server: LocalCircleCI) -> object:
    server.inject("slow", path="/me")
    try:
        async with asyncio.timeout(2):
            return await circle.users.me()
    except TimeoutError:
        return None


CALLS: dict[str, Call] = {
    "one": lambda circle, server: circle.users.me(),
    "POST": lambda circle, server: circle.pipelines.trigger(WEB, branch="main"),
    "PUT": lambda circle, server: circle.contexts.set_env_var("00000000-0000-4000-8000-000000000000", "A", value="b"),
    "request": lambda circle, server: circle.request("GET", "/api/v2/me"),
    "request_pages": lambda circle, server: circle.request_pages(f"/api/v2/project/{WEB}/pipeline").collect(limit=30),
    "page": lambda circle, server: circle.pipelines.list_for_project(WEB).page(),
    "first": lambda circle, server: circle.pipelines.list_for_project(WEB).first(),
    "collect": lambda circle, server: circle.pipelines.list_for_project(WEB).collect(limit=30),
    "collect of prefetch": lambda circle, server: circle.pipelines.list_for_project(WEB).prefetch().collect(limit=30),
    "list": _listed,
    "prefetch": _prefetched,
    "prefetch, dropped": _prefetched_and_dropped,
    "bulk": _bulk,
    "bulk with a slow consumer": _slow_bulk,
    "retry sleep": _after_a_retry,
    "rate limit": _during_a_rate_limit,
    "slot": _for_a_slot,
    "task group": _in_a_task_group,
    "timeout": _under_a_timeout,
}


@asynccontextmanager
async def faulty(rng: random.Random, session: aiohttp.ClientSession | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """Yield a client and its server, which has latency and faults."""
    async with (
        LocalCircleCI(3, seed=rng.randrange(2**32), page_size=5, latency=0.02, faults=FAULTS, record=False) as server,
        CircleCI(
            server.token, base_url=server.url, retry=POLICY, timeout=3, max_concurrency=4, session=session
        ) as circle,
    ):
        yield circle, server


def clients_tasks() -> set[asyncio.Task[Any]]:
    """Return tasks that are neither the test's nor the server's."""
    return {
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and not set(_qualname(task).split(".")) & _SERVERS
    }


def _qualname(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


_SERVERS = {"RequestHandler", "_accept_connection2"}


async def assert_no_task(tally: Tally) -> None:
    """Raise AssertionError if a task of the client is left after some iterations of the loop."""
    for _ in range(50):
        if not clients_tasks():
            return
        await asyncio.sleep(0)
    if left := clients_tasks():
        raise tally.failed("leaked", f"{left}")


async def assert_usable(circle: CircleCI, tally: Tally) -> None:
    """Raise AssertionError if something is left of a call, or if the next one fails."""
    await assert_nothing_held(circle, tally)
    await assert_no_task(tally)
    tally["cases"] -= 1
    me = await ending(circle.users.me(), tally, within=300)
    if isinstance(me, CircleCIError):
        raise tally.failed("lost", f"the next call ended in {me!r}")


async def length(call: Call, circle: CircleCI, server: LocalCircleCI) -> int:
    """Return how many iterations of the loop a call takes."""
    before = counting_loop().iterations
    with suppress(CircleCIError, ExceptionGroup):
        await call(circle, server)
    return counting_loop().iterations - before
