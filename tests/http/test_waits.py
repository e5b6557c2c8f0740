"""Waits over HTTP, against LocalCircleCI on virtual time: stories, events, errors, many at a time, and the end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from aiocircle import CircleCI, RetryPolicy
from aiocircle.composites import _outcome
from aiocircle.errors import (
    BadRequest,
    CircleCIError,
    ConfigurationError,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    Unauthorized,
    WaitTimeout,
)
from aiocircle.events import EventRouter
from aiocircle.resources.pipelines import Change, Pipeline, PipelineRun
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from tests.support import http_stories, many_waits
from tests.support.thorough import scaled

PROJECT = "gh/acme/web"
SECRET = "the-secret"
SHORT = Story([WorkflowStory("build", [JobStory("test", 60)])])


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """aiohttp's server may end the task of a connection after the test: it is not the library's."""


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def local(*stories: Story, **options: Any) -> AsyncIterator[tuple[LocalCircleCI, CircleCI]]:
    """A server whose pipelines follow the stories, and a client that does not repeat a failed request."""
    client = {"retry": RetryPolicy(attempts=1)} | options.pop("client", {})
    async with (
        LocalCircleCI([PROJECT], **options) as server,
        CircleCI(server.token, base_url=server.url, **client) as circle,
    ):
        server.script(PROJECT, *stories)
        yield server, circle


# --- stories ----------------------------------------------------------------------------------------------------


EVENTFUL = Story(
    [
        WorkflowStory(
            "build",
            [JobStory("test", 50, status="failed"), JobStory("pack", 10, requires=["test"])],
            max_auto_reruns=1,
            reruns=[[JobStory("test", 50, status="failed")], [JobStory("test", 60)]],
            manual_reruns=[70],
        ),
        WorkflowStory(
            "deploy", [JobStory("hold", type="approval", approved_after=90), JobStory("ship", 40, requires=["hold"])]
        ),
        WorkflowStory("scan", statuses=[(0, "running"), (60, "quarantined")]),
    ],
    setup=WorkflowStory("setup", [JobStory("generate", 20)]),
    workflow_delay=4,
    failing_polls=[5, 6, 7],
)


def shown(change: Change) -> tuple[str, ...]:
    subject = change.workflow if change.job is None else change.job
    name = () if change.job is None else (change.job.name,)
    return (change.kind, *name, change.previous_status or "", subject.status)


async def test_watch_yields_a_whole_story_in_order() -> None:
    """A 404 at first, setup, three failed polls, an approval, reruns of CircleCI and of a person, an unknown status."""
    async with local(EVENTFUL) as (server, circle):
        pipeline_id = server.start_pipeline(PROJECT, branch="main")
        changes = [change async for change in circle.pipelines.watch(pipeline_id)]
        result = await circle.pipelines.wait(pipeline_id)
    by_workflow: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for change in changes:
        by_workflow[change.workflow.id].append(shown(change))
    ids = {workflow.id: workflow.name for attempts in result.attempts.values() for workflow in attempts}
    assert by_workflow.keys() == ids.keys()
    first, automatic, manual = [by_workflow[each.id] for each in result.attempts["build"]]
    assert first == [
        ("workflow_added", "", "running"),
        ("job_added", "test", "", "running"),
        ("job_added", "pack", "", "blocked"),
        ("workflow_status", "running", "failed"),
        ("job_status", "test", "running", "failed"),
        ("will_not_run", "pack", "blocked", "blocked"),
    ]
    assert automatic == [
        ("workflow_added", "", "running"),
        ("job_added", "test", "", "running"),
        ("workflow_status", "running", "failed"),
        ("job_status", "test", "running", "failed"),
    ]
    assert manual == [
        ("workflow_added", "", "running"),
        ("job_added", "test", "", "running"),
        ("workflow_status", "running", "success"),
        ("job_status", "test", "running", "success"),
    ]
    (deploy,) = [by_workflow[each.id] for each in result.attempts["deploy"]]
    assert deploy == [
        ("workflow_added", "", "on_hold"),
        ("job_added", "hold", "", "on_hold"),
        ("job_added", "ship", "", "blocked"),
        ("workflow_status", "on_hold", "running"),
        ("job_status", "hold", "on_hold", "success"),
        ("job_status", "ship", "blocked", "running"),
        ("workflow_status", "running", "success"),
        ("job_status", "ship", "running", "success"),
    ]
    (scan,) = [by_workflow[each.id] for each in result.attempts["scan"]]
    assert scan[0] == ("workflow_added", "", "running")
    assert ("workflow_status", "running", "quarantined") in scan
    (setup,) = [by_workflow[each.id] for each in result.attempts["setup"]]
    assert [kind for kind, *_ in setup] == ["workflow_added", "job_added", "workflow_status", "job_status"]
    times = [change.at for change in changes if change.job is None]
    assert times == sorted(times)
    assert changes[0].workflow.name == "setup"
    statuses = [each.status for each in server.requests if each.operation == "pipelines.list_workflows"]
    assert statuses[0] == 404
    assert statuses[4:7] == [500, 500, 500]
    assert (result.outcome, result.succeeded) == ("quarantined", False)


def test_wait_agrees_with_the_observer() -> None:
    """It ends not earlier, at most one poll and its second read later, and with the same outcome."""
    stories = range(scaled(8, 200))
    counts, examples, _ = http_stories.run_campaign(stories)
    assert not counts, examples


@pytest.mark.parametrize(("rule", "value", "fault"), [("LONG_GRACE", 0.0, "early"), ("STOP_GRACE", 90.0, "late")])
def test_observer_notices_a_wrong_rule(monkeypatch: pytest.MonkeyPatch, rule: str, value: float, fault: str) -> None:
    """Otherwise the stories would prove nothing."""
    monkeypatch.setattr(_outcome, rule, value)
    counts, _, _ = http_stories.run_campaign([1, 4, 12, 17])
    assert any(name.startswith(fault) for name in counts), counts


async def test_list_of_several_pages_is_one_poll() -> None:
    """The pipeline is final only if each page shows it."""
    story = Story([WorkflowStory(f"w{number}", [JobStory("test", 30 + number)]) for number in range(5)])
    async with local(story, page_size=2) as (server, circle):
        result = await circle.pipelines.wait(server.start_pipeline(PROJECT))
        assert {each.name for each in result.workflows} == {"w0", "w1", "w2", "w3", "w4"}
        assert result.succeeded


async def test_missing_second_page_is_a_failed_poll(server: Any, make: Callable[..., CircleCI]) -> None:
    """A 404 means that there are no workflows only if it is that of the first page."""
    first, second = [
        {"id": name, "name": name, "status": "success", "pipeline_id": "p", "pipeline_number": 1}
        | {"project_slug": PROJECT, "created_at": "2020-01-01T00:00:00Z", "stopped_at": "2020-01-01T00:01:00Z"}
        for name in ("build", "deploy")
    ]
    date = {"Date": "Wed, 01 Jan 2020 02:00:00 GMT"}
    pipeline = {"id": "p", "number": 1, "state": "created", "created_at": "2020-01-01T00:00:00Z"}
    missing = [server.reply(404, {"message": "Not found."}, headers=date)] * 4

    def page(request: Any) -> Any:
        if "page-token" not in request.query:
            return server.reply(200, {"items": [first], "next_page_token": "second"}, headers=date)
        return missing.pop() if missing else server.reply(200, {"items": [second]}, headers=date)

    server.on("/api/v2/pipeline/p", server.reply(200, pipeline, headers=date))
    server.route("/api/v2/pipeline/p/workflow", page)
    result = await make(retry=RetryPolicy(attempts=1)).pipelines.wait("p")
    assert not missing
    assert [each.name for each in result.workflows] == ["build", "deploy"]


# --- what they take ----------------------------------------------------------------------------------------------


async def test_wait_takes_ids_and_models() -> None:
    """Text, a UUID, and what `trigger`, `run` and `get` return."""
    async with local() as (server, circle):
        server.script(PROJECT, SHORT, times=None)
        started = await circle.pipelines.trigger(PROJECT, branch="main")
        pipeline = await circle.pipelines.get(started.id)
        results = await asyncio.gather(
            *[circle.pipelines.wait(each) for each in (started, pipeline, started.id, UUID(started.id))]
        )
        assert [each.pipeline.id for each in results] == [started.id] * 4
        (workflow,) = results[0].workflows
        assert await circle.workflows.wait(workflow) == workflow
        assert await circle.workflows.wait(UUID(workflow.id)) == workflow
        (job,) = await circle.workflows.list_jobs(workflow.id).collect()
        assert job.job_number is not None
        for project in (PROJECT, f"https://app.circleci.com/pipelines/github/acme/web/{pipeline.number}"):
            assert (await circle.jobs.wait(project, job.job_number)).status == "success"


WRONG: list[Callable[[CircleCI], Any]] = [
    lambda circle: circle.pipelines.wait(PipelineRun(message="skipped")),
    lambda circle: circle.pipelines.wait(""),
    lambda circle: circle.pipelines.wait(None),  # type: ignore[arg-type]
    lambda circle: circle.pipelines.wait("p", timeout=-1),
    lambda circle: circle.pipelines.wait("p", until="failed"),  # type: ignore[arg-type]
    lambda circle: circle.pipelines.wait("p", poll_interval=0),
    lambda circle: circle.pipelines.wait("p", events="router"),  # type: ignore[arg-type]
    lambda circle: circle.pipelines.wait("p", on_change=3),  # type: ignore[arg-type]
    lambda circle: circle.workflows.wait(3),  # type: ignore[arg-type]
    lambda circle: circle.jobs.wait("gh/acme", 1),
    lambda circle: circle.jobs.wait(PROJECT, "one"),  # type: ignore[arg-type]
    lambda circle: circle.jobs.wait("https://circleci.example.com/gh/acme/web", 1),
]


@pytest.mark.parametrize("call", WRONG)
async def test_bad_argument_sends_nothing(call: Callable[[CircleCI], Any]) -> None:
    """And the error names what is expected."""
    async with local() as (server, circle):
        with pytest.raises(InvalidArgument):
            await call(circle)
        assert server.requests == []


@pytest.mark.parametrize("options", [{"poll_interval": 0}, {"events": "router"}])
async def test_watch_checks_its_arguments_immediately(options: dict[str, Any]) -> None:
    """As a list does."""
    async with local() as (_, circle):
        with pytest.raises(InvalidArgument):
            circle.pipelines.watch("p", **options)
        with pytest.raises(InvalidArgument, match="PipelineRun"):
            circle.pipelines.watch(PipelineRun(message="skipped"))


# --- events -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def receiver(router: EventRouter) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/circleci", router.handle)
    app.cleanup_ctx.append(router.run)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/circleci"
    finally:
        await runner.cleanup()


LONG = Story(
    [
        WorkflowStory("build", [JobStory("test", 400)]),
        WorkflowStory("lint", [JobStory("test", 700)]),
        WorkflowStory("deploy", [JobStory("ship", 1200)]),
    ]
)


async def waited(disorder: str | None = None, *, with_events: bool = True, delay: float = 0.0) -> tuple[float, int]:
    """Return the seconds from the end of a pipeline of 20 minutes to its notice, and the requests."""
    async with local(LONG) as (server, circle), receiver(router := EventRouter(SECRET)) as url:
        server.webhooks.add(url, secret=SECRET, events=["workflow-completed", "job-completed"])
        if disorder is not None:
            server.webhooks.inject(disorder, times=100, seconds=delay)  # type: ignore[arg-type]
        began = now()
        pipeline_id = server.start_pipeline(PROJECT)
        result = await circle.pipelines.wait(pipeline_id, events=router if with_events else None)
        assert result.succeeded
        assert router._subscribers == {}
        return now() - began - 1201.0, len(server.requests)


async def test_events_shorten_a_wait_and_save_requests() -> None:
    """The last one replaces the second read: the grace of 5 seconds remains."""
    delay, requests = await waited()
    polled_delay, polled = await waited(with_events=False)
    assert delay < 8 < polled_delay + 6
    assert requests < 35 < 80 < polled < 95


@pytest.mark.parametrize("disorder", ["lost", "unsigned", "wrong_signature", "duplicate", "delay"])
async def test_wait_does_not_depend_on_events(disorder: str) -> None:
    """Without them, polls once a minute find the end."""
    delay, requests = await waited(disorder, delay=90.0)
    assert delay < (8 if disorder == "duplicate" else 75)
    assert requests < 40


async def test_watch_is_woken_by_events_of_jobs() -> None:
    """A change of a job is yielded within seconds, though polls are a minute apart."""
    story = Story([WorkflowStory("build", [JobStory("a", 300), JobStory("b", 300, requires=["a"])])])
    async with local(story) as (server, circle), receiver(router := EventRouter(SECRET)) as url:
        server.webhooks.add(url, secret=SECRET, events=["workflow-completed", "job-completed"])
        began = now()
        pipeline_id = server.start_pipeline(PROJECT)
        seen: dict[tuple[str, str], float] = {}
        async for change in circle.pipelines.watch(pipeline_id, events=router):
            if change.job is not None:
                seen[change.job.name, change.job.status] = now() - began
        assert seen["a", "success"] < 301 + 4
        assert seen["b", "success"] < 601 + 10
        assert router._subscribers == {}


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequest), (401, Unauthorized), (403, Forbidden), (404, NotFound), (410, Gone)]
)
async def test_errors_that_stay_end_a_wait(status: int, kind: type[CircleCIError]) -> None:
    """A later poll would meet them again. The 404 is that of the pipeline itself."""
    async with local(SHORT) as (server, circle):
        pipeline_id = server.start_pipeline(PROJECT)
        for call in (circle.pipelines.wait, lambda each: anext(circle.pipelines.watch(each))):
            server.inject("answer", status=status, body={"message": "no"}, path=f"/pipeline/{pipeline_id}")
            with pytest.raises(kind):
                await call(pipeline_id)
            assert now() < 1


@pytest.mark.parametrize("fault", ["500", "503", "drop", "cut", "429"])
async def test_failed_polls_do_not_end_a_wait(fault: str) -> None:
    """Ten in a row, each with an error of its own."""
    async with local(SHORT) as (server, circle):
        pipeline_id = server.start_pipeline(PROJECT)
        server.inject(fault, path=f"/pipeline/{pipeline_id}", times=10, retry_after=0)
        result = await circle.pipelines.wait(pipeline_id)
        assert result.succeeded
        assert server.statistics.faults[fault] == 10


async def test_timeout_has_the_state_so_far() -> None:
    """Or None if nothing was read. The cause is the error of the last poll."""
    async with local(SHORT, Story([WorkflowStory("build", [JobStory("test", 60)])], outages=[(0, 500)])) as (
        server,
        circle,
    ):
        with pytest.raises(WaitTimeout) as caught:
            await circle.pipelines.wait(server.start_pipeline(PROJECT), timeout=30)
        assert caught.value.state.outcome == "running"
        assert 30 <= now() < 31
        with pytest.raises(WaitTimeout) as caught:
            await circle.pipelines.wait(server.start_pipeline(PROJECT), timeout=30)
        assert caught.value.state is None
        assert isinstance(caught.value.__cause__, CircleCIError)


# --- the end ------------------------------------------------------------------------------------------------------


def waits(circle: CircleCI, pipeline: Pipeline, workflow_id: str, job_number: int) -> list[Any]:
    async def watch() -> None:
        async for _ in circle.pipelines.watch(pipeline):
            pass

    return [
        circle.pipelines.wait(pipeline),
        watch(),
        circle.workflows.wait(workflow_id),
        circle.jobs.wait(PROJECT, job_number),
    ]


@asynccontextmanager
async def running(circle: CircleCI, server: LocalCircleCI) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """One wait of each kind, for a pipeline that runs."""
    pipeline = await circle.pipelines.get(server.start_pipeline(PROJECT))
    await asyncio.sleep(3)
    (workflow,) = await circle.pipelines.list_workflows(pipeline.id).collect()
    (job,) = await circle.workflows.list_jobs(workflow.id).collect()
    assert job.job_number is not None
    tasks = [asyncio.create_task(each) for each in waits(circle, pipeline, workflow.id, job.job_number)]
    await asyncio.sleep(20)
    assert not any(task.done() for task in tasks)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("latency", [0.0, 40.0])
async def test_cancelled_waits_leave_nothing(latency: float) -> None:
    """Neither in a pause nor with a request in flight: no task, no place, no request of theirs."""
    async with local(SHORT, client={"timeout": 100}) as (server, circle):
        async with running(circle, server) as tasks:
            server._latency = latency
            await asyncio.sleep(16)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(each) for each in results] == [asyncio.CancelledError] * 4
        state = circle._executor.state
        assert state.places.free == state.places.size
        assert not state.polls._calls
        assert state.poll_slots._value == circle.max_concurrency
        count = len(server.requests)
        await asyncio.sleep(200)
        assert len(server.requests) == count


async def test_closed_client_ends_each_wait() -> None:
    """With the error that each call on a closed client raises."""
    async with local(SHORT) as (server, circle), running(circle, server) as tasks:
        await circle.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in results] == [ConfigurationError] * 4


async def test_wait_of_a_closed_client_sends_nothing() -> None:
    """It raises immediately."""
    async with local(SHORT) as (server, circle):
        await circle.close()
        with pytest.raises(ConfigurationError, match="closed"):
            await circle.pipelines.wait(server.start_pipeline(PROJECT))
        assert server.requests == []


# --- many ---------------------------------------------------------------------------------------------------------


async def test_waits_of_copies_share_their_requests() -> None:
    """Twenty waits for one pipeline, through a client and its copies, cost little more than one."""
    async with local(SHORT, latency=0.2) as (server, circle):
        pipeline_id = server.start_pipeline(PROJECT)
        copies = [circle.with_options(timeout=20 + number) for number in range(10)]
        await asyncio.gather(*[each.pipelines.wait(pipeline_id) for each in (circle, *copies) for _ in range(2)])
        first = [each for each in server.requests if each.at < server.requests[0].at + 0.1]
        assert len(first) == 1


async def test_many_waits_keep_to_the_rate_limit() -> None:
    """Ten waits for each request a second: no 429, and each result is noticed."""
    waits = scaled(20, 100)
    figures = await many_waits.measure(waits, rate_limit=waits / 10)
    assert figures.succeeded == waits
    assert figures.refused == 0
    assert figures.percentile(0.95) < 30


async def test_other_calls_pass_many_waits() -> None:
    """Waits have at most max_concurrency requests in the queue, so that another call is soon sent."""
    async with local(client={"max_concurrency": 4}, rate_limit=5.0) as (server, circle):
        server.script(PROJECT, Story([WorkflowStory("build", [JobStory("test", 600)])]), times=None)
        pipelines = [server.start_pipeline(PROJECT) for _ in range(60)]
        tasks = [asyncio.create_task(circle.pipelines.wait(each, poll_interval=1)) for each in pipelines]
        await asyncio.sleep(30)
        began = now()
        await circle.pipelines.get(pipelines[0])
        assert now() - began < 2.5
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_waits_are_not_bounded_by_max_wait() -> None:
    """A slow rate makes a wait slow, and fails none of its polls: a timeout has no error as its cause."""
    options = {"retry": RetryPolicy(max_wait=0.1)}
    async with local(client=options, rate_limit=1.0) as (server, circle):
        server.script(PROJECT, Story([WorkflowStory("build", [JobStory("test", 600)])]), times=None)
        calls = [circle.pipelines.wait(server.start_pipeline(PROJECT), timeout=60) for _ in range(6)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in errors] == [WaitTimeout] * 6
        assert [each.__cause__ for each in errors if isinstance(each, WaitTimeout)] == [None] * 6
