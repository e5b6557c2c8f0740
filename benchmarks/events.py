"""Events into the router over HTTP: one sender as fast as it can, the server alone on one core.

    python -m benchmarks.events --events 20000

The sender keeps one connection and sends the next event when the response to the last has come. Some events are sent
twice, and what is refused with a 503 is sent again, as CircleCI does. Nothing may be lost, and nothing handled twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from aiocircle.events import EventRouter, WorkflowCompleted, sign

SECRET = "the secret of the benchmark"
DUPLICATES = 0.05  # of the events, which are sent twice
_BURST = 500  # events that are received before the handlers run


def event(number: int) -> bytes:
    """Return a workflow's event of the size that CircleCI sends."""
    commit = {"subject": "Add a button", "body": "", "author": {"name": "Ada", "email": "ada@example.com"}}
    return json.dumps(
        {
            "type": "workflow-completed",
            "id": f"event {number}",
            "happened_at": "2026-09-01T22:49:34.317311Z",
            "webhook": {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9", "name": "Sample"},
            "project": {"id": "84996744-a854-4f5e-aea3-04e2851dc1d2", "name": "web", "slug": "github/acme/web"},
            "organization": {"id": "f22b6566-597d-46d5-ba74-99ef5bb3d85c", "name": "acme"},
            "workflow": {
                "id": "fda08377-fe7e-46b1-8992-3a7aaecac9c3",
                "name": "build-test-deploy",
                "status": "success",
                "created_at": "2026-09-01T22:49:03.616Z",
                "stopped_at": "2026-09-01T22:49:34.170Z",
                "url": "https://app.circleci.com/pipelines/github/acme/web/130/workflows/fda08377",
            },
            "pipeline": {
                "id": "1285fe1d-d3a6-44fc-8886-8979558254c4",
                "number": number,
                "created_at": "2026-09-01T22:49:03.544Z",
                "trigger": {"type": "webhook"},
                "vcs": {
                    "provider_name": "github",
                    "origin_repository_url": "https://github.com/acme/web",
                    "target_repository_url": "https://github.com/acme/web",
                    "revision": "1dc6aa69429bff4806ad6afe58d3d8f57e25973e",
                    "branch": "main",
                    "commit": commit,
                },
            },
        }
    ).encode()


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def serve(pipe: Connection) -> None:
    """Run the receiver: it sends its port, and at the end the number of times each event was handled."""
    pin(0)
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    router = EventRouter(SECRET, remember=100_000)
    handled: Counter[str | None] = Counter()

    @router.on(WorkflowCompleted)
    async def count(event: WorkflowCompleted) -> None:
        handled[event.id] += 1

    app = web.Application()
    app.router.add_post("/circleci", router.handle)
    app.cleanup_ctx.append(router.run)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(runner.addresses[0][1])
    began = time.process_time()
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    await runner.cleanup()
    pipe.send((dict(handled), time.process_time() - began))


async def deliver(port: int, events: int) -> tuple[Counter[int], list[float], float]:
    """Send the events over one connection. Return the statuses, the seconds of each response, and those of all."""
    chance = random.Random(0)
    bodies = [event(number) for number in range(events)]
    bodies += chance.sample(bodies, round(DUPLICATES * events))
    requests = [
        (
            "POST /circleci HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"circleci-event-type: workflow-completed\r\ncircleci-signature: {sign(body, SECRET)}\r\n"
            f"User-Agent: CircleCI-Webhook/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for body in bodies
    ]
    statuses: Counter[int] = Counter()
    times: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    for request in requests:
        status = 503
        while status == 503:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            times.append(time.perf_counter() - start)
            status = int(head[9:12])
            statuses[status] += 1
    took = time.perf_counter() - began
    writer.close()
    return statuses, times, took


def measure(events: int) -> dict[str, Any]:
    """Run once, and return the figures, and the events that were lost or handled twice."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    pin(1)
    statuses, times, took = asyncio.run(deliver(mine.recv(), events))
    mine.send("end")
    handled, cpu = mine.recv()
    server.join()
    permille = statistics.quantiles(times, n=1000)
    return {
        "events": events,
        "statuses": dict(statuses),
        "lost": sum(f"event {number}" not in handled for number in range(events)),
        "handled twice": sum(count > 1 for count in handled.values()),
        "requests a second": round(len(times) / took),
        "p50 of the response, ms": round(permille[499] * 1000, 3),
        "p99 of the response, ms": round(permille[989] * 1000, 3),
        "CPU of the server for a request, µs": round(cpu / len(times) * 1e6),
    }


def measure_receive(events: int) -> dict[str, Any]:
    """Measure the calls of `receive`, without HTTP."""

    async def main() -> tuple[float, int]:
        router = EventRouter(SECRET)
        bodies = [event(number) for number in range(events)]
        headers = [{"circleci-signature": sign(body, SECRET)} for body in bodies]
        handled = 0

        @router.on(WorkflowCompleted)
        async def count(event: WorkflowCompleted) -> None:
            nonlocal handled
            handled += 1

        took = 0.0
        async with router:
            for first in range(0, events, _BURST):
                began = time.process_time()
                for number in range(first, min(first + _BURST, events)):
                    assert router.receive(bodies[number], headers[number]) == 202
                took += time.process_time() - began
                for _ in range(_BURST):
                    await asyncio.sleep(0)
        return took, handled

    took, handled = asyncio.run(main())
    return {"CPU of receive alone, µs": round(took / events * 1e6, 1), "handled": handled}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.events", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="how many; each is counted at the end")
    events = parser.parse_args().events
    figures = {**measure(events), **measure_receive(events)}
    for name, value in figures.items():
        print(f"{name:40} {value}")
    if figures["lost"] or figures["handled twice"] or figures["statuses"].get(202) != events:
        raise SystemExit("events were lost, or handled twice")


if __name__ == "__main__":
    main()
