"""The report of a project that the command shows: a few figures for each workflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Final

import attrs

from aiocircle.bulk import Failure, ProjectInsights, WorkflowInsights
from aiocircle.cli.terminal import clean
from aiocircle.errors import CircleCIError
from aiocircle.resources.insights import WorkflowRun

__all__ = ["ProjectReport", "Summary", "WorkflowReport", "legend", "report_on", "trend_of"]

_TREND_POINTS: Final = 12  # in 90 days, about one a week


@attrs.frozen(kw_only=True)
class WorkflowReport:
    """A row of the table. p95 and the points of the trend are in seconds, throughput is runs a day."""

    name: str
    success_rate: float | None
    p95: float | None
    throughput: float | None
    runs: int | None
    trend: tuple[float | None, ...]


@attrs.frozen(kw_only=True)
class ProjectReport:
    """A project's rows, and what could not be fetched. flaky_tests is None where they could not.

    hidden is how many workflows have no row. items counts all that was fetched, rows or not.
    """

    slug: str
    workflows: tuple[WorkflowReport, ...]
    hidden: int
    flaky_tests: int | None
    items: int
    failures: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Summary:
    """The requests, retries and time that a table took."""

    requests: int
    retries: int
    limited: int
    items: int
    seconds: float

    def __str__(self) -> str:
        retries = "1 retry" if self.retries == 1 else f"{self.retries:,} retries"
        return (
            f"{self.requests:,} requests, {retries}, {self.limited:,} times 429, "
            f"{self.items:,} items, {self.seconds:.1f} seconds"
        )


def report_on(project: ProjectInsights, *, since: datetime, until: datetime, top: int | None = None) -> ProjectReport:
    """Compute the figures of a project over a window, for its `top` most used workflows or for all.

    All text in it is safe to print.
    """
    ranked = sorted(
        project.workflows, key=lambda workflow: (-(workflow.metrics.metrics.total_runs or 0), workflow.name)
    )
    shown = ranked[:top]
    failed = {failure.operation for failure in project.failures}
    return ProjectReport(
        slug=clean(str(project.slug)),
        workflows=tuple(_workflow_report(workflow, since=since, until=until) for workflow in shown),
        hidden=len(ranked) - len(shown),
        flaky_tests=None if "insights.get_flaky_tests" in failed else len(project.flaky_tests),
        items=len(project.flaky_tests) + sum(map(_items, project.workflows)),
        failures=_failures(project.failures),
    )


def _workflow_report(workflow: WorkflowInsights, *, since: datetime, until: datetime) -> WorkflowReport:
    figures = workflow.metrics.metrics
    return WorkflowReport(
        name=clean(workflow.name),
        success_rate=figures.success_rate,
        p95=figures.duration_metrics.p95,
        throughput=figures.throughput,
        runs=figures.total_runs,
        trend=trend_of(workflow.runs, since=since, until=until),
    )


def _items(workflow: WorkflowInsights) -> int:
    return 1 + len(workflow.runs) + len(workflow.jobs)


def _failures(failures: Sequence[Failure]) -> tuple[str, ...]:
    """Return one line for each kind of error: the same cause often fails several operations of a project."""
    kinds: dict[type[CircleCIError], list[Failure]] = {}
    for failure in failures:
        kinds.setdefault(type(failure.error), []).append(failure)
    lines: list[str] = []
    for first, *others in kinds.values():
        more = f" (and {len(others)} more like it)" if others else ""
        lines.append(f"{first.operation}: {clean(str(first.error))}{more}")
    return tuple(lines)


def legend(reports: Sequence[ProjectReport]) -> str:
    """Return the notes below a table, which explain its columns."""
    hidden = sum(report.hidden for report in reports)
    more = f" {hidden} less used workflows are hidden: --top 0 shows them." if hidden else ""
    return f"trend: median duration.{more}"


def trend_of(runs: Sequence[WorkflowRun], *, since: datetime, until: datetime) -> tuple[float | None, ...]:
    """Return the median duration, in seconds, of the runs that began in each twelfth of a window; None if none did."""
    buckets: list[list[float]] = [[] for _ in range(_TREND_POINTS)]
    width = (until - since) / _TREND_POINTS
    for run in runs:
        if run.duration is not None:
            position = (run.created_at - since) // width
            buckets[max(0, min(_TREND_POINTS - 1, position))].append(run.duration)
    return tuple(median(bucket) if bucket else None for bucket in buckets)
