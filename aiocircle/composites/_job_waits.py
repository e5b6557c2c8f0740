"""The wait for a job, as a method of the group of jobs."""

from __future__ import annotations

from aiocircle._core.group import Group, Project
from aiocircle.errors import InvalidArgument
from aiocircle.links import project_at
from aiocircle.resources.jobs import Job

__all__ = ["JobWaits"]


class JobWaits(Group):
    """The waits of `circle.jobs`."""

    __slots__ = ()

    async def wait(
        self,
        project: Project,
        job_number: int,
        *,
        timeout: float | None = 3600.0,
        poll_interval: float | None = None,
    ) -> Job:
        """Return the job as soon as it has ended.

        timeout: seconds; None waits without a limit. poll_interval: seconds between two polls, instead of pauses from
        2 to 15 s. A job that is blocked for ever has no number: `pipelines.watch` reports it as "will_not_run".

        Raises WaitTimeout if the deadline passes first; its `state` is the job as last read, or None. Failed polls do
        not end the wait. A 400, 401, 403, 404, 410 and a closed client do.

        https://circleci.com/docs/api/v2/#operation/getJobDetails
        """
        from aiocircle.composites._client_reads import new_reader
        from aiocircle.composites._simple_waits import wait_for_job

        if isinstance(job_number, bool) or not isinstance(job_number, int) or job_number < 0:
            raise InvalidArgument(f"job_number must be an integer from 0 on, got {job_number!r}")
        return await wait_for_job(
            new_reader(self._executor),
            str(project_at(project, self._executor.state.base_url)),
            job_number,
            timeout=timeout,
            poll_interval=poll_interval,
        )
