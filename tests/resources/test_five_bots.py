"""Five bots in one process, through one client, on one pipeline: nothing is done twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from aiocircle import CircleCI, CircleCIError
from aiocircle.testing import JobStory, LocalCircleCI, Story, WorkflowStory
from tests.support.thorough import scaled

WEB, BRANCH = "gh/acme/web", "work"
SEEDS = range(scaled(4, 60))


def random_story(rng: random.Random) -> Story:
    """Return a pipeline with a workflow that fails, one that waits for an approval, and one that runs on."""
    status = rng.choice(["failed", "failed", "success"])
    flaky = [JobStory("unit", rng.uniform(1, 60)), JobStory("flaky", rng.uniform(1, 90), status=status)]
    again = [JobStory("unit", 5), JobStory("flaky", rng.uniform(1, 60), status=rng.choice(["failed", "success"]))]
    gate = [
        JobStory("test", rng.uniform(1, 60)),
        JobStory("hold", type="approval", requires=["test"]),
        JobStory("ship", rng.uniform(1, 60), requires=["hold"]),
    ]
    return Story(
        [
            WorkflowStory("flaky", flaky, reruns=[again, again], list_lag=rng.choice([0.0, 3.0])),
            WorkflowStory("gate", gate, delay=rng.uniform(0, 10)),
        ],
        workflow_delay=rng.uniform(0, 5),
    )


async def repeat(call: Any, seconds: float, pause: float) -> None:
    """Call again and again, as a bot does."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    await call()
                except* CircleCIError:
                    pass
                await asyncio.sleep(pause)
    except TimeoutError:
        pass


async def approve(circle: CircleCI, pipeline: str) -> None:
    """Approve the deployment as soon as it waits. After an error the job is read again, and approved if it waits."""
    while True:
        try:
            for workflow in await circle.pipelines.list_workflows(pipeline).collect():
                if workflow.name == "gate":
                    await circle.workflows.approve_by_name(workflow.id, "hold", timeout=600)
                    return
        except CircleCIError:
            pass
        await asyncio.sleep(5)


async def watch(circle: CircleCI, pipeline: str) -> list[Any]:
    return [change async for change in circle.pipelines.watch(pipeline)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_five_bots_do_nothing_twice(seed: int) -> None:
    """Approve, rerun, cancel, wait and watch at the same time, two of each; requests fail and lists are late."""
    rng = random.Random(seed)
    faults = {"500": 0.02, "drop": 0.02, "429": 0.02} if seed % 2 else 0.0
    async with (
        LocalCircleCI([WEB], seed=seed, latency=0.05, faults=faults) as server,
        CircleCI(server.token, base_url=server.url) as circle,
    ):
        old = [WorkflowStory("old", [JobStory("test", rng.uniform(5, 400))]) for _ in range(2)]
        server.script(WEB, *[Story([each]) for each in old], random_story(rng))
        for _ in old:
            server.start_pipeline(WEB, branch=BRANCH)
        pipeline = server.start_pipeline(WEB, branch=BRANCH)
        await asyncio.sleep(rng.uniform(0.1, 5))
        both: Any = [circle, circle.with_options(timeout=20)]
        jobs: list[Any] = []
        for each in both:
            jobs += [
                approve(each, pipeline),
                repeat(lambda each=each: each.workflows.rerun_failed(WEB, branch=BRANCH), 500, rng.uniform(5, 40)),
                repeat(lambda each=each: each.pipelines.cancel_redundant(WEB, branch=BRANCH), 300, rng.uniform(5, 40)),
                each.pipelines.wait(pipeline),
                watch(each, pipeline),
            ]
        async with asyncio.timeout(7200):
            found = await asyncio.gather(*jobs)
        # One change of each thing.
        made = Counter(server.changes)
        assert all(count == 1 for count in made.values()), made
        workflows = await circle.pipelines.list_workflows(pipeline).collect()
        assert sum(workflow.name == "flaky" for workflow in workflows) <= 2
        assert not any(workflow.status == "canceled" for workflow in workflows)
        # One approval, and both of each pair saw the same.
        approvals = [operation for operation, _ in server.changes if operation == "workflows.approve"]
        assert len(approvals) == 1
        results = [each for each in found if hasattr(each, "outcome") and hasattr(each, "pipeline")]
        assert len({result.outcome for result in results}) <= 2
        await asyncio.sleep(600)
        assert Counter(server.changes) == made
