"""The floor: plain aiohttp and orjson, no models, no retries, no checks. Nothing that does more can go below it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson

from benchmarks.bodies import slug

HEADERS = {"Accept": "application/json", "Circle-Token": "a-token"}


async def run_pages(url: str) -> int:
    """Fetch all pages of a workflow's runs, and return the number of successful runs."""
    successes = 0
    path = f"{url}/api/v2/insights/gh/acme/web/workflows/build"
    target = path
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while True:
            async with session.get(target) as response:
                page = orjson.loads(await response.read())
            for run in page["items"]:
                if run["status"] == "success":
                    successes += 1
            if page["next_page_token"] is None:
                return successes
            target = f"{path}?page-token={page['next_page_token']}"


run_items = run_pages


async def pipeline_items(url: str) -> int:
    """Fetch all pages of a project's pipelines, and return the number of those of one branch."""
    found = 0
    path = f"{url}/api/v2/project/gh/acme/web/pipeline"
    target = path
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        while True:
            async with session.get(target) as response:
                page = orjson.loads(await response.read())
            for pipeline in page["items"]:
                if pipeline["vcs"]["branch"] == "feature/1-search":
                    found += 1
            if page["next_page_token"] is None:
                return found
            target = f"{path}?page-token={page['next_page_token']}"


async def get(url: str, times: int) -> int:
    """Fetch one small response many times, and return the number of letters of its logins."""
    letters = 0
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for _ in range(times):
            async with session.get(f"{url}/api/v2/me") as response:
                user = orjson.loads(await response.read())
            letters += len(user["login"])
    return letters


async def bulk(url: str, projects: int, width: int) -> list[int]:
    """Fetch the workflows, runs, jobs and flaky tests of all projects, and return the number of each."""
    slots = asyncio.Semaphore(width)
    now = datetime.now(UTC)
    window = {"reporting-window": "last-90-days"}
    dates = {"start-date": (now - timedelta(days=90)).isoformat(), "end-date": now.isoformat()}
    counts = [0, 0, 0, 0]

    async with aiohttp.ClientSession(url, headers=HEADERS, connector=aiohttp.TCPConnector(limit=width)) as session:

        async def fetch(path: str, query: dict[str, str]) -> Any:
            async with slots, session.get(path, params=query) as response:
                return orjson.loads(await response.read())

        async def listed(path: str, query: dict[str, str]) -> list[Any]:
            found: list[Any] = []
            while True:
                page = await fetch(path, query)
                found += page["items"]
                if page["next_page_token"] is None:
                    return found
                query = {**query, "page-token": page["next_page_token"]}

        async def flaky_tests(path: str) -> None:
            answer = await fetch(f"{path}/flaky-tests", {})
            counts[3] += len(answer["flaky_tests"])

        async def workflow(path: str) -> None:
            runs, jobs = await asyncio.gather(listed(path, dates), listed(f"{path}/jobs", window))
            counts[1] += len(runs)
            counts[2] += len(jobs)

        async def workflows(path: str) -> None:
            found = await listed(f"{path}/workflows", window)
            counts[0] += len(found)
            await asyncio.gather(*[workflow(f"{path}/workflows/{each['name']}") for each in found])

        async def project(path: str) -> None:
            await asyncio.gather(workflows(path), flaky_tests(path))

        await asyncio.gather(*[project(f"/api/v2/insights/{slug(number)}") for number in range(projects)])
    return counts
