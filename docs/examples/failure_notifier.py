"""A failure notifier: report when a branch breaks, and when it works again.

Events are followed immediately. Polls find what events missed, also while the bot did not run.

CIRCLECI_WEBHOOK_SECRET=… python failure_notifier.py gh/acme/web gh/acme/api
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from aiohttp import web

from aiocircle import CircleCI, CircleCIError, ConfigurationError, Forbidden, NotFound, Unauthorized
from aiocircle.events import EventRouter, Health, fold
from aiocircle.resources.pipelines import PipelineResult


async def message_of(circle: CircleCI, project: str, result: PipelineResult, health: Health) -> str | None:
    """Return the message to send: with a line for each failed job if the branch is broken. None for no message."""
    if health.pipeline_number != result.pipeline.number or health.change == "still_working":
        return None
    lines = [f"{project} {result.pipeline.branch} {health.change}: {result.outcome} {result.pipeline.web_url}"]
    for workflow in result.workflows if health.is_broken else ():
        jobs = await circle.workflows.list_jobs(workflow.id).collect()
        lines += [f"  {job.name}: {job.web_url}" for job in jobs if job.status in ("failed", "timedout")]
    return "\n".join(lines)


def load(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {"stream": None, "health": None}


def save(file: Path, stream: dict[str, Any], health: Health | None) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"stream": stream, "health": health and attrs.asdict(health)}))
    new.replace(file)  # a crash leaves the old file or the new one


async def follow(
    circle: CircleCI, router: EventRouter | None, project: str, branch: str, file: Path, send: Callable[[str], object]
) -> None:
    """Report each change of a branch, once, also over restarts. `file` has the state."""
    state = load(file)
    health = Health(**state["health"]) if state["health"] else None
    seconds = 60 if router is None else 600  # between two polls
    async with circle.pipelines.stream_finished(
        project, branch=branch, state=state["stream"], events=router, poll_interval=seconds
    ) as results:
        save(file, results.state, health)
        async for result in results:
            health = fold(health, result)
            message = await message_of(circle, project, result, health)
            if message is not None:
                send(message)
            save(file, results.state, health)  # after the work: a crash before it repeats one message, and loses none


def make_app(projects: Sequence[str], branch: str = "main", send: Callable[[str], object] = print) -> web.Application:
    router = EventRouter(os.environ["CIRCLECI_WEBHOOK_SECRET"])

    async def follow_safely(circle: CircleCI, project: str) -> object:
        file = Path(os.environ.get("STATE", "."), project.replace("/", "-") + ".json")
        while True:
            try:
                await follow(circle, router, project, branch, file, send)
            except (ConfigurationError, Unauthorized, Forbidden, NotFound) as error:
                return send(f"{project} is not followed: {error}")  # the others are
            except CircleCIError:
                await asyncio.sleep(60)  # the message could not be composed: continue from the saved state

    async def run(app: web.Application) -> AsyncIterator[None]:
        async with CircleCI() as circle:
            followers = [asyncio.create_task(follow_safely(circle, project)) for project in projects]
            yield
            for follower in followers:
                follower.cancel()
            await asyncio.wait(followers)

    app = web.Application()
    app.router.add_post("/circleci", router.handle)
    app.cleanup_ctx.extend([router.run, run])
    return app


if __name__ == "__main__":
    web.run_app(make_app(sys.argv[1:]), port=8080)
