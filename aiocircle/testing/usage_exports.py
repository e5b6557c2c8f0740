"""Usage exports: what they contain, and their files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

import attrs

from . import serializers
from .files import gzipped
from .ids import digest
from .metrics import JobRun, job_runs
from .model import Organization, job_id
from .request import parse_natural
from .response import FileResponse
from .state import State
from .times import DAY
from .usage_csv import UsageFormat, csv_lines, timestamp

__all__ = ["Export", "Exports", "file_count", "usage_file"]

_ROWS_PER_FILE = 5000
_MIN_SAMPLED_SECONDS = 15  # shorter runs have no utilization


@attrs.define(eq=False, kw_only=True)
class Export:
    """An export that was requested."""

    id: str
    organization: Organization
    shared: tuple[str, ...]
    start: float
    end: float
    format: UsageFormat
    polls: int = 0
    downloads: dict[int, int] = attrs.field(factory=dict[int, int])  # by file
    runs: list[JobRun] | None = None  # set when it is completed: its files do not change any more


class Exports:
    """The exports by id."""

    def __init__(self, state: State) -> None:
        self.by_id: dict[str, Export] = {}


def _runs(state: State, export: Export) -> list[JobRun]:
    """Return the job runs that an export is about."""
    if export.runs is not None:
        return export.runs
    workflows = [
        run
        for organization in (export.organization, *(state.organization(ident) for ident in export.shared))
        if organization is not None
        for project in state.projects_of(organization)
        for name in sorted(project.history.runs)
        for run in project.history.runs[name]
        if run.created < export.end and (run.stopped is None or run.stopped >= export.start)
    ]
    runs = [run for run in job_runs(workflows) if export.start <= run.created < export.end]
    export.runs = sorted(runs, key=lambda run: run.created)
    return export.runs


def file_count(state: State, export: Export) -> int:
    """Return the number of files of an export."""
    runs = len(_runs(state, export))
    return (export.format.parts if runs else 0) if export.format.parts is not None else -(-runs // _ROWS_PER_FILE)


def usage_file(state: State, export_id: str, name: str) -> FileResponse | None:
    """Return one file of an export, which is generated while it is sent; None if it is unknown."""
    export = state.group_state(Exports).by_id.get(export_id)
    index = parse_natural(name.removeprefix("usage_report_").removesuffix(".csv.gz"))
    if export is None or index is None or index >= file_count(state, export):
        return None
    format_ = export.format

    def chunks() -> Iterator[bytes]:
        lines = csv_lines(_rows(state, export, index), format_)
        return gzipped(lines) if format_.is_compressed else lines

    cut_after = None
    if export.downloads.get(index, 0) < format_.cuts:
        export.downloads[index] = export.downloads.get(index, 0) + 1
        cut_after = sum(map(len, chunks())) // 2
    return FileResponse(
        chunks=chunks, size=None, content_type="application/x-gzip", framing="chunked", cut_after=cut_after
    )


def _rows(state: State, export: Export, index: int) -> Iterator[Mapping[str, object]]:
    """Yield the rows of one file."""
    format_, runs = export.format, _runs(state, export)
    if format_.rows is None:
        size = _ROWS_PER_FILE if format_.parts is None else -(-len(runs) // format_.parts)
        for number, run in enumerate(runs[index * size : (index + 1) * size]):
            yield _row(state, run, number, format_)
        return
    for number in range(format_.rows if runs else 0):
        row = _row(state, runs[number % len(runs)], number, format_)
        yield {**row, "JOB_ID": str(uuid.UUID(bytes=digest(export.id, index, number)[:16], version=4))}


def _row(state: State, run: JobRun, number: int, format_: UsageFormat) -> dict[str, object]:
    workflow = run.job.workflow
    pipeline = workflow.pipeline
    project = pipeline.project
    name = format_.job_names[number % len(format_.job_names)] if format_.job_names else run.job.plan.name
    began = [job.started for job in workflow.jobs if job.started is not None]
    is_sampled = run.duration >= _MIN_SAMPLED_SECONDS
    user_credits = run.job.index % 2
    return {
        "ORGANIZATION_ID": project.organization.id,
        "ORGANIZATION_NAME": project.organization.name,
        "ORGANIZATION_CREATED_DATE": timestamp(state.midnight - 900 * DAY)[:10],
        "PROJECT_ID": project.id,
        "PROJECT_NAME": project.name,
        "PROJECT_CREATED_DATE": timestamp(state.midnight - 400 * DAY)[:10],
        "LAST_BUILD_FINISHED_AT": timestamp(state.midnight),
        "VCS_NAME": serializers.vcs_type(project.organization).upper(),
        "VCS_URL": project.repository_url,
        "VCS_BRANCH": pipeline.branch,
        "PIPELINE_ID": pipeline.id,
        "PIPELINE_CREATED_AT": timestamp(pipeline.created),
        "PIPELINE_NUMBER": pipeline.number,
        "IS_UNREGISTERED_USER": pipeline.actor.email_only,
        "PIPELINE_TRIGGER_SOURCE": pipeline.trigger,
        "PIPELINE_TRIGGER_USER_ID": pipeline.actor.id,
        "WORKFLOW_ID": workflow.id,
        "WORKFLOW_NAME": workflow.name,
        "WORKFLOW_FIRST_JOB_QUEUED_AT": timestamp(workflow.created),
        "WORKFLOW_FIRST_JOB_STARTED_AT": timestamp(min(began)) if began else None,
        "WORKFLOW_STOPPED_AT": None if workflow.stopped is None else timestamp(workflow.stopped),
        "IS_WORKFLOW_SUCCESSFUL": workflow.status == "success",
        "JOB_NAME": name,
        "JOB_RUN_NUMBER": run.job.number,
        "JOB_ID": job_id(state.ids, run.job),
        "JOB_RUN_DATE": timestamp(run.created)[:10],
        "JOB_RUN_QUEUED_AT": timestamp(run.created - 1),
        "JOB_RUN_STARTED_AT": timestamp(run.created),
        "JOB_RUN_STOPPED_AT": timestamp(run.stopped),
        "JOB_BUILD_STATUS": run.status,
        "RESOURCE_CLASS": run.job.plan.resource_class,
        "OPERATING_SYSTEM": "Linux",
        "EXECUTOR": "docker",
        "PARALLELISM": run.job.plan.parallelism,
        "JOB_RUN_SECONDS": run.duration,
        "MEDIAN_CPU_UTILIZATION_PCT": 35.5 if is_sampled else None,
        "MAX_CPU_UTILIZATION_PCT": 88.25 if is_sampled else None,
        "MEDIAN_RAM_UTILIZATION_PCT": 41.0 if is_sampled else None,
        "MAX_RAM_UTILIZATION_PCT": 63.75 if is_sampled else None,
        "COMPUTE_CREDITS": run.credits,
        "DLC_CREDITS": 0,
        "USER_CREDITS": user_credits,
        "STORAGE_CREDITS": 0,
        "NETWORK_CREDITS": 0,
        "LEASE_CREDITS": 0,
        "LEASE_OVERAGE_CREDITS": 0,
        "IPRANGES_CREDITS": 0,
        "TOTAL_CREDITS": run.credits + user_credits,
        **format_.extra_columns,
    }
