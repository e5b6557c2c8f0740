"""Calls that end early leave nothing behind and disturb no others: consumers, task groups, close(), the loop's end."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from aiocircle import CircleCIError
from aiocircle.bulk import fetch_insights
from tests.support.calls import CALLS, WEB, assert_no_task, assert_usable, faulty
from tests.support.leaks import open_files
from tests.support.loops import CountingLoop, counting_loop, iterate, now
from tests.support.stress import Tally, assert_nothing_held
from tests.support.thorough import scaled


@pytest.mark.parametrize("owned", [True, False], ids=["own session", "the caller's session"])
async def test_close_at_any_time_ends_every_call(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, owned: bool
) -> None:
    """close() ends each call in a result or a CircleCIError, at any time."""
    caplog.set_level("CRITICAL", "aiocircle")
    async with aiohttp.ClientSession() as session:
        for _ in range(scaled(6, 150)):
            async with faulty(rng, None if owned else session) as (circle, server):
                names = rng.sample(sorted(CALLS), 6)
                tasks = [asyncio.ensure_future(CALLS[name](circle, server)) for name in names]
                for _ in range(rng.randrange(scaled(100, 400))):
                    await asyncio.sleep(rng.choice((0, 0, 0, 0.001, 0.02)))
                closed_at = now()
                await circle.close()
                tally["cases"] += len(tasks)
                # A call that sleeps before a retry, or waits for a rate limit, ends after that delay.
                # The caller's session stays open, so that an attempt in flight ends by itself.
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
                    async with session.get(f"{server.url}/api/v2/me") as response:
                        assert response.status in (401, 429, 500, 502)


async def test_callers_session_stays_usable(tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    """After cancelled calls and close(), the caller's own session is open and all its connections are free."""
    caplog.set_level("CRITICAL", "aiocircle")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3)) as session,
        faulty(rng, session) as (circle, server),
    ):
        for _ in range(scaled(10, 300)):
            task = asyncio.ensure_future(CALLS[rng.choice(sorted(CALLS))](circle, server))
            counting_loop().at_iteration(rng.randrange(1, 60), task.cancel)
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
            async with session.get(url) as response:
                await response.read()
                return response.status
        except aiohttp.ClientError:
            continue  # The server's faults apply here as well.
    raise AssertionError("no response")


class Failure(Exception):
    """An error of a consumer."""


@pytest.mark.parametrize("prefetch", [False, True], ids=["one by one", "prefetched"])
@pytest.mark.parametrize("way", ["raise", "break", "raise, pages", "break, aclosing", "throw", "drop"])
async def test_list_consumer_that_leaves_leaves_nothing(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, way: str, prefetch: bool
) -> None:
    """A consumer of a list that fails or stops early leaves nothing behind."""
    caplog.set_level("CRITICAL", "aiocircle")
    async with faulty(rng) as (circle, server):
        for _ in range(scaled(6, 60)):
            pager = circle.pipelines.list_for_project(WEB)
            pager = pager.prefetch() if prefetch else pager
            stop = rng.randrange(1, 40)
            tally["cases"] += 1
            await _leave(pager, way, stop)
            del pager
            await iterate(20)
            await assert_usable(circle, tally)
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
async def test_bulk_consumer_that_leaves_leaves_nothing(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """A consumer of a bulk fetch that fails or stops early leaves nothing behind."""
    caplog.set_level("CRITICAL", "aiocircle")
    async with faulty(rng) as (circle, server):
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
            await iterate(20)
            await assert_usable(circle, tally)
        tally["requests"] += server.statistics.requests


@asynccontextmanager
async def _open(thing: object) -> AsyncIterator[object]:
    yield thing


async def test_failing_task_group_cancels_its_calls(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing task group cancels its calls, and its own error is the only one."""
    caplog.set_level("CRITICAL", "aiocircle")

    async def fail(after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(rng.choice((0, 0, 0.01)))
        raise Failure

    async with faulty(rng) as (circle, server):
        for _ in range(scaled(8, 200)):
            tally["cases"] += 1
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    for name in rng.sample(sorted(CALLS), 4):
                        group.create_task(_quiet(CALLS[name](circle, server)))
                    group.create_task(fail(rng.randrange(40)))
            assert caught.group_contains(Failure)
            assert len(caught.value.exceptions) == 1
            del caught
            await iterate(20)
            await assert_usable(circle, tally)
        tally["requests"] += server.statistics.requests


async def _quiet(call: Awaitable[object]) -> None:
    with suppress(CircleCIError, ExceptionGroup):
        await call


async def test_loop_that_ends_during_calls_is_clean(
    tally: Tally, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """When asyncio.run() ends during calls, all tasks are cancelled, all generators closed and all files released."""
    caplog.set_level("CRITICAL", "aiocircle")
    reported: list[dict[str, Any]] = []

    async def main(moments: int, names: list[str]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        background: set[asyncio.Task[Any]] = set()
        async with faulty(rng) as (circle, server):
            for name in names:
                background.add(asyncio.ensure_future(_quiet(CALLS[name](circle, server))))
            for _ in range(moments):
                await asyncio.sleep(rng.choice((0, 0, 0.01)))
            await circle.close()
            await iterate(20)  # The server, which is in the same loop, sees the end of its connections.
        raise Failure

    def run() -> None:
        for _ in range(scaled(5, 100)):
            with pytest.raises(Failure), asyncio.Runner(loop_factory=CountingLoop) as runner:
                runner.run(main(rng.randrange(60), rng.sample(sorted(CALLS), 3)))
            tally["cases"] += 3

    gc.collect()
    before = open_files()
    await asyncio.to_thread(run)
    gc.collect()
    assert reported == []
    if open_files() > before + 1:  # The thread that ran it keeps nothing; the pool it belongs to may.
        raise tally.failed("leaked", f"{open_files() - before} file descriptors")
