"""Workflows: their jobs, and canceling, approving and rerunning them."""

from __future__ import annotations

from typing import cast

from .. import serializers
from ..ids import Kind
from ..model import Job, Workflow
from ..request import RequestContext
from ..response import Response
from ..router import Routes
from ..script import raise_if_out

__all__ = ["routes"]

routes = Routes()


def _workflow(request: RequestContext) -> Workflow:
    workflow = request.state.workflow(request.path_uuid("id"))
    if workflow is None or workflow.created + _list_lag(workflow) > request.state.now():
        request.fail(404, "Workflow not found")
    raise_if_out(workflow.pipeline, request.state.now())
    return workflow


def _list_lag(workflow: Workflow) -> float:
    return 0.0 if workflow.plan.story is None else workflow.plan.story.list_lag


@routes.add("GET", "/workflow/{id}", "workflows.get")
def get(request: RequestContext) -> Response:
    """Return a workflow."""
    return request.respond(serializers.workflow(_workflow(request), request.state.now()))


@routes.add("GET", "/workflow/{id}/job", "workflows.list_jobs")
def list_jobs(request: RequestContext) -> Response:
    """Return a workflow's jobs."""
    workflow = _workflow(request)
    return request.respond_page(workflow.jobs, lambda job: serializers.workflow_job(request, workflow, job), size=100)


@routes.add("POST", "/workflow/{id}/cancel", "workflows.cancel")
def cancel(request: RequestContext) -> Response:
    """Cancel a workflow; one that has finished stays as it is."""
    workflow = _workflow(request)
    if not workflow.finished:
        workflow.cancel(request.state.now(), request.state.token_owner)
        request.record_change(workflow.id)
    return request.respond_message("Accepted.", 202)


@routes.add("POST", "/workflow/{id}/approve/{approval_request_id}", "workflows.approve")
def approve(request: RequestContext) -> Response:
    """Approve a job that waits for it, so that the jobs after it run."""
    workflow = _workflow(request)
    job = request.state.job(request.path_uuid("approval_request_id"), Kind.APPROVAL)
    if job is None or job not in workflow.jobs:
        request.fail(404, "Approval request not found")
    if job.status != "on_hold":
        request.fail(400, "Job is not waiting for approval")
    job.status, job.approved_by, job.stopped = "success", request.state.token_owner, request.state.now()
    request.state.resume(workflow)
    request.record_change(workflow.id)
    return request.respond_message("Accepted.", 202)


@routes.add("POST", "/workflow/{id}/rerun", "workflows.rerun")
def rerun(request: RequestContext) -> Response:
    """Rerun a workflow: all of it, from failed, or chosen jobs with all jobs that follow them."""
    workflow = _workflow(request)
    fields = request.body_fields()
    for name in ("enable_ssh", "from_failed", "sparse_tree"):
        if not isinstance(fields.get(name, False), bool):
            request.fail(400, f"{name}: must be a boolean.")
    listed: object = fields.get("jobs")
    chosen: set[str] = set()
    if listed is not None:
        idents = cast("list[object]", listed) if isinstance(listed, list) else []
        if not idents or not all(isinstance(ident, str) for ident in idents):
            request.fail(400, "jobs: must be an array of job UUIDs.")
        chosen = {str(ident).lower() for ident in idents}
    from_failed = bool(fields.get("from_failed"))
    if from_failed and chosen:
        request.fail(400, "from_failed and jobs are mutually exclusive.")
    if fields.get("enable_ssh") and not chosen:
        request.fail(400, "enable_ssh: needs jobs.")
    if from_failed and workflow.status in {"success", "running", "on_hold"}:
        request.fail(400, "Workflow has no failed jobs to rerun from")
    unknown = chosen - {serializers.job_uuid(request, job) for job in workflow.jobs}
    if unknown:
        request.fail(400, "jobs: must be jobs of this workflow.")
    reused: list[Job | None] = [None] * len(workflow.jobs)
    if from_failed or chosen:
        for index, job in enumerate(workflow.jobs):
            again = serializers.job_uuid(request, job) in chosen or job.status != "success"
            again = again or any(reused[required] is None for required in job.plan.requires)
            reused[index] = None if again else job
    run = request.state.rerun(workflow, reused)
    request.record_change(run.id)
    return request.respond({"workflow_id": run.id}, 202)
