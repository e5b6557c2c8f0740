"""Webhooks over HTTP: the router in an aiohttp application, with every kind of request that may arrive."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aiocircle.events import EventRouter, JobCompleted, Ping, UnknownEvent, WorkflowCompleted, sign
from tests.support import events as bodies

SECRET = "the-secret"


@asynccontextmanager
async def serve(router: EventRouter, **options: Any) -> AsyncIterator[str]:
    """An application as the documentation shows it. Its end is that of the application."""
    app = web.Application(**options)
    app.router.add_post("/circleci", router.handle)
    app.cleanup_ctx.append(router.run)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/circleci"
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """aiohttp's server may end the task of a connection after the test: it is not the library's."""


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(session: aiohttp.ClientSession, url: str, body: Any, secret: str | None = SECRET, **headers: str) -> int:
    """Send an event as CircleCI does."""
    if secret is not None:
        headers["circleci-signature"] = sign(body, secret)
    headers |= {"content-type": "application/json", "user-agent": "CircleCI-Webhook/1.0"}
    async with session.post(url, data=io.BytesIO(body), headers=headers) as response:
        return response.status


def encoded(event: Any) -> bytes:
    return json.dumps(event).encode()


async def test_every_variant_is_accepted_or_refused(session: aiohttp.ClientSession) -> None:
    """Each variant is accepted once if it is signed with one of the secrets, and refused otherwise."""
    router = EventRouter(["new-secret", SECRET], max_body=100_000)
    handled: list[Any] = []
    for type_ in (WorkflowCompleted, JobCompleted, Ping, UnknownEvent):
        router.on(type_)(handled.append)
    counts: Counter[tuple[str, int]] = Counter()
    async with serve(router) as url:
        for name, event in bodies.VARIANTS.items():
            # Each with an id of its own: some variants are the same event twice.
            body = encoded(event if "id" not in event or event["id"] == 12 else {**event, "id": f"id of {name}"})
            forged = {"circleci-signature": sign(body + b" ", SECRET)}
            counts["unsigned", await post(session, url, body, None)] += 1
            counts["wrong secret", await post(session, url, body, "old-secret")] += 1
            counts["signature of another body", await post(session, url, body, None, **forged)] += 1
            counts["cut", await post(session, url, body[:-1])] += 1
            counts["padded beyond the limit", await post(session, url, body + b" " * 100_000)] += 1
            counts["signed", await post(session, url, body)] += 1
            again = "replay" if "id" in json.loads(body) and event["id"] != 12 else "replay without an id"
            counts[again, await post(session, url, body)] += 1
            counts[again, await post(session, url, body, "new-secret")] += 1
    total = len(bodies.VARIANTS)
    without_id = 2
    print({f"{what}: {status}": count for (what, status), count in counts.items()})
    assert counts == {
        ("unsigned", 401): total,
        ("wrong secret", 401): total,
        ("signature of another body", 401): total,
        ("cut", 400): total,
        ("padded beyond the limit", 413): total,
        ("signed", 202): total,
        ("replay", 200): 2 * (total - without_id),
        ("replay without an id", 202): 2 * without_id,
    }
    assert len(handled) == total + 2 * without_id


async def test_body_may_exceed_aiohttps_limit(session: aiohttp.ClientSession) -> None:
    """A body beyond aiohttp's own limit of 1 MiB is read, up to `max_body`."""
    router = EventRouter(SECRET)
    large = encoded(bodies.workflow_completed("a", padding="x" * (3 * 2**20)))
    async with serve(router) as url:
        assert await post(session, url, large) == 202
        too_large = encoded(bodies.workflow_completed("b", padding="x" * (9 * 2**20)))
        assert await post(session, url, too_large) == 413


async def test_unannounced_size_is_bounded(session: aiohttp.ClientSession) -> None:
    """A chunked body that names no length is read no further than the limit."""
    router = EventRouter(SECRET, max_body=100_000)

    async def chunks(number: int) -> AsyncIterator[bytes]:
        for _ in range(number):
            yield b" " * 50_000

    async with serve(router) as url:
        body = b" " * 100_000
        headers = {"circleci-signature": sign(body, SECRET)}
        async with session.post(url, data=chunks(2), headers=headers) as response:
            assert response.status == 400, "the limit itself is read: spaces are not JSON"
        async with session.post(url, data=chunks(3), headers=headers) as response:
            assert response.status == 413


async def test_slow_body_is_given_up(session: aiohttp.ClientSession) -> None:
    """A body that does not come to its end holds nothing for longer than 10 s."""
    router = EventRouter(SECRET)
    body = encoded(bodies.workflow_completed("a"))

    async def slowly(pause: float) -> AsyncIterator[bytes]:
        yield body[:10]
        await asyncio.sleep(pause)
        yield body[10:]

    headers = {"circleci-signature": sign(body, SECRET)}
    async with serve(router) as url:
        async with session.post(url, data=slowly(9.0), headers=headers) as response:
            assert response.status == 202
        began = asyncio.get_running_loop().time()
        async with session.post(url, data=slowly(60.0), headers=headers) as response:
            assert response.status == 408
        assert asyncio.get_running_loop().time() - began < 12.0


async def test_cut_body_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """A sender that breaks off in the middle of a body leaves no traceback in the log and queues nothing."""
    router = EventRouter(SECRET)
    handled: list[Any] = []
    router.on(Ping)(handled.append)
    async with serve(router) as url:
        port = int(url.split(":")[2].split("/")[0])
        for head in (
            b"Content-Length: 100\r\n\r\n{",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
            b"Content-Length: 9",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /circleci HTTP/1.1\r\nHost: x\r\n" + head)
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.sleep(0.1)
    assert handled == []
    assert "Traceback" not in caplog.text


async def test_body_read_by_a_middleware_is_received(session: aiohttp.ClientSession) -> None:
    """A middleware that logs bodies does not break the signature."""

    @web.middleware
    async def reads(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.read()
        response: web.StreamResponse = await handler(request)
        return response

    router = EventRouter(SECRET)
    async with serve(router, middlewares=[reads]) as url:
        assert await post(session, url, encoded(bodies.workflow_completed("a"))) == 202
        assert await post(session, url, b"") == 400


async def test_response_does_not_wait_for_handlers(session: aiohttp.ClientSession) -> None:
    """CircleCI waits 10 s for a response. A handler may take longer."""
    router = EventRouter(SECRET, drain=1000.0)
    ended: list[str | None] = []

    @router.on(WorkflowCompleted)
    async def work(event: WorkflowCompleted) -> None:
        await asyncio.sleep(600.0)
        ended.append(event.id)

    async with serve(router) as url:
        began = asyncio.get_running_loop().time()
        assert await post(session, url, encoded(bodies.workflow_completed("a"))) == 202
        assert asyncio.get_running_loop().time() - began < 5.0
    assert ended == ["a"]


async def test_full_queue_loses_nothing_accepted(session: aiohttp.ClientSession) -> None:
    """A sender that sends again what was refused with a 503 gets every event in, once."""
    router = EventRouter(SECRET, queue_size=5, workers=2, drain=1000.0)
    handled: Counter[str | None] = Counter()
    statuses: Counter[int] = Counter()

    @router.on(WorkflowCompleted)
    async def work(event: WorkflowCompleted) -> None:
        await asyncio.sleep(0.5)
        handled[event.id] += 1

    async def deliver(event_id: str) -> None:
        status = 503
        while status == 503:
            status = await post(session, url, encoded(bodies.workflow_completed(event_id)))
            statuses[status] += 1
            await asyncio.sleep(1.0)

    async with serve(router) as url:
        await asyncio.gather(*[deliver(str(number)) for number in range(60)])
    print(f"statuses {dict(statuses)}, handled {handled.total()}")
    assert statuses[202] == 60
    assert statuses[503] > 60
    assert handled == {str(number): 1 for number in range(60)}


@pytest.mark.parametrize("drain", [0.0, 2.0, 100.0])
async def test_shutdown_loses_only_what_it_logs(
    drain: float, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The application ends in the middle of deliveries, with handlers that crash: 202 is handled once, or logged."""
    router = EventRouter(SECRET, workers=3, drain=drain)
    accepted: Counter[str] = Counter()
    handled: Counter[str] = Counter()
    statuses: Counter[int] = Counter()

    @router.on(WorkflowCompleted)
    async def work(event: WorkflowCompleted) -> None:
        await asyncio.sleep(0.3)
        handled[str(event.id)] += 1
        if int(str(event.id)) % 7 == 0:
            raise RuntimeError("crash")

    async def deliver(number: int) -> None:
        await asyncio.sleep(number * 0.05)
        event_id = str(number)
        try:
            status = await post(session, url, encoded(bodies.workflow_completed(event_id)))
        except aiohttp.ClientError:
            status = 0
        statuses[status] += 1
        accepted[event_id] += status == 202

    async with serve(router) as url:
        deliveries = [asyncio.create_task(deliver(number)) for number in range(100)]
        await asyncio.sleep(2.5)
    await asyncio.gather(*deliveries)
    logged = Counter(
        record.getMessage().split()[2] for record in caplog.records if "was not handled" in record.getMessage()
    )
    crashes = sum("failed" in record.getMessage() for record in caplog.records)
    print(f"drain {drain}: statuses {dict(statuses)}, handled {handled.total()}, logged {logged.total()}, {crashes=}")
    assert +(handled + logged) == +accepted
    assert accepted.total() > 20
    assert crashes > 0
    assert logged.total() == 0 if drain == 100.0 else logged.total() > 0
