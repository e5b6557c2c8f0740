"""pycircleci: synchronous, on requests. Concurrent requests take threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from pycircleci.api import Api

from benchmarks.bodies import slug


def run_items(url: str) -> int:
    found = Api("a-token", f"{url}/api").get_project_workflow_metrics("acme", "web", "build", paginate=True)
    return sum(run["status"] == "success" for run in found)


def pipeline_items(url: str) -> int:
    found = Api("a-token", f"{url}/api").get_project_pipelines("acme", "web", paginate=True)
    return sum(pipeline["vcs"]["branch"] == "feature/1-search" for pipeline in found)


def get(url: str, times: int) -> int:
    api = Api("a-token", f"{url}/api")
    return sum(len(api.get_user_info(api_version="v2")["login"]) for _ in range(times))


def bulk(url: str, projects: int, width: int) -> list[int]:
    local = threading.local()
    now = datetime.now(UTC)
    window = {"reporting-window": "last-90-days"}
    dates = {"start-date": (now - timedelta(days=90)).isoformat(), "end-date": now.isoformat()}

    def api() -> Any:
        # requests' sessions are not made for several threads: one for each.
        if not hasattr(local, "api"):
            local.api = Api("a-token", f"{url}/api")
        return local.api

    def project(number: int) -> list[Any]:
        _, organization, name = slug(number).split("/")
        flaky_tests = pool.submit(lambda: api().get_flaky_tests(organization, name))
        workflows = pool.submit(
            lambda: api().get_project_workflows_metrics(organization, name, params=window, paginate=True)
        )
        return [organization, name, flaky_tests, workflows]

    def runs(organization: str, name: str, workflow: str) -> Any:
        return api().get_project_workflow_metrics(organization, name, workflow, params=dates, paginate=True)

    def jobs(organization: str, name: str, workflow: str) -> Any:
        return api().get_project_workflow_jobs_metrics(organization, name, workflow, params=window, paginate=True)

    counts = [0, 0, 0, 0]
    with ThreadPoolExecutor(width) as pool:
        details = []
        for organization, name, flaky_tests, workflows in [project(number) for number in range(projects)]:
            counts[3] += len(flaky_tests.result()["flaky_tests"])
            found = workflows.result()
            counts[0] += len(found)
            for each in found:
                details.append((1, pool.submit(runs, organization, name, each["name"])))
                details.append((2, pool.submit(jobs, organization, name, each["name"])))
        for kind, answer in details:
            counts[kind] += len(answer.result())
    return counts
