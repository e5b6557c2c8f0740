"""Insights: the metrics of the last ninety days of runs, up to midnight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import serializers
from ..generator import DAYS
from ..metrics import (
    Counted,
    JobRun,
    WorkflowRun,
    count,
    durations,
    job_runs,
    mttr,
    percentile,
    success_rate,
    trend,
)
from ..model import Project, Workflow
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..times import DAY, iso_ms
from .jobs import first_test, job_tests, test_names

__all__ = ["routes"]

routes = Routes()

_WINDOWS = {
    "last-24-hours": 1,
    "last-7-days": 7,
    "last-30-days": 30,
    "last-60-days": 60,
    "last-90-days": 90,
}


class _Window:
    """The days that a summary is about, and the same number of days before them."""

    def __init__(self, request: RequestContext, default: str = "last-90-days") -> None:
        self.days = _WINDOWS[request.query_choice("reporting-window", tuple(_WINDOWS)) or default]
        self.end: float = request.state.midnight
        self.start = self.end - self.days * DAY
        self.before = self.start - self.days * DAY

    def current(self, runs: Sequence[Workflow]) -> list[Workflow]:
        return [run for run in runs if self.start <= run.created < self.end]

    def previous(self, runs: Sequence[Workflow]) -> list[Workflow]:
        return [run for run in runs if self.before <= run.created < self.start]


def _runs(request: RequestContext, project: Project, workflow: str) -> list[Workflow]:
    """Return the runs of a workflow on the requested branch, oldest first."""
    runs = project.history.runs.get(workflow, [])
    if request.query_flag("all-branches"):
        return runs
    branch = request.query_value("branch") or project.default_branch
    return [run for run in runs if run.pipeline.branch == branch]


def _seen(runs: Sequence[Workflow]) -> list[WorkflowRun]:
    return [WorkflowRun(run) for run in runs]


@routes.add("GET", "/insights/{project/}/workflows", "insights.list_workflow_metrics")
def list_workflow_metrics(request: RequestContext) -> Response:
    """List the metrics of each of a project's workflows."""
    project = request.project()
    window = _Window(request)

    def show(name: str) -> dict[str, Any]:
        runs = _seen(window.current(_runs(request, project, name)))
        recovery = mttr(runs)
        metrics = count(runs, window.days)
        metrics["mttr"] = recovery
        metrics["total_recoveries"] = None if recovery is None else 0
        return {
            "name": name,
            "metrics": metrics,
            "window_start": iso_ms(window.start),
            "window_end": iso_ms(window.end),
            "project_id": project.id,
        }

    return request.respond_page(sorted(project.history.runs), show)


@routes.add("GET", "/insights/{project/}/workflows/{workflow-name}", "insights.list_workflow_runs")
def list_workflow_runs(request: RequestContext) -> Response:
    """Return a workflow's runs, newest first."""
    runs = _runs(request, request.project(), request.path_value("workflow-name"))
    start, end = _dates(request)
    chosen = [run for run in runs if start <= run.created < end]
    return request.respond_page(chosen, _run, size=250, newest_first=True)


def _run(run: Workflow) -> dict[str, Any]:
    seen = WorkflowRun(run)
    return {
        "id": run.id,
        "branch": run.pipeline.branch,
        "duration": seen.duration,
        "created_at": iso_ms(run.created),
        "stopped_at": None if run.stopped is None else iso_ms(run.stopped),
        "credits_used": seen.credits,
        "status": seen.status,
        "is_approval": any(job.type == "approval" for job in run.plan.jobs),
    }


def _dates(request: RequestContext) -> tuple[float, float]:
    """Return the requested dates: at most ninety days. An end needs a start."""
    start, end = request.query_time("start-date"), request.query_time("end-date")
    if start is None:
        if end is not None:
            request.fail(400, "start-date: is required with end-date.")
        return request.state.midnight - DAYS * DAY, float("inf")
    if end is not None and end < start:
        request.fail(400, "end-date: must not be before start-date.")
    if end is not None and end - start > DAYS * DAY:
        request.fail(400, "end-date: must be at most 90 days after start-date.")
    return start, float("inf") if end is None else end


@routes.add("GET", "/insights/{project/}/workflows/{workflow-name}/jobs", "insights.list_job_metrics")
def list_job_metrics(request: RequestContext) -> Response:
    """List the metrics of each of a workflow's jobs."""
    project = request.project()
    window = _Window(request)
    part = request.query_value("job-name") or ""
    by_name: dict[str, list[JobRun]] = {}
    for run in job_runs(window.current(_runs(request, project, request.path_value("workflow-name")))):
        by_name.setdefault(run.job.plan.name, []).append(run)

    def show(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "metrics": count(by_name[name], window.days),
            "window_start": iso_ms(window.start),
            "window_end": iso_ms(window.end),
        }

    return request.respond_page(sorted(name for name in by_name if part in name), show)


@routes.add("GET", "/insights/{project/}/workflows/{workflow-name}/jobs/{job-name}", "insights.list_job_runs")
def list_job_runs(request: RequestContext) -> Response:
    """Return a job's runs, newest first; the current reference has this operation no more."""
    project = request.project()
    start, end = _dates(request)
    name = request.path_value("job-name")
    runs = job_runs(_runs(request, project, request.path_value("workflow-name")))
    chosen = [run for run in runs if run.job.plan.name == name and start <= run.created < end]

    def show(run: JobRun) -> dict[str, Any]:
        return {
            "id": serializers.job_uuid(request, run.job),
            "duration": run.duration,
            "started_at": iso_ms(run.created),
            "stopped_at": iso_ms(run.stopped),
            "credits_used": run.credits,
            "status": run.status,
        }

    return request.respond_page(chosen, show, size=250, newest_first=True)


@routes.add("GET", "/insights/time-series/{project/}/workflows/{workflow-name}/jobs", "insights.list_job_timeseries")
def list_job_timeseries(request: RequestContext) -> Response:
    """List the metrics of a workflow's jobs by day, or by hour for the last two days."""
    project = request.project()
    hourly = request.query_choice("granularity", ("daily", "hourly")) == "hourly"
    start, end = _dates(request)
    step = 3600 if hourly else DAY
    start = max(start, request.state.midnight - (2 if hourly else DAYS) * DAY)
    buckets: dict[tuple[int, str], list[JobRun]] = {}
    for run in job_runs(_runs(request, project, request.path_value("workflow-name"))):
        if start <= run.created < end:
            bucket = int(run.created) // step * step
            buckets.setdefault((bucket, run.job.plan.name), []).append(run)

    def show(key: tuple[int, str]) -> dict[str, Any]:
        bucket, name = key
        runs = buckets[key]
        metrics = count(runs, step / DAY)
        spread = metrics.pop("duration_metrics")
        del metrics["success_rate"]
        metrics["duration_metrics"] = {
            "min": spread["min"],
            "median": spread["median"],
            "max": spread["max"],
            "p95": spread["p95"],
            "total": 0,
        }
        return {
            "name": name,
            "min_started_at": iso_ms(min(run.created for run in runs)),
            "max_ended_at": iso_ms(max(run.stopped for run in runs)),
            "timestamp": iso_ms(bucket),
            "metrics": metrics,
        }

    return request.respond_page(sorted(buckets), show, size=250)


@routes.add("GET", "/insights/{project/}/workflows/{workflow-name}/summary", "insights.get_workflow_summary")
def get_workflow_summary(request: RequestContext) -> Response:
    """List the metrics of one workflow with their trends."""
    project = request.project()
    window = _Window(request)
    runs = _runs(request, project, request.path_value("workflow-name"))
    # The last thirty days against the thirty before: the history has no second ninety days.
    half = [window.end - 30 * DAY, window.end - 60 * DAY]
    current = _seen([run for run in runs if run.created >= half[0]])
    previous = _seen([run for run in runs if half[1] <= run.created < half[0]])
    seen = _seen(window.current(runs))
    metrics = count(seen, window.days)
    metrics["mttr"] = mttr(seen)
    metrics["completed_runs"] = sum(run.status is not None for run in seen)
    metrics["window_start"] = iso_ms(window.start)
    metrics["window_end"] = iso_ms(window.end)
    now, then = count(current, 30), count(previous, 30)
    trends = {
        name: trend(now[name], then[name])
        for name in ("total_runs", "failed_runs", "success_rate", "total_credits_used", "throughput")
    }
    for name in ("p95", "median"):
        trends[f"{name}_duration_secs"] = trend(now["duration_metrics"][name], then["duration_metrics"][name])
    trends["mttr"] = trend(mttr(current), mttr(previous))
    return request.respond({"metrics": metrics, "trends": trends, "workflow_names": sorted(project.history.runs)})


@routes.add("GET", "/insights/{project/}/branches", "insights.get_branches")
def get_branches(request: RequestContext) -> Response:
    """Return the branches of a project, or of one of its workflows."""
    project = request.project()
    name = request.query_value("workflow-name")
    chosen = [runs for workflow, runs in project.history.runs.items() if name in {None, workflow}]
    branches = {run.pipeline.branch for runs in chosen for run in runs}
    payload = sorted(branch for branch in branches if branch is not None)
    return request.respond({"org_id": project.organization.id, "project_id": project.id, "branches": payload[:5000]})


@routes.add("GET", "/insights/{project/}/flaky-tests", "insights.get_flaky_tests")
def get_flaky_tests(request: RequestContext) -> Response:
    """Return the tests that failed and passed on the same commit."""
    project = request.project()
    latest: dict[int, Workflow] = {}
    times: dict[int, int] = {}
    for runs in project.history.runs.values():
        for run in runs:
            if run.flaky is not None and run.status == "failed":
                latest[run.flaky] = run
                times[run.flaky] = times.get(run.flaky, 0) + 1
    tests: list[dict[str, Any]] = []
    for index, run in sorted(latest.items()):
        job = run.jobs[run.failing_job]
        name, classname, file = test_names(index)
        payload: dict[str, Any] = {
            "workflow_created_at": iso_ms(run.created),
            "workflow_id": run.id,
            "classname": classname,
            "pipeline_number": run.pipeline.number,
            "workflow_name": run.name,
            "test_name": name,
            "job_name": job.plan.name,
            "job_number": job.number,
            "times_flaked": times[index],
            "source": "" if index % 2 else None,
            "file": file if index % 3 else "" if index % 2 else None,
        }
        if request.spelling == "spec":
            payload["time_wasted"] = 90 * times[index]
        tests.append(request.spell_keys(payload, *payload))
    answer = {"flaky_tests": tests, "total_flaky_tests": len(tests)}
    return request.respond(request.spell_keys(answer, "flaky_tests", "total_flaky_tests"))


@routes.add("GET", "/insights/{project/}/workflows/{workflow-name}/test-metrics", "insights.get_test_metrics")
def get_test_metrics(request: RequestContext) -> Response:
    """Return the metrics of the tests of a workflow's ten latest runs."""
    project = request.project()
    runs = [run for run in _runs(request, project, request.path_value("workflow-name")) if run.finished][-10:]
    flaky = set(project.history.flaky_tests)
    cases: dict[tuple[str, int], list[dict[str, Any]]] = {}
    payload: list[dict[str, Any]] = []
    for run in reversed(runs):
        results: list[str] = []
        for job in run.jobs:
            for index, test in enumerate(job_tests(job), first_test(job)):
                cases.setdefault((job.plan.name, index), []).append(test)
                results.append(test["result"])
        counts = {
            "error": 0,
            "failure": results.count("failure"),
            "skipped": results.count("skipped"),
            "success": results.count("success"),
            "total": len(results),
        }
        ran = counts["failure"] + counts["success"]
        payload.append(
            {
                "pipeline_number": run.pipeline.number,
                "workflow_id": run.id,
                "success_rate": counts["success"] / ran if ran else 0.0,
                "test_counts": counts,
            }
        )

    def case(key: tuple[str, int]) -> dict[str, Any]:
        job_name, index = key
        name, classname, file = test_names(index)
        return {
            "p95_duration": _slowness(cases[key]),
            "total_runs": len(cases[key]),
            "classname": classname,
            "failed_runs": _failures(cases[key]),
            "flaky": index in flaky,
            "source": "" if index % 2 else None,
            "file": file if index % 3 else "" if index % 2 else None,
            "job_name": job_name,
            "test_name": name,
        }

    failed = sorted((key for key in cases if _failures(cases[key])), key=lambda key: -_failures(cases[key]))
    slow = sorted(cases, key=lambda key: -_slowness(cases[key]))
    return request.respond(
        {
            "average_test_count": round(sum(run["test_counts"]["total"] for run in payload) / len(payload))
            if payload
            else 0,
            "most_failed_tests": [case(key) for key in failed[:10]],
            "most_failed_tests_extra": max(0, len(failed) - 10),
            "slowest_tests": [case(key) for key in slow[:10]],
            "slowest_tests_extra": max(0, len(slow) - 10),
            "total_test_runs": len(payload),
            "test_runs": payload,
        }
    )


def _failures(tests: Sequence[dict[str, Any]]) -> int:
    return sum(test["result"] == "failure" for test in tests)


def _slowness(tests: Sequence[dict[str, Any]]) -> float:
    ordered = sorted(round(test["run_time"] * 1000) for test in tests)
    return percentile(ordered, 0.95) / 1000


@routes.add("GET", "/insights/pages/{project/}/summary", "insights.get_project_summary")
def get_project_summary(request: RequestContext) -> Response:
    """Return a project's metrics with trends, by workflow and by branch."""
    project = request.project()
    window = _Window(request)
    history = project.history
    names = request.query.get("workflow-names") or sorted(history.runs)
    branches = request.query.get("branches")
    everything = [run for runs in history.runs.values() for run in runs]
    by_workflow: list[dict[str, Any]] = []
    by_branch: list[dict[str, Any]] = []
    for name in names:
        runs = history.runs.get(name, [])
        if not runs:
            continue
        by_workflow.append({"workflow_name": name, **_compared(window, runs)})
        own = sorted({run.pipeline.branch or "" for run in window.current(runs)})
        for branch in own:
            if branches is None or branch in branches:
                chosen = [run for run in runs if run.pipeline.branch == branch]
                by_branch.append({"workflow_name": name, "branch": branch, **_compared(window, chosen)})
    whole = _totals(window, everything)
    if request.spelling == "wire":
        whole["metrics"]["throughput"] = None
    return request.respond(
        {
            "org_id": project.organization.id,
            "project_id": project.id,
            "project_data": whole,
            "project_workflow_data": by_workflow,
            "project_workflow_branch_data": by_branch,
            "all_branches": sorted({run.pipeline.branch or "" for run in everything}),
            "all_workflows": sorted(history.runs),
        }
    )


def _compared(window: _Window, runs: Sequence[Workflow]) -> dict[str, Any]:
    """Return a workflow's metrics on a page of its project, with their trends."""
    now, then = (_page_metrics(_seen(part)) for part in (window.current(runs), window.previous(runs)))
    return {"metrics": now, "trends": {name: trend(now[name], then[name]) for name in now}}


def _page_metrics(runs: Sequence[Counted]) -> dict[str, Any]:
    return {
        "total_credits_used": sum(run.credits for run in runs),
        "p95_duration_secs": float(durations(runs)["p95"] or 0),
        "total_runs": len(runs),
        "success_rate": success_rate(runs),
    }


def _totals(window: _Window, runs: Sequence[Workflow], throughput: bool = True) -> dict[str, Any]:
    """Return the metrics of a whole project or organization, with their trends."""
    now, then = (_sums(_seen(part), window.days) for part in (window.current(runs), window.previous(runs)))
    if not throughput:
        del now["throughput"]
    return {"metrics": now, "trends": {name: trend(now[name], then[name]) for name in now}}


def _sums(runs: Sequence[Counted], days: float) -> dict[str, Any]:
    return {
        "total_runs": len(runs),
        "total_duration_secs": sum(run.duration or 0 for run in runs),
        "total_credits_used": sum(run.credits for run in runs),
        "success_rate": success_rate(runs),
        "throughput": len(runs) / days,
    }


@routes.add("GET", "/insights/{org/}/summary", "insights.get_org_summary")
def get_org_summary(request: RequestContext) -> Response:
    """Return an organization's metrics with trends, and those of the projects that are named."""
    organization = request.organization()
    window = _Window(request)
    projects = request.state.projects_of(organization)
    wanted = request.query.get("project-names", ())
    everything = [run for project in projects for runs in project.history.runs.values() for run in runs]
    by_project: list[dict[str, Any]] = []
    for project in projects:
        if project.name in wanted:
            runs = [run for own in project.history.runs.values() for run in own]
            by_project.append({"project_name": project.name, **_totals(window, runs, throughput=False)})
    return request.respond(
        {
            "org_data": _totals(window, everything),
            "org_project_data": by_project,
            "all_projects": sorted(project.name for project in projects),
        }
    )
