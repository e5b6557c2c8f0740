"""Workflows, with the approval of a job by its name, and waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiocircle._core.group import Id
from aiocircle.composites._ids import IdOrModel, text_id
from aiocircle.errors import InvalidArgument
from aiocircle.resources import workflows
from aiocircle.resources.workflows import JobType, Workflow, WorkflowJob

if TYPE_CHECKING:
    from aiocircle.composites._outcome import Until

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

    async def wait(
        self,
        workflow_id: IdOrModel,
        *,
        timeout: float | None = 3600.0,
        until: Until = "finished",
        poll_interval: float | None = None,
    ) -> Workflow:
        """Return the workflow as soon as it has ended.

        workflow_id: an id, or a Workflow. timeout: seconds; None waits without a limit. until: "on_hold" also ends the
        wait when nothing can continue without an approval. poll_interval: seconds between two polls, instead of pauses
        from 2 to 15 s. A rerun is another workflow, which this does not follow: `pipelines.wait` does.

        Raises WaitTimeout if the deadline passes first; its `state` is the workflow as last read, or None. Failed polls
        do not end the wait. A 400, 401, 403, 404, 410 and a closed client do. A 404 in the first 10 s is a failed poll.

        https://circleci.com/docs/api/v2/#operation/getWorkflowById
        """
        from aiocircle.composites._client_reads import new_reader
        from aiocircle.composites._waiting import wait_for_workflow

        return await wait_for_workflow(
            new_reader(self._executor),
            text_id(workflow_id, "workflow_id"),
            timeout=timeout,
            until=until,
            poll_interval=poll_interval,
        )


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
