"""The metrics of Insights: counts, rates, durations and trends of runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from .model import Job, Workflow

__all__ = [
    "FAILED",
    "Counted",
    "JobRun",
    "WorkflowRun",
    "count",
    "durations",
    "job_runs",
    "mttr",
    "percentile",
    "success_rate",
    "trend",
]

FAILED = frozenset({"failed", "timedout", "infrastructure_fail", "error"})


class Counted(Protocol):
    """A run as Insights counts it."""

    @property
    def status(self) -> str | None:
        """Its final status."""
        ...

    @property
    def duration(self) -> int | None:
        """Its seconds."""
        ...

    @property
    def credits(self) -> int:
        """Its credits."""
        ...


class WorkflowRun:
    """A workflow's run; one that has not finished has neither status nor duration."""

    __slots__ = ("created", "credits", "duration", "run", "status")

    def __init__(self, run: Workflow) -> None:
        self.run = run
        self.created = run.created
        self.status = run.status if run.finished else None
        self.duration = None if run.duration is None else round(run.duration)
        self.credits = run.credits


class JobRun:
    """A job's run that has finished, of any workflow run."""

    __slots__ = ("created", "credits", "duration", "job", "status", "stopped")

    def __init__(self, job: Job, started: float, stopped: float) -> None:
        self.job = job
        self.created = started
        self.stopped = stopped
        self.status = job.status
        self.duration = round(stopped - started)
        self.credits = job.credits


def job_runs(runs: Iterable[Workflow]) -> list[JobRun]:
    """Return the finished jobs of some workflow runs, each counted in the run that it belongs to."""
    return [
        JobRun(job, job.started, job.stopped)
        for run in runs
        for job in run.jobs
        if job.workflow is run and job.started is not None and job.stopped is not None
    ]


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the smallest value that at least this share of the ordered ones does not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def durations(runs: Iterable[Counted]) -> dict[str, Any]:
    """Return the spread of the durations in seconds, all null without one."""
    ordered = sorted(run.duration for run in runs if run.duration is not None)
    if not ordered:
        return dict.fromkeys(("min", "mean", "median", "p95", "max", "standard_deviation"))
    return {
        "min": ordered[0],
        "mean": round(statistics.fmean(ordered)),
        "median": round(statistics.median(ordered)),
        "p95": percentile(ordered, 0.95),
        "max": ordered[-1],
        "standard_deviation": round(statistics.pstdev(ordered), 3),
    }


def success_rate(runs: Iterable[Counted]) -> float:
    """Return the share of successes among the runs that succeeded or failed; 0 without such runs."""
    statuses = [run.status for run in runs]
    good = statuses.count("success")
    bad = sum(status in FAILED for status in statuses)
    return good / (good + bad) if good + bad else 0.0


def count(runs: Sequence[Counted], days: float) -> dict[str, Any]:
    """Return the metrics that workflows and jobs have in common."""
    return {
        "total_runs": len(runs),
        "successful_runs": sum(run.status == "success" for run in runs),
        "failed_runs": sum(run.status in FAILED for run in runs),
        "success_rate": success_rate(runs),
        "duration_metrics": durations(runs),
        "total_credits_used": sum(run.credits for run in runs),
        "median_credits_used": 0,
        "throughput": len(runs) / days,
    }


def mttr(runs: Iterable[WorkflowRun]) -> int | None:
    """Return seconds from a failure to the next success on its branch, the mean of all; None when nothing recovered."""
    failed: dict[str | None, float] = {}
    spans: list[float] = []
    for run in runs:
        branch = run.run.pipeline.branch
        if run.status in FAILED:
            failed.setdefault(branch, run.run.stopped or run.created)
        elif run.status == "success" and branch in failed:
            spans.append(max(0.0, (run.run.stopped or run.created) - failed.pop(branch)))
    return round(statistics.fmean(spans)) if spans else None


def trend(current: float | None, previous: float | None) -> float:
    """Return the change since the window before, as a share of the previous value; 0 if that is unknown."""
    if not previous or current is None:
        return 0.0
    return (current - previous) / previous
