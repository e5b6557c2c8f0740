"""Approving a job by its name, and the wait until it can be approved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import attrs

from aiocircle._core.polling import Poller
from aiocircle.composites._outcome import has_ended
from aiocircle.errors import (
    BadRequest,
    CircleCIError,
    ConfigurationError,
    Conflict,
    Forbidden,
    Gone,
    InvalidArgument,
    NotFound,
    NotReady,
    Unauthorized,
    WaitTimeout,
)
from aiocircle.resources.workflows import JobStatus, JobType, Workflow, WorkflowJob

__all__ = ["ApprovalCalls", "approve_job", "find_job"]

MAX_PAUSE: Final = 15.0
NEW_WORKFLOW: Final = 10.0
"""Seconds in which a 404 can mean that the workflow was only just created."""

_ENDING = (BadRequest, Unauthorized, Forbidden, Gone, ConfigurationError)
"""Errors of a read that a later poll would meet again."""
_REFUSALS = (BadRequest, NotFound, Conflict, Gone)
"""Errors of an approval that may mean that another caller was faster."""


class ApprovalCalls(Protocol):
    """The requests of one approval."""

    async def list_jobs(self) -> Sequence[WorkflowJob]:
        """Return the jobs of the workflow."""
        ...

    async def read_workflow(self) -> Workflow:
        """Return the workflow."""
        ...

    async def approve(self, approval_request_id: str, /) -> None:
        """Approve a job of the workflow."""
        ...


def find_job(jobs: Sequence[WorkflowJob], name: str) -> WorkflowJob | None:
    """Return the approval of that name, first one that waits; None without one.

    Raise InvalidArgument if the job of that name is not an approval.
    """
    named = [job for job in jobs if job.name == name]
    approvals = [job for job in named if job.type == JobType.APPROVAL]
    if named and not approvals:
        known = ", ".join(map(repr, _approvals(jobs))) or "none"
        raise InvalidArgument(
            f"name must be the name of an approval job, got that of a job of type {named[0].type!r}. "
            f"The approvals of the workflow: {known}"
        )
    waiting = [job for job in approvals if job.is_waiting_for_approval]
    return next(iter((*waiting, *approvals[-1:])), None)


@attrs.frozen
class _Seen:
    """The job as a poll shows it, or None.

    state: "waiting", "approved", "absent", "blocked" or "over". approvals: the names of all approvals.
    """

    job: WorkflowJob | None
    state: str
    approvals: tuple[str, ...]


async def approve_job(
    calls: ApprovalCalls, name: str, *, timeout: float | None, poll_interval: float | None
) -> WorkflowJob:
    """Approve the job as soon as it waits, with one POST, and return it as last read.

    timeout: seconds; 0 does not wait, and None waits without a limit.
    """
    job = await _wait_for(calls, name, timeout=timeout, poll_interval=poll_interval)
    if not job.is_waiting_for_approval:
        return job
    try:
        await calls.approve(job.approval_request_id or job.id)
    except _REFUSALS as error:
        return await _reread(calls, name, error)
    return job


async def _wait_for(
    calls: ApprovalCalls, name: str, *, timeout: float | None, poll_interval: float | None
) -> WorkflowJob:
    """Return the job once it waits or is approved."""
    # Without a wait, the one poll takes as long as the retries of the client.
    poller = Poller(timeout=timeout or None, poll_interval=poll_interval)
    began_at = poller.began_at
    seen: _Seen | None = None
    failure: BaseException | None = None
    while True:
        poller.begin()
        try:
            async with poller.overtime():
                seen, failure = await _look(calls, name), None
        except _ENDING:
            raise
        except (CircleCIError, TimeoutError) as error:
            is_missing = isinstance(error, NotFound) and poller.began_at >= began_at + NEW_WORKFLOW
            if is_missing or timeout == 0:
                raise
            failure = error
        if seen is not None and failure is None:
            if seen.job is not None and seen.state in ("waiting", "approved"):
                return seen.job
            if timeout == 0 or seen.state == "over":
                raise _not_ready(name, seen)
        if poller.has_expired:
            last = None if seen is None else seen.job
            state = "was not seen" if last is None else f"is {last.status!r} so far"
            message = f"the job {name!r} does not wait for an approval after {timeout:g} s: it {state}"
            raise WaitTimeout(last, message) from failure
        await poller.pause(MAX_PAUSE)


async def _look(calls: ApprovalCalls, name: str) -> _Seen:
    jobs = await _jobs(calls)
    job = find_job(jobs, name)
    has_workflow_ended = False
    if job is None or not _is_decided(job):
        # A job that is behind a failed one stays blocked after the end of its workflow.
        has_workflow_ended = has_ended(await calls.read_workflow())
        if has_workflow_ended:
            jobs = await _jobs(calls)  # The job may have been approved between the two reads.
            job = find_job(jobs, name)
    return _Seen(job, _state_of(job, has_workflow_ended=has_workflow_ended), _approvals(jobs))


def _state_of(job: WorkflowJob | None, *, has_workflow_ended: bool) -> str:
    if job is not None and job.is_waiting_for_approval and not has_workflow_ended:
        return "waiting"
    if job is not None and job.status == JobStatus.SUCCESS:
        return "approved"
    if has_workflow_ended or (job is not None and job.is_finished):
        return "over"
    return "absent" if job is None else "blocked"


def _approvals(jobs: Sequence[WorkflowJob]) -> tuple[str, ...]:
    return tuple(job.name for job in jobs if job.type == JobType.APPROVAL)


def _is_decided(job: WorkflowJob) -> bool:
    return job.is_waiting_for_approval or job.is_finished


async def _jobs(calls: ApprovalCalls) -> Sequence[WorkflowJob]:
    try:
        return await calls.list_jobs()
    except NotFound:
        return ()  # A new workflow has no jobs yet. If it does not exist, the read of the workflow is a 404.


async def _reread(calls: ApprovalCalls, name: str, refusal: CircleCIError) -> WorkflowJob:
    """Return the job if another caller has approved it. Raise the refusal if it still waits, or cannot be read."""
    try:
        seen = await _look(calls, name)
    except CircleCIError:
        raise refusal from None
    if seen.job is not None and seen.state == "approved":
        return seen.job
    if seen.state == "waiting":
        raise refusal
    raise _not_ready(name, seen) from refusal


def _not_ready(name: str, seen: _Seen) -> NotReady:
    reason = {
        "absent": f"the workflow has no such job yet. Its approvals: {', '.join(map(repr, seen.approvals)) or 'none'}",
        "blocked": "it waits for other jobs. Use timeout= to wait for it",
        "over": "it or its workflow has ended, so it will never wait for an approval",
    }[seen.state]
    return NotReady(seen.state, f"the job {name!r} cannot be approved: {reason}")
