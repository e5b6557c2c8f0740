"""Statuses of jobs and workflows, and the rule by which both are finished."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

__all__ = ["JobStatus", "WorkflowStatus", "job_is_finished", "workflow_is_finished"]


class JobStatus(StrEnum):
    """The statuses of a job that are known today."""

    SUCCESS = "success"
    RUNNING = "running"
    NOT_RUN = "not_run"
    FAILED = "failed"
    RETRIED = "retried"
    QUEUED = "queued"
    NOT_RUNNING = "not_running"
    INFRASTRUCTURE_FAIL = "infrastructure_fail"
    TIMEDOUT = "timedout"
    ON_HOLD = "on_hold"
    TERMINATED_UNKNOWN = "terminated-unknown"
    BLOCKED = "blocked"
    CANCELED = "canceled"
    UNAUTHORIZED = "unauthorized"


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


_JOBS: Final = frozenset(JobStatus)
_WORKFLOWS: Final = frozenset(WorkflowStatus)
_ACTIVE_JOBS: Final = frozenset(
    {JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.NOT_RUNNING, JobStatus.ON_HOLD, JobStatus.BLOCKED}
)
_ACTIVE_WORKFLOWS: Final = frozenset({WorkflowStatus.RUNNING, WorkflowStatus.FAILING, WorkflowStatus.ON_HOLD})


def job_is_finished(status: str, stopped_at: datetime | None) -> bool:
    """Return True if a job is finished. A status that is not known here counts as finished if the job has stopped."""
    return _is_finished(_JOBS, _ACTIVE_JOBS, status, stopped_at)


def workflow_is_finished(status: str, stopped_at: datetime | None) -> bool:
    """Return True if a workflow is finished. A status that is not known here counts as finished if it has stopped."""
    return _is_finished(_WORKFLOWS, _ACTIVE_WORKFLOWS, status, stopped_at)


def _is_finished(known: frozenset[str], active: frozenset[str], status: str, stopped_at: datetime | None) -> bool:
    if status in active:
        return False
    return status in known or stopped_at is not None
