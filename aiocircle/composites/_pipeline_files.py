"""The artifacts of all jobs of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Literal

from aiocircle._core.executor import Executor
from aiocircle._core.group import Group, Id
from aiocircle._core.tasks import gather_map

if TYPE_CHECKING:
    from aiocircle.composites._downloads import Target
    from aiocircle.resources.jobs import DownloadedArtifact, DownloadProgress
    from aiocircle.resources.workflows import Workflow, WorkflowJob

__all__ = ["PipelineFiles"]


class PipelineFiles(Group):
    """Methods of `circle.pipelines` that download files."""

    __slots__ = ()

    async def download_artifacts(
        self,
        pipeline_id: Id,
        into: str | PathLike[str],
        *,
        match: str = "**",
        concurrency: int = 8,
        existing: Literal["replace", "skip"] = "replace",
        on_progress: Callable[[DownloadProgress], object] | None = None,
    ) -> tuple[DownloadedArtifact, ...]:
        """Download the artifacts of all jobs of a pipeline, to `into/<workflow>/<job>-<number>/…`.

        Workflows and jobs are listed first: what ends later is not downloaded. Characters of their names that some
        systems cannot store become `_`. All else is as for `jobs.download_artifacts`.

        https://circleci.com/docs/api/v2/#operation/getJobArtifacts
        """
        from aiocircle._core.streams import FileOpener
        from aiocircle.composites._downloads import check_options, download_artifacts

        check_options(into, match, concurrency, existing)
        executor = self._executor.new_caller()
        targets = await _list_targets(executor, pipeline_id, match, concurrency)
        return await download_artifacts(
            FileOpener(executor, "pipelines.download_artifacts"),
            targets,
            into,
            policy=executor.retry,
            concurrency=concurrency,
            existing=existing,
            on_progress=on_progress,
        )


async def _list_targets(executor: Executor, pipeline_id: Id, match: str, concurrency: int) -> list[Target]:
    """Return the artifacts of all jobs that have run, in the order of workflows and jobs."""
    from aiocircle.composites._downloads import list_targets
    from aiocircle.composites._filenames import folder_name
    from aiocircle.resources.jobs import Jobs
    from aiocircle.resources.pipelines import Pipelines
    from aiocircle.resources.workflows import Workflows

    found: list[tuple[Workflow, WorkflowJob]] = []
    for workflow in await Pipelines(executor).list_workflows(pipeline_id).collect():
        if workflow.id:  # An expired workflow has none.
            found += [(workflow, job) for job in await Workflows(executor).list_jobs(workflow.id).collect()]

    async def read(of: tuple[Workflow, WorkflowJob]) -> list[Target]:
        workflow, job = of
        if job.job_number is None or not job.project_slug:
            return []
        artifacts = await Jobs(executor).list_artifacts(job.project_slug, job.job_number).collect()
        folder = (folder_name(workflow.name), f"{folder_name(job.name)}-{job.job_number}")
        return list_targets(artifacts, match=match, folder=folder)

    return [target for targets in await gather_map(read, found, concurrency) for target in targets]
