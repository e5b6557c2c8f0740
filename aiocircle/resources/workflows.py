"""Workflows: what a pipeline runs, their jobs, and approving, canceling and running them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from aiocircle.errors import InvalidArgument
from aiocircle.resources.common import (
    RARE,
    Endpoint,
    Group,
    Id,
    JobStatus,
    ListEndpoint,
    Pager,
    Timestamp,
    job_is_finished,
    sent,
    several,
)

__all__ = ["JobStatus", "JobType", "Rerun", "Workflow", "WorkflowJob", "WorkflowStatus", "Workflows"]


class WorkflowStatus(StrEnum):
    """The statuses of a workflow that are known today."""

    SUCCESS = "success"
    RUNNING = "running"
    NOT_RUN = "not_run"
    FAILED = "failed"
    ERROR = "error"
    FAILING = "failing"
    ON_HOLD = "on_hold"
    CANCELED = "canceled"
    UNAUTHORIZED = "unauthorized"


class JobType(StrEnum):
    """The types of a job that are known today."""

    BUILD = "build"
    APPROVAL = "approval"
    RELEASE = "release"
    NO_OP = "no-op"
    LOCK = "lock"
    UNLOCK = "unlock"


_UNDER_WAY = frozenset({WorkflowStatus.RUNNING, WorkflowStatus.FAILING, WorkflowStatus.ON_HOLD})
_OVER = frozenset(WorkflowStatus) - _UNDER_WAY


@attrs.frozen(kw_only=True)
class Workflow:
    """One run of a workflow, in a pipeline.

    An expired workflow of an old pipeline has "" for id, name and status, and None for created_at. started_by,
    canceled_by and errored_by are ids of users. tag is "setup" on a setup workflow. stopped_at is None until the
    end. auto_rerun_number counts the automatic reruns, of which max_auto_reruns are allowed; both are None if
    automatic reruns are off.
    """

    id: str = ""
    name: str = ""
    status: str = ""
    pipeline_id: str = ""
    pipeline_number: int | None = None
    project_slug: str = ""
    created_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    started_by: str | None = None
    canceled_by: str | None = attrs.field(default=None, metadata=RARE)
    errored_by: str | None = attrs.field(default=None, metadata=RARE)
    tag: str | None = attrs.field(default=None, metadata=RARE)
    auto_rerun_number: int | None = attrs.field(default=None, metadata=RARE)
    max_auto_reruns: int | None = attrs.field(default=None, metadata=RARE)

    @property
    def is_finished(self) -> bool:
        """Whether the workflow is over, however it ended. One that is on hold or failing is not."""
        return self.status in _OVER or (self.status not in _UNDER_WAY and self.stopped_at is not None)

    @property
    def is_setup(self) -> bool:
        """Whether it is a setup workflow, after which the pipeline's real ones begin."""
        return self.tag == "setup"


@attrs.frozen(kw_only=True)
class WorkflowJob:
    """A job, as its workflow lists it.

    dependencies are ids of other jobs of the workflow; requires gives the statuses in which each lets this one
    start. job_number is None for approvals, and for jobs that never ran; started_at and stopped_at likewise.
    approval_request_id is there while an approval waits. approved_by and canceled_by are ids of users.
    """

    id: str
    name: str
    type: str = ""
    status: str = ""
    project_slug: str | None = None
    job_number: int | None = None
    dependencies: tuple[str, ...] = ()
    requires: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, tuple[str, ...]], hash=False)
    created_at: Timestamp | None = None
    started_at: Timestamp | None = None
    stopped_at: Timestamp | None = None
    approval_request_id: str | None = attrs.field(default=None, metadata=RARE)
    approved_by: str | None = attrs.field(default=None, metadata=RARE)
    canceled_by: str | None = attrs.field(default=None, metadata=RARE)

    @property
    def is_finished(self) -> bool:
        """True if the job has ended, with any result. A job that waits for an approval has not.

        A job that is blocked behind a failed one stays "blocked" for ever and is never finished. To find out that
        nothing will run any more, read the workflow: `workflow.is_finished`.
        """
        return job_is_finished(self.status, self.stopped_at)

    @property
    def is_waiting_for_approval(self) -> bool:
        """Whether somebody can approve it now: `approve(workflow.id, job.approval_request_id)`."""
        return self.type == JobType.APPROVAL and self.status == JobStatus.ON_HOLD


@attrs.frozen(kw_only=True)
class Rerun:
    """The new workflow of a rerun, by id. workflow_id is None if the API only confirmed the rerun."""

    workflow_id: str | None = None


_APPROVE: Endpoint[None] = Endpoint(
    "POST",
    "/workflow/{workflow_id}/approve/{approval_request_id}",
    None,
    operation="workflows.approve",
    reference="approvePendingApprovalJobById",
)
_CANCEL: Endpoint[None] = Endpoint(
    "POST", "/workflow/{workflow_id}/cancel", None, operation="workflows.cancel", reference="cancelWorkflow"
)
_GET = Endpoint("GET", "/workflow/{workflow_id}", Workflow, operation="workflows.get", reference="getWorkflowById")
_LIST_JOBS = ListEndpoint(
    "GET",
    "/workflow/{workflow_id}/job",
    WorkflowJob,
    operation="workflows.list_jobs",
    reference="listWorkflowJobs",
)
_RERUN = Endpoint(
    "POST", "/workflow/{workflow_id}/rerun", Rerun, operation="workflows.rerun", reference="rerunWorkflow"
)


def _waiting(jobs: Sequence[WorkflowJob], name: str) -> WorkflowJob:
    """The job of that name that waits for an approval."""
    approvals = {job.name: job for job in jobs if job.type == JobType.APPROVAL}
    if name not in approvals:
        known = ", ".join(map(repr, approvals)) or "none"
        raise InvalidArgument(f"the workflow has no approval job named {name!r}; it has {known}")
    if not approvals[name].is_waiting_for_approval:
        raise InvalidArgument(f"the job {name!r} does not wait for an approval: its status is {approvals[name].status}")
    return approvals[name]


class Workflows(Group):
    """Workflows: `circle.workflows`."""

    async def get(self, workflow_id: Id) -> Workflow:
        """A workflow, by id.

        https://circleci.com/docs/api/v2/#operation/getWorkflowById
        """
        return await self._call(_GET, workflow_id)

    def list_jobs(self, workflow_id: Id, *, page_token: str | None = None) -> Pager[WorkflowJob]:
        """A workflow's jobs, approvals among them. NotFound while a new workflow has none yet.

        https://circleci.com/docs/api/v2/#operation/listWorkflowJobs
        """
        return self._list(_LIST_JOBS, workflow_id, page_token=page_token)

    async def approve(self, workflow_id: Id, approval_request_id: Id) -> None:
        """Approve a job that waits for it, named by its `approval_request_id`.

        https://circleci.com/docs/api/v2/#operation/approvePendingApprovalJobById
        """
        return await self._call(_APPROVE, workflow_id, approval_request_id)

    async def approve_by_name(self, workflow_id: Id, name: str) -> None:
        """Approve the job of that name, such as "hold", that waits for it.

        Raises InvalidArgument, with nothing approved, where the workflow has no approval job of that name, or it does
        not wait: because jobs before it still run, or because it was approved or canceled already.

        https://circleci.com/docs/api/v2/#operation/approvePendingApprovalJobById
        """
        job = _waiting(await self.list_jobs(workflow_id).collect(), name)
        return await self.approve(workflow_id, job.approval_request_id or job.id)

    async def cancel(self, workflow_id: Id) -> None:
        """Cancel a workflow. The API confirms at once, and the workflow stops a little later.

        https://circleci.com/docs/api/v2/#operation/cancelWorkflow
        """
        return await self._call(_CANCEL, workflow_id)

    async def rerun(
        self,
        workflow_id: Id,
        *,
        from_failed: bool | None = None,
        jobs: Id | Sequence[Id] | None = None,
        enable_ssh: bool | None = None,
        sparse_tree: bool | None = None,
    ) -> Rerun:
        """The id of the new workflow that runs this one again: all of it, or what `from_failed` or `jobs` picks.

        from_failed: only what failed, and what comes after it; excludes jobs. jobs: ids of the jobs to run.
        enable_ssh: with SSH access for the token's user; needs jobs. sparse_tree: do not rerun what the jobs
        have no path to; needs jobs.

        https://circleci.com/docs/api/v2/#operation/rerunWorkflow
        """
        return await self._call(
            _RERUN,
            workflow_id,
            body=sent(from_failed=from_failed, jobs=several(jobs), enable_ssh=enable_ssh, sparse_tree=sparse_tree),
        )
