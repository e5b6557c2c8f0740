"""Workflows, with the approval of a job by its name."""

from __future__ import annotations

from collections.abc import Sequence

from aiocircle._core.group import Id
from aiocircle.errors import InvalidArgument
from aiocircle.resources import workflows
from aiocircle.resources.workflows import JobType, WorkflowJob

__all__ = ["Workflows"]


class Workflows(workflows.Workflows):
    """Workflows: `circle.workflows`."""

    __slots__ = ()

    async def approve_by_name(self, workflow_id: Id, name: str) -> None:
        """Approve the job with this name, such as "hold", that waits for an approval.

        Raises InvalidArgument, with nothing approved, if the workflow has no approval job with this name, or if the job
        does not wait: because jobs before it still run, or because it was approved or canceled already.

        https://circleci.com/docs/api/v2/#operation/approvePendingApprovalJobById
        """
        job = _pending_approval(await self.list_jobs(workflow_id).collect(), name)
        return await self.approve(workflow_id, job.approval_request_id or job.id)


def _pending_approval(jobs: Sequence[WorkflowJob], name: str) -> WorkflowJob:
    """Return the job with this name that waits for an approval. Raise InvalidArgument if there is not one."""
    approvals = {job.name: job for job in jobs if job.type == JobType.APPROVAL}
    if name not in approvals:
        names = ", ".join(map(repr, approvals)) or "none"
        raise InvalidArgument(f"name must be the name of an approval job, got {name!r}. The workflow has {names}")
    if not approvals[name].is_waiting_for_approval:
        raise InvalidArgument(
            f"the job {name!r} must be waiting for an approval, got one with the status {approvals[name].status}"
        )
    return approvals[name]
