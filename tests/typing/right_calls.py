"""The types that callers rely on, as type checkers see them. Never run.

`test_wrong_calls.py` runs mypy and pyright.
"""

# ruff: noqa: E704

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, assert_type
from uuid import UUID

import aiohttp

from aiocircle import (
    UNSET,
    APIError,
    CircleCI,
    CircleCIError,
    DecodeError,
    NotFound,
    OrgSlug,
    Page,
    Pager,
    ProjectSlug,
    RateLimited,
    RequestTimeout,
    RetryPolicy,
    ServerError,
    Throttle,
    __version__,
)
from aiocircle.bulk import Failure, ProjectInsights, WorkflowInsights, fetch_insights
from aiocircle.errors import Outcome
from aiocircle.resources.insights import FlakyTest, JobMetrics, WorkflowMetrics, WorkflowRun
from aiocircle.resources.jobs import Artifact, Job
from aiocircle.resources.pipelines import Pipeline, PipelineRun, PipelineVcs
from aiocircle.resources.projects import Project
from aiocircle.resources.users import Collaboration, User
from aiocircle.resources.workflows import Workflow, WorkflowStatus
from aiocircle.testing import LocalCircleCI

ID = UUID(int=1)


def text(_: str) -> None: ...
def truth(_: bool) -> None: ...
def pagers(_: Sequence[Pager[Any]]) -> None: ...


async def the_client(session: aiohttp.ClientSession, tracing: aiohttp.TraceConfig) -> None:
    async with CircleCI() as circle:
        assert_type(circle, CircleCI)
    CircleCI("token", session=session, retry=RetryPolicy(attempts=12, base=0.01, repeat_unsafe=True))
    CircleCI("token", auth="basic", timeout=aiohttp.ClientTimeout(sock_read=5), trace_configs=[tracing])
    throttle = Throttle()
    first, second = CircleCI("a", throttle=throttle), CircleCI("b", throttle=throttle, max_concurrency=8)
    assert_type(first.with_options(timeout=5, retry=RetryPolicy()), CircleCI)
    assert_type(second.base_url, str)
    assert_type(await second.close(), None)
    assert_type(first.rate_limits["insights"].remaining, int | None)
    assert_type(first.deprecations["pipelines.trigger"].sunset, str | None)
    text(__version__)


async def the_readme(circle: CircleCI) -> None:
    assert_type(await circle.users.me(), User)
    async for pipeline in circle.pipelines.list_for_project("gh/acme/web", branch="main"):
        assert_type(pipeline, Pipeline)
        async for workflow in circle.pipelines.list_workflows(pipeline.id):
            assert_type(workflow, Workflow)
            assert_type(workflow.status, str)
            truth(workflow.status == WorkflowStatus.FAILED)
    runs = circle.insights.list_workflow_runs("gh/acme/web", "build", all_branches=True)
    assert_type(await runs.collect(limit=500), list[WorkflowRun])


async def the_pagers(circle: CircleCI) -> None:
    pager = circle.users.list_collaborations()
    assert_type(pager, Pager[Collaboration])
    assert_type(pager.prefetch(), Pager[Collaboration])
    assert_type(await pager.page(), Page[Collaboration])
    assert_type(await pager.page("token"), Page[Collaboration])
    assert_type((await pager.page()).items, tuple[Collaboration, ...])
    assert_type((await pager.page()).next_page_token, str | None)
    assert_type(await pager.collect(), list[Collaboration])
    assert_type(await pager.first(), Collaboration | None)
    async for page in pager.pages():
        assert_type(page, Page[Collaboration])
    async with aclosing(pager):
        pass
    async with aclosing(pager.pages()) as pages:
        assert_type(pages, AsyncGenerator[Page[Collaboration], None])
    pagers([pager, circle.pipelines.list(mine=True), circle.projects.list_env_vars("gh/acme/web")])


async def the_arguments(circle: CircleCI) -> None:
    assert_type(await circle.users.get(ID), User)
    assert_type(await circle.projects.get(ProjectSlug.parse("gh/acme/web")), Project)
    assert_type(await circle.jobs.get("gh/acme/web", 12), Job)
    assert_type(circle.jobs.list_artifacts("gh/acme/web", 12), Pager[Artifact])
    assert_type(await circle.workflows.cancel(ID), None)
    circle.pipelines.list(org_slug=OrgSlug("gh", "acme"))
    circle.pipelines.list(org_slug="gh/acme", page_token="t")
    circle.insights.list_workflow_metrics("gh/acme/web", reporting_window="last-30-days")
    circle.insights.list_workflow_runs(
        "gh/acme/web", "build", start_date=datetime.now(), end_date="2024-01-01T00:00:00Z"
    )
    await circle.insights.get_project_summary("gh/acme/web", branches="main", workflow_names=["build", "deploy"])
    parameters: Mapping[str, str | int | bool] = {"deploy": True}
    run = await circle.pipelines.run("gh/acme/web", definition_id=ID, config={"branch": "main"}, parameters=parameters)
    assert_type(run, PipelineRun)
    await circle.webhooks.update(ID, signing_secret=None)
    await circle.schedules.update(ID, description=None)
    await circle.schedules.update(ID, description=UNSET)


def the_models(pipeline: Pipeline, workflow: Workflow) -> None:
    assert_type(pipeline.created_at, datetime)
    assert_type(pipeline.vcs, PipelineVcs | None)
    assert_type(workflow.stopped_at, datetime | None)
    assert_type(workflow.is_finished, bool)


def the_slugs() -> None:
    project = ProjectSlug.parse("https://github.com/acme/web")
    assert_type(project, ProjectSlug)
    assert_type(ProjectSlug.parse(ID), ProjectSlug)
    assert_type(project.org, OrgSlug | None)
    assert_type(ProjectSlug("gh", "acme", "web").segments, tuple[str, ...])
    assert_type(OrgSlug.parse("gh/acme").provider, str | None)


async def the_way_out(circle: CircleCI) -> None:
    assert_type(await circle.request("GET", "/api/v2/me", into=User), User)
    assert_type(await circle.request("POST", "/api/v2/x", params={"a": [1, 2]}, json={"a": 1}), Any)
    assert_type(circle.request_pages("/api/v2/pipeline", into=Pipeline), Pager[Pipeline])
    assert_type(circle.request_pages("/api/v2/pipeline", page_token="t"), Pager[Any])


async def the_errors(circle: CircleCI) -> None:
    try:
        await circle.users.me()
    except NotFound as error:
        assert_type(error.status, int)
        assert_type(error.message, str)
        assert_type(error.request_id, str | None)
        assert_type(error.headers, Mapping[str, str])
        assert_type(error.body, bytes)
    except RateLimited as error:
        assert_type(error.retry_after, float | None)
    except (ServerError, RequestTimeout) as error:
        assert_type(error.attempts, int)
        assert_type(error.outcome, Outcome)
    except APIError as error:
        assert_type(error.url, str)
    except DecodeError as error:
        assert_type(error.problems, tuple[str, ...])
        assert_type(error.next_page_token, str | None)
    except CircleCIError as error:
        assert_type(error.page_token, str | None)
        assert_type(error.items, Sequence[Any])


async def the_bulk(circle: CircleCI) -> None:
    projects: list[str | ProjectSlug] = ["gh/acme/web", ProjectSlug.parse("gh/acme/api")]
    async for project in fetch_insights(circle, projects, window="last-30-days", include="runs", on_progress=print):
        assert_type(project, ProjectInsights)
        assert_type(project.slug, ProjectSlug)
        assert_type(project.flaky_tests, tuple[FlakyTest, ...])
        assert_type(project.failures, tuple[Failure, ...])
        assert_type(project.workflows, tuple[WorkflowInsights, ...])
        for workflow in project.workflows:
            assert_type(workflow.metrics, WorkflowMetrics)
            assert_type(workflow.runs, tuple[WorkflowRun, ...])
            assert_type(workflow.jobs, tuple[JobMetrics, ...])


async def the_local_server() -> None:
    async with LocalCircleCI(
        projects=["gh/acme/web"], seed=1, latency=0.1, page_size=5, rate_limit=50, faults=0.2
    ) as server:
        assert_type(server, LocalCircleCI)
        assert_type(server.url, str)
        assert_type(server.token, str)
        assert_type(server.requests[0].method, str)
