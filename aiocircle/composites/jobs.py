"""Jobs, with waits."""

from __future__ import annotations

from aiocircle.composites._job_waits import JobWaits
from aiocircle.resources import jobs

__all__ = ["Jobs"]


class Jobs(JobWaits, jobs.Jobs):
    """Jobs: `circle.jobs`."""

    __slots__ = ()
