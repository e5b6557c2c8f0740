from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiocircle import NotFound, ProjectSlug, ServerError
from aiocircle.bulk import Failure, ProjectInsights, WorkflowInsights
from aiocircle.cli.report import Summary, report_on, trend_of
from aiocircle.resources.insights import (
    DurationMetrics,
    FlakyTest,
    WorkflowMetrics,
    WorkflowRun,
    WorkflowRunMetrics,
)

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=12)


def run(day: float, duration: int | None) -> WorkflowRun:
    return WorkflowRun(id=f"run-{day}-{duration}", created_at=SINCE + timedelta(days=day), duration=duration)


def insights(name: str, total_runs: int, *runs: WorkflowRun) -> WorkflowInsights:
    figures = WorkflowRunMetrics(
        total_runs=total_runs,
        successful_runs=1,
        failed_runs=1,
        success_rate=0.5,
        throughput=2.5,
        duration_metrics=DurationMetrics(p95=90),
    )
    return WorkflowInsights(
        name=name,
        metrics=WorkflowMetrics(name=name, metrics=figures, window_start=SINCE, window_end=UNTIL),
        runs=runs,
    )


def test_trend_is_the_median_of_each_twelfth() -> None:
    runs = [
        run(0.5, 10),
        run(0.1, 20),
        run(0.9, 90),
        run(3, 40),
        run(3.5, None),
        run(11.9, 60),
        run(40, 80),
        run(-1, 30),
    ]

    assert trend_of(runs, since=SINCE, until=UNTIL) == (25, None, None, 40, *[None] * 7, 70)


def test_most_used_workflows_come_first() -> None:
    project = ProjectInsights(
        slug=ProjectSlug.parse("gh/acme/web"),
        workflows=(insights("b", 5, run(1, 1)), insights("\x1b[31mred", 9), insights("a", 5)),
    )

    report = report_on(project, since=SINCE, until=UNTIL, top=2)

    assert [workflow.name for workflow in report.workflows] == ["red", "a"]
    assert (report.workflows[0].runs, report.workflows[0].p95, report.workflows[0].throughput) == (9, 90, 2.5)
    assert report.hidden == 1
    assert report.flaky_tests == 0
    assert report.items == 4  # three workflows' metrics and a run
    assert report.failures == ()


def test_failures_of_one_kind_are_reported_once() -> None:
    missing = [NotFound(404, "Project not found", "GET", f"/{number}") for number in range(2)]
    project = ProjectInsights(
        slug=ProjectSlug.parse("gh/acme/web"),
        failures=(
            Failure(operation="insights.list_workflow_metrics", error=missing[0]),
            Failure(operation="insights.get_flaky_tests", error=missing[1]),
            Failure(operation="insights.list_job_metrics", workflow="x", error=ServerError(500, "\x1b[2Joops\n")),
        ),
    )

    report = report_on(project, since=SINCE, until=UNTIL)

    assert report.flaky_tests is None
    first, second = report.failures
    assert first.startswith("insights.list_workflow_metrics: GET /0 -> 404: Project not found")
    assert first.endswith("(and 1 more like it)")
    assert second == "insights.list_job_metrics: -> 500: oops "


def test_summary_knows_one_retry_from_many() -> None:
    summary = Summary(requests=1000, retries=1, limited=0, items=3, seconds=0.04)

    assert str(summary) == "1,000 requests, 1 retry, 0 times 429, 3 items, 0.0 seconds"


def test_flaky_tests_count_as_items() -> None:
    flaky = FlakyTest(
        test_name="t",
        classname="c",
        pipeline_number=1,
        workflow_id="w",
        workflow_name="build",
        workflow_created_at=UNTIL,
        job_name="j",
        job_number=1,
        times_flaked=2,
    )
    project = ProjectInsights(slug=ProjectSlug.parse("gh/acme/web"), flaky_tests=(flaky, flaky))

    report = report_on(project, since=SINCE, until=UNTIL)

    assert (report.flaky_tests, report.items) == (2, 2)
