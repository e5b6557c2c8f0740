"""Triage a link: python triage.py https://app.circleci.com/pipelines/… <folder for artifacts>."""

import asyncio
import sys

from aiocircle import CircleCI
from aiocircle.links import Link


async def triage(url: str, into: str) -> None:
    async with CircleCI() as circle:
        link = Link.parse(url)
        jobs = [link]
        if link.job_number is None and link.workflow_id is not None:
            listed = await circle.workflows.list_jobs(link.workflow_id).collect()
            jobs = [job for job in listed if job.status in ("failed", "timedout", "infrastructure_fail")]
        for job in jobs:
            for output in await circle.jobs.get_failed_output(job, lines=20):
                print(f"{output.step}, node {output.index}: {output.status}\n{output.text}\n")
            async for test in circle.jobs.list_failed_tests(job):
                print(f"{test.classname}.{test.name}: {test.message}")
            for file in await circle.jobs.download_artifacts(job, into):
                print(f"{file.path}: {file.size} bytes")


if __name__ == "__main__":
    asyncio.run(triage(*sys.argv[1:]))
