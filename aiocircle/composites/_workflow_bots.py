"""Methods of `circle.workflows` for bots: approvals, and reruns of what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from aiocircle._core.group import Id, Project
from aiocircle._core.polling import check_poll_interval, check_timeout
from aiocircle.composites._branches import check_branch
from aiocircle.errors import InvalidArgument
from aiocircle.links import project_at
from aiocircle.resources import workflows
from aiocircle.resources.workflows import Workflow, WorkflowJob

# What a call needs is imported when one is made: most programs use few of these methods.
if TYPE_CHECKING:
    from aiocircle.composites._pipeline_streams import ApprovalStream

__all__ = ["WorkflowBots"]


class WorkflowBots(workflows.Workflows):
    """The methods `approve_by_name`, `rerun_failed` and `stream_approvals` of `circle.workflows`."""

    __slots__ = ()

    async def approve_by_name(
        self, workflow_id: Id, name: str, *, timeout: float | None = 0.0, poll_interval: float | None = None
    ) -> WorkflowJob:
        """Approve the job of this name, such as "hold", and return it as last read.

        One POST is sent. A job that was approved already, also by another caller in the meantime, is returned.

        timeout: seconds to wait until the job can be approved; 0 does not wait, and None waits without a limit.
        poll_interval: seconds between two polls; None for 2 to 15.

        Raise NotReady with the state "absent" (no such job), "blocked" (it waits for other jobs) or "over" (it or its
        workflow has ended). With a timeout only "over" is raised, and at the end WaitTimeout, whose `state` is the job
        or None. Raise InvalidArgument if the job of this name is not an approval.

        https://circleci.com/docs/api/v2/#operation/approvePendingApprovalJobById
        """
        from aiocircle.composites._approve import approve_job

        if not isinstance(name, str) or not name:
            raise InvalidArgument(f"name must be the name of an approval job, got {name!r}")
        timeout, poll_interval = check_timeout(timeout), check_poll_interval(poll_interval)
        return await approve_job(_ApprovalCalls(self, workflow_id), name, timeout=timeout, poll_interval=poll_interval)

    async def rerun_failed(self, project: Project, *, branch: str, at_most: int = 1) -> tuple[Workflow, ...]:
        """Rerun from failed what failed on the newest pipeline of a branch. Return the new workflows.

        A workflow is rerun if its newest attempt ended with "failed" and CircleCI will not rerun it by itself. This
        never waits for a run.

        at_most: the attempts of a workflow after the first. Those of people, of CircleCI and of other processes count.
        A client reruns the same workflow once, also if the outcome was unknown. Processes do not know of each other:
        run this in one of them.

        Raise ChangeErrors after all were tried if some were refused. Its `done` has the new workflows, and so have the
        `items` of an Unauthorized, which ends this immediately. One of its errors is a NotReady with the outcome
        "done" if a rerun was accepted, and its workflow is not visible within 60 s.

        https://circleci.com/docs/api/v2/#operation/rerunWorkflow
        """
        from aiocircle.composites._changes import check_count, rerun_failed
        from aiocircle.composites._project_reads import ClientChanges, rerun_memory
        from aiocircle.composites._reads import ServerClock
        from aiocircle.resources.pipelines import Pipelines

        check_count(at_most, "at_most")
        check_branch(branch)
        slug = project_at(project, self._executor.state.base_url)
        newest = await Pipelines(self._executor).list_for_project(slug, branch=branch).first()
        if newest is None:
            return ()
        calls, memory = ClientChanges(self._executor), rerun_memory(self._executor)
        return await rerun_failed(calls, newest, at_most=at_most, memory=memory, now=ServerClock().of)

    def stream_approvals(
        self,
        project: Project,
        *,
        branch: str | None = None,
        since: datetime | str | None = None,
        state: Mapping[str, Any] | None = None,
        poll_interval: float = 60.0,
    ) -> ApprovalStream:
        """Stream each approval job of a project once that a poll finds waiting, with its workflow and its pipeline.

        What waits already when the stream begins is included, unless `state` has it. An approval of a rerun is
        another job. CircleCI sends no event for an approval, so all are found by polls.

        branch: only pipelines of this branch. since: only pipelines that were created since then; None for 7 days
        ago. state: the `state` of an earlier stream of the same project and branch, which takes precedence over
        `since`. Save it after the work for each approval. poll_interval: seconds between two polls. The stream never
        ends by itself: use `async with`, or `aclose()`. The errors that end it are those of
        `pipelines.stream_finished`.

        https://circleci.com/docs/api/v2/#operation/listWorkflowJobs
        """
        from aiocircle.composites._pipeline_streams import ApprovalStream
        from aiocircle.composites._project_reads import ClientProjectReads

        slug = str(project_at(project, self._executor.state.base_url))
        reads = ClientProjectReads(self._executor.new_caller())
        branch = None if branch is None else check_branch(branch)
        return ApprovalStream(reads, slug, branch=branch, since=since, state=state, poll_interval=poll_interval)


@attrs.frozen
class _ApprovalCalls:
    """The requests of one approval, by a client."""

    _workflows: workflows.Workflows
    _workflow_id: Id

    async def list_jobs(self) -> Sequence[WorkflowJob]:
        return await self._workflows.list_jobs(self._workflow_id).collect()

    async def read_workflow(self) -> Workflow:
        return await self._workflows.get(self._workflow_id)

    async def approve(self, approval_request_id: str, /) -> None:
        await self._workflows.approve(self._workflow_id, approval_request_id)
