"""Waiting on virtual time: stories against an observer, failed polls, deadlines, events, and what is watched."""

from __future__ import annotations

import asyncio
import math
import pickle
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from aiocircle.composites import _job_changes, _outcome
from aiocircle.composites._reads import Read, Reader, server_time
from aiocircle.composites._simple_waits import wait_for_job, wait_for_workflow
from aiocircle.composites._waiting import wait_for_pipeline, watch_pipeline
from aiocircle.errors import (
    BadRequest,
    CircleCIError,
    ConfigurationError,
    DecodeError,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
    WaitTimeout,
)
from aiocircle.resources.jobs import Job
from aiocircle.resources.pipelines import Change, Pipeline, PipelineResult
from aiocircle.resources.workflows import Workflow, WorkflowJob
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support import waiting_stories as stories
from tests.support.rows import each_row
from tests.support.thorough import scaled
from tests.support.waiting_stories import EventPart, Events, WorkflowEvent

EPOCH = 1_700_000_000


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


# --- stories against the observer -----------------------------------------------------------------------------


def test_wait_ends_when_the_observer_expects() -> None:
    """It ends not earlier, at most one poll and its second read later, and with the same outcome."""
    counts, examples, _ = stories.run_campaign(range(scaled(80, 1500)))
    assert not counts, examples


@pytest.mark.parametrize(
    ("rule", "value", "fault", "seed"),
    [
        ("START_GRACE", 0.0, "early", 260),
        ("LONG_GRACE", 0.0, "early", 0),
        ("LONG_GRACE", 200.0, "late", 0),
        ("STOP_GRACE", 90.0, "late", 0),
        ("_may_rerun_itself", lambda *_: False, "early", 110),
        ("jobs_state", lambda _: "on_hold", "early", 20),
    ],
)
def test_observer_notices_a_wrong_rule(
    monkeypatch: pytest.MonkeyPatch, rule: str, value: object, fault: str, seed: int
) -> None:
    """Otherwise the stories would prove nothing. Few of them meet some of the rules: `seed` is shortly before one."""
    monkeypatch.setattr(_outcome, rule, value)
    faults = (name for number in range(seed, seed + 300) for name in stories.run_campaign([number])[0])
    assert any(name.startswith(fault) for name in faults)


def test_figures_of_a_wait() -> None:
    """A 20-minute pipeline of three workflows: at most 92 requests by polling, 34 with events."""

    async def main() -> list[tuple[int, float]]:
        return [await stories.measure(20.0, seed, with_events) for seed in range(5) for with_events in (False, True)]

    rows = run(main)
    assert max(requests for requests, _ in rows[::2]) <= 92
    assert max(requests for requests, _ in rows[1::2]) <= 34
    assert max(delay for _, delay in rows[1::2]) < 9


# --- a scripted server ----------------------------------------------------------------------------------------


def workflow(
    status: str, *, id: str = "w", name: str = "build", created: float = 0.0, stopped: float | None = None
) -> Workflow:
    return Workflow(
        id=id,
        name=name,
        status=status,
        pipeline_id="p",
        pipeline_number=1,
        project_slug="gh/acme/web",
        created_at=moment(created),
        stopped_at=None if stopped is None else moment(stopped),
    )


def job(name: str, status: str, type: str = "build") -> WorkflowJob:
    return WorkflowJob(id=name, name=name, type=type, status=status)


class Server:
    """Each kind of read has values by time, and errors by time: the last one that began counts."""

    def __init__(self) -> None:
        self.script: dict[str, list[tuple[float, Any]]] = {"pipeline": [(0.0, self.pipeline())]}
        self.reads: list[tuple[str, float]] = []
        self.has_date = True

    def pipeline(self, state: str = "created") -> Pipeline:
        return Pipeline(id="p", number=1, project_slug="gh/acme/web", state=state, created_at=moment(0))

    def then(self, kind: str, at: float, value: Any) -> None:
        self.script.setdefault(kind, []).append((at, value))

    async def _read(self, kind: str) -> Read[Any]:
        self.reads.append((kind, now()))
        await asyncio.sleep(0.1)
        value = [value for at, value in self.script.get(kind, [(0.0, NotFound(404, "Not found."))]) if at <= now()][-1]
        date = math.floor(EPOCH + now())
        if isinstance(value, NotFound):
            text = datetime.fromtimestamp(date, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            raise NotFound(404, value.message, headers={"Date": text} if self.has_date else {})
        if isinstance(value, BaseException):
            raise value
        return Read(value, float(date) if self.has_date else None)

    def times(self, kind: str) -> list[float]:
        return [at for each, at in self.reads if each == kind]

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        return await self._read("pipeline")

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        return await self._read("workflows")

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        return await self._read(f"jobs {workflow_id}")

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        return await self._read(f"workflow {workflow_id}")

    async def read_job(self, project: str, job_number: int, /) -> Read[Job]:
        return await self._read(f"job {project} {job_number}")


@pytest.fixture
def server() -> Server:
    """A workflow that runs from 1 s to 40 s."""
    server = Server()
    server.then("workflows", 0, NotFound(404, "Not found."))
    server.then("workflows", 1, (workflow("running", created=1),))
    server.then("workflows", 40, (workflow("success", created=1, stopped=40),))
    return server


def wait(server: Server, **options: Any) -> PipelineResult:
    result: PipelineResult = run(lambda: wait_for_pipeline(Reader(server), "p", **options))
    return result


# --- failed polls ---------------------------------------------------------------------------------------------

PASSING = [
    ServerError(503, "no"),
    RateLimited(429, "no", retry_after=1.0),
    DecodeError(["$.items"]),
    NotFound(404, "a list that had items"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_failed_polls_do_not_end_a_wait(server: Server, error: CircleCIError) -> None:
    """It continues with the next poll."""
    server.then("workflows", 10, error)
    server.then("workflows", 100, (workflow("success", created=1, stopped=40),))
    result = wait(server)
    assert result.outcome == "success"
    assert 4 < len([at for at in server.times("workflows") if 10 <= at < 100]) < 12


@pytest.mark.parametrize(
    "error",
    [BadRequest(400, "x"), Unauthorized(401, "x"), Forbidden(403, "x"), Gone(410, "x"), ConfigurationError("closed")],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_stay_end_a_wait(server: Server, error: CircleCIError) -> None:
    """They are raised as they are."""
    server.then("workflows", 20, error)
    with pytest.raises(type(error)):
        wait(server)


def test_pipeline_that_is_missing_ends_a_wait(server: Server) -> None:
    """A 404 of the pipeline itself is not a new pipeline."""
    server.script["pipeline"] = [(0.0, NotFound(404, "Not found."))]
    with pytest.raises(NotFound):
        wait(server)
    assert len(server.reads) == 1


def test_unexpected_exceptions_pass_through(server: Server) -> None:
    """A bug is not a failed poll."""
    server.then("workflows", 20, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        wait(server)


# --- deadlines ------------------------------------------------------------------------------------------------


def test_deadline_raises_the_state_so_far(server: Server) -> None:
    """After a last poll at the deadline. The error can be pickled with its state."""
    with pytest.raises(WaitTimeout, match="'running' so far") as raised:
        wait(server, timeout=30.0)
    assert raised.value.state.outcome == "running"
    assert not raised.value.state.succeeded
    assert server.times("workflows")[-1] == pytest.approx(30.0)
    assert pickle.loads(pickle.dumps(raised.value)).state == raised.value.state


def test_deadline_without_a_read_has_no_state(server: Server) -> None:
    """The error of the last poll is its cause."""
    server.script["pipeline"] = [(0.0, ServerError(503, "no"))]
    with pytest.raises(WaitTimeout) as raised:
        wait(server, timeout=30.0)
    assert raised.value.state is None
    assert isinstance(raised.value.__cause__, ServerError)


def test_hanging_poll_does_not_outlive_the_deadline(server: Server) -> None:
    """By more than ten seconds."""

    async def main() -> float:
        class Hanging(Server):
            async def _read(self, kind: str) -> Read[Any]:
                await asyncio.sleep(1e6)
                raise AssertionError

        with pytest.raises(WaitTimeout):
            await wait_for_pipeline(Reader(Hanging()), "p", timeout=30.0)
        return now()

    assert run(main) == pytest.approx(40.0)


def test_timeout_none_has_no_limit(server: Server) -> None:
    """A day is not too long."""
    server.script["workflows"][-1] = (90_000.0, (workflow("success", created=1, stopped=90_000),))
    assert wait(server, timeout=None).succeeded


@pytest.mark.parametrize("options", [{"timeout": -1}, {"poll_interval": 0}, {"until": "done"}])
def test_bad_arguments_send_nothing(server: Server, options: dict[str, Any]) -> None:
    """They are an InvalidArgument."""
    with pytest.raises(InvalidArgument):
        wait(server, **options)
    assert server.reads == []


# --- polls ----------------------------------------------------------------------------------------------------


def test_poll_is_one_request(server: Server) -> None:
    """The pipeline is read only until a workflow that is not a setup workflow is known."""
    wait(server)
    assert len(server.times("pipeline")) == 2
    assert server.times("pipeline")[-1] < server.times("workflows")[1]
    assert not [kind for kind, _ in server.reads if kind.startswith("jobs")]


def test_second_read_comes_two_seconds_after_the_first(server: Server) -> None:
    """For every interval of the polls."""
    for interval in (0.05, 1.0, 30.0):
        server.reads.clear()
        wait(server, poll_interval=interval)
        first, second = server.times("workflows")[-2:]
        assert second - (first + 0.1) == pytest.approx(2.0)


def test_poll_interval_replaces_the_pauses(server: Server) -> None:
    """But for a tenth of jitter."""
    wait(server, poll_interval=5.0)
    times = [at for at in server.times("workflows") if at < 40]
    assert all(4.5 <= after - before <= 5.3 for before, after in pairwise(times))


def test_polls_are_rarer_on_hold(server: Server) -> None:
    """30 s, while all that has not ended is on hold."""
    server.script["workflows"] = [(0.0, (workflow("on_hold"),)), (1000.0, (workflow("success", stopped=1000),))]
    wait(server)
    times = [at for at in server.times("workflows") if 100 < at < 1000]
    assert all(27 <= after - before <= 30.2 for before, after in pairwise(times))


def test_missing_date_is_replaced_by_the_own_clock(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait also ends without the header."""
    monkeypatch.setattr("time.time", lambda: float(EPOCH))
    server.has_date = False
    assert wait(server).succeeded


@each_row(
    ("headers", "expected"),
    [
        ({"date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 1_700_000_000.0),
        ({"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 1_700_000_000.0),
        ({"Date": "soon"}, None),
        ({"Date": ""}, None),
        ({}, None),
    ],
)
def test_server_time_reads_the_date_header(headers: dict[str, str], expected: float | None) -> None:
    """In any case; None if it cannot be read."""
    assert server_time(headers) == expected


def test_concurrent_waits_share_their_requests(server: Server) -> None:
    """Ten waits for one pipeline cost as much as one, while their polls coincide."""

    async def main() -> list[PipelineResult]:
        reader = Reader(server)
        random.seed(1)
        return await asyncio.gather(*(wait_for_pipeline(reader, "p", poll_interval=10.0) for _ in range(10)))

    assert len({id(each.workflows[0]) for each in run(main)}) <= 3
    first_poll = [kind for kind, at in server.reads if at < 1]
    assert first_poll == ["pipeline", "workflows"]


def test_changes_are_reported_to_on_change(server: Server) -> None:
    """Workflows only, each once and in order."""
    changes: list[Change] = []
    wait(server, on_change=changes.append)
    seen = [(each.kind, each.workflow.status, each.previous_status) for each in changes]
    assert seen == [("workflow_added", "running", None), ("workflow_status", "success", "running")]
    assert all(each.job is None and each.at.tzinfo is UTC for each in changes)


def test_cancelled_wait_leaves_nothing(server: Server) -> None:
    """No task, and no subscription."""

    async def main() -> None:
        events = Events()
        for after in (0.05, 1.0):
            task = asyncio.create_task(wait_for_pipeline(Reader(server), "p", events=events))
            await asyncio.sleep(after)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(asyncio.all_tasks()) == 1
        assert events.listeners == []

    run(main)


def test_wait_on_hold_reads_the_jobs(server: Server) -> None:
    """It ends only once nothing can continue without an approval."""
    server.script["workflows"] = [(0.0, (workflow("on_hold"),))]
    server.then("jobs w", 0, (job("a", "running"), job("ok", "on_hold", "approval")))
    server.then("jobs w", 200, (job("a", "success"), job("ok", "on_hold", "approval")))
    result = wait(server, until="on_hold")
    assert result.outcome == "on_hold"
    assert 200 < server.times("workflows")[-1] < 235


# --- events ---------------------------------------------------------------------------------------------------


def send(events: Events, at: float, event: Any) -> None:
    asyncio.get_running_loop().call_at(at, lambda: [listener(event) for listener in [*events.listeners]])


def completed(status: str = "success", *, pipeline: str = "p", id: str = "w") -> WorkflowEvent:
    return WorkflowEvent(EventPart(pipeline), EventPart(id, status))


def test_event_replaces_the_second_read(server: Server) -> None:
    """The poll at the end of the 5 s after the stop is the last."""
    server.script["workflows"] = [(0.0, (workflow("running"),)), (400.0, (workflow("success", stopped=400),))]

    async def main() -> float:
        events = Events()
        send(events, 401.0, completed())
        await wait_for_pipeline(Reader(server), "p", events=events)
        assert events.listeners == []
        return now()

    assert run(main) == pytest.approx(405.1, abs=1.1)
    assert [at for at in server.times("workflows") if at >= 400] == [401.0, pytest.approx(405, abs=1)]


def test_events_of_others_do_not_wake(server: Server) -> None:
    """Other pipelines, jobs, and events that name neither."""

    async def main(events: Events) -> int:
        server.reads.clear()
        await wait_for_pipeline(Reader(server), "p", events=events)
        return len(server.reads)

    async def noisy() -> int:
        events = Events()
        for at in range(10, 35):
            send(events, at, completed(pipeline="q"))
            send(events, at, object())
            send(events, at, JobEvent())
        return await main(events)

    random.seed(1)
    quiet = run(lambda: main(Events()))
    random.seed(1)
    assert run(noisy) == quiet


class JobEvent(WorkflowEvent):
    def __init__(self) -> None:
        super().__init__(EventPart("p"), EventPart("w"))
        self.job = EventPart("j", "success")


def test_polls_are_frequent_after_an_event(server: Server) -> None:
    """Every 2 s, but not for longer than a minute: an event can be wrong."""

    async def main() -> None:
        events = Events()
        send(events, 100.0, completed())
        send(events, 300.0, completed(id="unknown"))
        await wait_for_pipeline(Reader(server), "p", events=events)

    server.script["workflows"] = [(0.0, (workflow("running"),)), (110.0, (workflow("running"),))]
    server.then("workflows", 1000, (workflow("success", stopped=1000),))
    run(main)
    times = server.times("workflows")
    assert len([at for at in times if 100 <= at < 158]) in range(26, 30)
    assert len([at for at in times if 165 <= at < 299]) < 5
    assert len([at for at in times if 300 <= at < 358]) in range(26, 30)
    assert len([at for at in times if 365 <= at < 1000]) < 14


def test_many_events_wake_at_most_once_in_two_seconds(server: Server) -> None:
    """A flood of events is not a flood of requests."""

    async def main() -> None:
        events = Events()
        for number in range(1000):
            send(events, 10 + number / 50, completed())
        await wait_for_pipeline(Reader(server), "p", events=events)

    run(main)
    times = server.times("workflows")
    assert all(after - before > 1.99 for before, after in pairwise(times) if 10 < before < 29)


# --- watch ----------------------------------------------------------------------------------------------------


async def collect(server: Any, **options: Any) -> list[tuple[str, str, str | None, str | None]]:
    found = []
    async for change in watch_pipeline(Reader(server), "p", **options):
        name, status = (
            (change.job.name, change.job.status) if change.job else (change.workflow.name, change.workflow.status)
        )
        found.append((change.kind, name, status, change.previous_status))
    return found


def test_watch_yields_each_change_in_order(server: Server) -> None:
    """Changes of workflows and jobs are yielded; a blocked job of a workflow that ended will not run."""
    server.then("jobs w", 0, NotFound(404, "Not found."))
    server.then("jobs w", 5, (job("a", "running"), job("b", "blocked")))
    server.then("jobs w", 44, (job("a", "failed"), job("b", "blocked")))
    server.script["workflows"][-1] = (40.0, (workflow("failed", created=1, stopped=40),))
    assert run(lambda: collect(server)) == [
        ("workflow_added", "build", "running", None),
        ("job_added", "a", "running", None),
        ("job_added", "b", "blocked", None),
        ("workflow_status", "build", "failed", "running"),
        ("job_status", "a", "failed", "running"),
        ("will_not_run", "b", "blocked", "blocked"),
    ]


def test_watch_survives_failing_jobs(server: Server) -> None:
    """Workflows are reported meanwhile. Jobs that cannot be read for a minute after the end do not hold it up."""
    server.then("jobs w", 0, ServerError(503, "no"))
    assert [each[0] for each in run(lambda: collect(server))] == ["workflow_added", "workflow_status"]
    assert 100 < server.reads[-1][1] < 125


def test_abandoned_watch_leaves_nothing(server: Server) -> None:
    """No subscription, and no task."""

    async def main() -> None:
        events = Events()
        watch = watch_pipeline(Reader(server), "p", events=events)
        await anext(watch)
        await watch.aclose()
        assert events.listeners == []
        assert len(asyncio.all_tasks()) == 1

    run(main)


class JobStories:
    """One workflow whose jobs run one after the other. After a failure the rest never runs."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.at, self.lists = rng, 0.0, 0
        count = rng.choice([1, 2, 3, 4])
        failed = rng.randrange(count) if rng.random() < 0.35 else count
        self.jobs = {f"j{index}": self._job(index, failed) for index in range(count)}
        self.ended = self.at + rng.uniform(0, 1)
        self.lag = rng.choice([0.0, rng.uniform(0, 3)])
        self.missed = rng.choice([0, 0, rng.randrange(1, 12)])

    def _job(self, index: int, failed: int) -> list[tuple[float, str]]:
        log = [(0.0, "blocked" if index else "queued")]
        if index <= failed:
            for status, delay in (
                ("queued", 3.0),
                ("running", 5.0),
                ("failed" if index == failed else "success", 90.0),
            ):
                self.at += self.rng.uniform(0.1, delay)
                log.append((self.at, status))
        return log

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        return Read(Server().pipeline(), math.floor(EPOCH + now()))

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        await asyncio.sleep(0.1)
        shown = workflow("success", stopped=self.ended) if now() >= self.ended else workflow("running")
        return Read((shown,), math.floor(EPOCH + now()))

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        self.lists += 1
        await asyncio.sleep(0.1)
        at = now()
        shown = {name: [s for t, s in log if t + self.lag <= at or t == 0.0][-1] for name, log in self.jobs.items()}
        listed = [job(name, s) for name, s in shown.items() if not (self.lists == self.missed and name == "j0")]
        return Read(tuple(listed), math.floor(EPOCH + now()))

    read_workflow: Any = None
    read_job: Any = None

    def problems(self, changes: list[tuple[str, str, str | None, str | None]]) -> set[str]:
        found = set()
        if max(Counter((name, kind == "will_not_run", status) for kind, name, status, _ in changes).values()) > 1:
            found.add("a change came twice")
        never = {name for name, log in self.jobs.items() if len(log) == 1 and name != "j0"}
        if never != {name for kind, name, _, _ in changes if kind == "will_not_run"}:
            found.add("will_not_run is wrong")
        for name, log in self.jobs.items():
            statuses = [status for kind, each, status, _ in changes if each == name and kind != "will_not_run"]
            rest = iter(status for _, status in log)
            if not all(status in rest for status in statuses):
                found.add("out of order")
            if statuses[-1] != log[-1][1]:
                found.add("the end of a job is missing")
        return found


def test_watch_misses_and_repeats_no_job() -> None:
    """200 random workflows whose list of jobs lags, and leaves a job out once."""

    async def main() -> dict[int, set[str]]:
        found = {}
        for number in range(200):
            story = JobStories(random.Random(number))
            base = now()
            story.at, story.ended = 0.0, story.ended + base
            story.jobs = {name: [(t + base if t else 0.0, s) for t, s in log] for name, log in story.jobs.items()}
            if problems := story.problems(await collect(story)):
                found[number] = problems
        return found

    assert run(main) == {}


def test_watch_needs_to_read_jobs_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stories above notice if a list that lags behind the end is believed."""
    monkeypatch.setattr(_job_changes, "SETTLE", -5.0)
    monkeypatch.setattr(_job_changes, "_is_still", lambda job: True)
    with pytest.raises(AssertionError):
        test_watch_misses_and_repeats_no_job()


# --- workflows and jobs ---------------------------------------------------------------------------------------


def wait_workflow(server: Server, **options: Any) -> Workflow:
    found: Workflow = run(lambda: wait_for_workflow(Reader(server), "w", **options))
    return found


def test_workflow_wait_follows_its_id() -> None:
    """It ends with the first read that shows the end: no grace period, no second read."""
    server = Server()
    server.then("workflow w", 0, workflow("running"))
    server.then("workflow w", 50, workflow("failed", stopped=50))
    assert wait_workflow(server).status == "failed"
    assert len([at for at in server.times("workflow w") if at >= 50]) == 1


def test_new_workflow_may_be_missing() -> None:
    """A 404 within 10 s is a failed poll; a later one is raised."""
    server = Server()
    server.then("workflow w", 0, NotFound(404, "Not found."))
    with pytest.raises(NotFound):
        wait_workflow(server)
    assert server.reads[-1][1] >= 10 - 2
    server.then("workflow w", 7, workflow("success", stopped=8))
    assert wait_workflow(server).status == "success"


def test_workflow_wait_on_hold_reads_its_jobs() -> None:
    """An approval must wait, and nothing else can continue."""
    server = Server()
    server.then("workflow w", 0, workflow("on_hold"))
    server.then("jobs w", 0, (job("a", "running"), job("ok", "on_hold", "approval")))
    server.then("jobs w", 60, (job("ok", "on_hold", "approval"),))
    assert wait_workflow(server, until="on_hold").status == "on_hold"
    assert server.reads[-1][1] >= 60
    with pytest.raises(WaitTimeout, match="'on_hold' so far") as raised:
        wait_workflow(server, timeout=100.0)
    assert raised.value.state.id == "w"


def test_unknown_status_ends_by_its_jobs() -> None:
    """A workflow with an unknown status has ended if all its jobs have ended for a minute."""
    server = Server()
    server.then("workflow w", 0, workflow("new"))
    server.then("jobs w", 0, NotFound(404, "Not found."))
    server.then("jobs w", 30, (job("a", "success"),))
    assert wait_workflow(server).status == "new"
    assert 90 <= server.reads[-1][1] < 120


def test_job_wait_ends_with_the_job() -> None:
    """Failed polls do not end it; a job that is missing does."""
    server = Server()
    server.then("job gh/acme/web 7", 0, Job(name="a", number=7, status="running"))
    server.then("job gh/acme/web 7", 10, ServerError(500, "no"))
    server.then("job gh/acme/web 7", 50, Job(name="a", number=7, status="timedout"))
    found = run(lambda: wait_for_job(Reader(server), "gh/acme/web", 7))
    assert found.status == "timedout"
    with pytest.raises(NotFound):
        run(lambda: wait_for_job(Reader(server), "gh/acme/web", 8))
    with pytest.raises(WaitTimeout) as raised:
        run(lambda: wait_for_job(Reader(server), "gh/acme/web", 7, timeout=20.0))
    assert raised.value.state.status == "running"
    assert isinstance(raised.value.__cause__, ServerError)
