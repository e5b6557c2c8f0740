"""What several groups share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from aiocircle._core.codec import (
    KEBAB,
    RARE,
    READ_ONLY,
    UNSET,
    NumericText,
    OneOrMore,
    Timestamp,
    Unset,
    WholeNumber,
    encode_nested,
    moment,
)
from aiocircle._core.endpoint import Endpoint, ListEndpoint
from aiocircle._core.pager import Pager
from aiocircle.resources._group import Group, nested, sent, several
from aiocircle.slugs import OrgSlug, ProjectSlug

__all__ = [
    "KEBAB",
    "RARE",
    "READ_ONLY",
    "UNSET",
    "Endpoint",
    "Group",
    "Id",
    "JobStatus",
    "ListEndpoint",
    "NumericText",
    "OneOrMore",
    "Org",
    "Pager",
    "Project",
    "Several",
    "Timestamp",
    "Unset",
    "WholeNumber",
    "encode_nested",
    "job_is_finished",
    "moment",
    "nested",
    "org_slug_text",
    "sent",
    "several",
]

Id = str | UUID
"""An id, as text or as a UUID."""

Project = ProjectSlug | str
"""A project: a ProjectSlug, or anything that ProjectSlug.parse() understands."""

Org = OrgSlug | str
"""An organization: an OrgSlug, or anything that OrgSlug.parse() understands."""

Several = str | Sequence[str]
"""One value, or several."""


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


_UNDER_WAY = frozenset(
    {JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.NOT_RUNNING, JobStatus.ON_HOLD, JobStatus.BLOCKED}
)
_OVER = frozenset(JobStatus) - _UNDER_WAY


def job_is_finished(status: str, stopped_at: datetime | None) -> bool:
    """Whether a job is over. A status that is not known here is judged by whether the job stopped."""
    return status in _OVER or (status not in _UNDER_WAY and stopped_at is not None)


def org_slug_text(org: Org | None) -> str | None:
    """The slug of an organization, for a query or a body; None stays None."""
    return None if org is None else str(OrgSlug.parse(org))
