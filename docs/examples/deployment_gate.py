"""A deployment gate: start a pipeline, or find that of a commit, and approve its deployment if the rules permit it.

python deployment_gate.py gh/acme/web main [commit]
"""

from __future__ import annotations

import asyncio
import sys

from aiocircle import CircleCI
from aiocircle.resources.pipelines import PipelineResult

APPROVAL = "hold"  # the approval job that the deployment waits for


async def check_rules(circle: CircleCI, project: str, branch: str, result: PipelineResult) -> list[str]:
    """Return the reasons against a deployment."""
    reasons = []
    newest = await circle.pipelines.list_for_project(project, branch=branch).first()
    if newest is not None and newest.number > result.pipeline.number:
        reasons.append(f"pipeline {newest.number} is newer")
    for workflow in result.workflows:
        jobs = await circle.workflows.list_jobs(workflow.id).collect()
        failed = [job for job in jobs if job.type != "approval" and job.status not in ("success", "blocked")]
        reasons += [f"job {job.name} is {job.status}: {job.web_url}" for job in failed]
    return reasons


async def deploy(circle: CircleCI, project: str, branch: str, revision: str | None = None) -> bool:
    """Return True if the deployment succeeded."""
    found = None
    if revision is not None:
        found = await circle.pipelines.find(project, revision=revision, branch=branch)
    pipeline = found or await circle.pipelines.start(project, branch=branch)
    print("pipeline", pipeline.number)

    # Workflows appear late, and reruns count: this ends when nothing can continue without an approval.
    result = await circle.pipelines.wait(pipeline, until="on_hold")
    waiting = [workflow for workflow in result.workflows if not workflow.is_finished]
    if waiting:
        reasons = await check_rules(circle, project, branch, result)
        for workflow in waiting:
            if reasons:
                await circle.workflows.cancel(workflow.id)
            else:
                await circle.workflows.approve_by_name(workflow.id, APPROVAL)
        print("refused:" if reasons else "approved", *reasons)
        result = await circle.pipelines.wait(pipeline)
    print(result.outcome, result.pipeline.web_url)
    return result.succeeded


async def main() -> None:
    async with CircleCI() as circle:
        sys.exit(not await deploy(circle, *sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
