"""Print each failure of a branch as it happens, by polls alone: python report_failures.py gh/acme/web main"""

from __future__ import annotations

import asyncio
import sys

from aiocircle import CircleCI
from aiocircle.events import fold


async def report(project: str, branch: str, until: str = "") -> None:
    health = None
    async with CircleCI() as circle, circle.pipelines.stream_finished(project, branch=branch) as results:
        async for result in results:
            health = fold(health, result)
            if health.change != "still_working":
                print(health.change, result.pipeline.number, result.outcome, result.pipeline.web_url)
            for workflow in result.workflows if health.is_broken else ():
                async for job in circle.workflows.list_jobs(workflow.id):
                    if job.status == "failed":
                        print("  failed:", job.name, job.web_url)
            if health.change == until:
                break


if __name__ == "__main__":
    asyncio.run(report(*sys.argv[1:]))
