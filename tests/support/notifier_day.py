"""A day of a failure notifier on virtual time, and an observer that knows everything.

    python -m tests.support.notifier_day --projects 20 --hours 24                 # events, and polls to reconcile
    python -m tests.support.notifier_day --projects 20 --hours 24 --polling       # polls alone

The notifier is the one of docs/examples. Of the events 5 % are lost, 5 % doubled and 5 % late. It is restarted in the
middle, five minutes later, and for an hour it has no network: neither requests nor events arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from aiohttp import web

from aiocircle import CircleCI, RetryPolicy
from aiocircle.events import EventRouter
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from aiocircle.testing.virtual_time import VirtualTimeLoop

NOTIFIER = Path(__file__).parents[2] / "docs/examples/failure_notifier.py"
BRANCH, SECRET = "work", "the secret of a day"
HOUR = 3600.0
BROKEN = {"failed", "error"}


def load_notifier() -> Any:
    """Import the example as a module."""
    spec = spec_from_file_location("example_failure_notifier", NOTIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Run:
    """A pipeline of the day: when it begins, and its outcomes with the times at which they are final."""

    begin: float
    story: Story
    outcomes: list[tuple[float, str]]


@dataclass
class Day:
    """The runs of each project, and the times at which the notifier is down or has no network."""

    runs: dict[str, list[Run]]
    down: tuple[float, float]
    outage: tuple[float, float]
    length: float


@dataclass
class Outcome:
    """The results of a day."""

    expected: dict[str, list[str]]
    reported: dict[str, list[str]]
    requests: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)


def make_run(rng: random.Random, begin: float) -> tuple[Run, float]:
    """Return a run, and the time from which the next one may begin."""
    if rng.random() < 0.04:
        return Run(begin, Story([], errors=[("config", "wrong")]), [(begin + 1, "error")]), begin + 200
    seconds = rng.uniform(30, 900)
    status = rng.choice(["success", "success", "failed"])
    options: dict[str, Any] = {}
    jobs = [JobStory("test", seconds, status=status)]
    ended = begin + 1 + seconds
    outcomes = [(ended, status)]
    if rng.random() < 0.05:
        options["canceled_after"] = seconds / 2
        ended = begin + 1 + seconds / 2
        outcomes = [(ended, "canceled")]
    elif status == "failed" and rng.random() < 0.3:
        again, pause = rng.choice(["success", "failed"]), rng.uniform(200, 1200)
        options |= {"manual_reruns": [pause], "reruns": [[JobStory("test", 60, status=again)]]}
        ended += pause + 60
        outcomes.append((ended, again))
    others = [WorkflowStory("lint", [JobStory("lint", 20)], delay=rng.choice([0.0, 3.0]))]
    story = Story([WorkflowStory("build", jobs, **options), *others], workflow_delay=1.0)
    return Run(begin, story, outcomes), ended + 200


def make_day(rng: random.Random, projects: list[str], length: float) -> Day:
    """Runs of one branch follow each other, as in a queue of deployments."""
    runs: dict[str, list[Run]] = {}
    for project in projects:
        at = rng.uniform(120, HOUR)
        runs[project] = []
        while at < length - HOUR:
            run, free = make_run(rng, at)
            runs[project].append(run)
            at = free + rng.uniform(60, 2 * HOUR)
    middle = length / 2
    out = length * 0.7
    return Day(runs, (middle, middle + 300), (out, out + HOUR), length)


def observe(runs: list[Run], day: Day) -> list[str]:
    """Return what an observer reports: each change, and what is still broken, of all outcomes that can be seen.

    While the notifier is down or without network, an outcome may be replaced by another one of the same pipeline. It
    is gone when the notifier comes back.
    """
    seen: list[tuple[float, int, str]] = []
    for number, run in enumerate(runs):
        for index, (at, outcome) in enumerate(run.outcomes):
            later = run.outcomes[index + 1 :]
            gaps = (day.down, day.outage)
            # A result is reported some seconds after its end, and its rerun is seen as running before it ends.
            replaced = any(
                begin - 90 <= at < end and replacement - 60 < end for begin, end in gaps for replacement, _ in later[:1]
            )
            if not replaced:
                seen.append((at, number, outcome))
    reports, is_broken, last = [], False, ""
    previous: dict[int, str] = {}
    for _, number, outcome in sorted(seen):
        if previous.get(number) == outcome:
            continue
        previous[number] = outcome
        if outcome not in ("success", *BROKEN):
            continue
        was, is_broken = is_broken, outcome in BROKEN
        last = "still_broken" if was and is_broken else "newly_broken" if is_broken else "mended" if was else ""
        if last:
            reports.append(f"{last}: {outcome}")
    return reports


class Network:
    """The way between the notifier and CircleCI: events are lost, doubled and late on it, and it can be down."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.is_down, self.delivered = rng, False, Counter[str]()
        self.router: EventRouter | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.Response:
        body, headers = await request.read(), dict(request.headers)
        kind = self.rng.choices(["in time", "lost", "doubled", "late"], [85, 5, 5, 5])[0]
        self.delivered["down" if self.is_down else kind] += 1
        if self.is_down:
            return web.Response(status=503)
        if kind in ("in time", "doubled"):
            self._receive(body, headers)
        if kind in ("late", "doubled"):
            task = asyncio.create_task(self._later(body, headers, self.rng.uniform(60, HOUR)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return web.Response(status=202)

    async def _later(self, body: bytes, headers: dict[str, str], seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._receive(body, headers)

    def _receive(self, body: bytes, headers: dict[str, str]) -> None:
        if self.router is not None and not self.is_down:
            self.router.receive(body, headers)

    def connector(self) -> aiohttp.TCPConnector:
        network = self

        class Connector(aiohttp.TCPConnector):
            async def connect(self, *arguments: Any, **options: Any) -> Any:
                if network.is_down:
                    raise aiohttp.ClientConnectionError("there is no network")
                return await super().connect(*arguments, **options)

        return Connector(limit=100)


@contextmanager
def own_clock() -> Iterator[None]:
    """Let the own clock advance with the loop."""
    epoch = time.time()

    def wall() -> float:
        try:
            return epoch + asyncio.get_running_loop().time()
        except RuntimeError:
            return epoch

    with patch("time.time", wall):
        yield


async def play(day: Day, rng: random.Random, *, by_events: bool) -> Outcome:
    """Run the notifier through a day."""
    notifier, projects = load_notifier(), [*day.runs]
    messages: list[str] = []
    network = Network(rng)
    loop = asyncio.get_running_loop()
    async with LocalCircleCI(projects, record=0) as server, _site(network) as url:
        if by_events:
            server.webhooks.add(url, secret=SECRET, events=["workflow-completed"])
        # A day of connections that are down for an hour is longer than some retries.
        for project, runs in day.runs.items():
            for run in runs:
                loop.call_at(run.begin, _push, server, project, run.story)
        loop.call_at(day.outage[0], setattr, network, "is_down", True)
        loop.call_at(day.outage[1], setattr, network, "is_down", False)
        with tempfile.TemporaryDirectory() as folder:
            for begin, end in ((1.0, day.down[0]), (day.down[1], day.length)):
                await asyncio.sleep(begin - loop.time())
                await _run(notifier, server, network, projects, Path(folder), messages.append, end, by_events)
        for task in [*network.tasks]:
            task.cancel()
        statistics = server.statistics
    outcome = Outcome({}, {project: [] for project in projects}, statistics.requests, Counter(statistics.operations))
    outcome.delivered = network.delivered
    for message in messages:
        project, _, change, status, *_ = message.split()
        outcome.reported[project].append(f"{change} {status}")
    outcome.expected = {project: observe(runs, day) for project, runs in day.runs.items()}
    return outcome


def _push(server: LocalCircleCI, project: str, story: Story) -> None:
    server.script(project, story)
    server.start_pipeline(project, branch=BRANCH)


async def _run(
    notifier: Any,
    server: LocalCircleCI,
    network: Network,
    projects: list[str],
    folder: Path,
    send: Callable[[str], object],
    until: float,
    by_events: bool,
) -> None:
    router = EventRouter(SECRET) if by_events else None
    session = aiohttp.ClientSession(connector=network.connector())
    async with session, CircleCI(server.token, base_url=server.url, session=session, retry=RetryPolicy()) as circle:

        async def follow(project: str) -> None:
            file = folder / f"{project.replace('/', '-')}.json"
            await notifier.follow(circle, router, project, BRANCH, file, send)

        async def run_until() -> None:
            tasks = [asyncio.create_task(follow(project)) for project in projects]
            done, _ = await asyncio.wait(tasks, timeout=until - asyncio.get_running_loop().time())
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in done:
                task.result()

        if router is None:
            await run_until()
            return
        async with router:
            network.router = router
            await run_until()
            network.router = None


class _site:
    def __init__(self, network: Network) -> None:
        self.network = network

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_post("/circleci", self.network.handle)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/circleci"

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


def run_day(seed: int, *, projects: int, hours: float, by_events: bool) -> Outcome:
    """Play a day, and return what was reported and what was expected."""
    slugs = [f"gh/acme/service-{number:02}" for number in range(projects)]
    day = make_day(random.Random(f"day {seed}"), slugs, hours * HOUR)
    with own_clock(), asyncio.Runner(debug=False, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(play(day, random.Random(f"network {seed}"), by_events=by_events))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--polling", action="store_true")
    options = parser.parse_args()
    outcome = run_day(options.seed, projects=options.projects, hours=options.hours, by_events=not options.polling)
    wrong = [project for project in outcome.expected if outcome.expected[project] != outcome.reported[project]]
    for project in wrong:
        print(project, "\n  expected", outcome.expected[project], "\n  reported", outcome.reported[project])
    count = sum(map(len, outcome.reported.values()))
    print(f"{count} reports, {len(wrong)} of {len(outcome.expected)} projects differ")
    print(outcome.requests, "requests", dict(outcome.operations), "events", dict(outcome.delivered))


if __name__ == "__main__":
    main()
