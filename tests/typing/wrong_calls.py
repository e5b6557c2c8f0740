"""Calls that type checkers have to reject: every line marked `# error`, and no other. Never run.

`test_wrong_calls.py` runs mypy and pyright.
"""

# Expressions that are useless by themselves are what this is about.
# ruff: noqa: B018, E704
# pyright: reportUnusedExpression=false

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiocircle import UNSET, APIError, CircleCI, OrgSlug, ProjectSlug, RetryPolicy, Throttle
from aiocircle.bulk import fetch_insights
from aiocircle.resources.insights import WorkflowRun
from aiocircle.resources.pipelines import Pipeline
from aiocircle.resources.users import Collaboration, User
from aiocircle.resources.workflows import Workflow
from aiocircle.testing import LocalCircleCI


def text(_: str) -> None: ...
def number(_: int) -> None: ...
def users(_: list[User]) -> None: ...


def the_client() -> None:
    CircleCI()
    CircleCI("token", base_url="https://circleci.example.com", auth="bearer", timeout=None, retry=RetryPolicy())
    CircleCI("token", "https://circleci.example.com")  # error
    CircleCI(tokn="token")  # error
    CircleCI(token=b"token")  # error
    CircleCI(auth="digest")  # error
    CircleCI(timeout="30")  # error
    CircleCI(retry=5)  # error
    CircleCI(max_concurrency="many")  # error
    CircleCI(throttle=Throttle)  # error
    CircleCI(session="session")  # error
    CircleCI(allow_http="yes")  # error
    RetryPolicy(attempts=3, base=1, cap=2.5)
    RetryPolicy(retries=3)  # error
    RetryPolicy(attempts="3")  # error
    RetryPolicy(max_wait="120")  # error
    RetryPolicy().attempts = 5  # error


def the_options(circle: CircleCI) -> None:
    circle.with_options(timeout=5, retry=RetryPolicy())
    circle.with_options(timeout=None)
    circle.with_options(5)  # error
    circle.with_options(retries=3)  # error
    circle.with_options(timeout="5")  # error
    circle.rate_limits["insights"].lmit  # error
    circle.rate_limits["insights"] = None  # error
    circle.base_url = "https://circleci.example.com"  # error


def the_slugs(slug: ProjectSlug) -> None:
    ProjectSlug.parse("gh/acme/web")
    ProjectSlug.parse(slug)
    ProjectSlug.parse(None)  # error
    ProjectSlug.parse(OrgSlug("gh", "acme"))  # error
    ProjectSlug("gh", "acme")  # error
    OrgSlug.parse(slug)  # error
    text(slug.project)
    text(slug.organization)  # error
    slug.organization = "other"  # error
    slug.name  # error


async def the_groups(circle: CircleCI) -> None:
    circle.user  # error
    circle.pipeline  # error
    circle.users.meh  # error
    await circle.users.me()
    await circle.users.me("x")  # error
    await circle.users.get()  # error
    await circle.users.get(5)  # error
    await circle.users.get(None)  # error
    await circle.users.get("id", "id")  # error
    circle.users.me()  # error
    circle.users.me().name  # error
    (await circle.users.me()).nme  # error
    (await circle.users.me()).name = "other"  # error
    number((await circle.users.me()).name)  # error
    (await circle.users.me()).avatar_url.upper()  # error


async def the_pagers(circle: CircleCI) -> None:
    pager = circle.users.list_collaborations()
    async for item in pager:
        item.slug
        item.slg  # error
    async for page in pager.pages():
        page.items[0].slug
        page.items.append(None)  # error
        page.next_page_token.upper()  # error
    await circle.users.list_collaborations()  # error
    await circle.pipelines.list_for_project("gh/acme/web")  # error
    for _ in pager:  # error
        pass
    async for _ in pager.pages:  # error
        pass
    async for _ in circle.users.me():  # error
        pass
    pager.next_page_token  # error
    len(pager)  # error
    pager[0]  # error
    await pager.page(5)  # error
    await pager.collect(limit="5")  # error
    await pager.collect(max=5)  # error
    (await pager.first()).slug  # error
    users(await pager.collect())  # error
    users(pager)  # error
    circle.users.list_collaborations("token")  # error
    circle.users.list_collaborations(page_token=5)  # error
    circle.users.list_collaborations(pagetoken="x")  # error
    async with pager:  # error
        pass


async def the_arguments(circle: CircleCI) -> None:
    circle.pipelines.list_for_project("gh/acme/web", branch="main")
    circle.pipelines.list_for_project("gh/acme/web", "main")  # error
    circle.pipelines.list_for_project(branch="main")  # error
    circle.pipelines.list_for_project("gh/acme/web", brnch="main")  # error
    circle.pipelines.list_for_project("gh/acme/web", branch=["main"])  # error
    circle.pipelines.list_for_project(None)  # error
    circle.pipelines.list_for_project(OrgSlug("gh", "acme"))  # error
    circle.pipelines.list(mine="true")  # error
    circle.insights.list_workflow_runs("gh/acme/web", "build", all_branches=True, start_date=datetime.now())
    circle.insights.list_workflow_runs("gh/acme/web")  # error
    circle.insights.list_workflow_runs("gh/acme/web", "build", all_branch=True)  # error
    circle.insights.list_workflow_runs("gh/acme/web", "build", start_date=5)  # error
    circle.insights.list_workflow_metrics("gh/acme/web", reporting_window=90)  # error
    await circle.jobs.get("gh/acme/web")  # error
    await circle.jobs.get("gh/acme/web", 12, verbose=True)  # error
    await circle.jobs.get_by_number("gh/acme/web", 12)  # error
    await circle.workflows.rerun("id", enable_ssh="yes")  # error
    await circle.workflows.approve("id")  # error


async def the_bodies(circle: CircleCI) -> None:
    await circle.pipelines.run("gh/acme/web", config={"branch": "main"}, parameters={"deploy": True, "n": 1})
    await circle.pipelines.run("gh/acme/web", config={"brnch": "main"})  # error
    await circle.pipelines.run("gh/acme/web", checkout={"branch": 5})  # error
    await circle.pipelines.run("gh/acme/web", config="main")  # error
    await circle.pipelines.run("gh/acme/web", parameters={"deploy": [1]})  # error
    await circle.pipelines.trigger("gh/acme/web", "main")  # error
    await circle.pipelines.continue_setup(continuation_key="key")  # error
    await circle.projects.update_settings("gh/acme/web", advanced={"autocancel_build": True})  # error
    await circle.projects.create_env_var("gh/acme/web", name="A")  # error
    await circle.webhooks.update("id", signing_secret=None, name="x")
    await circle.webhooks.update("id", name="x")  # error
    await circle.webhooks.create(name="x", events="job-completed", url="https://h.example")  # error
    await circle.contexts.create(name="x", owner={"slug": "gh/acme", "kind": "organization"})  # error
    await circle.schedules.update("id", timetable={"per_hours": 1})  # error
    await circle.schedules.update("id", description=UNSET)
    await circle.schedules.update("id", name=UNSET)  # error


async def the_way_out(circle: CircleCI) -> None:
    (await circle.request("GET", "/api/v2/me", into=User)).name
    (await circle.request("GET", "/api/v2/me", into=User)).nme  # error
    await circle.request("/api/v2/me")  # error
    await circle.request("GET", "/api/v2/me", params="a=b")  # error
    await circle.request("GET", "/api/v2/me", into=5)  # error
    await circle.request("GET", "/api/v2/me", data=b"")  # error
    await circle.request_pages("/api/v2/pipeline")  # error
    async for pipeline in circle.request_pages("/api/v2/pipeline", into=Pipeline):
        pipeline.nmber  # error


async def the_models(pipeline: Pipeline, workflow: Workflow, run: WorkflowRun) -> None:
    pipeline.vcs.branch  # error
    pipeline.errors.append(None)  # error
    pipeline.created_at.upper()  # error
    workflow.stopped_at.isoformat()  # error
    workflow.is_finished()  # error
    run.duration.total_seconds()  # error
    User("id", "login", "name")  # error
    User(login="login")  # error
    Collaboration(id="id", vcs_type="github", name="n", slug="gh/n", extra=1)  # error


async def the_errors(error: APIError) -> None:
    error.status + 1
    error.status + "1"  # error
    error.retry_after  # error
    error.code  # error
    error.headers["A"] = "b"  # error
    raise APIError("message")  # error


async def the_bulk(circle: CircleCI) -> None:
    async for project in fetch_insights(circle, ["gh/acme/web"], include=("runs", "jobs")):
        project.flaky  # error
    async for _ in fetch_insights(circle):  # error
        pass
    async for _ in fetch_insights(circle, ["gh/acme/web"], include=("run",)):  # error
        pass
    async for _ in fetch_insights(circle, ["gh/acme/web"], windows="last-7-days"):  # error
        pass
    async for _ in fetch_insights(circle, [5]):  # error
        pass
    await fetch_insights(circle, ["gh/acme/web"])  # error


async def the_local_server(options: Mapping[str, Any]) -> None:
    async with LocalCircleCI(projects=3, faults={"500": 0.1}) as server:
        CircleCI(server.token, base_url=server.url)
        server.uri  # error
    with LocalCircleCI():  # error
        pass
    LocalCircleCI(project=3)  # error
    LocalCircleCI(faults="many")  # error
    LocalCircleCI(options)  # error
