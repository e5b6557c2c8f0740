"""The jobs of a workflow that is watched: which of them changed, and until when they are read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiocircle.resources.pipelines import ChangeKind
from aiocircle.resources.workflows import JobStatus, WorkflowJob

__all__ = ["JobChange", "JobsView"]

JobChange = tuple[ChangeKind, WorkflowJob, str | None]
"""A kind, the job, and its previous status."""

SETTLE: Final = 5.0
"""Seconds by which the list of jobs may lag behind the end of their workflow."""
GIVE_UP: Final = 60.0
"""Seconds after the end of a workflow in which its jobs are still read."""


class JobsView:
    """The jobs of one workflow. A job that a list misses has not changed, and one that ended stays ended.

    is_settled: True if they need not be read any more.
    """

    __slots__ = ("_first_read_at", "_jobs", "is_settled")

    def __init__(self) -> None:
        self._jobs: dict[str, WorkflowJob] = {}
        self._first_read_at: float | None = None
        self.is_settled = False

    @property
    def is_known(self) -> bool:
        """True if a list has shown a job."""
        return bool(self._jobs)

    def update(self, jobs: Sequence[WorkflowJob], now: float, stopped_at: float | None) -> tuple[JobChange, ...]:
        """Record a list of the jobs and return the changes. stopped_at: when the workflow stopped, None before."""
        changes: list[JobChange] = []
        for job in jobs:
            known = self._jobs.get(job.id)
            if known is not None and known.is_finished and not job.is_finished:
                continue
            self._jobs[job.id] = job
            if known is None:
                changes.append((ChangeKind.JOB_ADDED, job, None))
            elif known.status != job.status:
                changes.append((ChangeKind.JOB_STATUS, job, known.status))
        if stopped_at is None or now < stopped_at + SETTLE:
            return tuple(changes)
        is_whole = {job.id for job in jobs} >= {*self._jobs}
        if now >= stopped_at + GIVE_UP or (is_whole and all(map(_is_still, self._jobs.values()))):
            changes.extend(self._settle())
        return tuple(changes)

    def update_failed(self, now: float, stopped_at: float | None) -> tuple[JobChange, ...]:
        """Record that the list could not be read, and return the changes: none, unless it is time to give up."""
        if self._first_read_at is None:
            self._first_read_at = now
        if stopped_at is None or now < max(stopped_at, self._first_read_at) + GIVE_UP:
            return ()
        return self._settle()

    def _settle(self) -> tuple[JobChange, ...]:
        self.is_settled = True
        blocked = [job for job in self._jobs.values() if job.status == JobStatus.BLOCKED]
        return tuple((ChangeKind.WILL_NOT_RUN, job, job.status) for job in blocked)


def _is_still(job: WorkflowJob) -> bool:
    return job.is_finished or job.status == JobStatus.BLOCKED
