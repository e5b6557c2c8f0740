"""Random stories of pipelines, a server that plays them on virtual time, and an observer that knows each story whole.

    python -m tests.support.waiting_stories --stories 100000           # the wait against the observer
    python -m tests.support.waiting_stories --figures                  # requests and delays

Times are seconds since the creation of the pipeline, on the server's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from aiocircle.composites._outcome import Until
from aiocircle.composites._reads import Read, Reader
from aiocircle.composites._waiting import wait_for_pipeline
from aiocircle.errors import NotFound, ServerError, WaitTimeout
from aiocircle.resources.jobs import Job
from aiocircle.resources.pipelines import Pipeline, PipelineResult
from aiocircle.resources.workflows import Workflow, WorkflowJob
from aiocircle.testing.virtual_time import VirtualTimeLoop

INF = math.inf
EPOCH = 1_700_000_000.37
WORST = [
    *("error", "failed", "failing", "unauthorized", "canceled", "?", "running", "queued", "on_hold"),
    *("no_workflows", "not_run", "success"),
]


@dataclass
class WorkflowStory:
    """One workflow. `history`, `ended` and `holds` are the truth; the other times are when lists show it."""

    id: str
    name: str
    created: float
    history: list[tuple[float, str]] = field(default_factory=list)
    ended: float = INF
    holds: list[tuple[float, float]] = field(default_factory=list)  # an approval waits, and nothing else can continue
    human: float = -INF  # the latest action of a person that it exists because of
    is_setup: bool = False
    max_auto: int = 0
    auto_number: int = 0
    visible: float = 0.0
    lag: float = 0.0  # a status is shown so much later
    stop_lag: float = 0.0  # `stopped_at` is shown so much later than the status; INF: never
    expired: bool = False
    missed: int = -1  # the number of the one list that leaves it out

    def status(self, at: float) -> str:
        return [status for when, status in self.history if when <= at][-1]

    def shown_status(self, at: float) -> str:
        first = self.history[0][0]
        return [status for when, status in self.history if when + self.lag <= at or when == first][-1]

    @property
    def end(self) -> str:
        return self.history[-1][1]


@dataclass
class Story:
    """A pipeline: its states as (time, state, action of a person that caused it), its workflows, faulty reads."""

    states: list[tuple[float, str, float]]
    workflows: list[WorkflowStory]
    failing_lists: frozenset[int] = frozenset()
    empty_is_404: bool = True
    attached: float = 0.5
    has_updated_at: bool = True

    def state(self, at: float) -> str:
        return [state for when, state, _ in self.states if when <= at][-1]

    @property
    def real(self) -> list[WorkflowStory]:
        return [each for each in self.workflows if not each.expired]


class StoryMaker:
    """The maker of one random story."""

    KINDS = (
        "success*50 failed*16 canceled*4 error*2 unauthorized*2 not_run*4 unknown*3 unknown_open*1 hold_first*5 "
        "hold_middle*8 fail_hold*3"
    )
    SETUP_KINDS = "success*80 failed*12 canceled*3 hold_middle*3 unauthorized*2"

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.workflows: list[WorkflowStory] = []

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def kind(self, weighted: str) -> str:
        kinds = [each.split("*") for each in weighted.split()]
        return self.rng.choices([kind for kind, _ in kinds], [int(weight) for _, weight in kinds])[0]

    def within(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def workflow(self, at: float, name: str, kind: str | None = None, **more: Any) -> WorkflowStory:
        kind = kind or self.kind(self.KINDS)
        story = WorkflowStory(f"w{len(self.workflows)}", name, at, **more)
        self.workflows.append(story)
        story.visible = at + (self.within(0, 5) if self.chance(0.3) else self.within(0, 1))
        story.lag = self.within(0, 3) if self.chance(0.5) else 0.0
        story.stop_lag = 0.0 if self.chance(0.8) else self.within(0, 6)
        # Not the first list: of what stopped long ago, one read is enough.
        story.missed = self.rng.randrange(2, 25) if self.chance(0.03) else -1
        self.fill(story, kind, self.length())
        may_rerun = story.end == "failed" and story.ended < INF and story.auto_number < story.max_auto
        if may_rerun and not self.is_manual(story) and not self.chance(0.07):
            delay = self.within(0.1, 3) if self.chance(0.9) else self.within(3, 40)
            more |= {"auto_number": story.auto_number + 1, "human": story.human}
            self.workflow(story.ended + delay, name, self.rng.choice(["success", "failed"]), **more)
        return story

    def is_manual(self, story: WorkflowStory) -> bool:
        earlier = [each for each in self.workflows if each.id != story.id and each.name == story.name]
        return not story.auto_number and any(each.is_setup == story.is_setup for each in earlier)

    def length(self) -> float:
        low, high = self.rng.choices([(0.2, 3), (3, 60), (60, 600)], [10, 36, 54])[0]
        return self.within(low, high)

    def fill(self, story: WorkflowStory, kind: str, length: float) -> None:
        at, log = story.created, story.history
        log.append((at, "running"))
        if self.chance(0.05):
            log[-1] = (at, "queued")
            at += self.within(1, 60)
            log.append((at, "running"))
        if kind in ("hold_first", "hold_middle"):
            if kind == "hold_middle":
                at += length * self.within(0.2, 0.8)
                if self.chance(0.1):  # shown as on hold while another job still runs
                    log.append((at, "on_hold"))
                    at += self.within(1, 90)
            else:
                log.clear()
                at = story.created
            if not log or log[-1][1] != "on_hold":
                log.append((at, "on_hold"))
            at = self.hold(story, at)
            kind = "canceled" if self.chance(0.2) else "failed" if self.chance(0.2) else "success"
            if at < INF and kind != "canceled":
                log.append((at, "running"))
                at += length / 2
        elif kind == "fail_hold":
            at += length / 2
            log.append((at, "failing"))
            at = self.hold(story, at + self.within(0, 30)) + self.within(1, 30)
            kind = "failed"
        elif kind in ("not_run", "unauthorized", "error"):
            at += self.within(0, 2)
        elif kind == "failed" and self.chance(0.5):
            log.append((at + length * 0.8, "failing"))
            at += length
        else:
            at += length
        self.finish(story, kind, at)

    def hold(self, story: WorkflowStory, at: float) -> float:
        until = INF if self.chance(0.35) else at + self.within(1, 400)
        story.holds.append((at, until))
        story.human = max(story.human, until)
        return until

    def finish(self, story: WorkflowStory, kind: str, at: float) -> None:
        story.ended = at
        if at == INF:
            return
        if kind == "canceled":
            story.human = max(story.human, at)
        if kind.startswith("unknown"):
            kind, story.stop_lag = "quarantined", INF if kind == "unknown_open" else story.stop_lag
            story.history.append(((story.created + at) / 2, kind))
        story.history.append((at, kind))

    def manual_reruns(self) -> None:
        for each in [one for one in self.workflows if one.ended < INF and not one.is_setup]:
            if self.chance(0.08):
                last = max(one.ended for one in self.workflows if one.ended < INF)
                near = self.within(last - 8, last + 1) if self.chance(0.5) else each.ended + self.within(1, 400)
                at = max(each.ended + 1, near)
                kind = self.rng.choice(["success", "failed", "canceled"])
                self.workflow(at, each.name, kind, max_auto=each.max_auto, human=at)

    def story(self) -> Story:
        states, at = [(0.0, "created", -INF)], self.within(0.05, 0.5)
        slow = self.within(40, 120) if self.chance(0.06) else self.within(0.5, 5)
        form = self.rng.choices(["plain", "setup", "empty", "errored", "expired"], [60, 30, 4, 4, 2])[0]
        names = self.rng.sample(["build", "test", "deploy", "lint"], self.rng.choice([1, 1, 2, 3, 4]))
        if form == "setup":
            states += [(at, "setup-pending", -INF), (at + slow, "setup", -INF)]
            self.setup(at + slow + self.within(0, 3), states, names)
        else:
            states += [(at, "pending", -INF), (at + slow, "errored" if form == "errored" else "created", -INF)]
            for name in names if form in ("plain", "expired") else ():
                late = self.within(0, 8) if self.chance(0.2) else self.within(0, 1)
                self.workflow(at + slow + late, name, max_auto=self.rng.choice([0, 0, 0, 1, 2]))
        self.manual_reruns()
        attached = 0.5 if self.chance(0.8) else self.within(0, 900)
        if form == "expired":
            attached = 9e6
            for each in self.workflows:
                each.expired = self.chance(0.7)
        fails = frozenset(number for number in range(400) if self.chance(0.1)) if self.chance(0.3) else frozenset()
        return Story(states, self.workflows, fails, self.chance(0.7), attached)

    def setup(self, at: float, states: list[tuple[float, str, float]], names: list[str]) -> None:
        kind = self.kind(self.SETUP_KINDS)
        name = "build" if self.chance(0.1) else "setup"
        self.workflow(at, name, kind, is_setup=True, max_auto=self.rng.choice([0, 0, 0, 1]))
        last = self.workflows[-1]
        is_good = last.end == "success"
        if last.ended == INF or self.chance(0.12 if is_good else 0.8) or last.end not in ("success", "failed"):
            return
        started = (
            max(last.created, last.ended - self.within(0, 20)) if self.chance(0.8) else last.ended + self.within(0, 5)
        )
        done = started + (self.within(30, 110) if self.chance(0.08) else self.within(0.3, 6))
        failed = self.chance(0.07)
        states += [(started, "pending", last.human), (done, "errored" if failed else "created", last.human)]
        for name in () if failed or self.chance(0.1) else names:
            # The real workflows appear after the setup workflow has finished.
            at = max(done, last.ended) + (self.within(0, 10) if self.chance(0.2) else self.within(0, 1))
            kind = "not_run" if len(names) == 1 and self.chance(0.1) else None
            self.workflow(at, name, kind, max_auto=self.rng.choice([0, 0, 0, 1, 2]), human=last.human)


# --- the server -------------------------------------------------------------------------------------------------


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


class StoryServer:
    """Plays a story on the running loop's time."""

    def __init__(self, story: Story, rng: random.Random) -> None:
        self.story = story
        self.rng = rng
        self.began = asyncio.get_running_loop().time() - story.attached
        self.lists = 0
        self.requests = 0
        self.good_lists: list[float] = []
        self.state_reads: list[tuple[float, str]] = []

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    async def _serve(self, value: Callable[[float], Any]) -> Read[Any]:
        """The response shows what was true when the request arrived. `Date` has whole seconds."""
        self.requests += 1
        await asyncio.sleep(self.rng.uniform(0.02, 0.2))
        found, date = value(self.now), math.floor(EPOCH + self.now)
        await asyncio.sleep(self.rng.uniform(0.02, 0.2))
        return Read(found, float(date))

    async def read_pipeline(self, pipeline_id: str, /) -> Read[Pipeline]:
        return await self._serve(self.pipeline)

    def pipeline(self, at: float) -> Pipeline:
        self.state_reads.append((at, self.story.state(at)))
        changed = max(when for when, _, _ in self.story.states if when <= at)
        return Pipeline(
            id="p", number=1, project_slug="gh/acme/web", state=self.story.state(at), created_at=moment(0.0),
            updated_at=moment(changed) if self.story.has_updated_at else None,
        )  # fmt: skip

    async def list_workflows(self, pipeline_id: str, /) -> Read[tuple[Workflow, ...]]:
        self.lists += 1
        number = self.lists
        read = await self._serve(lambda at: self.workflows(at, number))
        if number in self.story.failing_lists:
            raise ServerError(503, "Service Unavailable")
        if not read.value and self.story.empty_is_404:
            date = datetime.fromtimestamp(read.server_time or 0, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            self.good_lists.append(self.now)
            raise NotFound(404, "Not found.", headers={"date": date})
        self.good_lists.append(self.now)
        return read

    def workflows(self, at: float, number: int) -> tuple[Workflow, ...]:
        return tuple(
            self.shown(each, at) for each in self.story.workflows if each.visible <= at and each.missed != number
        )

    def shown(self, story: WorkflowStory, at: float) -> Workflow:
        common = {"pipeline_id": "p", "pipeline_number": 1, "project_slug": "gh/acme/web"}
        if story.expired:
            return Workflow(id="", name="", status="", created_at=None, **common)  # type: ignore[arg-type]
        return Workflow(
            id=story.id, name=story.name, status=story.shown_status(at), created_at=moment(story.created),
            stopped_at=moment(story.ended) if story.ended + story.lag + story.stop_lag <= at else None,
            tag="setup" if story.is_setup else None, max_auto_reruns=story.max_auto or None,
            auto_rerun_number=story.auto_number or None, **common,
        )  # fmt: skip

    async def list_jobs(self, workflow_id: str, /) -> Read[tuple[WorkflowJob, ...]]:
        story = next(each for each in self.story.workflows if each.id == workflow_id)
        return await self._serve(lambda at: self.jobs(story, at - (1.5 if story.lag else 0.0)))

    def jobs(self, story: WorkflowStory, at: float) -> tuple[WorkflowJob, ...]:
        if story.ended <= at:
            return (WorkflowJob(id="a", name="a", type="build", status="success"),)
        if any(begin <= at < end for begin, end in story.holds):
            return (
                WorkflowJob(id="a", name="a", type="build", status="failed"),
                WorkflowJob(id="h", name="h", type="approval", status="on_hold"),
                WorkflowJob(id="c", name="c", type="build", status="blocked", dependencies=("h",)),
                WorkflowJob(id="d", name="d", type="build", status="blocked", dependencies=("a",)),
            )
        return (
            WorkflowJob(id="a", name="a", type="build", status="success"),
            WorkflowJob(id="h", name="h", type="approval", status="on_hold"),
            WorkflowJob(id="b", name="b", type="build", status="blocked", dependencies=("a",)),
        )

    async def read_workflow(self, workflow_id: str, /) -> Read[Workflow]:
        story = next(each for each in self.story.workflows if each.id == workflow_id)
        return await self._serve(lambda at: self.shown(story, at))

    async def read_job(self, project: str, job_number: int, /) -> Read[Job]:
        raise NotImplementedError


# --- the observer -----------------------------------------------------------------------------------------------


@dataclass
class Span:
    """A time in which the story has ended, unless a person acts: from its beginning until a person does."""

    begin: float
    end: float
    workflows: list[WorkflowStory]


def spans(story: Story, until: str) -> list[Span]:
    flows = story.real
    marks = {when for when, _, _ in story.states} | {each.created for each in flows} | {each.ended for each in flows}
    marks |= {time for each in flows for hold in each.holds for time in hold}
    ordered = [*sorted(marks - {INF}), INF]
    found = []
    for begin, end in pairwise(ordered):
        there = [each for each in flows if each.created <= begin]
        is_errored = story.state(begin) == "errored"
        if any(when > begin and human <= begin for when, _, human in story.states):
            continue
        if any(each.created > begin and each.human <= begin for each in flows):
            continue
        held = [each for each in there if any(start <= begin < stop for start, stop in each.holds)]
        open_ = [each for each in there if each.ended > begin]
        if not is_errored and (open_ != held or (held and until != "on_hold") or story.state(begin) == "pending"):
            continue
        found.append(Span(begin, end, there))
    return found


def newest(workflows: Iterable[WorkflowStory]) -> list[WorkflowStory]:
    groups = {(each.name, each.is_setup): each for each in sorted(workflows, key=lambda each: each.created)}
    return [*groups.values()]


def true_outcome(story: Story, span: Span) -> str:
    if story.state(span.begin) == "errored":
        return "error"
    words = [(each, each.status(span.begin)) for each in newest(span.workflows)]
    real = [word for each, word in words if not (each.is_setup and word == "success")]
    if "success" in real:
        real = [word for word in real if word != "not_run"]
    rank = {word: place for place, word in enumerate(WORST)}
    return min(real, key=lambda word: rank.get(word, rank["?"]), default="no_workflows")


def due(story: Story, span: Span, state_reads: list[tuple[float, str]]) -> float:
    """Return the time from which a read must find the pipeline final: all is shown, and all grace periods ended."""
    changed = max(when for when, _, _ in story.states if when <= span.begin)
    changed = next((when for when, _ in state_reads if when >= changed), changed)  # as it was seen
    times = [span.begin, changed + 15, *(each.created + 15 for each in span.workflows)]
    last = newest(span.workflows)
    for each in span.workflows:
        held_from = [start for start, stop in each.holds if start <= span.begin < stop]
        times += [each.visible, *(start + each.lag + 1.5 for start in held_from)]
        if each.ended <= span.begin:
            shown = each.ended + each.lag
            times.append(shown + 6 if each.stop_lag < INF else max(shown, story.attached) + 60 + 35)
            # Until `stopped_at` is shown, the response that first showed the end stands in for it.
            if each.status(span.begin) == "failed" and each.auto_number < each.max_auto:
                times.append(max(each.ended, each.visible) + each.lag + 61)
            if each.is_setup and len(last) == 1 and each is last[0]:
                times.append(max(shown, changed) + 61)
            times.append(shown + min(each.stop_lag, 6) + 5)
    if not span.workflows:
        times.append(changed + 61)
    return max(times) + 1


@dataclass
class Run:
    outcome: str | None
    at: float
    result: PipelineResult | None
    server: StoryServer


async def play(story: Story, until: Until, seed: int, deadline: float = 3600.0) -> Run:
    random.seed(seed)
    server = StoryServer(story, random.Random(seed))
    try:
        result = await wait_for_pipeline(Reader(server), "p", timeout=deadline, until=until)
    except WaitTimeout:
        return Run(None, server.now, None, server)
    return Run(result.outcome, server.now, result, server)


def faults(story: Story, until: Until, run: Run, deadline: float) -> list[str]:
    """The properties that do not hold."""
    found, over = [], spans(story, until)
    if run.outcome is not None:
        fits = [span for span in over if span.begin <= run.at and run.at < span.end + 10]
        if not fits:
            found.append("early: it ended while the story continued by itself")
        elif all(true_outcome(story, span) != run.outcome for span in fits):
            found.append(f"outcome: {run.outcome} instead of {true_outcome(story, fits[-1])}")
    for span in over:
        begin = due(story, span, run.server.state_reads)
        reads = [at for at in run.server.good_lists if begin <= at < span.end and at <= run.at]
        allowed = 2 + (until == "on_hold") + any(each.missed >= 0 for each in story.workflows)
        allowed += 2 * any(each.stop_lag == INF for each in story.workflows)
        if len(reads) > allowed:
            found.append("late: more than one poll after the end and its second read")
            break
        if (
            run.outcome is None
            and span.end == INF
            and begin < story.attached + deadline - 30
            and not story.failing_lists
        ):
            found.append("timeout: the story was over before the deadline")
            break
    return found


def case(number: int) -> tuple[Story, Until, float]:
    deadline = random.Random(number * 7 + 1).uniform(60, 900) if number % 7 == 0 else 3600.0
    return StoryMaker(random.Random(number)).story(), "on_hold" if number % 3 == 0 else "finished", deadline


async def campaign(numbers: Iterable[int]) -> tuple[Counter[str], dict[str, int], int]:
    counts: Counter[str] = Counter()
    examples: dict[str, int] = {}
    requests = 0
    for number in numbers:
        story, until, deadline = case(number)
        run = await play(story, until, number, deadline)
        requests += run.server.requests
        for fault in faults(story, until, run, deadline):
            key = fault if not fault.startswith("outcome") else "outcome"
            counts[key] += 1
            if key not in examples or len(story.workflows) < len(case(examples[key])[0].workflows):
                examples[key] = number
    return counts, examples, requests


def run_campaign(numbers: Iterable[int]) -> tuple[Counter[str], dict[str, int], int]:
    # The debug mode of asyncio makes it ten times as slow.
    with asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(campaign(numbers))


# --- figures ----------------------------------------------------------------------------------------------------


class Events:
    """A source of events that the figures send."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Any], None]] = []

    def subscribe(self, listener: Callable[[Any], None], /) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


@dataclass
class EventPart:
    id: str
    status: str | None = None


@dataclass
class WorkflowEvent:
    pipeline: EventPart
    workflow: EventPart


def plain_story(minutes: float, rng: random.Random) -> Story:
    """Three workflows, the last of which ends after so many minutes, with the usual delays and no faults."""
    end = minutes * 60
    ends = [end, end * rng.uniform(0.2, 1), end * rng.uniform(0.2, 1)]
    flows = []
    for index, at in enumerate(ends):
        flow = WorkflowStory(f"w{index}", f"n{index}", 2.0, [(2.0, "running"), (at, "success")], at)
        flow.visible, flow.lag = 2.0 + rng.uniform(0, 1), rng.uniform(0, 1)
        flows.append(flow)
    return Story([(0.0, "created", -INF), (0.2, "pending", -INF), (1.5, "created", -INF)], flows)


async def measure(minutes: float, seed: int, with_events: bool) -> tuple[int, float]:
    """Requests, and seconds from the end to its notice. 2 % of the events are lost."""
    rng = random.Random(seed)
    random.seed(seed)
    story, events = plain_story(minutes, rng), Events()
    server = StoryServer(story, rng)
    loop = asyncio.get_running_loop()
    for flow in story.workflows if with_events else ():
        event = WorkflowEvent(EventPart("p"), EventPart(flow.id, flow.end))
        if rng.random() >= 0.02:
            at = server.began + flow.ended + rng.uniform(0.3, 2)
            loop.call_at(at, lambda event=event: [listener(event) for listener in events.listeners])
    await wait_for_pipeline(Reader(server), "p", timeout=None, events=events if with_events else None)
    return server.requests, server.now - max(flow.ended for flow in story.workflows)


def percentiles(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f} / {ordered[int(len(ordered) * 0.95)]:.0f}"


async def figures(stories: int = 200) -> list[str]:
    lines = ["| pipeline | how | requests p50 / p95 | seconds from end to notice p50 / p95 |", "|---|---|---|---|"]
    for title, length in (("1 to 40 minutes", None), ("20 minutes", 20.0)):
        for with_events in (False, True):
            rows = []
            for seed in range(stories):
                minutes = random.Random(seed).uniform(1, 40) if length is None else length
                rows.append(await measure(minutes, seed, with_events))
            requests, delays = [float(row[0]) for row in rows], [row[1] for row in rows]
            how = "events" if with_events else "polling"
            lines.append(f"| {title} | {how} | {percentiles(requests)} | {percentiles(delays)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--figures", action="store_true")
    arguments = parser.parse_args()
    if arguments.stories:
        began = time.monotonic()
        numbers = range(arguments.first, arguments.first + arguments.stories)
        counts, examples, requests = run_campaign(numbers)
        seconds = time.monotonic() - began
        print(f"{arguments.stories} stories, {requests} requests, {counts.total()} faults, {seconds:.0f} s")
        for fault, count in counts.most_common():
            print(f"{count:6} {fault}; such as story {examples[fault]}")
    if arguments.figures:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            print("\n".join(runner.run(figures())))


if __name__ == "__main__":
    main()
