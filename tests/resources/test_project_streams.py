"""Streams of results and approvals of a client, over HTTP, on virtual time."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from aiocircle import CircleCI, ConfigurationError, NotFound, ProjectSlug, Unauthorized
from aiocircle.errors import InvalidArgument
from aiocircle.events import EventRouter
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory

WEB = "gh/acme/web"


def story(*jobs: JobStory, **options: Any) -> Story:
    return Story([WorkflowStory("build", jobs or (JobStory("test", 20),), **options)])


def start(server: LocalCircleCI, *stories: Story, branch: str = "work") -> None:
    server.script(WEB, *stories)
    for _ in stories:
        server.start_pipeline(WEB, branch=branch)


async def test_finished_stream_yields_results(server: LocalCircleCI, circle: CircleCI) -> None:
    """Each once, and again if a rerun changes the outcome. Its items are as those of `wait`."""
    failing = story(JobStory("test", 20, status="failed"), manual_reruns=[300.0], reruns=[[JobStory("test", 20)]])
    start(server, story(), failing)
    async with circle.pipelines.stream_finished(WEB, branch="work") as stream:
        results = [await anext(stream) for _ in range(3)]
    assert [result.outcome for result in results] == ["success", "failed", "success"]
    assert [len(result.attempts["build"]) for result in results] == [1, 1, 2]
    assert results[2] == await circle.pipelines.wait(results[2].pipeline)


async def test_stream_continues_from_its_state(server: LocalCircleCI, circle: CircleCI) -> None:
    """After a day without it nothing is missed, and nothing comes twice."""
    start(server, story())
    stream = circle.pipelines.stream_finished(WEB, branch="work")
    first = await anext(stream)
    state = json.loads(json.dumps(stream.state))
    await stream.aclose()
    start(server, story(JobStory("test", 20, status="failed")), story())
    await asyncio.sleep(86_400)
    async with circle.pipelines.stream_finished(f"https://github.com/{WEB[3:]}", branch="work", state=state) as stream:
        results = [await anext(stream) for _ in range(2)]
        assert [result.pipeline.number - first.pipeline.number for result in results] == [1, 2]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await anext(stream)


async def test_event_is_followed_immediately(server: LocalCircleCI, circle: CircleCI) -> None:
    """A result comes some seconds after its event, between two polls that are an hour apart."""
    router = EventRouter("a secret")
    runner = web.AppRunner(_app(router))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.webhooks.add(f"http://127.0.0.1:{runner.addresses[0][1]}/", secret="a secret", events=["workflow-completed"])
    loop = asyncio.get_running_loop()
    async with circle.pipelines.stream_finished(WEB, branch="work", events=router, poll_interval=3600.0) as stream:
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(100)
        began = loop.time()
        start(server, story(JobStory("test", 120)))
        result = await task
        assert result.outcome == "success"
        assert loop.time() - began < 140
    await server.webhooks.wait()
    await runner.cleanup()


def _app(router: EventRouter) -> web.Application:
    app = web.Application()
    app.router.add_post("/", router.handle)
    app.cleanup_ctx.append(router.run)
    return app


async def test_approval_stream_yields_what_waits(server: LocalCircleCI, circle: CircleCI) -> None:
    """Each once. `approve_by_name` takes what it names."""
    hold = JobStory("hold", type="approval", requires=["test"])
    start(server, story(JobStory("test", 20), hold, JobStory("ship", 5, requires=["hold"])), story())
    async with circle.workflows.stream_approvals(WEB, branch="work") as stream:
        approval = await anext(stream)
        assert (approval.pipeline.branch, approval.workflow.name, approval.job.name) == ("work", "build", "hold")
        state = json.loads(json.dumps(stream.state))
    async with circle.workflows.stream_approvals(WEB, branch="work", state=state, poll_interval=10.0) as stream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await anext(stream)
    await circle.workflows.approve_by_name(approval.workflow.id, approval.job.name)
    assert [operation for operation, _ in server.changes] == ["workflows.approve"]


@pytest.mark.parametrize("method", ["pipelines.stream_finished", "workflows.stream_approvals"])
async def test_arguments_are_checked_immediately(server: LocalCircleCI, circle: CircleCI, method: str) -> None:
    """Before the first item, and before anything is sent."""
    group, _, name = method.partition(".")
    stream: Any = getattr(getattr(circle, group), name)
    wrong: list[dict[str, Any]] = [
        {"project": "no project"},
        {"since": datetime(2026, 1, 1)},
        {"state": {"project": WEB}},
        {"poll_interval": 0},
        {"branch": ""},
        {"branch": 5},
        {"state": stream("gh/acme/api").state},
    ]
    for arguments in wrong:
        with pytest.raises(InvalidArgument):
            stream(**{"project": WEB, **arguments})
    assert server.requests == []


async def test_spellings_of_a_project_have_one_state(server: LocalCircleCI, circle: CircleCI) -> None:
    """The state of one is taken by the others."""
    state = circle.pipelines.stream_finished("github/acme/web").state
    for project in (WEB, ProjectSlug.parse(WEB), "git@github.com:acme/web.git", "https://app.circleci.com/gh/acme/web"):
        assert circle.pipelines.stream_finished(project, state=state).state == state


async def test_errors_that_stay_end_a_stream(server: LocalCircleCI, circle: CircleCI) -> None:
    """An unknown project, a 401, and a closed client."""
    with pytest.raises(NotFound):
        await anext(circle.pipelines.stream_finished("gh/acme/none"))
    server.inject("401")
    with pytest.raises(Unauthorized):
        await anext(circle.workflows.stream_approvals(WEB))
    await circle.close()
    with pytest.raises(ConfigurationError):
        await anext(circle.pipelines.stream_finished(WEB))


async def test_stream_survives_an_hour_of_errors(server: LocalCircleCI, circle: CircleCI) -> None:
    """Its polls wait for the rate limit as long as it takes."""
    start(server, story())
    server.inject("429", retry_after=1800)
    server.inject("503", times=30)
    server.inject("drop", times=30)
    loop = asyncio.get_running_loop()
    async with circle.pipelines.stream_finished(WEB, branch="work") as stream:
        assert (await anext(stream)).outcome == "success"
    assert 1800 < loop.time() < 7200
