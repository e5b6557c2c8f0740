"""pycircleci-async: asynchronous, on an httpx of 2022."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from pycircleci_async import CircleCIClient

from benchmarks.bodies import slug


async def run_items(url: str) -> int:
    async with CircleCIClient("a-token", f"{url}/api") as client:
        found = await client.get_project_workflow_metrics("acme", "web", "build", paginate=True)
    return sum(run["status"] == "success" for run in found)


async def pipeline_items(url: str) -> int:
    async with CircleCIClient("a-token", f"{url}/api") as client:
        found = await client.get_project_pipelines("acme", "web", paginate=True)
    return sum(pipeline["vcs"]["branch"] == "feature/1-search" for pipeline in found)


async def get(url: str, times: int) -> int:
    letters = 0
    async with CircleCIClient("a-token", f"{url}/api") as client:
        for _ in range(times):
            letters += len((await client.get_user_info(api_version="v2"))["login"])
    return letters


async def bulk(url: str, projects: int, width: int) -> list[int]:
    slots = asyncio.Semaphore(width)
    now = datetime.now(UTC)
    window = {"reporting-window": "last-90-days"}
    dates = {"start-date": (now - timedelta(days=90)).isoformat(), "end-date": now.isoformat()}
    counts = [0, 0, 0, 0]

    async with CircleCIClient("a-token", f"{url}/api") as client:

        async def limited(request: Any) -> Any:
            async with slots:
                return await request

        async def flaky_tests(organization: str, name: str) -> None:
            # It has no method for flaky tests.
            answer = await limited(
                client._request("GET", f"insights/gh/{organization}/{name}/flaky-tests", api_version="v2")
            )
            counts[3] += len(answer["flaky_tests"])

        async def workflow(organization: str, name: str, workflow: str) -> None:
            runs, jobs = await asyncio.gather(
                limited(client.get_project_workflow_metrics(organization, name, workflow, params=dates, paginate=True)),
                limited(
                    client.get_project_workflow_jobs_metrics(organization, name, workflow, params=window, paginate=True)
                ),
            )
            counts[1] += len(runs)
            counts[2] += len(jobs)

        async def workflows(organization: str, name: str) -> None:
            found = await limited(
                client.get_project_workflows_metrics(organization, name, params=window, paginate=True)
            )
            counts[0] += len(found)
            await asyncio.gather(*[workflow(organization, name, each["name"]) for each in found])

        async def project(number: int) -> None:
            _, organization, name = slug(number).split("/")
            await asyncio.gather(workflows(organization, name), flaky_tests(organization, name))

        await asyncio.gather(*[project(number) for number in range(projects)])
    return counts
