"""Calls that are cancelled, closed or dropped at any moment leave nothing behind, and stop nobody else."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from aiocircle import CircleCI, CircleCIError, RetryPolicy
from aiocircle.bulk import fetch_insights
from aiocircle.testing import LocalCircleCI
from tests.chaos.harness import ChaosLoop, Tally, assert_nothing_held, chaos_loop, ending, now, open_files, scaled
from tests.chaos.harness import turns as turn

WEB = "gh/acme/web"
FAULTS = {"429": 0.05, "500": 0.05, "502": 0.05, "drop": 0.05, "truncate": 0.05, "slow": 0.03}
POLICY = RetryPolicy(attempts=12, base=0.1, max_wait=1e5)

Call = Callable[[CircleCI, LocalCircleCI], Awaitable[object]]


# --- every kind of call ------------------------------------------------------------------------------------------


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


async def _at_a_closed_gate(circle: CircleCI, server: LocalCircleCI) -> object:
    server.inject("429", path="/me", retry_after=30)
    return await _all(*[circle.users.me() for _ in range(5)])


async def _for_a_slot(circle: CircleCI, server: LocalCircleCI) -> object:
    return await _all(*[circle.users.me() for _ in range(3 * circle.max_concurrency)])


async def _all(*calls: Awaitable[object]) -> list[object]:
    """What all of them end in; the first error, once all have ended."""
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
    "gate": _at_a_closed_gate,
    "slot": _for_a_slot,
    "task group": _in_a_task_group,
    "timeout": _under_a_timeout,
}


@asynccontextmanager
async def line(rng: random.Random, session: aiohttp.ClientSession | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """A bad line: a server with latency and faults, and a client."""
    asyncio.get_running_loop().set_debug(False)
    async with (
        LocalCircleCI(3, seed=rng.randrange(2**32), page_size=5, latency=0.02, faults=FAULTS, record=False) as server,
        CircleCI(
            server.token, base_url=server.url, retry=POLICY, timeout=3, max_concurrency=4, session=session
        ) as circle,
    ):
        yield circle, server


def clients_tasks() -> set[asyncio.Task[Any]]:
    """The tasks that are neither the test's nor the server's."""
    return {
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task() and not set(_qualname(task).split(".")) & _SERVERS
    }


def _qualname(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


_SERVERS = {"RequestHandler", "_accept_connection2"}


async def assert_no_task(tally: Tally) -> None:
    """No task of the client's is left: a list that was dropped ends within a few turns of the loop."""
    for _ in range(50):
        if clients_tasks():
            await asyncio.sleep(0)
    if left := clients_tasks():
        raise tally.failed("leaked", f"{left}")


async def assert_goes_on(circle: CircleCI, tally: Tally) -> None:
    """Nothing is left of a call, and the next one is answered."""
    await assert_nothing_held(circle, tally)
    await assert_no_task(tally)
    tally["cases"] -= 1
    me = await ending(circle.users.me(), tally, within=300)
    if isinstance(me, CircleCIError):
        raise tally.failed("lost", f"the next call ended in {me!r}")


async def length(call: Call, circle: CircleCI, server: LocalCircleCI) -> int:
    """How many turns of the loop a call takes."""
    before = chaos_loop().turns
    with suppress(CircleCIError, ExceptionGroup):
        await call(circle, server)
    return chaos_loop().turns - before


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_at_any_moment_leaves_nothing_behind(
    name: str, tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")
    call = CALLS[name]
    before = open_files()
    async with line(rng) as (circle, server):
        most = await length(call, circle, server)
        for _ in range(scaled(12, 150)):
            # One await after the other is met, since the moment is drawn from all turns of the loop.
            task = asyncio.ensure_future(call(circle, server))
            moment = rng.randrange(most + 2)
            struck: list[bool] = []
            chaos_loop().at_turn(moment + 1, lambda task=task, struck=struck: struck.append(task.cancel()))
            if rng.random() < 0.3:
                chaos_loop().at_turn(moment + 2 + rng.randrange(4), task.cancel)
            tally["cases"] += 1
            done, _ = await asyncio.wait([task], timeout=2000)
            if not done:
                raise tally.failed("hung", f"{name}, cancelled at turn {moment}")
            if struck and struck[0]:
                tally["cancelled"] += 1
                if not task.cancelled():
                    raise tally.failed("lost", f"{name}: the cancellation at turn {moment} came to {task!r}")
            elif not task.cancelled() and (error := task.exception()) and not isinstance(error, CircleCIError):
                raise error
            del task
            await assert_goes_on(circle, tally)
        tally["requests"] += server.statistics.requests
        tally["faults"] += server.statistics.faults.total()
    await turn()
    gc.collect()
    await turn()
    if open_files() > before:
        raise tally.failed("leaked", f"{open_files() - before} file descriptors")


@pytest.mark.parametrize("owned", [True, False], ids=["own session", "the caller's session"])
async def test_close_at_any_moment_ends_every_call(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, owned: bool
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")
    async with aiohttp.ClientSession() as session:
        for _ in range(scaled(15, 150)):
            async with line(rng, None if owned else session) as (circle, server):
                names = rng.sample(sorted(CALLS), 6)
                tasks = [asyncio.ensure_future(CALLS[name](circle, server)) for name in names]
                for _ in range(rng.randrange(scaled(100, 400))):
                    await asyncio.sleep(rng.choice((0, 0, 0, 0.001, 0.02)))
                closed_at = now()
                await circle.close()
                tally["cases"] += len(tasks)
                # Who sleeps before another attempt, or waits at a gate, hears of the end when that time is over; and a
                # caller's session is not closed, so that an attempt that is under way ends by itself.
                _, rest = await asyncio.wait(tasks, timeout=60)
                if rest:
                    raise tally.failed("hung", f"{rest} after {now() - closed_at} s")
                for name, task in zip(names, tasks, strict=True):
                    error = task.exception()
                    if isinstance(error, ExceptionGroup):
                        assert error.split(CircleCIError)[1] is None
                    elif error is not None:
                        assert isinstance(error, CircleCIError), (name, error)
                        if name == "POST" and error.outcome == "not_done" and server.changes:
                            raise tally.failed("wrong outcome", f"{error!r} although {server.changes}")
                await assert_nothing_held(circle, tally)
                await assert_no_task(tally)
                tally["requests"] += server.statistics.requests
                tally["faults"] += server.statistics.faults.total()
                if not owned:
                    async with session.get(f"{server.url}/api/v2/me") as answer:
                        assert answer.status in (401, 429, 500, 502)


async def test_the_callers_session_is_as_good_as_before(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3)) as session,
        line(rng, session) as (circle, server),
    ):
        for _ in range(scaled(30, 300)):
            task = asyncio.ensure_future(CALLS[rng.choice(sorted(CALLS))](circle, server))
            chaos_loop().at_turn(rng.randrange(1, 60), task.cancel)
            tally["cases"] += 1
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            await assert_nothing_held(circle, tally)
        await asyncio.sleep(5)
        await circle.close()
        assert not session.closed
        connector: Any = session.connector
        assert not connector._acquired
        statuses = await asyncio.gather(*[_status(session, f"{server.url}/api/v2/me") for _ in range(9)])
        assert len(statuses) == 9


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    for _ in range(20):
        try:
            async with session.get(url) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            continue  # The server's faults are everybody's.
    raise AssertionError("no answer")


class Failure(Exception):
    """A consumer's own."""


@pytest.mark.parametrize("prefetch", [False, True], ids=["one by one", "prefetched"])
@pytest.mark.parametrize("way", ["raise", "break", "raise, pages", "break, aclosing", "throw", "drop"])
async def test_a_consumer_of_a_list_that_fails_or_leaves_leaves_nothing_behind(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, way: str, prefetch: bool
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")
    async with line(rng) as (circle, server):
        for _ in range(scaled(6, 60)):
            pager = circle.pipelines.list_for_project(WEB)
            pager = pager.prefetch() if prefetch else pager
            stop = rng.randrange(1, 40)
            tally["cases"] += 1
            await _leave(pager, way, stop)
            del pager
            await turn(20)
            await assert_goes_on(circle, tally)
        tally["requests"] += server.statistics.requests


async def _leave(pager: Any, way: str, stop: int) -> None:
    seen = 0
    try:
        if way == "raise":
            async for _ in pager:
                seen += 1
                if seen == stop:
                    raise Failure
        elif way == "raise, pages":
            async for _ in pager.pages():
                seen += 5
                if seen >= stop:
                    raise Failure
        elif way == "break":
            async for _ in pager:
                seen += 1
                if seen == stop:
                    break
        elif way == "break, aclosing":
            async with aclosing(aiter(pager)) as items:
                async for _ in items:
                    seen += 1
                    if seen == stop:
                        break
        else:
            items = aiter(pager)
            for _ in range(stop):
                await anext(items)
            if way == "throw":
                await items.athrow(Failure)
    except Failure:
        pass


@pytest.mark.parametrize("way", ["raise", "break", "aclosing", "on_progress"])
async def test_a_consumer_of_a_bulk_fetch_that_fails_or_leaves_leaves_nothing_behind(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")
    async with line(rng) as (circle, server):
        for _ in range(scaled(4, 40)):
            stop = rng.randrange(1, 4)
            calls = rng.randrange(1, 12)
            tally["cases"] += 1

            def report(_: object) -> None:
                nonlocal calls
                calls -= 1
                if way == "on_progress" and not calls:
                    raise Failure

            projects = fetch_insights(circle, server.projects, window="last-24-hours", on_progress=report)
            try:
                async with aclosing(projects) if way == "aclosing" else _open(projects):
                    async for _ in projects:
                        stop -= 1
                        if not stop and way == "raise":
                            raise Failure
                        if not stop and way in ("break", "aclosing"):
                            break
            except Failure:
                pass
            del projects
            await turn(20)
            await assert_goes_on(circle, tally)
        tally["requests"] += server.statistics.requests


@asynccontextmanager
async def _open(thing: object) -> AsyncIterator[object]:
    yield thing


async def test_a_task_group_that_fails_takes_its_calls_with_it(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "aiocircle")

    async def fail(after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(rng.choice((0, 0, 0.01)))
        raise Failure

    async with line(rng) as (circle, server):
        for _ in range(scaled(20, 200)):
            tally["cases"] += 1
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for name in rng.sample(sorted(CALLS), 4):
                        group.create_task(_quiet(CALLS[name](circle, server)))
                    group.create_task(fail(rng.randrange(40)))
            assert caught.group_contains(Failure)
            assert len(caught.value.exceptions) == 1
            del caught
            await turn(20)
            await assert_goes_on(circle, tally)
        tally["requests"] += server.statistics.requests


async def _quiet(call: Awaitable[object]) -> None:
    with suppress(CircleCIError, ExceptionGroup):
        await call


async def test_a_loop_that_ends_in_the_middle_of_calls_closes_everything(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """As asyncio.run() ends: all tasks are cancelled, then all generators closed."""
    caplog.set_level("CRITICAL", "aiocircle")
    complaints: list[dict[str, Any]] = []

    async def main(moments: int, names: list[str]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        background: set[asyncio.Task[Any]] = set()
        async with line(rng) as (circle, server):
            for name in names:
                background.add(asyncio.ensure_future(_quiet(CALLS[name](circle, server))))
            for _ in range(moments):
                await asyncio.sleep(rng.choice((0, 0, 0.01)))
            await circle.close()
            await turn(20)  # The server, which is in the same loop, sees the end of its connections.
        raise Failure

    def run() -> None:
        for _ in range(scaled(10, 100)):
            with pytest.raises(Failure), asyncio.Runner(loop_factory=ChaosLoop) as runner:
                runner.run(main(rng.randrange(60), rng.sample(sorted(CALLS), 3)))
            tally["cases"] += 3

    gc.collect()
    before = open_files()
    await asyncio.to_thread(run)
    gc.collect()
    assert complaints == []
    if open_files() > before + 1:  # The thread that ran it keeps nothing; the pool it belongs to may.
        raise tally.failed("leaked", f"{open_files() - before} file descriptors")
