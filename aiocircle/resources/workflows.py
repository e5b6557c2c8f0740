"""Workflows: what a pipeline runs, their jobs, and approving, canceling and running them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from aiocircle._core.endpoint import Action, Endpoint, ListEndpoint, Table
from aiocircle._core.fields import RARELY_PRESENT, Timestamp
from aiocircle._core.group import Group, Id, as_list, omit_none
from aiocircle._core.pager import Pager
from aiocircle.errors import InvalidArgument
from aiocircle.links import Link, job_url, workflow_url
from aiocircle.resources._statuses import JobStatus, WorkflowStatus, job_is_finished, workflow_is_finished

__all__ = ["JobStatus", "JobType", "Rerun", "Workflow", "WorkflowJob", "WorkflowStatus", "Workflows"]


class JobType(StrEnum):
    """The types of a job that are known today."""

    BUILD = "build"
    APPROVAL = "approval"
    RELEASE = "release"
    NO_OP = "no-op"
    LOCK = "lock"
    UNLOCK = "unlock"


@attrs.frozen(kw_only=True)
class Workflow:
    """One run of a workflow, in a pipeline.

    An expired workflow of an old pipeline has "" for id, name and status, and None for created_at. started_by,
    canceled_by and errored_by are ids of users. tag is "setup" on a setup workflow. It has a stopped_at after its
    end. auto_rerun_number counts the automatic reruns, of which max_auto_reruns are permitted; both are missing if
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
    canceled_by: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    errored_by: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    tag: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    auto_rerun_number: int | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    max_auto_reruns: int | None = attrs.field(default=None, metadata=RARELY_PRESENT)

    @property
    def web_url(self) -> str | None:
        """The page of the workflow on the cloud; None if it has expired."""
        return workflow_url(self.project_slug, self.pipeline_number, self.id)

    @property
    def is_finished(self) -> bool:
        """True if the workflow has ended, with any result. One that is on hold or failing has not."""
        return workflow_is_finished(self.status, self.stopped_at)

    @property
    def is_setup(self) -> bool:
        """True if it is a setup workflow, after which the pipeline's real ones begin."""
        return self.tag == "setup"


@attrs.frozen(kw_only=True)
class WorkflowJob:
    """A job, as its workflow lists it.

    dependencies are ids of other jobs of the workflow; requires gives the statuses in which each lets this one
    start. job_number, started_at and stopped_at are None for approvals, and for jobs that never ran.
    approval_request_id is present while an approval waits. approved_by and canceled_by are ids of users.
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
    approval_request_id: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    approved_by: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)
    canceled_by: str | None = attrs.field(default=None, metadata=RARELY_PRESENT)

    @property
    def web_url(self) -> str | None:
        """The page of the job on the cloud, in the older form; None if the job has no number."""
        return job_url(self.project_slug, self.job_number)

    @property
    def is_finished(self) -> bool:
        """True if the job has ended, with any result. A job that waits for an approval has not.

        A job that is blocked behind a failed one stays "blocked" for ever and is never finished. To find out that
        nothing will run any more, read the workflow: `workflow.is_finished`.
        """
        return job_is_finished(self.status, self.stopped_at)

    @property
    def is_waiting_for_approval(self) -> bool:
        """True if it can be approved now, with `approve(workflow.id, job.approval_request_id)`."""
        return self.type == JobType.APPROVAL and self.status == JobStatus.ON_HOLD


@attrs.frozen(kw_only=True)
class Rerun:
    """The new workflow of a rerun, by id. It has no workflow_id if the API only confirmed the rerun."""

    workflow_id: str | None = None


class _Endpoints(Table, group="workflows"):
    approve = Action("POST", "/workflow/{workflow_id:id}/approve/{approval_request_id:id}")
    cancel = Action("POST", "/workflow/{workflow_id:id}/cancel")
    get = Endpoint("GET", "/workflow/{workflow_id:id}", Workflow)
    list_jobs = ListEndpoint("GET", "/workflow/{workflow_id:id}/job", WorkflowJob)
    rerun = Endpoint("POST", "/workflow/{workflow_id:id}/rerun", Rerun)


class Workflows(Group):
    """Workflows: `circle.workflows`."""

    async def get(self, workflow_id: Id) -> Workflow:
        """Return a workflow, by id.

        https://circleci.com/docs/api/v2/#operation/getWorkflowById
        """
        return await self._call(_Endpoints.get, workflow_id)

    async def get_by_link(self, url: str | Link) -> Workflow:
        """Return the workflow of a page of CircleCI: of the workflow itself, or of one of its jobs.

        Raise InvalidArgument if the page names no workflow, or is one of another host than the client's.

        https://circleci.com/docs/api/v2/#operation/getWorkflowById
        """
        link = self._link(url)
        if link.workflow_id is None:
            raise InvalidArgument(f"url must be the page of a workflow, got {link}. It names no workflow")
        return await self.get(link.workflow_id)

    def list_jobs(self, workflow_id: Id, *, page_token: str | None = None) -> Pager[WorkflowJob]:
        """List a workflow's jobs and approvals. Raise NotFound while a new workflow has none yet.

        https://circleci.com/docs/api/v2/#operation/listWorkflowJobs
        """
        return self._list(_Endpoints.list_jobs, workflow_id, page_token=page_token)

    async def approve(self, workflow_id: Id, approval_request_id: Id) -> None:
        """Approve a job that waits for it, named by its `approval_request_id`.

        https://circleci.com/docs/api/v2/#operation/approvePendingApprovalJobById
        """
        return await self._call(_Endpoints.approve, workflow_id, approval_request_id)

    async def cancel(self, workflow_id: Id) -> None:
        """Cancel a workflow. The API confirms immediately, and the workflow stops a little later.

        https://circleci.com/docs/api/v2/#operation/cancelWorkflow
        """
        return await self._call(_Endpoints.cancel, workflow_id)

    async def rerun(
        self,
        workflow_id: Id,
        *,
        from_failed: bool | None = None,
        jobs: Id | Sequence[Id] | None = None,
        enable_ssh: bool | None = None,
        sparse_tree: bool | None = None,
    ) -> Rerun:
        """Rerun a workflow: all of it, or the jobs that `from_failed` or `jobs` selects. Return the new workflow's id.

        from_failed: only the failed jobs, and those after them; excludes jobs. jobs: ids of the jobs to run.
        enable_ssh: with SSH access for the token's user; needs jobs. sparse_tree: rerun only jobs that the given ones
        lead to; needs jobs.

        https://circleci.com/docs/api/v2/#operation/rerunWorkflow
        """
        return await self._call(
            _Endpoints.rerun,
            workflow_id,
            body=omit_none(from_failed=from_failed, jobs=as_list(jobs), enable_ssh=enable_ssh, sparse_tree=sparse_tree),
        )
