"""Insights, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from aiocircle import OrgSlug, ProjectSlug, errors
from aiocircle._core.fast_decode import msgspec_decoder
from aiocircle._core.pagination import PAGE_TOKEN
from aiocircle.resources._statuses import JobStatus
from aiocircle.resources.insights import (
    DurationMetrics,
    FlakyTest,
    Granularity,
    JobMetrics,
    JobRun,
    JobTimeseries,
    OrgSummary,
    ProjectSummary,
    ReportingWindow,
    WorkflowMetrics,
    WorkflowRun,
    WorkflowRunStatus,
    WorkflowSummary,
    WorkflowTestMetrics,
)
from aiocircle.testing import LocalCircleCI
from tests.support.rows import each_row

WEB = "gh/acme/web"
BUILD = "build-and-test"
ID = "0d5f6c9e-1f1c-4a4e-8a0e-52b07a0a4f11"
NO_DURATIONS = dict.fromkeys(("min", "mean", "median", "p95", "max", "standard_deviation"))


@pytest.fixture
async def start(server: LocalCircleCI) -> datetime:
    """Thirty days before the server's own day, which is where its history ends."""
    return datetime.fromtimestamp(server.state.midnight, UTC) - timedelta(days=30)


def page(*items, token=None):
    return {"items": list(items), "next_page_token": token}


# --- workflows ---------------------------------------------------------------------------------------------------


async def test_workflow_metrics(circle):
    """The metrics of workflows are read with all figures."""
    found = await circle.insights.list_workflow_metrics(
        WEB, reporting_window=ReportingWindow.LAST_30_DAYS, branch="feature/a b", all_branches=True
    ).collect()
    metrics = {each.name: each for each in found}[BUILD]
    assert isinstance(metrics, WorkflowMetrics)
    assert metrics.window_end - metrics.window_start <= timedelta(days=30)
    assert metrics.metrics.total_runs >= metrics.metrics.successful_runs + metrics.metrics.failed_runs > 0
    assert 0 < metrics.metrics.success_rate < 1
    assert metrics.metrics.duration_metrics.min <= metrics.metrics.duration_metrics.p95


async def test_omitted_filters_are_not_sent(circle, arrived):
    """Filters that are not given are not sent."""
    await circle.insights.list_workflow_metrics(WEB).page()
    assert arrived().query == []
    await circle.insights.list_workflow_runs(WEB, BUILD).page()
    assert arrived().query == []
    await circle.insights.get_project_summary(WEB)
    assert arrived().query == []


async def test_workflow_metrics_without_runs(circle, answer):
    """Metrics without runs, recoveries or deprecated figures are read."""
    metrics = {
        "total_runs": 0,
        "successful_runs": 0,
        "failed_runs": 0,
        "success_rate": 0,
        "mttr": None,
        "total_recoveries": None,
        "total_credits_used": None,
        "throughput": None,
        "duration_metrics": NO_DURATIONS,
    }
    item = {"name": "build", "metrics": metrics, "project_id": None}
    item |= {"window_start": "2026-11-01T00:00:00.000Z", "window_end": "2026-11-02T00:00:00.000Z"}
    answer(page(item))
    found = await circle.insights.list_workflow_metrics(WEB).first()
    assert found.metrics.duration_metrics == DurationMetrics()
    assert found.metrics.mttr is None
    assert found.metrics.median_credits_used is None

    metrics |= {"median_credits_used": 0, "total_recoveries": 0}
    metrics["duration_metrics"] = {"min": 1, "max": 9, "total_duration": 0, "standard_deviation": 3}
    answer(page(item))
    found = await circle.insights.list_workflow_metrics(WEB).first()
    assert (found.metrics.median_credits_used, found.metrics.total_recoveries) == (0, 0)
    assert found.metrics.duration_metrics == DurationMetrics(min=1, max=9, total_duration=0, standard_deviation=3.0)


async def test_workflow_runs_of_a_span_of_time(circle, arrived, start):
    """Runs are listed between two times, which are sent in RFC 3339."""
    here = timezone(timedelta(hours=5, minutes=30))
    end = start + timedelta(days=20)
    runs = await circle.insights.list_workflow_runs(
        ProjectSlug.parse("github/acme/web"),
        BUILD,
        start_date=start.astimezone(here),
        end_date=end.isoformat(),
        all_branches=True,
    ).collect()
    request = arrived()
    assert (request.method, request.path) == ("GET", "/insights/gh/acme/web/workflows/build-and-test")
    sent = dict(request.query)
    assert sent.keys() == {"all-branches", "start-date", "end-date"}
    assert datetime.fromisoformat(sent["start-date"]) == start
    assert sent["end-date"] == end.isoformat()
    assert runs
    assert all(isinstance(run, WorkflowRun) and start <= run.created_at < end for run in runs)
    assert {run.branch for run in runs} > {"main"}


async def test_workflow_runs_come_page_by_page(circle, arrived):
    """Runs are listed over all pages."""
    pages = [each async for each in circle.insights.list_workflow_runs(WEB, BUILD, all_branches=True).pages()]
    assert len(pages) > 1
    assert [len(each.items) for each in pages[:-1]] == [250] * (len(pages) - 1)
    assert dict(arrived().query) == {"all-branches": "true", "page-token": pages[-2].next_page_token}
    later = circle.insights.list_workflow_runs(WEB, BUILD, all_branches=True, page_token=pages[0].next_page_token)
    assert (await later.page()).items == pages[1].items


async def test_active_run_has_no_end(circle, answer):
    """A run that is not finished has no end."""
    run = {
        "id": ID,
        "branch": "main",
        "duration": None,
        "created_at": "2026-11-20T10:00:00.123+01:00",
        "stopped_at": None,
        "credits_used": 0,
        "status": None,
        "is_approval": False,
    }
    answer(page(run, {"id": ID, "created_at": "2026-11-20T10:00:00Z", "status": "brand-new"}))
    under_way, bare = await circle.insights.list_workflow_runs(WEB, BUILD).collect()
    assert under_way.created_at.utcoffset() == timedelta(hours=1)
    assert (under_way.stopped_at, under_way.duration, under_way.status) == (None, None, None)
    assert not under_way.is_successful
    assert bare == WorkflowRun(id=ID, created_at=datetime(2026, 11, 20, 10, tzinfo=UTC), status="brand-new")
    assert WorkflowRun(id=ID, created_at=bare.created_at, status=WorkflowRunStatus.SUCCESS).is_successful


async def test_end_without_start_is_a_bad_request(circle, server, start):
    """An end without a start is sent, and the server refuses it."""
    with pytest.raises(errors.BadRequest, match="start-date"):
        await circle.insights.list_workflow_runs(WEB, BUILD, end_date=start).page()
    assert len(server.requests) == 1


async def test_workflow_summary(circle):
    """The summary of a workflow has metrics and trends."""
    summary = await circle.insights.get_workflow_summary(WEB, BUILD, branch="main", all_branches=False)
    assert isinstance(summary, WorkflowSummary)
    assert summary.metrics.total_runs >= summary.metrics.completed_runs > 0
    assert summary.trends.total_runs is not None
    assert BUILD in summary.workflow_names


async def test_summary_without_runs(circle, answer):
    """A summary without runs is read."""
    metrics = {"total_runs": 0, "successful_runs": 0, "failed_runs": 0, "success_rate": 0.0}
    metrics |= {"duration_metrics": NO_DURATIONS, "window_start": None, "window_end": None, "mttr": None}
    answer({"metrics": metrics, "trends": {"mttr": None}, "workflow_names": []})
    summary = await circle.insights.get_workflow_summary(WEB, BUILD)
    assert (summary.metrics.window_start, summary.metrics.completed_runs, summary.trends.mttr) == (None, None, None)


# --- jobs --------------------------------------------------------------------------------------------------------


async def test_job_metrics(circle):
    """The metrics of jobs are read with all figures."""
    found = await circle.insights.list_job_metrics(
        WEB, BUILD, reporting_window="last-7-days", branch="main", job_name="test"
    ).collect()
    assert found
    assert all(isinstance(each, JobMetrics) and "test" in each.name for each in found)
    assert all(each.metrics.total_runs > 0 for each in found)


async def test_job_runs(circle, arrived, start):
    """Job runs are listed from servers that still have the operation."""
    job = (await circle.insights.list_job_metrics(WEB, BUILD).first()).name
    runs = await circle.insights.list_job_runs(WEB, BUILD, job, start_date=start, branch="main").collect()
    request = arrived()
    assert (request.method, request.path) == ("GET", f"/insights/gh/acme/web/workflows/build-and-test/jobs/{job}")
    assert [name for name, _ in request.query][:2] == ["branch", "start-date"]
    assert runs
    assert all(isinstance(run, JobRun) and run.started_at >= start for run in runs)
    assert any(run.is_successful for run in runs)
    assert all(run.is_successful == (run.status == JobStatus.SUCCESS) for run in runs)


async def test_job_without_runs(circle, answer):
    """The metrics of a job without runs are read."""
    answer(page({"id": ID, "status": "not_run", "started_at": None, "stopped_at": None, "duration": None}))
    assert await circle.insights.list_job_runs(WEB, BUILD, "test").collect() == [JobRun(id=ID, status="not_run")]


async def test_time_series_of_jobs(circle, arrived, start):
    """The time series of jobs is read with its granularity."""
    found = await circle.insights.list_job_timeseries(
        WEB,
        BUILD,
        granularity=Granularity.DAILY,
        start_date=start,
        end_date=start + timedelta(days=7),  # a Sunday alone may have no jobs
        branch="main",
    ).collect()
    request = arrived()
    assert (request.method, request.path) == ("GET", "/insights/time-series/gh/acme/web/workflows/build-and-test/jobs")
    assert request.query[:2] == [("branch", "main"), ("granularity", "daily")]
    assert [name for name, _ in request.query[2:]] == ["start-date", "end-date"]
    assert found
    first = found[0]
    assert isinstance(first, JobTimeseries)
    assert first.timestamp <= first.min_started_at <= first.max_ended_at
    assert first.metrics.duration_metrics.min <= first.metrics.duration_metrics.max


# --- summaries ---------------------------------------------------------------------------------------------------


async def test_project_summary_repeats_parameters(circle):
    """Branches and workflow names are repeated query parameters."""
    summary = await circle.insights.get_project_summary(
        WEB, reporting_window="last-90-days", branches=["main", "a,b"], workflow_names=(BUILD, "nightly")
    )
    assert isinstance(summary, ProjectSummary)
    assert summary.project_data.metrics.total_runs > 0
    assert summary.project_data.metrics.throughput is None
    assert summary.project_data.trends.total_duration_secs is not None
    assert {each.workflow_name for each in summary.project_workflow_data} <= {BUILD, "nightly"}
    assert {each.branch for each in summary.project_workflow_branch_data} == {"main"}
    assert summary.project_workflow_data[0].metrics.p95_duration_secs > 0
    assert "main" in summary.all_branches
    assert BUILD in summary.all_workflows


async def test_single_value_is_sent_once(circle, arrived):
    """A single text is one value, not a list of characters."""
    await circle.insights.get_project_summary(WEB, branches="main", workflow_names=BUILD)
    assert arrived().query == [("branches", "main"), ("workflow-names", BUILD)]
    await circle.insights.get_org_summary("gh/acme", project_names="web")
    assert arrived().query == [("project-names", "web")]


async def test_org_summary_lists_named_projects(circle):
    """The summary of an organization has the named projects."""
    summary = await circle.insights.get_org_summary(
        "github/acme", reporting_window=ReportingWindow.LAST_24_HOURS, project_names=["web", "api-gateway"]
    )
    assert isinstance(summary, OrgSummary)
    assert {each.project_name for each in summary.org_project_data} == {"web", "api-gateway"}
    assert {"web", "api-gateway"} <= set(summary.all_projects)
    assert (await circle.insights.get_org_summary(OrgSlug.parse("gh/acme"))).org_project_data == ()


async def test_org_summary_without_projects(circle, answer):
    """The summary of an organization is read without projects."""
    whole = {"metrics": {"total_runs": 0, "throughput": None}, "trends": {}}
    answer({"org_data": whole, "org_project_data": [], "all_projects": None})
    summary = await circle.insights.get_org_summary("gh/acme")
    assert summary.all_projects == ()
    assert summary.org_data.metrics.success_rate is None


async def test_branches(circle):
    """The branches of a project or workflow are listed."""
    found = await circle.insights.get_branches(WEB, workflow_name=BUILD)
    assert "main" in found.branches
    assert UUID(found.project_id)


# --- tests -------------------------------------------------------------------------------------------------------


async def test_flaky_tests(circle):
    """Flaky tests are read with their counts."""
    found = await circle.insights.get_flaky_tests(WEB)
    assert found.total_flaky_tests == len(found.flaky_tests) > 0
    first = found.flaky_tests[0]
    assert isinstance(first, FlakyTest)
    assert first.workflow_created_at.tzinfo is not None
    assert first.times_flaked > 0
    assert first.time_wasted is None


def flaky(spelling):
    test = {
        "workflow_created_at": "2026-11-20T10:00:00.123Z",
        "workflow_id": ID,
        "classname": None,
        "pipeline_number": 7,
        "workflow_name": "build",
        "test_name": "test_it",
        "job_name": "test",
        "job_number": 12,
        "times_flaked": 3,
        "source": None,
        "file": "",
    }
    return {
        spelling("flaky_tests"): [{spelling(name): value for name, value in test.items()}],
        spelling("total_flaky_tests"): 1,
    }


def kebab(name):
    return name.replace("_", "-")


async def test_flaky_tests_in_both_spellings(circle, answer):
    """Keys of flaky tests are read with hyphens and with underscores."""
    answer(flaky(str))
    snake = await circle.insights.get_flaky_tests(WEB)
    answer(flaky(kebab))
    assert await circle.insights.get_flaky_tests(WEB) == snake
    assert snake.flaky_tests == (
        FlakyTest(
            workflow_created_at=datetime(2026, 11, 20, 10, 0, 0, 123000, UTC),
            workflow_id=ID,
            pipeline_number=7,
            workflow_name="build",
            test_name="test_it",
            job_name="test",
            job_number=12,
            times_flaked=3,
            file="",
        ),
    )


async def test_test_metrics(circle):
    """The metrics of tests are read."""
    found = await circle.insights.get_test_metrics(WEB, BUILD, branch="main", all_branches=True)
    assert isinstance(found, WorkflowTestMetrics)
    assert found.total_test_runs == len(found.test_runs) == 10
    assert found.slowest_tests[0].p95_duration >= found.slowest_tests[-1].p95_duration
    run = found.test_runs[0]
    assert run.test_counts.total == run.test_counts.success + run.test_counts.failure + run.test_counts.skipped


# --- what is refused, and what is fast ---------------------------------------------------------------------------


async def test_names_are_encoded_by_segment(circle, answer, arrived):
    """A slash in a name stays within its path segment."""
    answer(page())
    await circle.insights.list_job_metrics("gh/acme/wéb", "build / test").page()
    assert arrived().path == "/insights/gh/acme/w%C3%A9b/workflows/build%20%2F%20test/jobs"


async def test_project_may_be_a_uuid_or_url(circle, answer, arrived):
    """A project may be given as a UUID or a URL."""
    answer(page())
    await circle.insights.list_workflow_metrics("https://app.circleci.com/pipelines/github/acme/web").page()
    assert arrived().path == "/insights/gh/acme/web/workflows"


@each_row("model", [WorkflowRun, JobRun, WorkflowMetrics, JobMetrics, JobTimeseries])
def test_metrics_are_decoded_fast(model):
    """Pages of metrics and runs are decoded by msgspec."""
    assert msgspec_decoder(PAGE_TOKEN.page_type(model))


def test_reporting_window_has_days():
    """A reporting window has its number of days."""
    assert [window.span for window in ReportingWindow] == [
        timedelta(hours=24),
        timedelta(days=7),
        timedelta(days=30),
        timedelta(days=60),
        timedelta(days=90),
    ]
