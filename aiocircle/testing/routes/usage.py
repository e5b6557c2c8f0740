"""Usage exports: requested, generated while the caller polls, and downloaded from a storage without a token."""

from __future__ import annotations

import datetime
import gzip
from typing import Any, cast

import attrs

from .. import serializers
from ..ids import Kind, is_uuid
from ..metrics import JobRun, job_runs
from ..model import Organization
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..state import State
from ..times import DAY, iso, parse_time

__all__ = ["routes", "usage_file"]

routes = Routes()

_ROWS_PER_FILE = 5000
_COLUMNS = (
    "ORGANIZATION_ID",
    "ORGANIZATION_NAME",
    "PROJECT_ID",
    "PROJECT_NAME",
    "VCS_NAME",
    "VCS_URL",
    "VCS_BRANCH",
    "PIPELINE_ID",
    "PIPELINE_CREATED_AT",
    "PIPELINE_NUMBER",
    "PIPELINE_TRIGGER_SOURCE",
    "WORKFLOW_ID",
    "WORKFLOW_NAME",
    "WORKFLOW_STOPPED_AT",
    "IS_WORKFLOW_SUCCESSFUL",
    "JOB_NAME",
    "JOB_RUN_NUMBER",
    "JOB_ID",
    "JOB_RUN_DATE",
    "JOB_RUN_STARTED_AT",
    "JOB_RUN_STOPPED_AT",
    "JOB_BUILD_STATUS",
    "RESOURCE_CLASS",
    "PARALLELISM",
    "JOB_RUN_SECONDS",
    "COMPUTE_CREDITS",
    "STORAGE_CREDITS",
    "TOTAL_CREDITS",
)


@attrs.define(eq=False, kw_only=True)
class _Export:
    id: str
    organization: Organization
    shared: tuple[str, ...]
    start: float
    end: float
    polls: int = 0


class _Exports:
    def __init__(self, state: State) -> None:
        self.by_id: dict[str, _Export] = {}


def _runs(state: State, export: _Export) -> list[JobRun]:
    """Return the job runs that an export is about."""
    runs = [
        run
        for project in state.projects_of(export.organization)
        for name in sorted(project.history.runs)
        for run in job_runs(project.history.runs[name])
        if export.start <= run.created < export.end
    ]
    return sorted(runs, key=lambda run: run.created)


def _file_count(state: State, export: _Export) -> int:
    return -(-len(_runs(state, export)) // _ROWS_PER_FILE)


@routes.add("POST", "/organizations/{org_id}/usage_export_job", "usage.create_export")
def create_export(request: RequestContext) -> Response:
    """Request an export of at most 31 days."""
    organization = request.organization_by_id("org_id")
    fields = request.body_fields("start", "end")
    request.reject_unknown_fields(fields, ("start", "end", "shared_org_ids"))
    start, end = _time(request, fields, "start"), _time(request, fields, "end")
    if end <= start:
        request.fail(400, "end: must be after start.")
    if end - start > 31 * DAY:
        request.fail(400, "end: must be at most 31 days after start.")
    if start < request.state.now() - 366 * DAY:
        request.fail(400, "start: must be within the last 366 days.")
    if end > request.state.now():
        request.fail(400, "end: must not be in the future.")
    raw: object = fields.get("shared_org_ids", [])
    idents = cast("list[object]", raw) if isinstance(raw, list) else [None]
    if not all(isinstance(ident, str) and is_uuid(ident) for ident in idents):
        request.fail(400, "shared_org_ids: must be an array of UUIDs.")
    export = _Export(
        id=request.state.new_id(Kind.USAGE_EXPORT),
        organization=organization,
        shared=tuple(str(ident) for ident in idents),
        start=start,
        end=end,
    )
    request.state.group_state(_Exports).by_id[export.id] = export
    request.record_change(export.id)
    payload = {
        "usage_export_job_id": export.id,
        "state": "created",
        "start": iso(start),
        "end": iso(end),
        "download_urls": None,
    }
    return request.respond(payload, 201)


def _time(request: RequestContext, fields: dict[str, Any], name: str) -> float:
    text: object = fields[name]
    resource = parse_time(text) if isinstance(text, str) and "T" in text else None
    if resource is None:
        request.fail(400, f"{name}: must be an RFC 3339 date and time.")
    return resource


@routes.add(
    "GET", "/organizations/{org_id}/usage_export_job/{usage_export_job_id}", "usage.get_export", cacheable=False
)
def get_export(request: RequestContext) -> Response:
    """Return an export: processing at the first poll, then completed or failed. Each poll signs its URLs again."""
    organization = request.organization_by_id("org_id")
    export = request.state.group_state(_Exports).by_id.get(request.path_uuid("usage_export_job_id"))
    if export is None or export.organization is not organization:
        request.fail(404, "Usage export job not found")
    export.polls += 1
    payload: dict[str, Any] = {"usage_export_job_id": export.id, "state": "processing", "download_urls": None}
    if export.polls > 1:
        if any(request.state.organization(ident) is None for ident in export.shared):
            payload["state"] = "failed"
            payload["error_reason"] = "An organization is not shared with this one."
        else:
            payload["state"] = "completed"
            count = _file_count(request.state, export)
            paths = [f"/usage/{export.id}/usage_report_{index}.csv.gz" for index in range(count)]
            payload["download_urls"] = [request.urls.sign(path, request.state.now(), 129_599) for path in paths] or None
    return request.respond(payload)


def usage_file(state: State, export_id: str, index: int) -> bytes | None:
    """Return one file of an export: a gzipped CSV with one row for each job run."""
    export = state.group_state(_Exports).by_id.get(export_id)
    if export is None:
        return None
    rows = _runs(state, export)[index * _ROWS_PER_FILE : (index + 1) * _ROWS_PER_FILE]
    lines = [",".join(_COLUMNS), *(",".join(map(_cell, _row(state, run))) for run in rows)]
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def _row(state: State, run: JobRun) -> tuple[object, ...]:
    workflow = run.job.workflow
    pipeline = workflow.pipeline
    project = pipeline.project
    return (
        project.organization.id,
        project.organization.name,
        project.id,
        project.name,
        serializers.vcs_type(project.organization).upper(),
        project.repository_url,
        pipeline.branch,
        pipeline.id,
        _stamp(pipeline.created),
        pipeline.number,
        pipeline.trigger,
        workflow.id,
        workflow.name,
        None if workflow.stopped is None else _stamp(workflow.stopped),
        workflow.status == "success",
        run.job.plan.name,
        run.job.number,
        state.ids.uuid(Kind.JOB, project.key, pipeline.number, workflow.sub, run.job.index),
        _stamp(run.created)[:10],
        _stamp(run.created),
        _stamp(run.stopped),
        run.status,
        run.job.plan.resource_class,
        run.job.plan.parallelism,
        run.duration,
        run.credits,
        0,
        run.credits,
    )


def _stamp(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ", timespec="milliseconds")


def _cell(value: object) -> str:
    if value is None:
        return r"\N"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & {",", '"', "\n"} else text
