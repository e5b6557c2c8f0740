"""Workflows: their jobs, and canceling, approving and rerunning them."""

from __future__ import annotations

from typing import cast

from .. import wire
from ..call import Answer, Call, Routes
from ..identity import Kind
from ..model import Job, Workflow
from ..world import now

__all__ = ["routes"]

routes = Routes()


def _workflow(call: Call) -> Workflow:
    workflow = call.world.workflow(call.uuid("id"))
    if workflow is not None and workflow.pipeline.visible_at > call.world.clock:
        workflow = None
    return call.found(workflow, "Workflow not found")


@routes.add("GET", "/workflow/{id}", "workflows.get")
def get(call: Call) -> Answer:
    """A workflow."""
    return call.json(wire.workflow(_workflow(call)))


@routes.add("GET", "/workflow/{id}/job", "workflows.list_jobs")
def list_jobs(call: Call) -> Answer:
    """A workflow's jobs."""
    workflow = _workflow(call)
    return call.page(workflow.jobs, lambda job: wire.workflow_job(call, workflow, job), size=100)


@routes.add("POST", "/workflow/{id}/cancel", "workflows.cancel")
def cancel(call: Call) -> Answer:
    """Cancel a workflow; one that has finished stays as it is."""
    workflow = _workflow(call)
    if not workflow.finished:
        workflow.cancel(now(), call.world.me)
        call.changed(workflow.id)
    return call.message("Accepted.", 202)


@routes.add("POST", "/workflow/{id}/approve/{approval_request_id}", "workflows.approve")
def approve(call: Call) -> Answer:
    """Approve a job that waits for it, so that what comes after it runs."""
    workflow = _workflow(call)
    job = call.world.job(call.uuid("approval_request_id"), Kind.APPROVAL)
    if job is None or job not in workflow.jobs:
        call.refuse(404, "Approval request not found")
    if job.status != "on_hold":
        call.refuse(400, "Job is not waiting for approval")
    job.status, job.approved_by, job.stopped = "success", call.world.me, now()
    call.world.revive(workflow)
    call.changed(workflow.id)
    return call.message("Accepted.", 202)


@routes.add("POST", "/workflow/{id}/rerun", "workflows.rerun")
def rerun(call: Call) -> Answer:
    """Run a workflow again: all of it, what failed, or chosen jobs with all that come after them."""
    workflow = _workflow(call)
    fields = call.fields()
    for name in ("enable_ssh", "from_failed", "sparse_tree"):
        if not isinstance(fields.get(name, False), bool):
            call.refuse(400, f"{name}: must be a boolean.")
    listed: object = fields.get("jobs")
    chosen: set[str] = set()
    if listed is not None:
        idents = cast("list[object]", listed) if isinstance(listed, list) else []
        if not idents or not all(isinstance(ident, str) for ident in idents):
            call.refuse(400, "jobs: must be an array of job UUIDs.")
        chosen = {str(ident).lower() for ident in idents}
    from_failed = bool(fields.get("from_failed"))
    if from_failed and chosen:
        call.refuse(400, "from_failed and jobs are mutually exclusive.")
    if fields.get("enable_ssh") and not chosen:
        call.refuse(400, "enable_ssh: needs jobs.")
    if from_failed and workflow.status in {"success", "running", "on_hold"}:
        call.refuse(400, "Workflow has no failed jobs to rerun from")
    unknown = chosen - {wire.job_uuid(call, job) for job in workflow.jobs}
    if unknown:
        call.refuse(400, "jobs: must be jobs of this workflow.")
    reused: list[Job | None] = [None] * len(workflow.jobs)
    if from_failed or chosen:
        for leaf, job in enumerate(workflow.jobs):
            again = wire.job_uuid(call, job) in chosen or job.status != "success"
            again = again or any(reused[required] is None for required in job.plan.requires)
            reused[leaf] = None if again else job
    run = call.world.start(workflow.pipeline, workflow.plan, reused=reused)
    call.changed(run.id)
    return call.json({"workflow_id": run.id}, 202)
