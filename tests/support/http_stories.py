"""Random stories that LocalCircleCI plays, a client that waits for them over HTTP, and the observer of the models.

    python -m tests.support.http_stories --stories 1000

The observer reads the server's own state after the story: what happened, not what responses showed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from aiocircle import CircleCI, RetryPolicy, WaitTimeout
from aiocircle.composites._outcome import Until
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from aiocircle.testing.model import Job, Pipeline, Workflow
from aiocircle.testing.virtual_time import VirtualTimeLoop
from tests.support import waiting_stories as model

PROJECT = "gh/acme/web"
INF = math.inf
SAME = 1e-5  # seconds
LATER = 1500.0
"""Seconds for which a story continues after the wait, so that the observer knows what was still to come."""


class StoryMaker:
    """The maker of one random story of LocalCircleCI."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def within(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def length(self) -> float:
        return self.within(*self.rng.choices([(0.2, 3), (3, 60), (60, 300)], [10, 60, 30])[0])

    def job(self, name: str, requires: Sequence[str] = (), *, status: str | None = None) -> JobStory:
        queued = self.within(1, 20) if self.chance(0.2) else 0.0
        end = status or ("failed" if self.chance(0.15) else "success")
        return JobStory(name, self.length(), status=end, requires=requires, queued_seconds=queued)

    def jobs(self) -> list[JobStory]:
        jobs = [self.job("a")]
        if self.chance(0.5):
            jobs.append(self.job("b", ["a"] if self.chance(0.6) else []))
        if self.chance(0.25):
            after = None if self.chance(0.3) else self.within(1, 300)
            requires = [jobs[-1].name] if self.chance(0.7) else []
            jobs.append(JobStory("hold", type="approval", approved_after=after, requires=requires))
            jobs.append(self.job("ship", ["hold"]))
        return jobs

    def lags(self) -> dict[str, Any]:
        stop_lag = 0.0 if self.chance(0.8) else self.within(0, 6)
        return {
            "list_lag": self.within(0, 5) if self.chance(0.3) else 0.0,
            "status_lag": self.within(0, 3) if self.chance(0.4) else 0.0,
            "stopped_at_lag": None if self.chance(0.03) else stop_lag,
            # Not the first list: of what stopped long ago, one read is enough.
            "missing_polls": [self.rng.randrange(2, 25)] if self.chance(0.05) else [],
        }

    def workflow(self, name: str) -> WorkflowStory:
        delay = self.within(0, 8) if self.chance(0.2) else 0.0
        kind = self.rng.choices(["jobs", "status", "statuses", "canceled"], [75, 10, 8, 7])[0]
        if kind == "status":
            status = self.rng.choice(["error", "unauthorized", "not_run"])
            return WorkflowStory(name, status=status, delay=delay, **self.lags())
        if kind == "statuses":
            at = self.length()
            statuses = [(0.0, "running"), (at / 2, "quarantined"), (at, "quarantined")]
            return WorkflowStory(name, statuses=statuses, delay=delay, **self.lags())
        if kind == "canceled":
            return WorkflowStory(name, self.jobs(), canceled_after=self.length(), delay=delay, **self.lags())
        reruns = [self.within(1, 90) for _ in range(self.rng.choice([0, 0, 0, 0, 1, 2]))]
        return WorkflowStory(
            name,
            self.jobs(),
            delay=delay,
            max_auto_reruns=self.rng.choice([None, None, 1, 2]),
            auto_rerun_delay=None if self.chance(0.07) else self.within(0.1, 3 if self.chance(0.9) else 40),
            manual_reruns=reruns,
            reruns=[[self.job("a", status=self.rng.choice(["success", "failed"]))] for _ in range(2)],
            **self.lags(),
        )

    def setup(self) -> WorkflowStory:
        jobs = [self.job("generate", status="failed" if self.chance(0.15) else "success")]
        return WorkflowStory("setup", jobs, max_auto_reruns=self.rng.choice([None, 1]), **self.lags())

    def story(self) -> Story:
        names = self.rng.sample(["build", "test", "deploy"], self.rng.choice([1, 1, 2, 3]))
        form = self.rng.choices(["plain", "setup", "empty", "errored"], [58, 34, 4, 4])[0]
        fails = [number for number in range(1, 300) if self.chance(0.1)] if self.chance(0.3) else []
        start = self.within(5, 100)
        return Story(
            [] if form in ("empty", "errored") else [self.workflow(name) for name in names],
            setup=self.setup() if form == "setup" else None,
            is_continued=not self.chance(0.08),
            workflow_delay=self.within(30, 55) if self.chance(0.08) else self.within(0.5, 5),
            continuation_delay=self.within(30, 55) if self.chance(0.08) else self.within(0.3, 6),
            errors=[("config", "it is not YAML")] if form == "errored" else [],
            empty_is_404=self.chance(0.7),
            failing_polls=fails,
            outages=[(start, start + self.within(1, 40))] if self.chance(0.1) else [],
        )


# --- what happened ------------------------------------------------------------------------------------------------


class Truth:
    """A pipeline of the server as a story of the observer. Times are seconds since its creation."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.workflows: dict[str, model.WorkflowStory] = {}

    def at(self, time: float | None) -> float:
        return INF if time is None else time - self.pipeline.created

    def story(self, attached: float) -> model.Story:
        for run in self.pipeline.workflows:
            self.workflows[run.id] = self.workflow(run)
        story = self.pipeline.story
        assert story is not None
        fails = frozenset(story.failing_polls) | (frozenset({0}) if story.outages else frozenset())
        return model.Story(self.states(story), [*self.workflows.values()], fails, story.empty_is_404, attached)

    def workflow(self, run: Workflow) -> model.WorkflowStory:
        story = run.plan.story
        assert story is not None
        holds = self.holds(run)
        people = [end for _, end in holds if end < INF]
        if run.canceled_by is not None:
            people.append(self.at(run.stopped))
        if run.is_manual_rerun:
            people.append(self.at(run.created))
        before = [each for each in self.workflows.values() if each.name == run.name and not run.is_manual_rerun]
        if not before and run.tag != "setup":
            before = [each for each in self.workflows.values() if each.is_setup]
        people += [each.human for each in before]
        # The server adds seconds in another order: the last digits of what happened at the same time differ.
        moments = [self.at(run.created), self.at(run.stopped), *(moment for hold in holds for moment in hold)]
        history = [(_nearest(self.at(at), moments), status) for at, status in run.status_history]
        return model.WorkflowStory(
            id=run.id,
            name=run.name,
            created=self.at(run.created),
            history=history,
            ended=self.at(run.stopped),
            holds=holds,
            human=max(people, default=-INF),
            is_setup=run.tag == "setup",
            max_auto=run.max_auto_reruns or 0,
            auto_number=run.auto_rerun_number or 0,
            visible=self.at(run.created) + story.list_lag,
            lag=story.status_lag,
            stop_lag=INF if story.stopped_at_lag is None else story.stopped_at_lag,
            missed=story.missing_polls[0] if story.missing_polls else -1,
        )

    def holds(self, run: Workflow) -> list[tuple[float, float]]:
        """Return when an approval waits while no other job of the run can continue."""
        if run.plan.story is None or run.plan.story.statuses or run.plan.story.status is not None:
            return []
        ended = self.at(run.stopped)
        busy: list[tuple[float, float]] = []
        waits: list[tuple[float, float]] = []
        for job in run.jobs:
            ready = self.ready(run, job)
            if ready is None or ready >= ended:
                continue
            end = min(self.at(job.stopped), ended)
            (waits if job.plan.type == "approval" else busy).append((ready, end))
        marks = sorted({time for span in (*busy, *waits) for time in span})
        return [
            (begin, end)
            for begin, end in pairwise(marks)
            if any(start <= begin < stop for start, stop in waits)
            and not any(start <= begin < stop for start, stop in busy)
        ]

    def ready(self, run: Workflow, job: Job) -> float | None:
        """Return when nothing but the job itself had to happen for its end, or None if that never came."""
        ready = self.at(run.created)
        for index in job.plan.requires:
            required = run.jobs[index]
            if required.status != "success" or required.stopped is None:
                return None
            ready = max(ready, self.at(required.stopped))
        return ready

    def states(self, story: Story) -> list[tuple[float, str, float]]:
        delay = story.workflow_delay or 0.0
        if story.errors:
            return [(0.0, "pending", -INF), (delay, "errored", -INF)]
        if story.setup is None:
            return [(0.0, "pending", -INF), (delay, "created", -INF)]
        states = [(0.0, "setup-pending", -INF), (delay, "setup", -INF)]
        good = [each for each in self.workflows.values() if each.is_setup and each.end == "success"]
        good = [each for each in good if each.ended < INF]
        if good and story.is_continued:
            first = min(good, key=lambda each: each.ended)
            continued = first.ended + story.continuation_delay
            states += [(first.ended, "pending", first.human), (continued, "created", first.human)]
        return states


def _nearest(time: float, moments: Sequence[float]) -> float:
    """Return the one of the moments that is the same as `time` but for the last digits, otherwise `time`."""
    nearest = min(moments, key=lambda moment: abs(moment - time))
    return nearest if abs(nearest - time) < SAME else time


class Seen:
    """The successful reads of a wait, in the observer's terms."""

    def __init__(self, server: LocalCircleCI, pipeline: Pipeline, story: model.Story) -> None:
        offset = server.clock.now() - asyncio.get_running_loop().time() - pipeline.created
        lists = [each for each in server.requests if each.operation == "pipelines.list_workflows"]
        reads = [each for each in server.requests if each.operation == "pipelines.get" and each.status == 200]
        self.good_lists = [each.at + offset for each in lists if each.status in (200, 404)]
        times = [max(0.0, each.at + offset) for each in reads]
        self.state_reads = [(at, story.state(at)) for at in times]


# --- the campaign -------------------------------------------------------------------------------------------------


async def play(number: int) -> tuple[list[str], int]:
    """Play a story and wait for it. Return what does not hold, and the number of requests."""
    rng = random.Random(number)
    random.seed(number)
    story = StoryMaker(rng).story()
    until: Until = "on_hold" if number % 3 == 0 else "finished"
    deadline = rng.uniform(60, 900) if number % 7 == 0 else 3600.0
    attached = rng.uniform(0, 400) if rng.random() < 0.2 else 0.0
    retry = RetryPolicy(attempts=rng.choice([1, 5]))
    async with (
        LocalCircleCI([PROJECT], latency=rng.uniform(0, 0.3)) as server,
        CircleCI(server.token, base_url=server.url, retry=retry) as circle,
    ):
        server.script(PROJECT, story)
        pipeline_id = server.start_pipeline(PROJECT, branch="main")
        pipeline = server.state.pipeline(pipeline_id)
        assert pipeline is not None
        await asyncio.sleep(attached)
        outcome = None
        try:
            result = await circle.pipelines.wait(pipeline_id, timeout=deadline, until=until)
            outcome = result.outcome
        except WaitTimeout:
            result = None
        ended = server.clock.now() - pipeline.created
        requests = len(server.requests)
        await asyncio.sleep(LATER)
        server.state.advance()
        truth = Truth(pipeline).story(attached)
        run = model.Run(outcome, ended, result, Seen(server, pipeline, truth))  # type: ignore[arg-type]
        return model.faults(truth, until, run, deadline), requests


async def campaign(numbers: Iterable[int]) -> tuple[Counter[str], dict[str, int], int]:
    counts: Counter[str] = Counter()
    examples: dict[str, int] = {}
    requests = 0
    for number in numbers:
        found, spent = await play(number)
        requests += spent
        for fault in found:
            counts[fault] += 1
            examples.setdefault(fault, number)
    return counts, examples, requests


def run_campaign(numbers: Iterable[int]) -> tuple[Counter[str], dict[str, int], int]:
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(campaign(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("aiocircle").setLevel(logging.ERROR)
    counts, examples, requests = run_campaign(range(arguments.first, arguments.first + arguments.stories))
    print(f"{arguments.stories} stories, {requests} requests, {counts.total()} faults")
    for fault, count in counts.most_common():
        print(f"{count:6} {fault}; such as story {examples[fault]}")


if __name__ == "__main__":
    main()
