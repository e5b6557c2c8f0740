"""The made-up organization: the same each time, consistent from pipeline to test, and as odd as the wire."""

from __future__ import annotations

import datetime
from urllib.parse import quote

import pytest

from aiocircle.testing import LocalCircleCI

WEB = "gh/acme/web"


@pytest.fixture
async def whole(serve):
    """A server whose lists are one page."""
    return await serve(4, page_size=100_000)


def _time(text):
    return datetime.datetime.fromisoformat(text)


async def test_the_same_seed_gives_the_same_bytes(serve):
    one, two, other = await serve(5), await serve(5), await serve(5, seed=1)
    slugs = one.server.projects
    paths = ["/me", "/me/collaborations", f"/insights/{WEB}/flaky-tests", "/pipeline?org-slug=gh/acme"]
    for slug in slugs:
        paths += [
            f"/project/{slug}/pipeline",
            f"/project/{slug}/envvar",
            f"/insights/{slug}/workflows/build-and-test?all-branches=true",
            f"/insights/{slug}/workflows",
        ]
    for path in reversed(paths):  # in any order of the requests
        await two("GET", path)
    for path in paths:
        assert (await one("GET", path)).body == (await two("GET", path)).body
    assert (await one("GET", "/me")).body != (await other("GET", "/me")).body


async def test_a_project_is_the_same_next_to_others(serve):
    among, alone = await serve(6), await serve([WEB])
    path = f"/insights/{WEB}/workflows/build-and-test"
    assert (await among("GET", path)).body == (await alone("GET", path)).body


async def test_projects_are_the_requested_ones(serve):
    slugs = ["github/octo/site", "bb/team/app", "circleci/" + "A" * 22 + "/" + "b" * 22]
    api = await serve(slugs)
    assert api.server.projects == ["gh/octo/site", "bb/team/app", slugs[2]]
    for slug in slugs:
        assert (await api.get(f"/project/{slug}/pipeline"))["items"]
    assert (await serve(WEB)).server.projects == [WEB]
    many = LocalCircleCI(100).projects
    assert len(set(many)) == 100
    assert {slug.split("/")[0] for slug in many[:8]} == {"gh", "bb", "circleci"}


async def test_from_pipeline_to_test(whole):
    """All resources of a pipeline agree about it."""
    pipelines = (await whole.get(f"/project/{WEB}/pipeline"))["items"]
    seen_statuses, seen_types, numbers = set(), set(), set()
    for pipeline in pipelines[:80]:
        assert await whole.get(f"/pipeline/{pipeline['id']}") == pipeline
        assert await whole.get(f"/project/{WEB}/pipeline/{pipeline['number']}") == pipeline
        for workflow in (await whole.get(f"/pipeline/{pipeline['id']}/workflow"))["items"]:
            assert await whole.get(f"/workflow/{workflow['id']}") == workflow
            assert workflow["pipeline_id"] == pipeline["id"]
            assert workflow["pipeline_number"] == pipeline["number"]
            jobs = (await whole.get(f"/workflow/{workflow['id']}/job"))["items"]
            known = {job["id"] for job in jobs}
            seen_statuses.add(workflow["status"])
            for job in jobs:
                seen_types.add(job["type"])
                assert set(job["dependencies"]) <= known
                if job["type"] == "approval":
                    assert job["started_at"] is None
                    assert not {"job_number", "stopped_at"} & job.keys()
                elif "job_number" in job:
                    assert job["job_number"] not in numbers
                    numbers.add(job["job_number"])
                    await _check_job(whole, pipeline, workflow, job)
            stops = [_time(job["stopped_at"]) for job in jobs if job.get("stopped_at")]
            if workflow["status"] in {"success", "failed"} and not any(job["type"] == "approval" for job in jobs):
                assert _time(workflow["stopped_at"]) == max(stops)
                assert (workflow["status"] == "success") == all(job["status"] == "success" for job in jobs)
            if workflow["status"] in {"running", "failing", "on_hold"}:
                assert workflow["stopped_at"] is None
    assert {"success", "failed", "running", "failing", "on_hold", "canceled"} <= seen_statuses
    assert {"build", "approval", "release"} <= seen_types


async def _check_job(api, pipeline, workflow, job):
    details = await api.get(f"/project/{WEB}/job/{job['job_number']}")
    assert await api.get(f"/jobs/{job['id']}") == details
    assert details["pipeline"]["id"] == pipeline["id"]
    assert details["latest_workflow"] == {"id": workflow["id"], "name": workflow["name"]}
    assert (details["status"], details["name"]) == (job["status"], job["name"])
    assert "id" not in details["project"]
    if details["stopped_at"] and details["started_at"]:
        seconds = (_time(details["stopped_at"]) - _time(details["started_at"])).total_seconds()
        assert details["duration"] == seconds * 1000
    tests = (await api.get(f"/project/{WEB}/{job['job_number']}/tests"))["items"]
    if tests:
        assert ("failure" in {test["result"] for test in tests}) == (job["status"] == "failed")


async def test_the_oddities_of_a_github_app_project(whole):
    pipeline = (await whole.get(f"/project/{whole.server.projects[2]}/pipeline"))["items"][0]
    assert "vcs" not in pipeline
    assert pipeline["trigger_parameters"]["git"]["branch"]
    assert pipeline["trigger"] == {
        "type": "Decoupled Ingestion System",
        "received_at": "1970-01-01T00:00:00.000Z",
        "actor": {"login": "", "avatar_url": None},
    }


async def test_the_oddities_of_pipelines(whole):
    pipelines = [
        pipeline
        for slug in whole.server.projects
        for pipeline in (await whole.get(f"/project/{slug}/pipeline"))["items"]
        if "vcs" in pipeline
    ]
    assert {"errored", "created", "setup-pending"} <= {pipeline["state"] for pipeline in pipelines}
    assert {"config", "config-deprecated-syntax"} <= {e["type"] for pipeline in pipelines for e in pipeline["errors"]}
    assert all(("branch" in pipeline["vcs"]) != ("tag" in pipeline["vcs"]) for pipeline in pipelines)
    assert {pipeline["trigger"]["type"] for pipeline in pipelines} == {"api", "webhook", "scheduled_pipeline"}
    assert not any("commit" in pipeline["vcs"] for pipeline in pipelines if pipeline["trigger"]["type"] == "api")
    assert None in {pipeline["trigger"]["actor"]["avatar_url"] for pipeline in pipelines}


async def test_lists_of_pipelines_agree(whole):
    mine = (await whole.get(f"/project/{WEB}/pipeline/mine"))["items"]
    every = (await whole.get(f"/project/{WEB}/pipeline"))["items"]
    login = (await whole.get("/me"))["login"]
    assert mine == [pipeline for pipeline in every if pipeline["trigger"]["actor"]["login"] == login]
    branch = every[-1]["vcs"]["branch"]
    on_branch = (await whole.get(f"/project/{WEB}/pipeline?branch={quote(branch, safe='')}"))["items"]
    assert on_branch == [pipeline for pipeline in every if pipeline["vcs"].get("branch") == branch]
    of_org = (await whole.get("/pipeline?org-slug=gh/acme"))["items"]
    assert [pipeline for pipeline in of_org if pipeline["project_slug"] == WEB] == every
    assert [p["created_at"][:-5] for p in of_org] == sorted((p["created_at"][:-5] for p in of_org), reverse=True)
    own = (await whole.get("/pipeline?org-slug=gh/acme&mine=true"))["items"]
    assert own == [pipeline for pipeline in of_org if pipeline["trigger"]["actor"]["login"] == login]
    assert len((await whole.get("/pipeline"))["items"]) > len(of_org)


async def test_the_week_has_its_rhythm(whole):
    days = [0] * 7
    for pipeline in (await whole.get(f"/project/{WEB}/pipeline"))["items"]:
        if pipeline["trigger"]["type"] != "scheduled_pipeline":
            days[_time(pipeline["created_at"]).weekday()] += 1
    assert min(days[:5]) > 2 * max(days[5:])


@pytest.mark.parametrize("window", [7, 30, 90])
@pytest.mark.parametrize("scope", ["", "all-branches=true&branch=nothing", f"branch={quote('hotfix/#42', safe='')}"])
async def test_metrics_agree_with_the_runs(whole, window, scope):
    """The totals of each workflow can be counted again from its runs."""
    metrics = await whole.get(f"/insights/{WEB}/workflows?reporting-window=last-{window}-days&{scope}")
    assert len(metrics["items"]) == 4
    for item in metrics["items"]:
        runs = await whole.get(
            f"/insights/{WEB}/workflows/{quote(item['name'], safe='')}?{scope}"
            f"&start-date={item['window_start']}&end-date={item['window_end']}"
        )
        statuses = [run["status"] for run in runs["items"]]
        shown = item["metrics"]
        assert shown["total_runs"] == len(statuses)
        assert shown["successful_runs"] == statuses.count("success")
        assert shown["failed_runs"] == statuses.count("failed") + statuses.count("error")
        assert shown["throughput"] == len(statuses) / window
        assert shown["total_credits_used"] == sum(run["credits_used"] for run in runs["items"])
        durations = sorted(run["duration"] for run in runs["items"] if run["duration"] is not None)
        if durations:
            assert shown["duration_metrics"]["max"] == durations[-1]
            assert shown["duration_metrics"]["p95"] == durations[-(-len(durations) * 95 // 100) - 1]
        else:
            assert set(shown["duration_metrics"].values()) == {None}
            assert shown["mttr"] is None


async def test_runs_of_a_branch_are_some_of_all_runs(whole):
    path = f"/insights/{WEB}/workflows/build-and-test"
    every = (await whole.get(f"{path}?all-branches=true"))["items"]
    default = (await whole.get(f"/project/{WEB}"))["vcs_info"]["default_branch"]
    assert (await whole.get(path))["items"] == [run for run in every if run["branch"] == default]
    branches = (await whole.get(f"/insights/{WEB}/branches?workflow-name=build-and-test"))["branches"]
    assert set(branches) == {run["branch"] for run in every}
    assert {run["status"] for run in every} >= {"success", "failed", "canceled", None}
    for run in every[:20]:
        workflow = await whole.get(f"/workflow/{run['id']}")
        assert workflow["created_at"][:19] == run["created_at"][:19]
        assert (workflow["status"] == run["status"]) == (run["status"] is not None)


async def test_job_metrics_agree_with_job_runs_and_series(whole):
    path = f"/insights/{WEB}/workflows/build-and-test/jobs"
    metrics = (await whole.get(f"{path}?all-branches=true"))["items"]
    assert [item["name"] for item in metrics] == ["build-image", "integration-tests", "lint", "unit-tests"]
    series = (await whole.get(f"/insights/time-series/{WEB}/workflows/build-and-test/jobs?all-branches=true"))["items"]
    for item in metrics:
        runs = (await whole.get(f"{path}/{item['name']}?all-branches=true"))["items"]
        assert item["metrics"]["total_runs"] == len(runs)
        daily = [bucket["metrics"]["total_runs"] for bucket in series if bucket["name"] == item["name"]]
        assert sum(daily) == len(runs)
    assert [item["name"] for item in (await whole.get(f"{path}?job-name=unit"))["items"]] == ["unit-tests"]


async def test_flaky_tests_share_a_commit(whole):
    """A flaky test failed and passed on the same commit."""
    flaky = await whole.get(f"/insights/{WEB}/flaky-tests")
    assert flaky["total_flaky_tests"] == len(flaky["flaky_tests"]) > 0
    for test in flaky["flaky_tests"]:
        assert "time_wasted" not in test
        results = (await whole.get(f"/project/{WEB}/{test['job_number']}/tests"))["items"]
        assert [r["name"] for r in results if r["result"] == "failure"] == [test["test_name"]]
        pipeline = await whole.get(f"/project/{WEB}/pipeline/{test['pipeline_number']}")
        workflows = (await whole.get(f"/pipeline/{pipeline['id']}/workflow"))["items"]
        again = [w["status"] for w in workflows if w["name"] == test["workflow_name"]]
        assert again == ["success", "failed"]


async def test_summaries_add_up(whole):
    page = await whole.get(f"/insights/pages/{WEB}/summary")
    assert page["project_data"]["metrics"]["throughput"] is None
    total = page["project_data"]["metrics"]["total_runs"]
    assert total == sum(item["metrics"]["total_runs"] for item in page["project_workflow_data"])
    assert total == sum(item["metrics"]["total_runs"] for item in page["project_workflow_branch_data"])
    one = await whole.get(f"/insights/pages/{WEB}/summary?branches=main&branches=nothing&workflow-names=nightly")
    assert [item["workflow_name"] for item in one["project_workflow_data"]] == ["nightly"]
    org = await whole.get("/insights/gh/acme/summary?project-names=web&project-names=nothing")
    assert org["all_projects"] == ["api-gateway", "monorepo", "web"]
    assert [(item["project_name"], item["metrics"]["total_runs"]) for item in org["org_project_data"]] == [
        ("web", total)
    ]
    assert org["org_data"]["metrics"]["total_runs"] > total
    assert (await whole.get("/insights/gh/acme/summary"))["org_project_data"] == []
    summary = await whole.get(f"/insights/{WEB}/workflows/build-and-test/summary?all-branches=true")
    assert summary["metrics"]["total_runs"] == page["project_workflow_data"][0]["metrics"]["total_runs"]
    assert summary["metrics"]["completed_runs"] < summary["metrics"]["total_runs"]


async def test_test_metrics_count_the_ten_latest_runs(whole):
    metrics = await whole.get(f"/insights/{WEB}/workflows/build-and-test/test-metrics?all-branches=true")
    assert metrics["total_test_runs"] == len(metrics["test_runs"]) == 10
    assert len(metrics["slowest_tests"]) == 10
    assert metrics["slowest_tests_extra"] == 60
    none = await whole.get(f"/insights/{WEB}/workflows/nothing/test-metrics")
    assert (none["average_test_count"], none["test_runs"]) == (0, [])


@pytest.mark.parametrize(
    "query",
    [
        "workflows?reporting-window=last-5-days",
        "workflows?all-branches=True",
        "workflows/build-and-test?end-date=2026-01-01T00:00:00Z",
        "workflows/build-and-test?start-date=yesterday",
        "workflows/build-and-test?start-date=2026-01-01T00:00:00Z&end-date=2026-04-02T00:00:00Z",
        "workflows/build-and-test?start-date=2026-01-02T00:00:00Z&end-date=2026-01-01T00:00:00Z",
    ],
)
async def test_invalid_query_parameters_are_refused(api, query):
    """Invalid query parameters are refused, and unknown ones are ignored."""
    assert (await api("GET", f"/insights/{WEB}/{query}")).status == 400
    assert (await api("GET", f"/insights/{WEB}/workflows?reportingWindow=never")).status == 200


async def test_the_specs_spelling_on_request(serve):
    wire, spec = await serve(), await serve(spelling="spec")
    for path, wire_key, spec_key in [
        (f"/insights/{WEB}/flaky-tests", "flaky_tests", "flaky-tests"),
        (f"/insights/{WEB}/flaky-tests", "total_flaky_tests", "total-flaky-tests"),
    ]:
        assert wire_key in await wire.get(path)
        assert spec_key in await spec.get(path)
    assert "vcs_type" in (await wire.get("/me/collaborations"))[0]
    assert "vcs-type" in (await spec.get("/me/collaborations"))[0]
    key = (await spec.get(f"/project/{WEB}/checkout-key"))["items"][0]
    assert {"public-key", "created-at"} <= key.keys()
