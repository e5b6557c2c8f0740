"""Jobs, with what they left behind: steps and their output, artifacts as files, and failed tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from aiocircle._core.group import Project
from aiocircle._core.pager import Pager
from aiocircle.composites._job_waits import JobWaits
from aiocircle.errors import InvalidArgument
from aiocircle.links import Link
from aiocircle.resources import jobs
from aiocircle.resources.jobs import (
    Artifact,
    DownloadedArtifact,
    DownloadProgress,
    JobTest,
    JobTestResult,
    OutputLine,
    Step,
    StepOutput,
)
from aiocircle.slugs import ProjectSlug

if TYPE_CHECKING:
    from aiocircle.resources.workflows import WorkflowJob
    from aiocircle.v1.projects import LatestArtifact

__all__ = ["Jobs"]

_FAILED_TESTS: Final = frozenset({JobTestResult.FAILURE, JobTestResult.ERROR})


class Jobs(JobWaits, jobs.Jobs):
    """Jobs: `circle.jobs`.

    A link to a job, or a WorkflowJob, may stand for `project` and `job_number` in methods where job_number is None.
    """

    __slots__ = ()

    async def get_steps(self, project: Project | Link | WorkflowJob, job_number: int | None = None) -> tuple[Step, ...]:
        """Return the steps of a job that have begun, each with an action for each parallel node.

        A step counts as failed by its status, also after a timeout, which has no exit code. API v2 has no steps: they
        are read from API v1.1.

        https://circleci.com/docs/api/v1/
        """
        from aiocircle.composites._logs import make_steps
        from aiocircle.v1.builds import Builds

        slug, number = self._find(project, job_number)
        return make_steps(await Builds(self._executor).get(slug, number))

    def stream_output(
        self,
        project: Project | Link | WorkflowJob,
        job_number: int | None = None,
        *,
        failed_only: bool = False,
        step: str | None = None,
        index: int | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[OutputLine, None]:
        """Return an iterator over the lines of a job's output, step by step, without control sequences.

        failed_only: True for the steps that failed. step: the name of a step. index: a parallel node, counted from 0.
        follow: True continues until the job has ended, and yields the lines of all its running steps as they come. They
        are read every 2 seconds by API v3, or every 5 seconds by API v1.1 on a host without v3. Lines of API v3 have no
        time.

        Memory is flat. Raise DownloadError if an output cannot be read to its end, after the lines that were.

        https://circleci.com/docs/api/v1/
        """
        from aiocircle.composites._outputs import OutputFilter, check_filter, stream_output

        slug, number = self._find(project, job_number)
        check_filter(failed_only, step, index)
        wanted = OutputFilter(failed_only=failed_only, step=step, index=index)
        if not follow:
            return stream_output(self._executor.new_caller(), slug, number, wanted)
        from aiocircle.composites._follow import follow_output

        return follow_output(self._executor.new_caller(), slug, number, wanted)

    async def get_failed_output(
        self, project: Project | Link | WorkflowJob, job_number: int | None = None, *, lines: int = 100
    ) -> tuple[StepOutput, ...]:
        """Return the last lines of each failed step on each node, in the order of the steps.

        lines: how many, for each of them. A failed step without output is in the result, with an empty text. It takes
        one request for the job, and one for each output.

        https://circleci.com/docs/api/v1/
        """
        from aiocircle.composites._outputs import get_failed_output

        slug, number = self._find(project, job_number)
        if isinstance(lines, bool) or not isinstance(lines, int) or lines < 1:
            got = lines if isinstance(lines, int) else type(lines).__name__
            raise InvalidArgument(f"lines must be an int of at least 1, got {got}. Pass 100, for example.")
        return await get_failed_output(self._executor.new_caller(), slug, number, lines=lines)

    def list_failed_tests(
        self,
        project: Project | Link | WorkflowJob,
        job_number: int | None = None,
        *,
        page_token: str | None = None,
    ) -> Pager[JobTest]:
        """List the tests of a job that failed or ended in an error.

        The API has no filter: all tests are fetched. A job with more than 250 MB of results has none.

        https://circleci.com/docs/api/v2/#operation/getTests
        """
        return self._list(
            jobs._Endpoints.list_tests,  # pyright: ignore[reportPrivateUsage]
            *self._find(project, job_number),
            page_token=page_token,
            keep=_has_failed,
        )

    @overload
    async def download_artifacts(
        self,
        project: Project,
        job_number: int,
        into: str | PathLike[str],
        *,
        match: str = "**",
        concurrency: int = 8,
        existing: Literal["replace", "skip"] = "replace",
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> tuple[DownloadedArtifact, ...]: ...
    @overload
    async def download_artifacts(
        self,
        job: Link | WorkflowJob | str,
        into: str | PathLike[str],
        /,
        *,
        match: str = "**",
        concurrency: int = 8,
        existing: Literal["replace", "skip"] = "replace",
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> tuple[DownloadedArtifact, ...]: ...
    @overload
    async def download_artifacts(
        self,
        project: Link | WorkflowJob | str,
        *,
        into: str | PathLike[str],
        match: str = "**",
        concurrency: int = 8,
        existing: Literal["replace", "skip"] = "replace",
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> tuple[DownloadedArtifact, ...]: ...
    async def download_artifacts(
        self,
        project: Project | Link | WorkflowJob,
        job_number: int | str | PathLike[str] | None = None,
        into: str | PathLike[str] | None = None,
        *,
        match: str = "**",
        concurrency: int = 8,
        existing: Literal["replace", "skip"] = "replace",
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> tuple[DownloadedArtifact, ...]:
        """Download the artifacts of a job into a folder.

        into: created if it does not exist. A job with several nodes has a folder for each: `into/<node index>/…`.
        match: a pattern for the path; `*` and `?` match within a name, `**` also across folders. concurrency: the
        highest number of files in flight; it is never more than half of the client's `max_concurrency`. existing:
        "replace" downloads a file again that is there already, "skip" keeps it without a request. on_progress is called
        after each write and each file.

        A file is complete or absent. What a download left unfinished is continued by the next one. Nothing is written
        outside of `into`, for all names. Raise DownloadErrors after all other files are finished; its `done` has them.
        Raise Unauthorized if the token is refused: no other file is then requested.

        https://circleci.com/docs/api/v2/#operation/getJobArtifacts
        """
        from aiocircle._core.streams import FileOpener
        from aiocircle.composites._downloads import check_options, download_artifacts, list_targets

        if into is None and isinstance(job_number, str | PathLike):
            job_number, into = None, job_number  # One argument stands for the project and the number.
        slug, number = self._find(project, job_number)
        into = check_options(into, match, concurrency, existing)
        executor = self._executor.new_caller()
        artifacts = await Jobs(executor).list_artifacts(slug, number).collect()
        return await download_artifacts(
            FileOpener(executor, "jobs.download_artifacts"),
            list_targets(artifacts, match=match),
            into,
            policy=executor.retry,
            concurrency=concurrency,
            existing=existing,
            on_progress=on_progress,
        )

    def stream_artifact(
        self, artifact_or_url: Artifact | LatestArtifact | DownloadedArtifact | str
    ) -> AsyncGenerator[bytes, None]:
        """Return an iterator over the bytes of an artifact, decompressed.

        A connection that is lost is continued if the server permits it. Otherwise raise DownloadError. Memory is flat.

        https://circleci.com/docs/api/v2/#operation/getJobArtifacts
        """
        from aiocircle._core.streams import FileOpener, check_url, stream_body

        artifact = artifact_or_url.artifact if isinstance(artifact_or_url, DownloadedArtifact) else artifact_or_url
        url = check_url(getattr(artifact, "url", artifact), "artifact_or_url")
        executor = self._executor.new_caller()
        opener = FileOpener(executor, "jobs.stream_artifact")
        return stream_body(opener, url, name=getattr(artifact, "path", "artifact"), policy=executor.retry)

    def _find(self, project: Project | Link | WorkflowJob, job_number: Any) -> tuple[ProjectSlug, int]:
        from aiocircle.composites._job_ref import find_job

        return find_job(project, job_number, self._executor.state.base_url)


def _has_failed(test: JobTest) -> bool:
    return test.result in _FAILED_TESTS
