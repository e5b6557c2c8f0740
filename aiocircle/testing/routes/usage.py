"""Usage exports: requested, generated while the caller polls, and downloaded from a storage without a token."""

from __future__ import annotations

from typing import Any, cast

from ..ids import Kind, is_uuid
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..times import DAY, iso, parse_time
from ..usage_exports import Export, Exports, file_count

__all__ = ["routes"]

routes = Routes()


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
    export = Export(
        id=request.state.new_id(Kind.USAGE_EXPORT),
        organization=organization,
        shared=tuple(str(ident) for ident in idents),
        start=start,
        end=end,
        format=request.state.usage_format,
    )
    request.state.group_state(Exports).by_id[export.id] = export
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
    export = request.state.group_state(Exports).by_id.get(request.path_uuid("usage_export_job_id"))
    if export is None or export.organization is not organization:
        request.fail(404, "Usage export job not found")
    export.polls += 1
    payload: dict[str, Any] = {"usage_export_job_id": export.id, "state": "processing", "download_urls": None}
    if export.polls > export.format.polls:
        if export.format.error_reason is not None:
            payload.update(state="failed", error_reason=export.format.error_reason)
        elif any(request.state.organization(ident) is None for ident in export.shared):
            payload["state"] = "failed"
            payload["error_reason"] = "An organization is not shared with this one."
        else:
            payload["state"] = "completed"
            count = file_count(request.state, export)
            paths = [f"/usage/{export.id}/usage_report_{index}.csv.gz" for index in range(count)]
            payload["download_urls"] = [request.urls.sign(path, request.state.now(), 129_599) for path in paths] or None
    return request.respond(payload)
