"""Random days of a project, played to a stream on virtual time, and an observer that knows each of them whole.

    python -m tests.support.stream_stories --stories 20000                 # stream_finished
    python -m tests.support.stream_stories --stories 20000 --approvals     # stream_approvals

The consumer crashes and starts again with the state that it saved last. Requests fail, for an hour all of them. Events
are lost, doubled and late. Times are seconds; 0 is when the stream first begins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from aiocircle._core.pagination import Page
from aiocircle.composites._pipeline_streams import ApprovalStream, FinishedStream
from aiocircle.composites._reads import Read
from aiocircle.errors import ConnectionFailed, NotFound
from aiocircle.resources.pipelines import Approval, Pipeline, PipelineResult, PipelineVcs
from aiocircle.resources.workflows import Workflow, WorkflowJob
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support.waiting_stories import EventPart, Events

INF = math.inf
EPOCH = 1_700_000_000.37
PROJECT = "gh/acme/web"


@dataclass
class Attempt:
    id: str
    created: float
    stopped: float
    status: str
    max_auto: int = 0
    auto_number: int = 0
    approvals: list[tuple[str, float, float]] = field(default_factory=list)  # id, from, to


@dataclass
class PipelineStory:
    number: int
    branch: str | None
    created: float
    visible: float
    is_errored: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    def final(self, at: float) -> tuple[float, str] | None:
        """Since when it is final at that time, and with which outcome; None if it is not."""
        if self.is_errored:
            return self.created, "error"
        there = [each for each in self.attempts if each.created <= at]
        if not there:
            return (self.created + 60, "no_workflows") if at >= self.created + 60 else None
        if any(each.stopped > at for each in there):
            return None
        last = there[-1]
        may_rerun = (
            last.status == "failed" and last.auto_number < last.max_auto and (last.auto_number or len(there) == 1)
        )
        since = max(last.created + 15, last.stopped + (60 if may_rerun else 5))
        return (since, last.status) if at >= since else None


@dataclass
class Story:
    pipelines: list[PipelineStory]
    end: float  # until then things happen; afterwards the stream gets time to find out
    branch: str | None
    with_since: bool
    page_size: int
    poll_interval: float
    crashes: list[tuple[float, float]]  # from, to
    outages: list[tuple[float, float]]
    failing: float  # the share of requests that fail
    with_events: bool
    events: list[tuple[float, int, str, str]]  # at, pipeline, workflow, status

    @property
    def horizon(self) -> float:
        return self.end + 5 * self.poll_interval + 400


def make_story(rng: random.Random, approvals: bool) -> Story:
    end = rng.choice([600.0, 1800.0, 5400.0])
    pipelines: list[PipelineStory] = []
    number, at = 100, -rng.uniform(0, 3000)
    for _ in range(rng.randint(1, 9)):
        number += rng.choice([1, 1, 1, 3])
        at += rng.choice([0.0, rng.uniform(0, 30), rng.uniform(0, end / 3)])
        late = rng.choice([0.0, 0.0, 0.0, rng.uniform(0, 30), rng.uniform(0, min(3000, end / 2))])
        story = PipelineStory(number, rng.choice(["a", "a", "b", None]), at, at + late, rng.random() < 0.07)
        if at < end - 60:
            pipelines.append(story)
            if not story.is_errored and rng.random() < 0.92:
                add_attempts(rng, story, end, approvals)
    outages, crashes = [], []
    if rng.random() < 0.2:
        begin = rng.uniform(0, end)
        outages.append((begin, begin + rng.choice([120.0, 600.0, 3600.0])))
    begin = 0.0
    while rng.random() < 0.5 and (begin := begin + rng.uniform(1, end)) < end:
        stop = begin + rng.choice([0.0, rng.uniform(0, 60), rng.uniform(0, 3000)])
        crashes.append((begin, stop))
        begin = stop
    story = Story(
        pipelines, max([end, *(stop for _, stop in crashes + outages)]), rng.choice([None, None, None, "a"]),
        rng.random() < 0.3, rng.choice([2, 3, 20]), rng.choice([60.0, 60.0, 300.0]), crashes, outages,
        rng.choice([0.0, 0.0, 0.05, 0.3]), not approvals and rng.random() < 0.5, [],
    )  # fmt: skip
    for pipeline in pipelines if story.with_events else ():
        for attempt in pipeline.attempts:
            if attempt.stopped < INF:
                story.events += deliveries(rng, pipeline, attempt)
    return story


def add_attempts(rng: random.Random, story: PipelineStory, end: float, approvals: bool) -> None:
    at, max_auto, auto_number = story.created + rng.uniform(0.2, 5), rng.choice([0, 0, 1]), 0
    while at < end - 30 and len(story.attempts) < 4:
        stopped = at + rng.choice([rng.uniform(1, 60), rng.uniform(60, 900), INF])
        stopped = INF if stopped > end - 30 else stopped
        status = "running" if stopped == INF else rng.choice(["success", "success", "failed", "canceled"])
        attempt = Attempt(f"{story.number}.{len(story.attempts)}", at, stopped, status, max_auto, auto_number)
        story.attempts.append(attempt)
        for index in range(rng.choice([0, 1, 1, 2]) if approvals else 0):
            begin = at + rng.uniform(0, 200)
            to = min(stopped, begin + rng.choice([rng.uniform(1, 300), INF]))
            if begin < to and begin < end - 30:
                attempt.approvals.append((f"{attempt.id}/{index}", begin, to))
        if stopped == INF:
            return
        if status == "failed" and auto_number < max_auto and (auto_number or len(story.attempts) == 1):
            at, auto_number = stopped + rng.uniform(0.1, 20), auto_number + 1
        elif rng.random() < 0.25:
            at, auto_number = stopped + rng.uniform(0.5, 900), 0
        else:
            return


def deliveries(rng: random.Random, pipeline: PipelineStory, attempt: Attempt) -> list[tuple[float, int, str, str]]:
    """Return the deliveries of an event: 5 % of all are lost, 5 % doubled, 5 % late."""
    kind, soon = rng.random(), attempt.stopped + rng.uniform(0.3, 2)
    times = [] if kind < 0.05 else [soon, soon + rng.uniform(0, 60)] if kind < 0.1 else [soon]
    times = [at + rng.uniform(60, 3600) for at in times] if kind >= 0.95 else times
    return [(at, pipeline.number, attempt.id, attempt.status) for at in times]


# --- the server -------------------------------------------------------------------------------------------------


@dataclass
class ProjectEvent:
    pipeline: Any
    workflow: EventPart
    project: Any


@dataclass
class Named:
    number: int = 0
    slug: str = PROJECT
    id: str = ""


class ProjectServer:
    """Plays a story on the running loop's time."""

    def __init__(self, story: Story, rng: random.Random) -> None:
        self.story, self.rng, self.requests = story, rng, 0
        self.began = asyncio.get_running_loop().time()
        self.by_number = {each.number: each for each in story.pipelines}

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    async def _serve(self) -> float:
        self.requests += 1
        if self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.choice([0.01, 0.3, 2.0]))
        is_out = any(begin <= self.now < end for begin, end in self.story.outages)
        if is_out or (self.now < self.story.end and self.rng.random() < self.story.failing):
            raise ConnectionFailed("refused")
        return self.now

    def _read(self, value: Any, at: float) -> Read[Any]:
        return Read(value, float(math.floor(EPOCH + at)))

    def _missing(self, at: float) -> NotFound:
        date = datetime.fromtimestamp(math.floor(EPOCH + at), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return NotFound(404, "Not found.", headers={"Date": date})

    async def list_pipelines(
        self, project: str, /, *, branch: str | None, page_token: str | None
    ) -> Read[Page[Pipeline]]:
        at, begin = await self._serve(), int(page_token or 0)
        rows = [each for each in self.story.pipelines if each.visible <= at and branch in (None, each.branch)]
        rows.sort(key=lambda each: (-each.created, -each.number))
        end = begin + self.story.page_size
        items = tuple(self.pipeline(each) for each in rows[begin:end])
        return self._read(Page(items, str(end) if end < len(rows) else None), at)

    def pipeline(self, story: PipelineStory) -> Pipeline:
        return Pipeline(
            id=f"p{story.number}", number=story.number, project_slug=PROJECT, created_at=moment(story.created),
            updated_at=moment(story.created), state="errored" if story.is_errored else "created",
            vcs=PipelineVcs(branch=story.branch),
        )  # fmt: skip

    async def read_pipeline_by_number(self, project: str, pipeline_number: int, /) -> Read[Pipeline]:
        at = await self._serve()
        return self._read(self.pipeline(self.by_number[pipeline_number]), at)

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        return await self.read_pipeline_by_number(PROJECT, int(pipeline_id[1:]))

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        at, story = await self._serve(), self.by_number[int(pipeline_id[1:])]
        shown = tuple(self.workflow(story, each, at) for each in story.attempts if each.created <= at)
        if not shown:
            raise self._missing(at)
        return self._read(shown, at)

    def workflow(self, story: PipelineStory, attempt: Attempt, at: float) -> Workflow:
        has_stopped = attempt.stopped <= at
        held = any(begin <= at < end for _, begin, end in attempt.approvals)
        return Workflow(
            id=attempt.id, name="build", pipeline_id=f"p{story.number}", pipeline_number=story.number,
            project_slug=PROJECT, created_at=moment(attempt.created),
            status=attempt.status if has_stopped else "on_hold" if held else "running",
            stopped_at=moment(attempt.stopped) if has_stopped else None,
            max_auto_reruns=attempt.max_auto or None, auto_rerun_number=attempt.auto_number or None,
        )  # fmt: skip

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        at, story = await self._serve(), self.by_number[int(workflow_id.split(".")[0])]
        attempt = next(each for each in story.attempts if each.id == workflow_id)
        jobs = [WorkflowJob(id="b", name="b", type="build", status="running")]
        for job_id, begin, end in attempt.approvals:
            status = "blocked" if at < begin else "on_hold" if at < end else "success"
            jobs.append(WorkflowJob(id=job_id, name=job_id, type="approval", status=status))
        return self._read(tuple(jobs), at)

    read_workflow: Any = None
    read_job: Any = None


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


# --- the consumer -----------------------------------------------------------------------------------------------


@dataclass
class Report:
    number: int
    what: str
    at: float
    is_saved: bool = False
    is_handled: bool = False


class Consumer:
    """Handles one item after the other and saves the state after each."""

    def __init__(self, story: Story, rng: random.Random, approvals: bool, save_first: bool = False) -> None:
        self.story, self.rng, self.approvals, self.save_first = story, rng, approvals, save_first
        self.server = ProjectServer(story, rng)
        self.events = Events()
        self.saved: str | None = None
        self.reports: list[Report] = []
        self.largest = 0

    async def run(self) -> None:
        kind: Any = ApprovalStream if self.approvals else FinishedStream
        options: dict[str, Any] = {"branch": self.story.branch, "poll_interval": self.story.poll_interval}
        if self.saved is not None:
            options["state"] = json.loads(self.saved)
        elif self.story.with_since:
            options["since"] = moment(-1000)
        if self.story.with_events:
            options["events"] = self.events
        async with kind(self.server, PROJECT, **options) as stream:
            if self.saved is None:
                self.saved = json.dumps(stream.state)
            async for item in stream:
                report = self.report(item)
                self.reports.append(report)
                if self.save_first:
                    self.save(stream, report)
                if self.rng.random() < 0.5:
                    await asyncio.sleep(self.rng.choice([0.1, 5.0, 90.0]))
                report.is_handled = True
                self.save(stream, report)

    def requests_per_poll(self) -> float:
        return self.server.requests / (self.story.horizon / self.story.poll_interval)

    def save(self, stream: Any, report: Report) -> None:
        self.saved, report.is_saved = json.dumps(stream.state), True
        self.largest = max(self.largest, len(stream.state["open"]) + len(stream.state["told"]))

    def report(self, item: PipelineResult | Approval) -> Report:
        what = item.job.id if isinstance(item, Approval) else item.outcome
        return Report(item.pipeline.number, what, self.server.now)


async def play(story: Story, seed: int, approvals: bool, save_first: bool = False) -> Consumer:
    random.seed(seed)
    consumer = Consumer(story, random.Random(seed), approvals, save_first)
    loop = asyncio.get_running_loop()
    began, skew = loop.time(), random.Random(seed).choice([0.0, -7200.0, 7200.0])
    with patch("time.time", lambda: EPOCH + skew + loop.time() - began):
        await run_story(story, consumer)
    return consumer


async def run_story(story: Story, consumer: Consumer) -> None:
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    for at, number, workflow, status in story.events:
        event = ProjectEvent(Named(number), EventPart(workflow, status), Named())
        call = loop.call_at(consumer.server.began + at, lambda e=event: [f(e) for f in [*consumer.events.listeners]])
        timers += [call] if at >= 0 else []
    for begin, restart in [*story.crashes, (story.horizon, INF)]:
        task = asyncio.create_task(consumer.run())
        await asyncio.wait([task], timeout=begin - consumer.server.now)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait([task])
        if restart < INF:
            await asyncio.sleep(max(0.0, restart - consumer.server.now))
    for timer in timers:
        timer.cancel()


# --- the observer -----------------------------------------------------------------------------------------------


def twice(reports: list[Report], number: int, key: str | None = None) -> bool:
    mine = [each for each in reports if each.number == number and key in (None, each.what)]
    return any(first.what == second.what and first.is_saved for first, second in pairwise(mine))


def faults(consumer: Consumer) -> list[str]:
    story, end, found = consumer.story, consumer.story.horizon, list[str]()
    for report in consumer.reports:
        pipeline = consumer.server.by_number[report.number]
        if story.branch not in (None, pipeline.branch):
            found.append("of another branch")
        if consumer.approvals:
            begin, to = next((b, t) for each in pipeline.attempts for i, b, t in each.approvals if i == report.what)
            if not begin <= report.at <= to + 5:
                found.append("reported an approval that does not wait")
        else:
            # A change may happen while the response is on its way, or between its reading and the second request.
            states = [pipeline.final(report.at - seconds) for seconds in (0.0, 1.0, 2.5, 5.0)]
            if not any(state is not None and state[1] == report.what for state in states):
                found.append("reported an outcome that is not the pipeline's")
    shown = [each for each in story.pipelines if story.branch in (None, each.branch) and each.visible < end - 300]
    newest = {each.branch: each.number for each in shown}
    for pipeline in shown:
        check = approval_faults if consumer.approvals else finished_faults
        found += check(consumer, pipeline, is_newest=newest[pipeline.branch] == pipeline.number)
    if consumer.requests_per_poll() > 40:
        found.append("too many requests")
    return found


def finished_faults(consumer: Consumer, pipeline: PipelineStory, is_newest: bool) -> list[str]:
    story, end = consumer.story, consumer.story.horizon
    mine = [each for each in consumer.reports if each.number == pipeline.number]
    final = pipeline.final(end - 300)
    if twice(consumer.reports, pipeline.number):
        return ["reported twice"]
    first = pipeline.final(0.0)
    is_excused = pipeline.created < -1000 if story.with_since else first is not None and first[0] <= 0.5
    if final is None or (is_excused and not mine):
        return []
    if not mine:
        return ["missed"]
    if any(each.is_saved and not each.is_handled for each in mine):
        return ["its work was lost in a crash"]
    saved = [each for each in mine if each.is_saved]
    if mine[-1].what == final[1] or (saved and not mine[-1].is_saved and saved[-1].what == final[1]):
        return []
    last_stop = max((each.stopped for each in pipeline.attempts), default=0)
    last_crash = max((begin for begin, _ in story.crashes), default=-INF)
    running_since = max((to for _, to in story.crashes), default=0)
    heard = [
        at for at, number, _, _ in story.events
        if number == pipeline.number and max(last_stop, last_crash, running_since) + 5 <= at <= end - 300
    ]  # fmt: skip
    return ["a later change was missed"] if is_newest or (heard and mine[-1].at < heard[-1]) else []


def approval_faults(consumer: Consumer, pipeline: PipelineStory, is_newest: bool) -> list[str]:
    found, end = [], consumer.story.horizon
    for attempt in pipeline.attempts:
        for job_id, begin, to in attempt.approvals:
            if twice(consumer.reports, pipeline.number, job_id):
                found.append("reported twice")
            is_followed = is_newest or attempt is pipeline.attempts[0]
            is_excused = consumer.story.with_since and pipeline.created < -1000
            waits = begin <= end - 400 and to > end
            if waits and is_followed and not is_excused and not any(each.what == job_id for each in consumer.reports):
                found.append("missed")
    return found


async def campaign(
    numbers: Iterable[int], approvals: bool, save_first: bool = False
) -> tuple[Counter[str], dict[str, int], int]:
    counts: Counter[str] = Counter()
    examples: dict[str, int] = {}
    requests = 0
    for number in numbers:
        story = make_story(random.Random(number), approvals)
        consumer = await play(story, number, approvals, save_first)
        requests += consumer.server.requests
        for fault in {*faults(consumer)}:
            counts[fault] += 1
            if fault not in examples or len(story.pipelines) < len(
                make_story(random.Random(examples[fault]), approvals).pipelines
            ):
                examples[fault] = number
    return counts, examples, requests


def run_campaign(
    numbers: Iterable[int], approvals: bool, save_first: bool = False
) -> tuple[Counter[str], dict[str, int], int]:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(campaign(numbers, approvals, save_first))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--approvals", action="store_true")
    arguments = parser.parse_args()
    began = time.monotonic()
    numbers = range(arguments.first, arguments.first + arguments.stories)
    counts, examples, requests = run_campaign(numbers, arguments.approvals)
    seconds = time.monotonic() - began
    print(f"{arguments.stories} stories, {requests} requests, {counts.total()} faults, {seconds:.0f} s")
    for fault, count in counts.most_common():
        print(f"{count:6} {fault}; such as story {examples[fault]}")


if __name__ == "__main__":
    main()
