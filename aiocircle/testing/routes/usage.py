"""Usage exports: asked for, made while the caller polls, and fetched from a storage without any token."""

from __future__ import annotations

import datetime
import gzip
from typing import Any, cast

import attrs

from .. import wire
from ..call import Answer, Call, Routes, iso, parse_time
from ..history import DAY
from ..identity import Kind, is_uuid
from ..metrics import JobRun, job_runs
from ..model import Organization
from ..world import World, now

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
    def __init__(self, world: World) -> None:
        self.by_id: dict[str, _Export] = {}


def _runs(world: World, export: _Export) -> list[JobRun]:
    """The job runs that an export is about."""
    runs = [
        run
        for project in world.projects_of(export.organization)
        for name in sorted(project.history.runs)
        for run in job_runs(project.history.runs[name])
        if export.start <= run.created < export.end
    ]
    return sorted(runs, key=lambda run: run.created)


def _file_count(world: World, export: _Export) -> int:
    return -(-len(_runs(world, export)) // _ROWS_PER_FILE)


@routes.add("POST", "/organizations/{org_id}/usage_export_job", "usage.create_export")
def create_export(call: Call) -> Answer:
    """Ask for an export of at most 31 days."""
    organization = call.owner("org_id")
    fields = call.fields("start", "end")
    call.only(fields, ("start", "end", "shared_org_ids"))
    start, end = _time(call, fields, "start"), _time(call, fields, "end")
    if end <= start:
        call.refuse(400, "end: must be after start.")
    if end - start > 31 * DAY:
        call.refuse(400, "end: must be at most 31 days after start.")
    if start < now() - 366 * DAY:
        call.refuse(400, "start: must be within the last 366 days.")
    if end > now():
        call.refuse(400, "end: must not be in the future.")
    sent: object = fields.get("shared_org_ids", [])
    idents = cast("list[object]", sent) if isinstance(sent, list) else [None]
    if not all(isinstance(ident, str) and is_uuid(ident) for ident in idents):
        call.refuse(400, "shared_org_ids: must be an array of UUIDs.")
    export = _Export(
        id=call.world.new_id(Kind.USAGE_EXPORT),
        organization=organization,
        shared=tuple(str(ident) for ident in idents),
        start=start,
        end=end,
    )
    call.world.part(_Exports).by_id[export.id] = export
    call.changed(export.id)
    shown = {
        "usage_export_job_id": export.id,
        "state": "created",
        "start": iso(start),
        "end": iso(end),
        "download_urls": None,
    }
    return call.json(shown, 201)


def _time(call: Call, fields: dict[str, Any], name: str) -> float:
    text: object = fields[name]
    found = parse_time(text) if isinstance(text, str) and "T" in text else None
    if found is None:
        call.refuse(400, f"{name}: must be an RFC 3339 date and time.")
    return found


@routes.add("GET", "/organizations/{org_id}/usage_export_job/{usage_export_job_id}", "usage.get_export", keep=False)
def get_export(call: Call) -> Answer:
    """An export: in the making at the first look, then there or failed; its URLs are signed anew each time."""
    organization = call.owner("org_id")
    export = call.world.part(_Exports).by_id.get(call.uuid("usage_export_job_id"))
    if export is None or export.organization is not organization:
        call.refuse(404, "Usage export job not found")
    export.polls += 1
    shown: dict[str, Any] = {"usage_export_job_id": export.id, "state": "processing", "download_urls": None}
    if export.polls > 1:
        if any(call.world.organization(ident) is None for ident in export.shared):
            shown["state"] = "failed"
            shown["error_reason"] = "An organization is not shared with this one."
        else:
            shown["state"] = "completed"
            count = _file_count(call.world, export)
            paths = [f"/usage/{export.id}/usage_report_{index}.csv.gz" for index in range(count)]
            shown["download_urls"] = [call.storage.sign(path, call.world.clock, 129_599) for path in paths] or None
    return call.json(shown)


def usage_file(world: World, export_id: str, index: int) -> bytes | None:
    """One file of an export: a gzipped CSV with one row for each job run."""
    export = world.part(_Exports).by_id.get(export_id)
    if export is None:
        return None
    rows = _runs(world, export)[index * _ROWS_PER_FILE : (index + 1) * _ROWS_PER_FILE]
    lines = [",".join(_COLUMNS), *(",".join(map(_cell, _row(world, run))) for run in rows)]
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def _row(world: World, run: JobRun) -> tuple[object, ...]:
    workflow = run.job.workflow
    pipeline = workflow.pipeline
    project = pipeline.project
    return (
        project.organization.id,
        project.organization.name,
        project.id,
        project.name,
        wire.vcs_type(project.organization).upper(),
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
        world.identities.uuid(Kind.JOB, project.key, pipeline.number, workflow.sub, run.job.leaf),
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
